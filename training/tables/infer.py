"""Which type each column of a wide table is, by what stands in it.

    cells                             type        what becomes of it
    29.85, 56.95, ...                 number      as it is
    Yes, No / true, false / 0, 1      boolean     1 or 0
    DSL, Fiber optic, No              category    frequent ones by name, rare ones together
    2026-01-05, ...                   date        days before the row's moment
    one value only, or none           constant    left out: it tells nobody from anybody
    7590-VHVEG, 5575-GNVDE, ...       id          refused: name it by --id, or drop it
    so pleased with the new ...       text        refused: drop it

What could be read in two ways is refused as well, with the line to write; nothing is guessed.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from models.errors import ContractError
from models.features.measures import USUAL, sentence_of
from models.imports.convert import FALSE, LARGEST, TRUE, as_text, blank_nulls
from models.imports.times import read_times
from models.schema import Column, Form
from training.tables.declare import ColumnDeclared
from training.tables.marks import formats, marks, signed

Kind = Literal["number", "category", "boolean", "date", "id", "constant", "text", "drop", "unclear"]
FORMS: Mapping[str, Form] = {"number": "number", "category": "text", "boolean": "boolean", "date": "date"}

#: A text of which more than this share of the known cells differ, and at least so many, names rows instead of
#: describing them.
MOST_DISTINCT, LEAST_DISTINCT = 0.5, 20
#: A column of which this share are numbers (or dates) is one with slips in it.
NEARLY = 0.9
#: Whole numbers that all differ are a count of rows from so many on.
LEAST_IDS = 100

_NAMES_ROWS = re.compile(r"(^|[_\s.-])(id|ids|key|uuid|guid|code|number|no|nr)$", re.IGNORECASE)
_CAMEL_ID = re.compile(r"[a-z](ID|Id)$")
_COMMA = r"^[+-]?\d+(,\d+)?$"


@dataclass(frozen=True)
class Inferred:
    """A column's type, how many cells are known and how many of them differ, and a note: why it is refused or left
    out, or what was counted on the way."""

    name: str
    kind: Kind
    known: int
    distinct: int
    note: str = ""
    decimal: str = "."
    thousands: str = ""


def infer(name: str, raw: pl.Series, lines: pl.Series, declared: ColumnDeclared) -> Inferred:
    """Judge one column by its raw cells (text, or the types Parquet brought)."""
    if raw.dtype.is_nested() or raw.dtype in (pl.Binary, pl.Duration):
        dropped = declared.type == "drop"
        told = "dropped as declared" if dropped else "holds lists, bytes or durations; write those as days"
        return Inferred(name, "drop" if dropped else "text", len(raw) - raw.null_count(), 0, told)
    text = blank_nulls(as_text(raw), frozenset(cell.lower() for cell in declared.missing)).str.strip_chars()
    known = text.drop_nulls()
    counts = (len(known), known.n_unique())
    blanks = (raw.is_not_null() & text.is_null()).sum()
    note = f"{blanks:,} blank cells are unknown" if blanks and raw.dtype == pl.String else ""
    if kind := _declared_kind(declared):
        told = "dropped as declared" if kind == "drop" else note
        return Inferred(name, kind, *counts, told, declared.decimal or ".", declared.thousands or "")
    if counts[1] <= 1:
        return Inferred(name, "constant", *counts, "nothing in it" if not counts[0] else f"always {known[0]!r}")
    if raw.dtype == pl.Boolean or isinstance(raw.dtype, pl.Date | pl.Datetime) or _two_sided(known):
        return Inferred(name, "date" if raw.dtype.is_temporal() else "boolean", *counts, note)
    return _of_text(name, text, known, lines, counts, note)


def _declared_kind(declared: ColumnDeclared) -> Kind | None:
    """What is said of the column: its type, or how its dates or numbers are written."""
    if declared.type is not None:
        return declared.type
    if declared.formats:
        return "date"
    return "number" if declared.decimal or declared.thousands else None


def _of_text(
    name: str, text: pl.Series, known: pl.Series, lines: pl.Series, counts: tuple[int, int], note: str
) -> Inferred:
    numbers = known.cast(pl.Float64, strict=False)
    if numbers.null_count() and (parted := marks(known)):
        how = f"thousands are parted by {parted.thousands!r}"
        return Inferred(name, "number", *counts, "; ".join(filter(None, (how, note))), parted.decimal, parted.thousands)
    if numbers.null_count() and known.str.contains(_COMMA).all():
        return _with_comma(name, known, counts, note)
    if not numbers.null_count():
        why = _names_rows(name, numbers, counts)
        return Inferred(name, "id", *counts, why) if why else Inferred(name, "number", *counts, note)
    dates = read_times(known, (), "UTC").instants
    if not dates.null_count():
        return Inferred(name, "date", *counts, note)
    return _of_words(name, text, known, lines, counts, note, (("number", numbers), ("date", dates)))


def _of_words(
    name: str,
    text: pl.Series,
    known: pl.Series,
    lines: pl.Series,
    counts: tuple[int, int],
    note: str,
    tried: tuple[tuple[str, pl.Series], ...],
) -> Inferred:
    """A text that is neither numbers nor dates throughout; `tried` is what was read as those."""
    if why := _odd(known):
        return Inferred(name, "unclear", *counts, why)
    for kind, read in tried:
        if read.null_count() <= (1 - NEARLY) * len(read):
            return Inferred(name, "unclear", *counts, _slips(text, known.filter(read.is_null()), lines, kind))
    if counts[1] > max(LEAST_DISTINCT, MOST_DISTINCT * counts[0]):
        spaced = known.str.contains(r"\s\S+\s").mean()
        wordy = isinstance(spaced, float) and spaced > MOST_DISTINCT
        return Inferred(name, "text" if wordy else "id", *counts, f"{counts[1]:,} of {counts[0]:,} differ")
    return Inferred(name, "category", *counts, note)


def _two_sided(known: pl.Series) -> bool:
    """Whether there are exactly two kinds of cell, one that says yes and one that says no."""
    said = set(known.unique().head(5).str.to_lowercase().to_list())
    return len(said) == 2 and len(said & TRUE) == 1 and len(said & FALSE) == 1


def _odd(known: pl.Series) -> str:
    """What to declare of dates that are not ISO 8601 and of numbers with a sign; empty for other texts."""
    forms = formats(known)
    if len(forms) > 1:
        return f'{known[0]!r} can be read in two ways; declare formats = ["{forms[0]}"], or "{forms[1]}",'
    if forms:
        return f'{known[0]!r} is no ISO 8601 date; declare formats = ["{forms[0]}"]'
    if signed(known):
        return f'{known[0]!r} is no number; write the numbers without signs and units, or declare type = "category"'
    return ""


def _with_comma(name: str, known: pl.Series, counts: tuple[int, int], note: str) -> Inferred:
    """Numbers with a comma in them: a decimal comma, unless every comma could as well part the thousands."""
    if known.filter(known.str.contains(",", literal=True)).str.contains(r",\d{3}$").all():
        why = 'the commas may part thousands or decimals; declare thousands = "," or decimal = ","'
        return Inferred(name, "unclear", *counts, why)
    return Inferred(name, "number", *counts, "; ".join(filter(None, ("with a decimal comma", note))), ",")


def _names_rows(name: str, numbers: pl.Series, counts: tuple[int, int]) -> str:
    """Why whole numbers are names of rows; empty where they are not."""
    known, distinct = counts
    if distinct < LEAST_IDS or not (numbers == numbers.floor()).all():
        return ""
    if distinct == known and float(numbers.abs().max()) > LARGEST:  # type: ignore[arg-type]
        return f"{distinct:,} different whole numbers, larger than any count"
    named = _NAMES_ROWS.search(name) or _CAMEL_ID.search(name)
    dense = float(numbers.max()) - float(numbers.min()) < 3 * known  # type: ignore[arg-type]
    if (distinct == known and (named or dense)) or (named and distinct > MOST_DISTINCT * known):
        return f"{distinct:,} different whole numbers in {known:,} rows"
    return ""


def _slips(text: pl.Series, unread: pl.Series, lines: pl.Series, kind: str) -> str:
    cell = unread[0]
    line = lines.filter((text == cell).fill_null(value=False))[0]
    return (
        f"{len(unread):,} cells are no {kind}s, such as {cell!r} in line {line}; "
        f'declare type = "{kind}" and missing = [...], or type = "category"'
    )


def refuse(found: Sequence[Inferred], *, dated: bool, id_given: bool) -> None:
    """Raise `ContractError` naming every column that cannot be used as it is, each with its way out."""
    told = []
    for column in found:
        drop = f'write [columns.{quoted(column.name)}] type = "drop"'
        if column.kind == "id":
            way = drop if id_given else f"say --id {quoted(column.name)} if it names the account, or {drop}"
            told.append(f"{column.name!r} is an id ({column.note}): {way}.")
        elif column.kind == "text":
            told.append(f"{column.name!r} is free text ({column.note}): {drop}.")
        elif column.kind == "unclear":
            told.append(f"{column.name!r} is unclear: {column.note} in [columns.{quoted(column.name)}].")
        elif column.kind == "date" and not dated:
            told.append(
                f"{column.name!r} is a date, and nothing says as of when the rows are: name the column by "
                f'--as-of-column, set as_of = "2026-01-31" in [table] of the configuration, or {drop}.'
            )
    if told:
        lines = "\n".join(f"  {n}. {line}" for n, line in enumerate(told, 1))
        raise ContractError(f"The table cannot be learnt from as it is; nothing was fitted.\n{lines}")


def column_of(found: Inferred, declared: ColumnDeclared) -> Column:
    """The column as a model declares it; its span is learnt later."""
    form = FORMS[found.kind]
    label = declared.label or found.name.replace("_", " ")
    escaped = label.replace("{", "{{").replace("}", "}}")
    sentence, usual = {
        "number": (sentence_of(label, declared.unit), USUAL),
        "boolean": (f"{escaped}: {{value:yes}}", "usual here: yes for {:share}"),
        "text": (f"{escaped}: {{value}}", ""),
        "date": (f"{escaped} {{value:ago}}", "usual here {:ago}"),
    }[form]
    return Column(
        name=found.name,
        form=form,
        label=label,
        component=declared.component,
        churn=declared.direction,
        silent=0,
        unit="days before the row's moment" if form == "date" else declared.unit,
        sentence=sentence,
        usual=usual,
        nulls=declared.missing,
        decimal=found.decimal,
        thousands=found.thousands,
        formats=declared.formats,
    )


def quoted(name: str) -> str:
    """A column's name as the configuration writes it."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)
