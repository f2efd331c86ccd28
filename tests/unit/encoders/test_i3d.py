"""I3D: published sizes and maps, TensorFlow's padding, and the layout of piergiaj/pytorch-i3d."""

import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from equipoise.encoders.i3d import I3D, pad_same
from equipoise.errors import ConfigError

CLIP = (8, 2, 32, 40)


@pytest.mark.parametrize(("channels", "size"), [(3, 12_287_264), (2, 12_265_312), (1, 12_243_360)])
def test_published_sizes(channels, size):
    with torch.device("meta"):
        encoder = I3D((64, channels, 224, 224))
    assert sum(parameter.numel() for parameter in encoder.parameters()) == size
    assert len(encoder.state_dict()) == 344 - 2  # of the published state without its classifier
    assert encoder.width == 1024


def test_maps_of_the_published_clip():
    expected = {
        "Conv3d_1a_7x7": (64, 32, 112, 112),
        "MaxPool3d_2a_3x3": (64, 32, 56, 56),
        "Conv3d_2b_1x1": (64, 32, 56, 56),
        "Conv3d_2c_3x3": (192, 32, 56, 56),
        "MaxPool3d_3a_3x3": (192, 32, 28, 28),
        "Mixed_3b": (256, 32, 28, 28),
        "Mixed_3c": (480, 32, 28, 28),
        "MaxPool3d_4a_3x3": (480, 16, 14, 14),
        "Mixed_4b": (512, 16, 14, 14),
        "Mixed_4c": (512, 16, 14, 14),
        "Mixed_4d": (512, 16, 14, 14),
        "Mixed_4e": (528, 16, 14, 14),
        "Mixed_4f": (832, 16, 14, 14),
        "MaxPool3d_5a_2x2": (832, 8, 7, 7),
        "Mixed_5b": (832, 8, 7, 7),
        "Mixed_5c": (1024, 8, 7, 7),
    }
    found = {}
    with torch.device("meta"):
        x = torch.empty(1, 3, 64, 224, 224)
        for name, layer in I3D((64, 3, 224, 224)).backbone.named_children():
            x = layer(x)
            found[name] = tuple(x.shape[1:])
    assert found == expected


def convolve_same(x, weight, stride):
    """TensorFlow's padding SAME by its definition: x (T, H, W), weight (kt, kh, kw)."""
    sizes = [-(-n // s) for n, s in zip(x.shape, stride, strict=True)]
    before = [
        max((out - 1) * s + k - n, 0) // 2
        for out, s, k, n in zip(sizes, stride, weight.shape, x.shape, strict=True)
    ]
    result = np.zeros(sizes)
    for place in np.ndindex(*sizes):
        for offset in np.ndindex(*weight.shape):
            at = [p * s + o - b for p, s, o, b in zip(place, stride, offset, before, strict=True)]
            if all(0 <= a < n for a, n in zip(at, x.shape, strict=True)):
                result[place] += x[tuple(at)] * weight[offset]
    return result


@pytest.mark.parametrize("stride", [(1, 1, 1), (2, 2, 2), (1, 2, 3)])
@pytest.mark.parametrize("kernel", [(1, 1, 1), (3, 2, 1), (2, 3, 7)])
def test_padding_is_that_of_tensorflow(kernel, stride):
    rng = np.random.default_rng()
    x, weight = rng.normal(size=rng.integers(1, 8, 3)), rng.normal(size=kernel)
    padded = pad_same(torch.from_numpy(x)[None, None], kernel, stride)
    found = F.conv3d(padded, torch.from_numpy(weight)[None, None], stride=stride)[0, 0]
    np.testing.assert_allclose(found, convolve_same(x, weight, stride))


def published_state(channels, counts=True):
    """Random weights under the published names; old PyTorch versions did not count batches."""
    with torch.device("meta"):
        names = I3D((8, channels, 32, 32)).backbone.state_dict()
    state = {
        "logits.conv3d.weight": torch.randn(400, 1024, 1, 1, 1),
        "logits.conv3d.bias": torch.randn(400),
    }
    for name, value in names.items():
        if name.endswith("num_batches_tracked"):
            if counts:
                state[name] = torch.tensor(7)
        elif name.endswith("conv3d.weight"):
            state[name] = torch.randn(value.shape) * (2 / value[0].numel()) ** 0.5
        else:
            state[name] = torch.rand(value.shape) + 0.5
    return state


def save(state, folder):
    torch.save(state, folder / "rgb_imagenet.pt")
    return str(folder / "rgb_imagenet.pt")


def reference(state, clips):
    """The published network by its names, from (B, C, T, H, W) to the mean of Mixed_5c."""

    def padded(x, kernel, stride):
        total = [
            max(k - s, 0) if n % s == 0 else max(k - n % s, 0)
            for n, k, s in zip(x.shape[2:], kernel, stride, strict=True)
        ]
        return F.pad(x, list(itertools.chain(*((t // 2, t - t // 2) for t in reversed(total)))))

    def unit(x, at, stride=1):
        weight = state[f"{at}.conv3d.weight"]
        x = F.conv3d(padded(x, weight.shape[2:], [stride] * 3), weight, stride=stride)
        mean, var, scale, bias = (
            state[f"{at}.bn.{leaf}"][:, None, None, None]
            for leaf in ("running_mean", "running_var", "weight", "bias")
        )
        return ((x - mean) / (var + 1e-3).sqrt() * scale + bias).relu()

    def pool(x, kernel, stride):
        return F.max_pool3d(padded(x, kernel, stride), kernel, stride)

    def mixed(x, at):
        one = unit(unit(x, f"{at}.b1a"), f"{at}.b1b")
        two = unit(unit(x, f"{at}.b2a"), f"{at}.b2b")
        return torch.cat(
            [unit(x, f"{at}.b0"), one, two, unit(pool(x, (3,) * 3, (1,) * 3), f"{at}.b3b")], 1
        )

    x = pool(unit(clips, "Conv3d_1a_7x7", 2), (1, 3, 3), (1, 2, 2))
    x = pool(unit(unit(x, "Conv3d_2b_1x1"), "Conv3d_2c_3x3"), (1, 3, 3), (1, 2, 2))
    x = pool(mixed(mixed(x, "Mixed_3b"), "Mixed_3c"), (3, 3, 3), (2, 2, 2))
    for letter in "bcdef":
        x = mixed(x, f"Mixed_4{letter}")
    x = pool(x, (2, 2, 2), (2, 2, 2))
    return mixed(mixed(x, "Mixed_5b"), "Mixed_5c").mean((2, 3, 4))


@pytest.mark.parametrize("counts", [True, False])
def test_a_published_file_encodes_as_published(tmp_path, counts):
    state, clips = published_state(2, counts), torch.randn(2, *CLIP)
    encoder = I3D(CLIP, weights=save(state, tmp_path)).eval()
    expected = reference(state, clips.permute(0, 2, 1, 3, 4))
    assert expected.std() > 0.01  # the random network has not died out on the way
    torch.testing.assert_close(encoder(clips).detach(), expected, rtol=1e-3, atol=1e-4)


def test_other_channels_leave_only_the_first_layer_out(tmp_path):
    state = published_state(3)
    with pytest.warns(
        UserWarning, match="weights are for 3 channels, the clips have 1; the first layer"
    ):
        encoder = I3D((8, 1, 32, 32), weights=save(state, tmp_path))
    for name, value in encoder.backbone.state_dict().items():
        assert torch.equal(value, state[name]) is not name.startswith("Conv3d_1a_7x7."), name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda state: state.pop("Mixed_4c.b2a.bn.running_var"),
            r"I3D: .* missing: Mixed_4c\.b2a\.bn\.running_var",
        ),
        (
            lambda state: state.pop("Conv3d_1a_7x7.conv3d.weight"),
            r"missing: Conv3d_1a_7x7\.conv3d\.weight",
        ),
        (lambda state: state.update(strange=torch.zeros(1)), "unexpected: strange"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_name(tmp_path, change, message):
    state = published_state(2)
    change(state)
    with pytest.raises(ConfigError, match=message):
        I3D(CLIP, weights=save(state, tmp_path))


def test_a_still_image_is_refused():
    with pytest.raises(
        ConfigError,
        match=r"I3D: 'shape' must be \(frames, channels, height, width\), found \(3, 32",
    ):
        I3D((3, 32, 32))
