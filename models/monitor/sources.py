"""Findings about the sources: feeds that died, rates that changed at one stroke or crept away from the usual."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np

from models.history import History
from models.monitor.coverage import LEAST_GAP, WEEK, Series, Sources, lag_days, last_told, weekly
from models.monitor.findings import Finding, Severity
from models.monitor.inputs import ERROR
from models.monitor.steps import Change, change

#: A dead feed: this many times the longest gap of the year before training, and so many contacts that should have come.
GAPS, LEAST_DUE = 2.0, 20.0
#: A rate changed: by a tenth at least, beyond chance over all series tried.
LEAST_CHANGE = 0.10
#: A rate crept away: by a third against the usual one, over the latest quarter.
CREPT, CREPT_WEEKS = 1 / 3, 13
#: Weeks a step may lie back and still be news.
_FAINT = 1e-12
_WEEKS_OF_NEWS = 26


def source_findings(known: History, as_of: datetime, usual: Sources | None) -> list[Finding]:
    """What changed in how much contacts and surveys tell. `known`: the history as it was known at `as_of`."""
    lag = timedelta(days=usual.lag_days if usual else lag_days(known))
    series = weekly(known, as_of - lag)
    dead = _dead(known, as_of, series.get("contacts"), usual)
    if dead is not None:
        return [dead]
    changes = {name: found for name, one in series.items() if (found := change(one)) is not None}
    kept = {
        name: found
        for name, found in changes.items()
        if found.chance * len(changes) <= ERROR and abs(np.log(found.factor)) >= np.log1p(LEAST_CHANGE)
    }
    stepped = _changed(kept, series, as_of - lag)
    told = {finding.subject for finding in stepped}
    return stepped + [one for one in _crept(series, usual, as_of - lag) if one.subject not in told]


def stopped(findings: Sequence[Finding]) -> bool:
    """Whether the contact feed was found to have stopped."""
    return any(f.kind == "contact_coverage" and f.severity == "alarm" for f in findings)


def _dead(known: History, as_of: datetime, contacts: Series | None, usual: Sources | None) -> Finding | None:
    last = last_told(known)
    if last is None or contacts is None:
        return None
    gap = as_of - last
    longest = timedelta(days=usual.longest_gap_days) if usual else timedelta(days=3)
    rate = usual.rates.get("contacts", contacts.rate) if usual else contacts.rate
    due = rate * float(contacts.exposure[-1]) * (gap / WEEK)
    if gap <= max(GAPS * longest, LEAST_GAP) or due < LEAST_DUE:
        return None
    return Finding(
        kind="contact_coverage",
        severity="alarm",
        subject="contacts",
        sentence=f"No contact has become known for {gap / timedelta(days=1):.1f} days, in which {due:,.0f} were due: "
        "the feed has stopped, customers have not fallen silent.",
        action="Repair the feed before anybody acts on the list: score as of its last day "
        "(ebbtide score --as-of), not as of now.",
        numbers={
            "days": gap / timedelta(days=1),
            "contacts_due": due,
            "longest_usual_gap_days": longest / timedelta(1),
        },
        since=last,
    )


def _changed(kept: dict[str, Change], series: dict[str, Series], until: datetime) -> list[Finding]:
    """Findings of abrupt changes. Where all contacts changed, segments only say whether all of them did."""
    found = []
    segments = [name for name in series if name.startswith("contacts: segment=")]
    for name, one in kept.items():
        if name in segments and "contacts" in kept and _together(kept["contacts"], one):
            continue
        shared = _shared(name, one, series, segments)
        found.append(_step(name, one, series[name], until, shared))
    return found


def _together(one: Change, other: Change) -> bool:
    return abs(one.weeks_ago - other.weeks_ago) <= 2 and (one.factor > 1) == (other.factor > 1)


def _shared(name: str, one: Change, series: dict[str, Series], segments: list[str]) -> bool:
    """Whether every segment's rate went the same way at that time, by its own plain before and after."""
    if name != "contacts" or len(segments) < 2:
        return False
    return all((_ratio(series[segment], one) > 1) == (one.factor > 1) for segment in segments)


def _ratio(one: Series, found: Change) -> float:
    """The rate since a change over the rate of as many weeks (a quarter at least) before."""
    weeks = found.weeks_ago if found.lasts else 1
    end = len(one.counts) - found.weeks_ago
    after, before = slice(end, end + weeks), slice(max(0, end - max(weeks, 13)), end)
    rates = [(one.counts[part].sum() + 0.5) / max(one.exposure[part].sum(), 0.5) for part in (after, before)]
    return float(rates[0] / rates[1])


def _step(name: str, one: Change, series: Series, until: datetime, shared: bool) -> Finding:
    since = until - WEEK * one.weeks_ago
    ratio = _ratio(series, one)
    word = "rose" if one.factor > 1 else "fell"
    what = _what(name)
    how = f"{word} by {abs(one.factor - 1):.0%} in the week of {since:%Y-%m-%d}"
    if not one.lasts:
        how = f"{word} by {abs(one.factor - 1):.0%} in the week of {since:%Y-%m-%d} and came back"
    everywhere = ", in every segment" if shared else ""
    return Finding(
        kind=_kind(name),
        severity=_severity(name, one),
        subject=name,
        sentence=f"{what} {how}{everywhere}: {_guess(name, one)}.",
        action=_action(name),
        numbers={
            "factor": one.factor,
            "plain_ratio": ratio,
            "t": one.t,
            "chance": max(one.chance, _FAINT),
            "weeks": one.weeks_ago,
            "lasts": one.lasts,
            "direction": "up" if one.factor > 1 else "down",
            "every_segment": shared,
        },
        since=since,
    )


def _kind(name: str) -> str:
    source = name.partition(":")[0]
    return {"contacts": "contact_coverage", "service": "service_change"}.get(source, "survey_coverage")


def _severity(name: str, one: Change) -> Severity:
    if not one.lasts:
        return "info"
    large = abs(np.log(one.factor)) >= np.log(1.5)
    whole = name == "contacts" or not name.startswith("contacts")
    return "warning" if whole or large else "info"


def _what(name: str) -> str:
    kind, _, rest = name.partition(": ")
    if kind == "contacts":
        return f"Contacts per account ({rest.replace('=', ' ')})" if rest else "Contacts per account"
    if kind == "service":
        return f"{rest.capitalize()} per contact"
    if kind == "invitations":
        return f"Invitations to {rest.upper()} surveys"
    return f"The share of {rest.upper()} invitations answered"


def _guess(name: str, one: Change) -> str:
    if name.startswith("invitations"):
        return "a survey policy changed, customers did not"
    if name.startswith("answers"):
        return "a change in how surveys are sent or shown is likelier than that many customers changing in one week"
    if name.startswith("service"):
        return "service became harder, or easier, for many at once" if one.lasts else "an incident"
    if not one.lasts:
        return "an incident, whose contacts say little about each account"
    return "a channel, a form, a bot or the tracking changed; customers do not change in one week"


def _action(name: str) -> str:
    if name.startswith("invitations"):
        return "Nothing to do about accounts: features use rates of answers. Note the date for the next training."
    if name.startswith("service"):
        return "Ask service what changed that week; expect risks to follow, and watch observed against expected."
    return "Ask what changed that week; until it is understood, read silence and effort with care."


def _crept(series: dict[str, Series], usual: Sources | None, until: datetime) -> list[Finding]:
    """Rates of the latest quarter that are far from the usual ones although no single week stands out."""
    found = []
    for name, one in series.items():
        before = usual.rates.get(name) if usual else None
        recent = one.last(CREPT_WEEKS)
        if not before or len(recent.counts) < CREPT_WEEKS or recent.exposure.sum() <= 0:
            continue
        due = before * recent.exposure.sum()
        relative = recent.counts.sum() / due - 1
        if due < 50 or abs(relative) < CREPT:
            continue
        word = "above" if relative > 0 else "below"
        found.append(
            Finding(
                kind=_kind(name),
                severity="warning" if name == "contacts" or not name.startswith("contacts") else "info",
                subject=name,
                sentence=f"{_what(name)}: over the latest quarter {abs(relative):.0%} {word} the year before training.",
                action=_action(name),
                numbers={"before": before, "now": recent.rate, "direction": "up" if relative > 0 else "down"},
                since=until - WEEK * CREPT_WEEKS,
            )
        )
    return found
