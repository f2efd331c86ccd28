"""The values logged within an epoch: scalars are averaged, lists keep their last value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

Loggable = float | Tensor | Sequence[float]


class Journal:
    """Collects values on the device; they are read once, at the end of the epoch.

    Reading a value makes the processor wait for the device. Values therefore stay tensors until
    then; those on the CPU are read at once.
    """

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._sums: dict[str, float] = {}
        self._unread: dict[str, list[Tensor]] = {}
        self._counts: dict[str, int] = {}
        self._last: dict[str, list[float]] = {}

    def add(self, values: dict[str, Loggable]) -> None:
        """Add scalars to their sums, and replace lists."""
        for name, value in values.items():
            if isinstance(value, Tensor) and value.dim() == 0:
                value = value.detach()
                if value.device.type == "cpu":
                    value = float(value)
            elif not isinstance(value, int | float):
                self._last[name] = [float(v) for v in value]
                continue
            self._counts[name] = self._counts.get(name, 0) + 1
            if isinstance(value, Tensor):
                self._unread.setdefault(name, []).append(value)
            else:
                self._sums[name] = self._sums.get(name, 0.0) + value

    def _settle(self) -> None:
        """Read the tensors and add them one by one: the sum must not depend on when it is read."""
        for name, tensors in self._unread.items():
            for value in torch.stack([tensor.double() for tensor in tensors]).tolist():
                self._sums[name] = self._sums.get(name, 0.0) + value
        self._unread = {}

    def mean(self, name: str) -> float | None:
        """The mean of a scalar so far, or None if it was not added; nothing is forgotten."""
        self._settle()
        return self._sums[name] / self._counts[name] if name in self._sums else None

    def read(self) -> dict[str, Any]:
        """Return {name: mean or list}, and forget everything."""
        self._settle()
        means = {name: total / self._counts[name] for name, total in self._sums.items()}
        result: dict[str, Any] = {**means, **self._last}
        self._forget()
        return result

    def state_dict(self) -> dict[str, Any]:
        self._settle()
        return {"sums": dict(self._sums), "counts": dict(self._counts), "last": dict(self._last)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._forget()
        self._sums = dict(state["sums"])
        self._counts = dict(state["counts"])
        self._last = state["last"]
