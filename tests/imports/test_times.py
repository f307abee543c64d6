"""Times: ISO 8601, declared formats, zones, and the two odd hours of a year."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ContractError
from models.imports.times import check_format, check_zone, read_local, read_times


def instants(*cells: str | None, formats: tuple[str, ...] = (), timezone: str | None = None) -> list[datetime | None]:
    return read_times(pl.Series(cells, dtype=pl.String), formats, timezone).instants.to_list()


EIGHT = datetime(2026, 3, 2, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    "cell",
    [
        "2026-03-02T08:00:00Z",
        "2026-03-02T08:00:00z",
        "2026-03-02 08:00:00Z",
        "2026-03-02T08:00Z",
        "2026-03-02T08:00:00.000Z",
        "2026-03-02T08:00:00.000000000Z",
        "2026-03-02T09:00:00+01:00",
        "2026-03-02T09:00:00+0100",
        "2026-03-02T09:00:00+01",
        "2026-03-02 02:30:00.000-05:30",
        "20260302T080000Z",
    ],
)
def test_iso_8601_with_an_offset(cell: str) -> None:
    assert instants(cell) == [EIGHT]


@pytest.mark.parametrize(
    "cell",
    ["yesterday", "02/03/2026", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "1767225600", "2026-03-02T08", "2026"],
)
def test_anything_else_is_no_time(cell: str) -> None:
    times = read_times(pl.Series([cell]))
    assert times.bad.to_list() == [True] and times.instants.to_list() == [None]


@pytest.mark.parametrize("cell", ["2026-03-02T08:00:00", "2026-03-02 08:00", "2026-03-02"])
def test_a_naive_time_needs_a_zone(cell: str) -> None:
    times = read_times(pl.Series([cell]))
    assert times.naive.to_list() == [True] and times.bad.to_list() == [False]
    assert instants(cell, timezone="UTC") != [None]


def test_a_date_is_midnight_in_the_declared_zone() -> None:
    assert instants("2026-03-02", timezone="Europe/Berlin") == [datetime(2026, 3, 1, 23, tzinfo=UTC)]


def test_a_gap_moves_forward_and_is_counted() -> None:
    times = read_times(pl.Series(["2026-03-29T02:30"]), timezone="Europe/Berlin")
    assert times.instants.to_list() == [datetime(2026, 3, 29, 1, 30, tzinfo=UTC)]  # 03:30 CEST
    assert (times.gaps, times.folds) == (1, 0)


def test_a_fold_takes_the_first_and_is_counted() -> None:
    times = read_times(pl.Series(["2026-10-25T02:30"]), timezone="Europe/Berlin")
    assert times.instants.to_list() == [datetime(2026, 10, 25, 0, 30, tzinfo=UTC)]  # 02:30 CEST
    assert (times.gaps, times.folds) == (0, 1)


def test_hours_beside_the_odd_ones_are_ordinary() -> None:
    cells = ["2026-03-29T01:59:59", "2026-03-29T03:00", "2026-10-25T01:59:59", "2026-10-25T03:00"]
    times = read_times(pl.Series(cells), timezone="Europe/Berlin")
    assert (times.gaps, times.folds) == (0, 0)
    assert [moment.hour for moment in times.instants.to_list()] == [0, 1, 23, 2]


def test_an_offset_overrules_the_zone() -> None:
    times = read_times(pl.Series(["2026-03-29T02:30Z"]), timezone="Europe/Berlin")
    assert times.instants.to_list() == [datetime(2026, 3, 29, 2, 30, tzinfo=UTC)] and times.gaps == 0


def test_a_gap_of_a_whole_day() -> None:
    """Samoa had no 30 December 2011."""
    times = read_times(pl.Series(["2011-12-30T10:00"]), timezone="Pacific/Apia")
    assert times.gaps == 1
    assert times.instants[0].astimezone(ZoneInfo("Pacific/Apia")).isoformat() == "2011-12-31T10:00:00+14:00"


def test_declared_formats_are_the_only_ones() -> None:
    form = ("%d/%m/%Y %H:%M",)
    assert instants("2/3/2026 08:00", "02/03/2026 8:00", formats=form, timezone="UTC") == [EIGHT, EIGHT]
    assert instants("2026-03-02T08:00:00Z", formats=form, timezone="UTC") == [None]


def test_several_formats_and_dates_only() -> None:
    forms = ("%d-%m-%Y", "%d-%m-%Y %H:%M")
    assert instants("02-03-2026", "02-03-2026 08:00", None, formats=forms, timezone="UTC") == [
        EIGHT - timedelta(hours=8),
        EIGHT,
        None,
    ]


def test_a_declared_format_with_an_offset() -> None:
    assert instants("02.03.2026 09:00 +0100", formats=("%d.%m.%Y %H:%M %z",)) == [EIGHT]


def test_parquet_datetimes_without_a_zone() -> None:
    local = pl.Series([datetime(2026, 3, 29, 2, 30), None])
    assert read_local(local, None).naive.to_list() == [True, False]
    times = read_local(local, "Europe/Berlin")
    assert times.instants.to_list() == [datetime(2026, 3, 29, 1, 30, tzinfo=UTC), None] and times.gaps == 1


@pytest.mark.parametrize("zone", ["Europe/Berln", "", "../etc/passwd", "+02:00", "/etc/localtime"])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    with pytest.raises(ContractError, match="no time zone"):
        check_zone(zone)


@pytest.mark.parametrize("form", ["", "%d/%m", "d/m/Y", "%Q-%d-%m-%Y", "%H:%M", "%"])
def test_an_unusable_format_is_refused(form: str) -> None:
    with pytest.raises(ContractError, match="no time format"):
        check_format(form)


@pytest.mark.parametrize("form", ["%d/%m/%Y %H:%M", "%Y-%m-%dT%H:%M:%S%.f%#z", "%d. %B %Y", "%d-%b-%y", "%F %T"])
def test_a_usable_format_is_taken(form: str) -> None:
    assert check_format(form) == form


@given(
    st.lists(st.datetimes(datetime(1980, 1, 1), datetime(2100, 1, 1)), min_size=1, max_size=20),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/St_Johns"]),
)
def test_local_times_agree_with_the_standard_library(moments: list[datetime], zone: str) -> None:
    """The standard library reads a local time with fold=0: the first of two, and in a gap the offset before it."""
    times = read_times(pl.Series([m.isoformat() for m in moments]), timezone=zone)
    expected = [m.replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(UTC) for m in moments]
    assert times.instants.to_list() == expected


@given(
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
    st.integers(1980, 2060),
    st.integers(0, 366 * 48),
)
def test_gaps_and_folds_are_what_the_standard_library_says(zone: str, year: int, half_hours: int) -> None:
    local = datetime(year, 1, 1) + timedelta(minutes=30 * half_hours)
    early, late = (local.replace(tzinfo=ZoneInfo(zone), fold=fold).utcoffset() for fold in (0, 1))
    times = read_times(pl.Series([local.isoformat()]), timezone=zone)
    assert (times.gaps, times.folds) == (int(early < late), int(early > late))  # type: ignore[operator]


def test_utc_may_be_spelt_out_and_no_other_zone() -> None:
    cells = "2026-03-02 08:00:00 UTC", "2026-03-02T08:00:00.000 UTC", "2026-03-02 08:00:00+00", "2026-03-02 08:00 UTC"
    assert instants(*cells) == [EIGHT] * 4
    times = read_times(pl.Series(["2026-03-02 08:00:00 CST", "2026-03-02 08:00:00 UTC", None, "x UTC"]))
    assert times.instants.to_list() == [None, EIGHT, None, None]
    assert times.bad.to_list() == [True, False, False, True]
    # a declared format is the only one
    assert instants("2026-03-02 08:00:00 UTC", formats=("%Y-%m-%d %H:%M:%S",), timezone="UTC") == [None]
