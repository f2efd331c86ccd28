"""The position of a training, and the random numbers that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

Moment = Literal["step", "phase start", "epoch start", "phase end"]

# The moments of a training at which random numbers are drawn. The numbers are part of every seed:
# changing one changes the results of all trainings.
_NUMBERS: dict[Moment, int] = {"step": 0, "phase start": 1, "epoch start": 2, "phase end": 3}


@dataclass
class Position:
    """The progress of a training; random numbers are a pure function of it, the seed and the rank.

    Attributes:
        phase: number of the phase, from 0.
        phase_epoch: epochs finished in this phase.
        epoch: epochs finished in all.
        batch: batches finished in this epoch.
        step: batches finished in all.
    """

    phase: int = 0
    phase_epoch: int = 0
    epoch: int = 0
    batch: int = 0
    step: int = 0


def seed_generators(
    shared: torch.Generator, seed: int, step: int, moment: Moment, rank: int, device: torch.device
) -> None:
    """Seed the generator that all ranks share, and this rank's default generators.

    Args:
        shared: generator that is to give the same numbers on every rank.
        seed: of the training.
        step: batches finished in all.
        moment: of the training, at this step.
        rank: number of this process.
        device: its default generator is seeded beside the CPU's.
    """
    # Steps and moments share one sequence: without the factor 4 a hook would draw the numbers of a
    # neighbouring step.
    base = (seed * 1_000_003 + step) * 4 + _NUMBERS[moment]
    shared.manual_seed(base)
    # Ranks must draw different numbers, for dropout say. 4099 is more than any number of ranks, so
    # that no rank draws the numbers of another rank's next step.
    local = (base * 4099 + rank) % 2**63  # the largest seed that a generator takes is 2**63 - 1
    # Not torch.manual_seed, which takes half a millisecond: it formats a stack trace for every
    # device that it may have to seed later.
    torch.default_generator.manual_seed(local)
    if device.type == "cuda":
        torch.cuda.manual_seed(local)
