"""The list as a spreadsheet reads it, with text that no spreadsheet takes for a formula."""

import csv
import io
import json
from collections.abc import Mapping
from typing import Any

from models.clock import isoformat

CSV = "text/csv"

COLUMNS = (
    *("rank", "account_id", "name", "owner", "segment", "region", "mrr", "currency"),
    *("p_silent", "p_churn", "expected_revenue_loss", "health", "band"),
    *("health_change_28d", "moving_28d", "health_change_91d", "moving_91d", "confidence", "reasons"),
    *("override_band", "override_expires_at"),
)
#: How text begins that a spreadsheet runs instead of showing it.
_RUN = ("=", "+", "-", "@", "\t", "\r", "\n")


def neutral(value: object) -> object:
    """A cell as it is; text that would run gets an apostrophe in front, spaces before it or not."""
    if isinstance(value, str) and (value.startswith(_RUN) or value.lstrip().startswith(_RUN)):
        return f"'{value}"
    return value


def csv_line(row: Mapping[str, Any], rank: str) -> str:
    """One entry of a list."""
    told = json.loads(row["reasons"] or "[]")
    override = row["override"]
    beside = {
        "override_band": None if override is None else override.band,
        "override_expires_at": None if override is None else isoformat(override.expires_at),
    }
    cells = {**row, **beside, "rank": row[rank], "reasons": " | ".join(reason["sentence"] for reason in told)}
    return _line([neutral(cells[name]) for name in COLUMNS])


def _line(cells: list[object]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue()


HEADER = _line(list(COLUMNS))
