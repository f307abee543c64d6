"""A wide table as a company's analyst would export it, written by the tests."""

import csv
from datetime import date, timedelta
from pathlib import Path

import numpy as np

HEADER = (
    *("customer", "contract", "monthly_charge", "total_charge", "paperless", "calls", "town", "last_login", "country"),
    "left",
)


def rows(n: int = 600, seed: int = 1) -> list[dict[str, str]]:
    """Monthly contracts and many calls leave, long ones stay; new customers have a blank total; one town is rare."""
    dice = np.random.default_rng(seed)
    found = []
    for i in range(n):
        monthly, calls = bool(dice.random() < 0.5), int(dice.poisson(1.5))
        idle, charge = int(dice.gamma(2, 10)), round(float(dice.normal(60, 15)), 2)
        risk = -2.2 + 1.4 * monthly + 0.5 * calls + 0.02 * idle
        months = int(dice.integers(0, 40))
        found.append(
            {
                "customer": f"C-{i:05d}",
                "contract": "Month-to-month" if monthly else ["One year", "Two year"][int(dice.integers(2))],
                "monthly_charge": f"{charge}",
                "total_charge": " " if not months else f"{charge * months:.2f}",
                "paperless": ["Yes", "No"][int(dice.integers(2))],
                "calls": f"{calls}",
                "town": "Tiny" if i == 7 else ["North", "South", "West"][int(dice.integers(3))],
                "last_login": (date(2026, 1, 31) - timedelta(days=idle)).isoformat(),
                "country": "NL",
                "left": "Yes" if dice.random() < 1 / (1 + np.exp(-risk)) else "No",
            }
        )
    return found


def write(path: Path, table: list[dict[str, str]], delimiter: str = ",", encoding: str = "utf-8") -> Path:
    """As CSV."""
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, list(table[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(table)
    return path
