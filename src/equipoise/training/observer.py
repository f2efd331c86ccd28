"""Observers: objects that validate, record and stop a training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor


class Observer(Protocol):
    """An object that a training calls after its steps and epochs."""

    def after_step(self) -> None:
        """Called after every step; may write a checkpoint, or stop the training."""

    def heed(self) -> None:
        """Stop the training if a signal has come.

        For long estimates at the start of an epoch, during which `after_step` is not called.
        """

    def validate(self) -> float:
        """Read the validation split; return the worth of the epoch (larger is better)."""

    def record(self) -> None:
        """Write down the epoch that has just been validated."""

    def best_weights(self) -> Mapping[str, Tensor] | None:
        """The model's state at its best epoch so far; None before one may be chosen."""

    def stopped(self) -> bool:
        """True when no further epoch is to be trained."""


class Silent:
    """An observer that does nothing."""

    def after_step(self) -> None: ...

    def heed(self) -> None: ...

    def validate(self) -> float:
        return 0.0

    def record(self) -> None: ...

    def best_weights(self) -> None:
        return None

    def stopped(self) -> bool:
        return False
