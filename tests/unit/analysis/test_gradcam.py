"""Grad-CAM of networks that look at one corner, and against its closed form."""

import numpy as np
import pytest
import torch
from torch import nn

import equipoise
from equipoise.analysis.gradcam import class_maps, gradcam, overlay
from equipoise.batch import Batch
from equipoise.errors import ConfigError
from equipoise.heads import HEADS
from equipoise.model import Model
from plain import PLAIN


class Corner(nn.Module):
    """A convolution of a corner of a picture (1, 8, 8), and the mean of its maps."""

    width = 3

    def __init__(self, rows, columns, size=1):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, size, padding=size // 2, bias=False)
        mask = torch.zeros(8, 8)
        mask[rows, columns] = 1
        self.register_buffer("mask", mask)

    def forward(self, x):
        shape = x.shape
        maps = self.conv(x.reshape(-1, 1, 8, 8) * self.mask)
        return maps.mean((2, 3)).reshape(shape[0], -1, 3).mean(1)


def network(encoder):
    head = HEADS.build("late", {}, widths={"picture": 3}, classes=4)
    return Model({"picture": encoder}, head).eval()


def batch(x):
    count = len(x)
    there = {"picture": torch.ones(count, dtype=torch.bool)}
    return Batch({"picture": x}, there, torch.arange(count) % 4, torch.arange(count))


@pytest.mark.parametrize(
    ("rows", "columns"), [(slice(0, 3), slice(0, 3)), (slice(5, 8), slice(2, 4))]
)
def test_a_network_that_looks_at_one_corner(rows, columns):
    encoder = Corner(rows, columns)
    with torch.no_grad():
        encoder.conv.weight.copy_(torch.tensor([1.0, 2.0, -1.0]).view(3, 1, 1, 1))
    model = network(encoder)
    with torch.no_grad():  # every class likes the first map
        model.head.blocks["picture"].weight.copy_(torch.tensor([[1.0, 0, 0]]).expand(4, 3))
    found, _ = class_maps(model, batch(torch.rand(5, 1, 8, 8) + 0.1), "picture")
    outside = torch.ones(8, 8, dtype=torch.bool)
    outside[rows, columns] = False
    assert found.shape == (5, 8, 8)
    assert (found[:, outside] == 0).all()
    assert torch.allclose(found.flatten(1).amax(1), torch.ones(5))


@pytest.mark.parametrize("target", ["predicted", "label"])
def test_the_closed_form_of_a_mean_of_maps(target):
    """The weights of the maps are those of the class in the linear layer, divided by the pixels."""
    encoder = Corner(slice(None), slice(None), size=3)
    model = network(encoder)
    x = torch.randn(6, 1, 8, 8)
    data = batch(x)
    found, classes = class_maps(model, data, "picture", target)
    with torch.no_grad():
        expected = model(data).fused.argmax(1) if target == "predicted" else data.label
        assert torch.equal(classes, expected)
        weight = model.head.blocks["picture"].weight[classes]
        heat = (weight[:, :, None, None] * encoder.conv(x)).sum(1).relu()
        heat = heat / heat.flatten(1).amax(1).clamp_min(1e-12)[:, None, None]
    assert torch.allclose(found, heat, atol=1e-5)
    assert all(p.grad is None for p in model.parameters())


def test_films_are_looked_at_frame_by_frame():
    model = network(Corner(slice(0, 2), slice(None)))
    film = torch.rand(3, 5, 1, 8, 8)
    found, _ = class_maps(model, batch(film), "picture")
    assert found.shape == (3, 5, 8, 8)
    assert (found[:, :, 2:] == 0).all()


def test_overlays_are_pictures():
    heat = np.zeros((4, 4))
    heat[0, 0] = 1
    found = overlay(np.full((4, 4, 3), 0.5), heat)
    assert found.min() >= 0
    assert found.max() <= 1
    assert np.allclose(found[1:], 0.5)
    assert found[0, 0, 0] > found[0, 0, 2]


def test_gradcam_of_a_run(tmp_path):
    """Over kept epochs and named samples; a modality without pictures is refused."""
    run = equipoise.fit(
        "digits",
        "joint",
        tmp_path / "run",
        encoder={"left": "mlp", "right": "small_cnn"},
        optimiser=PLAIN,
        epochs=2,
        width=8,
        batch_size=256,
        keep_epochs=[1, 2],
        verbose=0,
    )
    record = gradcam(run, modality="right", epochs=[1, 2], samples=2)
    found = record.to_frame()
    assert found["epoch"].tolist() == [1, 1, 2, 2]
    assert found["id"][:2].tolist() == found["id"][2:].tolist()
    assert found[["x", "y", "area"]].apply(lambda v: ((v >= 0) & (v <= 1)).all()).all()
    named = gradcam(run, modality="right", ids=[found["id"][0]]).to_frame()
    assert named["id"].tolist() == [found["id"][0]]
    assert record.save(tmp_path / "out", ["png"])[0].stat().st_size > 1000
    assert len(record.figure().data) == 4
    with pytest.raises(ConfigError, match="'lfet' is no picture"):
        gradcam(run, modality="lfet")
    with pytest.raises(ConfigError, match="no sample 'none'"):
        gradcam(run, modality="right", ids=["none"])
    with pytest.raises(ConfigError, match="'left' is no picture, film or spectrogram"):
        gradcam(run, modality="left")


def test_an_encoder_without_maps_is_refused():
    encoder = Corner(slice(None), slice(None))
    encoder.conv = nn.Sequential(nn.AvgPool2d(8), nn.Conv2d(1, 3, 1))
    with pytest.raises(ConfigError, match="no convolution with maps of several pixels"):
        class_maps(network(encoder), batch(torch.rand(2, 1, 8, 8)), "picture")
