"""What the numbers mean, in sentences for somebody who has to sign for them.

The one question that decides whether service signals may be shown as reasons is asked of *any* churn, never of
silent churn: whoever contacts a company often is more likely to speak up before leaving, so contact volume predicts
"silent" by definition even where service does not matter at all. In a simulated world without any effect of service:

                   contract terms alone   with service signals
    any churn                .725                .719            gain -.006: nothing
    silent churn             .737                .746            looks like a gain, and is the definition

The verdict is therefore the gain in AUC for any churn over contract terms alone, on the same rows, with its paired
interval by account: it `adds` where the whole interval lies above zero and the gain is worth a sentence.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from training.describe_lists import at_work, ranks

#: The baseline of contract terms alone: the column `p_contract`, the key of `gain`.
CONTRACT = "contract"
#: A smaller gain in AUC changes nobody's list (published effects of service on churn begin near .01).
WORTH_A_SENTENCE = 0.005
#: With fewer exits, an interval means little and no claim is made either way.
LEAST_EVENTS = 30
#: A gain that large, not ruled out, is worth waiting for.
STILL_POSSIBLE = 0.01
#: How far observed over expected may be from 1 before the probabilities need correcting.
O_E_LOW, O_E_HIGH = 0.85, 1.15
#: An interval that reaches beyond these is no confirmation, whatever its middle.
SURE_LOW, SURE_HIGH = 0.7, 1.4
#: How far the calibration slope may be from 1 before high and low probabilities are not to be taken at their word.
SLOPE_LOW, SLOPE_HIGH = 0.8, 1.25

#: What other baselines are called in a sentence.
BASELINES = {
    "expert": "the expert's scorecard alone",
    "scorecard": "the expert's scorecard alone",
    "previous": "the model in service",
}

Evaluation = Mapping[str, Any]


@dataclass(frozen=True)
class Quality:
    """The verdict on service signals and all sentences, the verdict's first."""

    verdict: Literal["adds", "nothing", "too_few"]
    sentences: tuple[str, ...]

    def to_plain(self) -> dict[str, Any]:
        """For the artefact's manifest."""
        return {"verdict": self.verdict, "sentences": list(self.sentences)}


def describe(churn: Evaluation, silent: Evaluation | None = None, *, look_back_days: int = 90) -> Quality:
    """Sentences about the evaluation of any churn (with a gain over `contract`) and of silent churn.

    Both are what `training.metrics.evaluate` returns; a metric that is undefined there has no sentence.
    """
    verdict, first = service_verdict(churn)
    sentences = [first, *_evidence(churn), *_other_baselines(churn), *_ranking(churn, "left")]
    sentences += [*_calibration(churn, "exits"), *_segments(churn)]
    if silent is not None:
        sentences += [*_silence(silent, look_back_days), *_ranking(silent, "left silently")]
        sentences += [*_calibration(silent, "silent exits"), *_lead_time(silent), *at_work(silent)]
    return Quality(verdict, tuple(sentences))


def service_verdict(churn: Evaluation) -> tuple[Literal["adds", "nothing", "too_few"], str]:
    """Whether service signals add anything to churn beyond contract terms, and the sentence that says so."""
    won = churn["gain"][CONTRACT]["auc"]
    if churn["n_events"] < LEAST_EVENTS or won["low"] is None:
        return "too_few", (
            f"Only {churn['n_events']} customers are known to have left: whether service signals add anything to "
            "churn beyond contract terms cannot be told yet."
        )
    numbers = f"(gain in AUC {_signed(won)})"
    if won["low"] > 0 and won["value"] >= WORTH_A_SENTENCE:
        before = churn["auc"]["value"] - won["value"]
        return "adds", (
            f"Service signals add to what contract terms tell about churn {numbers}: a customer who leaves is ranked "
            f"above one who stays in {_of_100(churn['auc']['value'])} of 100 cases instead of {_of_100(before)}."
        )
    if won["high"] >= STILL_POSSIBLE:
        return "nothing", (
            f"That service signals add to what contract terms tell about churn is not shown {numbers}; with "
            f"{churn['n_events']} exits a gain of up to {won['high']:.3f} is not ruled out."
        )
    worse = "; with them the model ranks worse than contract terms alone" if won["high"] < 0 else ""
    return "nothing", f"Service signals add nothing to churn beyond contract terms {numbers}{worse}."


def _signed(estimate: Mapping[str, float]) -> str:
    return f"{estimate['value']:+.3f}, 95 % interval {estimate['low']:+.3f} to {estimate['high']:+.3f}"


def _of_100(share: float) -> str:
    """A share as so many of a hundred, with a decimal where it is small."""
    return f"{100 * share:.1f}" if share < 0.095 else f"{100 * share:.0f}"


def _between(estimate: Mapping[str, float | None], unit: str = "") -> str:
    if estimate["low"] is None or estimate["high"] is None:
        return ""
    return f" (95 % interval {estimate['low']:.1f} to {estimate['high']:.1f}{unit})"


def _evidence(found: Evaluation) -> Iterator[str]:
    n = found["n_events"]
    yield (
        f"This rests on {n:,} {'customer' if n == 1 else 'customers'} who left, among {found['n_accounts']:,} looked "
        f"at on {found['n_moments']} days; each counts once in the intervals, however often it was looked at."
    )
    if LEAST_EVENTS <= n < 100:
        independent = found["auc_if_independent"]
        if independent["low"] is not None:
            width = (independent["high"] - independent["low"]) / 2
            yield f"With {n} exits, differences in AUC below {width:.2f} between separate samples are chance."


def _other_baselines(found: Evaluation) -> Iterator[str]:
    for name, metrics in found["gain"].items():
        won = metrics["auc"]
        if name not in BASELINES or won["low"] is None:
            continue
        yield f"The model {ranks(won)} {BASELINES[name]} (gain in AUC {_signed(won)})."


def _chance(found: Evaluation, left: str) -> Iterator[str]:
    auc = found["auc"]
    if auc["low"] is not None and auc["low"] <= 0.5:
        yield (
            f"There is no signal of who {left}: one who did is ranked above one who did not in "
            f"{_of_100(auc['value'])} of 100 cases (95 % interval {_of_100(auc['low'])} to {_of_100(auc['high'])}), "
            "which is what chance does."
        )


def _ranking(found: Evaluation, left: str) -> Iterator[str]:
    yield from _chance(found, left)
    yield from _top(found, left)


def _top(found: Evaluation, left: str) -> Iterator[str]:
    lift, base = found["top_decile_lift"], found["base_rate"]
    if lift["value"] is None or not base:
        return
    yield (
        f"In the tenth ranked highest, {_of_100(min(1.0, lift['value'] * base))} of 100 {left}, against "
        f"{_of_100(base)} of 100 overall: {lift['value']:.1f} times as many{_between(lift)}."
    )
    if found["precision_at_k"]["value"] is not None:
        k = found["bootstrap"]["k"]
        hits = {name: None if v is None else v * k for name, v in found["precision_at_k"].items()}
        # A table that says no moments has no days: its rows are one list.
        where = "on a day's list" if found["n_moments"] > 1 else "ranked"
        yield f"Of the first {k} {where}, {hits['value']:.1f} {left}{_between(hits)}."
    if found["revenue_captured"]["value"] is not None:
        # A few large customers decide this number: without its interval it promises too much.
        share = {name: None if v is None else 100 * v for name, v in found["revenue_captured"].items()}
        yield (
            f"The tenth ranked highest by revenue at risk held {share['value']:.0f} % of the revenue that was lost"
            f"{_between(share, ' %')}."
        )


def _calibration(found: Evaluation, exits: str) -> Iterator[str]:
    ratio, slope = found["observed_expected"], found["calibration_slope"]
    if ratio["value"] is not None:
        per_100 = {name: None if v is None else 100 * v for name, v in ratio.items()}
        yield (
            f"For 100 {exits} predicted, {per_100['value']:.0f} happened{_between(per_100)}: the probabilities "
            f"{_told(ratio, slope)}."
        )
    spread = _spread(slope)
    if spread is not None and spread[1] and not level_is_told(ratio):
        yield f"The differences between customers {spread[0]}."


def _told(ratio: Mapping[str, float | None], slope: Mapping[str, float | None]) -> str:
    """What the level says of the probabilities; that it holds only on the whole where the slope is off."""
    spread = _spread(slope)
    if spread is None or not level_is_told(ratio):
        return _level(ratio)
    return f"are right on the whole, but the differences between customers {spread[0]}"


def _spread(slope: Mapping[str, float | None]) -> tuple[str, bool] | None:
    """What a calibration slope too far from 1 says of the differences between customers, and whether it is beyond
    chance. None: it is near enough, or undefined."""
    value, low, high = slope["value"], slope["low"], slope["high"]
    if value is None or SLOPE_LOW <= value <= SLOPE_HIGH:
        return None
    word, sure = ("overstated", high is not None and high < 1) if value < 1 else ("understated", (low or 0.0) > 1)
    between = "" if low is None or high is None else f", 95 % interval {low:.2f} to {high:.2f}"
    return f"{'are' if sure else 'seem'} {word} (calibration slope {value:.2f}{between})", sure


def level_is_told(ratio: Mapping[str, float | None]) -> bool:
    """Whether the value is within the tolerance, and its interval too narrow to hide a level that is far off."""
    value, low, high = ratio["value"], ratio["low"], ratio["high"]
    if value is None or low is None or high is None:
        return False
    return O_E_LOW <= value <= O_E_HIGH and low >= SURE_LOW and high <= SURE_HIGH


def _level(ratio: Mapping[str, float | None]) -> str:
    """Too low, too high, or to be taken at their word: beyond the tolerance, and not by chance."""
    value, low, high = ratio["value"] or 0.0, ratio["low"], ratio["high"]
    if value > O_E_HIGH and low is not None and low > 1:
        return "are too low"
    if value < O_E_LOW and high is not None and high < 1:
        return "are too high"
    if O_E_LOW <= value <= O_E_HIGH:
        return "can be taken at their word" if level_is_told(ratio) else "seem right, with too few exits to be sure"
    return "may be off, with too few exits to tell"


def _segments(found: Evaluation) -> Iterator[str]:
    for name, part in found.get("segments", {}).items():
        ratio = part["observed_expected"]
        if ratio["value"] is not None and part["n_events"] >= LEAST_EVENTS and _level(ratio).startswith("are too"):
            yield (
                f"In the segment {name!r} the probabilities {_level(ratio)}: {100 * ratio['value']:.0f} exits "
                f"happened for 100 predicted."
            )


def _silence(silent: Evaluation, look_back_days: int) -> Iterator[str]:
    quiet, everybody = silent.get("quiet"), silent["auc"]["value"]
    if not quiet or quiet["auc"]["value"] is None:
        return
    within = {name: None if v is None else 100 * v for name, v in quiet["auc"].items()}
    yield (
        f"Among customers who had said nothing for {look_back_days} days, one who left silently was ranked above "
        f"one who did not in {_of_100(quiet['auc']['value'])} of 100 cases{_between(within)}: judge the list by this."
    )
    if everybody is not None and everybody > quiet["auc"]["value"]:
        yield (
            f"The same figure for all customers, {_of_100(everybody)} of 100, flatters: whoever has just spoken up "
            "cannot leave silently, by definition."
        )


def _lead_time(silent: Evaluation) -> Iterator[str]:
    early = silent.get("lead_time")
    if early and early["median_days"] is not None:
        yield (
            f"{100 * early['share_flagged']:.0f} % of those who left silently had been in the tenth ranked highest "
            f"within reach of their decision, half of them at least {early['median_days']:.0f} days before it."
        )


def chosen(selection: Mapping[str, Any]) -> Iterator[str]:
    """That a kind was chosen on the rows it is reported on, and what that may flatter (`training.selection`)."""
    for target, found in selection.items():
        if found["kind"] == "pairs":
            told, crossed = found["tried"]["pairs"]["auc"], found["by_other_half"]["auc"]
            yield (
                f"Pairs of features were taken for {'leaving' if target == 'churn' else 'leaving silently'} on the "
                f"rows they are measured on; each half of the customers judged by the other half's choice has an AUC "
                f"of {crossed:.3f}, and all of them by this choice {told:.3f}."
            )


def describe_table(churn: Evaluation) -> list[str]:
    """Sentences about the evaluation of a wide table's model, with gains over `logistic` and `boosting`."""
    return [*_signal(churn), *_top(churn, "left"), *_calibration(churn, "exits"), *_cost(churn)]


def corrected(calibration: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each correction that is served: what was measured above had not all of it."""
    for found in calibration.values():
        if found["kind"] != "none":
            yield (
                "What these rows told of level and slope of the probabilities is built into the model that serves: "
                f"log-odds times {found['slope']:.2f}, then {found['intercept']:+.2f}. The measurements above had only "
                "what earlier rows told."
            )


def _signal(found: Evaluation) -> Iterator[str]:
    auc = found["auc"]
    if auc["low"] is not None and auc["low"] <= 0.5:
        yield (
            f"There is no signal in these columns: who leaves is ranked above who stays in {_of_100(auc['value'])} of "
            f"100 cases, which may be chance ({found['n_event_rows']:,} of {found['n_rows']:,} rows left)."
        )
        return
    within = {name: None if value is None else 100 * value for name, value in auc.items()}
    yield (
        f"A customer who leaves is ranked above one who stays in {_of_100(auc['value'])} of 100 cases"
        f"{_between(within)}, judged on rows no fit had seen; {found['n_event_rows']:,} of {found['n_rows']:,} left."
    )


def _cost(found: Evaluation) -> Iterator[str]:
    for name, called in (
        ("logistic", "a plain logistic regression"),
        ("boosting", "boosted trees nobody could read, set up as their library does"),
    ):
        won = found["gain"][name]["auc"]
        if won["low"] is not None:
            verb = "ranks better than" if won["low"] > 0 else "ranks worse than" if won["high"] < 0 else "ranks like"
            yield f"It {verb} {called} (gain in AUC {_signed(won)})."
