"""From a history to a model, step by step; each step returns its result and says what it did.

    snapshots -> labels -> phase -> folds -> features -> leakage guard -> out-of-fold predictions
    -> choice of the kind -> calibration -> metrics -> final fit -> centring -> base rate -> the model and its report

What is usual (`baselines`) is measured twice: for the folds as of the last moment the first fold may learn from, so
that no fold is told its own future; for the model itself as of the cutoff.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from threadpoolctl import threadpool_limits

from models.errors import ContractError, SettingsError, TooFewLabels
from models.features import FEATURES, Baselines, Feature, FeatureSet, compute, measure
from models.health import HealthParams
from models.history import History
from models.labels import LabelParams, exits, label, look_back_curve
from models.model import ChurnModel, columns, usual_values
from models.monitor import reference
from models.schema import CATALOGUE, Column, Schema
from models.scorecard import Scorecard, Target
from models.standing import eligible
from models.voice import source_start
from training import collect, fitting, leakage
from training import expert as experts
from training import measures as own
from training.cross import OutOfFold
from training.deployment import Deployment
from training.describe import chosen, describe
from training.describe_lists import in_service
from training.drifted import drifted
from training.evaluation import measured, tested_rows
from training.fingerprint import history_hash
from training.folds import Folds, forward_folds
from training.forward import Forwarded, final, forwarded
from training.gates import gates
from training.previous import Previous, untested
from training.profit import ProfitParams
from training.snapshots import EVERY_DAYS, excluded, snapshots
from training.tables.declare import TableConfig

Progress = Callable[[str], None]
Announce = Callable[[Sequence[str]], None]
TARGETS: tuple[Target, ...] = ("churn", "silent")
#: How often `train` tells its progress at most.
STEPS = 12
#: How many accounts of a list a team can call, where the configuration does not say.
CAPACITY = 20


@dataclass(frozen=True)
class Config:
    """What a training run may be told; stored with the artefact."""

    every_days: int = EVERY_DAYS
    blocks: int = 4
    groups: int = 4
    seed: int = 0
    label: LabelParams = field(default_factory=LabelParams)
    expert: Path | None = None
    measures: Mapping[str, own.Declared] = field(default_factory=dict)
    #: Columns whose leakage findings are overruled (and recorded) instead of stopping the run.
    allow_leak: tuple[str, ...] = ()
    capacity: int = CAPACITY
    profit: ProfitParams = field(default_factory=ProfitParams)
    #: What is declared of a wide table; a history has none.
    table: TableConfig = field(default_factory=TableConfig)
    deployment: Deployment = field(default_factory=Deployment)

    def __post_init__(self) -> None:
        if self.every_days < 1:
            raise SettingsError("every_days must be at least 1: the days from one snapshot to the next.")
        if self.capacity < 1:
            raise SettingsError("capacity must be at least 1: the number of accounts a team can call from one list.")


@dataclass(frozen=True)
class Trained:
    """A model (without an id yet), what was measured about it, and the fitted objects for data scientists. `tested`:
    target -> every row that some fold tested (account_id, as_of, y, p and the rivals' p), for `training.compare`; empty
    where nothing was fitted."""

    model: ChurnModel
    report: dict[str, Any]
    estimator: dict[str, Any]
    tested: Mapping[Target, pl.DataFrame] = field(default_factory=dict)


@dataclass(frozen=True)
class Rows:
    """Labelled snapshots: `pairs` (account_id, as_of), `labels` aligned with them, and the folds over them."""

    pairs: pl.DataFrame
    labels: pl.DataFrame
    folds: Folds | None
    silent_events: int
    left_out: dict[str, int]
    too_few: str = ""


def train(
    history: History,
    cutoff: datetime,
    config: Config,
    progress: Progress = lambda _: None,
    announce: Announce = lambda _: None,
    who: str = "",
    when: datetime | None = None,
    previous: Previous = Previous(),  # noqa: B008
    *,
    thorough: bool = True,
) -> Trained:
    """Train on what was known at `cutoff`. `announce` is told what the data allow (`training.gates`) before any fit,
    and what the leakage guard doubts. `who` overrules it, `when`, for the columns of `config.allow_leak`.
    `previous` is the model in service, to be compared with. Not `thorough` is the same model without the guard, the
    measuring and the reference for monitoring: for a back-test, which fits many and grades them itself.

    Raises `LeakageError` before any fit if a row may know its future, and `ContractError` for a history
    nothing can be learnt from, or that ends so long before `cutoff` that nobody knows who has left since.
    """
    _refuse_beyond(history, cutoff, config)
    # The fits run side by side; threads inside each would only wait for one another.
    with threadpool_limits(limits=1, user_api="blas"):
        return _train(
            history.known_at(cutoff), cutoff, config, progress, announce, who, when, previous, thorough=thorough
        )


def _refuse_beyond(history: History, cutoff: datetime, config: Config) -> None:
    """Time without data would count as time in which everybody stayed."""
    end = history.last_event(planned=False)
    if end is not None and cutoff > end + (grace := timedelta(days=config.label.maturity_days)):
        raise ContractError(
            f"The last contact or survey is of {end:%Y-%m-%d}; who has left by {cutoff:%Y-%m-%d} is not known. "
            f"Train as of {end + grace:%Y-%m-%d} at the latest."
        )


def _train(
    known: History,
    cutoff: datetime,
    config: Config,
    progress: Progress,
    announce: Announce,
    who: str,
    when: datetime | None,
    previous: Previous,
    *,
    thorough: bool,
) -> Trained:
    expert = experts.load(config.expert)
    declared = own.of_history(known, config.measures)
    leakage.named(config.allow_leak, [*FEATURES.names, *(feature.name for feature in declared)])
    progress("taking snapshots and labelling them")
    rows = _rows(known, cutoff, config)
    allowed = _gates(known, cutoff, config, rows)
    announce(allowed["sentences"])
    phase = allowed["phase"]
    if phase == "P0":
        return _day_one(known, cutoff, config, expert, rows, progress, allowed, previous)
    assert rows.folds is not None
    asked = FeatureSet([*FEATURES, *declared])
    progress(f"computing {len(asked)} features at {rows.pairs.height:,} snapshots")
    usual = measure(known, min(fold.train_to for fold in rows.folds))
    fold_matrix = _matrix(known, rows, usual, asked)
    measures = own.shaped(fold_matrix, declared)
    features = FeatureSet([*FEATURES, *measures])
    checked: dict[str, Any] = {}
    if thorough:
        progress("checking that no row knows its future")
        checked = leakage.check(
            known,
            fold_matrix,
            rows.folds,
            config.label,
            recompute=lambda h, p: compute(h, p, usual, asked),
            features=asked.names,
            allowed=config.allow_leak,
            who=who,
            when=when,
            seed=config.seed,
        )
        announce(checked["sentences"])
    forward = forwarded(fold_matrix, rows.folds, expert, phase, features, config.seed, progress, priced=thorough)
    progress("fitting on everything")
    baselines = measure(known, cutoff)
    matrix = _matrix(known, rows, baselines, features)
    today = _today(known, cutoff, config, baselines, features) if config.deployment.estimate else None
    fits, shifts = final(forward, matrix, today, expert, features, config.deployment, config.seed)
    model = _model(fits, matrix, baselines, config, phase, _status(phase, forward), measures)
    estimator = {"fits": fits, "features": list(features.names)}
    if not thorough:
        return Trained(model, {"phase": phase, "gates": allowed}, estimator)
    progress("measuring, with intervals by account")
    predictions = [each.made for each in forward]
    tested = {made.target: tested_rows(fold_matrix, made, config.label.look_back_days) for made in predictions}
    evaluated, against_previous = measured(
        known, cutoff, tested, config.label, previous, capacity=config.capacity, profit=config.profit, seed=config.seed
    )
    report = _report(known, cutoff, rows, phase, evaluated, predictions, config.label.look_back_days)
    report |= {
        "selection": {each.made.target: each.selection.report for each in forward},
        "calibration": {each.made.target: each.calibrated.report for each in forward},
        "additive_cost": {each.made.target: each.cost for each in forward if each.cost},
        "deployment": {moved.target: moved.report for moved in shifts},
        "leakage": checked,
        "gates": allowed,
        "previous": against_previous | drifted(previous, model, known, cutoff, config.capacity),
    } | _drawn(model, matrix, rows)
    report["verdicts"] += [*chosen(report["selection"]), *in_service(against_previous)]
    report["measures"] = {"used": [feature.name for feature in measures], "left_out": own.left_out(declared, measures)}
    progress("measuring what is normal, to tell later what is not")
    model = replace(model, reference=_reference(model, known, cutoff, rows.labels))
    return Trained(model, report, estimator, tested)


def _rows(known: History, cutoff: datetime, config: Config) -> Rows:
    try:
        pairs = snapshots(known, cutoff, config.every_days, config.label)
    except TooFewLabels as error:
        empty = pl.DataFrame(schema={"account_id": pl.String, "as_of": pl.Datetime("us", "UTC")})
        return Rows(empty, label(known, empty, cutoff, config.label), None, 0, {}, str(error))
    labels = label(known, pairs, cutoff, config.label)
    usable = labels["y_churn"].is_not_null()
    left_out = {**excluded(known, cutoff, config.every_days, config.label)}
    for outcome, count in labels.filter(~usable).group_by("outcome").len().sort("outcome").iter_rows():
        left_out[outcome] = count
    pairs, labels = pairs.filter(usable), labels.filter(usable)
    silent = labels.filter(pl.col("y_silent") == 1)["account_id"].n_unique()
    too_few = ""
    try:
        # The first block is tested by fits on a quarter of the moments: on less, folds say little about the model.
        least = max(3, pairs["as_of"].n_unique() // 4)
        folds = forward_folds(
            pairs,
            known.accounts,
            config.label,
            blocks=config.blocks,
            groups=config.groups,
            least=least,
            seed=config.seed,
        )
    except TooFewLabels as error:
        folds, too_few = None, str(error)
    if folds is not None and not any(len(fold.train) and len(fold.test) for fold in folds):
        folds, too_few = None, "All accounts belong to one family, so none can be tested on."
    return Rows(pairs, labels, folds, silent, left_out, too_few)


def _gates(known: History, cutoff: datetime, config: Config, rows: Rows) -> dict[str, Any]:
    """What these rows allow; without folds nothing that was fitted could be tested, so nothing is."""
    since = source_start(known, "interactions", cutoff)
    blocked = "" if rows.folds else rows.too_few
    return gates(rows.labels, exits(known, cutoff, config.label), since, cutoff, blocked, config.label)


def _matrix(known: History, rows: Rows, baselines: Baselines, features: FeatureSet) -> pl.DataFrame:
    """Features and facts of every snapshot with its labels."""
    found = compute(known, rows.pairs, baselines, features)
    return found.hstack(rows.labels.select("outcome", "subtype", "decided_at", "y_churn", "y_silent"))


def _today(
    known: History, cutoff: datetime, config: Config, baselines: Baselines, features: FeatureSet
) -> pl.DataFrame:
    """Everybody who is a customer at the cutoff, with features: what a base rate can be estimated from."""
    return compute(known, eligible(known, cutoff, config.label).select("account_id", "as_of"), baselines, features)


def _model(
    cards: list[Scorecard],
    matrix: pl.DataFrame,
    baselines: Baselines,
    config: Config,
    phase: str,
    status: str,
    measures: Sequence[Feature] = (),
) -> ChurnModel:
    churn, silent = cards
    schema = Schema("history", tuple(map(Column.of, measures))) if measures else CATALOGUE
    return ChurnModel(
        churn=churn,
        silent=silent,
        health=HealthParams.for_base(churn.base),
        label=config.label,
        baselines=baselines,
        usual=usual_values(matrix, schema),
        status=status,
        phase=phase,
        fingerprints=schema.fingerprints(),
        columns=schema,
    )


def _status(phase: str, forward: Sequence[Forwarded]) -> str:
    if phase == "P1":
        return "expert prior, recalibrated on your exits"
    pairs = ", with pairs of features" if any(each.selection.kind == "pairs" for each in forward) else ""
    return f"fitted on your exits, held towards the expert prior{pairs}"


def _day_one(
    known: History,
    cutoff: datetime,
    config: Config,
    expert: experts.Expert,
    rows: Rows,
    progress: Progress,
    allowed: dict[str, Any],
    previous: Previous,
) -> Trained:
    """The expert's tables, centred on today's accounts, with the assumed base rates: no labels needed."""
    progress("too little to fit on: the expert's scorecard serves")
    baselines = measure(known, cutoff)
    today = eligible(known, cutoff, config.label).select("account_id", "as_of")
    features = compute(known, today, baselines)
    if not features.height:
        raise TooFewLabels("No account is a customer at the cutoff, so there is nobody to score.")
    cards = []
    for target in TARGETS:
        assumed = expert.base_rate_churn if target == "churn" else expert.base_rate_silent
        rate = config.deployment.declared(target) or assumed
        cards.append(fitting.centred(fitting.with_base_rate(expert.scorecard(target), features, rate), features))
    model = _model(cards, features, baselines, config, "P0", experts.STATUS)
    report = _report(known, cutoff, rows, "P0", None, []) | {"gates": allowed} | _drawn(model, features, None)
    report["previous"] = untested(previous) | drifted(previous, model, known, cutoff, config.capacity)
    model = replace(model, reference=_reference(model, known, cutoff, None))
    return Trained(model, report, {"features": list(FEATURES.names)})


def _reference(
    model: ChurnModel, known: History, cutoff: datetime, labels: pl.DataFrame | None
) -> dict[str, Any] | None:
    """What `models.monitor` compares the present with, plain; None where nobody is a customer at the cutoff."""
    taken = reference.take(model, known, cutoff, labels)
    return None if taken is None else taken.to_plain()


def _report(
    known: History,
    cutoff: datetime,
    rows: Rows,
    phase: str,
    evaluated: dict[str, Any] | None,
    predictions: list[OutOfFold],
    look_back_days: int = 90,
) -> dict[str, Any]:
    quality = None
    if evaluated is not None:
        quality = describe(evaluated["churn"], evaluated["silent"], look_back_days=look_back_days)
    described = known.accounts.filter(~pl.col("is_test"))
    return {
        "phase": phase,
        "cutoff": cutoff,
        "data": {
            "accounts": described.height,
            "test_accounts": known.accounts.height - described.height,
            "interactions": known.interactions.height,
            "surveys": known.surveys.height,
            "orphan_accounts": known.orphans()["account_id"].n_unique(),
            "from": known.interactions["opened_at"].min(),
            "to": known.interactions["opened_at"].max(),
            "has_contract_history": known.contracts.height > 0,
            "sha256": history_hash(known),
        },
        "rows": {
            "snapshots": rows.pairs.height,
            "accounts": rows.pairs["account_id"].n_unique(),
            "moments": rows.pairs["as_of"].n_unique(),
            "silent_events": rows.silent_events,
            "churn_events": rows.labels.filter(pl.col("y_churn") == 1)["account_id"].n_unique(),
            "left_out": rows.left_out,
            "subtypes": _subtypes(rows.labels),
        },
        "look_back_curve": look_back_curve(known).to_dicts(),
        "tau": {
            made.target: {"final": made.chosen.final, "by_block": dict(made.chosen.by_block)} for made in predictions
        },
        "metrics": evaluated,
        "service_signal": None if quality is None else quality.verdict,
        "verdicts": _unmeasured(rows, phase) if quality is None else list(quality.sentences),
    }


def _subtypes(labels: pl.DataFrame) -> dict[str, int]:
    """What silent exits looked like: each exit counts once, however often it was looked at before."""
    exits = labels.drop_nulls("subtype").unique(["account_id", "decided_at"])
    return dict(exits["subtype"].sort().value_counts(sort=True).iter_rows())


def _drawn(model: ChurnModel, learnt: pl.DataFrame, rows: Rows | None) -> dict[str, Any]:
    """What only the report's drawings need: of the rows learnt from, and of the folds they were tested on."""
    cards = {str(target): card for target, card in model.cards.items()}
    return {
        "folds": rows and collect.folds(rows.folds, rows.pairs),
        "terms": collect.terms(cards, columns(learnt, model.columns)),
    }


def _unmeasured(rows: Rows, phase: str) -> list[str]:
    why = rows.too_few or (
        f"{rows.silent_events} accounts are known to have left silently; from {fitting.P1_EVENTS} on, {phase} ends "
        "and the probabilities are calibrated on your own exits."
    )
    return [
        f"Nothing was fitted and nothing tested: the expert's scorecard serves, its probabilities uncalibrated. {why}"
    ]
