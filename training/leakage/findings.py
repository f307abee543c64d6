"""What the guard found, as plain values; what stops a fit; and who vouched for what.

    Satisfaction Score   auc       error     .950       "... alone ranks those who left with an AUC of 0.950 ..."
    CLTV                 name      warning              "... is what another model made of the account ..."

Errors stop. A warning is listed in the report and nothing more. `--allow-leak "Satisfaction Score"` turns that column's
errors into overrides: the fit goes on, and the artefact says who decided it, when, and against which finding.
"""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

from models.clock import isoformat
from models.errors import LeakageError, SettingsError

Severity = Literal["error", "warning"]

#: Arithmetic nobody can vouch against: these stop whatever is allowed.
ABSOLUTE = frozenset(("folds", "labels", "past", "recomputed"))
#: Findings about a whole table, allowed by this name because they have no column.
OF_TABLES = frozenset(("rows", "overall"))


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong or doubtful, with its numbers, and what to do about it.

    column   the column it is about; None where it is about rows, folds or the whole table
    kind     the check that found it, one of docs/leakage.md
    numbers  name -> number, the ones the sentence names
    """

    kind: str
    severity: Severity
    column: str | None
    what: str
    way_out: str
    numbers: Mapping[str, float] = field(default_factory=dict)

    def to_plain(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self) | {"numbers": dict(self.numbers)}


@dataclass(frozen=True)
class Findings:
    """All findings about one table, and what was measured on the way.

    found        errors first, each kind in the order of its checks
    columns      every column that was looked at
    aucs         column -> the AUC it reaches alone, cross-validated by group
    twice        AUC of the quick model with and without the suspects; empty where nothing could be fitted
    not_checked  what was left out, with the reason
    """

    found: tuple[Finding, ...] = ()
    columns: tuple[str, ...] = ()
    aucs: Mapping[str, float] = field(default_factory=dict)
    twice: Mapping[str, Any] = field(default_factory=dict)
    not_checked: Mapping[str, str] = field(default_factory=dict)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What stops a fit."""
        return tuple(found for found in self.found if found.severity == "error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What is listed in the report."""
        return tuple(found for found in self.found if found.severity == "warning")

    @property
    def suspects(self) -> tuple[str, ...]:
        """Columns with a finding of either severity, in order of appearance."""
        return tuple(dict.fromkeys(found.column for found in self.found if found.column is not None))


def ordered(found: Collection[Finding]) -> tuple[Finding, ...]:
    """Errors before warnings, otherwise as they came."""
    return tuple(sorted(found, key=lambda finding: finding.severity != "error"))


def require(
    findings: Findings, allowed: Collection[str] = (), who: str = "", when: datetime | None = None
) -> dict[str, Any]:
    """Raise `LeakageError` with every error nobody vouched for, numbered; otherwise return what the report keeps.

    allowed  columns (or, for findings without a column, kinds) whose errors become overrides
    who      who vouches for them; needed, like `when`, as soon as an override is made
    Raises `SettingsError` for an allowed name that is neither a column nor the kind of a finding.
    Returns {findings, overrides, highest_single_auc, twice, not_checked, sentences}: plain values; `sentences` say
    the warnings, the overrides and what the suspects are worth.
    """
    named(allowed, {*findings.columns, *(_name(found) for found in findings.found)})
    overruled = [found for found in findings.errors if _allowed(found, allowed)]
    blocking = [found for found in findings.errors if found not in overruled]
    if blocking:
        raise LeakageError(told(blocking, findings.twice))
    if overruled and (not who or when is None):
        raise SettingsError("A column is allowed by somebody at some time: say who and when.")
    at = None if when is None else isoformat(when)
    highest = max(findings.aucs, key=lambda name: findings.aucs[name], default=None)
    return {
        "findings": [found.to_plain() for found in findings.found],
        "overrides": [{"who": who, "when": at, "finding": found.to_plain()} for found in overruled],
        "highest_single_auc": None if highest is None else {"column": highest, "auc": findings.aucs[highest]},
        "twice": dict(findings.twice),
        "not_checked": dict(findings.not_checked),
        "sentences": _sentences(findings, overruled, who),
    }


def named(allowed: Collection[str], columns: Collection[str]) -> None:
    """Raise `SettingsError` if something is allowed that is neither a column nor a finding about a whole table."""
    strange = sorted(set(allowed) - set(columns) - OF_TABLES)
    if strange:
        raise SettingsError(f"{strange[0]!r} is allowed to leak, but there is no such column.")


def _sentences(findings: Findings, overruled: Collection[Finding], who: str) -> list[str]:
    return [
        *(f"Overruled by {who}: {found.what}" for found in overruled),
        *(f"Doubt: {found.what} {found.way_out}" for found in findings.warnings),
        *twice_told(findings.twice),
    ]


def _allowed(found: Finding, allowed: Collection[str]) -> bool:
    return found.kind not in ABSOLUTE and _name(found) in allowed


def _name(found: Finding) -> str:
    """What a finding is allowed by: its column, or its kind where it has none."""
    return found.kind if found.column is None else found.column


def told(found: Collection[Finding], twice: Mapping[str, Any]) -> str:
    """The refusal: every finding with its number and a way out, and what the suspects were worth."""
    count = "one way" if len(found) == 1 else f"{len(found)} ways"
    lines = [f"Training would have seen the future in {count}; nothing was fitted."]
    lines += [f"  {k}. {one.what} {one.way_out}" for k, one in enumerate(found, 1)]
    names = dict.fromkeys(_name(one) for one in found if one.kind not in ABSOLUTE)
    if names:
        options = " ".join(f"--allow-leak {_quoted(name)}" for name in names)
        lines.append(f"To train with them all the same, and have that recorded: {options}")
    lines += twice_told(twice)
    return "\n".join(lines)


def twice_told(twice: Mapping[str, Any]) -> list[str]:
    """One sentence: the quick model's AUC with and without the suspects."""
    if "without" not in twice or "with" not in twice:
        return []
    return [
        f"{twice['model'].capitalize()} reaches an AUC of {twice['with']:.3f} with all columns and "
        f"{twice['without']:.3f} without the suspects ({', '.join(twice['suspects'])})."
    ]


def _quoted(name: str) -> str:
    return f'"{name}"' if any(not (letter.isalnum() or letter in "_-.:") for letter in name) else name
