"""Promises of encoders: shapes, independence of samples, published layouts."""

import pytest
import torch

from equipoise.encoders import ENCODERS, ENOUGH, default_encoder
from equipoise.encoders.resnet import ResNet
from equipoise.errors import ConfigError

CASES = [
    ("mlp", (7,)),
    ("mlp", (1, 4, 5)),
    ("residual_mlp", (7,)),
    ("residual_mlp", (1, 4, 5)),
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


@pytest.mark.parametrize("channels", [[12, 20], [7], [3, 30, 33]])
def test_any_number_of_channels_can_be_normalised(channels):
    encoder = ENCODERS.build("small_cnn", {"channels": channels}, shape=(2, 9, 9))
    inputs = torch.randn(3, 2, 9, 9)
    features = encoder(inputs)
    assert torch.isfinite(features).all()
    assert torch.allclose(encoder(inputs[1:2]), features[1:2], atol=1e-5)


def test_an_mlp_without_hidden_layers_is_linear():
    encoder = ENCODERS.build("mlp", {"hidden": [], "width": 5}, shape=(4,))
    a, b = torch.randn(2, 1, 4)
    midpoint = (encoder(a) + encoder(b)) / 2
    assert torch.allclose(encoder((a + b) / 2), midpoint, atol=1e-5)


def test_a_residual_mlp_adds_an_mlp_and_a_linear_map():
    encoder = ENCODERS.build("residual_mlp", {"hidden": [6, 4], "width": 5}, shape=(3, 2)).eval()
    inputs = torch.randn(7, 3, 2)
    weights = dict(encoder.named_parameters())
    flat = inputs.flatten(1)
    hidden = flat
    for layer in (0, 3):
        hidden = hidden @ weights[f"layers.{layer}.weight"].T + weights[f"layers.{layer}.bias"]
        hidden = hidden.clamp_min(0)
    expected = hidden @ weights["layers.6.weight"].T + weights["layers.6.bias"]
    expected = expected + flat @ weights["linear.weight"].T
    torch.testing.assert_close(encoder(inputs), expected)


def test_dropout_of_a_residual_mlp_acts_in_training_only():
    inputs = torch.ones(400, 50)
    encoder = ENCODERS.build("residual_mlp", {"dropout": 0.0, "input_dropout": 0.3}, shape=(50,))
    seen = []
    encoder.linear.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    encoder(inputs)
    encoder.eval()(inputs)
    assert abs(float((seen[0] == 0).float().mean()) - 0.3) < 0.02
    assert torch.equal(seen[1], inputs)


@pytest.mark.parametrize(
    ("depth", "width", "parameters"),
    [(18, 512, 11_176_512), (34, 512, 21_284_672), (50, 2048, 23_508_032)],
)
def test_resnet_has_the_published_size(depth, width, parameters):
    """Counts of torchvision's networks without the classifier fc."""
    encoder = ResNet((3, 32, 32), depth=depth)
    assert encoder.width == width
    assert sum(p.numel() for p in encoder.parameters()) == parameters


def torchvision_names(blocks, convolutions, projected):
    """State of torchvision's ResNet without fc.

    `projected`: stages whose first block has a downsample.
    """
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    names = {"conv1.weight", *(f"bn1.{n}" for n in norm)}
    for stage, count in enumerate(blocks, 1):
        for block in range(count):
            at = f"layer{stage}.{block}"
            for k in range(1, convolutions + 1):
                names |= {f"{at}.conv{k}.weight", *(f"{at}.bn{k}.{n}" for n in norm)}
        if stage in projected:
            names |= {
                f"layer{stage}.0.downsample.0.weight",
                *(f"layer{stage}.0.downsample.1.{n}" for n in norm),
            }
    return names


@pytest.mark.parametrize(
    ("depth", "blocks", "convolutions", "projected"),
    [
        (18, (2, 2, 2, 2), 2, {2, 3, 4}),
        (34, (3, 4, 6, 3), 2, {2, 3, 4}),
        (50, (3, 4, 6, 3), 3, {1, 2, 3, 4}),
    ],
)
def test_resnet_parameters_are_named_as_in_torchvision(depth, blocks, convolutions, projected):
    assert set(ResNet((3, 32, 32), depth=depth).state_dict()) == torchvision_names(
        blocks, convolutions, projected
    )


def test_resnet_averages_the_features_of_frames():
    encoder = ResNet((4, 1, 32, 48), width=16).eval()
    clip = torch.randn(2, 4, 1, 32, 48)
    each = torch.stack([encoder(clip[:, t]) for t in range(4)])
    assert torch.allclose(encoder(clip), each.mean(0), atol=1e-5)


def test_defaults_follow_the_kind():
    assert default_encoder("vector", (9,)) == "residual_mlp"
    assert default_encoder("image", (1, 8, 8)) == "small_cnn"


@pytest.mark.parametrize(
    ("kind", "shape"),
    [("image", (3, 224, 224)), ("video", (4, 3, 112, 112)), ("audio", (1, 257, 9))],
)
def test_many_parameters_need_many_samples(kind, shape):
    assert default_encoder(kind, shape, ENOUGH) == "resnet"
    assert default_encoder(kind, shape, ENOUGH - 1) == "small_cnn"
    assert default_encoder(kind, shape) == "small_cnn"


def test_a_small_map_needs_no_large_network():
    assert default_encoder("audio", (1, 64, 501), 10**6) == "small_cnn"
    assert default_encoder("video", (4, 3, 32, 32), 10**6) == "small_cnn"


def test_the_order_of_frames_does_not_matter_to_a_few_convolutions():
    encoder = ENCODERS.build("small_cnn", shape=(5, 3, 12, 16))
    films = torch.randn(2, 5, 3, 12, 16)
    features = encoder(films)
    assert features.shape == (2, 128)
    assert torch.allclose(encoder(films.flip(1)), features, atol=1e-5)
    # A film of one picture, shown five times, is that picture.
    still = ENCODERS.build("small_cnn", shape=(3, 12, 16))
    still.load_state_dict(encoder.state_dict())
    one = films[:, :1].expand(-1, 5, -1, -1, -1)
    assert torch.allclose(encoder(one), still(films[:, 0]), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mlp", {"dropout": 1.5}, r"'dropout' must be in \[0, 1\), found 1.5"),
        ("residual_mlp", {"input_dropout": 1}, r"'input_dropout' must be in \[0, 1\), found 1"),
        ("residual_mlp", {"hidden": []}, "'hidden' must be a list of one or more positive"),
        ("resnet", {"depth": 19}, "'depth' must be one of 18, 34, 50, found 19"),
        ("resnett", {}, "did you mean 'resnet'"),
        ("mlp", {"hiden": [3]}, "no option 'hiden'; did you mean 'hidden'"),
        ("mlp", {"hidden": 64}, "'hidden' must be a list of positive integers, found 64"),
        ("mlp", {"hidden": [64, 0]}, r"'hidden' must be .*, found \[64, 0\]"),
        ("mlp", {"width": 0}, "'width' must be a positive integer, found 0"),
        ("small_cnn", {"channels": [8, "x"]}, r"'channels' must be .*, found \[8, 'x'\]"),
        ("small_cnn", {"width": 2.5}, "'width' must be .*, found 2.5"),
        ("resnet", {"width": -1}, "'width' must be .*, found -1"),
    ],
)
def test_wrong_options_are_one_clear_line(name, options, message):
    with pytest.raises(ConfigError, match=message):
        ENCODERS.build(name, options, shape=(3, 32, 32))
