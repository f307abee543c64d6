"""The report and the card: complete, self-contained, readable aloud, and the same bytes every time."""

import re
import tomllib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from html.parser import HTMLParser
from typing import Any, ClassVar

import numpy as np
import pytest

from models.history import History
from models.model import ChurnModel
from models.schema import Schema
from models.scorecard import GridTerm, Scorecard, Term
from training import artefact, collect, plots, report, shapes, summary
from training.figures import cards as cards_of
from training.notebook import Run
from training.simulator import Simulated
from training.svg import svg
from training.train import Config, Trained, train

VOID = {"meta", "br", "img", "hr", "input", "link"}


class Page(HTMLParser):
    """What a page is made of; refuses one whose elements do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.tags: list[str] = []
        self.headings: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        if "id" in found:
            self.ids.append(found["id"])
        for name in ("href", "src", "aria-labelledby", "action", "data", "poster"):
            self.references += (found.get(name) or "").split()
        if tag == "svg":
            self.images.append(found)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] == ["h2"]:
            self.headings.append(data)


@pytest.fixture(scope="module")
def day_one(simulated: Simulated, history: History) -> Trained:
    names = ("notice_at", "ended_at", "end_reason")
    accounts = simulated.tables["accounts"].with_columns(
        simulated.tables["accounts"][name].clear(simulated.tables["accounts"].height).alias(name) for name in names
    )
    return train(History.from_frames({**simulated.tables, "accounts": accounts}), simulated.end, Config())


@pytest.fixture(scope="module", params=["P2", "P0"])
def made(request: pytest.FixtureRequest) -> tuple[Trained, str]:
    found = request.getfixturevalue("trained" if request.param == "P2" else "day_one")
    assert found.report["phase"] == request.param
    return found, report.page(found.model, artefact.plain(found.report), {"seed": 3})


def test_it_needs_nothing_but_itself(made: tuple[Trained, str]) -> None:
    _, text = made
    page = Page(text)
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)", text)
    assert not {"script", "link", "img", "iframe", "object", "base"} & set(page.tags)
    assert len(text.encode()) < 1_500_000


def test_its_names_are_unique_and_lead_somewhere(made: tuple[Trained, str]) -> None:
    page = Page(made[1])
    assert len(page.ids) == len(set(page.ids))
    targets = [name.removeprefix("#") for name in page.references]
    assert targets
    assert set(targets) <= set(page.ids)


def test_every_section_is_there_and_none_is_empty(made: tuple[Trained, str]) -> None:
    _, text = made
    page = Page(text)
    assert page.headings == list(report.SECTIONS.values())
    for part in re.findall(r"</h2>(.*?)</section>", text, re.DOTALL):
        assert len(re.sub(r"<[^>]+>|\s+", " ", part).split()) >= 8
    assert "Undefined" not in text
    assert "None" not in text


def test_every_drawing_can_be_read_aloud(made: tuple[Trained, str]) -> None:
    trained, text = made
    images = Page(text).images
    assert len(images) >= (30 if trained.report["phase"] == "P2" else 10)
    assert all(image["role"] == "img" and image["aria-labelledby"] for image in images)
    for title, description in re.findall(r"<title id[^>]*>(.*?)</title><desc[^>]*>(.*?)</desc>", text):
        assert len(title) > 2
        assert len(description) > 20


def test_equal_input_gives_equal_bytes(made: tuple[Trained, str]) -> None:
    trained, text = made
    plain = artefact.plain(trained.report)
    assert report.page(trained.model, plain, {"seed": 3}) == text
    assert report.card(trained.model, plain) == report.card(trained.model, plain)


@pytest.mark.parametrize("made", ["P0"], indirect=True)
def test_what_was_not_measured_says_why(made: tuple[Trained, str], day_one: Trained) -> None:
    _, text = made
    assert text.count("with this few exits the expert&#39;s scorecard serves as it is, untested") >= 4
    assert "nothing was fitted, so there was nothing to test" in text
    assert "no voluntary exit is known" in text


@pytest.fixture
def small(trained: Trained) -> ChurnModel:
    """A model of three terms, which is drawn in no time."""
    cards = {target: replace(card, terms=card.terms[:3]) for target, card in cards_of(trained.model).items()}
    return replace(trained.model, **cards)


def test_a_model_that_is_a_base_alone_has_a_page_and_a_drawing(small: ChurnModel) -> None:
    """What a table without a signal leaves: no column moves anybody."""
    nothing = {target: replace(card, terms=()) for target, card in cards_of(small).items()}
    run = Run(replace(small, **nothing), BARE | {"terms": {"churn": {"rows": 900, "terms": {}}}})
    assert "No term moves any account." in unescape(run.page())
    assert len(run.weights("churn").patches) == 0


BARE = {"phase": "P3", "cutoff": None, "verdicts": ["Nothing is known."], "metrics": None}


def test_a_report_of_nothing_but_a_phase_is_still_a_page(small: ChurnModel) -> None:
    """Models of other makers hold less; every section says so."""
    page = Page(Run(small, BARE).page())
    assert page.headings == list(report.SECTIONS.values())
    assert "Nothing was measured for this model." in report.card(small, BARE)


def estimate(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.01, "high": value + 0.01}


def test_choice_cost_correction_overruling_and_the_columns_of_a_table_are_told(small: ChurnModel) -> None:
    gain = {"auc": estimate(0.02), "log_loss": estimate(0.0011), "top_decile_lift": estimate(0.2)}
    tried = {"auc": 0.75, "log_loss": 0.1311, "top_decile_lift": 3.2}
    found = {"what": "it knows the answer.", "way_out": "Drop it.", "severity": "error", "column": "fee", "kind": "auc"}
    other = {
        "n_rows": 80,
        "n_events": 9,
        "auc": estimate(0.7),
        "observed_expected": estimate(1.1),
        "missed": estimate(0.4),
    }
    measured = {
        **dict.fromkeys(report.SHOWN, estimate(0.5)), "gain": {"boosting": gain}, "base_rate": 0.1, "n_rows": 100,
        "n_events": 10, "n_accounts": 60, "groups": {"surveys": {"answers": other}},
    }  # fmt: skip
    told = BARE | {
        "metrics": {"churn": measured},
        "selection": {"churn": {"kind": "pairs", "why": "better beyond doubt", "tried": {"pairs": tried}}},
        "additive_cost": {"churn": {"black_box": "histogram gradient boosting", "rows": 100, "gain": gain}},
        "calibration": {
            "churn": {"kind": "logit", "slope": 0.9, "intercept": -0.1, "segments": {"smb": 0.2}}
        },
        "deployment": {"churn": {"rate": 0.06}},
        "leakage": {
            "findings": [found],
            "overrides": [{"who": "ana", "when": "2026-01-02T00:00:00Z", "finding": found}],
            "twice": {"model": "a quick model", "with": 0.91, "without": 0.74, "suspects": ["fee"]},
        },
        "table": {
            "folds": 5, "tested": "random groups", "grouped_by": "customer",
            "columns": [{"name": "fee", "type": "number", "known": 99, "distinct": 7, "note": "<b>"}],
        },
        "previous": {"status": "none", "why": "No model is in service.", "model_id": None, "cutoff": None},
    }  # fmt: skip
    text = report.page(small, told)
    Page(text)
    plain = " ".join(re.sub(r"<[^>]+>", " ", text).split())
    for said in (
        "Served is the regression with pairs of features: better beyond doubt.", "histogram gradient boosting 100",
        "the log-odds times 0.900, then -0.100", "smb +0.20", "Overruled by ana, 2026-01-02",
        "with all columns, and 0.740",
        "one of 5 fits", "fee number 99 7 &lt;b&gt;", "surveys answers 80 9", "No model is in service.",
    ):  # fmt: skip
        assert said in plain, said


def test_the_card_has_the_sections_of_the_convention(made: tuple[Trained, str]) -> None:
    trained, _ = made
    text = report.card(trained.model, artefact.plain(trained.report), {"seed": 3})
    assert re.findall(r"^## (.*)", text, re.MULTILINE) == [
        "Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data",
        "Quantitative analyses", "Ethical considerations", "Caveats and recommendations",
    ]  # fmt: skip
    assert "Undefined" not in text
    assert "- **Seed**: `3`" in text


def test_the_configuration_is_printed_as_a_file_may_hold_it(small: ChurnModel) -> None:
    given = {"blocks": 4, "label": {"horizon_days": 60}, "measures": {}, "allow_leak": [], "expert": 'a "file"'}
    text = report.page(small, BARE, {"configuration": given})
    (printed,) = re.findall(r"<pre>(.*?)</pre>", text, re.DOTALL)
    assert tomllib.loads(unescape(printed)) == {"blocks": 4, "label": {"horizon_days": 60}, "expert": 'a "file"'}


def test_every_number_of_the_quality_table_is_explained() -> None:
    assert set(report.MEANINGS) == set(report.SHOWN)


def test_a_table_that_names_no_accounts_is_told_in_rows(small: ChurnModel) -> None:
    measured = {**dict.fromkeys(report.SHOWN, estimate(0.5)), "revenue_captured": None, "n_rows": 7043} | {
        "n_events": 1857, "n_accounts": 7003, "base_rate": 0.27, "gain": {},
    }  # fmt: skip
    told = BARE | {"metrics": {"churn": measured}, "table": {"folds": 5, "tested": "random groups"}}
    of_a_table = replace(small, silent=None, columns=Schema("table", small.columns.columns))
    for label, counted in (({"id": ""}, "different rows"), ({"id": "customer"}, "accounts")):
        page, card = (write(of_a_table, told | {"label": label}) for write in (report.page, report.card))
        assert f"{counted.capitalize()} that left carry all this evidence, of 7,003 looked at." in page
        assert f"7,043 rows of 7,003 {counted}, 1,857 of which left" in card
        assert "lost revenue in the top tenth" not in card
        assert "monitor" not in card
        assert "surveys" not in card


def test_what_has_changed_since_the_model_before_is_told_in_its_section(small: ChurnModel) -> None:
    finding = {"kind": "survey_coverage", "severity": "alarm", "subject": "x", "sentence": "Fewer <b> asked."}
    means = {"churn": {"this": 0.04, "previous": 0.04}, "silent": {"this": 0.029, "previous": 0.031}}
    drift = {"accounts": 1474, "since": "2026-01-05T00:00:00Z", "lists": {"k": 20, "shared": 16}, "means": means}
    previous = {"status": "too_recent", "why": "Too early.", "model_id": "m", "cutoff": "2026-01-05T00:00:00Z"}
    for findings, said in (
        ([finding | {"since": "2026-02-01T00:00:00Z"}], "alarm Fewer &lt;b&gt; asked. 2026-02-01"),
        ([], "Nothing beyond chance : 1,474 customers of today"),
    ):
        text = report.page(small, BARE | {"previous": previous | {"drift": drift | {"findings": findings}}})
        Page(text)
        plain = " ".join(re.sub(r"<[^>]+>", " ", text).split())
        assert said in plain
        assert "Of the 20 customers likeliest to leave silently today, 16 are the same by both models." in plain
        assert "The mean risk of leaving at all is 4.0% by this one and 4.0% by the one before;" in plain
        assert "; the mean risk of leaving silently is 2.9% by this one and 3.1% by the one before." in plain


def test_where_service_was_not_shown_to_matter_no_reason_of_it_is_offered(small: ChurnModel) -> None:
    for signal, offered in (("nothing", "reasons that lie in the contract"), ("adds", "the reasons, as where to look")):
        assert offered in report.page(small, BARE | {"service_signal": signal})


def _measured(auc: dict[str, float], ratio: dict[str, float]) -> dict[str, Any]:
    return {"auc": auc, "quiet": {"auc": auc}, "observed_expected": ratio}


def test_an_order_that_may_be_chance_is_offered_to_nobody_and_a_level_in_doubt_is_named(small: ChurnModel) -> None:
    good, right = _measured(estimate(0.8), estimate(1.0)), {"phase": "P2", "service_signal": "adds"}
    told = summary.uses(small, right | {"metrics": {"churn": good, "silent": good}})
    assert [sentence.split(":")[0] for sentence in told] == [
        "For customer success",
        "For finance",
        "For a conversation",
    ]
    assert "whose level held on later data" in told[1]
    doubted = good | {"observed_expected": {"value": 0.9, "low": 0.6, "high": 1.2}}
    told = summary.uses(small, right | {"metrics": {"churn": good, "silent": doubted}})
    assert "comparisons only. The level of the probabilities of leaving silently was not confirmed" in told[1]
    chance = _measured({"value": 0.46, "low": 0.41, "high": 0.51}, estimate(1.4))
    told = summary.uses(small, right | {"metrics": {"churn": good, "silent": chance}})
    assert told[0].startswith("For nobody: the order, and the reasons for it.")
    assert len(told) == 2
    told = summary.uses(small, right | {"phase": "P1", "metrics": {"churn": good, "silent": chance}})
    assert told[0].startswith(
        "For customer success: a first order in which to look at accounts, by experts' judgement."
    )
    assert told[0].endswith("That it is better than chance was not shown on later data.")


def test_overruled_leakage_is_told_in_both(trained: Trained) -> None:
    plain = artefact.plain(trained.report)
    finding = {
        "kind": "auc",
        "severity": "error",
        "column": "x",
        "what": "x knows too much.",
        "way_out": "",
        "numbers": {},
    }
    plain["leakage"] = plain["leakage"] | {
        "findings": [finding],
        "overrides": [{"who": "mia", "when": "2026-03-01T00:00:00Z", "finding": finding}],
    }
    said = "by mia, 2026-03-01T00:00:00Z: x knows too much."
    assert f"**Leakage overruled** {said}" in report.card(trained.model, plain)
    assert said in report.page(trained.model, plain)


def test_texts_of_the_data_are_escaped(small: ChurnModel) -> None:
    assert "<script>" not in report.page(small, BARE | {"verdicts": ["<script>alert(1)</script>"]})


class TestCounts:
    CARD = Scorecard(
        "churn",
        -3.0,
        (
            Term("days", "steps", knots=(30, 90), values=(1.5, 0.5, 0.0), missing=0.2),
            Term("csat", "line", knots=(2, 4), values=(0.8, 0.0)),
            Term("plan", "category", categories=("a", "b"), values=(0.1, -0.1)),
        ),
        (GridTerm(("days", "csat"), ((30.0,), (3.0,)), ((0.1, 0.0, 0.0), (0.0, 0.2, 0.0), (0.0, 0.0, 0.0))),),
    )
    COLUMNS: ClassVar = {
        "days": np.array([10.0, 30.0, 200.0, np.nan]),
        "csat": np.array([1.0, 3.0, 4.0, np.nan]),
        "plan": np.array(["a", "z", None, "a"], dtype=object),
    }

    def test_every_row_is_counted_where_it_lies(self) -> None:
        assert self.CARD.counts(self.COLUMNS) == {
            "days": (1, 1, 1, 1),
            "csat": (1, 1, 1, 1),
            "plan": (2, 0, 1, 1),
        }

    def test_weights_are_mean_sizes_of_contributions(self) -> None:
        found = collect.terms({"churn": self.CARD}, self.COLUMNS)["churn"]
        assert found["rows"] == 4
        assert found["terms"]["days"]["weight"] == pytest.approx((1.5 + 0.5 + 0.0 + 0.2) / 4)
        assert "counts" not in found["terms"]["days x csat"]

    def test_a_model_counts_all_its_rows(self, trained: Trained) -> None:
        for target in ("churn", "silent"):
            found = trained.report["terms"][target]
            sums = {sum(term["counts"]) for term in found["terms"].values()}
            assert sums == {found["rows"]}


class TestPlots:
    def test_they_draw_where_they_are_told(self) -> None:
        from matplotlib.figure import Figure

        ax = Figure().add_subplot()
        term = Term("days", "steps", knots=(30, 90), values=(1.5, 0.5, 0.0), missing=0.2)
        assert plots.shape(term, (1, 2, 3, 4), ax=ax) is ax
        assert len(ax.lines) >= 2

    @pytest.mark.parametrize(
        "term",
        [
            Term("x", "steps", knots=(), values=(0.3,), missing=0.1),
            Term("x", "line", knots=(1,), values=(0.3,)),
            Term("x", "steps", knots=(1,), values=(0.3, 0.1)),
            Term("x", "line", knots=(0, 1, 2, 500), values=(0, 1, 2, 3)),
            Term("x", "steps", knots=tuple(range(300)), values=tuple(np.sin(range(301)))),
            Term("x", "category", categories=("a",), values=(1,), replicates=((1, 2, 3), (3, 4, 5))),
        ],
    )
    def test_any_table_can_be_drawn(self, term: Term) -> None:
        drawn = svg(plots.shape(term, [1] * len(term.places)), "x", "a title", "a text")
        assert drawn.startswith('<svg viewBox="0 0 ')
        assert "nan" not in drawn

    def test_of_three_features_the_slice_that_differs_most_is_shown(self) -> None:
        grid = np.zeros((3, 3, 3))
        grid[0, 0, 1], grid[1, 1, 2] = 0.5, 0.2
        term = GridTerm(("a", "b", "c"), ((1.0,), (2.0,), (3.0,)), grid.tolist())
        assert shapes.widest(term) == (1, "≥ 3")
        assert "+0.50" in svg(plots.grid(term, 1), "x", "a title", "a text")
        assert "+0.50" not in svg(plots.grid(term, 2), "x", "a title", "a text")

    def test_the_lines_of_a_table_join_what_prints_the_same(self) -> None:
        term = Term("x", "steps", knots=(1, 2, 3), values=(0.1, 0.1, 0.4, 0.4), missing=0.4)
        assert report._lines(term) == [("< 2", 0.1), (">= 2", 0.4), ("missing", 0.4)]
        fine = Term("x", "steps", knots=tuple(range(100)), values=tuple(float(i) for i in range(101)))
        lines = report._lines(fine)
        assert len(lines) == report.PRINTED_LINES + 1
        assert lines[0] == ("< 4", 2.0)
        flat = Term("x", "steps", knots=(1, 2), values=(0.1, 0.1, 0.1))
        assert report._lines(flat)[0] == ("any", 0.1)


@pytest.mark.parametrize("days", [30, 1131, 1300, 1454, 9000])
def test_folds_of_any_length_have_a_quiet_axis(days):
    """Three to four years once had no interval of ticks that fits, and the drawing library warned: here, an error."""
    learnt, tested = datetime(2024, 1, 20, tzinfo=UTC), datetime(2024, 1, 20, tzinfo=UTC) + timedelta(days=days - 20)
    block = {"learnt_from": learnt, "learnt_to": learnt, "tested_from": tested, "tested_to": tested}
    assert "<svg" in svg(plots.folds([block]), "folds", "Folds", "One block.")
