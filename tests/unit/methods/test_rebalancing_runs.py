"""Methods that act between epochs, set to act at once, end the same when they are resumed."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from active import ACTIVE
from equipoise.testing import World
from equipoise.testing.methods import resumes
from equipoise.testing.world import differing, snapshot
from equipoise.training.loop import fit


@pytest.mark.parametrize(("name", "options"), ACTIVE, ids=[name for name, _ in ACTIVE])
def test_resumed_is_uninterrupted(seed: int, name: str, options: dict[str, object]) -> None:
    resumes(
        World(
            name, 2, seed % 9999, options, missing=0.2, epochs=3, settings={"checkpoint_every": 2}
        )
    )


@pytest.mark.parametrize(
    "name", ["inforeg", "relearning", "dgl", "aug", "bss", "mbsd", "smv-sample"]
)
def test_frozen_encoders_are_no_obstacle(seed: int, name: str) -> None:
    method, ctx = World(name, 2, seed % 9999).build()
    for modality in ctx.model.modalities:
        ctx.model.encoders[modality].requires_grad_(False)
    before = snapshot(ctx.model.encoders)
    does_nothing = (
        pytest.warns(UserWarning, match="does nothing")
        if name in ("inforeg", "relearning")
        else nullcontext()
    )
    with does_nothing:
        method.setup(ctx)
    fit(method, ctx, 2)
    assert not differing(before, snapshot(ctx.model.encoders))
