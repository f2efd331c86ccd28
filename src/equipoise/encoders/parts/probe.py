"""The feature width of a foreign network, measured by running two samples."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from equipoise.errors import ConfigError
from equipoise.evaluating import evaluating


def probe_width(
    owner: str,
    module: nn.Module,
    encode: Callable[[Tensor], object],
    shape: tuple[int, ...],
    text: bool,
) -> int:
    """Measure the width of an encoder's features on two samples of zeros, in evaluation mode.

    Args:
        owner: the encoder, for messages.
        module: whose mode is switched and restored.
        encode: makes features (B, d) of samples (B, *shape).
        shape: of one sample.
        text: whether samples are token ids (int64) and not numbers (float32).

    Returns:
        d.

    Raises:
        ConfigError: the samples cannot be read, or the result is not (B, d).
    """
    samples = torch.zeros(2, *shape, dtype=torch.int64 if text else torch.float32)
    try:
        with evaluating(module), torch.no_grad():
            feature = encode(samples)
    except ConfigError:
        raise
    except Exception as error:  # a foreign network may raise anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ConfigError(f"{owner}: it cannot read samples of shape {shape} ({reason})") from None
    if not isinstance(feature, Tensor):
        raise ConfigError(
            f"{owner}: it must make a tensor (B, d), and makes a {type(feature).__name__}"
        )
    if feature.dim() != 2 or len(feature) != 2:
        raise ConfigError(
            f"{owner}: it must make features (B, d), and makes {tuple(feature.shape)} of two "
            "samples"
        )
    return int(feature.shape[1])
