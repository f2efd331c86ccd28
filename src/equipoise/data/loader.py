"""Batches of a table, the same for any number of ranks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from equipoise.batch import Batch
from equipoise.data.table import Table


class Loader:
    """Cuts a table into global batches and hands this rank its contiguous share of each.

    Args:
        table: what to read.
        batch_size: samples in a global batch.
        seed: of the order.
        shuffle: a new order each epoch, a pure function of (seed, epoch); otherwise the table's own.
        rank: of this process.
        world: number of processes.
    """

    def __init__(
        self, table: Table, batch_size: int, *, seed: int, shuffle: bool, rank: int = 0, world: int = 1
    ) -> None:
        self.table = table
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.rank = rank
        self.world = world

    def again(self, table: Table, batch_size: int, *, seed: int, shuffle: bool) -> Loader:
        """Another loader for the same rank, of this table in batches of this size."""
        return type(self)(table, batch_size, seed=seed, shuffle=shuffle, rank=self.rank, world=self.world)

    def __len__(self) -> int:
        """Global batches an epoch."""
        return len(self._starts())

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """This rank's share of each global batch of an epoch, from batch number `start` on; a share may be empty."""
        order = self._order(epoch)
        starts = [*self._starts(), len(order)]
        for number in range(start, len(starts) - 1):
            whole = order[starts[number] : starts[number + 1]]
            yield self.table.rows(np.array_split(whole, self.world)[self.rank], epoch)

    def _starts(self) -> list[int]:
        starts = list(range(0, len(self.table), self.batch_size))
        if self.shuffle and len(starts) > 1 and len(self.table) - starts[-1] == 1:
            starts.pop()  # a batch of one sample has no statistics: it joins the one before
        return starts

    def _order(self, epoch: int) -> np.ndarray:
        if not self.shuffle:
            return np.arange(len(self.table))
        return np.random.default_rng((self.seed, epoch)).permutation(len(self.table))
