"""The values logged within an epoch: scalars are averaged, lists keep their last value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

Loggable = float | Tensor | Sequence[float]


class Journal:
    """Collects values on the device; they are read once, at the end of the epoch.

    Reading a value makes the processor wait for the device. Sums therefore stay tensors until then.
    """

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._last: dict[str, list[float]] = {}

    def add(self, values: dict[str, Loggable]) -> None:
        """Add scalars to their sums, and replace lists."""
        for name, value in values.items():
            if (isinstance(value, Tensor) and value.dim() == 0) or isinstance(value, int | float):
                value = torch.as_tensor(value).detach().double()
                self._sums[name] = self._sums[name] + value if name in self._sums else value
                self._counts[name] = self._counts.get(name, 0) + 1
            else:
                self._last[name] = [float(v) for v in value]

    def mean(self, name: str) -> float | None:
        """The mean of a scalar so far, or None if it was not added; nothing is forgotten."""
        return float(self._sums[name]) / self._counts[name] if name in self._sums else None

    def read(self) -> dict[str, Any]:
        """Return {name: mean or list}, and forget everything."""
        means = {name: float(total) / self._counts[name] for name, total in self._sums.items()}
        result: dict[str, Any] = {**means, **self._last}
        self._forget()
        return result

    def state_dict(self) -> dict[str, Any]:
        return {"sums": dict(self._sums), "counts": dict(self._counts), "last": dict(self._last)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._sums = state["sums"]
        self._counts = state["counts"]
        self._last = state["last"]
