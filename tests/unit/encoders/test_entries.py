"""The facts in an encoder's entry are true."""

import pytest
import torch

from equipoise.encoders import ENCODERS, build_encoder


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
