"""Sentences about what a model is worth at work: its lists, money, half a year ahead, beside the model in service."""

from collections.abc import Iterator, Mapping
from typing import Any

from models.clock import isoformat

Found = Mapping[str, Any]

#: With fewer exits a longer horizon has no sentence of its own.
LEAST_EXITS = 30


def at_work(silent: Found) -> Iterator[str]:
    """What the evaluation of silent churn says beyond single metrics; parts that are not there have no sentence."""
    yield from _lists(silent.get("by_month"))
    yield from _money(silent.get("profit"), silent)
    yield from _half_a_year(silent.get("horizons"))


def in_service(previous: Found) -> Iterator[str]:
    """How a new model compares with the one in service (`training.previous.compare`); nothing where none is served."""
    if previous["status"] == "too_recent":
        yield previous["why"]
    if previous["status"] != "compared":
        return
    found = previous["silent"]
    won = found["gain"]["auc"]
    if won["low"] is None:
        return
    yield (
        f"On the {found['n_rows']:,} tested rows after {isoformat(previous['cutoff'])[:10]}, which the model in "
        f"service cannot have learnt from ({found['n_events']} silent exits), the new one {ranks(won)} it (gain in AUC "
        f"{won['value']:+.3f}, 95 % interval {won['low']:+.3f} to {won['high']:+.3f})."
    )


def table_in_service(previous: Found) -> Iterator[str]:
    """The same of a wide table's model (`training.tables.previous.compare`)."""
    if previous["model_id"] is not None and previous["status"] != "compared":
        yield f"Not compared with the model in service: {previous['why']}"
    if previous["status"] != "compared":
        return
    found, flattered = previous["churn"], f" {previous['why']}" if previous["why"] else ""
    won = found["gain"]["auc"]
    if won["low"] is not None:
        yield (
            f"On {found['n_rows']:,} rows that no fit of it had seen ({found['n_events']} customers left), the new "
            f"model {ranks(won)} the one in service (gain in AUC {won['value']:+.3f}, 95 % interval "
            f"{won['low']:+.3f} to {won['high']:+.3f}).{flattered}"
        )


def ranks(won: Found) -> str:
    """What the interval of a gain allows to be said of who ranks better."""
    if won["low"] > 0:
        return "ranks better than"
    return "ranks worse than" if won["high"] < 0 else "ranks no better and no worse than"


def _lists(by_month: Found | None) -> Iterator[str]:
    if not by_month or not by_month["months"]:
        return
    found, k = by_month["summary"], by_month["capacity"]
    if found["lift"]["value"] is None:
        return
    yield (
        f"Lists of the first {k} quiet customers on the {found['moments']} tested days would have held "
        f"{found['places']} places ({found['accounts']} different customers); {found['left']} of them left silently "
        f"within the horizon: {percent(found['precision']['value'])}{between(found['precision'])}, against "
        f"{percent(found['base_rate']['value'])} of all quiet customers."
    )
    last = by_month["months"][-1]
    yield (
        f"The last of them, of {isoformat(last['as_of'])[:10]}: {last['listed']} customers, {last['left']} left "
        f"silently, base {percent(last['base_rate'])}."
    )


def _money(profit: Found | None, silent: Found) -> Iterator[str]:
    if not profit:
        return
    said = profit["assumptions"]
    assumed = (
        f"If an offer of {said['incentive']:.0%} of {said['months']:.0f} months' revenue keeps {said['accepted']:.0%} "
        f"of those who would leave and a call costs {said['contact_cost']:,.0f}"
    )
    k = silent["bootstrap"]["k"]
    listed = profit["at_capacity"]
    earned = f"calling the first {k} of a day would have earned {listed['value']:,.0f}{between(listed, '{:,.0f}')}"
    if not profit["fraction"]:
        yield f"{assumed}, in hindsight calling nobody would have earned most; {earned}."
        return
    yield (
        f"{assumed}, {earned}; the best number to call, known only in hindsight, would have been about "
        f"{profit['accounts_per_list']:,.0f} a day. Who can be saved is assumed here, not measured."
    )


def _half_a_year(horizons: Found | None) -> Iterator[str]:
    for days, found in (horizons or {}).items():
        if found.get("population") != "annual" or "auc" not in found or found["n_events"] < LEAST_EXITS:
            continue
        auc, contract = found["auc"], found["gain"].get("contract", {}).get("auc")
        beside = f", {_signed(contract)} in AUC over contract terms alone" if contract else ""
        yield (
            f"For {days} days ahead (annual contracts, {found['n_events']} silent exits) the same order was right in "
            f"{100 * auc['value']:.0f} of 100 cases{between(auc)}{beside}."
        )


def _signed(estimate: Found) -> str:
    if estimate["low"] is None:
        return f"{estimate['value']:+.3f}"
    return f"{estimate['value']:+.3f} ({estimate['low']:+.3f} to {estimate['high']:+.3f})"


def percent(share: float) -> str:
    """A share in percent, with a decimal where it is small."""
    return f"{100 * share:.1f} %" if share < 0.095 else f"{100 * share:.0f} %"


def between(estimate: Found, form: str = "{:.0%}") -> str:
    """The interval in parentheses; nothing where there is none."""
    if estimate["low"] is None:
        return ""
    return f" (95 % interval {form.format(estimate['low'])} to {form.format(estimate['high'])})"
