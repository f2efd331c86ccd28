"""Pretrained weights of a residual network, from torchvision's layout or that of transformers' ResNetModel."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from torch import Tensor, nn

from equipoise.encoders.weights import load_strictly, read_weights

CLASSIFIERS = ("fc.", "classifier.")
STEM = "conv1.weight"
RENAMED: list[tuple[str, str | Callable[[re.Match[str]], str]]] = [  # transformers' names → torchvision's
    (r"^(resnet\.)?embedder\.embedder\.convolution\.", "conv1."),
    (r"^(resnet\.)?embedder\.embedder\.normalization\.", "bn1."),
    (r"^(resnet\.)?encoder\.stages\.(\d+)\.layers\.(\d+)\.", lambda m: f"layer{int(m[2]) + 1}.{m[3]}."),
    (r"\.layer\.(\d+)\.convolution\.", lambda m: f".conv{int(m[1]) + 1}."),
    (r"\.layer\.(\d+)\.normalization\.", lambda m: f".bn{int(m[1]) + 1}."),
    (r"\.shortcut\.convolution\.", ".downsample.0."),
    (r"\.shortcut\.normalization\.", ".downsample.1."),
]


def load_resnet(network: nn.Module, path: str) -> None:
    """Load a file into a network whose parameters are named as in torchvision.

    The classifier is dropped. Where the file's first convolution reads RGB and the network another number of
    channels, its weights are summed over RGB and divided equally among the channels.

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
