"""Methods that wait for some epochs before they act."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from equipoise.training.context import Context


def warn_of_a_short_run(method: str, first: int, option: str, ctx: Context) -> None:
    """Warn, from a method's `setup`, where the training ends before the method first acts.

    Args:
        method: its name.
        first: number of the first epoch in which it acts, from 0.
        option: what sets it.
        ctx: knows how long the training is.
    """
    if first >= ctx.epochs:
        warnings.warn(
            f"method {method!r} first acts in epoch {first + 1}, and this training has {ctx.epochs}: it never "
            f"does; lower {option!r}, or train longer",
            RuntimeWarning,
            stacklevel=3,
        )
