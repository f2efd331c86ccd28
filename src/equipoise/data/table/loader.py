"""Batches of a table, the same for any number of ranks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import torch

from equipoise.batch import Batch
from equipoise.data.table.table import Table


class Loader:
    """Cuts a table into global batches and hands this rank its contiguous part of each.

    Args:
        table: what to read.
        batch_size: samples in a global batch.
        seed: of the order.
        shuffle: a new order each epoch, a pure function of (seed, epoch); otherwise the table's
            order.
        balanced: an epoch draws as many rows as the table has, evenly from all classes. A class
            with more rows than its part is read in turns, one with fewer rows repeatedly.
        rank: of this process.
        world: number of processes.
    """

    def __init__(
        self,
        table: Table,
        batch_size: int,
        *,
        seed: int,
        shuffle: bool,
        balanced: bool = False,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.table = table
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.balanced = balanced
        self.rank = rank
        self.world = world
        self._origin: np.ndarray | None = None

    def again(self, table: Table, batch_size: int, *, seed: int, shuffle: bool) -> Loader:
        """Make another loader for the same rank, of this table in batches of this size."""
        return type(self)(
            table, batch_size, seed=seed, shuffle=shuffle, rank=self.rank, world=self.world
        )

    def drawn(
        self,
        rows: np.ndarray,
        shown: Mapping[str, np.ndarray] | None = None,
        *,
        shuffle: bool = True,
    ) -> Loader:
        """Make a loader of some rows of the table.

        `batch.index` of its batches still holds row numbers of this loader's table: they are the
        key of a method's memory of single samples.

        Args:
            rows: (K,), in any order and any number of times.
            shown: {modality: bool (K,)}; a present cell is hidden where it is False. None hides
                nothing.
            shuffle: a new order each epoch; otherwise the order of `rows`.
        """
        table = self.table.take(rows)
        if shown is not None:
            table = table.with_present(
                {m: table.present[m] & shown[m] for m in table.modalities}, existing=True
            )
        loader = self.again(table, self.batch_size, seed=self.seed, shuffle=shuffle)
        loader._origin = rows
        return loader

    def __len__(self) -> int:
        """Number of global batches in an epoch."""
        return len(self._starts())

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Read this rank's part of each global batch of an epoch; a part may be empty.

        Args:
            epoch: decides the order and the random part of the table's steps.
            start: number of the first batch, from 0.
        """
        order = self._order(epoch)
        starts = [*self._starts(), len(order)]
        for number in range(start, len(starts) - 1):
            rows = order[starts[number] : starts[number + 1]]
            batch = self.table.rows(np.array_split(rows, self.world)[self.rank], epoch)
            if self._origin is not None:
                index = torch.from_numpy(self._origin[batch.index.numpy()])
                batch = replace(batch, index=index)
            yield batch

    def _starts(self) -> list[int]:
        starts = list(range(0, len(self.table), self.batch_size))
        if self.shuffle and len(starts) > 1 and len(self.table) - starts[-1] == 1:
            # BatchNorm has no statistics of a single sample, so it joins the batch before.
            starts.pop()
        return starts

    def _order(self, epoch: int) -> np.ndarray:
        if not self.shuffle:
            return np.arange(len(self.table))
        rng = np.random.default_rng((self.seed, epoch))
        return self._even(rng) if self.balanced else rng.permutation(len(self.table))

    def _even(self, rng: np.random.Generator) -> np.ndarray:
        """Rows (N,) in random order, the same number of every class, or one more of some."""
        label = self.table.label
        classes = rng.permutation(np.unique(label))  # another class gets one more in each epoch
        parts = []
        for number, code in enumerate(classes):
            rows = np.flatnonzero(label == code)
            wanted = (len(label) - number - 1) // len(classes) + 1
            rounds = -(-wanted // len(rows))
            # Whole rounds before a part of one, so that no row is drawn twice more than another.
            drawn = np.concatenate([rng.permutation(rows) for _ in range(rounds)])[:wanted]
            parts.append(drawn)
        return rng.permutation(np.concatenate(parts))
