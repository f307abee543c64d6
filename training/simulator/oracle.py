"""The best forecast anyone could make: many futures of each account from its true hidden state.

Worked example, t = 1 June, blackout 14 days, horizon 90: a future counts if the account leaves
after 15 June and by 13 September. It is silent if the customer did not speak up (complaint,
demanded escalation, CSAT of 2 or less, NPS of 6 or less) in the 90 days before leaving, the last
day excepted; voice heard before 1 June counts too. Futures that leave inside the blackout are
excluded, exactly as such rows are from training, so the probabilities are conditional on staying
through it; where no future stays they are null. An account younger than the look-back is judged by
the voice it has had so far.

A model judged against these numbers is judged against what is knowable in principle; it can never
reach them, for the oracle knows of decisions nobody has told us about.
"""

import numpy as np
import polars as pl

from training.simulator.columns import Bools, Floats, Ints, stack, take
from training.simulator.events import Voices, voices_in
from training.simulator.faults import Groups
from training.simulator.frames import account_ids
from training.simulator.hours import DAY, WEEK, Calendar
from training.simulator.process import INVOLUNTARY, State, advance
from training.simulator.simulate import Hidden, Simulated

LOOK_BACK = 90 * DAY
EXIT_VOICE = 1 * DAY  # what is said in the leaving itself comes too late to be voice
ROWS_AT_ONCE = 50_000
STREAM = 3


def oracle(simulated: Simulated, horizon_days: int = 90, blackout_days: int = 14, futures: int = 200) -> pl.DataFrame:
    """Probabilities at ``simulated.end`` for each account active then.

    ``p_churn`` is voluntary and the sum of ``p_silent`` and ``p_vocal``; ``p_involuntary`` is the
    competing cause. Raises ``ValueError`` for no futures.
    """
    if futures < 1:
        raise ValueError(f"need at least one future per account, got {futures}")
    rng = np.random.Generator(np.random.PCG64([simulated.seed, STREAM, simulated.weeks]))
    hidden = simulated.hidden
    started = hidden.traits.start_week < simulated.weeks
    active = np.flatnonzero(started & np.isinf(hidden.state.ended))
    size = max(1, ROWS_AT_ONCE // futures)
    window = (simulated.weeks * WEEK, blackout_days * DAY, horizon_days * DAY)
    chunks = [active[i : i + size] for i in range(0, len(active), size)]
    shares = [_chunk(simulated, chunk, futures, window, rng) for chunk in chunks]
    columns = np.concatenate(shares) if shares else np.empty((0, 3))
    silent, vocal, involuntary = columns.T
    return pl.DataFrame(
        {
            "account_id": account_ids(active),
            "p_churn": silent + vocal,
            "p_silent": silent,
            "p_vocal": vocal,
            "p_involuntary": involuntary,
        }
    ).fill_nan(None)


def _chunk(
    simulated: Simulated,
    accounts: Ints,
    futures: int,
    window: tuple[float, float, float],
    rng: np.random.Generator,
) -> Floats:
    """Shares of silent, vocal and involuntary futures: one row per account."""
    now, blackout, horizon = window
    until = now + blackout + horizon
    path = np.repeat(accounts, futures)
    state, voices = _live_on(simulated, path, until, rng)
    past = _past_voices(simulated.hidden, accounts, futures)
    spoke = _spoke(state.ended, stack([past, voices]))
    stayed = state.ended > now + blackout
    left = stayed & (state.ended <= until)
    voluntary = left & (state.end_kind != INVOLUNTARY)
    kinds: tuple[Bools, ...] = (voluntary & ~spoke, voluntary & spoke, left & ~voluntary)
    counted = np.stack([kind.reshape(-1, futures).sum(axis=1) for kind in kinds], axis=1)
    at_risk = stayed.reshape(-1, futures).sum(axis=1)[:, None].astype(np.float64)
    at_risk[at_risk == 0] = np.nan
    return np.asarray(counted / at_risk, dtype=np.float64)


def _live_on(simulated: Simulated, path: Ints, until: float, rng: np.random.Generator) -> tuple[State, Voices]:
    """Advance every path until the horizon has passed; keep who left and who spoke."""
    world, calendar = simulated.world, Calendar(simulated.start)
    groups = Groups(world, calendar, take(simulated.hidden.traits, path), simulated.faults)
    state = take(simulated.hidden.state, path)
    heard = []
    for week in range(simulated.weeks, int(np.ceil(until / WEEK))):
        state, issues, invitations = advance(groups.at(week), state, week, rng)
        heard.append(voices_in(issues, invitations, calendar, rng))
    return state, stack(heard)


def _past_voices(hidden: Hidden, accounts: Ints, futures: int) -> Voices:
    """What each account already said, told to each of its futures."""
    place = np.full(len(hidden.state.ended), -1)
    place[accounts] = np.arange(len(accounts))
    known = take(hidden.voices, place[hidden.voices.account] >= 0)
    first = np.repeat(place[known.account] * futures, futures)
    path = first + np.tile(np.arange(futures), len(known.account))
    return Voices(path, np.repeat(known.week, futures), np.repeat(known.at, futures))


def _spoke(ended: Floats, voices: Voices) -> Bools:
    """Did this path speak up in the look-back before it left?"""
    before = ended[voices.account] - voices.at
    counts = (before <= LOOK_BACK) & (before > EXIT_VOICE)
    spoke = np.zeros(len(ended), dtype=np.bool_)
    spoke[voices.account[counts]] = True
    return spoke
