"""Who watches a training: validates, writes, interrupts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

if TYPE_CHECKING:
    from equipoise.training.context import Context


class Observer(Protocol):
    """Who watches a training: validates, writes, interrupts."""

    def after_step(self, ctx: Context) -> None: ...

    def heed(self, ctx: Context) -> None:
        """Stop if a signal came, between two steps or in the middle of an estimate at the start of an epoch."""

    def validate(self, ctx: Context) -> float:
        """Look at the validation split; returns the metric that selects (larger is better)."""

    def record(self, ctx: Context) -> None:
        """Write down the epoch that has just been validated."""

    def best_weights(self) -> Mapping[str, Tensor] | None:
        """The model's state at the best epoch so far."""

    def stopped(self) -> bool:
        """True when no further epoch is wanted."""


class Silent:
    """Watches nothing."""

    def after_step(self, ctx: Context) -> None: ...

    def heed(self, ctx: Context) -> None: ...

    def validate(self, ctx: Context) -> float:
        return 0.0

    def record(self, ctx: Context) -> None: ...

    def best_weights(self) -> None:
        return None

    def stopped(self) -> bool:
        return False


class Trial(Silent):
    """Watches a copy that is tried out: there is only its training loss to go by."""

    def __init__(self, original: Context) -> None:
        self._original = original

    def after_step(self, ctx: Context) -> None:
        self._original.observer.heed(self._original)

    def validate(self, ctx: Context) -> float:
        return -float(ctx.read_journal()["loss"])
