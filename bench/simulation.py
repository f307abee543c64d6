"""Simulating a customer base."""

from bench.figures import Figure, timed
from training import simulator

#: What the aim is declared for.
ACCOUNTS, WEEKS = 3_000, 143
AIM_SECONDS = 20.0


def figures(accounts: int) -> list[Figure]:
    """Seconds for so many accounts over 143 weeks."""
    watch = timed(lambda: simulator.simulate(accounts, WEEKS, "default", 1))
    aim = AIM_SECONDS if accounts == ACCOUNTS else None
    return [Figure(f"simulate {accounts:,} accounts, {WEEKS} weeks", watch.wall, "s", watch.cores(), aim)]
