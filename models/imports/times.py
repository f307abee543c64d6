"""Text to instants: ISO 8601 or declared formats, offsets, zones, and the two odd hours of a year.

Worked example, source zone Europe/Berlin:
    2026-03-29T02:30      no such hour: moved forward to 03:30 CEST     2026-03-29T01:30Z, a gap
    2026-10-25T02:30      twice that night: the first, 02:30 CEST       2026-10-25T00:30Z, a fold
    2026-03-29T02:30Z     has an offset: the zone is not asked          2026-03-29T02:30Z
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import polars as pl

from models.clock import INSTANT
from models.errors import ContractError

#: Instants outside are sentinels or slips of the keyboard: no customer was lost in the year 16 or 9999.
EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)

_NAIVE = pl.Datetime("us")

# ISO 8601 as sources write it, most usual first; each is tried on what the ones before could not read.
_AWARE_FORMATS = (
    "%Y-%m-%dT%H:%M:%S%.f%#z",
    "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m-%dT%H:%M%#z",
    "%Y-%m-%d %H:%M%#z",
    "%Y%m%dT%H%M%S%.f%#z",
)
_NAIVE_FORMATS = (
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d",
    "%Y%m%dT%H%M%S%.f",
)

#: Every way of writing ISO 8601 that is understood.
ISO_8601 = _AWARE_FORMATS + _NAIVE_FORMATS


_DIRECTIVES = set("YymdbBeHIMSfpzTRFDj+")
_DAYS = (
    set("Ymd"),
    set("ymd"),
    set("Ybd"),
    set("YBd"),
    set("ybd"),
    set("yBd"),
    set("Ybe"),
    set("Yme"),
    set("F"),
    set("D"),
    set("Yj"),
    set("+"),
)


@dataclass(frozen=True)
class Times:
    """Instants (`INSTANT`, null where unknown or unread), which cells were naive without a zone or not times
    at all (boolean series), and how many fell into a gap or a fold."""

    instants: pl.Series
    naive: pl.Series
    bad: pl.Series
    gaps: int = 0
    folds: int = 0


def check_zone(name: str) -> str:
    """The name, if it is an IANA time zone. Raises `ContractError` otherwise."""
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:  # an unknown name is a KeyError, a bad path the others
        raise ContractError(f"{name!r} is no time zone; use a name such as Europe/Berlin or UTC.") from error
    return name


def check_format(form: str) -> str:
    """The format, if a date can be read with it. Raises `ContractError` otherwise."""
    used = set(re.findall(r"%[-#:]?(.)", form)) - {"."}
    if used - _DIRECTIVES or not any(day <= used for day in _DAYS):
        raise ContractError(f"{form!r} is no time format; write one such as %d/%m/%Y %H:%M.")
    return form


def read_times(cells: pl.Series, formats: tuple[str, ...] = (), timezone: str | None = None) -> Times:
    """Read trimmed text cells (null: unknown). `formats`, when given, are the only ones understood;
    `timezone` is what cells without an offset are local to."""
    instants = _cascade(cells, [f for f in formats or _AWARE_FORMATS if _has_offset(f)], INSTANT)
    if not formats:
        instants = _spelt_out(cells, instants)
    rest = cells.zip_with(instants.is_null(), _nulls(cells.dtype, len(cells)))
    local = _cascade(rest, [f for f in formats or _NAIVE_FORMATS if not _has_offset(f)], _NAIVE)
    return _combine(cells.is_not_null(), instants, local, timezone)


def _spelt_out(cells: pl.Series, instants: pl.Series) -> pl.Series:
    """The same with what warehouses write: `2026-03-02 08:00:00 UTC`. Other zones' short names mean several things
    and stay unread."""
    named = cells.str.ends_with(" UTC").fill_null(False) & instants.is_null()
    if not named.any():
        return instants
    marked = cells.filter(named).str.strip_suffix(" UTC") + "Z"
    read = _cascade(marked, list(_AWARE_FORMATS), INSTANT)
    return instants.scatter(named.arg_true(), read)


def read_local(local: pl.Series, timezone: str | None) -> Times:
    """The same for naive datetimes or dates, as Parquet may hold them."""
    return _combine(local.is_not_null(), _nulls(INSTANT, len(local)), local.cast(_NAIVE), timezone)


def bound(instants: pl.Series) -> pl.Series:
    """Which instants lie outside the years this product believes in."""
    return ((instants < EARLIEST) | (instants >= LATEST)).fill_null(False)


def _has_offset(form: str) -> bool:
    return "%z" in form or "%#z" in form or "%:z" in form or form.endswith("%+")


def _nulls(dtype: pl.DataType, length: int) -> pl.Series:
    return pl.Series([None], dtype=dtype).new_from_index(0, length)


def _cascade(cells: pl.Series, forms: list[str], dtype: pl.DataType) -> pl.Series:
    """Each format reads what the ones before it could not."""
    found = _nulls(dtype, len(cells))
    rest = cells
    for form in forms:
        if rest.null_count() == len(rest):
            break
        parsed = rest.str.to_datetime(form, strict=False, time_unit="us").cast(dtype)
        found = found.zip_with(found.is_not_null(), parsed)
        rest = rest.zip_with(parsed.is_null(), _nulls(rest.dtype, len(rest)))
    return found


def _combine(given: pl.Series, instants: pl.Series, local: pl.Series, timezone: str | None) -> Times:
    unread = given & instants.is_null() & local.is_null()
    nowhere = pl.Series([False], dtype=pl.Boolean).new_from_index(0, len(given))
    if local.null_count() == len(local):
        return Times(instants, nowhere, unread)
    if timezone is None:
        return Times(instants, local.is_not_null(), unread)
    placed, gaps, folds = _localise(local, timezone)
    return Times(instants.zip_with(local.is_null(), placed), nowhere, unread, gaps, folds)


def _localise(local: pl.Series, timezone: str) -> tuple[pl.Series, int, int]:
    """Local to UTC with counts of gaps (moved forward) and folds (the first of the two)."""
    first = local.dt.replace_time_zone(timezone, ambiguous="earliest", non_existent="null")
    last = local.dt.replace_time_zone(timezone, ambiguous="latest", non_existent="null")
    placed = first.dt.convert_time_zone("UTC")
    folds = int((first != last).fill_null(False).sum())
    missing = local.filter(placed.is_null() & local.is_not_null())
    if missing.is_empty():
        return placed, 0, folds
    moved = {moment: _past_gap(moment, timezone) for moment in missing.unique().to_list()}
    forward = local.replace_strict(list(moved), list(moved.values()), default=None, return_dtype=INSTANT)
    return placed.zip_with(placed.is_not_null(), forward), len(missing), folds


def _past_gap(local: datetime, timezone: str) -> datetime:
    """A local time that no clock showed, moved forward by the length of the gap: read with the offset that
    held before it."""
    return local.replace(tzinfo=ZoneInfo(timezone), fold=0).astimezone(UTC)
