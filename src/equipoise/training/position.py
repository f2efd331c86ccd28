"""Where a training stands, and the random numbers that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

Moment = Literal["step", "phase start", "epoch start", "phase end"]

# Numbers of the moments of a training at which random numbers are drawn. They are part of every
# seed: a change of one changes the results of all trainings.
_NUMBERS: dict[Moment, int] = {"step": 0, "phase start": 1, "epoch start": 2, "phase end": 3}


@dataclass
class Position:
    """Where a training stands. Randomness is a pure function of (seed, rank, position)."""

    phase: int = 0  # number of the phase
    phase_epoch: int = 0  # epochs finished in it
    epoch: int = 0  # epochs finished in all
    batch: int = 0  # batches finished in the current epoch
    step: int = 0  # batches finished in all


def seed_generators(
    shared: torch.Generator, seed: int, step: int, moment: Moment, rank: int, device: torch.device
) -> None:
    """Seed the generator that ranks share, and torch's own, which differ by rank.

    Args:
        shared: the same stream on every rank.
        seed: of the training.
        step: batches finished in all.
        moment: of the training, at this step.
        rank: of this process.
        device: whose default generator is seeded beside the CPU's.
    """
    base = (seed * 1_000_003 + step) * 4 + _NUMBERS[moment]
    shared.manual_seed(base)
    # Not torch.manual_seed: it formats a stack trace for every device it might one day seed, half a
    # millisecond.
    local = (base * 4099 + rank) % 2**63  # what a generator takes
    torch.default_generator.manual_seed(local)
    if device.type == "cuda":
        torch.cuda.manual_seed(local)
