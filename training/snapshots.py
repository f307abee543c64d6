"""Which account is looked at when: the rows a model learns from.

With the default parameters (look-back L = 90 d; B + H + R = 14 + 90 + 30 = 134 d) and a step of 28 days:

    cutoff                                 2026-12-01
    last moment      cutoff - 134 d      = 2026-07-20: its label can just be trusted
    the ones before  28 d apart          = 2026-06-22, 2026-05-25, 2026-04-27, ...
    first contact of any account           2025-03-01
    first moment     not before + 90 d   = 2025-05-30; the last step that keeps to it is 2025-06-23

so `moments` returns 2025-06-23, 2025-07-21, ..., 2026-06-22, 2026-07-20: fifteen of them. At each, the rows
are the accounts that were eligible (`models.standing`) with what was known then.
"""

from datetime import datetime, timedelta

import polars as pl

from models.errors import ContractError, SettingsError, TooFewLabels
from models.history import History
from models.labels import DEFAULTS, LabelParams
from models.standing import STANDINGS, eligible, standings
from models.voice import source_start

__all__ = ["census", "eligible", "excluded", "moments", "snapshots"]

EVERY_DAYS = 28


def moments(
    history: History, cutoff: datetime, every_days: int = EVERY_DAYS, params: LabelParams = DEFAULTS
) -> list[datetime]:
    """The moments to take snapshots at, ascending: from cutoff - (B + H + R) backwards every `every_days`,
    while a whole look-back of contacts lies before them.

    Surveys do not shorten the range: exits from before the survey programme are `unlabelable` and still teach
    who leaves. Raises `ContractError` without a single interaction, `TooFewLabels` for too short a history.
    """
    if every_days < 1:
        raise SettingsError(f"every_days is {every_days}; it must be at least 1.")
    first = source_start(history, "interactions", cutoff)
    if first is None:
        raise ContractError("The history has no interactions, so there is nothing to learn about service.")
    earliest, last = first + timedelta(days=params.look_back_days), cutoff - params.settled
    if last < earliest:
        raise TooFewLabels(
            f"The contacts span {max((cutoff - first).days, 0)} days up to the cutoff; "
            f"a labelled snapshot needs {params.look_back_days + params.settled.days}."
        )
    step = timedelta(days=every_days)
    return [last - step * k for k in range((last - earliest) // step, -1, -1)]


def census(
    history: History, cutoff: datetime, every_days: int = EVERY_DAYS, params: LabelParams = DEFAULTS
) -> pl.DataFrame:
    """Every account at every moment: account_id, as_of, standing; sorted by as_of, then account_id."""
    return standings(history, moments(history, cutoff, every_days, params), params)


def snapshots(
    history: History, cutoff: datetime, every_days: int = EVERY_DAYS, params: LabelParams = DEFAULTS
) -> pl.DataFrame:
    """Every (account_id, as_of) to learn from, sorted by as_of, then account_id; errors as for `moments`."""
    counted = census(history, cutoff, every_days, params)
    return counted.filter(pl.col("standing") == "eligible").select("account_id", "as_of")


def excluded(
    history: History, cutoff: datetime, every_days: int = EVERY_DAYS, params: LabelParams = DEFAULTS
) -> dict[str, int]:
    """How many rows of the census `snapshots` leaves out, by standing; only standings that occur, in their order."""
    rows = census(history, cutoff, every_days, params).get_column("standing").value_counts()
    counts: dict[str, int] = dict(rows.iter_rows())
    return {standing: counts[standing] for standing in STANDINGS[:-1] if standing in counts}
