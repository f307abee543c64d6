"""What a watch can find, as values: one sentence, the numbers behind it, and what to do."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

from models.clock import isoformat

Severity = Literal["info", "warning", "alarm"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "alarm")

#: Every kind of finding, and what it is about.
KINDS: dict[str, str] = {
    "no_reference": "the artefact holds no reference of this kind, so something cannot be compared",
    "input_drift": "a feature is distributed otherwise than at training",
    "mix_shift": "the portfolio is made up of other segments than at training",
    "portfolio_shift": "most accounts moved together, in every segment: a cause on our side is likely",
    "score_drift": "the mean risk, or how risks are spread, differs from training",
    "contact_coverage": "contacts arrive at another rate or in another mix than at training, or not at all",
    "service_change": "service itself changed: repeats or escalations per contact",
    "survey_coverage": "invitations or answers are rarer or more frequent than at training",
    "no_exits": "the history holds no exit, so whether the scores come true cannot be told",
    "observed_expected": "more or fewer accounts left than the scores said",
}


@dataclass(frozen=True)
class Finding:
    """One thing found. `subject`: the feature, source or target it is about; `since`: the first moment of the unbroken
    run of moments at which it showed (None: not known); `numbers` are plain."""

    kind: str
    severity: Severity
    subject: str
    sentence: str
    action: str
    numbers: Mapping[str, Any] = field(default_factory=dict)
    since: datetime | None = None

    def to_plain(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "since": None if self.since is None else isoformat(self.since)}


def ordered(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The gravest first, then in the order of `KINDS`, then by subject."""
    kinds = list(KINDS)
    return tuple(sorted(findings, key=lambda f: (-SEVERITIES.index(f.severity), kinds.index(f.kind), f.subject)))


def worst(findings: Sequence[Finding]) -> Severity | None:
    """The gravest severity; None without findings."""
    return max((f.severity for f in findings), key=SEVERITIES.index, default=None)
