"""The silent list: who is scored, has voiced nothing for a look-back, and in which order to call them.

account   quiet   p_silent   mrr       expected loss   rank_by_loss   rank_by_probability
a         yes     0.10       1,000     1,200           2              1
b         yes     0.05       9,000     5,400           1              3
c         yes     0.08       unknown   unknown         3              2
e         yes     0.02       unknown   unknown         4              4
d         no      0.30       2,000     7,200           not on the list: it is talking to us
"""

import json
from collections.abc import Sequence

import polars as pl

from models.model import ChurnModel
from models.reasons import Reason, reasons
from models.scoring import Scored

KIND = "silent"
#: Reasons kept with each entry.
TOP_REASONS = 3
#: Reasons are told for this many accounts at a time, which bounds the memory of their rows.
_TOLD_AT_ONCE = 20_000

#: Rank -> the columns it follows, falling; unknown comes last and ties go by account id. Where nobody wrote the revenue
#: down, the loss ranks by the probability.
RANKINGS = {"rank_by_loss": ("expected_revenue_loss", "p_silent"), "rank_by_probability": ("p_silent",)}

#: Columns of an entry besides `reasons`, in order.
ENTRY = (
    *("account_id", "name", "owner", "segment", "region", "mrr", "currency"),
    *("p_silent", "p_churn", "expected_revenue_loss", "health", "band"),
    *("health_change_28d", "moving_28d", "health_change_91d", "moving_91d", "confidence"),
)


def quiet_entries(model: ChurnModel, scored: Scored) -> pl.DataFrame:
    """The quiet accounts of a scoring, unranked: `ENTRY` and `reasons` (JSON, what raises the silent risk most)."""
    quiet = scored.scores["quiet"].fill_null(value=False)
    rows = scored.scores.filter(quiet).select(ENTRY)
    told = _told(model, scored.features.filter(quiet))
    return rows.with_columns(pl.Series("reasons", told, dtype=pl.String))


def ranked(entries: pl.DataFrame) -> pl.DataFrame:
    """The entries with `rank_by_loss` and `rank_by_probability`, from 1, sorted by the first."""
    for rank, values in reversed(RANKINGS.items()):
        falling = [True] * len(values) + [False]
        entries = entries.sort(*values, "account_id", descending=falling, nulls_last=True)
        entries = entries.with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias(rank))
    return entries


def brief(told: Sequence[Reason]) -> str:
    """Reasons as a list keeps them: JSON with what a person reads."""
    plain = [
        {"feature": r.feature, "label": r.label, "points": round(r.points, 2), "sentence": r.sentence} for r in told
    ]
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":"))


def _told(model: ChurnModel, features: pl.DataFrame) -> list[str]:
    # Facts that no sentence quotes would only be carried along, row by row.
    read = features.select(*model.columns.names, *model.columns.quoted)
    return [
        brief(told)
        for part in read.iter_slices(_TOLD_AT_ONCE)
        for told in reasons(model, part, "silent", TOP_REASONS, harmful_only=True)
    ]
