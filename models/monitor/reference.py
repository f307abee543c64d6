"""What was normal when the model was made: measured at training, kept in the artefact, compared with the present.

It is compact (bins and shares, never an account) and plain (numbers, texts, lists). It describes the accounts scored at
up to thirteen moments, 28 days apart, that end with training: a year, so that seasons do not look like drift. How far
single months stray from the whole is kept as `dispersion`, which widens every threshold: 1 is what independent accounts
would do, 3 three times as much.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from models.clock import isoformat, parse_instant
from models.errors import ArtefactError
from models.history import History
from models.model import ChurnModel, columns
from models.monitor import coverage
from models.monitor.drift import Bins, Floats, chance_scale, degrees, psi, ridit, shares
from models.monitor.estimate import estimate
from models.monitor.rows import EVERY_DAYS, moments_back, sampled, scored_rows
from models.voice import source_start

_MAPPINGS = ("effects", "means", "stray_means", "segments", "events", "auc")

#: Months of reference, at most.
MONTHS = 13
#: A month is used if contacts had been recorded for this long before it, as the longest features need.
SETTLED_DAYS = 365
#: Accounts measured, at most.
REFERENCE_ACCOUNTS = 5_000
#: Segments with shares of their own, the largest ones.
SEGMENTS = 12
#: Accounts are compared with themselves this many days before.
PAIR_DAYS = 84
#: The exits of a horizon are followed in so many equal parts of it.
TIMING_PARTS = 9
FORM = 1


@dataclass(frozen=True)
class Distribution:
    """One column's distribution.

    `counts` per bin (missing last), the same per segment, the `median` (None for texts); `dispersion` of months about
    the whole, and by how much their position strays (`stray`, standard deviation of the ridit); `usual_up`: of the
    accounts whose value moved within 84 days, the share that went up less the share that went down (None: unknown).
    """

    edges: tuple[float, ...]
    levels: tuple[str, ...] | None
    counts: tuple[float, ...]
    segments: Mapping[str, tuple[float, ...]]
    median: float | None
    dispersion: float
    stray: float
    usual_up: float | None

    @property
    def bins(self) -> Bins:
        """How it is cut."""
        return Bins(self.edges, self.levels)

    @classmethod
    def of(
        cls, rows: pl.DataFrame, name: str, segments: Sequence[str], pairs: pl.DataFrame | None = None
    ) -> "Distribution":
        """Measure a column of rows that have `as_of` and, for shares by segment, `segment`; `pairs`: see `paired`."""
        values = rows[name]
        bins = Bins.of(values)
        places = bins.places(values)
        months = [places[part.to_numpy()] for part in _parts(rows, "as_of")]
        counts = np.bincount(places, minlength=len(bins)).astype(np.float64)
        monthly = [np.bincount(month, minlength=len(bins)).astype(np.float64) for month in months]
        by_segment = {
            segment: _tuple(np.bincount(places[(rows["segment"] == segment).to_numpy()], minlength=len(bins)))
            for segment in segments
        }
        median = None if values.dtype == pl.String else values.cast(pl.Float64).drop_nans().median()
        return cls(
            edges=bins.edges,
            levels=bins.levels,
            counts=_tuple(counts),
            segments=by_segment,
            median=None if median is None else float(median),  # type: ignore[arg-type]
            dispersion=_dispersion(counts, monthly),
            stray=_position_stray(counts, monthly) if bins.levels is None else 0.0,
            usual_up=None if pairs is None or bins.levels is not None else balance(pairs, name).up,
        )


@dataclass(frozen=True)
class Reference:
    """What was normal.

    `as_of`: when the training ended; `accounts`: how many different ones the shares stand on; `moments`: how many
    months; `features`, `scores` (log-odds by target); `effects`: the mean log-odds of leaving that a feature adds;
    `means`: the mean probability by target, `stray_means`: the standard deviation of a month's mean about it;
    `segments`: accounts by segment at the last
    moment; `events`: accounts that left in the training data, by target; `timing`: the share of a horizon's exits that
    have happened after 1/9, 2/9, ... of it; `auc`: by target, as expected of the scores alone (`estimate`); `sources`:
    see `coverage`.
    """

    as_of: datetime
    moments: int
    accounts: int
    features: Mapping[str, Distribution]
    scores: Mapping[str, Distribution]
    effects: Mapping[str, float]
    means: Mapping[str, float]
    stray_means: Mapping[str, float]
    segments: Mapping[str, int]
    events: Mapping[str, int]
    timing: tuple[float, ...]
    auc: Mapping[str, float]
    sources: coverage.Sources

    @property
    def settled(self) -> bool:
        """Whether any month could be measured. Where contacts had been recorded for less than a year, none could:
        `features`, `scores` and whatever else describes accounts are empty, and `sources` is of too short a time to
        compare with. What is known of exits (`events`, `timing`) holds all the same."""
        return self.moments > 0

    def to_plain(self) -> dict[str, Any]:
        """Dicts, lists, texts and numbers only."""
        return {
            "form": FORM,
            "as_of": isoformat(self.as_of),
            "moments": self.moments,
            "accounts": self.accounts,
            **{
                kind: {name: _plain(one) for name, one in getattr(self, kind).items()}
                for kind in ("features", "scores")
            },
            **{name: dict(getattr(self, name)) for name in _MAPPINGS},
            "timing": list(self.timing),
            "sources": self.sources.to_plain(),
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Reference":
        """The inverse of `to_plain`. Raises `ArtefactError` for anything else."""
        try:
            if plain["form"] != FORM:
                raise ArtefactError(f"The artefact's reference has form {plain['form']}, this version reads {FORM}.")
            return cls(
                as_of=parse_instant(plain["as_of"]),
                moments=plain["moments"],
                accounts=plain["accounts"],
                features={name: _distribution(one) for name, one in plain["features"].items()},
                scores={name: _distribution(one) for name, one in plain["scores"].items()},
                timing=tuple(plain["timing"]),
                **{name: plain[name] for name in _MAPPINGS},
                sources=coverage.Sources.from_plain(plain["sources"]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ArtefactError(f"The artefact's reference cannot be read: {error!r}.") from None


def take(model: ChurnModel, history: History, as_of: datetime, labels: pl.DataFrame | None = None) -> Reference | None:
    """Measure what is normal for this model in a history as it was known at `as_of`.

    `labels`: the training rows with account_id, as_of, decided_at, y_churn and y_silent: how many left says how surely
    the model knows its own level. None: it was fitted on no labels. Gives one that is not `settled` where no month can
    be measured, and None where nobody is a customer at `as_of`.
    """
    known = history.of(sampled(history.accounts["account_id"].to_list(), REFERENCE_ACCOUNTS))
    moments = _moments(known, as_of)
    rows = scored_rows(model, known, moments or [as_of])
    present = rows.filter(pl.col("as_of") == as_of)
    if not present.height:
        return None
    if not moments:
        return _unsettled(model, known, as_of, labels)
    counted = present["segment"].value_counts().sort("count", "segment", descending=[True, False])
    segments: dict[str, int] = dict(counted.iter_rows())
    largest = list(segments)[:SEGMENTS]
    pairs = paired(rows)
    used = dict.fromkeys(name for card in model.cards.values() for name in card.features)
    return Reference(
        as_of=as_of,
        moments=rows["as_of"].n_unique(),
        accounts=rows["account_id"].n_unique(),
        features={name: Distribution.of(rows, name, largest, pairs) for name in used},
        scores={target: Distribution.of(rows, f"log_odds_{target}", largest) for target in ("churn", "silent")},
        effects=mean_effects(model, rows),
        means={target: float(rows[f"p_{target}"].to_numpy().mean()) for target in ("churn", "silent")},
        stray_means={target: _stray(rows, f"p_{target}") for target in ("churn", "silent")},
        segments=segments,
        events=_events(labels),
        timing=_timing(model, labels),
        auc={target: estimate(rows[f"p_{target}"].to_numpy()).auc for target in ("churn", "silent")},
        sources=coverage.measure(known, as_of),
    )


def _unsettled(model: ChurnModel, known: History, as_of: datetime, labels: pl.DataFrame | None) -> Reference:
    nothing: dict[str, Any] = {name: {} for name in ("features", "scores", *_MAPPINGS) if name != "events"}
    events, timing = _events(labels), _timing(model, labels)
    sources = coverage.measure(known, as_of)
    return Reference(as_of, 0, 0, **nothing, events=events, timing=timing, sources=sources)


def mean_effects(model: ChurnModel, rows: pl.DataFrame) -> dict[str, float]:
    """Feature -> the mean log-odds of leaving that its terms add; a term of several features is shared among them."""
    contributions = model.churn.contributions(columns(rows, model.columns)).mean(axis=0)
    found = dict.fromkeys(model.churn.features, 0.0)
    for term, mean in zip(model.churn.all_terms, contributions.tolist(), strict=True):
        for name in term.features:
            found[name] += mean / len(term.features)
    return found


def _events(labels: pl.DataFrame | None) -> dict[str, int]:
    """Accounts that left, by target."""
    if labels is None:
        return {"churn": 0, "silent": 0}
    return {
        target: labels.filter(pl.col(f"y_{target}") == 1)["account_id"].n_unique() for target in ("churn", "silent")
    }


def _timing(model: ChurnModel, labels: pl.DataFrame | None) -> tuple[float, ...]:
    """How a horizon's exits come in, cumulated; evenly where too few are known."""
    evenly = np.arange(1, TIMING_PARTS + 1) / TIMING_PARTS
    left = None if labels is None else labels.filter(pl.col("y_churn") == 1)
    if left is None or left.height < 30:
        return _tuple(evenly)
    days = left.select((pl.col("decided_at") - pl.col("as_of")).dt.total_microseconds() / 86_400e6).to_series()
    part = (days.to_numpy() - model.label.blackout_days) / model.label.horizon_days
    return _tuple(np.mean(part[:, None] <= evenly + 1e-12, axis=0))


def _moments(known: History, as_of: datetime) -> list[datetime]:
    """The months that can be measured, ascending; none where the source is younger than `SETTLED_DAYS`."""
    first = source_start(known, "interactions", as_of)
    if first is None:
        return []
    room = (as_of - first - timedelta(days=SETTLED_DAYS)) // timedelta(days=EVERY_DAYS) + 1
    return moments_back(as_of, min(MONTHS, room))


def _parts(rows: pl.DataFrame, name: str) -> list[pl.Series]:
    """A mask of the rows of each value of a column."""
    return [rows[name] == value for value in rows[name].unique().sort()]


def _dispersion(counts: Floats, monthly: Sequence[Floats]) -> float:
    """How far months stray from the whole, in multiples of what independent accounts would; at least 1."""
    if len(monthly) < 2:
        return 1.0
    ratios = [
        psi(shares(month), shares(counts - month))
        / (chance_scale(month.sum(), max(counts.sum() - month.sum(), 1)) * degrees(month, counts))
        for month in monthly
        if month.sum()
    ]
    return max(1.0, float(np.mean(ratios)))


def _position_stray(counts: Floats, monthly: Sequence[Floats]) -> float:
    """The standard deviation of the months' ridits against the whole, missing left out."""
    whole = counts[:-1]
    found = [ridit(whole, month[:-1]) for month in monthly if month[:-1].sum()]
    return float(np.std(found, ddof=1)) if whole.sum() and len(found) > 1 else 0.0


def paired(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows for whose account there is a row 84 days before; its columns end in `_then`."""
    then = rows.with_columns(pl.col("as_of") + timedelta(days=PAIR_DAYS))
    return rows.join(then, on=["account_id", "as_of"], how="inner", suffix="_then")


@dataclass(frozen=True)
class Balance:
    """Accounts whose value moved: how many, of how many, and the share that went up less the share that went down."""

    moved: int
    accounts: int
    up: float | None


def balance(pairs: pl.DataFrame, name: str) -> Balance:
    """Who moved which way in a column of `paired` rows."""
    change = pairs.select(pl.col(name).cast(pl.Float64) - pl.col(f"{name}_then").cast(pl.Float64)).to_series()
    up, down = int((change > 1e-9).sum()), int((change < -1e-9).sum())
    return Balance(up + down, pairs.height, (up - down) / (up + down) if up + down else None)


def _stray(rows: pl.DataFrame, name: str) -> float:
    """The standard deviation of the months' means."""
    means = [float(rows[name].to_numpy()[part.to_numpy()].mean()) for part in _parts(rows, "as_of")]
    return float(np.std(means, ddof=1)) if len(means) > 1 else 0.0


def _tuple(values: Any) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _plain(one: Distribution) -> dict[str, Any]:
    return {
        **asdict(one),
        "edges": list(one.edges),
        "levels": None if one.levels is None else list(one.levels),
        "counts": list(one.counts),
        "segments": {segment: list(counts) for segment, counts in one.segments.items()},
    }


def _distribution(plain: Mapping[str, Any]) -> Distribution:
    given = {field.name: plain[field.name] for field in fields(Distribution)}
    levels = given["levels"]
    return Distribution(
        **given
        | {
            "edges": tuple(given["edges"]),
            "levels": None if levels is None else tuple(levels),
            "counts": tuple(given["counts"]),
            "segments": {segment: tuple(counts) for segment, counts in given["segments"].items()},
        }
    )
