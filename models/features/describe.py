"""The feature catalogue as a page: `python -m models.features.describe > docs/features.md`."""

import sys
from collections.abc import Iterable, Sequence

from models.features.catalogue import FEATURES
from models.features.expected import BASELINE_DAYS, PRIOR_CONTACTS
from models.features.facts import FACTS
from models.features.feature import COMPONENTS, Component, Feature
from models.features.formulas import SHRINK

_TITLES: dict[Component, str] = {
    "effort": "Effort: how hard did we make it?",
    "resolution": "Resolution: did we answer, keep our word, and solve it?",
    "sentiment": "Sentiment: what did they say when asked?",
    "silence": "Silence: did they fall quiet, compared with themselves?",
    "commercial": "Commercial: where do they stand in their contract?",
}
_DIRECTIONS = {1: "raises", -1: "lowers", 0: "free"}

#: Ideas from the literature that the data contract cannot carry: (idea, why not).
NOT_CARRIED = (
    (
        "The customer's replies becoming slower",
        "the contract counts a contact's replies; it does not say when each came",
    ),
    ("Late payments", "there are no invoices in the contract, and lateness speaks for involuntary exits first"),
    ("A price rise that was announced", "terms are known from the day they take effect, not from their announcement"),
    ("The tone of messages", "texts are not read; comments never reach a model"),
    (
        "Logins, orders and other use of the product",
        "no two products have the same; a company's own numbers go into the table `measures`, and each becomes a "
        "feature `measure:<name>` of the models trained with it",
    ),
)

_INTRO = f"""# Features

What the model sees of an account: {len(FEATURES)} numbers and texts, computed in one place
(`models.features.compute`) for training, the nightly run and the API, so they cannot differ. This page is generated
from their declarations.

- **As of.** A feature is asked for at a moment. Only what had happened before it and was known by then counts, rows as
  well as values; see the [data contract](data-contract.md).
- **Windows** are half-open: 90 days means from exactly 90 days before the moment up to, but without, the moment.
- **Small numbers are drawn to what is usual.** A share of n observations is (x + {SHRINK:g} p) / (n + {SHRINK:g});
  p is the segment's usual share, measured when the model was trained. So an account without observations has the usual
  value, and two repeats of two contacts are not 100 %.
- **Own habit.** An account's own contact rate is measured over the year before the window: (n + {PRIOR_CONTACTS:g}) /
  (days + {PRIOR_CONTACTS:g} / usual rate), where at least {BASELINE_DAYS} such days have been watched.
- **Missing is not zero.** Each feature says what no data means. *Unknown* has an entry of its own in every table of the
  scorecard. What a source never records at all (first responses, resolutions, onboarding) is unknown for everybody.
- **Directions** say which way a higher value moves the risk of leaving at all, and of leaving silently. A feature that
  works in opposite ways on those who leave silently and those who complain first is free for leaving at all.

"""


def page() -> str:
    """The whole page as Markdown."""
    sections = [_section(component) for component in COMPONENTS]
    return _INTRO + "\n".join([*sections, _facts(), _not_carried()])


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '/') or ' ' for cell in line)} |\n" for line in lines)


def _section(component: Component) -> str:
    header = ("feature", "label", "unit", "window", "no data", "leaving", "silently", "said as", "note")
    rows = [_row(feature) for feature in FEATURES if feature.component == component]
    return f"## {_TITLES[component]}\n\n{table(header, rows)}"


def _row(feature: Feature) -> tuple[str, ...]:
    said = "; ".join(part for part in (feature.sentence, feature.usual) if part)
    return (
        f"`{feature.name}`",
        feature.label,
        feature.unit,
        f"{feature.window_days} days" if feature.window_days else "",
        feature.missing,
        _DIRECTIONS[feature.churn],
        _DIRECTIONS[feature.silent],
        f"`{said}`",
        feature.note,
    )


def _facts() -> str:
    rows = [(f"`{name}`", meaning) for name, meaning in FACTS.items() if name not in FEATURES.names]
    return (
        "## Facts\n\nNumbers that leave `compute` beside the features, because sentences quote them or scores go by "
        f"them.\n\n{table(('fact', 'meaning'), rows)}"
    )


def _not_carried() -> str:
    return (
        "## What the data contract does not carry\n\nSigns of silent churn that were considered and cannot be "
        f"computed from the contract's tables.\n\n{table(('sign', 'why not'), NOT_CARRIED)}"
    )


if __name__ == "__main__":
    sys.stdout.write(page())
