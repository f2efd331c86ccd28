"""Models in which a method has nothing to act on, of which it warns from its `setup`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from equipoise.training.context import Context


def warn_of_frozen_encoders(
    what: str,
    ctx: Context,
    sort: str = "parameter",
    edited: Callable[[nn.Parameter], bool] = lambda parameter: True,
) -> bool:
    """Warn where a method acts on the encoders alone, and none has anything to act on.

    Args:
        what: the method, in words.
        ctx: holds the model.
        sort: of parameters that the method acts on, in words.
        edited: whether a parameter is one of these.

    Returns:
        Whether it warned.
    """
    encoders = [p for m in ctx.model.modalities for p in ctx.model.group(m).encoder]
    idle = not any(p.requires_grad and edited(p) for p in encoders)
    if idle:
        warnings.warn(f"{what} does nothing: no encoder has a {sort} that trains", stacklevel=3)
    return idle


def warn_of_one_modality(what: str, ctx: Context) -> bool:
    """Warn where a method acts on what modalities are beside each other, and there is a single one.

    Args:
        what: the method, in words.
        ctx: holds the model.

    Returns:
        Whether it warned.
    """
    modalities = ctx.model.modalities
    if len(modalities) == 1:
        warnings.warn(f"{what} does nothing: there is only {modalities[0]!r} and no other modality", stacklevel=3)
    return len(modalities) == 1
