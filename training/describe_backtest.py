"""A back-test in sentences: what the lists would have been worth, beside what, and what could not be graded."""

from collections.abc import Iterator, Mapping
from typing import Any

from models.clock import isoformat
from models.labels import LabelParams
from training.describe_lists import between, percent


def describe(report: Mapping[str, Any], params: LabelParams, *, alone: bool = False) -> Iterator[str]:
    """Sentences about a report of `training.backtest`; `alone`: of an expert's file, beside the usual one."""
    yield _summary(report, params)
    if report["summary"]["lift"]["value"] is not None:
        yield from _beside(report, alone=alone)
        yield from _ranking(report)
        yield from _level(report)
    yield from _uncalibrated(report, alone=alone)
    yield from _ungraded(report)


def _summary(report: Mapping[str, Any], params: LabelParams) -> str:
    found = report["summary"]
    first, last = params.blackout_days, params.blackout_days + params.horizon_days
    said = (
        f"In {found['moments']} months the lists had {found['places']} places ({found['accounts']} different "
        f"customers); {found['left']} of them left silently {first} to {last} days later"
    )
    rate, base, lift = found["precision"], found["base_rate"], found["lift"]
    if lift["value"] is None:
        return f"{said}; nobody else did either, so the lists cannot be judged."
    return (
        f"{said}: {percent(rate['value'])}{between(rate)}, against {percent(base['value'])} of all quiet customers: "
        f"{lift['value']:.1f} times as many{between(lift, '{:.1f}')}."
    )


def _beside(report: Mapping[str, Any], *, alone: bool) -> Iterator[str]:
    found = report["summary"]
    whose = "the expert's file in use" if alone else "the expert's tables alone"
    yield (
        f"On as many places, contract terms alone would have listed {found['contract']['left']} of those who left, and "
        f"{whose} {found['expert']['left']}."
    )
    share = found["by_loss"]["revenue_share"]
    if share["value"] is not None:
        yield (
            f"Ordered by revenue at risk the lists would have held {found['by_loss']['left']} of them and "
            f"{percent(share['value'])} of the revenue the quiet ones took along{between(share)}."
        )


def _ranking(report: Mapping[str, Any]) -> Iterator[str]:
    quiet = report["metrics"]["silent"]["quiet"]
    auc = quiet["auc"]
    if auc["value"] is None or auc["low"] is None:
        return
    yield (
        f"Among quiet customers, one who left silently stood above one who did not in {100 * auc['value']:.0f} of 100 "
        f"cases{between(auc)}; in AUC that is {_gained(quiet, 'contract')} over contract terms alone and "
        f"{_gained(quiet, 'expert')} over the expert's tables."
    )
    if quiet["gain"]["contract"]["auc"]["low"] <= 0:
        yield "Service signals are not shown to add to what contract terms alone would have listed."
    if auc["low"] <= 0.5 or (report["summary"]["lift"]["low"] or 0.0) <= 1:
        yield "On this history the lists are not shown to be better than as many customers drawn at random."


def _gained(quiet: Mapping[str, Any], rival: str) -> str:
    won = quiet["gain"][rival]["auc"]
    return f"{won['value']:+.3f} ({won['low']:+.3f} to {won['high']:+.3f})"


def _level(report: Mapping[str, Any]) -> Iterator[str]:
    ratio = report["metrics"]["silent"].get("observed_expected")
    if ratio and ratio["value"] is not None:
        per_100 = {name: None if value is None else 100 * value for name, value in ratio.items()}
        yield f"For 100 silent exits predicted, {per_100['value']:.0f} happened{between(per_100, '{:.0f}')}."


def _uncalibrated(report: Mapping[str, Any], *, alone: bool) -> Iterator[str]:
    early = [month for month in report["months"] if month["phase"] == "P0"]
    if early and not alone:
        yield (
            f"In {len(early)} of these months too little was known to fit anything, and the expert's scorecard served, "
            "uncalibrated."
        )


def _ungraded(report: Mapping[str, Any]) -> Iterator[str]:
    recent = [entry for entry in report["ungraded"] if "certain_from" in entry]
    if recent:
        days = ", ".join(isoformat(entry["as_of"])[:10] for entry in recent)
        yield (
            f"Not graded yet: {days}; what became of the first of these lists is certain from "
            f"{isoformat(recent[0]['certain_from'])[:10]} on."
        )
    for entry in report["ungraded"]:
        if "certain_from" not in entry:
            yield f"Not run: {isoformat(entry['as_of'])[:10]}. {entry['why']}"
