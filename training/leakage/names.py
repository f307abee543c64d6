"""Names that say a value was written after the decision.

Read as words, so that `extended`, `friend_list`, `weekend_calls` and `trend` are nothing of the kind:

    CustomerStatus  -> customer status       certain: the status of an account is overwritten when it leaves
    marital_status  -> marital status        nothing
    csm_notes       -> csm notes             certain
    model_score     -> model score           only if it also ranks suspiciously well (`score` is too ordinary a word)
    csat_score      -> csat score            nothing: what a customer answered
    churned_2026    -> ... churned           certain, and every word of the label's own name with it

A name alone is a warning. With an AUC that is certainly above .8, what all columns reach together, it is an error.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from training.leakage.alone import TOGETHER, Alone
from training.leakage.findings import Finding

#: An ordinary word raises a doubt only from here: no single service signal is known to rank this well.
NOTICEABLE = 0.7

#: Beginnings of words that say so wherever they stand.
STEMS = ("churn", "cancel", "terminat", "attrit", "deactivat", "offboard", "winback", "outcome")
#: Words that say so wherever they stand.
WORDS = frozenset(
    (
        *("label", "exit", "exited", "lost", "future", "final", "notes", "enddate", "ended", "ending"),
        *("notice", "cltv", "clv", "ltv", "propensity", "predicted", "prediction", "forecast"),
    )
)
#: Words that say so next to another of the same group.
PAIRS = (
    ("score", ("next", "risk", "health", "account", "propensity", "retention", "loyalty")),
    ("lifetime", ("value",)),
    ("status", ("account", "customer", "client", "subscription", "subscriber", "contract", "user", "member", "crm")),
    ("state", ("account", "customer", "client", "subscription", "contract", "lifecycle")),
    ("closed", ("account", "at", "on", "by", "code", "date", "reason")),
    ("left", ("at", "on", "date", "reason", "flag", "has", "company")),
    ("end", ("date", "at", "on", "reason", "subscription", "account", "membership")),
    ("last", ("invoice", "bill")),
)
#: Names that say so as a whole.
WHOLE = frozenset(
    ("y", "target", "class", "response", "status", "reason", "end", "left", "closed", "gone", "state code")
)
#: Ordinary words: a doubt only together with a number.
ORDINARY = frozenset(
    ("status", "reason", "score", "end", "closed", "closure", "resolved", "category", "rating", "survey")
)
#: Words that make an innocent thing of the name: what it says was known before, or is no fact about leaving.
INNOCENT = (
    ("notice", ("period", "days", "weeks", "months")),
    ("notes", ("release", "delivery", "credit")),
    (
        "status",
        ("marital", "employment", "smoking", "payment", "order", "delivery", "shipping", "ticket", "onboarding"),
    ),
    (
        "end",
        ("contract", "term", "period", "trial", "cycle", "quarter", "month", "week", "year", "high", "low", "front"),
    ),
    ("reason", ("contact", "call", "ticket", "visit", "signup", "purchase", "for")),
    ("exit", ("interstate", "highway", "motorway")),
    ("left", ("days", "months", "credits", "seats")),
    ("score", ("credit", "csat", "nps", "ces", "lead", "quality")),
    ("forecast", ("weather", "revenue", "budget")),
)
#: Words of a label's name that say nothing about what it means.
HOLLOW = frozenset(
    (
        "is",
        "has",
        "flag",
        "label",
        "value",
        "the",
        "in",
        "next",
        "days",
        "month",
        "months",
        "customer",
        "account",
        "user",
    )
)


def words(name: str) -> tuple[str, ...]:
    """The words of a column's name, in lower case: `CustomerStatus`, `customer-status` -> customer, status."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return tuple(re.findall(r"[a-z]+", spaced.lower()))


def certain(name: str, label: str = "") -> bool:
    """Whether a name says by itself that the value was written after the decision."""
    said = words(name)
    if _innocent(said):
        return False
    own = {word for word in words(label) if len(word) >= 3} - HOLLOW
    return (
        " ".join(said) in WHOLE
        or bool(set(said) & (WORDS | own))
        or any(word.startswith(STEMS) for word in said)
        or any(word in said and set(said) & set(others) for word, others in PAIRS)
    )


def doubtful(name: str) -> bool:
    """Whether a name holds an ordinary word that such values are called by, too."""
    said = words(name)
    return bool(set(said) & ORDINARY) and not _innocent(said)


def _innocent(said: Sequence[str]) -> bool:
    return any(word in said and set(said) & set(others) for word, others in INNOCENT)


def findings(names: Collection[str], label: str, alone: Mapping[str, Alone]) -> Iterator[Finding]:
    """Columns whose name says they were written after the decision, weighed by how well they rank alone."""
    for name in names:
        low = alone[name].low if name in alone else 0.0
        sure = certain(name, label)
        if not (sure or (doubtful(name) and low > NOTICEABLE)):
            continue
        number = f" and ranks those who left with an AUC of at least {low:.3f} alone" if low > NOTICEABLE else ""
        yield Finding(
            "name",
            "error" if low > TOGETHER else "warning",
            name,
            f"The column {name!r} sounds as if it were written after the decision{number}.",
            "Leave it out, unless it was written down before the snapshot and never changed since.",
            {"auc": alone[name].auc, "low": low} if name in alone else {},
        )
