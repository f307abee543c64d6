"""What the model is fed, against what it was fed at training: each feature, the mix of segments, the scores themselves.

A feature's drift is told once it is beyond chance for the number of accounts and of features (Holm over all features,
`ERROR` for the family): by its PSI or, where it all goes one way, by its position (ridit). Trying both is counted. Then
three questions decide what it is called:

    mix         does it vanish once today's segments are weighed as they are today?     mix_shift
    together    did most accounts that moved go the same way, in every segment?         portfolio_shift
    otherwise   some accounts changed, or one segment did                               input_drift
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl
from scipy.special import ndtr

from models.model import ChurnModel
from models.monitor.drift import Floats, chance, degrees, holm, position_chance, psi, ridit, shares, threshold
from models.monitor.findings import Finding, Severity
from models.monitor.reference import Balance, Distribution, Reference, balance, mean_effects, paired

#: How often a watch may raise a false finding of one family: one in a thousand.
ERROR = 0.001
#: A shift matters from here on: a tenth in log-odds is 1.4 points of health, for everybody.
MATTERS = 0.10
#: Fewer moved accounts of a segment say nothing about which way it moved.
LEAST_MOVED = 40
#: Most accounts moved together: the balance differs from the usual by this in every segment, of this share moved.
TOGETHER, TOGETHER_MOVED = 0.15, 0.30
#: A mean risk that differs by less is not worth a word, however sure.
LEAST_RELATIVE = 0.10
TARGETS = ("churn", "silent")
_BESIDE = {"up": "above", "down": "below"}
LEFT = {"churn": "leaving", "silent": "leaving silently"}


@dataclass(frozen=True)
class Shift:
    """How one column differs from its reference at one moment."""

    name: str
    n: float
    counts: Floats
    psi: float
    chance: float
    threshold: float

    @classmethod
    def of(cls, name: str, reference: Distribution, accounts: int, values: pl.Series) -> "Shift":
        """Compare a column with its reference, which stands on so many accounts."""
        counts, usual = reference.bins.counts(values), np.array(reference.counts)
        n, m = max(counts.sum(), 1.0), min(accounts, max(usual.sum(), 1.0))
        found = psi(shares(counts), shares(usual * m / max(usual.sum(), 1.0)))
        freedom = degrees(counts, usual)
        probability = chance(found, n, m, freedom, reference.dispersion)
        return cls(
            name=name,
            n=float(n),
            counts=counts,
            psi=found,
            chance=min(1.0, 2 * min(probability, _position(reference, counts, usual, m))),
            threshold=threshold(n, m, freedom, 0.01, reference.dispersion),
        )


def _position(reference: Distribution, counts: Floats, usual: Floats, m: float) -> float:
    """How probable the position of the known values is without drift; 1 where they have none."""
    if reference.levels is not None or not counts[:-1].sum() or not usual[:-1].sum():
        return 1.0
    known = usual[:-1].sum() / usual.sum()
    position = ridit(usual[:-1], counts[:-1])
    return position_chance(position, usual[:-1], counts[:-1].sum(), max(m * known, 1.0), reference.stray)


def feature_findings(model: ChurnModel, reference: Reference, rows: pl.DataFrame) -> list[Finding]:
    """Drift of every feature, of the mix and of the portfolio as a whole.

    `rows`: as `rows.scored_rows` gives them, for several moments; the last one is judged, the others say since when.
    """
    moments = _since_training(reference, rows)
    at = {moment: rows.filter(pl.col("as_of") == moment) for moment in moments}
    present = at[moments[-1]]
    mix, factors = _mix(reference, present, at)
    effects = mean_effects(model, present)
    together: list[tuple[Shift, Finding]] = []
    found = [] if mix is None else [mix]
    pairs = paired(rows).filter(pl.col("as_of") == moments[-1])
    for name, shift in _drifted(reference, present).items():
        if mix is not None and _explained(reference, shift, factors):
            continue
        moved = effects.get(name, 0.0) - reference.effects.get(name, 0.0)
        since = _since(moments, lambda moment, name=name: _shows(reference, name, at[moment]))  # type: ignore[misc]
        told = _told(model, reference.features[name], shift, present[name], moved, since)
        if _moved_together(reference.features[name], name, pairs):
            together.append((shift, told))
        else:
            found.append(told)
    return found + _portfolio(model, together)


def _since_training(reference: Reference, rows: pl.DataFrame) -> list[datetime]:
    """The moments of the rows that lie after training; the last one at least."""
    moments: list[datetime] = rows["as_of"].unique().sort().to_list()
    return [moment for moment in moments if moment > reference.as_of] or moments[-1:]


def _drifted(reference: Reference, part: pl.DataFrame) -> dict[str, Shift]:
    """The features that differ beyond chance at a moment."""
    shifts = [
        Shift.of(name, one, reference.accounts, part[name])
        for name, one in reference.features.items()
        if name in part.columns
    ]
    adjusted = holm([shift.chance for shift in shifts])
    return {shift.name: shift for shift, value in zip(shifts, adjusted, strict=True) if value <= ERROR}


def _shows(reference: Reference, name: str, part: pl.DataFrame) -> bool:
    """Whether a feature that drifted by now did so at an earlier moment already."""
    one = reference.features[name]
    return Shift.of(name, one, reference.accounts, part[name]).chance * len(reference.features) <= ERROR


def _since(moments: Sequence[datetime], showed: Callable[[datetime], bool]) -> datetime:
    """The first moment of the unbroken run that ends with the last one, which showed."""
    first = moments[-1]
    for moment in reversed(moments[:-1]):
        if not showed(moment):
            break
        first = moment
    return first


def _told(
    model: ChurnModel, reference: Distribution, shift: Shift, values: pl.Series, moved: float, since: datetime
) -> Finding:
    direction, words = _direction(reference, shift, values)
    severity: Severity = "warning" if abs(moved) >= MATTERS else "info"
    effect = f"moves the mean risk by {moved:+.2f} in log-odds" if abs(moved) >= 0.005 else "leaves the mean risk alone"
    return Finding(
        kind="input_drift",
        severity=severity,
        subject=shift.name,
        sentence=f"{label(model, shift.name)}: {words}; this {effect}.",
        action="Look for the cause; if it is here to stay, train again on data that hold it.",
        numbers={
            "psi": shift.psi,
            "threshold_p99": shift.threshold,
            "chance": shift.chance,
            "accounts": int(shift.n),
            "direction": direction,
            "median_before": reference.median,
            "median_now": _median(values),
            "mean_log_odds_change": moved,
        },
        since=since,
    )


def _direction(reference: Distribution, shift: Shift, values: pl.Series) -> tuple[str, str]:
    """Which way a column moved, as a word and in a sentence's words."""
    usual, current = shares(np.array(reference.counts)), shares(shift.counts)
    missing = current[-1] - usual[-1]
    if reference.levels is not None:
        names = (*reference.levels, "another level", "unknown")
        place = int(np.argmax(np.abs(current - usual)))
        word = "up" if current[place] > usual[place] else "down"
        return f"{names[place]} {word}", f"{names[place]!r} went from {usual[place]:.0%} to {current[place]:.0%}"
    position = ridit(usual[:-1], current[:-1])
    if abs(missing) > abs(position - 0.5):
        word = "missing up" if missing > 0 else "missing down"
        return word, f"unknown for {current[-1]:.0%} of accounts, {usual[-1]:.0%} at training"
    word = "up" if position > 0.5 else "down"
    median = _median(values)
    if median is None or reference.median is None or f"{median:.3g}" == f"{reference.median:.3g}":
        share = max(position, 1 - position)
        return word, f"moved {word}: an account lies {_BESIDE[word]} one of training {share:.0%} of the time"
    return word, f"moved {word}, the median from {reference.median:.3g} to {median:.3g}"


def _median(values: pl.Series) -> float | None:
    if values.dtype == pl.String:
        return None
    found = values.cast(pl.Float64).drop_nans().median()
    return None if found is None else float(found)  # type: ignore[arg-type]


def label(model: ChurnModel, name: str) -> str:
    """What a feature is called."""
    return model.columns[name].label if name in model.columns else name


def _mix(
    reference: Reference, present: pl.DataFrame, at: Mapping[datetime, pl.DataFrame]
) -> tuple[Finding | None, dict[str, float]]:
    """Whether the segments' shares moved, and each segment's share now."""
    segments = dict(present["segment"].value_counts().iter_rows())
    factors = {str(name): count / present.height for name, count in segments.items()}
    names = sorted({*reference.segments, *factors})
    if len(names) < 2:
        return None, factors
    usual = np.array([float(reference.segments.get(name, 0)) for name in names])

    def judged(part: pl.DataFrame) -> tuple[float, float]:
        held = dict(part["segment"].value_counts().iter_rows())
        counts = np.array([float(held.get(name, 0)) for name in names])
        found = psi(shares(counts), shares(usual))
        return found, chance(found, counts.sum(), usual.sum(), degrees(counts, usual))

    found, probability = judged(present)
    if probability > ERROR:
        return None, factors
    change = {name: factors.get(name, 0.0) - reference.segments.get(name, 0) / usual.sum() for name in names}
    most = max(change, key=lambda name: abs(change[name]))
    before = reference.segments.get(most, 0) / usual.sum()
    finding = Finding(
        kind="mix_shift",
        severity="info" if found < 0.1 else "warning",
        subject="segment",
        sentence=f"{most!r} is {factors.get(most, 0.0):.0%} of the accounts, {before:.0%} at training; features that "
        "differ between segments move with it.",
        action="Nothing is broken: compare within segments, and train again once the new mix has settled.",
        numbers={
            "psi": found,
            "chance": probability,
            "before": {name: reference.segments.get(name, 0) / usual.sum() for name in names},
            "now": {name: factors.get(name, 0.0) for name in names},
        },
        since=_since(list(at), lambda moment: judged(at[moment])[1] <= ERROR),
    )
    return finding, factors


def _explained(reference: Reference, shift: Shift, factors: Mapping[str, float]) -> bool:
    """Whether a feature looks as it did once the segments of training are weighed as they are now."""
    one = reference.features[shift.name]
    known = {name: np.array(counts) for name, counts in one.segments.items() if sum(counts) and name in factors}
    if sum(factors[name] for name in known) < 0.9:
        return False
    weighed = np.sum([factors[name] * counts / counts.sum() for name, counts in known.items()], axis=0)
    found = psi(shares(shift.counts), shares(weighed / weighed.sum() * reference.accounts))
    return chance(found, shift.n, reference.accounts, degrees(shift.counts, weighed), one.dispersion) > ERROR


def _moved_together(reference: Distribution, name: str, pairs: pl.DataFrame) -> bool:
    if reference.usual_up is None or not pairs.height:
        return False
    every = balance(pairs, name)
    if every.up is None or every.moved < TOGETHER_MOVED * every.accounts:
        return False
    parts = [balance(part, name) for part in pairs.partition_by("segment")]
    large = [part for part in parts if part.moved >= LEAST_MOVED]
    side = np.sign(every.up - reference.usual_up)
    return bool(large) and all(_beyond(part, reference.usual_up, side) for part in large)


def _beyond(part: Balance, usual: float, side: float) -> bool:
    return part.up is not None and side * (part.up - usual) >= TOGETHER


def _portfolio(model: ChurnModel, together: list[tuple[Shift, Finding]]) -> list[Finding]:
    """One finding for all features that moved together: they have one cause."""
    if not together:
        return []
    findings = [finding for _, finding in together]
    moved = sum(finding.numbers["mean_log_odds_change"] for finding in findings)
    names = [finding.subject for finding in findings]
    parts = sorted({model.columns[name].component for name in names if name in model.columns})
    return [
        Finding(
            kind="portfolio_shift",
            severity="warning",
            subject=", ".join(parts) or "features",
            sentence=f"Most accounts moved together, in every segment, in {len(names)} feature{'s' * (len(names) > 1)} "
            f"({', '.join(label(model, name) for name in names[:4])}{', ...' * (len(names) > 4)}): a change in "
            "tracking, policy or service is likelier than that many customers changing at once. Together "
            f"{moved:+.2f} in log-odds.",
            action="Do not read it account by account: find what changed on our side, and train again once it is old "
            "enough; until then trust the order of the list more than its level.",
            numbers={
                "features": names,
                "mean_log_odds_change": moved,
                "psi": {finding.subject: finding.numbers["psi"] for finding in findings},
            },
            since=min((f.since for f in findings if f.since is not None), default=None),
        )
    ]


def score_findings(reference: Reference, rows: pl.DataFrame) -> list[Finding]:
    """The mean risk and the spread of risks against training, by target."""
    moments = _since_training(reference, rows)
    found = []
    for target in TARGETS:
        before = reference.means[target]
        at = {moment: rows.filter(pl.col("as_of") == moment) for moment in moments}

        def off(moment: datetime, target: str = target, before: float = before) -> bool:
            mean, probability = _mean_shift(reference, target, at[moment])  # noqa: B023
            return probability <= ERROR and abs(mean / before - 1) >= LEAST_RELATIVE

        present = at[moments[-1]]
        scores = reference.scores[target]
        shift = Shift.of(f"log_odds_{target}", scores, reference.accounts, present[f"log_odds_{target}"])
        if off(moments[-1]):
            found.append(_mean_finding(reference, target, present, shift, _since(moments, off)))
        elif shift.chance <= ERROR:
            found.append(_spread_finding(reference, target, present, shift))
    return found


def _mean_shift(reference: Reference, target: str, present: pl.DataFrame) -> tuple[float, float]:
    """The mean risk at a moment, and how probable one as far from the usual is by chance."""
    p = present[f"p_{target}"].to_numpy()
    sampling = float(p.var()) * (1 / max(len(p), 1) + 1 / reference.accounts)
    error = np.sqrt(sampling + reference.stray_means[target] ** 2 * (1 + 1 / reference.moments))
    mean = float(p.mean())
    return mean, 2 * float(ndtr(-abs(mean - reference.means[target]) / error)) if error > 0 else 1.0


def _mean_finding(reference: Reference, target: str, present: pl.DataFrame, shift: Shift, since: datetime) -> Finding:
    now, before = float(present[f"p_{target}"].to_numpy().mean()), reference.means[target]
    word = "rose" if now > before else "fell"
    return Finding(
        kind="score_drift",
        severity="alarm",
        subject=target,
        sentence=f"The mean risk of {LEFT[target]} {word} from {before:.1%} at training to {now:.1%}.",
        action="See which features and sources moved; until observed exits confirm it, it may be the data.",
        numbers=_score_numbers(reference, target, present, shift),
        since=since,
    )


def _spread_finding(reference: Reference, target: str, present: pl.DataFrame, shift: Shift) -> Finding:
    numbers = _score_numbers(reference, target, present, shift)
    return Finding(
        kind="score_drift",
        severity="info",
        subject=target,
        sentence=f"The risks of {LEFT[target]} are spread otherwise than at training; their mean is "
        f"{numbers['mean_now']:.1%} ({numbers['mean_before']:.1%}).",
        action="Look at the features that drifted; the order of the list is affected before its level is.",
        numbers=numbers,
    )


def _score_numbers(reference: Reference, target: str, present: pl.DataFrame, shift: Shift) -> dict[str, object]:
    now, probability = _mean_shift(reference, target, present)
    return {
        "mean_before": reference.means[target],
        "mean_now": now,
        "chance": probability,
        "psi": shift.psi,
        "threshold_p99": shift.threshold,
        "accounts": int(shift.n),
        "direction": "up" if now > reference.means[target] else "down",
    }
