"""The two texts that go with every artefact: CARD.md, and report.html, one file that opens offline.

Both are made from the model and the plain report (`training.artefact.plain`) and nothing else:
equal input, equal bytes.
What a report does not hold has its section all the same, with a sentence that says why it is empty.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader

from models.model import ChurnModel
from models.scorecard import GridTerm, Term
from training import summary
from training.figures import QUESTIONS, WORTH_DRAWING, cards, figures, label, unit
from training.plots import NAMES

#: Metric -> (heading, format), in the order of the tables.
SHOWN = {
    "auc": ("AUC", "{:.3f}"),
    "top_decile_lift": ("lift, top tenth", "{:.2f}"),
    "precision_at_k": ("hits among the first of a list", "{:.0%}"),
    "revenue_captured": ("lost revenue in the top tenth by p x MRR", "{:.0%}"),
    "observed_expected": ("observed / expected", "{:.2f}"),
    "calibration_slope": ("calibration slope", "{:.2f}"),
    "brier_skill": ("Brier skill", "{:.3f}"),
    "pr_auc": ("PR-AUC", "{:.3f}"),
    "log_loss": ("log loss", "{:.4f}"),
}
#: Metric -> what it says, to somebody who meets it for the first time.
MEANINGS = {
    "auc": "How often one who left was ranked above one who stayed: 0.5 is chance, 1 never errs.",
    "top_decile_lift": "How many times as many left in the tenth ranked highest as in a tenth drawn at random.",
    "precision_at_k": "The share of a list, as long as the team can call, that left.",
    "revenue_captured": "The share of the revenue lost that lay in the tenth ranked highest by probability times "
    "monthly revenue (MRR).",
    "observed_expected": "Exits that happened over exits predicted: 1 is right, above 1 more left than was said.",
    "calibration_slope": "Whether the differences between customers are right: 1; below 1 they are overstated, above "
    "1 understated.",
    "brier_skill": "The share of the squared error of saying the same of everybody that is gone. Where few leave, .05 "
    "is good.",
    "pr_auc": "The share that left, averaged over lists of every length; of a list drawn at random, that of everybody.",
    "log_loss": "How surprising the outcomes were to the probabilities: less is better. Compare within one table only.",
}
#: Template and anchor -> heading, in the order of the page.
SECTIONS = {
    "summary": "In plain words",
    "data": "Data, and what they allow",
    "leakage": "Leakage",
    "folds": "How it was tested",
    "quality": "How well it ranks",
    "calibration": "Whether the probabilities hold",
    "lists": "What a list is worth",
    "months": "Month by month",
    "segments": "Segments",
    "terms": "What the model has learnt",
    "pairs": "Pairs of features",
    "label": "What counts as silent",
    "selection": "How the model was chosen",
    "previous": "Against the model before",
    "reproducibility": "Making it again",
    "tables": "The whole model",
}
#: Sections that begin a sheet when printed.
PAGES = ("quality", "terms", "tables")
RIVALS = {
    "contract": "contract terms alone",
    "expert": "the expert's scorecard",
    "base": "everybody the same",
    "previous": "the model before",
    "logistic": "logistic regression",
    "boosting": "histogram boosting, a black box",
}
#: What a kind of fit is called.
KINDS = {
    "logistic": "the regression held towards the expert's tables",
    "pairs": "the regression with pairs of features",
}
LEFT_OUT = {
    "unknown": "nothing known about the account yet",
    "test": "test accounts",
    "gone": "had left already",
    "leaving": "had given notice already",
    "unpaid": "not a paying customer",
    "undated": "without a date of beginning",
    "young": "customers for less than 30 days",
    "blackout": "decided before anybody could have acted",
    "involuntary": "left, but not of their own will",
    "immature": "too recent to know",
    "without_label": "without a label",
    "unlabelable": "left, and nobody could have heard a voice",
}
SUBTYPES = {
    "dormant": "no contact at all in the look-back",
    "faded": "contacts fell below half of their habit",
    "quiet_after_failure": "quiet after something failed",
    "other": "none of these",
}
#: A grid with more entries is drawn, not printed; of a table with more lines, neighbours are printed as one.
PRINTED_GRID, PRINTED_LINES = 100, 24


def card(model: ChurnModel, report: Mapping[str, Any], origin: Mapping[str, Any] | None = None) -> str:
    """The model card, Markdown. report: plain values; origin: how to make the model again, see `page`."""
    return _render("card.md.jinja", model, report, origin or {}, {})


def page(model: ChurnModel, report: Mapping[str, Any], origin: Mapping[str, Any] | None = None) -> str:
    """The report, one self-contained HTML file.

    report  plain values, as the manifest keeps them
    origin  how to make the model again: name -> text, number or mapping (command, configuration, seed, versions, hash)
    """
    return _render("report.html.jinja", model, report, origin or {}, figures(model, report))


def _render(
    template: str, model: ChurnModel, report: Mapping[str, Any], origin: Mapping[str, Any], drawn: Mapping[str, Any]
) -> str:
    environment = Environment(
        loader=PackageLoader("training"),
        autoescape=template.startswith("report"),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "said": _said, "number": _number, "told": _told, "words": _words, "keys": _keys, "without": _without,
        "day": lambda moment: str(moment)[:10], "rivals": _rivals, "lines": _lines, "flat": _flat,
        "firm": lambda text: text.replace(" %", "\N{NO-BREAK SPACE}%"),
        "defined_in": _defined_in, "settings": _settings,
        "label": lambda name: label(model, name), "known": lambda values: _without(values, ()),
"unit": lambda name: unit(model, name),
    }  # fmt: skip
    context = {
        "model": model, "report": report, "figures": drawn, "told": _derived(model, report, origin),
        "tiles": summary.tiles(report), "why": {"no_metrics": _no_metrics(report)},
        "sections": list(SECTIONS.items()), "pages": PAGES, "shown": SHOWN, "meanings": MEANINGS,
        "questions": QUESTIONS, "names": NAMES,
        "rival_names": RIVALS,
        "kinds": KINDS, "left_out": LEFT_OUT, "subtypes": SUBTYPES, "printed_grid": PRINTED_GRID,
        "printed_lines": PRINTED_LINES,
    }  # fmt: skip
    return environment.get_template(template).render(context)


def _derived(model: ChurnModel, report: Mapping[str, Any], origin: Mapping[str, Any]) -> dict[str, Any]:
    held = cards(model)
    return {
        "history": model.columns.source == "history",
        "counted": summary.counted(report),
        "uses": summary.uses(model, report),
        "misuses": summary.misuses(report),
        "blind": summary.blind(model, report),
        "data": summary.data(report),
        "origin": list(origin.items()),
        "cards": held,
        "targets": list(held),
        "terms": len({term.feature for held_card in held.values() for term in held_card.terms}),
        "replicates": any(held_card.base_replicates for held_card in held.values()),
    }


def _no_metrics(report: Mapping[str, Any]) -> str:
    if report["phase"] == "P0":
        return "Nothing was measured: with this few exits the expert's scorecard serves as it is, untested."
    return "Nothing was measured for this model."


def _rivals(metrics: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The names of everything some target was compared with."""
    return list(dict.fromkeys(name for found in metrics.values() for name in found.get("gain") or {}))


def _defined_in(metrics: Mapping[str, Mapping[str, Any]], name: str) -> bool:
    """Whether a metric is defined for any target."""
    return any((found.get(name) or {}).get("value") is not None for found in metrics.values())


def _settings(values: Mapping[str, Any], within: str = "") -> str:
    """What was configured, one line each, as a configuration file may hold it; what is empty left out."""
    lines = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            lines.append(_settings(value, f"{within}{name}."))
        elif value not in (None, []):
            lines.append(f"{within}{name} = {json.dumps(value, ensure_ascii=False)}")
    return "\n".join(filter(None, lines))


def _said(estimate: Mapping[str, float | None] | None, form: str) -> str:
    """A metric with its interval: .812 (.790 to .833)."""
    if not estimate or estimate["value"] is None:
        return "not defined"
    value = form.format(estimate["value"])
    low, high = estimate.get("low"), estimate.get("high")
    return value if low is None or high is None else f"{value} ({form.format(low)} to {form.format(high)})"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _told(value: object) -> str:
    """Any number or text, in a form to be read."""
    if isinstance(value, float):
        return f"{value:,.0f}" if value == round(value) and abs(value) >= 10 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _words(name: object) -> str:
    return str(name).replace("_", " ")


def _keys(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _without(values: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The other entries, those that hold nothing left out."""
    return {name: value for name, value in values.items() if name not in set(names) and value not in ({}, [], None)}


def _flat(table: Iterable[float]) -> bool:
    """Whether a table never moves an account by anything worth a line."""
    return max(map(abs, table), default=0.0) < WORTH_DRAWING / 2


def _lines(term: Term | GridTerm) -> list[tuple[str, float]]:
    """The lines of a table: neighbouring bins that print the same number are one; so are those of a very fine table."""
    rows = list(zip(term.bins, term.table, strict=True))
    if not isinstance(term, Term) or term.kind != "steps":
        return rows
    inner, rest = rows[:-1], rows[-1:]
    found: list[list[tuple[str, float]]] = []
    for row in inner:
        if found and f"{found[-1][0][1]:.2f}" == f"{row[1]:.2f}":
            found[-1].append(row)
        else:
            found.append([row])
    if len(found) > PRINTED_LINES:
        # Finer than anybody reads: neighbours are joined, with their mean.
        runs = np.array_split(np.arange(len(found)), PRINTED_LINES)
        found = [_mean([row for i in part for row in found[i]]) for part in runs]
    return [(_joined([text for text, _ in run]), run[0][1]) for run in found] + rest


def _mean(run: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """The same bins, each with the mean of all."""
    mean = sum(value for _, value in run) / len(run)
    return [(text, mean) for text, _ in run]


def _joined(bins: list[str]) -> str:
    """`< 3` and `3 to < 5` as `< 5`; `3 to < 5` and `>= 5` as `>= 3`."""
    first, last = bins[0], bins[-1]
    if first == last:
        return first
    if first.startswith("<"):
        return "any" if last.startswith(">=") else f"< {last.rsplit('< ', 1)[1]}"
    low = first.split(" to ")[0]
    return f">= {low}" if last.startswith(">=") else f"{low} to < {last.rsplit('< ', 1)[1]}"
