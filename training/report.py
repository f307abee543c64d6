"""The two texts that go with every artefact: CARD.md, and report.html, one file that opens offline."""

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from models.model import ChurnModel

#: Metric -> (heading, format), in the order of the tables.
SHOWN = {
    "auc": ("AUC", "{:.3f}"),
    "top_decile_lift": ("lift, top tenth", "{:.2f}"),
    "precision_at_k": ("hits among the first 20 of a month", "{:.0%}"),
    "revenue_captured": ("lost revenue in the top tenth by p x MRR", "{:.0%}"),
    "observed_expected": ("observed / expected", "{:.2f}"),
    "calibration_slope": ("calibration slope", "{:.2f}"),
    "brier_skill": ("Brier skill", "{:.3f}"),
    "pr_auc": ("PR-AUC", "{:.3f}"),
    "log_loss": ("log loss", "{:.4f}"),
}
QUESTIONS = {"churn": "Will they leave?", "silent": "Will they leave silently?"}


def card(model: ChurnModel, report: Mapping[str, Any]) -> str:
    """The model card, Markdown."""
    return _render("card.md.jinja", model, report)


def page(model: ChurnModel, report: Mapping[str, Any]) -> str:
    """The report, one self-contained HTML file."""
    return _render("report.html.jinja", model, report)


def _render(template: str, model: ChurnModel, report: Mapping[str, Any]) -> str:
    environment = Environment(
        loader=PackageLoader("training"),
        autoescape=template.startswith("report"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"said": _said, "number": _number, "zip_table": _told}
    context = {"model": model, "report": report, "shown": SHOWN, "questions": QUESTIONS, "features": model.columns}
    return environment.get_template(template).render(context)


def _said(estimate: Mapping[str, float | None] | None, form: str) -> str:
    """A metric with its interval: .812 (.790 to .833)."""
    if estimate is None or estimate["value"] is None:
        return "not defined"
    value = form.format(estimate["value"])
    low, high = estimate.get("low"), estimate.get("high")
    return value if low is None or high is None else f"{value} ({form.format(low)} to {form.format(high)})"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _told(bins: tuple[str, ...], table: tuple[float, ...]) -> list[tuple[str, float]]:
    """The lines of a term worth printing; none where the whole term says nothing."""
    rows = list(zip(bins, table, strict=True))
    return rows if max((abs(value) for _, value in rows), default=0.0) >= 0.005 else []
