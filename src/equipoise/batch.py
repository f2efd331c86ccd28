"""Records: a batch of samples, the output of a model, and the predictions of a split.

B is the batch size, M the number of modalities, C the number of classes and d_m the feature width
of a modality. Modalities are ordered as the user declared them; every mapping keeps that order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor

Input = Tensor | Mapping[str, Tensor]
"""Input of one modality: a tensor (B, …), or several named ones (token ids and a mask)."""


def map_input(value: Input, function: Callable[[Tensor], Tensor]) -> Input:
    """Apply `function` to the tensor of one modality, or to each of its named tensors."""
    if isinstance(value, Mapping):
        return {name: function(tensor) for name, tensor in value.items()}
    return function(value)


def _zero_rows(tensor: Tensor, rows: Tensor) -> Tensor:
    return tensor.masked_fill(rows.view(-1, *(1,) * (tensor.dim() - 1)), 0)


@dataclass(frozen=True)
class Batch:
    """Samples side by side.

    Attributes:
        inputs: {modality: (B, …)}; the rows of an absent modality are zeros.
        present: {modality: bool (B,)}; never all False for a sample.
        label: int64 (B,), index of the class.
        index: int64 (B,), row of the table: the key of per-sample memory.
        whole: the same samples with nothing hidden; None if nothing is hidden.
        weight: float32 (B,), how much each sample counts in a loss; None if all count alike.
    """

    inputs: Mapping[str, Input]
    present: Mapping[str, Tensor]
    label: Tensor
    index: Tensor
    whole: Batch | None = None
    weight: Tensor | None = None

    @property
    def modalities(self) -> tuple[str, ...]:
        return tuple(self.inputs)

    def __len__(self) -> int:
        return int(self.label.shape[0])

    @property
    def existing(self) -> Mapping[str, Tensor]:
        """Cells with known content {modality: bool (B,)}: the present ones and the hidden ones."""
        return self.revealed().present

    def revealed(self) -> Batch:
        """The batch with nothing hidden, that is with present = existing.

        Hidden content may be a target of a loss, never an input of the network.
        """
        return self if self.whole is None else self.whole

    def hide(self, shown: Mapping[str, Tensor]) -> Batch:
        """Hide cells from the network.

        Args:
            shown: {modality: bool (B,)}, False for the cells to hide.

        Returns:
            The same samples, where `present` is False and the inputs are zeros in hidden cells.
            `revealed` gives the hidden content back.
        """
        present = {m: here & shown[m] for m, here in self.present.items()}
        inputs = {
            m: map_input(x, partial(_zero_rows, rows=~present[m])) for m, x in self.inputs.items()
        }
        return Batch(inputs, present, self.label, self.index, self.revealed(), self.weight)

    @cached_property
    def counts(self) -> dict[str, int]:
        """Number of present rows {modality: int}."""
        return {m: int(p.sum()) for m, p in self.present.items()}

    def rows_with(self, modality: str) -> Tensor | None:
        """The rows bool (B,) that have a modality; None if all have it, which costs no reading."""
        return None if self.counts[modality] == len(self) else self.present[modality]

    def apply(self, function: Callable[[Tensor], Tensor]) -> Batch:
        """Apply `function` to every tensor, for example to move it or to select rows."""
        return Batch(
            {m: map_input(x, function) for m, x in self.inputs.items()},
            {m: function(p) for m, p in self.present.items()},
            function(self.label),
            function(self.index),
            self.whole and self.whole.apply(function),
            None if self.weight is None else function(self.weight),
        )

    def to(self, device: torch.device | str) -> Batch:
        """Move the batch to another device."""
        moved = self.apply(lambda tensor: tensor.to(device, non_blocking=True))
        # Counted on the host before the batch moves: a count on the device would make every step
        # wait for it.
        moved.__dict__["counts"] = self.counts
        if moved.whole is not None:
            moved.whole.__dict__["counts"] = self.revealed().counts
        return moved

    def rows(self, select: Tensor | slice) -> Batch:
        """Select samples of the batch by index tensor, mask or slice."""
        return self.apply(lambda tensor: tensor[select])


Fusion = tuple[Tensor, Tensor | None]
"""Fused logits (B, C), and the fusion weights (B, M) or None."""


class WhenRead(Mapping[str, Tensor]):
    """A mapping of which each tensor is computed when it is first read, and then kept.

    Args:
        names: its keys, in order.
        compute: the tensor of a key.
    """

    def __init__(self, names: Iterable[str], compute: Callable[[str], Tensor]) -> None:
        self._names = tuple(names)
        self._compute = compute
        self._found: dict[str, Tensor] = {}

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._found:
            if name not in self._names:
                raise KeyError(name)
            self._found[name] = self._compute(name)
        return self._found[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class Output:
    """Output of a model for a batch. The mappings hold the modalities that were run.

    Args:
        features: {modality: (B, d_m)}.
        logits: {modality: (B, C)}.
        fused: (B, C); or a function that fuses, to be called when `fused` or `weights` is first
            read.
        weights: (B, M), where `fused` is a tensor.

    Attributes:
        features: {modality: (B, d_m)}; zeros where absent.
        logits: {modality: (B, C)}, the prediction from that modality alone.
        fused: (B, C), the prediction from all modalities.
        weights: (B, M), fusion weights; None if the head has none.
    """

    def __init__(
        self,
        features: Mapping[str, Tensor],
        logits: Mapping[str, Tensor],
        fused: Tensor | Callable[[], Fusion],
        weights: Tensor | None = None,
    ) -> None:
        self.features = features
        self.logits = logits
        self._fuse: Callable[[], Fusion] = (
            (lambda: (fused, weights)) if isinstance(fused, Tensor) else fused
        )

    @property
    def fused(self) -> Tensor:
        return self._fusion[0]

    @property
    def weights(self) -> Tensor | None:
        return self._fusion[1]

    @cached_property
    def _fusion(self) -> Fusion:
        return self._fuse()


@dataclass(frozen=True)
class Predictions:
    """Logits of a whole split of N samples, on the CPU. Metrics are pure functions of it.

    Attributes:
        index: int64 (N,), rows of the table.
        label: int64 (N,), indices of the classes; −1 where the label is unknown.
        present: {modality: bool (N,)}.
        logits: {modality: float32 (N, C)}, the predictions from that modality alone.
        fused: float32 (N, C), the predictions from all modalities.
        classes: the C classes, in the type of the labels.
    """

    index: np.ndarray
    label: np.ndarray
    present: Mapping[str, np.ndarray]
    logits: Mapping[str, np.ndarray]
    fused: np.ndarray
    classes: tuple[int | str, ...]

    @property
    def modalities(self) -> tuple[str, ...]:
        return tuple(self.logits)

    def __len__(self) -> int:
        return len(self.label)
