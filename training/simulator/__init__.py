"""A simulated customer base: hidden lives, visible tables, and the best possible forecast."""

from training.simulator.faults import FAULTS, Fault
from training.simulator.oracle import oracle
from training.simulator.simulate import Hidden, Simulated, simulate
from training.simulator.worlds import WORLDS, Segment, World, find_world
from training.simulator.write import Format, write, write_faults, write_truth

__all__ = [
    "FAULTS",
    "WORLDS",
    "Fault",
    "Format",
    "Hidden",
    "Segment",
    "Simulated",
    "World",
    "find_world",
    "oracle",
    "simulate",
    "write",
    "write_faults",
    "write_truth",
]
