"""The drift that keeps satisfaction stationary.

Service moves satisfaction down on average (bad experiences weigh more than good ones), so without
a counterweight every account would sink and the world would never settle. The counterweight is
minus the expected weekly shift of a segment, so that its mean stays near zero until a fault is
switched on. It is exact for an account of average engagement and satisfaction; accounts with more
contacts or a worse first-contact resolution than their segment still sink, as they should.
"""

import numpy as np

from training.simulator.columns import Floats
from training.simulator.worlds import Segment, World


def counterweight(world: World) -> Floats:
    """Weekly addition to satisfaction, by segment."""
    return np.array([-_expected_shift(world, segment) for segment in world.segments])


def _expected_shift(world: World, segment: Segment) -> float:
    per_contact = segment.how_to * world.shift_how_to + (1 - segment.how_to) * _per_failure(world)
    recovered = world.irritant_voice * world.recovery * world.shift_recovered
    return float(segment.contacts * per_contact + segment.irritants * (world.shift_irritant + recovered))


def _per_failure(world: World) -> float:
    fcr = _mean_logistic(np.log(world.fcr / (1 - world.fcr)), world.fcr_spread)
    voice = _mean_logistic(world.voice, world.voice_spread)
    second = world.repeat * world.repeat_again
    complaints = voice + second * voice * (1 - voice)
    quiet = 1 - world.repeat + second * world.quiet_after_second
    serious = (
        (world.repeat + second) * world.shift_repeat
        + quiet * world.shift_quiet
        + complaints * world.recovery * world.shift_recovered
    )
    return fcr * world.shift_fixed + world.transfer * world.shift_transfer + (1 - fcr) * serious


def _mean_logistic(mean: float, spread: float) -> float:
    """Mean of a logit-normal variable, by Gauss-Hermite quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(32)
    values = 1 / (1 + np.exp(-(mean + spread * nodes)))
    return float(values @ weights / weights.sum())
