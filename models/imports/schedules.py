"""A source's schedules of business hours, and the columns counted by them.

A target of 480 business minutes means nothing by the clock the contract counts in. It is told as the minutes of any
kind until it falls due, so that a contact met its target in the contract exactly when it did in business hours.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from models.columns import Column, Type
from models.errors import ContractError
from models.imports.check import REJECTED, rejections
from models.imports.convert import Reading, as_text, convert
from models.imports.hours import LONGEST, WEEK, Clock, Floats, Instants, Schedule
from models.imports.selection import read_instants, where
from models.imports.source import Hours, Lookup, Source, Span
from models.imports.times import check_zone

#: A holiday that lasts longer is a slip of the keyboard.
LONGEST_HOLIDAY = timedelta(days=366)


@dataclass(frozen=True)
class Calendars:
    """Schedules by their id; `usual` stands for rows that name none. Problems (`REJECTED`) of rows that are none."""

    schedules: dict[str, Schedule]
    usual: str | None
    problems: pl.DataFrame


@dataclass
class Counted:
    """What business hours made of a table's rows: per span with an end, business minutes and minutes of any kind of
    each row that has both ends; and how many targets had no schedule."""

    took: dict[str, list[tuple[Floats, Floats]]] = field(default_factory=dict)
    unscheduled: int = 0


def calendars(
    hours: Hours, rows: pl.DataFrame, zones: pl.Series, holidays: pl.DataFrame | None, table: str
) -> Calendars:
    """Schedules of the rows of their file (`zones`: the zone each names). Refused rows are named: minutes that are none
    of a week, an unknown zone, a holiday that ends before it begins."""
    opens, closes = (_numbers(rows[name], hours.lookup.source) for name in (hours.opens, hours.closes))
    wrong = ~((opens >= 0) & (closes > opens) & (closes <= WEEK)).fill_null(value=False)
    known = {zone: _is_zone(zone) for zone in zones.unique().to_list()}
    foreign = pl.Series([not known[zone] for zone in zones.to_list()], dtype=pl.Boolean) & ~wrong
    problems = [
        rejections(rows.filter(wrong), table, f"business_hours.{hours.opens}", _cells(rows, wrong, hours.opens),
                   "and its end are no minutes of a week, counted from Sunday's midnight"),
        rejections(rows.filter(foreign), table, "business_hours.timezone", zones.filter(foreign).fill_null(""),
                   "is no time zone; give it an IANA name in values of business_hours.timezone"),
    ]  # fmt: skip
    free, refused = _holidays(hours, holidays, table)
    good = ~(wrong | foreign)
    ids = as_text(rows[hours.lookup.theirs[0]]).str.strip_chars()
    weeks: dict[str, list[tuple[int, int]]] = {}
    zone_of: dict[str, str] = {}
    for name, start, end, zone in zip(
        *(column.filter(good).to_list() for column in (ids, opens, closes, zones)), strict=True
    ):
        weeks.setdefault(name, []).append((round(start), round(end)))
        zone_of[name] = zone
    schedules = {n: Schedule(zone_of[n], tuple(week), frozenset(free.get(n, ()))) for n, week in weeks.items()}
    return Calendars(schedules, _usual(hours, rows.filter(good), ids.filter(good)), pl.concat([*problems, refused]))


def _usual(hours: Hours, rows: pl.DataFrame, ids: pl.Series) -> str | None:
    if hours.otherwise is None or rows.is_empty():
        return None
    made, _ = read_instants(rows[hours.otherwise], hours.lookup.source)
    first = made.arg_min()
    return None if first is None else ids[first]


def _holidays(hours: Hours, rows: pl.DataFrame | None, table: str) -> tuple[dict[str, set[date]], pl.DataFrame]:
    found: dict[str, set[date]] = {}
    empty = pl.DataFrame(schema=REJECTED)
    if rows is None or hours.holidays is None:
        return found, empty
    first, last = hours.holidays.rows.where_known
    days = [_days(rows[name], hours.lookup.source) for name in (first, last)]
    wrong = ~((days[1] >= days[0]) & (days[1] - days[0] <= LONGEST_HOLIDAY)).fill_null(value=False)
    ids = as_text(rows[hours.holidays.theirs[0]]).str.strip_chars()
    for name, begin, end in zip(*(column.filter(~wrong).to_list() for column in (ids, *days)), strict=True):
        found.setdefault(name, set()).update(begin + timedelta(days=n) for n in range((end - begin).days + 1))
    reason = "and its end are no days of a holiday of at most a year"
    cells = _cells(rows, wrong, first)
    return found, rejections(rows.filter(wrong), table, f"business_hours.holidays.{first}", cells, reason)


def _cells(rows: pl.DataFrame, mask: pl.Series, name: str) -> pl.Series:
    return as_text(rows[name]).filter(mask)


def _days(cells: pl.Series, source: Source) -> pl.Series:
    """Dates as they are written: a holiday is a day of the schedule's own place."""
    if cells.dtype == pl.Date:
        return cells
    text = as_text(cells).str.strip_chars().str.slice(0, 10)
    formats = source.date_format or ("%Y-%m-%d",)
    return pl.select(pl.coalesce(*(pl.lit(text).str.to_date(form, strict=False) for form in formats))).to_series()


def _is_zone(zone: str | None) -> bool:
    try:
        check_zone(zone or "")
        ZoneInfo(zone or "")
    except (ContractError, ValueError, OSError):
        return False
    return True


def _numbers(cells: pl.Series, source: Source) -> pl.Series:
    reading = Reading(nulls=source.null, decimal=source.decimal)
    return convert(Column("", Type.NUMBER, ""), cells, reading).values.cast(pl.Float64)


def counted(frame: pl.DataFrame, hours: Hours, source: Source, found: Calendars | None, told: Counted) -> pl.DataFrame:
    """The rows with a column `business_hours.<name>` per span: minutes as text, unknown where a time or (for business
    minutes) a schedule is. `told` learns what was counted."""
    whose = as_text(frame[hours.lookup.ours[0]]).str.strip_chars() if hours.lookup.ours[0] in frame.columns else None
    schedules = found.schedules if found else {}
    usual = found.usual if found else None
    names = pl.Series([None] * frame.height, dtype=pl.String) if whose is None else whose
    mine = names.fill_null(usual) if usual else names
    columns = [
        pl.Series(_span(frame, span, source, mine, schedules, told, name))
        .cast(pl.String)
        .alias(f"business_hours.{name}")
        for name, span in hours.spans.items()
    ]
    return frame.with_columns(columns)


def _span(
    frame: pl.DataFrame, span: Span, source: Source, whose: pl.Series, schedules: Mapping[str, Schedule],
    told: Counted, name: str,
) -> pl.Series:  # fmt: skip
    starts = _instants(frame, span.start, source)
    if span.end is not None:
        return _took(starts, _instants(frame, span.end, source), whose, schedules, told, name)
    return _due(frame, span, source, starts, whose, schedules, told)


def _took(
    starts: pl.Series, ends: pl.Series, whose: pl.Series, schedules: Mapping[str, Schedule], told: Counted, name: str
) -> pl.Series:
    asked = (ends >= starts).fill_null(value=False)
    made = np.full(len(starts), np.nan)
    for mask, schedule in _each(whose, asked, schedules):
        a, b = _micros(starts, mask), _micros(ends, mask)
        made[mask] = Clock.covering(schedule, a, b, np.zeros(1)).between(a, b)
    known = ~np.isnan(made)
    any_kind = (_micros(ends, known) - _micros(starts, known)) / 6e7
    told.took.setdefault(name, []).append((made[known], any_kind))
    return pl.Series(made).fill_nan(None)


def _due(
    frame: pl.DataFrame, span: Span, source: Source, starts: pl.Series, whose: pl.Series,
    schedules: Mapping[str, Schedule], told: Counted,
) -> pl.Series:  # fmt: skip
    given = [_numbers(frame[name], source) for name in span.minutes if name in frame.columns]
    none = pl.Series([None] * frame.height, dtype=pl.Float64)
    minutes = pl.select(pl.coalesce(none, *given)).to_series()
    minutes = minutes.set((minutes > LONGEST) | (minutes < 0), None)
    flagged = frame.with_columns(pl.lit(None, pl.String).alias(c) for c in span.business if c not in frame.columns)
    business = pl.Series([True] * frame.height, dtype=pl.Boolean)
    for column, values in span.business.items():
        business &= as_text(flagged[column]).str.strip_chars().is_in(list(values)).fill_null(value=False)
    asked = business & minutes.is_not_null() & starts.is_not_null()
    made = minutes.set(business, None).to_numpy().astype(np.float64).copy()
    for mask, schedule in _each(whose, asked, schedules):
        at, wanted = _micros(starts, mask), minutes.filter(pl.Series(mask)).to_numpy()
        made[mask] = Clock.covering(schedule, at, at, wanted).over(at, wanted)
    told.unscheduled += int((asked.to_numpy() & np.isnan(made)).sum())
    return pl.Series(made).fill_nan(None)


def _each(
    whose: pl.Series, asked: pl.Series, schedules: Mapping[str, Schedule]
) -> list[tuple[np.ndarray[tuple[int], np.dtype[np.bool_]], Schedule]]:
    """Which of the rows asked about follow which schedule."""
    masks = [((asked & (whose == name).fill_null(value=False)).to_numpy(), one) for name, one in schedules.items()]
    return [(mask, schedule) for mask, schedule in masks if mask.any()]


def _instants(frame: pl.DataFrame, name: str, source: Source) -> pl.Series:
    if name not in frame.columns:
        return pl.Series([None] * frame.height, dtype=pl.Datetime("us", "UTC"))
    return read_instants(frame[name], source)[0]


def _micros(instants: pl.Series, mask: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Instants:
    return instants.filter(pl.Series(mask)).cast(pl.Int64).to_numpy()


def of_files(
    hours: Hours, schedules: pl.DataFrame, zones: pl.Series, holidays: pl.DataFrame | None, table: str
) -> Calendars:
    """As `calendars`, of the wanted rows of the raw files."""
    wanted = hours.lookup
    rows = where(schedules.with_columns(zones.alias("\x00zone")), wanted.rows, wanted.source)
    free = None if holidays is None or hours.holidays is None else _wanted(hours.holidays, holidays)
    return calendars(hours, rows, rows["\x00zone"], free, table)


def _wanted(lookup: Lookup, rows: pl.DataFrame) -> pl.DataFrame:
    return where(rows, lookup.rows, lookup.source)
