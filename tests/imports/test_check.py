"""Cells against the contract: what every type accepts, why the rest is refused, and that good rows survive."""

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from models.columns import Table
from models.history import TABLES
from models.imports.check import VALUE_LENGTH, Checked, check
from models.imports.convert import Reading
from models.imports.mapping import parse
from models.imports.read import FILE, LINE, read_text
from models.imports.run import read_folder, run
from models.imports.text import Text
from models.imports.versions import stamp
from tests.imports.frames import DIALECTS, Dialect, frames, write

SAMPLES = Path(__file__).parent / "samples"


def checked(table: str, content: str, readings: dict[str, Reading] | None = None) -> Checked:
    return check(read_text(Text(content.encode(), "utf-8"), f"{table}.csv"), TABLES[table], readings)


def account(column: str, cell: str) -> Checked:
    return checked("accounts", f'account_id,{column}\na1,"{cell}"\n')


def value(result: Checked, column: str) -> object:
    return result.frame[column].item()


def reasons(result: Checked) -> list[str]:
    return result.problems["reason"].to_list()


def test_golden_rejected_rows_and_summary() -> None:
    """Every kind of mistake in four files, and exactly what is said about each."""
    _, summary = read_folder(SAMPLES / "broken")
    assert summary.problems.write_csv() == (SAMPLES / "broken" / "rejected.txt").read_text("utf-8")
    assert "\n".join(summary.lines(shown=3)) + "\n" == (SAMPLES / "broken" / "summary.txt").read_text("utf-8")


@pytest.mark.parametrize("cell", ["", "  ", "NA", "na", " Null ", "NULL"])
@pytest.mark.parametrize("column", ["name", "mrr", "seats", "started_at", "is_test", "parent_id"])
def test_unknown_is_unknown_in_every_type(column: str, cell: str) -> None:
    result = account(column, cell)
    assert value(result, column) is None and not result.rejected


@pytest.mark.parametrize("cell", ["true", "TRUE", "True", "1", "yes", " Yes "])
def test_true(cell: str) -> None:
    assert value(account("is_test", cell), "is_test") is True


@pytest.mark.parametrize("cell", ["false", "FALSE", "0", "no", "NO"])
def test_false(cell: str) -> None:
    assert value(account("is_test", cell), "is_test") is False


@pytest.mark.parametrize(
    ("cell", "number"), [("0", 0.0), ("12", 12.0), (" 12.50 ", 12.5), ("1e3", 1000.0), (".5", 0.5), ("+7", 7.0)]
)
def test_numbers(cell: str, number: float) -> None:
    assert value(account("mrr", cell), "mrr") == number


@pytest.mark.parametrize("cell", ["1,234", "1.234,5", "1 234", "1_234", "12 EUR", "nan", "0x10", "12,5"])
def test_thousands_and_decimal_commas_are_never_guessed(cell: str) -> None:
    assert reasons(account("mrr", cell)) == ["is not a number (thousands separators are not guessed)"]


def test_a_declared_decimal_comma() -> None:
    reading = {"mrr": Reading(decimal=",")}
    assert value(checked("accounts", "account_id;mrr\na1;12,5\n", reading), "mrr") == 12.5
    assert checked("accounts", "account_id;mrr\na1;1.234,5\n", reading).rejected == 1


@pytest.mark.parametrize(("cell", "number"), [("3", 3), ("3.0", 3), ("0", 0)])
def test_integers_written_by_data_frames(cell: str, number: int) -> None:
    assert value(account("seats", cell), "seats") == number


@pytest.mark.parametrize("cell", ["3.5", "1e300", "inf", "99999999999999999999"])
def test_what_is_no_integer(cell: str) -> None:
    assert account("seats", cell).rejected == 1


def test_ids_and_texts_are_compared_exactly() -> None:
    result = checked("accounts", 'account_id,name\n" a1 ","Ä  "\nA1,\n')
    assert result.frame["account_id"].to_list() == [" a1 ", "A1"]
    assert result.frame["name"].to_list() == ["Ä  ", None]


@pytest.mark.parametrize(("length", "rejected"), [(128, 0), (129, 1)])
def test_an_id_has_at_most_128_characters(length: int, rejected: int) -> None:
    assert checked("accounts", f"account_id,name\n{'é' * length},x\n").rejected == rejected


def test_a_nul_character_is_refused_because_no_database_keeps_it() -> None:
    padding = "x" * 1000  # a NUL near the top means UTF-16
    result = checked("accounts", f"account_id,name\na0,{padding}\na1,x\x00y\n")
    assert reasons(result) == ["holds a NUL character"]


def test_values_are_cut_and_a_bad_row_names_all_its_problems() -> None:
    result = checked("accounts", f"account_id,mrr,seats\n,{'9x' * 60},many\n")
    assert result.rejected == 1
    assert result.problems["column"].to_list() == ["account_id", "mrr", "seats"]
    assert result.problems["value"].str.len_chars().max() == VALUE_LENGTH


def test_comments_are_shown_to_nobody() -> None:
    head = "survey_id,account_id,instrument,sent_at,comment\n"
    padding = "s0,a1,csat,2026-03-02T08:00:00Z," + "x" * 1000 + "\n"
    result = checked("surveys", head + padding + "s1,a1,csat,2026-03-02T08:00:00Z,my\x00secret\ns2,a1,my secret\n")
    assert result.problems["value"].to_list() == ["", "s2"]
    assert result.problems["line"].to_list() == [3, 4]


def test_declared_tokens_mean_unknown_and_a_required_cell_that_holds_one_is_missing() -> None:
    reading = {name: Reading(nulls=frozenset({"?"})) for name in ("account_id", "mrr")}
    result = checked("accounts", "account_id,mrr\na1,?\n?,1\n", reading)
    assert result.frame["mrr"].to_list() == [None]
    assert reasons(result) == ["is required"]


def test_scale_and_durations() -> None:
    readings = {
        "handle_seconds": Reading(scale=3600.0),
        "first_response_at": Reading(plus="\x00wait", plus_seconds=60.0),
    }
    raw = read_text(
        Text(
            b"interaction_id,account_id,opened_at,handle_seconds,first_response_at,wait\n"
            b"i1,a1,2026-03-02T08:00:00Z,0.5,2026-03-02T08:00:00Z,90\n"
            b"i2,a1,2026-03-02T08:00:00Z,0.5,2026-03-02T08:00:00Z,\n"
            b"i3,a1,2026-03-02T08:00:00Z,0.5,2026-03-02T08:00:00Z,-1\n",
            "utf-8",
        ),
        "f",
    )
    frame = raw.frame.rename({"wait": "\x00wait"})
    result = check(type(raw)(frame, raw.names), TABLES["interactions"], readings)
    assert result.frame["handle_seconds"].to_list() == [1800.0, 1800.0]
    assert result.frame["first_response_at"].to_list() == [datetime(2026, 3, 2, 9, 30, tzinfo=UTC), None]
    assert reasons(result) == ["is below 0"]


@pytest.mark.parametrize(
    ("early", "accepted", "clamped"),
    [
        (timedelta(0), 1, 0),
        (timedelta(minutes=5), 1, 1),
        (timedelta(hours=24), 1, 1),
        (timedelta(hours=24, seconds=1), 0, 0),
    ],
)
@pytest.mark.parametrize("column", ["first_response_at", "resolved_at", "reopened_at", "escalated_at"])
def test_clock_skew_is_clamped_and_negative_durations_are_refused(
    column: str, early: timedelta, accepted: int, clamped: int
) -> None:
    opened = datetime(2026, 3, 2, 8, tzinfo=UTC)
    content = (
        f"interaction_id,account_id,opened_at,{column}\ni1,a1,{opened.isoformat()},{(opened - early).isoformat()}\n"
    )
    result = checked("interactions", content)
    assert (result.frame.height, result.clamped) == (accepted, clamped)
    assert result.frame[column].to_list() == [opened] * accepted


@pytest.mark.parametrize(
    ("instrument", "scale", "score", "accepted"),
    [
        ("csat", ",", 1, 1),
        ("csat", ",", 0, 0),
        ("csat", ",", 5.5, 0),
        ("ces", ",", 7, 1),
        ("ces", ",", 8, 0),
        ("nps", ",", 0, 1),
        ("nps", ",", 11, 0),
        ("csat", "1,10", 9, 1),
        ("csat", "0,1", 2, 0),
        ("ces", "1,5", 6, 0),
        ("stars", ",", 500, 1),
    ],
)
def test_a_score_lies_on_its_scale(instrument: str, scale: str, score: float, accepted: int) -> None:
    content = (
        "survey_id,account_id,instrument,scale_min,scale_max,low_is_good,responded_at,score\n"
        f"s1,a1,{instrument},{scale},true,2026-03-02T08:00:00Z,{score}\n"
    )
    assert checked("surveys", content).frame.height == accepted


def test_parquet_types_are_taken_as_they_are(tmp_path: Path) -> None:
    moment = datetime(2026, 3, 29, 2, 30)
    pl.DataFrame(
        {
            "interaction_id": [1, 2],
            "account_id": [7.0, 8.0],
            "opened_at": [moment, None],
            "recorded_at": pl.Series([moment, moment]).dt.replace_time_zone("UTC"),
            "reopens": [1.0, float("nan")],
            "abandoned": [1, 0],
            "handle_seconds": [float("nan"), 2.5],
        }
    ).write_parquet(tmp_path / "interactions.parquet")
    summary = run(tmp_path, timezone="Europe/Berlin").tables["interactions"]
    assert (summary.accepted, summary.rejected, summary.dst_gaps) == (1, 1, 1)
    assert run(tmp_path).tables["interactions"].rejected == 2  # naive without a zone

    pl.DataFrame({"account_id": [7]}).write_parquet(tmp_path / "accounts.parquet")
    frames, _ = read_folder(tmp_path, timezone="Europe/Berlin")
    row = frames["interactions"].row(0, named=True)
    assert (row["interaction_id"], row["account_id"], row["reopens"], row["abandoned"]) == ("1", "7", 1, True)
    assert row["opened_at"] == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    assert row["recorded_at"] == datetime(2026, 3, 29, 2, 30, tzinfo=UTC)


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_a_valid_frame_in_any_dialect_reads_back_identical(table: Table) -> None:
    @settings(max_examples=60, deadline=None)
    @given(frame=frames(table), dialect=DIALECTS)
    def round_trip(frame: pl.DataFrame, dialect: Dialect) -> None:
        encoding = f'encoding = "{dialect.encoding}"' if dialect.encoding == "cp1252" else ""
        mapping = parse(f'[{table.name}]\nfile = "{table.name}.*"\n{encoding}', "round trip")
        with tempfile.TemporaryDirectory() as folder:
            write(frame, Path(folder), table.name, dialect)
            (done,) = _frames(Path(folder), mapping)
        assert_frame_equal(done, stamp(frame, table, timedelta(0)))

    round_trip()


@given(frame=frames(TABLES["interactions"]), data=st.data())
@settings(max_examples=40, deadline=None)
def test_a_bad_row_never_stops_a_good_one(frame: pl.DataFrame, data: st.DataObject) -> None:
    """Spoil any subset of rows: exactly those are rejected, each with its line, and the others are untouched."""
    spoiled = data.draw(st.lists(st.booleans(), min_size=frame.height, max_size=frame.height))
    texts = frame.with_columns(
        pl.when(pl.Series(spoiled))
        .then(pl.lit("soon"))
        .otherwise(pl.col("opened_at").dt.to_string("iso:strict"))
        .alias("opened_at")
    )
    with tempfile.TemporaryDirectory() as folder:
        path = write(texts, Path(folder), "interactions")
        lines = read_text(Text(path.read_bytes(), "utf-8"), "f").frame[LINE].to_list()
        summary = run(Path(folder)).tables["interactions"]
    assert summary.accepted == spoiled.count(False)
    assert summary.problems["line"].to_list() == [line for line, bad in zip(lines, spoiled, strict=True) if bad]


def _frames(folder: Path, mapping: object) -> list[pl.DataFrame]:
    from models.imports.run import _declared, _tables

    return [done.frame for done in _tables(folder, _declared(mapping, None, None), (), None)]  # type: ignore[arg-type]


def test_places_stay_with_rows() -> None:
    result = checked("accounts", "account_id,mrr\na1,x\na2,1\n")
    assert result.frame.select(FILE, LINE).rows() == [("accounts.csv", 3)]
