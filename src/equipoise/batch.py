"""The frozen records that travel: a sample, a batch of them, what a model makes of it, and a
split's predictions.

B is the batch size, M the number of modalities, C the number of classes, d_m a modality's feature
width. Modalities are ordered as the user declared them; every mapping here keeps that order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor

Input = Tensor | Mapping[str, Tensor]
"""One modality's input: a tensor (B, …), or several named ones (token ids and attention mask, say)."""


def map_input(value: Input, function: Callable[[Tensor], Tensor]) -> Input:
    """Apply `function` to the tensor, or to each of the named tensors, of one modality."""
    if isinstance(value, Mapping):
        return {name: function(tensor) for name, tensor in value.items()}
    return function(value)


def _zero_rows(tensor: Tensor, rows: Tensor) -> Tensor:
    return tensor.masked_fill(rows.view(-1, *(1,) * (tensor.dim() - 1)), 0)


@dataclass(frozen=True)
class Sample:
    """One row of a table. A modality that is absent from the row is absent from `inputs`."""

    inputs: Mapping[str, Input]
    label: int
    index: int


@dataclass(frozen=True)
class Batch:
    """Samples side by side."""

    inputs: Mapping[str, Input]  # {modality: (B, …)}; rows of absent modalities are zeros
    present: Mapping[str, Tensor]  # {modality: bool (B,)}; never all False for a sample
    label: Tensor  # int64 (B,)
    index: Tensor  # int64 (B,), the row in the table: the key of per-sample memory
    whole: Batch | None = None  # the same samples with nothing hidden; None where nothing is

    @property
    def modalities(self) -> tuple[str, ...]:
        return tuple(self.inputs)

    def __len__(self) -> int:
        return int(self.label.shape[0])

    @property
    def existing(self) -> Mapping[str, Tensor]:
        """{modality: bool (B,)}: the cells whose content is known; `present`, and what is hidden from the network."""
        return self.revealed().present

    def revealed(self) -> Batch:
        """The batch with present = existing, whose hidden content may be a target; itself if nothing is hidden."""
        return self if self.whole is None else self.whole

    def hide(self, shown: Mapping[str, Tensor]) -> Batch:
        """The same samples with present = present and shown; what is hidden reads as zeros and can
        be revealed.

        Args:
            shown: {modality: bool (B,)}.
        """
        present = {m: here & shown[m] for m, here in self.present.items()}
        inputs = {
            m: map_input(x, partial(_zero_rows, rows=~present[m])) for m, x in self.inputs.items()
        }
        return Batch(inputs, present, self.label, self.index, self.revealed())

    @cached_property
    def counts(self) -> dict[str, int]:
        """{modality: number of present rows}; counted before the batch moves, so that no step waits for a device."""
        return {m: int(p.sum()) for m, p in self.present.items()}

    def apply(self, function: Callable[[Tensor], Tensor]) -> Batch:
        """A batch with `function` applied to every tensor (moving it to a device, or selecting rows)."""
        return Batch(
            {m: map_input(x, function) for m, x in self.inputs.items()},
            {m: function(p) for m, p in self.present.items()},
            function(self.label),
            function(self.index),
            self.whole and self.whole.apply(function),
        )

    def to(self, device: torch.device | str) -> Batch:
        """This batch on another device."""
        moved = self.apply(lambda tensor: tensor.to(device, non_blocking=True))
        moved.__dict__["counts"] = self.counts
        if moved.whole is not None:
            moved.whole.__dict__["counts"] = self.revealed().counts
        return moved

    def rows(self, select: Tensor | slice) -> Batch:
        """Some samples of this batch, by index tensor, mask or slice."""
        return self.apply(lambda tensor: tensor[select])


@dataclass(frozen=True)
class Output:
    """What a model makes of a batch. Mappings hold the modalities that were run."""

    features: Mapping[str, Tensor]  # {modality: (B, d_m)}; zeros where absent
    logits: Mapping[str, Tensor]  # {modality: (B, C)}: what that modality alone predicts
    fused: Tensor  # (B, C)
    weights: Tensor | None = None  # (B, M) fusion weights, where the head has any


@dataclass(frozen=True)
class Predictions:
    """Logits of a whole split, on the CPU; metrics are pure functions of it."""

    index: np.ndarray  # int64 (N,)
    label: np.ndarray  # int64 (N,); −1 where the label is unknown
    present: Mapping[str, np.ndarray]  # {modality: bool (N,)}
    logits: Mapping[str, np.ndarray]  # {modality: float32 (N, C)}
    fused: np.ndarray  # float32 (N, C)
    classes: tuple[str, ...]

    @property
    def modalities(self) -> tuple[str, ...]:
        return tuple(self.logits)

    def __len__(self) -> int:
        return len(self.label)
