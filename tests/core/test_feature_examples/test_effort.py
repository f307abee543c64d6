"""Effort: repeats, first-contact fixes, steps per issue, what CES says."""

from models.features import Baselines
from models.features.baselines import Usual
from tests.core.test_feature_examples.ann import about, answer, contact, features, roughly, solved

# An issue of two contacts on two channels, handed over once: 2 + 1 switch + 1 transfer = 4 steps, closed 20 days ago;
# and one of a single contact that was reopened once: 1 + 1 = 2 steps, closed 10 days ago.
HARD = [
    solved(22, issue_id="hard", channel="email", transfers=1),
    contact(21, minutes=1440, issue_id="hard", channel="phone", transfers=0),
]
EASIER = [contact(12, minutes=2 * 1440, issue_id="easier", reopens=1)]


def test_repeat_rate_90d():
    contacts = [
        solved(100, category="billing"),
        solved(50, category="billing"),
        solved(46, category="billing"),  # 4 days later: a repeat
        solved(30, category="billing"),  # 16 days later: not
        solved(28, category="login"),  # another topic
    ]
    # 1 of the 4 contacts in 90 days; usual is .13: (1 + 10 x .13) / (4 + 10)
    assert features(contacts=contacts)["repeat_rate_90d"] == about(2.3 / 14)


def test_repeat_rate_90d_looks_back_over_the_edge_of_its_window():
    contacts = [solved(96, category="billing"), solved(90, category="billing")]
    # Exactly 90 days ago is inside; its predecessor, 6 days earlier, is not but makes it a repeat: (1 + 1.3) / (1 + 10)
    assert features(contacts=contacts)["repeat_rate_90d"] == about(2.3 / 11)


def test_repeat_rate_90d_without_id_or_topic_nothing_is_a_repeat():
    assert features(contacts=[solved(5), solved(4)])["repeat_rate_90d"] == about(1.3 / 12)


def test_repeat_rate_90d_goes_by_the_issue_id_where_there_is_one():
    contacts = [
        solved(20, issue_id="a", category="billing"),
        solved(19, issue_id="b", category="billing"),
        solved(18, issue_id="a", category="login"),
    ]
    # One issue, two topics: a repeat. One topic, two issues: none. (1 + 1.3) / (3 + 10)
    assert features(contacts=contacts)["repeat_rate_90d"] == about(2.3 / 13)


def test_repeat_rate_90d_draws_to_its_own_segment():
    usual = Baselines(segments={"smb": Usual(repeat_rate=0.3)})
    assert features(account={"segment": "smb"}, usual=usual)["repeat_rate_90d"] == about(0.3)
    assert features(account={"segment": "mid"}, usual=usual)["repeat_rate_90d"] == about(0.13)


def test_repeat_rate_365d():
    contacts = [solved(days, category="billing") for days in (300, 294, 200, 20)]
    # 294 days ago repeats 300 days ago: (1 + 1.3) / (4 + 10)
    assert features(contacts=contacts)["repeat_rate_365d"] == about(2.3 / 14)


def test_not_fixed_first_180d():
    contacts = [
        solved(100, category="fixed"),
        solved(60, category="came back"),
        solved(57, category="came back"),  # no issue of its own
        contact(40, category="gave up", outcome="auto_closed"),
        solved(3, category="too fresh to say"),
    ]
    # 2 of 3 issues; usual is .28: (2 + 2.8) / (3 + 10)
    assert features(contacts=contacts)["not_fixed_first_180d"] == about(4.8 / 13)


def test_effort_mean_90d():
    # (4 + 2) steps over 2 issues, usual 1.35 with the weight of 3: (6 + 3 x 1.35) / (2 + 3)
    row = features(contacts=[*HARD, *EASIER])
    assert row["effort_mean_90d"] == about(10.05 / 5)
    assert (row["effort_90d"], row["issues_90d"]) == (6, 2)


def test_effort_peak_90d():
    assert features(contacts=[*HARD, *EASIER])["effort_peak_90d"] == 4
    assert features()["effort_peak_90d"] == 0


def test_effort_last_180d():
    assert features(contacts=[*HARD, *EASIER])["effort_last_180d"] == 2
    assert features(contacts=HARD)["effort_last_180d"] == 4
    # Nothing closed: what is usual.
    assert features(contacts=[contact(5, issue_id="open")])["effort_last_180d"] == 1.35


def test_effort_last_180d_goes_by_the_closing_not_by_the_opening():
    slow = contact(30, minutes=29 * 1440, issue_id="slow", transfers=4)
    quick = solved(10, issue_id="quick")
    # The slow one, 1 + 4 steps, was opened first and closed last.
    assert features(contacts=[slow, quick])["effort_last_180d"] == 5


def test_ces_low_share_180d():
    surveys = [answer("ces", days, score) for days, score in ((10, 2), (100, 6), (170, 7), (200, 1))]
    # 1 of 3 answers of 180 days is 3 or less; usual is .12: (1 + 1.2) / (3 + 10)
    assert features(surveys=surveys)["ces_low_share_180d"] == about(2.2 / 13)
    assert features()["ces_low_share_180d"] is None


def test_ces_mean_180d():
    surveys = [answer("ces", days, score) for days, score in ((10, 2), (100, 6), (170, 7), (200, 1))]
    # Shares of the scale 1/6 + 5/6 + 1 = 2, usual .75 with the weight of 3: (2 + 2.25) / 6; 1 + 6 x 4.25 / 6 = 5.25
    assert features(surveys=surveys)["ces_mean_180d"] == roughly(5.25)


def test_ces_mean_180d_turns_the_old_scale_around():
    # 1 of 1-5 where low is good is the easiest there is: (1 + 2.25) / 4 = .8125; 1 + 6 x .8125 = 5.875
    old = answer("ces", 10, 1, scale_min=1.0, scale_max=5.0, low_is_good=True)
    assert features(surveys=[old])["ces_mean_180d"] == roughly(5.875)


def test_transfers_per_contact_90d():
    contacts = [solved(10, transfers=2), solved(20, transfers=0), contact(5, transfers=3)]
    # The open one's total counts from its last change, which nobody wrote down: (2 + 10 x .12) / (3 + 10)
    assert features(contacts=contacts)["transfers_per_contact_90d"] == about(3.2 / 13)


def test_channel_switches_90d():
    contacts = [
        solved(20, issue_id="q", channel="email"),
        solved(19, issue_id="q", channel="phone"),
        solved(18, issue_id="q", channel="phone"),
        solved(17, issue_id="q", channel=None),  # unknown is no other channel
        solved(9, issue_id="r", channel="chat"),
    ]
    # 1 switch in 2 issues; usual is .05: (1 + .5) / (2 + 10)
    assert features(contacts=contacts)["channel_switches_90d"] == about(1.5 / 12)


def test_channel_switches_90d_an_old_issue_on_the_topic_is_another_issue():
    contacts = [solved(80, category="billing", channel="email"), solved(10, category="billing", channel="phone")]
    assert features(contacts=contacts)["channel_switches_90d"] == about(0.5 / 12)


def test_repeat_trend():
    recent = [solved(days, category="billing") for days in (50, 46, 30)]
    before = [solved(days, category="billing") for days in (350, 300, 250, 200, 150)]
    # 1 of 3 now, 0 of 5 before: (1 + 1.3) / 13 - (0 + 1.3) / 15
    assert features(contacts=[*recent, *before])["repeat_trend"] == about(2.3 / 13 - 1.3 / 15)
