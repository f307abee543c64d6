"""Plain values of a mapping file, each with the one sentence that says what it should have been."""

import difflib
from collections.abc import Iterable
from typing import Any

from models.errors import ContractError
from models.imports.times import check_format


def check_keys(plain: dict[str, Any], allowed: Iterable[str], place: str) -> None:
    """Refuse a key that nobody knows, with the nearest one that is. Raises `ContractError`."""
    names = tuple(allowed)
    for key in plain:
        if key not in names:
            near = difflib.get_close_matches(key, names, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(names)}."
            raise ContractError(f"{place[0].upper()}{place[1:]} has an unknown key {key!r}; {hint}")


def section(plain: dict[str, Any], key: str, place: str) -> dict[str, Any]:
    """A table of keys; empty where it is absent. Raises `ContractError`."""
    section = plain.get(key, {})
    if not isinstance(section, dict):
        raise ContractError(f"{key} in {place} must be a table of keys.")
    return section


def text_of(value: Any, place: str) -> str:
    """A text. Raises `ContractError`."""
    if not isinstance(value, str):
        raise ContractError(f"{place} must be text in quotes.")
    return value


def texts(value: Any, place: str) -> tuple[str, ...]:
    """A text, or a list of texts. Raises `ContractError`."""
    return tuple(text_of(item, place) for item in (value if isinstance(value, list) else [value]))


def optional(plain: dict[str, Any], key: str, place: str) -> str | None:
    """A text, or None where it is absent. Raises `ContractError`."""
    return text_of(plain[key], f"{place} {key}") if key in plain else None


def scalar(value: Any, place: str) -> str:
    """A constant as the cell a file would hold."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise ContractError(f"{place}: a constant must be text, a number, true or false.")


def number(value: Any, place: str) -> float:
    """A number. Raises `ContractError`."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ContractError(f"{place} must be a number.")
    return float(value)


def formats(value: Any, place: str) -> tuple[str, ...]:
    """Formats of times. Raises `ContractError`."""
    return tuple(check_format(form) for form in texts(value, place))


def nulls(value: Any, place: str) -> frozenset[str]:
    """Cells that mean unknown. Raises `ContractError`."""
    return frozenset(token.strip().lower() for token in texts(value, place))


def decimal_mark(value: Any, place: str) -> str:
    """A decimal mark. Raises `ContractError`."""
    if value not in (".", ","):
        raise ContractError(f'{place} decimal must be "." or ",".')
    return str(value)
