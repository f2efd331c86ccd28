"""A clip seen by a network of single images."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def encode_frames(encode: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    """Images (B, C, H, W) as they are; frames (B, T, C, H, W) folded into the batch and their vectors averaged."""
    if inputs.dim() != 5:
        return encode(inputs)
    return encode(inputs.flatten(0, 1)).view(*inputs.shape[:2], -1).mean(1)
