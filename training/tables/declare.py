"""What the training configuration says of a wide table: a few things about it, and of any column what is known better
than it can be inferred.

    [table]
    positive = "Churned"          the label's cell that means: left
    as_of = "2026-01-31"          as of when all rows are, where no column says it
    horizon_days = 90             how far a row's label looks ahead, for folds forward in time
    members = ["linear"]          which members the fitter may blend (training.additive); fewer are quicker

    [columns.last_login]
    type = "date"                 number, category, boolean, date or drop
    formats = ["%d/%m/%Y"]

    [columns.revenue]
    decimal = ","                 1.234,50
    thousands = "."
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Literal, get_args

from models.clock import isoformat, parse_instant
from models.errors import NaiveTime, SettingsError
from models.features import COMPONENTS
from models.features.feature import Component, Direction
from models.imports.times import check_format

Type = Literal["number", "category", "boolean", "date", "drop"]
TYPES: tuple[Type, ...] = get_args(Type)

HORIZON_DAYS, MOST_DAYS = 90, 36_500
#: The members of the additive fitter (`training.additive.fitter.MEMBERS`), the quickest first.
MEMBERS = ("linear", "boosted", "trees", "deep")


@dataclass(frozen=True)
class ColumnDeclared:
    """What is declared of one column; `direction` +1 raises the risk, -1 lowers it, 0 is free. `missing`: cells that
    mean unknown besides the empty ones, NA and null. `decimal`, `thousands` and `formats`: how the file writes numbers
    and dates."""

    type: Type | None = None
    direction: Direction = 0
    label: str = ""
    unit: str = ""
    component: Component = "commercial"
    missing: tuple[str, ...] = ()
    decimal: str | None = None
    thousands: str | None = None
    formats: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableConfig:
    """What a training run on a table may be told."""

    positive: str | None = None
    as_of: str | None = None
    horizon_days: int = HORIZON_DAYS
    members: tuple[str, ...] = MEMBERS
    columns: Mapping[str, ColumnDeclared] = field(default_factory=dict)

    @property
    def moment(self) -> datetime | None:
        """As of when all rows are; None where a column says it, or nobody."""
        return None if self.as_of is None else parse_instant(self.as_of)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "TableConfig":
        """From JSON values, as an artefact keeps them."""
        columns = {name: of_column(name, _given(entry)) for name, entry in plain["columns"].items()}
        return cls(**{**plain, "members": tuple(plain["members"]), "columns": columns})


def of_table(declared: Mapping[str, Any], columns: Mapping[str, ColumnDeclared]) -> TableConfig:
    """Read `[table]`. Raises `SettingsError` naming what is wrong."""
    _known(declared, ("positive", "as_of", "horizon_days", "members"), "[table]")
    positive, days = declared.get("positive"), declared.get("horizon_days", HORIZON_DAYS)
    if type(days) is not int or not 0 <= days <= MOST_DAYS:
        raise SettingsError(f"[table] needs a whole number of days, 0 to {MOST_DAYS:,}, as horizon_days.")
    members = _texts(declared.get("members", list(MEMBERS)), "members", "[table]")
    if not members or set(members) - set(MEMBERS):
        raise SettingsError(f"[table] needs some of {', '.join(MEMBERS)} as members.")
    cell = None if positive is None else _cell(positive)
    return TableConfig(cell, _moment(declared.get("as_of")), days, members, columns)


def of_column(name: str, declared: Mapping[str, Any]) -> ColumnDeclared:
    """Read `[columns.NAME]`. Raises `SettingsError` naming what is wrong."""
    where = f"[columns.{name}]"
    _known(declared, tuple(item.name for item in fields(ColumnDeclared)), where)
    _among(declared, "type", TYPES, where)
    _among(declared, "direction", (-1, 0, 1), where)
    _among(declared, "component", COMPONENTS, where)
    _among(declared, "decimal", (".", ","), where)
    _among(declared, "thousands", (".", ",", " ", "'"), where)
    if declared.get("thousands") == declared.get("decimal", ".") and "thousands" in declared:
        raise SettingsError(f"{where} parts thousands and decimals by the same mark; say decimal, too.")
    for key in ("label", "unit"):
        if not isinstance(declared.get(key, ""), str):
            raise SettingsError(f"{where} needs a text as {key}.")
    lists = {key: _texts(declared[key], key, where) for key in ("missing", "formats") if key in declared}
    for form in lists.get("formats", ()):
        check_format(form)
    return ColumnDeclared(**{**declared, **lists})


def _given(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if value is not None}


def _known(declared: Mapping[str, Any], names: tuple[str, ...], where: str) -> None:
    unknown = sorted(set(declared) - set(names))
    if unknown:
        raise SettingsError(f"{where} sets {unknown[0]!r}; it may set {', '.join(names)}.")


def _among(declared: Mapping[str, Any], key: str, choices: tuple[Any, ...], where: str) -> None:
    if key not in declared:
        return
    value = declared[key]
    if not any(value == choice and type(value) is type(choice) for choice in choices):
        raise SettingsError(f"{where} sets {key} to {value!r}; it is one of {', '.join(map(str, choices))}.")


def _texts(value: Any, key: str, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise SettingsError(f"{where} needs a list of texts as {key}.")
    return tuple(value)


def _cell(value: Any) -> str:
    """A value of the configuration as a cell of the file would write it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _moment(value: Any) -> str | None:
    if value is None:
        return None
    try:
        return isoformat(parse_instant(str(value)))
    except (ValueError, NaiveTime) as error:
        raise SettingsError(f"[table] as_of cannot be read: {error} Write 2026-01-31.") from None
