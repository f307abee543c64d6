"""Ebbtide in a notebook: frames in, frames out, drawings as matplotlib axes. The guide is docs/notebook.md.

Everything here is what the commands do, with pandas at the edges; `training.train` and `models.scoring` do the work.
"""

import json
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
from matplotlib.axes import Axes

from models import registry
from models.clock import now, parse_instant
from models.errors import ArtefactError, ContractError, NaiveTime
from models.history import History
from models.imports.read import Raw, read
from models.imports.run import read_folder
from models.loading import current_model_id, load_model
from models.model import ChurnModel, columns
from models.scorecard import Scorecard, Target
from models.scoring import is_fresh, last_known, score_history
from models.settings import Settings
from training import artefact, frames, plots, predict
from training import config as configs
from training import report as reporting
from training.figures import cards
from training.reading import end_of
from training.tables import predict as of_table
from training.train import Config, Trained, train

#: The tables of the data contract by name, as pandas or Polars frames; a folder of contract files; or a history.
Data = Mapping[str, frames.Frame] | History | str | Path
#: The rows of a wide table: a frame, or a file's path.
Rows = frames.Frame | str | Path
#: An instant: with its offset, or a date (its midnight, UTC).
Moment = datetime | str | None


def fit(
    data: Data,
    *,
    as_of: Moment = None,
    config: Config | Mapping[str, Any] | str | Path | None = None,
    who: str = "",
    progress: Callable[[str], None] = lambda _: None,
) -> "Run":
    """Train on what was known at `as_of` (default: just after the last thing that happened).

    config    what a configuration file may set (docs/training.md), as a mapping, or the file's path
    who       who overrules the leakage guard for the columns of the configuration's `allow_leak`, for the record
    progress  told each step in a few words, for instance `print`
    Raises `ContractError` for data that break the contract or teach nothing, `LeakageError` where a row may know its
    future, `SettingsError` for a configuration that makes no sense.
    """
    known = history(data)
    chosen = config if isinstance(config, Config) else configured(config)
    trained = train(known, moment(as_of) or end_of(known), chosen, progress, who=who, when=now())
    return Run(trained.model, artefact.plain(trained.report), chosen, trained)


def load(model: str | Path | None = None, *, root: Path | str | None = None) -> "Run":
    """Open a stored model: its id, or its folder; default: the one in service.

    root  the artefact store, where not EBBTIDE_ARTIFACTS; whether a signature is needed is EBBTIDE_REQUIRE_SIGNED's say
    Raises `ArtefactError` for a model that is missing, damaged or not trusted.
    """
    settings = Settings.from_environment(os.environ)
    store, name = Path(root) if root is not None else settings.artifacts, str(model) if model is not None else None
    if name is not None and Path(name).is_dir():
        store, name = Path(name).resolve().parent, Path(name).resolve().name
    opened, manifest = load_model(store, name or current_model_id(store), settings.trust)
    return Run(opened, manifest.metrics, None, None)


def score(model: "Run | ChurnModel", data: Data | Rows, as_of: Moment = None, *, top: int = 3) -> pd.DataFrame:
    """Every customer at `as_of`, the likeliest to leave silently first, as `ebbtide predict` writes them.

    The columns are those of `training.predict.COLUMNS`; `reasons` is a list of up to `top` sentences. Money is in the
    currency and at the margin of the settings. By a model of a wide table: its rows in their order, with the columns of
    `training.tables.predict`; `as_of` (default: now) is what dates are measured from where no column says it.
    """
    scored = model.model if isinstance(model, Run) else model
    if scored.of_table:
        raw, name = _table(data)
        rows = of_table.predict_rows(scored, raw, name, "", moment(as_of) or now(), top).rows
    else:
        settings, known = Settings.from_environment(os.environ), history(data)
        rows = predict.predict(scored, known, moment(as_of) or end_of(known), settings.margin, settings.currency, top)
    return rows.to_pandas().assign(reasons=[json.loads(told) for told in rows["reasons"]])


@dataclass(frozen=True)
class Run:
    """A model and everything that was measured about it.

    model   the scorecards and what was frozen with them
    report  plain values, as the manifest keeps them (docs/evaluation.md)
    config, trained  what it was made with and the fitted objects; None for a model that was opened
    """

    model: ChurnModel
    report: Mapping[str, Any]
    config: Config | None = None
    trained: Trained | None = None

    def __repr__(self) -> str:
        said = [f"{self.model.model_id or 'not stored'}: {self.model.status}"]
        if not self.model.of_table:  # phases count silent exits, of which a table knows none
            said.append(f"phase {self.report['phase']}")
        if self.report["cutoff"]:
            said.append(f"known at {self.report['cutoff'][:10]}")
        return f"Run({', '.join(said)})"

    @property
    def verdicts(self) -> list[str]:
        """What the numbers mean, in sentences."""
        return list(self.report["verdicts"])

    def metrics(self, target: Target = "silent") -> pd.DataFrame:
        """Every metric of the forward folds: value, low, high (95 %, by account). Raises `ContractError` where nothing
        was measured."""
        found = self._measured(target)
        rows = {name: found[name] for name in reporting.SHOWN if name in found}
        return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "low", "high"], dtype=float)

    def table(self, target: Target = "silent") -> pd.DataFrame:
        """The whole scorecard, line by line: term, bin, log_odds."""
        lines = [(row.term, row.bin, row.log_odds) for row in self._card(target).describe()]
        return pd.DataFrame(lines, columns=["term", "bin", "log_odds"])

    def scores(self, data: Data | Rows, as_of: Moment = None, *, top: int = 3) -> pd.DataFrame:
        """`score` with this model."""
        return score(self, data, as_of, top=top)

    def explain(self, data: Data | Rows, as_of: Moment = None, target: Target | None = None) -> pd.DataFrame:
        """(accounts, base and terms) log-odds: each row sums to the account's log-odds of `target` (default: silent; of
        a wide table's model, churn), exactly what its score was made of."""
        card = self._card(target or ("churn" if self.model.of_table else "silent"))
        frame, accounts = self._read(data, as_of)
        found = card.contributions(columns(frame, self.model.columns))
        told = pd.DataFrame(found, index=pd.Index(accounts.to_list(), name="account_id"), columns=list(card.names))
        told.insert(0, "base", card.base, allow_duplicates=True)  # a column of a table may be called so, too
        return told

    def _read(self, data: Data | Rows, as_of: Moment) -> tuple[pl.DataFrame, pl.Series]:
        """What the scorecards read, and whose rows they are."""
        if self.model.of_table:
            rows = of_table.ready(self.model, *_table(data), "", moment(as_of) or now())
            return rows.frame, rows.accounts
        known = history(data)
        at = moment(as_of) or end_of(known)
        features = score_history(self.model, known, at, fresh=is_fresh(last_known(known, at), at)).features
        return features, features["account_id"]

    def page(self) -> str:
        """The report, one self-contained HTML file."""
        return reporting.page(self.model, self.report)

    def save(self, root: Path | str | None = None, *, created_at: datetime | None = None) -> str:
        """Store the artefact below `root` (default: EBBTIDE_ARTIFACTS) and return its model id.

        Raises `ArtefactError` for a model that was opened, not fitted: it is stored already.
        """
        if self.trained is None or self.config is None:
            raise ArtefactError(f"The model {self.model.model_id} was opened from a store; it is stored already.")
        settings = Settings.from_environment(os.environ)
        store = Path(root) if root is not None else settings.artifacts
        return artefact.save(self.trained, store, created_at or now(), self.config, None, _signer(settings))

    def shape(self, feature: str, ax: Axes | None = None) -> Axes:
        """What the model has learnt about a feature, for both questions, with the rows it was learnt from."""
        terms = {
            target: term for target, card in cards(self.model).items() for term in card.terms if term.name == feature
        }
        if not terms:
            raise ContractError(f"The model has no term for {feature!r}; `run.table()` lists them.")
        first = next(iter(terms))
        counts = (self.report.get("terms") or {}).get(first, {}).get("terms", {}).get(feature, {}).get("counts")
        unit = self.model.columns[feature].unit if feature in self.model.columns else ""
        return plots.shape(terms, counts, ax, unit=unit)

    def grid(self, name: str, target: Target = "silent", ax: Axes | None = None) -> Axes:
        """What two features do together; `name` as in `run.table()`."""
        found = next((grid for grid in self._card(target).grids if grid.name == name), None)
        if found is None:
            raise ContractError(f"The model has no grid {name!r}; it has {len(self._card(target).grids)} grids.")
        return plots.grid(found, plots.widest(found)[0], ax)

    def weights(self, target: Target = "silent", ax: Axes | None = None, *, most: int = 15) -> Axes:
        """Which terms move the scores most."""
        terms = ((self.report.get("terms") or {}).get(target) or {}).get("terms")
        if terms is None:
            raise ContractError("This model was stored without the weights of its terms; train it again to see them.")
        ranked = sorted(((name, entry["weight"]) for name, entry in terms.items()), key=lambda row: -row[1])
        return plots.weights(ranked[:most], ax, target=target)

    def calibration(self, target: Target = "silent", ax: Axes | None = None) -> Axes:
        """Predicted against observed shares, on forward folds."""
        return plots.calibration(self._measured(target)["reliability"], ax, target=target)

    def captured(self, target: Target = "silent", ax: Axes | None = None, *, of: str = "exits") -> Axes:
        """What working down the list meets: of `exits`, or of the lost `revenue`."""
        name = {"exits": "lift_table", "revenue": "revenue_table"}.get(of)
        table = self._measured(target).get(name) if name else None
        if not table:
            raise ContractError(
                f"There is no curve of {of!r}: it is exits or revenue, and needs to have been measured."
            )
        return plots.captured(table, ax, target=target, of=of if of == "exits" else "lost revenue")

    def months(self, ax: Axes | None = None) -> Axes:
        """The lists that would have been issued, and how many of each left silently."""
        found = self._measured("silent").get("by_month")
        if not found or not found["months"]:
            raise ContractError("No lists by month were measured for this model.")
        return plots.months(found["months"], ax)

    def folds(self, ax: Axes | None = None) -> Axes:
        """What each block of the evaluation learnt from and was tested on."""
        if not self.report.get("folds"):
            raise ContractError("This model was not tested forward in time, so there are no folds.")
        return plots.folds(self.report["folds"]["blocks"], ax)

    def look_back(self, ax: Axes | None = None) -> Axes:
        """How the share of silent exits depends on how far back one listens."""
        if not self.report.get("look_back_curve"):
            raise ContractError("The label was given with the table, so there is no look-back to vary.")
        return plots.look_back(self.report["look_back_curve"], ax, used=self.model.label.look_back_days)

    def _card(self, target: Target) -> Scorecard:
        found = cards(self.model)
        if target not in found:
            raise ContractError(f"The model answers {', '.join(found)}, not {target!r}.")
        return found[target]

    def _measured(self, target: Target) -> Mapping[str, Any]:
        found: Mapping[str, Mapping[str, Any]] = self.report.get("metrics") or {}
        if target not in found and found:
            raise ContractError(f"The model was measured on {' and '.join(found)}, not on {target!r}.")
        if not found:
            raise ContractError(f"Nothing was measured: {' '.join(self.verdicts)}")
        return found[target]


def history(data: Data | Rows) -> History:
    """A history from frames, a folder of contract files, or itself. Raises `ContractError` for frames that break the
    contract; of files, the rows that do are left out with a warning, as the commands leave them out."""
    if isinstance(data, History):
        return data
    if isinstance(data, str | Path):
        found, summary = read_folder(Path(data))
        if summary.rejected:
            told = frames.said(summary.problems, "line")
            warnings.warn(f"{summary.rejected:,} rows break the data contract and are left out. {told}", stacklevel=3)
        return History.from_frames(found)
    if not isinstance(data, Mapping):
        raise ContractError(
            f"A {type(data).__name__} is no history; give the contract's tables by name, such as "
            '{"accounts": frame, "interactions": frame}, or the path of a folder of them.'
        )
    return frames.history_of(data)


def _table(data: object) -> tuple[Raw, str]:
    """The rows of a wide table, and what they are called. Raises `ContractError` for what is none."""
    if isinstance(data, str | Path):
        return read(Path(data)), Path(data).name
    if not isinstance(data, pd.DataFrame | pl.DataFrame):
        raise ContractError(
            f"The model reads rows of a wide table, not a {type(data).__name__}; give a frame of them or a file's path."
        )
    return frames.raw(data, "The frame"), "The frame"


def moment(at: Moment) -> datetime | None:
    """An instant, UTC. Raises `NaiveTime` for a time of day without an offset, `ContractError` for what is no time."""
    if at is None:
        return None
    if isinstance(at, str):
        try:
            return parse_instant(at)
        except ValueError:
            raise ContractError(f"as_of is {at!r}; write a date such as 2026-03-02, or 2026-03-02T08:00:00Z.") from None
    if not isinstance(at, datetime) or pd.isna(at):
        raise ContractError(f"as_of is {at!r}; give a date as text, such as 2026-03-02, or a time with its offset.")
    plain = at.to_pydatetime() if isinstance(at, pd.Timestamp) else at
    if plain.tzinfo is None:
        raise NaiveTime(f"{plain} has no offset; give it one, or pass a date as text.")
    return plain.astimezone(UTC)


def configured(config: Mapping[str, Any] | str | Path | None) -> Config:
    """A configuration from a mapping (as in the TOML file) or from a file; the defaults where there is none. Profit is
    counted at the margin of the settings."""
    margin = Settings.from_environment(os.environ).margin
    if isinstance(config, Mapping):
        return configs.read(dict(config), "The configuration", Path(), margin)
    return configs.load(Path(config) if config is not None else None, margin)


def _signer(settings: Settings) -> registry.SigningKey | None:
    return registry.SigningKey.read(settings.signing_key) if settings.signing_key else None
