"""The width of an encoder that does not tell it: two samples are run."""

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
    """d of the features (B, d) that `encode` makes of two samples of zeros, with the module in
    evaluation mode.

    Raises:
        ConfigError: it cannot read them, or makes something else of them.
    """
    samples = torch.zeros(2, *shape, dtype=torch.int64 if text else torch.float32)
    try:
        with evaluating(module), torch.no_grad():
            feature = encode(samples)
    except ConfigError:
        raise
    except Exception as error:  # whatever someone else's network raises on what it cannot read
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ConfigError(f"{owner}: it cannot read samples of shape {shape} ({reason})") from None
    if not isinstance(feature, Tensor):
        raise ConfigError(
            f"{owner}: it must make a tensor (B, d), and makes a {type(feature).__name__}"
        )
    if feature.dim() != 2 or len(feature) != 2:
        raise ConfigError(
            f"{owner}: it must make features (B, d), and makes {tuple(feature.shape)} of two samples"
        )
    return int(feature.shape[1])
