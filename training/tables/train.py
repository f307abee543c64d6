"""From a wide table to a model, step by step.

    types shown -> cells read -> leakage guard -> folds -> out-of-fold predictions beside the rivals' -> metrics
    -> fit on everything -> the model and its report

There is one outcome: who leaves. A table says nothing about who complained before, so there is no silent scorecard.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from threadpoolctl import threadpool_limits

from models.errors import SettingsError
from models.features import DEFAULT
from models.health import HealthParams, expit
from models.imports.read import FILE, LINE, Raw
from models.labels import DEFAULTS
from models.model import ChurnModel, columns, usual_values
from models.progress import Tell, unheard
from models.schema import Schema
from models.scorecard import Columns
from training import collect, leakage
from training.additive import fitter
from training.calibration import Calibrated, Forward, calibrate
from training.deployment import shift_of_table
from training.describe import corrected, describe_table
from training.describe_lists import table_in_service
from training.fingerprint import content_hash
from training.metrics import evaluate
from training.previous import Previous
from training.tables import previous
from training.tables.folds import Fold, folds, is_timed
from training.tables.infer import Inferred
from training.tables.read import Names, Table, load, table
from training.tables.rivals import rivals
from training.train import Config, Trained

Announce = Callable[[Sequence[str]], None]
Floats = npt.NDArray[np.float64]

STATUS = "fitted on a table"
#: Phases count silent exits, of which a table knows none.
PHASE = "table"
RIVALS = ("base", "logistic", "boosting")


@dataclass(frozen=True)
class Overruling:
    """Who vouches for the columns of `config.allow_leak`, and when."""

    who: str = ""
    when: datetime | None = None


def train(
    path: Path,
    names: Names,
    config: Config,
    progress: Tell = unheard,
    announce: Announce = lambda _: None,
    overruling: Overruling = Overruling(),
    served: Previous = Previous(),  # noqa: B008
) -> Trained:
    """Train on a file. `announce` is told the columns' types before anything else is done with them.
    `served` is the model in service, to be compared with (`training.tables.previous.in_service`).

    Raises `ContractError` for columns or cells that cannot be used as they are, `LeakageError` before any fit for
    columns that know the label, `TooFewLabels` for too little to learn from, and `SettingsError` for what cannot be
    declared of a table.
    """
    if config.deployment.estimate or config.deployment.base_rate_silent is not None:
        raise SettingsError("Of a wide table, [deployment] may declare base_rate_churn and nothing else.")
    progress("reading the table")
    raw, found = load(path, names, config.table)
    announce(shown(found))
    made = table(raw, found, names, config.table)
    announce(counted(made))
    with threadpool_limits(limits=1, user_api="blas"):
        trained = _train(made, names, config, progress, announce, overruling, served)
    trained.report["data"]["sha256"] = file_hash(raw)
    return trained


def file_hash(raw: Raw) -> str:
    """What names the data: the cells as they were read, whatever the order of rows and columns."""
    return content_hash({"table": raw.frame.drop(LINE, FILE)})


def _train(
    made: Table,
    names: Names,
    config: Config,
    progress: Tell,
    announce: Announce,
    overruling: Overruling,
    served: Previous,
) -> Trained:
    progress("checking that no column knows the label")
    checked = _guarded(made, names, config, overruling)
    announce(checked["sentences"])
    cut = folds(made.y, made.groups, made.moments, config.table.horizon_days, config.seed)
    members = len(config.table.members)
    # Told so far: reading, checking, this; to come: every fold's members, card and rivals, measuring, the fit.
    progress("dealing the rows into folds", 3 + len(cut) * (members + 2) + 2 + members + 1)
    read = columns(made.frame, made.schema)
    out = _out_of_fold(made, read, cut, config, progress)
    tested, predicted = out.rows, out.p
    progress("measuring, with intervals by group")
    rows = _tested_rows(made, tested, predicted)
    evaluated = evaluate(rows, against=RIVALS, k=config.capacity, seed=config.seed)
    before = previous.compare(served, made.frame[tested], made.schema, rows, k=config.capacity, seed=config.seed)
    progress("fitting on everything")
    fitted = _fit(made.schema, read, made.y, made.groups, config, progress)
    card = out.calibrated.final.applied(fitted.card) if out.calibrated else fitted.card
    moved = shift_of_table(card, read, made.y, config.deployment)
    card = moved.applied(card)
    model = ChurnModel(
        churn=card,
        silent=None,
        health=HealthParams.for_base(card.base),
        label=DEFAULTS,
        baselines=DEFAULT,
        usual=usual_values(made.frame, made.schema),
        status=STATUS,
        phase=PHASE,
        fingerprints=made.schema.fingerprints(),
        columns=made.schema,
    )
    report = _report(made, names, evaluated, checked, len(cut)) | {
        "terms": collect.terms({"churn": card}, read),
        "fit": fitted.report,
        "deployment": {"churn": moved.report},
        "previous": before,
        **({"calibration": {"churn": out.calibrated.report}} if out.calibrated else {}),
    }
    report["verdicts"] += [*corrected(report.get("calibration", {})), *table_in_service(before)]
    return Trained(model, report, {"fitted": fitted.estimator, "columns": list(made.schema.names)})


def shown(found: Sequence[Inferred]) -> list[str]:
    """The columns' types as lines of one width."""
    wide = max(len(column.name) for column in found) if found else 0
    kinds = max(len(column.kind) for column in found) if found else 0
    return [
        f"{c.name:<{wide}}  {c.kind:<{kinds}}  {c.known:>9,} known  {c.distinct:>9,} differ  {c.note}".rstrip()
        for c in found
    ]


def counted(made: Table) -> list[str]:
    """What there was in the file, in sentences."""
    counts = made.counts
    rows, left = counts["rows"], counts["events"]
    told = [f"{rows:,} labelled rows, {left:,} of them left; kept on one side of every split: {counts['grouped_by']}"]
    for name, text in (
        ("without_label", "rows without a label are left out"),
        ("not_rows_count", "records are no rows and were passed over"),
        ("nameless_columns", "columns have no name and are left out"),
        ("repeated_rows", "rows repeat another one exactly, label included"),
        ("conflicting_rows", "rows are alike in every column and differ in the label"),
        ("repeated_accounts", "rows are further rows of an account"),
    ):
        if counts[name]:
            told.append(f"{counts[name]:,} {text}")
    return [*told, _stayed(counts)] if counts.get("stayed_cells_count", 0) > 1 else told


def _stayed(counts: Mapping[str, Any]) -> str:
    """More than one cell that means stayed: one of them may mean that nobody knows."""
    cells = ", ".join(f"{cell!r} ({rows:,})" for cell, rows in counts["stayed_cells"].items())
    more = counts["stayed_cells_count"] - len(counts["stayed_cells"])
    return (
        f"stayed, by {counts['stayed_cells_count']:,} different cells of the label: {cells}"
        f"{f' and {more:,} more' if more else ''}; if one of them means unknown, "
        "name it as missing in the label's [columns.NAME] of the configuration"
    )


def _guarded(made: Table, names: Names, config: Config, overruling: Overruling) -> dict[str, Any]:
    # No feature has the name of one of the table's roles, so sentences may say them; the others are nobody's.
    moment = names.moment or "\0as_of of the configuration"
    frame = made.frame.with_columns(
        pl.Series(names.label, made.y), pl.Series("\0group", made.groups), made.moments.alias(moment)
    )
    timed = None if made.moments.has_nulls() else moment
    ago = [column.name for column in made.schema.columns if column.form == "date"]
    found = leakage.examine(frame, made.schema.names, names.label, "\0group", as_of=timed, ago=ago, seed=config.seed)
    return leakage.require(found, config.allow_leak, overruling.who, overruling.when)


def _fit(
    schema: Schema,
    read: Columns,
    y: Floats,
    groups: npt.NDArray[np.int64],
    config: Config,
    progress: Callable[[str], None],
) -> fitter.Fitted:
    directions = {column.name: column.churn for column in schema.columns if column.churn}
    members, seed = config.table.members, config.seed
    return fitter.fit(read, y, groups, directions=directions, seed=seed, members=members, progress=progress)


@dataclass(frozen=True)
class _OutOfFold:
    """Positions of the tested rows, ascending; their probabilities by the model and its rivals; and, forward in time,
    what later labels said about level and slope of the model's."""

    rows: npt.NDArray[np.intp]
    p: dict[str, Floats]
    calibrated: Calibrated | None


def _out_of_fold(
    made: Table, read: Columns, cut: Sequence[Fold], config: Config, progress: Callable[[str], None]
) -> _OutOfFold:
    parts: list[dict[str, Floats]] = []
    for number, fold in enumerate(cut, 1):

        def told(what: str, number: int = number) -> None:
            progress(f"fold {number} of {len(cut)}: {what}")

        learnt = {name: values[fold.train] for name, values in read.items()}
        fitted = _fit(made.schema, learnt, made.y[fold.train], made.groups[fold.train], config, told)
        told("the models it is measured against")
        asked = {name: values[fold.test] for name, values in read.items()}
        parts.append(
            {"z": fitted.card.log_odds(asked)} | rivals(made.frame, made.y, fold.train, fold.test, config.seed)
        )
    where = np.concatenate([fold.test for fold in cut])
    order = np.argsort(where)
    found = {name: np.concatenate([part[name] for part in parts])[order] for name in ("z", *RIVALS)}
    rows, z = where[order], found.pop("z")
    calibrated = None
    if is_timed(made.moments):
        block = np.concatenate([np.full(len(fold.test), fold.block) for fold in cut])[order]
        before = {fold.block: fold.told for fold in cut}
        nobody = np.full(len(rows), None, dtype=object)
        calibrated = calibrate(Forward(z, made.y[rows], made.groups[rows], nobody, block, before))
        z = calibrated.z
    return _OutOfFold(rows, {"p": expit(z), **found}, calibrated)


def _tested_rows(made: Table, tested: npt.NDArray[np.intp], predicted: dict[str, Floats]) -> pl.DataFrame:
    """As `training.metrics.evaluate` reads them. Rows of one group are drawn together, as those of an account are."""
    once = pl.Series([0]).new_from_index(0, len(tested))
    return pl.DataFrame(
        {
            "account_id": pl.Series(made.groups[tested]).cast(pl.String),
            "as_of": once if made.moments.has_nulls() else made.moments.gather(tested),
            "y": made.y[tested],
            "p": predicted["p"],
            **{f"p_{name}": predicted[name] for name in RIVALS},
        }
    )


def _report(made: Table, names: Names, evaluated: dict[str, Any], checked: dict[str, Any], fits: int) -> dict[str, Any]:
    first, last = made.moments.min(), made.moments.max()
    return {
        "phase": PHASE,
        "cutoff": last,
        "label": {"column": names.label, "id": names.identity or None, "as_of_column": names.moment or None},
        "data": {"accounts": made.counts["accounts"], "from": first, "to": last},
        "rows": {
            "snapshots": made.counts["rows"],
            "accounts": made.counts["accounts"],
            "churn_events": made.counts["events"],
            "left_out": {"without_label": made.counts["without_label"]} if made.counts["without_label"] else {},
        },
        "table": {
            **made.counts,
            "columns": [
                {"name": c.name, "type": c.kind, "known": c.known, "distinct": c.distinct, "note": c.note}
                for c in made.inferred
            ],
            "folds": fits,
            "tested": "forward in time" if is_timed(made.moments) else "random groups",
        },
        "leakage": checked,
        "metrics": {"churn": evaluated},
        "verdicts": [*describe_table(evaluated), *checked["sentences"]],
    }
