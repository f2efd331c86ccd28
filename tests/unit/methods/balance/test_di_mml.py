"""DI-MML: effective dimensions, one-way teaching, and the two stages."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from equipoise.errors import ConfigError
from equipoise.methods.balance.di_mml import DIMML, effectiveness, teaching_loss
from equipoise.methods.parts.losses import unimodal_loss
from equipoise.testing.world import World, differing, snapshot
from plain import PLAIN

INPUTS = {"a": 3, "b": 4, "c": 2}


def test_effectiveness_worked_out_by_hand() -> None:
    features = torch.tensor([[0.0], [0.0], [10.0], [2.0]])  # class means 0 and 6
    label = torch.tensor([0, 0, 1, 1])
    assert effectiveness(features, label, 3).tolist() == [0.75]


def test_effective_dimensions_tell_classes_apart(seed: int) -> None:
    label = torch.arange(60) % 3
    features = torch.stack([label + 0.1 * torch.randn(60), torch.randn(60)], 1)
    first, second = effectiveness(features, label, 3).tolist()
    assert first == 1
    assert second < 0.7


def test_teaching_worked_out_by_hand() -> None:
    student = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    teacher = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    both = torch.ones(2, dtype=torch.bool)
    rows = [0.313262, math.log(2)]  # the second compares 0 with 0
    found = teaching_loss(student, teacher, both, 1.0)
    assert found.item() == pytest.approx(sum(rows) / 2, abs=1e-6)


def test_without_dimensions_there_is_nothing_to_learn(seed: int) -> None:
    student = torch.randn(5, 3, requires_grad=True)
    loss = teaching_loss(student, torch.randn(5, 3), torch.zeros(3, dtype=torch.bool), 2.0)
    assert loss.item() == pytest.approx(math.log(5))
    (gradient,) = torch.autograd.grad(loss, [student])
    assert not gradient.any()


@pytest.mark.parametrize("names", ["ab", "abc"])
def test_only_the_student_learns_in_dimensions_that_it_lacks(
    seed: int, world: SimpleNamespace, names: str
) -> None:
    inputs = {m: INPUTS[m] for m in names}
    batch = world.batch(inputs, absent={"b": [1, 4]})
    ctx = world.context(world.model("di-mml", inputs), [batch])
    method = DIMML()
    method.setup(ctx)
    method.effective[0, :2] = True
    method.effective[1, 1:3] = True
    if len(names) > 2:
        method.effective[2, 1] = True
    z = {m: torch.randn(8, 5, requires_grad=True) for m in names}
    total = method.teaching(list(names), z, batch, ctx)
    expected = []
    for teacher in names:
        for student in names:
            if teacher != student:
                both = batch.present[teacher] & batch.present[student]
                private = (
                    method.effective[names.index(teacher)] & ~method.effective[names.index(student)]
                )
                expected.append(teaching_loss(z[student][both], z[teacher][both], private, 50.0))
    torch.testing.assert_close(total, torch.stack(expected).sum() / (len(names) - 1))
    total.backward()
    assert not z["a"].grad[:, [0, 1, 3, 4]].any()  # it lacks dimension 2 of b only
    assert z["a"].grad[:, 2].any()


@pytest.mark.parametrize("names", ["ab", "abc"])
def test_the_second_stage_moves_the_classifier_of_all_features_alone(seed: int, names: str) -> None:
    method, ctx = World("di-mml", len(names), seed % 9999, missing=0.2, epochs=4).train()
    assert [(p.epochs, p.selectable) for p in method.phases(4)] == [(3, False), (1, True)]
    before = snapshot(ctx.model)
    ctx.position.phase = 1
    batch = next(ctx.train.batches(0))
    ctx.model.train()
    method.step(batch, ctx)
    blocks = [f"head.blocks.{m}.weight" for m in ctx.model.modalities]
    assert sorted(differing(before, snapshot(ctx.model))) == sorted(["head.bias", *blocks])


def test_the_first_stage_leaves_the_classifier_of_all_features_alone(seed: int) -> None:
    method, ctx = World("di-mml", 2, seed % 9999, epochs=3).build()
    before = snapshot(ctx.model)
    method.on_epoch_start(ctx)
    assert method.effective.any()
    for batch in ctx.steps():
        method.step(batch, ctx)
    still = {*before} - {*differing(before, snapshot(ctx.model))}
    assert still == {"head.bias", "head.blocks.alpha.weight", "head.blocks.beta.weight"}


@pytest.mark.parametrize("count", [2, 3])
def test_without_interaction_the_encoders_are_those_of_late_fusion(seed: int, count: int) -> None:
    options = {"common_weight": 0.0, "teach_from": 1.0, "pretrain": 0.7}
    settings = {"optimiser": {**PLAIN, "lr": 0.05, "momentum": 0.9, "schedule": "none"}}
    world = World("di-mml", count, seed % 9999, options, epochs=3, settings=settings)
    ours = world.train()[1].model
    _, ctx = world.build()
    for epoch in range(2):
        ctx.position.epoch = epoch
        for batch in ctx.steps():
            output = ctx.model(batch)
            ctx.backward(sum(unimodal_loss(m, output, batch, ctx) for m in ctx.model.modalities))
            ctx.update()
        ctx.position.batch = 0
    assert not differing(snapshot(ours.encoders), snapshot(ctx.model.encoders))


def test_prediction_worked_out_by_hand(world: SimpleNamespace) -> None:
    head = world.model("di-mml", {"a": 3, "b": 4}).head
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.zero_()
        head.bias.copy_(torch.tensor([0.9, 0.05, 0.03, 0.02]).log())
    logits = {
        "a": torch.tensor([[0.8, 0.1, 0.06, 0.04]]).log(),
        "b": torch.tensor([[0.6, 0.2, 0.1, 0.1]]).log(),
    }
    here = dict.fromkeys("ab", torch.ones(1, dtype=torch.bool))
    fused, weights = head.fuse({}, logits, here)
    assert weights.tolist()[0] == pytest.approx([0.342009, 0.280013], abs=1e-6)
    expected = 0.342009 * logits["a"] + 0.280013 * logits["b"] + 0.377978 * head.bias
    torch.testing.assert_close(fused, expected, atol=1e-5, rtol=1e-5)
    alone, weights = head.fuse({}, logits, {**here, "b": ~here["b"]})
    assert weights[0, 1] == 0
    assert bool(alone.isfinite().all())


def test_refusals(world: SimpleNamespace) -> None:
    with pytest.raises(ConfigError, match="use head 'di-mml'"):
        DIMML().setup(world.context(world.model("auxiliary", INPUTS), []))
    with pytest.raises(ConfigError, match=r"DIMML: 'pretrain' must be in \(0, 1\)"):
        DIMML(pretrain=1.0)
