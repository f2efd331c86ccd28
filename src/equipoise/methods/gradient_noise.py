"""OGM-GE's noise: Gaussian, with the standard deviation of the gradient it is added to."""

from __future__ import annotations

from math import sqrt
from zlib import crc32

import torch
from torch import Tensor


def gradient_noise(gradient: Tensor, generator: torch.Generator) -> Tensor:
    """Gaussian noise of the gradient's shape and standard deviation."""
    noise = torch.randn(gradient.shape, generator=generator, dtype=gradient.dtype, device=gradient.device)
    return noise.mul_(deviation(gradient) + 1e-8)


def deviation(values: Tensor) -> Tensor:
    """The standard deviation of all entries; `Tensor.std` takes three times as long on a CPU."""
    distance: Tensor = torch.linalg.vector_norm(values - values.mean())
    return distance / sqrt(max(values.numel() - 1, 1))


def noise_stream(seed: int, modality: str, device: torch.device) -> torch.Generator:
    """A stream for one modality, whatever the order of the modalities, on the device where its gradients are."""
    return torch.Generator(device).manual_seed(seed + crc32(modality.encode()))
