"""What adaptive optimisers make of methods that scale gradients."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from equipoise.training.context import Context


def warn_of_scaling(what: str, ctx: Context) -> None:
    """Warn where the optimiser divides the scale of gradients out again.

    An update of Adam is the same for g and κ g. Of a factor that varies, only the variation over the memory of the
    second moment acts, so that a method does not do under it what it does under SGD.
    """
    if ctx.adaptive:
        name = ctx.optimisers.settings.name
        warnings.warn(
            f"{what} scales gradients, and {name} divides by their scale: a steady factor does nothing under it, one "
            "that varies acts only where it differs from its recent mean; use optimiser 'sgd'",
            stacklevel=3,
        )
