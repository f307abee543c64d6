"""The report's first page: the few numbers that matter, and in plain words what a model is for and what it is not."""

from collections.abc import Iterator, Mapping
from typing import Any

from models.model import ChurnModel
from training.describe import level_is_told

Report = Mapping[str, Any]

#: The AUC of a list drawn at random.
CHANCE = 0.5
#: What a target's probabilities are called.
_OF = {"churn": "the probabilities of leaving", "silent": "the probabilities of leaving silently"}


def tiles(report: Report) -> list[dict[str, str]]:
    """Number and what it says, four at most; none where nothing was measured."""
    metrics = report.get("metrics") or {}
    target = "silent" if "silent" in metrics else next(iter(metrics), None)
    if target is None:
        return []
    return [tile | {"target": target} for tile in _tiles(metrics[target], target, counted(report))]


def counted(report: Report) -> str:
    """What one piece of evidence is: an account, or a row of a table that names none (rows alike are one)."""
    nameless = bool(report.get("table")) and not (report.get("label") or {}).get("id")
    return "different rows" if nameless else "accounts"


def _tiles(found: Mapping[str, Any], target: str, counted: str) -> Iterator[dict[str, str]]:
    left = "left silently" if target == "silent" else "left"
    quiet = found.get("quiet") or {}
    auc, where = (quiet["auc"], "Among quiet customers, pairs") if quiet.get("auc") else (found["auc"], "Pairs")
    if auc["value"] is not None:
        pairs = f"{where} of one who {left} and one who did not"
        said = f"{pairs}, ranked the right way round{_between(auc, 100)}. Chance: 50."
        yield {"number": f"{100 * auc['value']:.0f} of 100", "says": said}
    lift = found["top_decile_lift"]
    if lift["value"] is not None:
        said = f"As many {left} in the tenth ranked highest as in a tenth drawn at random{_between(lift, 1, 1)}."
        yield {"number": f"{lift['value']:.1f} times", "says": said}
    ratio = found["observed_expected"]
    if ratio["value"] is not None:
        said = f"Exits that happened for every 100 predicted{_between(ratio, 100)}."
        yield {"number": f"{100 * ratio['value']:.0f} per 100", "says": said}
    yield {
        "number": f"{found['n_events']:,}",
        "says": f"{counted.capitalize()} that {left} carry all this evidence, of {found['n_accounts']:,} looked at.",
    }


def _between(estimate: Mapping[str, Any], scale: float, decimals: int = 0) -> str:
    low, high = estimate.get("low"), estimate.get("high")
    if low is None or high is None:
        return ""
    return f" ({scale * low:.{decimals}f} to {scale * high:.{decimals}f})"


def uses(model: ChurnModel, report: Report) -> list[str]:
    """What the model may be used for, and by whom."""
    return list(_uses(model, report))


def _uses(model: ChurnModel, report: Report) -> Iterator[str]:
    if report["phase"] == "P0":
        yield "For customer success: a first order in which to look at accounts, by experts' judgement."
        yield "For nobody: the probabilities. They rest on assumed base rates until exits have been counted."
        return
    shown = _better_than_chance(report)
    yield _for_customer_success(model, report) if shown else _by_chance(report)
    yield _for_finance(report)
    if not shown:
        return
    if report.get("service_signal") == "nothing":
        yield "For a conversation: reasons that lie in the contract. That service tells more was not shown."
    else:
        yield "For a conversation: the reasons, as where to look first; each is a table value printed in this report."


def _better_than_chance(report: Report) -> bool:
    """Whether the interval of the AUC to judge the list by leaves out chance; nothing is said against an order that
    could not be measured."""
    metrics = report.get("metrics") or {}
    found = metrics.get("silent") or metrics.get("churn") or {}
    low = ((found.get("quiet") or found).get("auc") or {}).get("low")
    return low is None or bool(low > CHANCE)


def _by_chance(report: Report) -> str:
    if report["phase"] == "P1":  # the order is the expert's, whatever ten exits say of it
        order = "For customer success: a first order in which to look at accounts, by experts' judgement."
    else:
        order = "For nobody: the order, and the reasons for it."
    return f"{order} That it is better than chance was not shown on {_unseen(report)}."


def _for_customer_success(model: ChurnModel, report: Report) -> str:
    if "silent" not in (report.get("metrics") or {}):
        return "For customer success: the order in which to speak to customers."
    first, last = _reach(model)
    return (
        f"For customer success: a list of the quiet customers to speak to first, {first} to {last} days before "
        "a decision would fall."
    )


def _for_finance(report: Report) -> str:
    off = [_OF[target] for target, found in (report.get("metrics") or {}).items() if not _level_holds(found)]
    if not off:
        return f"For finance: the revenue at risk, a sum of probabilities whose level held on {_unseen(report)}."
    level = " and of ".join(off)
    return f"For finance: comparisons only. The level of {level} was not confirmed on {_unseen(report)}."


def _at_random(report: Report) -> bool:
    """Whether rows were held out at random, for want of times, and not later ones."""
    return (report.get("table") or {}).get("tested") == "random groups"


def _unseen(report: Report) -> str:
    return "rows held out at random" if _at_random(report) else "later data"


def _level_holds(found: Mapping[str, Any]) -> bool:
    ratio = found["observed_expected"]
    return ratio["low"] is not None and ratio["low"] <= 1 <= ratio["high"] and level_is_told(ratio)


def _reach(model: ChurnModel) -> tuple[int, int]:
    label = model.label
    return label.blackout_days, label.blackout_days + label.horizon_days


def misuses(report: Report) -> list[str]:
    """What the model must not be used for."""
    found = [
        "Judging the people who look after the accounts.",
        "Setting prices, refusing service or ending contracts.",
        "Proving that something caused an exit: the reasons are associations, and removing one does not undo the risk.",
    ]
    if report.get("service_signal") == "nothing":
        found.append("Arguing that service quality drives churn here: beyond contract terms, that was not shown.")
    if report["phase"] in ("P0", "P1"):
        found.append("Comparing with another model: there are too few exits to tell two models apart.")
    return found


def blind(model: ChurnModel, report: Report) -> list[str]:
    """What the model cannot see."""
    found = [
        "Whatever leaves no trace in the data it was given: offers of competitors, budgets, people who moved on.",
        "Who can be persuaded to stay. It ranks risk, not the effect of speaking to somebody.",
        "Exits that outreach prevented: they count as stays, so it looks worse where it helps most.",
        _untested(report),
    ]
    if model.columns.source == "history":
        first, last = _reach(model)
        found.append(f"Decisions sooner than {first} or later than {last} days ahead.")
    return found


def _untested(report: Report) -> str:
    if not report.get("metrics"):
        return "How good it is: nothing was measured yet."
    if _at_random(report):
        return "Later times: the rows are of one time, or say none, so it was tested on other rows of that time only."
    return "A new market: it was tested on later months and other accounts of one company only."


def data(report: Report) -> list[tuple[str, str]]:
    """What was learnt from, as names and numbers; only what is known."""
    known, rows = report.get("data") or {}, report.get("rows") or {}
    if report.get("table"):
        return _table_data(report, known, rows)
    counts = [
        ("accounts", known.get("accounts")),
        ("test accounts, left out", known.get("test_accounts")),
        ("interactions", known.get("interactions")),
        ("surveys", known.get("surveys")),
        ("accounts only known from their contacts", known.get("orphan_accounts")),
        ("labelled rows", rows.get("snapshots")),
        ("accounts among them", rows.get("accounts")),
        ("moments", rows.get("moments")),
        ("accounts that left of their own will", rows.get("churn_events")),
        ("of these silently", rows.get("silent_events")),
    ]
    found = [(name, f"{number:,}") for name, number in counts if number is not None]
    if known.get("from") and known.get("to"):
        found.insert(3, ("contacts from, to", f"{known['from'][:10]} to {known['to'][:10]}"))
    return found


def _table_data(report: Report, known: Report, rows: Report) -> list[tuple[str, str]]:
    """The same of a wide table, which has rows and their moments, and accounts only where a column names them."""
    counts = [
        ("labelled rows", rows.get("snapshots")),
        ("accounts among them", rows.get("accounts") if (report.get("label") or {}).get("id") else None),
        ("rows labelled as left", rows.get("churn_events")),
    ]
    found = [(name, f"{number:,}") for name, number in counts if number is not None]
    first, last = known.get("from"), known.get("to")
    if first and last:
        moments = first[:10] if first == last else f"{first[:10]} to {last[:10]}"
        found.append(("as of when the rows are", moments))
    return found
