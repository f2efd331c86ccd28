"""Layers of I3D with TensorFlow's padding, named as in piergiaj/pytorch-i3d."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def pad_same(x: Tensor, kernel: Sequence[int], stride: Sequence[int]) -> Tensor:
    """Zeros around (B, C, T, H, W) so that ⌈size / stride⌉ outputs result; the odd zero goes behind (TensorFlow).

    Max pooling may use it too, as here it only ever follows a ReLU.
    """
    pads: list[int] = []
    for size, k, s in zip(x.shape[:1:-1], reversed(kernel), reversed(stride), strict=True):  # F.pad: last axis first
        total = max((-(-size // s) - 1) * s + k - size, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads)


class Unit(nn.Module):
    """Convolution without bias – BatchNorm – ReLU."""

    def __init__(self, before: int, after: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(before, after, kernel, stride, bias=False)
        self.bn = nn.BatchNorm3d(after, eps=1e-3, momentum=0.01)
        # BatchNorm's statistics start at 0 and 1 and move slowly: outputs that keep their scale do not outrun them.
        nn.init.kaiming_normal_(self.conv3d.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        padded = pad_same(x, self.conv3d.kernel_size, self.conv3d.stride)
        return F.relu(self.bn(self.conv3d(padded)))


class SamePool(nn.Module):
    """Max pooling with TensorFlow's padding."""

    def __init__(self, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool3d(pad_same(x, self.kernel, self.stride), self.kernel, self.stride)


class Mixed(nn.Module):
    """An Inception module: four branches side by side."""

    def __init__(self, before: int, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.b0 = Unit(before, channels[0])
        self.b1a = Unit(before, channels[1])
        self.b1b = Unit(channels[1], channels[2], kernel=3)
        self.b2a = Unit(before, channels[3])
        self.b2b = Unit(channels[3], channels[4], kernel=3)
        self.b3a = SamePool((3, 3, 3), (1, 1, 1))
        self.b3b = Unit(before, channels[5])

    def forward(self, x: Tensor) -> Tensor:
        branches = [self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x))]
        return torch.cat(branches, dim=1)
