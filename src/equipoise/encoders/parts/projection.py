"""The feature's width: the network's own, or another through a linear layer."""

from __future__ import annotations

from torch import nn

from equipoise.checks import require, whole


def projection(owner: str, own: int, width: int | None) -> nn.Module:
    """Nothing where `width` is null or the network's own, else a linear layer to `width`.

    Raises:
        ConfigError: not a positive whole number.
    """
    if width is None:
        return nn.Identity()
    require(owner, whole("width", width, 1))
    return nn.Identity() if width == own else nn.Linear(own, width)
