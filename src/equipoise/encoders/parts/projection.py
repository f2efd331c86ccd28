"""The layer that brings a network's vector to the width that the user asked for."""

from __future__ import annotations

from torch import nn

from equipoise.checks import integer, require


def projection(owner: str, own: int, width: int | None) -> nn.Module:
    """Build a linear layer to `width`, or the identity where none is needed.

    Args:
        owner: the encoder, for the message.
        own: width of the network's vector.
        width: of the feature; None for the network's own.

    Raises:
        ConfigError: the width is not a positive integer.
    """
    if width is None:
        return nn.Identity()
    require(owner, integer("width", width, 1))
    return nn.Identity() if width == own else nn.Linear(own, width)
