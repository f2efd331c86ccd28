"""Clips, read frame by frame by a network for single images."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def encode_frames(encode: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    """Encode images, or the frames of clips.

    Args:
        encode: a network for single images, (B, C, H, W) → (B, d).
        inputs: images (B, C, H, W), or clips (B, T, C, H, W) whose frames are encoded one by one
            and averaged. Anything else goes to `encode` as it is.

    Returns:
        (B, d).
    """
    if inputs.dim() != 5:
        return encode(inputs)
    return encode(inputs.flatten(0, 1)).view(*inputs.shape[:2], -1).mean(1)
