"""Observers of a training: they validate, write and interrupt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor


class Observer(Protocol):
    """An object that a training tells where it stands."""

    def after_step(self) -> None: ...

    def heed(self) -> None:
        """Stop if a signal came, between two steps or within an estimate at the start of an epoch."""

    def validate(self) -> float:
        """Read the validation split; returns the metric that selects (larger is better)."""

    def record(self) -> None:
        """Write down the epoch that has just been validated."""

    def best_weights(self) -> Mapping[str, Tensor] | None:
        """State of the model at the best epoch so far."""

    def stopped(self) -> bool:
        """True when no further epoch is wanted."""


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
