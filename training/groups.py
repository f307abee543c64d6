"""Is a model as good for everybody? The same questions for parts of the customers that it must not treat worse.

By billing, region and whether an account can be heard through surveys: whoever never answers must not be listed, or
overlooked, for that alone. `missed` is the false-negative rate at the tenth ranked highest of *all* customers:

    group            exits   of them in the tenth ranked highest   missed
    answers          20      9                                     .55
    never answers    40      10                                    .75
"""

from typing import Any

import numpy as np
import polars as pl

from training.intervals import share_by_account
from training.metrics import part
from training.sample import TOP_SHARE

#: Columns that part the customers, where the rows have them.
BY = ("billing", "surveys", "region")
#: Of a column only so many values, the commonest, are looked at.
MOST_VALUES = 8
OF_A_GROUP = ("auc", "observed_expected")


def groups(rows: pl.DataFrame, *, resamples: int = 200, seed: int = 0) -> dict[str, Any]:
    """column -> value -> counts, OF_A_GROUP and `missed` (estimates).

    rows: as for `training.metrics.evaluate`, with columns of BY; unknown values are a group `unknown`. A column with
    one value only parts nobody and is left out.
    """
    place = rows.sort("account_id", "as_of").with_columns(
        _place=pl.col("p").rank("ordinal", descending=True), _account=pl.col("account_id").rank("dense")
    )
    ready = place.with_columns(_listed=pl.col("_place") <= TOP_SHARE * pl.len())
    found: dict[str, Any] = {}
    for name in (name for name in BY if name in rows.columns):
        parts = ready.with_columns(pl.col(name).fill_null("unknown")).partition_by(name, as_dict=True)
        commonest = sorted(parts.items(), key=lambda item: (-item[1].height, str(item[0][0])))[:MOST_VALUES]
        if len(parts) > 1:
            draw = {"resamples": resamples, "seed": seed}
            found[name] = {str(value): _group(members, draw) for (value,), members in commonest}
    return found


def _group(members: pl.DataFrame, draw: dict[str, int]) -> dict[str, Any]:
    left = members.filter(pl.col("y") == 1)
    missed = share_by_account(
        (~left["_listed"]).cast(pl.Float64).to_numpy(), left["_account"].to_numpy().astype(np.intp)
    )
    return part(members, OF_A_GROUP, 20, draw) | {"missed": missed.to_plain()}
