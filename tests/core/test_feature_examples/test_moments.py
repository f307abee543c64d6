"""The edges of time: a window has its first instant and not its last; a value counts once it happened and was known."""

from datetime import timedelta

import pytest

from models.features import compute
from tests.core.histories import MICROSECOND, NOW, Drawn
from tests.core.test_feature_examples.ann import ago, answer, approach, contact, features, solved

WINDOWS = {28: "contacts_28d", 30: "contacts_30d", 90: "contacts_90d", 365: "contacts_365d"}


@pytest.mark.parametrize("days", WINDOWS)
def test_a_window_begins_with_its_first_instant(days):
    assert features(contacts=[contact(days)])[WINDOWS[days]] == 1
    assert features(contacts=[contact(0, opened_at=ago(days) - MICROSECOND)])[WINDOWS[days]] == 0


def test_a_window_ends_before_the_moment_itself():
    assert features(contacts=[contact(0)])["contacts_28d"] == 0
    assert features(contacts=[contact(0, opened_at=NOW - MICROSECOND)])["contacts_28d"] == 1


@pytest.mark.parametrize(
    ("late", "open_contacts"), [(timedelta(0), 1), (MICROSECOND, 0)], ids=["at the moment", "just before it"]
)
def test_what_happens_at_the_moment_has_not_happened_yet(late, open_contacts):
    row = contact(5, resolved_at=NOW - late)
    assert features(contacts=[row])["open_contacts"] == open_contacts


def at_now(**rows):
    """Ann's row where the source reports two days late."""
    tables = {"accounts": [{"account_id": "ann"}], **rows}
    (row,) = compute(Drawn(tables, delay=timedelta(days=2)).history(), NOW).to_dicts()
    return row


def test_a_source_that_reports_late_is_known_late():
    told = solved(0) | {"interaction_id": "1", "opened_at": ago(9), "resolved_at": ago(2)}
    untold = told | {"resolved_at": ago(2) + MICROSECOND}
    assert at_now(interactions=[told])["open_contacts"] == 0
    assert at_now(interactions=[untold])["open_contacts"] == 1
    assert at_now(interactions=[told | {"opened_at": ago(1)}])["contacts_28d"] == 0


def test_a_row_that_is_recorded_late_is_known_late():
    assert features(contacts=[contact(5, recorded_at=NOW)])["contacts_28d"] == 1
    assert features(contacts=[contact(5, recorded_at=NOW + MICROSECOND)])["contacts_28d"] == 0


def test_an_answer_to_an_old_invitation_counts_while_the_answer_is_young():
    old = answer("csat", 380, 5) | {"responded_at": ago(300)}
    assert features(surveys=[old])["responses_365d"] == 1
    assert features(surveys=[old])["invitations_365d"] == 0


def test_an_outreach_is_unanswered_until_the_reaction_has_happened():
    reached = {"outcome": "reached"}
    # Twenty days ago; the reaction, and with it the outcome, lie two days ahead.
    assert features(outreach=[approach(20, engaged_at=ago(-2), **reached)])["outreach_no_answer_180d"] == 1
    assert features(outreach=[approach(20, **reached)])["outreach_no_answer_180d"] == 0


def test_contacts_of_one_instant_come_in_the_order_of_their_ids():
    def row(number, channel, **values):
        return contact(5, interaction_id=number, issue_id="q", channel=channel, **values)

    first = contact(6, interaction_id="0", issue_id="q", channel="email")
    twins = [row("1", "email"), row("2", "phone")]
    crossed = [row("1", "phone"), row("2", "email")]
    # email, email, phone: one switch; email, phone, email: two
    for rows, switches in ((twins, 1), (twins[::-1], 1), (crossed, 2), (crossed[::-1], 2)):
        assert features(contacts=[*rows, first])["switches_90d"] == switches
