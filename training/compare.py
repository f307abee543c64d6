"""Champion against challenger, on the same rows, so that what is hard for both cancels.

    forward   both models as they are stored, on rows that lie after both were trained: as_of >= the later cutoff
    folds     both configurations, fitted anew on the same forward folds of one history

A stored model must not be asked about rows it may have learnt from. What a model trained at cutoff C knows of any exit
happened before C; a row with as_of >= C asks about decisions after C + blackout. So rows from the later of the two
cutoffs on are new to both, exactly as the tested rows of a forward fold are (`training.folds`). Their labels can be
trusted once blackout + horizon + maturity have passed, 134 days by default; before that there is nothing to compare
the models themselves on, only their configurations.

Differences are measured on the same draws of accounts (paired bootstrap); positive is better. The verdict is about the
challenger: worse where the interval of a difference in log loss or AUC lies below zero for either question, better
where one lies above zero for the silent exits and nothing is worse.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from models import registry
from models.clock import parse_instant
from models.errors import ArtefactError, ContractError
from models.features import compute
from models.history import History
from models.labels import label
from models.model import ChurnModel
from models.registry.comparisons import How, Verdict
from models.scorecard import Target
from models.scoring import is_quiet, score_features
from training import config as configs
from training.artefact import plain
from training.fingerprint import history_hash
from training.metrics import evaluate
from training.reproduce import vouched
from training.snapshots import EVERY_DAYS, snapshots
from training.train import TARGETS, Config, train

Progress = Callable[[str], None]

#: Accounts that left silently on the common rows; with fewer, the intervals say nothing.
LEAST_EXITS = 10
#: What the verdict rests on.
JUDGED = ("log_loss", "auc")


@dataclass(frozen=True)
class Entrant:
    """A model in a comparison: as stored, with what its artefact says."""

    model: ChurnModel
    manifest: registry.Manifest

    @property
    def cutoff(self) -> datetime:
        """What it was trained on was known then. Raises `ArtefactError` where nobody wrote it down."""
        told = self.manifest.metrics.get("cutoff")
        if not isinstance(told, str):
            raise ArtefactError(f"The artefact {self.manifest.model_id} does not say what it was trained on.")
        return parse_instant(told)


@dataclass(frozen=True)
class Compared:
    """What a comparison found. `targets`: target -> `champion`, `challenger` (as `training.metrics.evaluate`) and
    `gain`, `quiet_gain` of the challenger (metric -> {value, low, high}); empty where there was too little."""

    how: How
    verdict: Verdict
    sentence: str
    rows: int
    exits: int
    data_hash: str
    targets: Mapping[str, Any]

    def to_plain(self) -> dict[str, Any]:
        """JSON values."""
        found: dict[str, Any] = plain(asdict(self))
        return found

    def to_record(self, champion: str, challenger: str, when: str, who: str) -> registry.Comparison:
        """What the artefact store keeps of it."""
        gains = plain({target: found["gain"] for target, found in self.targets.items()})
        return registry.Comparison(
            champion, challenger, self.how, self.verdict, self.sentence, gains, self.rows, self.exits, self.data_hash,
            when, who,
        )  # fmt: skip


def forward(
    champion: Entrant, challenger: Entrant, history: History, at: datetime, progress: Progress = lambda _: None
) -> Compared:
    """Compare two stored models on what was known at `at`, from the later of their cutoffs on.

    Raises `ContractError` for models that predict different things or do not read histories.
    """
    check_comparable(champion, challenger)
    params = challenger.model.label
    known, since = history.known_at(at), max(champion.cutoff, challenger.cutoff)
    progress("taking snapshots after both were trained, and labelling them")
    every = (challenger.manifest.config or {}).get("every_days", EVERY_DAYS)
    rows = _labelled(known, at, since, every, challenger)
    hashed = history_hash(known)
    exits = _exits(rows)
    if exits < LEAST_EXITS:
        sentence = (
            f"Too little to tell: of the customers looked at from {since:%Y-%m-%d} on, when both models were trained, "
            f"{exits} are known to have left silently, and {LEAST_EXITS} are needed; labels can be trusted "
            f"{params.settled.days} days after a look. Compare the configurations on the same folds instead: --refit."
        )
        return Compared("forward", "too_little", sentence, rows.height, exits, hashed, {})
    progress("scoring them with both models")
    scored = {name: _scored(e.model, known, rows) for name, e in (("champion", champion), ("challenger", challenger))}
    tested: dict[Target, pl.DataFrame] = {}
    for target in TARGETS:
        predicted = {name: pl.Series(f"p_{name}", frame[f"p_{target}"]) for name, frame in scored.items()}
        facts = rows.with_columns(pl.col(f"y_{target}").alias("y"), *_facts(scored["challenger"], challenger.model))
        both = facts.with_columns(predicted["champion"], predicted["challenger"].alias("p"))
        tested[target] = both.filter(pl.col("y").is_not_null())
    progress("measuring, with intervals by account")
    return judge("forward", tested, hashed)


def refitted(
    champion: registry.Manifest,
    challenger: registry.Manifest,
    history: History,
    at: datetime,
    progress: Progress = lambda _: None,
    tested_before: Mapping[Target, pl.DataFrame] | None = None,
) -> Compared:
    """Fit both configurations anew on the same forward folds of what was known at `at`, and compare what these predict.

    Snapshots, folds and seed are the challenger's. `tested_before`: what its folds predicted, where they were fitted on
    this history before. Raises `ArtefactError` where a manifest does not hold its
    configuration, `ContractError` where the label differs.
    """
    if dict(champion.label) != dict(challenger.label):
        raise ContractError(_different(champion, challenger))
    tested: dict[str, Mapping[Target, pl.DataFrame]] = {} if tested_before is None else {"challenger": tested_before}
    with TemporaryDirectory() as folder:
        shared = _config(challenger, Path(folder) / "shared")
        for name, manifest in (("champion", champion), ("challenger", challenger)):
            if name in tested:
                continue
            own = _config(manifest, Path(folder) / name)
            config = replace(
                own, every_days=shared.every_days, blocks=shared.blocks, groups=shared.groups, seed=shared.seed
            )
            who, when = vouched(manifest)
            progress(f"fitting the {name}'s configuration on every fold")
            tested[name] = train(history, at, config, progress, who=who, when=when).tested
    hashed = history_hash(history.known_at(at))
    if not tested["champion"] or not tested["challenger"]:
        sentence = (
            "Too little to tell: this history holds too few exits to fit on, so there are no folds to compare on."
        )
        return Compared("folds", "too_little", sentence, 0, 0, hashed, {})
    both: dict[Target, pl.DataFrame] = {target: _beside(tested, target) for target in TARGETS}
    return judge("folds", both, hashed)


def judge(how: How, tested: Mapping[Target, pl.DataFrame], data_hash: str) -> Compared:
    """The verdict on rows with y, p (the challenger's) and p_champion, per target."""
    targets: dict[str, Any] = {target: _measured(rows) for target, rows in tested.items()}
    silent = targets["silent"]
    verdict, why = _verdict(targets)
    exits, rows = silent["challenger"]["n_events"], silent["challenger"]["n_rows"]
    basis = f"{rows:,} looks at {silent['challenger']['n_accounts']:,} accounts, {exits} of which left silently"
    return Compared(how, verdict, f"{why} ({basis}).", rows, exits, data_hash, targets)


def _measured(rows: pl.DataFrame) -> dict[str, Any]:
    other = rows.drop("p").rename({"p_champion": "p"})
    challenger = evaluate(rows, against=("champion",))
    champion = evaluate(other)
    quiet = challenger.get("quiet", {}).get("gain", {}).get("champion", {})
    return {
        "champion": champion,
        "challenger": challenger,
        "gain": challenger["gain"]["champion"],
        "quiet_gain": quiet,
    }


def _verdict(targets: Mapping[str, Any]) -> tuple[Verdict, str]:
    for target, words in (("silent", "silent exits"), ("churn", "exits")):
        for name in JUDGED:
            gain = targets[target]["gain"][name]
            if gain["high"] is not None and gain["high"] < 0:
                return "worse", f"The challenger is worse on {words}: {_said(name, gain)}"
    for name in JUDGED:
        gain = targets["silent"]["gain"][name]
        if gain["low"] is not None and gain["low"] > 0:
            return "better", f"The challenger is better on silent exits: {_said(name, gain)}"
    gain = targets["silent"]["gain"]["log_loss"]
    return "tie", f"No difference that can be told on silent exits: {_said('log_loss', gain)}"


def _said(name: str, gain: Mapping[str, float | None]) -> str:
    title = {"log_loss": "gain in log loss", "auc": "gain in AUC"}[name]
    value, low, high = (gain[key] for key in ("value", "low", "high"))
    if value is None or low is None or high is None:
        return f"{title} undefined"
    return f"{title} {value:+.4f}, 95 % interval {low:+.4f} to {high:+.4f}"


def check_comparable(champion: Entrant, challenger: Entrant) -> None:
    """Raise `ContractError` for models that predict different things, or that read a table."""
    if champion.model.label != challenger.model.label:
        raise ContractError(_different(champion.manifest, challenger.manifest))
    for entrant in (champion, challenger):
        if entrant.model.columns.source != "history":
            raise ContractError(f"The model {entrant.manifest.model_id} reads a table, not a history.")


def _different(champion: registry.Manifest, challenger: registry.Manifest) -> str:
    names = [n for n in {**champion.label, **challenger.label} if champion.label.get(n) != challenger.label.get(n)]
    return f"The two models predict different things, so they cannot be compared: {', '.join(names)} differs."


def _labelled(known: History, at: datetime, since: datetime, every: int, entrant: Entrant) -> pl.DataFrame:
    """account_id, as_of, y_churn, y_silent, decided_at of the rows after both were trained."""
    pairs = snapshots(known, at, every, entrant.model.label).filter(pl.col("as_of") >= since)
    labels = label(known, pairs, at, entrant.model.label)
    return pairs.hstack(labels.select("y_churn", "y_silent", "decided_at")).filter(pl.col("y_churn").is_not_null())


def _exits(rows: pl.DataFrame) -> int:
    return rows.filter(pl.col("y_silent") == 1)["account_id"].n_unique()


def _scored(model: ChurnModel, known: History, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows' features by the model's own measure of what is usual, and its probabilities."""
    features = compute(known, rows.select("account_id", "as_of"), model.baselines, model.columns.features)
    return features.hstack(score_features(model, features).select("p_churn", "p_silent"))


def _facts(scored: pl.DataFrame, model: ChurnModel) -> list[pl.Series]:
    quiet = is_quiet(scored["days_since_voice"], model.label.look_back_days)
    return [scored["segment"], scored["mrr_now"].cast(pl.Float64).alias("mrr"), quiet.alias("quiet")]


def _beside(tested: Mapping[str, Mapping[Target, pl.DataFrame]], target: Target) -> pl.DataFrame:
    """The challenger's tested rows with what the champion's configuration predicted for the same ones."""
    champion = tested["champion"][target].select("account_id", "as_of", p_champion="p")
    return tested["challenger"][target].join(champion, on=["account_id", "as_of"], how="inner", validate="1:1")


def _config(manifest: registry.Manifest, folder: Path) -> Config:
    if manifest.config is None:
        raise ArtefactError(f"The artefact {manifest.model_id} does not hold its configuration; train it again.")
    folder.mkdir()
    return configs.from_plain({n: v for n, v in manifest.config.items() if n != "as_of"}, folder)
