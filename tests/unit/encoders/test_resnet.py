"""Pretrained weights of a residual network, in the layouts of torchvision and transformers."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from equipoise.encoders.resnet import ResNet
from equipoise.errors import ConfigError

SHAPE = (3, 40, 33)


def disturbed(network):
    """The same network with normalisations unlike those it starts with."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.0)
            nn.init.normal_(module.bias, std=0.1)
    return network.eval()


@pytest.fixture
def trained():
    return disturbed(ResNet(SHAPE))


def file_of(folder, state):
    path = str(folder / "resnet.pth")
    torch.save(state, path)
    return path


@pytest.mark.parametrize("width", [None, 7])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_torchvisions_layout_loads_and_its_classifier_is_dropped(tmp_path, trained, prefix, width):
    state = {
        **trained.state_dict(),
        "fc.weight": torch.randn(1000, 512),
        "fc.bias": torch.randn(1000),
    }
    path = file_of(tmp_path, {prefix + name: value for name, value in state.items()})
    loaded = ResNet(SHAPE, width=width, weights=path).eval()
    images = torch.randn(2, *SHAPE)
    assert torch.equal(loaded(images), loaded.projection(trained(images)))


def test_files_from_before_the_step_counter_load(tmp_path, trained):
    state = {n: v for n, v in trained.state_dict().items() if not n.endswith("num_batches_tracked")}
    images = torch.randn(2, *SHAPE)
    assert torch.equal(
        ResNet(SHAPE, weights=file_of(tmp_path, state)).eval()(images), trained(images)
    )


@pytest.mark.parametrize(
    ("depth", "kind", "widths"), [(18, "basic", 1), (34, "basic", 1), (50, "bottleneck", 4)]
)
@pytest.mark.parametrize("prefix", ["", "resnet."])
def test_transformers_layout_gives_transformers_features(tmp_path, depth, kind, widths, prefix):
    transformers = pytest.importorskip("transformers")
    blocks = [2, 2, 2, 2] if depth == 18 else [3, 4, 6, 3]
    config = transformers.ResNetConfig(
        depths=blocks, layer_type=kind, hidden_sizes=[widths * 64 * 2**stage for stage in range(4)]
    )
    theirs = disturbed(transformers.ResNetModel(config))
    state = {prefix + name: value.contiguous() for name, value in theirs.state_dict().items()}
    path = str(tmp_path / "model.safetensors")
    save_file({**state, "classifier.1.weight": torch.randn(3, 512 * widths)}, path)
    images = torch.randn(2, *SHAPE)
    expected = theirs(images).pooler_output.flatten(1)
    assert torch.allclose(
        ResNet(SHAPE, depth=depth, weights=path).eval()(images), expected, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_rgb_filters_are_spread_over_other_channels(tmp_path, trained, channels):
    """A grey image, shown once per channel, means to the filters the same as to the RGB ones."""
    loaded = ResNet((channels, 40, 33), weights=file_of(tmp_path, trained.state_dict())).eval()
    grey = torch.randn(2, 1, 40, 33)
    features = loaded(grey.expand(-1, channels, -1, -1))
    assert torch.allclose(features, trained(grey.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 34}, "ResNet: the weights do not fit: missing: layer1.2.conv1.weight"),
        (
            {"depth": 50},
            r"of another shape: layer1.0.conv1.weight \(64, 64, 3, 3\) for \(64, 64, 1, 1\)",
        ),
    ],
)
def test_weights_of_another_network_are_refused_in_one_line(tmp_path, trained, options, message):
    with pytest.raises(ConfigError, match=message) as caught:
        ResNet(SHAPE, weights=file_of(tmp_path, trained.state_dict()), **options)
    assert "\n" not in str(caught.value)
