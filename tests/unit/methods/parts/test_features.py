"""Features of the modalities that a rank has."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from equipoise.methods.parts.features import features_here

INPUTS = {"a": 3, "b": 4, "c": 2}


def test_a_modality_without_a_row_is_left_out(seed: int, world: SimpleNamespace) -> None:
    batch = world.batch(INPUTS, absent={"a": [1], "b": list(range(8))})
    model = world.model("concat", INPUTS)
    output = model(batch)
    found = features_here(output, batch)
    assert list(found) == ["a", "c"]
    assert all(z is output.features[m] for m, z in found.items())
    model.read(found, batch.present).fused.sum().backward()
    assert model.head.blocks["b"].weight.grad is None, "read as zeros it would have a gradient"
    assert bool(torch.isfinite(model.head.blocks["a"].weight.grad).all())
