"""Warnings, from the `setup` of a method, that it has nothing to act on or no time to act."""

from __future__ import annotations

import warnings
from collections.abc import Callable

from torch import nn

from equipoise.training.context import Context


def warn_of_a_short_run(method: str, first: int, option: str, ctx: Context) -> None:
    """Warn where the training ends before the method first acts.

    Args:
        method: its name.
        first: number of the first epoch in which it acts, from 0.
        option: name of the option that sets this epoch.
        ctx: knows how long the training is.
    """
    if first >= ctx.epochs:
        warnings.warn(
            f"method {method!r} first acts in epoch {first + 1}, and this training has "
            f"{ctx.epochs}: it never does; lower {option!r}, or train longer",
            RuntimeWarning,
            stacklevel=3,
        )


def warn_of_scaling(what: str, ctx: Context) -> None:
    """Warn where the optimiser divides the scale of gradients out again.

    An update of Adam is the same for g and κ g. A factor that varies acts only where it differs
    from its mean over the memory of the second moment, so that the method does not do what it does
    under SGD.

    Args:
        what: the method, in words.
        ctx: knows the optimiser.
    """
    if ctx.adaptive:
        name = ctx.optimisers.settings.name
        warnings.warn(
            f"{what} scales gradients, and {name} divides by their scale: a steady factor does "
            "nothing under it, one that varies acts only where it differs from its recent mean; "
            "use optimiser 'sgd'",
            stacklevel=3,
        )


def warn_of_frozen_encoders(
    what: str,
    ctx: Context,
    sort: str = "parameter",
    edited: Callable[[nn.Parameter], bool] = lambda parameter: True,
) -> bool:
    """Warn where a method acts on the encoders alone, and none of their parameters is one for it.

    Args:
        what: the method, in words.
        ctx: holds the model.
        sort: of parameters that the method acts on, in words.
        edited: True for a parameter of this sort.

    Returns:
        True if it warned.
    """
    encoders = [p for m in ctx.model.modalities for p in ctx.model.group(m).encoder]
    idle = not any(p.requires_grad and edited(p) for p in encoders)
    if idle:
        warnings.warn(f"{what} does nothing: no encoder has a {sort} that trains", stacklevel=3)
    return idle


def warn_of_one_modality(what: str, ctx: Context) -> bool:
    """Warn where a method compares modalities with each other, and there is a single one.

    Args:
        what: the method, in words.
        ctx: holds the model.

    Returns:
        True if it warned.
    """
    modalities = ctx.model.modalities
    if len(modalities) == 1:
        warnings.warn(
            f"{what} does nothing: there is only {modalities[0]!r} and no other modality",
            stacklevel=3,
        )
    return len(modalities) == 1
