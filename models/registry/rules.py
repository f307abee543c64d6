"""What speaks against putting a model in service: objections in sentences, from manifests and a comparison.

    overruled      its leakage findings were overruled: always
    uncalibrated   the interval of observed / expected, or of the calibration slope, lies beyond the bounds: always,
                   for its probabilities are wrong whatever else is in service
    never fitted   the expert's uncalibrated scorecard in place of a model that was fitted on exits
    no signal      its interval of AUC reaches down to chance, and that of the model in service did not
    worse          a comparison on common rows found it worse
    not compared   nobody has compared the two, and it is not the same recipe on more data

Numbers measured on different data say nothing about which model is better, so those in the manifests are never held
against each other.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from models.registry.comparisons import Comparison
from models.registry.manifest import MODEL, Manifest

#: Within these, observed / expected and the calibration slope pass.
OBSERVED_EXPECTED = (0.8, 1.25)
SLOPE = (0.7, 1.4)
CHANCE = 0.5
#: Of the exits the model in service learnt from: with fewer, the same recipe is not taken to be as good.
LEAST_SHARE = 0.9
_TARGETS = {"churn": "leaving", "silent": "leaving silently"}


def objections(new: Manifest, served: Manifest | None, comparison: Comparison | None) -> list[str]:
    """What speaks against `new` in the place of `served` (None: nothing that works is in service)."""
    if served is not None and new.files[MODEL] == served.files[MODEL]:
        return [*_overruled(new)]
    found = [*_overruled(new), *_uncalibrated(new)]
    if served is not None:
        found += [*_never_fitted(new, served), *_no_signal(new, served), *_worse(new, served, comparison)]
    return found


def same_recipe(new: Manifest, served: Manifest) -> bool:
    """Whether both were made by the same code and configuration, `new` from about as many exits or more."""
    told = [(_recipe(manifest), manifest.versions, manifest.git_revision) for manifest in (new, served)]
    if told[0] != told[1] or new.config is None:
        return False
    return all(
        _number(new, "rows", events) >= LEAST_SHARE * _number(served, "rows", events)
        for events in ("silent_events", "churn_events")
    )


def _recipe(manifest: Manifest) -> dict[str, Any] | None:
    if manifest.config is None:
        return None
    return {name: value for name, value in manifest.config.items() if name != "as_of"}


def _overruled(new: Manifest) -> Iterator[str]:
    for override in _at(new.metrics, "leakage", "overrides") or ():
        column = _at(override, "finding", "column") or "a column"
        yield f"its leakage finding about {column} was overruled by {override.get('who') or 'somebody'}"


def _uncalibrated(new: Manifest) -> Iterator[str]:
    for target, words in _TARGETS.items():
        for name, title, bounds in (
            ("observed_expected", "observed / expected", OBSERVED_EXPECTED),
            ("calibration_slope", "calibration slope", SLOPE),
        ):
            low, high = _interval(new, target, name)
            if low is not None and high is not None and (high < bounds[0] or low > bounds[1]):
                yield (
                    f"it is not calibrated: {title} of {words} is {low:.2f} to {high:.2f}, "
                    f"all of it outside {bounds[0]:g} to {bounds[1]:g}"
                )


def _never_fitted(new: Manifest, served: Manifest) -> Iterator[str]:
    if new.phase == "P0" != served.phase:
        phase = "" if served.phase == "table" else f" (phase {served.phase})"
        yield f"it was never calibrated on exits (phase P0), and the model in service was{phase}"


def _no_signal(new: Manifest, served: Manifest) -> Iterator[str]:
    # A model of a wide table ranks one kind of exit only.
    target, words = ("silent", "silent exits") if _at(new.metrics, "metrics", "silent") else ("churn", "exits")
    low, before = _interval(new, target, "auc")[0], _interval(served, target, "auc")[0]
    if low is not None and before is not None and low <= CHANCE < before:
        yield f"it may rank {words} no better than chance (AUC from {low:.2f}), and the model in service does not"


def _worse(new: Manifest, served: Manifest, comparison: Comparison | None) -> Iterator[str]:
    if new.phase == "P0":
        return  # one expert's file in place of another: nothing was fitted that could be measured
    if dict(new.label) != dict(served.label):
        yield "it predicts something else than the model in service: the label's parameters differ"
    elif comparison is not None and comparison.verdict == "worse":
        yield f"a comparison found it worse: {comparison.sentence}"
    elif comparison is None and served.phase == "P0":
        yield from _worse_than_the_expert(new)
    elif comparison is None and not same_recipe(new, served) and not _held_its_own(new, served):
        yield f"it has not been compared with the model in service: {_way_out(new, served)}"


def _way_out(new: Manifest, served: Manifest) -> str:
    if "column" in new.label:  # of a wide table, whose rows no command holds two models against
        return "train it with the model in service in place, on a table that has its columns; its report says why not"
    return f"give --data FOLDER or --db, or run `ebbtide compare {served.model_id} {new.model_id}`"


def _held_its_own(new: Manifest, served: Manifest) -> bool:
    """Whether training compared the new model's folds with the model in service on later rows, and they were no worse.

    The folds learnt from fewer accounts and less time than the model in service did, so a loss there would prove
    nothing; holding its own does.
    """
    told = _at(new.metrics, "previous")
    if _at(told, "status") != "compared" or _at(told, "model_id") != served.model_id:
        return False
    # A table has one outcome.
    targets = ("churn",) if "column" in new.label else tuple(_TARGETS)
    highs = [_at(told, target, "gain", name, "high") for target in targets for name in ("auc", "log_loss")]
    return all(high is not None and high >= 0 for high in highs)


def _worse_than_the_expert(new: Manifest) -> Iterator[str]:
    """Its own folds measured it beside the expert's score, which is what is in service."""
    for target, words in _TARGETS.items():
        high = _at(new.metrics, "metrics", target, "gain", "expert", "log_loss", "high")
        if high is not None and high < 0:
            yield f"on its own folds it tells {words} worse than the expert's score alone, which is in service"


def _interval(manifest: Manifest, target: str, name: str) -> tuple[float | None, float | None]:
    found = _at(manifest.metrics, "metrics", target, name)
    return (found.get("low"), found.get("high")) if isinstance(found, Mapping) else (None, None)


def _number(manifest: Manifest, *names: str) -> float:
    found = _at(manifest.metrics, *names)
    return float(found) if isinstance(found, int | float) else 0.0


def _at(entries: Any, *names: str) -> Any:
    """The entry at a place, None where there is none."""
    for name in names:
        entries = entries.get(name) if isinstance(entries, Mapping) else None
    return entries
