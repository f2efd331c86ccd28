"""The parts of the fuzz command, and the folder of files that they start from."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fuzzing.case import Case


@dataclass(frozen=True)
class Room:
    """A temporary folder.

    Attributes:
        folder: holds the seed files and a folder for each input.
    """

    folder: Path

    def __truediv__(self, name: str) -> Path:
        return self.folder / name


@dataclass(frozen=True)
class Part:
    """A part.

    Attributes:
        prepare: writes the seed files, once, before the workers are forked.
        make: from random numbers, the room and the number of the input to the input, whose files
            it writes to the current folder.
        weight: how many inputs of a hundred belong to this part.
    """

    prepare: Callable[[Room], None]
    make: Callable[[random.Random, Room, int], Case]
    weight: int


PARTS: dict[str, Part] = {}


def rng_of(seed: int, part: str, number: int) -> random.Random:
    """The random numbers of one input, whatever inputs are run before it."""
    return random.Random(f"{seed} {part} {number}")
