"""The losses of Weight and Channel, and Channel's running means."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from equipoise.errors import ConfigError
from equipoise.methods.fusion.channel import Channel
from equipoise.methods.fusion.weight import Weight

INPUTS = {"a": 3, "b": 4, "c": 2}


def started(world, method, head, absent=None):
    batch = world.batch(INPUTS, absent=absent)
    model = world.model(head, INPUTS)
    ctx = world.context(model, [batch])
    method.setup(ctx)
    return batch, ctx, model(batch)


@pytest.mark.parametrize("head", ["weight", "weight-hidden"])
def test_weight_adds_own_losses_to_lambda_times_the_fused_one(seed, world, head):
    absent = {"a": [0, 1], "b": [2]}
    method = Weight(fused_weight=1.7)
    batch, ctx, output = started(world, method, head, absent)
    own = [
        F.cross_entropy(output.logits[m][batch.present[m]], batch.label[batch.present[m]])
        for m in INPUTS
    ]
    expected = sum(own) + 1.7 * F.cross_entropy(output.fused, batch.label)
    torch.testing.assert_close(method.loss(output, batch, ctx), expected)
    assert Weight().fused_weight == 2.0


def test_weight_refuses_a_head_without_own_classifiers(seed, world):
    with pytest.raises(ConfigError, match="use head 'weight'"):
        started(world, Weight(), "concat")


@pytest.mark.parametrize("loss", ["fused", "fused+unimodal"])
def test_channel_trains_the_fused_prediction_and_on_request_the_single_ones(seed, world, loss):
    method = Channel(loss=loss)
    batch, ctx, output = started(world, method, "channel")
    expected = F.cross_entropy(output.fused, batch.label)
    if loss == "fused+unimodal":
        expected = expected + sum(F.cross_entropy(v, batch.label) for v in output.logits.values())
    torch.testing.assert_close(method.loss(output, batch, ctx), expected)


def test_channel_moves_the_means_of_what_is_present(seed, world):
    absent = {"a": [0, 3, 5], "b": list(range(8))}
    method = Channel(momentum=0.3)
    batch, ctx, output = started(world, method, "channel", absent)
    head = ctx.model.head
    head.mean_a.fill_(2.0)
    head.mean_b.fill_(3.0)
    method.step(batch, ctx)
    torch.testing.assert_close(
        head.mean_a, 0.7 * 2.0 + 0.3 * output.features["a"][batch.present["a"]].mean(0)
    )
    torch.testing.assert_close(head.mean_c, 0.3 * output.features["c"].mean(0))
    assert bool((head.mean_b == 3.0).all())  # nobody has it
    assert not head.mean_a.requires_grad
