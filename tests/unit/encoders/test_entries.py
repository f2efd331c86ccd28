"""The facts in an encoder's entry are true."""

import pytest
import torch

from equipoise.configuration.presets import read_preset
from equipoise.encoders import ENCODERS, build_encoder, starts_unlike_published


@pytest.mark.parametrize(
    "entry", [entry for entry in ENCODERS if entry.size], ids=lambda entry: entry.name
)
def test_width_and_number_of_parameters(entry):
    if entry.needs:
        pytest.importorskip(entry.needs)
    with torch.device("meta"):
        encoder = build_encoder(entry.name, {}, entry.shape, entry.vocabulary)
    assert encoder.width == entry.width
    assert sum(p.numel() for p in encoder.parameters()) == entry.size


@pytest.mark.parametrize(
    ("name", "options", "warned"),
    [
        ("i3d", {}, True),
        ("bert", {"weights": None}, True),
        ("bert", {"weights": "folder"}, False),
        ("bert", {"config": {"hidden_size": 8}}, False),  # of a shape that was never published
        ("resnet", {"depth": 18}, False),  # trained from scratch in some papers
        ("resnet", {"depth": 50, "weights": None}, True),  # a place for weights was left
        ("small_cnn", {}, False),
        ("import:module:Class", {}, False),
    ],
)
def test_random_weights_in_place_of_published_ones_are_known(name, options, warned):
    assert starts_unlike_published(name, options) == warned


def test_presets_with_pretrained_networks_leave_a_place_for_their_weights():
    for name in ("sarcasm", "twitter2015", "nvgesture", "food-101-mla", "iemocap"):
        encoders = read_preset(name)["encoder"].values()
        named = [{k: v for k, v in e.items() if k != "name"} for e in encoders]
        names = [e["name"] for e in encoders]
        assert any(map(starts_unlike_published, names, named)), name
