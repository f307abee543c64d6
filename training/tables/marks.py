"""How numbers and dates are written in a file, where the cells themselves can mean one thing only.

29,85   1.234,50        decimal comma, and points that part the thousands
1,234.50   1 234.50     a decimal point, and commas or spaces that part them
1,234                   either; nothing is guessed
$29.85   29.85 EUR   17 %   a number with a sign or a unit, which is no number to a model
05/01/2026   5-Jan-26   a date that is not ISO 8601
"""

import re
from typing import NamedTuple

import polars as pl

#: What parts thousands and what parts decimals, the likeliest first.
_WRITTEN = ((",", "."), (".", ","), (" ", "."), (" ", ","), ("'", "."), ("'", ","))
#: Thousands parted by what cannot part decimals.
_NEVER_DECIMAL = (" ", "'")
_UNIT = r"(?:[€$£¥₹%]|EUR|USD|GBP|CHF|JPY|SEK|NOK|DKK|PLN)"
_SIGNED = re.compile(rf"^[+-]?(?:{_UNIT}\s?[+-]?\d[\d.,' ]*|\d[\d.,' ]*\s?{_UNIT})$")
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
_TIME = r"(?:[ T]\d{1,2}:\d{2}(:\d{2})?)?"
_DAY_OR_MONTH_FIRST = re.compile(rf"^\d{{1,2}}([./-])\d{{1,2}}\1(\d{{4}}|\d{{2}}){_TIME}$")
_YEAR_FIRST = re.compile(rf"^\d{{4}}([./])\d{{1,2}}\1\d{{1,2}}{_TIME}$")
_NAMED = re.compile(rf"^\d{{1,2}}([ ./-])({_MONTH}[a-z]*)\1(\d{{4}}|\d{{2}}){_TIME}$", re.IGNORECASE)


class Marks(NamedTuple):
    """What parts the thousands, and the decimals."""

    thousands: str
    decimal: str


def marks(known: pl.Series) -> Marks | None:
    """How numbers with parted thousands are written, where every cell is one and the marks can be nothing else."""
    text = known.str.replace_all("[\u00a0\u202f]", " ").str.replace_all("\u2019", "'", literal=True)
    for thousands, decimal in _WRITTEN:
        t, d = re.escape(thousands), re.escape(decimal)
        if not text.str.contains(rf"^[+-]?(\d{{1,3}}({t}\d{{3}})+|\d+)({d}\d+)?$").all():
            continue
        told = rf"{t}\d{{3}}" if thousands in _NEVER_DECIMAL else rf"{t}\d{{3}}{d}\d"
        twice = rf"{t}\d{{3}}{t}"
        if text.str.contains(rf"{told}|{twice}").any():
            return Marks(thousands, decimal)
    return None


def signed(known: pl.Series) -> bool:
    """Whether every cell is a number with a sign of money or a unit."""
    return bool(known.str.contains(_SIGNED.pattern).all())


def formats(known: pl.Series) -> tuple[str, ...]:
    """The formats of dates that are not ISO 8601: two where the cells can be read in two ways, none for no dates."""
    first = str(known[0])
    if known.str.contains(_pattern(_DAY_OR_MONTH_FIRST)).all() and (found := _DAY_OR_MONTH_FIRST.match(first)):
        mark, year = found[1], "%Y" if len(found[2]) == 4 else "%y"
        time = _time(first)
        return f"%d{mark}%m{mark}{year}{time}", f"%m{mark}%d{mark}{year}{time}"
    if known.str.contains(_pattern(_YEAR_FIRST)).all() and (found := _YEAR_FIRST.match(first)):
        return (f"%Y{found[1]}%m{found[1]}%d{_time(first)}",)
    if known.str.contains(_pattern(_NAMED)).all() and (found := _NAMED.match(first)):
        month = "%b" if len(found[2]) == 3 else "%B"
        return (f"%d{found[1]}{month}{found[1]}{'%Y' if len(found[3]) == 4 else '%y'}{_time(first)}",)
    return ()


def _pattern(form: re.Pattern[str]) -> str:
    """For Polars, whose patterns look back at nothing."""
    return ("(?i)" if form.flags & re.IGNORECASE else "") + form.pattern.replace(r"\1", "[ ./-]")


def _time(cell: str) -> str:
    colons = cell.count(":")
    return "" if not colons else f"{'T' if 'T' in cell.upper().split(':')[0][-3:] else ' '}%H:%M{':%S' * (colons - 1)}"
