"""What encoders promise: shapes, independence of samples, published layouts."""

import pytest
import torch

from equipoise.encoders import ENCODERS, default_encoder
from equipoise.encoders.resnet import ResNet
from equipoise.errors import ConfigError

CASES = [
    ("mlp", (7,)),
    ("mlp", (1, 4, 5)),
    ("small_cnn", (1, 8, 4)),
    ("small_cnn", (3, 40, 51)),
    ("small_cnn", (2, 2, 2)),
]


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_features_have_the_stated_width_and_samples_are_independent(name, shape):
    encoder = ENCODERS.build(name, {"width": 24}, shape=shape).eval()
    inputs = torch.randn(6, *shape)
    features = encoder(inputs)
    assert features.shape == (6, 24)
    assert encoder.width == 24
    assert torch.allclose(encoder(inputs[2:3]), features[2:3], atol=1e-5)
    features.sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in encoder.parameters())


@pytest.mark.parametrize(
    ("depth", "width", "parameters"), [(18, 512, 11_176_512), (34, 512, 21_284_672), (50, 2048, 23_508_032)]
)
def test_resnet_has_the_published_size(depth, width, parameters):
    """Counts of torchvision's networks without the classifier fc."""
    encoder = ResNet((3, 32, 32), depth=depth)
    assert encoder.width == width
    assert sum(p.numel() for p in encoder.parameters()) == parameters


def test_resnet_parameters_are_named_as_in_torchvision():
    names = set(ResNet((3, 32, 32), depth=50).state_dict())
    expected = ("conv1.weight", "bn1.running_var", "layer1.0.downsample.0.weight", "layer3.5.conv3.weight")
    assert set(expected) <= names
    assert not any(name.startswith("projection") for name in names)


def test_resnet_averages_the_features_of_frames():
    encoder = ResNet((4, 1, 32, 48), width=16).eval()
    clip = torch.randn(2, 4, 1, 32, 48)
    each = torch.stack([encoder(clip[:, t]) for t in range(4)])
    assert torch.allclose(encoder(clip), each.mean(0), atol=1e-5)


def test_defaults_follow_the_kind():
    assert default_encoder("vector", (9,)) == "mlp"
    assert default_encoder("image", (1, 8, 8)) == "small_cnn"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mlp", {"dropout": 1.5}, r"'dropout' must be in \[0, 1\), found 1.5"),
        ("resnet", {"depth": 19}, "'depth' must be 18, 34 or 50, found 19"),
        ("resnett", {}, "did you mean 'resnet'"),
        ("mlp", {"hiden": [3]}, "no option 'hiden'; did you mean 'hidden'"),
    ],
)
def test_wrong_options_are_one_clear_line(name, options, message):
    with pytest.raises(ConfigError, match=message):
        ENCODERS.build(name, options, shape=(3, 32, 32))
