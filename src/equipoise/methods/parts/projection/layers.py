"""The layers whose gradients a projection acts on."""

from __future__ import annotations

import copy

import torch
from torch import nn

from equipoise.errors import ConfigError
from equipoise.heads.base import Head
from equipoise.heads.parts.presence import only
from equipoise.model import Model


def reading_layer(head: Head, modality: str) -> nn.Linear:
    """The linear layer that reads this modality's features.

    Raises:
        ConfigError: there is no such layer, or another one reads them too.
    """
    layer = head.reading_layer(modality)
    if layer is None:
        raise ConfigError(
            f"an orthogonal projection acts on the one linear layer that reads the features of "
            f"{modality!r}, and {type(head).__name__} has no such layer; use head 'shared' or "
            "'late'"
        )
    return layer


def weighted_layers(module: nn.Module) -> list[nn.Linear | nn.Conv2d]:
    """The linear and (ungrouped) convolutional layers of a module, in the order they were built.

    The output projection of `nn.MultiheadAttention` is left out: it is used without being called,
    so that a hook cannot see its inputs.
    """
    unseen = {id(x.out_proj) for x in module.modules() if isinstance(x, nn.MultiheadAttention)}
    seen = [x for x in module.modules() if id(x) not in unseen]
    return [
        x for x in seen if isinstance(x, nn.Linear) or (isinstance(x, nn.Conv2d) and x.groups == 1)
    ]


def deepest_layers(model: Model, modality: str, fraction: float) -> list[nn.Linear | nn.Conv2d]:
    """The layers of one modality, from the logits back, that hold a fraction of its parameters.

    They are all layers of its head block, and as many of its encoder as are needed; the layer that
    reaches the fraction is taken whole. 1 takes every layer, although biases, norms and embeddings
    are parameters as well.
    """
    group = model.group(modality)
    wanted = fraction * sum(p.numel() for p in (*group.encoder, *group.head))
    taken = weighted_layers(model.head.blocks[modality])[::-1]
    count = sum(layer.weight.numel() for layer in taken)
    for layer in reversed(weighted_layers(model.encoders[modality])):
        if count >= wanted:
            break
        taken.append(layer)
        count += layer.weight.numel()
    return taken


def require_head_per_modality(owner: str, head: Head) -> None:
    """Check that each modality has a part of the head with layers whose inputs can be seen.

    Args:
        owner: name for the message.
        head: of the model.

    Raises:
        ConfigError: a modality has no part, no linear layer in it, or one that is never called.
    """
    found = "is none" if set(head.blocks) != set(head.modalities) else _flaw(head)
    if found:
        raise ConfigError(
            f"{owner} needs a head per modality, with linear layers that are called, and "
            f"{type(head).__name__} {found}; use head 'per-modality' or 'late'"
        )


def _flaw(head: Head) -> str:
    """The reason why some layer cannot be projected, found by running a copy; "" for none."""
    probe = copy.deepcopy(head).eval()
    like = next(probe.parameters(), torch.empty(0))
    for modality, width in probe.widths.items():
        layers = weighted_layers(probe.blocks[modality])
        called = set[nn.Module]()
        for layer in layers:
            layer.register_forward_pre_hook(lambda module, _, called=called: called.add(module))
        features = like.new_zeros(2, width)
        with torch.no_grad():
            output = probe({modality: features}, only(modality, probe.modalities, features))
            tuple(output.logits.values())  # computed, as the fused logits are, by being read
            output.fused  # noqa: B018
        if not layers:
            return f"has none for {modality!r}"
        if called != set(layers):
            return f"has one for {modality!r} that never is"
    return ""
