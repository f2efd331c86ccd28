"""Random numbers that follow from a test's name.

By default every test draws the same random numbers each time, whatever runs before or beside it, so
that the suite does not fail by chance. `pytest --seed N` gives every test other numbers.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

_default_rng = np.random.default_rng


class Seeds:
    """The seeds of the tests of one run.

    Args:
        base: changes the seeds of all tests.

    Attributes:
        value: the seed of the test in progress.
    """

    def __init__(self, base: int) -> None:
        self.base = base
        self.value = self.of("collection")
        self._count = 0
        self._collecting = True
        self._of_modules: list[np.random.Generator] = []

    def of(self, name: str) -> int:
        """The seed that goes with a name, from 0 to 2³¹ - 1."""
        digest = hashlib.sha256(f"{self.base} {name}".encode()).digest()
        return int.from_bytes(digest[:4]) >> 1

    def start(self, name: str) -> None:
        """Seed everything a test may draw from: Python's, NumPy's and torch's generators."""
        self.value = self.of(name)
        self._count = 0
        self._collecting = False
        random.seed(self.value)
        np.random.seed(self.value)
        torch.manual_seed(self.value)
        # A generator that a test file makes when it is imported is used by all tests of that file.
        # It restarts with every test, so that the order of the tests does not matter.
        for generator in self._of_modules:
            generator.bit_generator.state = _default_rng([self.value, 0]).bit_generator.state

    def default_rng(self, seed: object = None) -> np.random.Generator:
        """`np.random.default_rng`, which without a seed follows from the test in progress."""
        if seed is not None:
            return _default_rng(seed)
        if self._collecting:
            generator = _default_rng([self.value, 0])
            self._of_modules.append(generator)
            return generator
        self._count += 1
        return _default_rng([self.value, self._count])

    @contextmanager
    def aside(self, name: str) -> Iterator[None]:
        """Draw by another name for a while.

        A fixture that several tests share is made by whichever of them runs first; its numbers must
        not follow from that test, nor that test's from the fixture.
        """
        value = self.value
        count = self._count
        collecting = self._collecting
        python = random.getstate()
        numpy = np.random.get_state()
        torches = torch.get_rng_state()
        modules = [generator.bit_generator.state for generator in self._of_modules]
        self.start(name)
        try:
            yield
        finally:
            self.value = value
            self._count = count
            self._collecting = collecting
            random.setstate(python)
            np.random.set_state(numpy)
            torch.set_rng_state(torches)
            for generator, state in zip(self._of_modules, modules, strict=True):
                generator.bit_generator.state = state
