"""The layers whose gradients a projection acts on."""

from __future__ import annotations

from torch import nn

from equipoise.errors import ConfigError
from equipoise.heads.base import Head
from equipoise.model import Model


def reading_layer(head: Head, modality: str) -> nn.Linear:
    """The linear layer that reads this modality's features.

    Raises:
        ConfigError: there is no such layer, or another one reads them too.
    """
    layer = head.reading_layer(modality)
    if layer is None:
        raise ConfigError(
            f"an orthogonal projection acts on the one linear layer that reads the features of {modality!r}, and "
            f"{type(head).__name__} has no such layer; use head 'shared' or 'late'"
        )
    return layer


def weighted_layers(module: nn.Module) -> list[nn.Linear | nn.Conv2d]:
    """The linear and (ungrouped) convolutional layers of a module, in the order they were built."""
    return [x for x in module.modules() if isinstance(x, nn.Linear) or (isinstance(x, nn.Conv2d) and x.groups == 1)]


def deepest_layers(model: Model, modality: str, share: float) -> list[nn.Linear | nn.Conv2d]:
    """The layers of one modality from the logits back: its head block's, or this share of the encoder's and those."""
    head = weighted_layers(model.head.blocks[modality])[::-1]
    whole = head + weighted_layers(model.encoders[modality])[::-1]
    return whole[: max(len(head), round(share * len(whole)))]
