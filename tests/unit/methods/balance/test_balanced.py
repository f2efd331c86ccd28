"""Balanced: modality dropout, the prediction of the head, and the loss, by plain arithmetic."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from equipoise.heads.balanced import Balanced as Head
from equipoise.methods.balance.balanced import Balanced
from equipoise.testing.world import World
from equipoise.training.loop import fit

INPUTS = {"a": 4, "b": 6, "c": 3}


def inputs(count: int) -> dict[str, int]:
    return dict(list(INPUTS.items())[:count])


def by_hand(head: Head, features, present, row: int) -> tuple[torch.Tensor, torch.Tensor]:
    """late and joint (C,) of one sample."""
    here = [m for m in head.modalities if present[m][row]]
    late = sum(head.blocks[m].scale.exp() * head.blocks[m].own(features[m][row]) for m in here)
    joint = head.bias + sum(head.blocks[m].weight @ features[m][row] for m in here)
    return late, joint


def shaken(head: Head) -> Head:
    """Temperatures that differ from their start."""
    with torch.no_grad():
        for block in head.blocks.values():
            block.scale.normal_()
    return head


@pytest.mark.parametrize("count", [2, 3])
def test_the_prediction_is_the_mean_of_two_probabilities(world, count: int) -> None:
    model = world.model("balanced", inputs(count))
    head = shaken(model.head)
    batch = world.batch(inputs(count), absent={"a": [0, 3], "b": [1]})
    output = model(batch)
    for row in range(len(batch)):
        late, joint = by_hand(head, output.features, batch.present, row)
        expected = (late.softmax(0) + joint.softmax(0)) / 2
        torch.testing.assert_close(output.fused[row].exp(), expected)
    torch.testing.assert_close(output.fused.exp().sum(1), torch.ones(len(batch)))


@pytest.mark.parametrize("count", [2, 3])
def test_the_loss_by_hand(world, count: int) -> None:
    model = world.model("balanced", inputs(count))
    head = shaken(model.head)
    batch = world.batch(inputs(count), absent={"a": [0, 3], "b": [1]})
    method = Balanced(unimodal_weight=0.7)
    found = method.loss(model(batch), batch, world.context(model, [batch]))

    def loss(logits: torch.Tensor, row: int) -> torch.Tensor:
        return -logits.log_softmax(0)[batch.label[row]]

    features = model(batch).features
    rows = range(len(batch))
    pairs = [by_hand(head, features, batch.present, row) for row in rows]
    expected = sum(loss(x, row) for row, pair in zip(rows, pairs, strict=True) for x in pair) / 8
    for m in model.modalities:
        own = [loss(head.blocks[m].own(features[m][r]), r) for r in rows if batch.present[m][r]]
        expected = expected + 0.7 / math.sqrt(count) * sum(own) / len(own)
    torch.testing.assert_close(found, expected)
    found.backward()
    assert all(p.grad is not None for p in model.parameters())


def test_another_head_trains_its_fused_prediction(world) -> None:
    model = world.model("sum", inputs(3))
    batch = world.batch(inputs(3), absent={"c": [2]})
    output = model(batch)
    method = Balanced(unimodal_weight=0.0)
    found = method.loss(output, batch, world.context(model, [batch]))
    torch.testing.assert_close(found, F.cross_entropy(output.fused, batch.label))


@pytest.mark.parametrize("count", [2, 3])
def test_a_step_trains_on_what_modality_dropout_leaves(
    seed: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"drop": 0.4}
    method, ctx = World("balanced", count, seed % 9999, batch_size=120, options=options).build()
    seen = []
    loss = Balanced.loss
    monkeypatch.setattr(
        Balanced, "loss", lambda self, o, b, c: seen.append(b) or loss(self, o, b, c)
    )
    fit(method, ctx, 8)
    shown = torch.cat([torch.stack(list(b.present.values()), 1) for b in seen])
    assert bool(shown.any(1).all()), "a sample lost all"
    fraction = 0.6 / (1 - 0.4**count)
    assert shown.double().mean(0).tolist() == pytest.approx([fraction] * count, abs=0.06)
    assert all(not b.inputs[m][~b.present[m]].any() for b in seen for m in b.modalities)


def test_no_dropout_trains_on_the_batch_as_it_is(world, monkeypatch: pytest.MonkeyPatch) -> None:
    model = world.model("balanced", inputs(2))
    batch = world.batch(inputs(2))
    seen = []
    monkeypatch.setattr(
        Balanced, "loss", lambda self, output, b, ctx: seen.append(b) or output.fused.sum()
    )
    world.train(Balanced(drop=0.0), world.context(model, [batch]))
    assert seen == [batch]
