"""MMCosine: joint training of its head, and of no other."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from equipoise.errors import ConfigError
from equipoise.methods.balance.mmcosine import MMCosine

INPUTS = {"a": 3, "b": 4, "c": 2}


def test_loss_is_the_cross_entropy_of_summed_cosines(seed: int, world: SimpleNamespace) -> None:
    model = world.model("cosine", INPUTS, scale=15.0)
    batch = world.batch(INPUTS, absent={"b": [0, 5]})
    ctx = world.context(model, [batch])
    method = MMCosine()
    method.setup(ctx)
    output = model(batch)
    cosines = {
        m: F.cosine_similarity(
            output.features[m].unsqueeze(1), model.head.blocks[m].weight.unsqueeze(0), dim=2
        )
        for m in INPUTS
    }
    total = sum(15 * cosines[m] * batch.present[m].unsqueeze(1) for m in INPUTS)
    torch.testing.assert_close(method.loss(output, batch, ctx), F.cross_entropy(total, batch.label))


def test_wants_cosine_logits(world: SimpleNamespace) -> None:
    with pytest.raises(ConfigError, match="use head 'cosine', or method 'joint'"):
        MMCosine().setup(world.context(world.model("sum", INPUTS), []))
