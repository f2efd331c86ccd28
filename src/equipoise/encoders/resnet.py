"""Residual networks, for images, spectrograms and frames.

He et al. Deep Residual Learning for Image Recognition. CVPR 2016.

Parameters have the names of torchvision, so that its weights load strictly once their classifier
(`fc.*`) is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from equipoise.checks import choice, require
from equipoise.encoders.parts.checks import check_shape
from equipoise.encoders.parts.frames import encode_frames
from equipoise.encoders.parts.projection import projection
from equipoise.encoders.parts.weights import load_strictly, read_weights


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut (left half of figure 5).

    Args:
        before: input channels.
        planes: output channels.
        stride: of the first convolution.
    """

    expansion = 1

    def __init__(self, before: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, planes, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = shortcut(before, planes, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        skipped = x if self.downsample is None else self.downsample(x)
        return F.relu(self.bn2(self.conv2(out)) + skipped)


class Bottleneck(nn.Module):
    """1×1, 3×3 and 1×1 convolutions and a shortcut (right half of figure 5).

    The 3×3 convolution has the stride, as in torchvision; in the paper the first 1×1 one has it.

    Args:
        before: input channels.
        planes: channels of the 3×3 convolution, a quarter of the output channels.
        stride: of the 3×3 convolution.
    """

    expansion = 4

    def __init__(self, before: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, 4 * planes, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * planes)
        self.downsample = shortcut(before, 4 * planes, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = F.relu(self.bn2(self.conv2(out)))
        skipped = x if self.downsample is None else self.downsample(x)
        return F.relu(self.bn3(self.conv3(out)) + skipped)


def shortcut(before: int, after: int, stride: int) -> nn.Module | None:
    """Build a projection where a block changes the shape; None elsewhere."""
    if before == after and stride == 1:
        return None
    return nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))


DEPTHS: dict[int, tuple[type[BasicBlock] | type[Bottleneck], Sequence[int]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
}
"""{depth: (block, number of blocks in each of the four layers)} (table 1 of the paper)."""


class ResNet(nn.Module):
    """ResNet-18, -34 or -50 without its classifier.

    Args:
        shape: (channels, height, width) of one sample, or (frames, channels, height, width), whose
            features are averaged. Any number of channels.
        width: of the feature, reached by a linear layer; null for the network's own (512, or 2048
            at depth 50).
        depth: 18, 34 or 50.
        weights: file (.pt, .pth or .safetensors) of pretrained weights, named as in torchvision or
            in transformers; null for random weights. Their RGB filters are spread over any other
            number of channels.

    Raises:
        ConfigError: a bad option or shape, or weights that cannot be read or do not fit.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        width: int | None = None,
        depth: int = 18,
        weights: str | None = None,
    ) -> None:
        super().__init__()
        check_shape(
            "ResNet",
            shape,
            len(shape) in (3, 4),
            "(channels, height, width), with frames before it or not",
        )
        require("ResNet", choice("depth", depth, DEPTHS))
        block, counts = DEPTHS[depth]
        self.conv1 = nn.Conv2d(shape[-3], 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        before = 64
        for number, count in enumerate(counts):
            planes = 64 * 2**number
            layers = []
            for place in range(count):
                layers.append(block(before, planes, stride=2 if place == 0 and number > 0 else 1))
                before = planes * block.expansion
            self.add_module(f"layer{number + 1}", nn.Sequential(*layers))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if weights is not None:
            load_resnet(self, weights)
        self.projection = projection("ResNet", before, width)
        self.width = before if width is None else width

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, C, H, W) or (B, T, C, H, W) → (B, width)."""
        feature: Tensor = self.projection(encode_frames(self._pooled, inputs))
        return feature

    def _pooled(self, images: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(images))), 3, stride=2, padding=1)
        for number in range(1, 5):
            x = self.get_submodule(f"layer{number}")(x)
        return x.mean((2, 3))


# Pretrained weights, named as in torchvision or in transformers.

CLASSIFIERS = ("fc.", "classifier.")
"""Prefixes of the classifier in torchvision and in transformers."""
STEM = "conv1.weight"
"""The first convolution, whose input channels are those of the data."""
RENAMED: list[tuple[str, str | Callable[[re.Match[str]], str]]] = [
    (r"^(resnet\.)?embedder\.embedder\.convolution\.", "conv1."),
    (r"^(resnet\.)?embedder\.embedder\.normalization\.", "bn1."),
    (
        r"^(resnet\.)?encoder\.stages\.(\d+)\.layers\.(\d+)\.",
        lambda m: f"layer{int(m[2]) + 1}.{m[3]}.",
    ),
    (r"\.layer\.(\d+)\.convolution\.", lambda m: f".conv{int(m[1]) + 1}."),
    (r"\.layer\.(\d+)\.normalization\.", lambda m: f".bn{int(m[1]) + 1}."),
    (r"\.shortcut\.convolution\.", ".downsample.0."),
    (r"\.shortcut\.normalization\.", ".downsample.1."),
]
"""(pattern of a name in transformers, its name in torchvision)."""


def load_resnet(network: nn.Module, path: str) -> None:
    """Load a file into a network whose parameters have the names of torchvision.

    The classifier is left out. Where the first convolution of the file reads RGB and the network
    another number of channels, the weights are summed over RGB and divided equally among the
    channels.

    Args:
        network: whose parameters are set.
        path: of the file.

    Raises:
        ConfigError: an unreadable file, or one for another network.
    """
    state = {_torchvision_name(name): value for name, value in read_weights(path).items()}
    state = {name: value for name, value in state.items() if not name.startswith(CLASSIFIERS)}
    channels = network.state_dict()[STEM].shape[1]
    load_strictly(network, _with_channels(state, channels), "ResNet")


def _torchvision_name(name: str) -> str:
    for pattern, replacement in RENAMED:
        name = re.sub(pattern, replacement, name)
    return name


def _with_channels(state: Mapping[str, Tensor], channels: int) -> Mapping[str, Tensor]:
    stem = state.get(STEM)
    if stem is None or stem.dim() != 4 or stem.shape[1] != 3 or channels == 3:
        return state
    shared = stem.sum(1, keepdim=True) / channels
    return {**state, STEM: shared.expand(-1, channels, -1, -1)}
