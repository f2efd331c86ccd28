"""Encoders, by name."""

from __future__ import annotations

from equipoise.registry import Entry, Registry

ENCODERS = Registry(
    "encoder",
    [
        Entry("mlp", "equipoise.encoders.mlp:MLP", "fully connected layers, for vectors"),
        Entry(
            "small_cnn",
            "equipoise.encoders.small_cnn:SmallCNN",
            "a few convolutions, for small images and spectrograms",
        ),
        Entry(
            "resnet",
            "equipoise.encoders.resnet:ResNet",
            "residual network of depth 18, 34 or 50, for images, spectrograms and frames",
            paper="He et al. Deep Residual Learning for Image Recognition. CVPR 2016",
            year=2016,
            url="https://arxiv.org/abs/1512.03385",
        ),
    ],
)

_DEFAULTS = {"vector": "mlp", "image": "small_cnn", "audio": "small_cnn"}


def default_encoder(kind: str, shape: tuple[int, ...]) -> str:
    """The encoder a modality of this kind and shape gets when none is asked for."""
    return _DEFAULTS[kind] if len(shape) == 3 else "mlp"
