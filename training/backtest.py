"""What the product would have done, month by month, had it run then: fit, list, and only now look what became of it.

On the first of each month everything that was not known yet is taken out of the history (`History.known_at`: contacts
and exits that were recorded later are gone, too); every few months a model is fitted on what remains, exactly as
`ebbtide train` fits one; the customers of that day are scored and the list is issued. Then it is graded with what is
known at the end:

    2025-03-01  fit on what was known: labels mature by then, exits up to 2025-01-30 at most (R = 30 d)
    2025-03-01  list of 50 quiet customers
    2025-04-01  the same model, the customers and contacts of that day
    2025-07-14  the outcomes of the March list are certain: t + B + H + R = 134 d
    ...
    today       14 months graded; the last four not yet, since their outcomes are not certain

That is not what the forward folds measure. Folds hold accounts out and purge B + H; here the model may know an account
from earlier months, and learns late of exits, as the product does. Folds say how good the model is, the back-test what
the product would have been worth.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from models.clock import INSTANT, isoformat
from models.errors import ContractError, SettingsError, TooFewLabels
from models.features import compute, measure
from models.health import expit, probabilities
from models.history import History
from models.labels import label
from models.model import ChurnModel, columns
from models.scorecard import Scorecard, Target
from models.scoring import is_quiet
from models.standing import eligible
from models.voice import source_start
from training import contract
from training import expert as experts
from training.expert import Expert
from training.metrics import part
from training.months import by_month, with_ranks
from training.train import TARGETS, Config, train

Progress = Callable[[str], None]

#: Of the graded rows, all customers and the quiet ones: how they were ranked, and whether the level was right.
RANKED = ("auc", "pr_auc", "top_decile_lift", "revenue_captured")
MEASURED = (*RANKED, "observed_expected", "calibration_slope")
#: What every list stands beside: contract terms alone, fitted at the same moments, and the expert's tables alone.
RIVALS = ("contract", "expert")


@dataclass(frozen=True)
class Plan:
    """How many months to run, and after how many a new model is fitted. Raises `SettingsError` for less than one."""

    months: int = 12
    refit_every: int = 3

    def __post_init__(self) -> None:
        if self.months < 1 or self.refit_every < 1:
            raise SettingsError("A back-test runs at least 1 month and fits a model at least once.")


@dataclass(frozen=True)
class Backtest:
    """`report`: plain values; `rows`: every customer scored, one row per (account_id, as_of), with p_silent, p_churn,
    p_contract, p_expert, quiet, mrr, segment, ranks of the quiet ones, outcome and decided_at."""

    report: dict[str, Any]
    rows: pl.DataFrame


@dataclass(frozen=True)
class Fitted:
    """The model in service on a day of the past, since when, the silent exits it had learnt from, and what contract
    terms alone would have been."""

    model: ChurnModel
    since: datetime
    exits: int
    contract: Scorecard


def backtest(
    history: History, now: datetime, config: Config, plan: Plan = Plan(), progress: Progress = lambda _: None
) -> Backtest:
    """Run the months before `now` again and grade them with what is known at `now`.

    report: as_of, capacity, refit_every; months (as `training.months.by_month`, each with `fitted_at`, `phase`,
    `status`, `silent_exits` it had learnt from, `outcomes` of the customers listed, `contract` and `expert` {left});
    ungraded ({as_of, why} and, where it is only too recent, certain_from); summary (with `contract` and `expert`
    {left}); metrics by target: counts, MEASURED, `gain` over each of RIVALS, and `quiet`, the same of the quiet ones.
    Raises `ContractError` for a history without contacts and `TooFewLabels` where no month can be run at all.
    """
    days, ungraded = calendar(history, now, config, plan.months)
    expert = experts.load(config.expert)
    served: Fitted | None = None
    rows: list[pl.DataFrame] = []
    learnt: dict[datetime, dict[str, Any]] = {}
    for number, day in enumerate(days):
        known = history.known_at(day)
        told = f"{isoformat(day)[:10]} ({number + 1} of {len(days)})"
        try:
            if served is None or number % plan.refit_every == 0:
                progress(f"{told}: fitting on what was known then")
                served = _refitted(known, day, expert, config, served)
            progress(f"{told}: scoring the customers of that day")
            rows.append(_scored(known, day, served, expert, config))
        except (TooFewLabels, ContractError) as error:
            ungraded.append({"as_of": day, "why": str(error)})
            continue
        learnt[day] = {
            "fitted_at": served.since, "phase": served.model.phase, "status": served.model.status,
            "silent_exits": served.exits,
        }  # fmt: skip
    progress("grading the lists with what is known now")
    graded = _graded(history, now, config, rows)
    report = {"refit_every": plan.refit_every} | _report(graded, now, config, learnt, MEASURED)
    return Backtest(report | {"ungraded": sorted(ungraded, key=lambda entry: entry["as_of"])}, graded)


def _refitted(known: History, day: datetime, expert: Expert, config: Config, served: Fitted | None) -> Fitted:
    """A new model, or the one in service where there is nothing to fit another on: as it would have been."""
    try:
        return _fitted(known, day, expert, config)
    except (TooFewLabels, ContractError):
        if served is None:
            raise
        return served


def backtest_expert(
    history: History, now: datetime, config: Config, plan: Plan, edited: Expert, progress: Progress = lambda _: None
) -> Backtest:
    """The same months ranked by an expert's tables, nothing fitted: what an edited file is worth before any fit.

    report as above, with `gain` and `expert` against the file that comes with the product (or the configuration's), and
    RANKED only: an expert's level was never counted. Errors as above.
    """
    days, ungraded = calendar(history, now, config, plan.months)
    usual = experts.load(config.expert)
    rows = []
    for number, day in enumerate(days):
        progress(f"{isoformat(day)[:10]} ({number + 1} of {len(days)}): ranking by the expert's tables")
        try:
            rows.append(_by_tables(history.known_at(day), day, edited, usual, config))
        except TooFewLabels as error:
            ungraded.append({"as_of": day, "why": str(error)})
    graded = _graded(history, now, config, rows)
    learnt = {day: {"phase": "P0", "status": experts.STATUS} for day in graded["as_of"].unique().to_list()}
    report = {"refit_every": None} | _report(graded, now, config, learnt, RANKED)
    return Backtest(report | {"ungraded": sorted(ungraded, key=lambda entry: entry["as_of"])}, graded)


def calendar(
    history: History, now: datetime, config: Config, months: int
) -> tuple[list[datetime], list[dict[str, Any]]]:
    """The firsts of the last `months` months whose outcomes are certain at `now`, ascending; and those that cannot be
    graded, each with why: too recent, or (when fewer remain than were asked for) before the history allows it."""
    since = source_start(history, "interactions", now)
    if since is None:
        raise ContractError("The history has no interactions, so there is nothing to run again.")
    earliest = since + timedelta(days=config.label.look_back_days)
    graded: list[datetime] = []
    ungraded: list[dict[str, Any]] = []
    for day in _firsts_before(now):
        if day + config.label.settled > now:
            certain = day + config.label.settled
            why = f"What became of it is certain from {isoformat(certain)[:10]} on."
            ungraded.append({"as_of": day, "why": why, "certain_from": certain})
        elif day < earliest:
            why = f"The contacts begin on {isoformat(since)[:10]}; no whole look-back lies before it."
            ungraded.append({"as_of": day, "why": why})
            break
        elif len(graded) < months:
            graded.append(day)
        else:
            break
    if not graded:
        days = (config.label.settled + timedelta(days=config.label.look_back_days)).days
        raise TooFewLabels(
            f"The contacts span {(now - since).days} days; a month that can be run again and graded needs {days} and "
            "the first of a month between."
        )
    return graded[::-1], ungraded


def _firsts_before(now: datetime) -> Iterator[datetime]:
    """The firsts of months before a moment, midnight UTC, the latest first."""
    year, month = now.year, now.month
    while year > 1:
        yield datetime(year, month, 1, tzinfo=UTC)
        year, month = (year, month - 1) if month > 1 else (year - 1, 12)


def _fitted(known: History, day: datetime, expert: Expert, config: Config) -> Fitted:
    trained = train(known, day, config, thorough=False)
    phase = trained.model.phase
    alone = contract.fitted(known, day, expert, config.every_days, config.label, phase)
    return Fitted(trained.model, day, trained.report["gates"]["exits"]["silent"], alone)


def _scored(known: History, day: datetime, served: Fitted, expert: Expert, config: Config) -> pl.DataFrame:
    """The customers of a day with their probabilities, as the nightly run scores them."""
    model = served.model
    features = compute(known, _customers(known, day, config), model.baselines, model.columns.features)
    read, plain = columns(features, model.columns), columns(features)
    chances = probabilities(model.churn.log_odds(read), model.card("silent").log_odds(read))
    return _facts(
        features,
        config,
        p_churn=chances.p_churn,
        p_silent=chances.p_silent,
        p_contract=expit(served.contract.log_odds(plain)),
        p_expert=expit(expert.scorecard("silent").log_odds(plain)),
    )


def _by_tables(known: History, day: datetime, edited: Expert, usual: Expert, config: Config) -> pl.DataFrame:
    """The same by an expert's tables as they are written: their order counts, their level was never counted."""
    features = compute(known, _customers(known, day, config), measure(known, day))
    read = columns(features)
    chances = probabilities(*(edited.scorecard(target).log_odds(read) for target in TARGETS))
    other = probabilities(*(usual.scorecard(target).log_odds(read) for target in TARGETS)).p_silent
    alone = expit(contract.of_tables(usual).log_odds(read))
    return _facts(
        features, config, p_churn=chances.p_churn, p_silent=chances.p_silent, p_contract=alone, p_expert=other
    )


def _customers(known: History, day: datetime, config: Config) -> pl.DataFrame:
    there = eligible(known, day, config.label).select("account_id", "as_of")
    if not there.height:
        raise TooFewLabels("Nobody was a customer then, as far as was known.")
    return there


def _facts(features: pl.DataFrame, config: Config, **scores: np.ndarray[Any, np.dtype[np.float64]]) -> pl.DataFrame:
    return features.select(
        "account_id",
        pl.col("as_of").cast(INSTANT),
        "segment",
        pl.col("mrr_now").cast(pl.Float64).alias("mrr"),
        is_quiet(features["days_since_voice"], config.label.look_back_days).alias("quiet"),
        **{name: pl.Series(values) for name, values in scores.items()},
    )


def _graded(history: History, now: datetime, config: Config, rows: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The scored customers with what became of them, and the ranks of the quiet ones on the list of their day.

    Rows whose outcome is not certain at `now` (a spell without revenue that is not long enough) are left out.
    """
    if not rows:
        raise TooFewLabels("No month could be run again: nobody could be scored on any of them.")
    scored = pl.concat(rows)
    found = label(history, scored.select("account_id", "as_of"), now, config.label)
    told = scored.hstack(found.select("outcome", "decided_at", "y_churn", "y_silent"))
    told = told.filter(pl.col("outcome") != "immature").sort("as_of", "account_id")
    quiet = with_ranks(told.filter(pl.col("quiet")).with_columns(p="p_silent"))
    ranks = quiet.select("account_id", "as_of", "rank_by_probability", "rank_by_loss")
    return told.join(ranks, on=["account_id", "as_of"], how="left", maintain_order="left")


def _report(
    graded: pl.DataFrame,
    now: datetime,
    config: Config,
    learnt: Mapping[datetime, dict[str, Any]],
    names: Sequence[str],
) -> dict[str, Any]:
    # On a list everybody counts: who left too soon to act on, or with a word, was no hit.
    quiet = graded.filter(pl.col("quiet")).with_columns(y=(pl.col("outcome") == "silent").cast(pl.Int8))
    lists = by_month(quiet.with_columns(p="p_silent"), config.capacity, seed=config.seed)
    for month in lists["months"]:
        listed = (pl.col("as_of") == month["as_of"]) & (pl.col("rank_by_probability") <= config.capacity)
        month["outcomes"] = dict(quiet.filter(listed)["outcome"].value_counts().sort("outcome").iter_rows())
        month.update(learnt[month["as_of"]])
    for name in RIVALS:
        others = by_month(quiet.with_columns(p=f"p_{name}"), config.capacity, resamples=0)
        lists["summary"][name] = {"left": others["summary"]["left"]}
        for month, other in zip(lists["months"], others["months"], strict=True):
            month[name] = {"left": other["left"]}
    metrics = {target: _measured(graded, target, config, names) for target in TARGETS}
    return {"as_of": now, **lists, "metrics": metrics}


def _measured(graded: pl.DataFrame, target: Target, config: Config, names: Sequence[str]) -> dict[str, Any]:
    rows = graded.with_columns(y=f"y_{target}", p=f"p_{target}").drop_nulls("y")
    draw = {"resamples": 200, "seed": config.seed}
    found = _part(rows, names, config.capacity, draw)
    return found | {"quiet": _part(rows.filter(pl.col("quiet")), names, config.capacity, draw)}


def _part(rows: pl.DataFrame, names: Sequence[str], k: int, draw: dict[str, int]) -> dict[str, Any]:
    """Metrics of some rows; of the rivals only how they rank, since not all of them know a level."""
    found = part(rows, names, k, draw, RIVALS)
    ranking = ("auc", "pr_auc", "top_decile_lift")
    return found | {"gain": {rival: {name: gain[name] for name in ranking} for rival, gain in found["gain"].items()}}
