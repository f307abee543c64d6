"""What the leakage guard catches and where it cries wolf.

    python -m bench.leaks [--seeds 20] [--only public permuted simulated honeypots speed]

Public tables whose leaks are known (read from EBBTIDE_SHARED_DATA, never kept), the same tables without them, tables
simulated clean, and honeypots planted into the training rows of a simulated history, under telling and under innocent
names. Thresholds are the product's; nothing here changes them.
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from bench import wide
from models.features import FEATURES, compute
from models.history import History
from models.labels import label
from training import simulator
from training.leakage import Finding, Findings, Roles, doubts, examine
from training.snapshots import snapshots

Rng = np.random.Generator


@dataclass(frozen=True)
class Set:
    """A table, what is wrong with it, and how to look at it."""

    name: str
    frame: pl.DataFrame
    traps: tuple[str, ...]
    options: Mapping[str, Any]
    unused: tuple[str, ...] = ()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    args = parser.parse_args()
    for part in args.only:
        PARTS[part](args.seeds)


# ------------------------------------------------------------------------------------------- public tables


def public(_: int) -> None:
    """The public tables, with their leaks and without."""
    folder = wide.folder()
    if not folder.exists():
        print(f"Public tables: {folder} is not at hand; EBBTIDE_SHARED_DATA names the folder that holds them.")
        return
    print("| set | column | meant | caught how | severity | number |\n|---|---|---|---|---|---|")
    sums = []
    for read in PUBLIC:
        table = read(folder)
        started = time.perf_counter()
        findings = look(table)
        sums.append((table, findings, time.perf_counter() - started))
        for line in told(table, findings):
            print(line, flush=True)
    print("\n| set | rows | traps caught | stopped | wrongly stopped | wrongly warned of | AUC with, without | s |")
    print("|---|---|---|---|---|---|---|---|")
    for table, findings, seconds in sums:
        print(summed(table, findings, seconds))


def look(table: Set) -> Findings:
    """The guard over one set."""
    skipped = {"y", *table.unused, *(value for value in table.options.values() if isinstance(value, str))}
    columns = [name for name in table.frame.columns if name not in skipped]
    return examine(table.frame, columns, "y", **table.options)


def told(table: Set, findings: Findings) -> Iterator[str]:
    """A line per finding, and one per trap that was missed."""
    for found in findings.found:
        meant = "trap" if found.column in table.traps else "clean"
        column = found.column or "(table)"
        yield f"| {table.name} | {column} | {meant} | {found.kind} | {found.severity} | {number(found)} |"
    for missed in sorted(set(table.traps) - set(findings.suspects)):
        auc = findings.aucs.get(missed)
        yield f"| {table.name} | {missed} | trap | **missed** | | {'' if auc is None else f'AUC {auc:.3f}'} |"


def number(found: Finding) -> str:
    return ", ".join(f"{name} {value:,.3g}" for name, value in found.numbers.items())


def summed(table: Set, findings: Findings, seconds: float) -> str:
    traps, stopped = set(table.traps), {found.column for found in findings.errors}
    suspects = {found.column for found in findings.found}
    wrong, doubted = stopped - traps, suspects - traps - stopped
    twice = findings.twice
    worth = f"{twice.get('with', float('nan')):.3f}" + (f", {twice['without']:.3f}" if "without" in twice else "")
    return (
        f"| {table.name} | {table.frame.height:,} | {len(traps & suspects)} of {len(traps)} | "
        f"{len(traps & stopped)} | {names(wrong)} | {names(doubted)} | {worth} | {seconds:.1f} |"
    )


def names(columns: set[str | None]) -> str:
    return ", ".join(sorted(name or "(table)" for name in columns)) or "none"


def _read(path: Path, **options: Any) -> pl.DataFrame:
    return pl.read_csv(path, infer_schema_length=None, **options)


def telco_classic(data: Path) -> Set:
    frame = _read(data / "telco_ibm_classic" / "wa_churn.csv.gz")
    frame = frame.with_columns(y=(pl.col("churn") == "Yes").cast(pl.Int8)).drop("churn")
    return Set("telco classic", frame, (), {})


EXTENDED = (
    "Satisfaction Score",
    "Churn Score",
    "CLTV",
    "Customer Status",
    "Churn Reason",
    "Churn Category",
    "Churn Label",
)


def telco_extended(data: Path) -> Set:
    parts = [_read(data / "telco_ibm_extended" / f"{part}.csv.gz") for part in ("demographics", "services", "status")]
    frame = parts[0]
    for part in parts[1:]:
        frame = frame.join(part.drop("Count", "Quarter", strict=False), on="Customer ID", maintain_order="left")
    return Set("telco extended", frame.rename({"Churn Value": "y"}), EXTENDED, {"group": "Customer ID"})


def telco_extended_clean(data: Path) -> Set:
    table = telco_extended(data)
    return Set("telco extended, clean", table.frame.drop(*EXTENDED), (), table.options)


def mlc(data: Path) -> Set:
    frame = _read(data / "mlc_churn" / "mlc_churn_1_3333.csv.gz")
    return Set("mlc", frame.with_columns(y=(pl.col("churn") == "yes").cast(pl.Int8)).drop("churn"), (), {})


def pysurvival(data: Path) -> Set:
    frame = _read(data / "pysurvival_saas" / "churn.csv.gz").rename({"churned": "y"})
    return Set("pysurvival", frame, ("months_active",), {})


def pysurvival_clean(data: Path) -> Set:
    return Set("pysurvival, clean", pysurvival(data).frame.drop("months_active"), (), {})


INTERNET = ("remaining_contract", "download_avg", "upload_avg")


def internet(data: Path) -> Set:
    frame = _read(data / "internet_service_churn" / "internet_service_churn.csv.gz").rename({"churn": "y"})
    return Set("internet service", frame, INTERNET, {"group": "id"})


def internet_clean(data: Path) -> Set:
    """Without the column the exit empties and the rows whose both averages are nothing."""
    frame = internet(data).frame.filter((pl.col("download_avg") > 0) | (pl.col("upload_avg") > 0))
    return Set("internet service, clean", frame.drop("remaining_contract"), (), {"group": "id"})


def servicenow(data: Path) -> Set:
    """Every event row of a ticket; the label: will it have missed its target in the end?"""
    path = data / "servicenow_incident_log" / "incident_event_log_half.csv.gz"
    frame = _read(path, null_values="?", infer_schema=False)
    times = [name for name in frame.columns if name.endswith("_at")]
    frame = frame.with_columns(pl.col(times).str.to_datetime("%d/%m/%Y %H:%M", strict=False))
    counts = [name for name in frame.columns if name.endswith("_count")]
    last = pl.col("made_sla").sort_by("sys_mod_count").last().over("number")
    frame = frame.with_columns(pl.col(counts).cast(pl.Int64)).with_columns(y=(last == "false").cast(pl.Int8))
    options = {"group": "number", "as_of": "sys_updated_at"}
    return Set("servicenow", frame, ("closed_code", "resolved_by", "resolved_at", "closed_at"), options, ("made_sla",))


def ravenstack(data: Path) -> Set:
    """The null: one row per account, everything ever counted about it."""

    def table(name: str) -> pl.DataFrame:
        frame = _read(data / "ravenstack" / f"{name}.csv.gz")
        return frame.rename({column: column.lstrip("\ufeff") for column in frame.columns})

    accounts = table("accounts").with_columns(y=(pl.col("churn_flag").cast(pl.String).str.to_lowercase() == "true"))
    tickets = (
        table("support_tickets")
        .group_by("account_id")
        .agg(
            tickets=pl.len(),
            hours_mean=pl.col("resolution_time_hours").mean(),
            first_response_mean=pl.col("first_response_time_minutes").mean(),
            satisfaction_mean=pl.col("satisfaction_score").mean(),
        )
    )
    bought = (
        table("subscriptions")
        .group_by("account_id")
        .agg(subscriptions=pl.len(), mrr=pl.col("mrr_amount").sum(), seats_mean=pl.col("seats").mean())
    )
    frame = accounts.join(tickets, on="account_id", how="left").join(bought, on="account_id", how="left")
    frame = frame.with_columns(pl.col("y").cast(pl.Int8)).drop("churn_flag", "account_name")
    return Set("ravenstack (null)", frame, (), {"group": "account_id"})


PUBLIC: tuple[Callable[[Path], Set], ...] = (
    *(telco_classic, telco_extended, telco_extended_clean, mlc, pysurvival, pysurvival_clean),
    *(internet, internet_clean, servicenow, ravenstack),
)


def permuted(seeds: int) -> None:
    """The public tables with their labels dealt anew: everything but a name and a date is a false alarm."""
    folder = wide.folder()
    if not folder.exists():
        return
    seeds = min(seeds, 5)
    print(
        f"\n| permuted labels, {seeds} times | columns looked at | errors | warnings | which |\n|---|---|---|---|---|"
    )
    for read in PUBLIC:
        table = read(folder)
        columns = [name for name in table.frame.columns if name not in {"y", *table.unused, *table.options.values()}]
        found: list[Finding] = []
        for seed in range(seeds):
            frame = table.frame.with_columns(y=table.frame["y"].shuffle(seed=seed))
            told = doubts(frame, columns, Roles("y", **table.options), seed).found
            found += [one for one in told if one.kind not in {"name", "later"}]
        errors = sum(one.severity == "error" for one in found)
        kinds = ", ".join(sorted({f"{one.column}: {one.kind}" for one in found})) or "-"
        print(f"| {table.name} | {seeds * len(columns)} | {errors} | {len(found) - errors} | {kinds} |", flush=True)


# ----------------------------------------------------------------------------------------- simulated, clean


def clean_table(dice: Rng, n: int, base: float) -> pl.DataFrame:
    """An ordinary table about customers: contract, use, service, surveys; all taken before the label's period."""
    months = dice.gamma(1.5, 14, n)
    plan = dice.choice(["monthly", "one year", "two years"], n, p=[0.55, 0.25, 0.2])
    mood = dice.normal(size=n)
    logins = dice.poisson(np.exp(2 - 0.5 * mood)) * (dice.random(n) > 0.15)
    tickets = dice.poisson(np.exp(-0.3 + 0.4 * mood))
    calls = np.where(dice.random(n) < 0.6, 0, dice.poisson(2, n))
    shop = dice.integers(0, 60, n)
    asked = dice.random(n) < expit(0.4 - 0.5 * mood)
    score = np.clip(np.round(4 - mood + dice.normal(size=n)), 1, 5)
    risk = 1.0 * mood - 0.03 * months + np.select([plan == "monthly", plan == "two years"], [1.0, -1.2], 0.0)
    risk += np.where(logins == 0, 0.7, 0.0) + 0.25 * (tickets > 2) + dice.normal(0, 0.3, 60)[shop]
    y = dice.random(n) < expit(risk + shift(risk, base))
    return pl.DataFrame(
        {
            "y": y.astype(np.int8),
            "tenure_months": months,
            "plan": plan,
            "region": dice.choice(["north", "south", "east", "west"], n),
            "shop": [f"shop {k}" for k in shop],
            "shop_customers": dice.integers(50, 2000, 60)[shop],
            "monthly_spend": np.round(np.exp(3 + 0.5 * dice.normal(size=n)), 2),
            "credit_score": dice.integers(300, 850, n),
            "logins_30d": logins,
            "tickets_90d": tickets,
            "response_rate": np.where(asked, dice.beta(2, 3, n), np.nan),
            "csat_score": np.where(asked, score, np.nan),
            "weekend_calls": calls,
            "friend_list": dice.poisson(5, n),
            "extended_warranty": dice.integers(0, 2, n),
            "contract_end_days": np.where(plan == "monthly", np.nan, dice.uniform(0, 700, n)),
            "payment_status": dice.choice(["ok", "late"], n, p=[0.93, 0.07]),
            **{f"usage_{k}": dice.normal(0.25 * mood * (k % 3), 1.0) for k in range(12)},
        }
    ).fill_nan(None)


def expit(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def shift(risk: Any, base: float) -> float:
    """What to add to the log-odds so that this share leaves."""
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if expit(risk + middle).mean() < base else (low, middle)
    return low


def simulated(seeds: int) -> None:
    """False alarms on tables without any leak."""
    print("\n| clean tables | columns each | tables stopped | errors | warnings | of | quick AUC |")
    print("|---|---|---|---|---|---|---|")
    for n, base in ((300, 0.2), (2000, 0.05), (2000, 0.3), (10_000, 0.1)):
        found: list[Finding] = []
        stopped, aucs, width = 0, [], 0
        for seed in range(seeds):
            table = clean_table(np.random.default_rng(1000 + seed), n, base)
            findings = look(Set("clean", table, (), {"seed": seed}))
            found += findings.found
            stopped += bool(findings.errors)
            aucs.append(findings.twice["with"])
            width = table.width - 1
        kinds = Counter(f"{one.column}: {one.kind}" for one in found)
        errors = sum(one.severity == "error" for one in found)
        print(
            f"| {seeds} of {n:,} rows, {base:.0%} left | {width} | {stopped} | {errors} | {len(found) - errors} | "
            f"{', '.join(f'{kind} ({count})' for kind, count in kinds.most_common(4)) or '-'} | {np.mean(aucs):.3f} |",
            flush=True,
        )


# ------------------------------------------------------------------------------------------------ honeypots


def honeypots(seeds: int) -> None:
    """Traps planted into the training rows of a simulated history."""
    seeds = min(seeds, 5)
    caught: Counter[tuple[str, str, str]] = Counter()
    wrong: Counter[str] = Counter()
    alarms: Counter[str] = Counter()
    for seed in range(1, seeds + 1):
        matrix = training_rows(seed)
        traps = planted(matrix, np.random.default_rng(seed))
        known = {"as_of": "as_of", "decided_at": "decided_at"}
        clean = examine(matrix, FEATURES.names, "y_churn", "account_id", seed=seed, **known)
        alarms.update(found.column or found.kind for found in clean.found)
        for disguised in (False, True):
            shown = {name: f"column_{k}" if disguised else name for k, name in enumerate(traps.columns)}
            frame = matrix.hstack(traps.rename(shown))
            names = [*FEATURES.names, *shown.values()]
            findings = examine(frame, names, "y_churn", "account_id", seed=seed, **known)
            meant = {new: old for old, new in shown.items()}
            for column in {found.column for found in findings.found}:
                if column in meant:
                    worst = "error" if column in {found.column for found in findings.errors} else "warning"
                    caught[meant[column], "innocent" if disguised else "own", worst] += 1
                else:
                    wrong[column or "(table)"] += 1
    print(f"\n| honeypot | own name: stopped, warned of {seeds} | innocent name: stopped, warned of {seeds} |")
    print("|---|---|---|")
    for name in traps.columns:
        cells = [f"{caught[name, kind, 'error']}, {caught[name, kind, 'warning']}" for kind in ("own", "innocent")]
        print(f"| {name} | {cells[0]} | {cells[1]} |")
    print(f"\nWithout honeypots, {len(FEATURES.names)} features x {seeds} tables: {dict(alarms) or 'no alarm'}")
    print(f"Beside honeypots, {len(FEATURES.names)} features x {2 * seeds} tables: {dict(wrong) or 'none'}")


def training_rows(seed: int) -> pl.DataFrame:
    """Labelled snapshots of a simulated history with their features."""
    simulated = simulator.simulate(600, 120, "default", seed)
    known = History.from_frames(simulated.tables).known_at(simulated.end)
    pairs = snapshots(known, simulated.end)
    labels = label(known, pairs, simulated.end)
    usable = labels["y_churn"].is_not_null()
    features = compute(known, pairs.filter(usable))
    return features.hstack(labels.filter(usable).select("decided_at", "y_churn", "y_silent"))


def planted(matrix: pl.DataFrame, dice: Rng) -> pl.DataFrame:
    """The traps of a CRM extract: fields of today beside snapshots of the past."""
    n = matrix.height
    ever = matrix.select(pl.col("decided_at").is_not_null().any().over("account_id")).to_series().to_numpy()
    y = matrix["y_churn"].to_numpy()
    account = matrix["account_id"].rank("dense").to_numpy().astype(int) - 1
    each = account.max() + 1
    answered = (dice.random(each) < 0.4)[account]
    noted = (dice.random(each) < 0.6)[account]
    until = (matrix["decided_at"] - matrix["as_of"]) / timedelta(days=1)
    return pl.DataFrame(
        {
            # Overwritten when the account left; those who came back, and clerks, are 3 %.
            "status": np.where(ever ^ (dice.random(each) < 0.03)[account], "closed", "active"),
            # Written for those who left only.
            "final_invoice": np.where(ever, dice.gamma(2, 200, each)[account], np.nan),
            # A text; after the exit most say so.
            "csm_notes": np.where(
                ever & noted, "told us they leave", dice.choice(["", "ok", "renewal call"], each)[account]
            ),
            # Answered by four in ten of those who left.
            "churn_survey": np.where(ever & answered, dice.integers(0, 11, each)[account], np.nan),
            # The vendor's score of the next month: it has seen half of what the label knows.
            "account_score_next": 50 - 25 * y + dice.normal(0, 12, n),
            # The same, with little in it.
            "account_score_faint": 50 - 10 * y + dice.normal(0, 12, n),
            # Days until the exit, 365 for those who stay.
            "days_measured": until.fill_null(365).clip(0, 365).to_numpy() + dice.normal(0, 5, n),
            # The label's mean by owner, the row's own included: 200 owners.
            "owner_rate": mean_by(dice.integers(0, 200, each)[account], y),
        }
    ).with_columns(pl.col(pl.Float64).fill_nan(None))


def mean_by(codes: Any, y: Any) -> Any:
    return (np.bincount(codes, weights=y) / np.maximum(np.bincount(codes), 1))[codes]


# ---------------------------------------------------------------------------------------------------- speed


def speed(_: int) -> None:
    """The size the guard is meant for."""
    dice = np.random.default_rng(0)
    n = 50_000
    table = clean_table(dice, n, 0.1)
    more = {f"more_{k}": dice.normal(size=n) for k in range(50 - table.width + 1)}
    table = table.with_columns(**{name: pl.Series(x) for name, x in more.items()})
    for status in (False, True):
        frame = table.with_columns(status=pl.col("y")) if status else table
        started = time.perf_counter()
        look(Set("speed", frame, (), {}))
        seconds = time.perf_counter() - started
        print(
            f"\n{n:,} rows x {frame.width - 1} columns{', one suspect' if status else ''}: {seconds:.1f} s", flush=True
        )


PARTS: dict[str, Callable[[int], None]] = {
    "public": public,
    "permuted": permuted,
    "simulated": simulated,
    "honeypots": honeypots,
    "speed": speed,
}

if __name__ == "__main__":
    main()
