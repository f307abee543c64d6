"""The accounts a watch looks at: everyone who is scored at each of several moments, with features and risks."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import blake2b

import numpy as np
import polars as pl

from models import health
from models.errors import ContractError
from models.features import compute
from models.history import History
from models.model import ChurnModel, columns
from models.standing import SCORED, standings

#: Moments are this many days apart.
EVERY_DAYS = 28
#: Accounts looked at, at most: more would make a watch slower, and its figures hardly surer.
MOST_ACCOUNTS = 20_000


def moments_back(at: datetime, count: int) -> list[datetime]:
    """`count` moments up to and including `at`, ascending."""
    return [at - timedelta(days=EVERY_DAYS * k) for k in range(count - 1, -1, -1)]


def sampled(account_ids: Sequence[str], at_most: int = MOST_ACCOUNTS) -> list[str]:
    """The same accounts every time, drawn by a hash of their ids; all of them where there are no more."""
    if len(account_ids) <= at_most:
        return sorted(account_ids)
    drawn = sorted(account_ids, key=lambda one: blake2b(one.encode(), digest_size=8).digest())
    return sorted(drawn[:at_most])


def scored_rows(model: ChurnModel, history: History, moments: Sequence[datetime]) -> pl.DataFrame:
    """Every account scored at each moment, as this model scores it with what was known then.

    account_id, as_of, segment, one column per feature, p_churn, p_silent, log_odds_churn, log_odds_silent; sorted by
    as_of, then account_id. Raises `ContractError` for a model of wide tables.
    """
    if model.columns.source != "history":
        raise ContractError(f"Model {model.model_id} reads a wide table, so there is no history to watch it on.")
    standing = standings(history, list(moments), model.label).filter(pl.col("standing").is_in(SCORED))
    pairs = standing.select("account_id", "as_of")
    features = compute(history, pairs, model.baselines, model.columns.features)
    read = columns(features, model.columns)
    churn, silent = model.card("churn").log_odds(read), model.card("silent").log_odds(read)
    chances = health.probabilities(churn, silent)
    found = {
        "p_churn": chances.p_churn,
        "p_silent": chances.p_silent,
        "log_odds_churn": churn,
        "log_odds_silent": silent,
    }
    return features.with_columns(pl.Series(name, np.asarray(values)) for name, values in found.items())
