"""The churn model: two scorecards and everything that was frozen with them.

What is saved is what is served: tables, numbers and names. The feature definitions it was fitted on are
remembered by their fingerprints, so that code which would compute something else is noticed.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from models.errors import ArtefactError, TableModel
from models.features import Baselines
from models.health import HealthParams, check_reference
from models.labels import LabelParams
from models.schema import CATALOGUE, Schema
from models.scorecard import Columns, Scorecard, Target

#: The key of `usual` that serves segments nobody has seen.
OVERALL = ""


@dataclass(frozen=True)
class ChurnModel:
    """Two scorecards (`churn`: any voluntary exit, drives health; `silent`: drives the list; a model of a table has the
    first only, and no label or baselines of its own), the reference risk and bands, the label's parameters, what is
    usual (for features: `baselines`; for sentences: `usual`, segment -> column -> mean), how it came to be (`status`,
    in words; `phase`, P0 to P3, or `table`), the columns it reads, and what was normal then
    (`reference`, plain, for `models.monitor`; None in artefacts that keep none)."""

    churn: Scorecard
    silent: Scorecard | None
    health: HealthParams
    label: LabelParams
    baselines: Baselines
    usual: Mapping[str, Mapping[str, float]]
    status: str
    phase: str
    fingerprints: Mapping[str, str]
    model_id: str = ""
    columns: Schema = CATALOGUE
    reference: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        check_reference(self.churn.base, self.health)
        if (self.silent is None) != self.of_table:
            raise ArtefactError("A model of histories has two scorecards, a model of a table has one.")
        unknown = [name for card in self.cards.values() for name in card.features if name not in self.columns]
        if unknown:
            raise ArtefactError(f"The scorecard reads {unknown[0]!r}, which is none of the model's columns.")

    @property
    def of_table(self) -> bool:
        """Whether it reads rows of a table instead of what is computed from a history."""
        return self.columns.source == "table"

    @property
    def cards(self) -> dict[Target, Scorecard]:
        """The scorecards it has."""
        found: dict[Target, Scorecard] = {"churn": self.churn}
        return found if self.silent is None else found | {"silent": self.silent}

    def card(self, target: Target) -> Scorecard:
        """One scorecard. Raises `TableModel` for the one a model of a table has not."""
        found = self.cards.get(target)
        if found is None:
            raise TableModel(f"The model {self.model_id} of a table says who leaves, not who leaves silently.")
        return found

    def to_plain(self) -> dict[str, Any]:
        """Dicts, lists, texts, numbers and arrays only."""
        kept = {} if self.reference is None else {"reference": dict(self.reference)}
        return {
            "churn": self.churn.to_plain(),
            "silent": None if self.silent is None else self.silent.to_plain(),
            "health": self.health.to_plain(),
            "label": asdict(self.label),
            "baselines": self.baselines.to_plain(),
            "usual": {segment: dict(values) for segment, values in self.usual.items()},
            "status": self.status,
            "phase": self.phase,
            "fingerprints": dict(self.fingerprints),
            "columns": self.columns.to_plain(),
            **kept,
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any], model_id: str) -> "ChurnModel":
        """The inverse of `to_plain`. Raises `ArtefactError` for anything else."""
        try:
            return cls(
                churn=Scorecard.from_plain(plain["churn"]),
                silent=None if plain["silent"] is None else Scorecard.from_plain(plain["silent"]),
                health=HealthParams.from_plain(plain["health"]),
                label=LabelParams(**plain["label"]),
                baselines=Baselines.from_plain(plain["baselines"]),
                usual=plain["usual"],
                status=plain["status"],
                phase=plain["phase"],
                fingerprints=plain["fingerprints"],
                model_id=model_id,
                columns=Schema.from_plain(plain.get("columns")),
                reference=plain.get("reference"),
            )
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise ArtefactError(f"Artefact {model_id} does not hold a churn model: {error}.") from None

    def require_history(self) -> "ChurnModel":
        """Itself. Raises `TableModel` for a model that cannot score histories."""
        if self.of_table:
            raise TableModel(
                f"The model {self.model_id} was trained on a table and reads its columns, not a history: score rows by "
                "POST /v1/scores with `features` or `ebbtide predict --table`, or promote a model trained on histories."
            )
        return self

    def usual_in(self, segment: str | None) -> Mapping[str, float]:
        """What is usual in a segment, or overall for one never seen."""
        return self.usual.get(segment or OVERALL, self.usual[OVERALL])


def columns(features: pl.DataFrame, schema: Schema = CATALOGUE) -> Columns:
    """A frame of columns as the arrays a scorecard reads: float64 with NaN, or texts with None, for missing."""
    numbers = features.select(pl.col(schema.numeric).cast(pl.Float64).fill_null(np.nan)).to_numpy(order="fortran")
    found: dict[str, Any] = dict(zip(schema.numeric, numbers.T, strict=True))
    return found | {
        name: np.array(features[name].to_list(), dtype=object) for name in schema.names if name not in found
    }


def usual_values(features: pl.DataFrame, schema: Schema = CATALOGUE) -> dict[str, dict[str, float]]:
    """Segment -> numeric column -> mean of the known values, cut to the column's span; `OVERALL` for all. A table has
    no segments."""
    means = [_cut(pl.col(name), schema[name].span).mean().alias(name) for name in schema.numeric]
    rows = {OVERALL: features.select(means).row(0, named=True)}
    for (segment,), part in features.group_by("segment") if schema.source == "history" else ():
        rows[str(segment)] = part.select(means).row(0, named=True)
    return {
        segment: {name: value for name, value in rows[segment].items() if value is not None} for segment in sorted(rows)
    }


def _cut(value: pl.Expr, span: tuple[float, float] | None) -> pl.Expr:
    return value.clip(*span) if span else value
