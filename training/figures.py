"""The drawings of one model's report: each with its title, its caption and a text for whoever cannot see it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes

from models.model import ChurnModel
from models.scorecard import GridTerm, Scorecard, Term
from training import plots, shapes
from training.svg import svg

#: A term whose table never moves an account by more than this is printed, not drawn.
WORTH_DRAWING = 0.01
#: So many shapes and grids are drawn, those that move most first; every table is printed at the end.
SHAPES, GRIDS = 24, 8
TIMES = " \N{MULTIPLICATION SIGN} "
QUESTIONS = {"churn": "Will they leave?", "silent": "Will they leave silently?"}


@dataclass(frozen=True)
class Figure:
    """A drawing for the page: inline SVG, a heading, and a line of text under it."""

    svg: str
    title: str
    caption: str = ""


def cards(model: ChurnModel) -> dict[str, Scorecard]:
    """The scorecards of a model by target; a model of wide tables has one."""
    found = {target: getattr(model, target, None) for target in QUESTIONS}
    return {target: card for target, card in found.items() if card is not None}


def label(model: ChurnModel, name: str) -> str:
    """What a column is called where people read."""
    return model.columns[name].label if name in model.columns else name.replace("_", " ")


def unit(model: ChurnModel, name: str) -> str:
    """What its values count."""
    return model.columns[name].unit if name in model.columns else ""


def figures(model: ChurnModel, report: Mapping[str, Any]) -> dict[str, Any]:
    """Every drawing there is data for: name -> `Figure`, and `shapes`, `grids` -> a list of them."""
    found: dict[str, Any] = dict(_single(model, report))
    found["shapes"] = list(_shapes(model, report))
    found["grids"] = list(_grids(model, report))
    return found


def _single(model: ChurnModel, report: Mapping[str, Any]) -> Iterator[tuple[str, Figure]]:
    if report.get("folds"):
        yield "folds", _folds(report["folds"])
    curve = [row for row in report.get("look_back_curve") or () if row["silent_share"] is not None]
    if curve:
        yield "look_back", _look_back(curve, model.label.look_back_days)
    for target, found in (report.get("metrics") or {}).items():
        if found.get("reliability"):
            yield f"calibration_{target}", _calibration(found["reliability"], target)
        if found.get("lift_table"):
            yield f"lift_{target}", _captured(found["lift_table"], target, "exits")
        if found.get("revenue_table"):
            yield f"revenue_{target}", _captured(found["revenue_table"], target, "lost revenue")
        if found.get("by_month", {}).get("months"):
            yield "months", _months(found["by_month"])
    for target, collected in (report.get("terms") or {}).items():
        if collected["terms"]:  # a table without a signal leaves a scorecard that is a base alone
            yield f"weights_{target}", _weights(model, collected["terms"], target)


def _drawn(ax: Axes, name: str, title: str, told: str, caption: str = "") -> Figure:
    return Figure(svg(ax, f"fig-{name.replace('_', '-')}", title, told), title, caption)


def _folds(cut: Mapping[str, Any]) -> Figure:
    told = "; ".join(
        f"block {i + 1} learns up to {block['learnt_to'][:10]} and is tested from {block['tested_from'][:10]} to "
        f"{block['tested_to'][:10]}"
        for i, block in enumerate(cut["blocks"])
    )
    caption = f"In each block {cut['groups']} fits, each tested on a group of accounts it has never seen."
    return _drawn(plots.folds(cut["blocks"]), "folds", "Learnt, purged, tested", f"{told}.", caption)


def _look_back(curve: list[Mapping[str, Any]], used: int) -> Figure:
    told = ", ".join(f"{row['look_back_days']} days: {row['silent_share']:.0%}" for row in curve)
    ax = plots.look_back(curve, used=used)
    caption = f"The model uses {used} days (the vertical line)."
    return _drawn(ax, "look_back", "Silent share by look-back", f"Share of exits that were silent. {told}.", caption)


def _calibration(bins: list[Mapping[str, Any]], target: str) -> Figure:
    told = ", ".join(f"{row['predicted']:.1%} predicted, {row['observed']:.1%} left" for row in bins)
    ax = plots.calibration(bins, target=target)
    caption = "On the dashed line, as many left as predicted. Along the bottom: where the predictions lie."
    return _drawn(ax, f"calibration_{target}", QUESTIONS[target], f"From the highest risk down: {told}.", caption)


def _captured(table: list[Mapping[str, Any]], target: str, of: str) -> Figure:
    shares = [(row["tenth"], row["share_so_far"]["value"]) for row in table]
    told = ", ".join(f"first {10 * tenth} %: {share:.0%}" for tenth, share in shares if share is not None)
    ax = plots.captured(table, target=target, of=of)
    by = "ranked by risk" if of == "exits" else "ranked by revenue at risk"
    name = f"{'lift' if of == 'exits' else 'revenue'}_{target}"
    title = f"{QUESTIONS[target]} Share of the {of}, {by}"
    return _drawn(ax, name, title, f"Met by the customers ranked highest: {told}.")


def _months(found: Mapping[str, Any]) -> Figure:
    rows = found["months"]
    told = "; ".join(f"{row['as_of'][:10]}: {row['left']} of {row['listed']}" for row in rows)
    caption = (
        "The number above a bar: how many of that list left silently; the thin line: its interval; the blue mark: the "
        "share among everybody who could have been listed."
    )
    title = f"Lists of {found['capacity']} that would have been issued"
    return _drawn(plots.months(rows), "months", title, f"Left silently, of the list: {told}.", caption)


def _weights(model: ChurnModel, terms: Mapping[str, Mapping[str, Any]], target: str) -> Figure:
    ranked = sorted(terms.items(), key=lambda item: (-item[1]["weight"], item[0]))[:15]
    rows = [(TIMES.join(label(model, part) for part in name.split(" x ")), item["weight"]) for name, item in ranked]
    told = ", ".join(f"{name} {weight:.2f}" for name, weight in rows)
    return _drawn(plots.weights(rows, target=target), f"weights_{target}", QUESTIONS[target], f"{told}.")


def _moves(term: Term | GridTerm) -> float:
    return max(term.table) - min(term.table)


def _shapes(model: ChurnModel, report: Mapping[str, Any]) -> Iterator[Figure]:
    """One drawing per feature, both questions laid over each other; those that move most accounts most, first."""
    by_feature: dict[str, dict[str, Term]] = {}
    for target, card in cards(model).items():
        for term in card.terms:
            by_feature.setdefault(term.feature, {})[target] = term
    collected = report.get("terms") or {}

    def weight(feature: str) -> float:
        return max((_weight(collected, target, feature) for target in by_feature[feature]), default=0.0)

    drawn = [name for name, terms in by_feature.items() if max(map(_moves, terms.values())) >= WORTH_DRAWING]
    for name in sorted(drawn, key=lambda name: (-weight(name), name))[:SHAPES]:
        terms = by_feature[name]
        target = next(iter(terms))
        counts = collected.get(target, {}).get("terms", {}).get(name, {}).get("counts")
        told = " ".join(
            f"{plots.NAMES[target].capitalize()}: "
            + ", ".join(f"{place} {number:+.2f}" for place, number in _few(term))
            + "."
            for target, term in terms.items()
        )
        yield _drawn(shapes.shape(terms, counts), f"shape-{name}", label(model, name), told, unit(model, name))


def _few(term: Term | GridTerm, most: int = 12) -> list[tuple[str, float]]:
    """Some of a table's entries, evenly spread, for reading aloud."""
    rows = list(zip(term.bins, term.table, strict=True))
    return [rows[i] for i in shapes.spread(len(rows), most)]


def _weight(collected: Mapping[str, Any], target: str, name: str) -> float:
    return float(collected.get(target, {}).get("terms", {}).get(name, {}).get("weight", 0.0))


def _grids(model: ChurnModel, report: Mapping[str, Any]) -> Iterator[Figure]:
    """The grids that move most accounts most; of three features, the slice that differs most."""
    collected = report.get("terms") or {}
    grids = [(target, grid) for target, card in cards(model).items() for grid in card.grids]
    grids.sort(key=lambda item: (-_weight(collected, item[0], item[1].name), item[0], item[1].name))
    for target, grid in grids[:GRIDS]:
        labels = [label(model, name) for name in grid.features]
        third, where = shapes.widest(grid)
        caption = f"{plots.NAMES[target]}{f'; where {labels[2]} is {where}' if where else ''}"
        told = ", ".join(f"{place} {number:+.2f}" for place, number in _few(grid))
        name = f"grid-{target}-{'-'.join(grid.features)}"
        yield _drawn(shapes.grid(grid, third, labels=labels), name, TIMES.join(labels), f"{told}.", caption)
