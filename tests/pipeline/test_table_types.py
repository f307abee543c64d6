"""The columns of a wide table: what each is taken for, what is refused and with which way out."""

import re
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from models import tables
from models.errors import ContractError
from models.schema import Column, Schema
from tests.tables import rows, write
from training.tables import infer as inferring
from training.tables import read as reading
from training.tables.declare import ColumnDeclared, TableConfig
from training.tables.read import Names
from training.tables.train import counted

NAMES = Names("left", "customer")
DATED = TableConfig(as_of="2026-01-31T00:00:00Z")
NOW = datetime(2026, 1, 31, tzinfo=UTC)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("table") / "customers.csv", rows())


def kinds(path: Path, table: TableConfig = DATED, names: Names = NAMES) -> dict[str, str]:
    return {column.name: column.kind for column in reading.load(path, names, table)[1]}


def read(path: Path, table: TableConfig = DATED, names: Names = NAMES) -> reading.Table:
    raw, found = reading.load(path, names, table)
    return reading.table(raw, found, names, table)


def test_types_are_what_the_cells_say(file: Path) -> None:
    assert kinds(file) == {
        "contract": "category",
        "monthly_charge": "number",
        "total_charge": "number",
        "paperless": "boolean",
        "calls": "number",
        "town": "category",
        "last_login": "date",
        "country": "constant",
    }


def test_blanks_are_unknown_and_counted(file: Path) -> None:
    found = {column.name: column for column in reading.load(file, NAMES, DATED)[1]}
    blanks = sum(row["total_charge"] == " " for row in rows())
    assert blanks > 5
    assert found["total_charge"].note == f"{blanks} blank cells are unknown"
    assert read(file).frame["total_charge"].null_count() == blanks


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "2.5", "NA", ""], "number"),
        (["1,5", "2,25", "3,125"], "number"),
        (["1,500", "2,250"], "unclear"),
        (["1.500,5", "2,25"], "number"),
        (["1,234.50", "999"], "number"),
        (["1,234,567", "1,234"], "number"),
        (["1.234", "5.678,9", "1,5"], "number"),
        (["1 234,50", "9\u202f999,00"], "number"),
        (["1\u2019234.50", "2"], "number"),
        (["1,50.5", "2,250.5"], "category"),
        (["$29.85", "$30.00"], "unclear"),
        (["12 %", "7 %"], "unclear"),
        (["29,85 EUR", "1.200,00 EUR"], "unclear"),
        (["0", "1", "1"], "boolean"),
        (["TRUE", "false", ""], "boolean"),
        (["yes", "no", "maybe"], "category"),
        (["2026-01-05", "2026-02-05T10:00:00Z"], "date"),
        (["05/01/2026", "31/12/2025"], "unclear"),
        (["5-Jan-26", "31-Dec-25"], "unclear"),
        (["2026/01/05 10:00", "2026/02/05 11:30"], "unclear"),
        (["1-5-10", "2-5-10", "x"], "category"),
        (["a", "a", "", "NA"], "constant"),
        (["", "", "null"], "constant"),
        ([f"u-{n}" for n in range(30)], "id"),
        ([f"so pleased with {n} new things" for n in range(30)], "text"),
        ([*map(str, range(40)), "many"], "unclear"),
        ([str(1000 + n) for n in range(100)], "id"),
        ([str(10**19 + n * 10**15) for n in range(100)], "id"),
        ([str(n / 7) for n in range(100)], "number"),
    ],
)
def test_each_kind_of_cell(cells: list[str], kind: str) -> None:
    raw, lines = pl.Series("x", cells), pl.Series(range(2, 2 + len(cells)))
    assert inferring.infer("x", raw, lines, ColumnDeclared()).kind == kind


@pytest.mark.parametrize(
    ("cells", "numbers", "declared"),
    [
        (["1.234,50", "12,5", "1.000"], [1234.5, 12.5, 1000.0], ColumnDeclared()),
        (["1,234,567.5", "-1,000", "7"], [1234567.5, -1000.0, 7.0], ColumnDeclared()),
        (["1\u00a0234,5", "12"], [1234.5, 12.0], ColumnDeclared()),
        (["1,500", "2,250"], [1500.0, 2250.0], ColumnDeclared(thousands=",")),
        (["1,500", "2,250"], [1.5, 2.25], ColumnDeclared(decimal=",")),
    ],
)
def test_thousands_are_read_where_they_are_told(cells: list[str], numbers: list, declared: ColumnDeclared) -> None:
    raw = pl.Series("x", cells)
    column = inferring.column_of(inferring.infer("x", raw, pl.Series(range(len(cells))), declared), declared)
    read = tables.cells(column, raw)
    assert (read.values.to_list(), read.problems) == (numbers, [])


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("31.12.2025", 'declare formats = ["%d.%m.%Y"], or "%m.%d.%Y"'),
        ("31/12/25 10:30", 'declare formats = ["%d/%m/%y %H:%M"], or "%m/%d/%y %H:%M"'),
        ("5-Jan-26", 'declare formats = ["%d-%b-%y"]'),
        ("2026/01/05", 'declare formats = ["%Y/%m/%d"]'),
        ("5 January 2026", 'declare formats = ["%d %B %Y"]'),
    ],
)
def test_a_date_that_is_not_iso_comes_with_its_format(cell: str, said: str) -> None:
    raw = pl.Series("x", [cell, cell.replace("5", "6")])
    found = inferring.infer("x", raw, pl.Series([2, 3]), ColumnDeclared())
    assert found.kind == "unclear"
    assert said in found.note
    form = re.findall(r'"(%[^"]+)"', found.note)[0]
    declared = ColumnDeclared(formats=(form,))
    assert inferring.infer("x", raw, pl.Series([2, 3]), declared).kind == "date"
    column = inferring.column_of(inferring.infer("x", raw, pl.Series([2, 3]), declared), declared)
    assert tables.cells(column, raw).values.null_count() == 0


@pytest.mark.parametrize(
    ("form", "cells", "typed", "missing"),
    [
        ("number", ["1", "-999", "?"], [1, -999, None], -999),
        ("number", ["1.5", "-999", "-999.0"], [1.5, -999.0, -999.0], -999.0),
        ("boolean", ["1", "0", "9"], [1, 0, 9], 9),
        ("text", ["7", "?", "-999"], [7, None, -999], -999),
        ("date", ["2026-01-05", "9999-12-31", "?"], [date(2026, 1, 5), date(9999, 12, 31), None], "9999-12-31"),
        ("date", ["2026-01-05", "9999-12-31", "?"], [datetime(2026, 1, 5), datetime(9999, 12, 31), None], "?"),
    ],
)
def test_what_means_unknown_is_unknown_in_every_way_in(form, cells, typed, missing) -> None:
    column = Column("x", form, "x", "commercial", nulls=("-999", "-999.0", "?", "9", "9999-12-31"))
    by_text, by_type = (tables.cells(column, pl.Series(values)) for values in (cells, typed))
    assert by_type.values.to_list() == by_text.values.to_list()
    assert not by_text.problems + by_type.problems
    assert by_text.values.null_count() == len(cells) - (2 if form == "boolean" else 1)
    schema = Schema("table", (column,))
    assert tables.read_row(schema, {"x": missing}, NOW) == ({"x": None}, [])


def test_parquet_columns_no_model_reads_can_be_dropped(tmp_path: Path) -> None:
    frame = pl.DataFrame(rows(200)).with_columns(tags=pl.lit([1]), tenure=pl.duration(days=pl.int_range(200)))
    frame.write_parquet(tmp_path / "t.parquet")
    with pytest.raises(ContractError, match=r"(?s)'tags' is free text.*'tenure' is free text"):
        read(tmp_path / "t.parquet")
    dropped = replace(DATED, columns={name: ColumnDeclared(type="drop") for name in ("tags", "tenure")})
    assert "tenure" not in read(tmp_path / "t.parquet", dropped).schema


def test_cells_that_stand_for_nothing_or_for_a_name_come_with_the_line_to_write(tmp_path: Path) -> None:
    never = [row | {"last_login": "9999-12-31" if i < 5 else row["last_login"]} for i, row in enumerate(rows(200))]
    with pytest.raises(ContractError, match=r'say missing = \["9999-12-31"\] in \[columns.last_login\]'):
        read(write(tmp_path / "a.csv", never))
    named = [row | {"cell mast": f"{10**15 + i % 7}"} for i, row in enumerate(rows(200))]
    with pytest.raises(ContractError, match=r'type = "category" \(or "drop"\) in \[columns."cell mast"\]'):
        read(write(tmp_path / "b.csv", named))


def test_columns_without_a_name_are_said(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", rows(200))
    path.write_text(path.read_text("utf-8").replace("town", "", 1), "utf-8")
    made = read(path)
    assert "town" not in made.schema
    assert "1 columns have no name and are left out" in counted(made)


def test_a_declared_type_is_believed() -> None:
    raw = pl.Series("x", ["1", "2", "x"])
    declared = ColumnDeclared(type="category")
    assert inferring.infer("x", raw, pl.Series([2, 3, 4]), declared).kind == "category"


def test_every_refusal_comes_at_once_with_its_way_out(tmp_path: Path) -> None:
    table = [row | {"code": f"K{i}", "seen": "31/12/2025"} for i, row in enumerate(rows(120))]
    path = write(tmp_path / "t.csv", table)
    with pytest.raises(ContractError) as refused:
        read(path, TableConfig(), Names("left"))
    said = str(refused.value)
    assert "'customer' is an id (120 of 120 differ): say --id customer if it names the account" in said
    assert "'code' is an id" in said
    assert "'last_login' is a date, and nothing says as of when" in said
    assert "--as-of-column" in said
    # Always the same day: nobody is told apart by it.
    assert "seen" not in said
    declared = TableConfig(columns={name: ColumnDeclared(type="drop") for name in ("code", "last_login")})
    assert "code" not in read(path, declared).schema


def test_cells_that_cannot_be_read_are_named_by_line(tmp_path: Path) -> None:
    table = rows(80)
    table[3]["calls"], table[9]["calls"] = "many", "few"
    path = write(tmp_path / "t.csv", table)
    with pytest.raises(ContractError, match="2 cells are no numbers, such as 'many' in line 5"):
        read(path)
    as_number = replace(DATED, columns={"calls": ColumnDeclared(type="number")})
    with pytest.raises(ContractError, match=r"'calls' is not a number .*: line 5 holds 'many'; line 11 holds 'few'"):
        read(path, as_number)
    missing = replace(DATED, columns={"calls": ColumnDeclared(type="number", missing=("many", "few"))})
    assert read(path, missing).frame["calls"].null_count() == 2


@pytest.mark.parametrize("cell", ["NaN", "inf"])
def test_what_programs_write_for_no_number_is_refused_with_the_way_out(tmp_path: Path, cell: str) -> None:
    table = rows(80)
    table[3]["calls"] = cell
    path = write(tmp_path / "t.csv", table)
    with pytest.raises(ContractError) as refused:
        read(path)
    assert f'missing = ["{cell}"] in [columns.calls]' in str(refused.value)
    declared = replace(DATED, columns={"calls": ColumnDeclared(missing=(cell,))})
    assert read(path, declared).frame["calls"].null_count() == 1


@pytest.mark.parametrize(("delimiter", "encoding"), [(";", "utf-8-sig"), ("\t", "utf-16"), (",", "cp1252")])
def test_spreadsheets_of_all_kinds_read_alike(file: Path, tmp_path: Path, delimiter: str, encoding: str) -> None:
    other = write(tmp_path / "t.csv", rows(), delimiter, encoding)
    assert read(other).frame.equals(read(file).frame)


def test_parquet_keeps_its_types(file: Path, tmp_path: Path) -> None:
    typed = pl.read_csv(file, try_parse_dates=True).with_columns(
        pl.col("total_charge").str.strip_chars().cast(pl.Float64, strict=False), pl.col("paperless") == "Yes"
    )
    path = tmp_path / "t.parquet"
    typed.write_parquet(path)
    made, expected = read(path), read(file)
    assert made.frame.equals(expected.frame)
    assert made.schema == expected.schema
