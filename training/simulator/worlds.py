"""The parameters of a simulated customer base, and the three worlds that ship with it.

A world is everything the generator needs apart from size, length and seed. Every world has the
same people, contracts and service desk; what differs is how much service matters for leaving:

* ``null``: not at all. A model that finds a service driver here has invented it.
* ``default``: as much as published effect sizes allow (SQM 2022: intent to defect 5 / 9 / 25 %
  after a first-contact fix, repeated calls and an unresolved issue; CEB: a contact is four times
  likelier to lower loyalty than to raise it).
* ``strong``: about twice as much. Conclusions should hold in both.

The numbers were set by hand to published marginals, not fitted to data: signs and orders of
magnitude are usable, third decimals are not. Where a published description leaves a choice open, the
one closest to the marginals was taken:

* Contact rates spread with mean one, so that a base has .35 contacts per account and week.
* Each failure of one issue, the repeat's too, is a chance to complain: 9 complaints per 100 failures.
* Half of the escalations of a first contact are demanded by the customer (the rest is routing), and
  nearly all of a repeat's; only the demanded ones are voice. With these shares 74 % of voluntary exits
  are silent, five points above the published 69 %: this world is a little quieter than the published one.
* The decision to leave fades contacts and answers, not the rare complaint about an irritant.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Segment:
    """What tells one group of customers from another."""

    name: str
    share: float  # of the base, and of new accounts
    base_hazard: float  # log of the weekly hazard of a private decision to leave
    mrr_median: float
    annual_share: float
    contacts: float  # first contacts per week
    irritants: float  # hidden annoyances per week that seldom become a contact
    how_to: float  # share of first contacts that are only questions
    people: tuple[int, int]  # fewest and most people who contact us
    sla_minutes: tuple[int, int]  # targets: first response, resolution


@dataclass(frozen=True)
class World:
    """Every parameter of the generative process; rates are per week unless said otherwise."""

    name: str
    segments: tuple[Segment, ...]

    # Traits an account keeps for life.
    mrr_spread: float = 0.6
    contact_spread: float = 0.5  # lognormal with mean one
    frailty_spread: float = 0.45
    fcr: float = 0.72  # first-contact resolution, at the median account
    fcr_spread: float = 0.35
    voice: float = -1.35  # logit of complaining about a serious failure (Goodman: about one in 4)
    voice_spread: float = 0.9
    response_spread: float = 0.8
    initial_tenure: int = 155  # weeks; accounts present at the start are up to this old
    arrivals: float = 0.0035  # new accounts per initial account: replaces those who leave

    # Satisfaction remembers about a year; engagement follows it.
    satisfaction_pull: float = 0.035
    satisfaction_noise: float = 0.10
    engagement_pull: float = 0.05
    engagement_slope: float = 0.55
    engagement_noise: float = 0.12

    # Contacts and what becomes of them.
    contact_engagement: float = 0.55
    season: float = 0.15
    fade: float = 0.45  # contacts and answers once the decision to leave is taken
    repeat: float = 0.62
    repeat_engagement: float = 0.08
    repeat_again: float = 0.45
    quiet_after_second: float = 0.35
    escalation: float = 0.05  # per failure, on its first contact
    escalation_repeat: float = 0.12  # per repeat
    demanded: float = 0.50  # share of first-contact escalations the customer asked for
    demanded_repeat: float = 0.95
    transfer: float = 0.12  # per failure, on its first contact

    # What an experience does to satisfaction.
    shift_fixed: float = 0.06
    shift_how_to: float = 0.03
    shift_transfer: float = -0.10
    shift_repeat: float = -0.28
    shift_quiet: float = -0.42
    shift_irritant: float = -0.10
    shift_recovered: float = 0.30

    # Voice.
    recovery: float = 0.5
    hopelessness: float = 0.5  # added by a complaint that was not made good
    hopelessness_decay: float = 0.015
    voice_hopelessness: float = -0.7
    voice_satisfaction: float = -0.25  # only below zero: the unhappy speak up more
    irritant_voice: float = 0.04

    # Surveys.
    csat_invited: float = 0.80
    csat_answer: float = -1.75
    nps_answer: float = -2.0
    answer_engagement: float = 0.6
    answer_extremity: float = 0.25
    csat_mean: float = 4.25
    csat_satisfaction: float = 0.55
    csat_shift: float = 0.35
    csat_noise: float = 0.7
    nps_mean: float = 7.9
    nps_satisfaction: float = 1.5
    nps_noise: float = 1.2
    nps_every: int = 13

    # The private decision to leave, and when it can be carried out.
    exit_young: float = 0.50
    young_weeks: int = 26
    exit_satisfaction: float = 0.95
    exit_engagement: float = 0.60
    exit_escalation: float = 0.55
    exit_unresolved: float = 0.45
    memory_kept: float = 0.92
    memory_cap: float = 2.0
    term_weeks: int = 52
    month_weeks: int = 4
    early_exit: float = 0.004
    involuntary: float = 0.0006


SMB = Segment("smb", 0.60, -6.05, 400, 0.35, 0.15, 0.10, 0.45, (1, 3), (480, 4320))
MID = Segment("mid", 0.30, -6.60, 2500, 0.70, 0.35, 0.12, 0.35, (2, 6), (240, 2880))
ENTERPRISE = Segment("enterprise", 0.10, -8.20, 15000, 0.90, 0.90, 0.15, 0.30, (4, 15), (120, 1440))


def with_base_hazards(smb: float, mid: float, enterprise: float) -> tuple[Segment, ...]:
    """The three segments with other levels of leaving, so that worlds lose alike many accounts."""
    return (
        replace(SMB, base_hazard=smb),
        replace(MID, base_hazard=mid),
        replace(ENTERPRISE, base_hazard=enterprise),
    )


DEFAULT = World("default", (SMB, MID, ENTERPRISE))
NULL = replace(
    DEFAULT,
    name="null",
    segments=with_base_hazards(-5.6, -6.1, -7.7),
    fade=1.0,
    exit_satisfaction=0.0,
    exit_engagement=0.0,
    exit_escalation=0.0,
    exit_unresolved=0.0,
)
STRONG = replace(
    DEFAULT,
    name="strong",
    segments=with_base_hazards(-6.6, -7.2, -8.9),
    exit_satisfaction=1.6,
    exit_engagement=0.9,
    exit_escalation=0.8,
    exit_unresolved=0.9,
)
WORLDS: dict[str, World] = {world.name: world for world in (NULL, DEFAULT, STRONG)}


def find_world(world: World | str) -> World:
    """A world by name, or the world itself."""
    if isinstance(world, World):
        return world
    if world not in WORLDS:
        raise ValueError(f"unknown world {world!r}: choose one of {', '.join(WORLDS)}")
    return WORLDS[world]
