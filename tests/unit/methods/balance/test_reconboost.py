"""ReconBoost: the plan of its phases, the boosting loss, and the encoders that stand still."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from equipoise.errors import ConfigError
from equipoise.methods.balance.reconboost import ReconBoost, consolidated, reconciled
from equipoise.methods.parts.stages import stages
from equipoise.training.phase import Phase

INPUTS = {"a": 3, "b": 4, "c": 2}


def build(
    world: SimpleNamespace, batch: object, stage: str, phase: int = 0, **options: float
) -> tuple:
    """A method in the alternation of one modality, and its context."""
    ctx = world.context(world.model("boosted-sum", INPUTS), [batch], epochs=16)
    method = ReconBoost(**options)  # type: ignore[arg-type]
    method.setup(ctx)
    ctx.phase, ctx.position.phase = Phase(1, (stage,)), phase
    return method, ctx


@pytest.mark.parametrize("names", ["a", "ab", "abc"])
def test_every_modality_sees_the_data_as_often_as_asked(seed: int, names: str) -> None:
    for epochs in range(1, 40):
        for alternation, rectification in ((4, 4), (1, 3), (2, 0)):
            plan = stages(epochs, tuple(names), alternation, rectification)
            for m in names:
                assert sum(p.epochs for p in plan if p.modalities in (None, (m,))) == epochs
            alone = [p.modalities for p in plan if p.modalities]
            assert alone == [(m,) for m in names] * (len(alone) // len(names))
            assert all(p.epochs > 0 for p in plan)
            rounds = len(alone) // len(names)
            length = alternation + len(names) * rectification
            assert rounds == max(1, epochs // length), (
                "none shorter than asked for, if there is time for one"
            )


def test_a_round_has_the_published_lengths() -> None:
    expected = [Phase(4, ("a",)), Phase(4), Phase(4, ("b",)), Phase(4)]
    assert stages(12, ("a", "b"), 4, 4) == expected
    assert stages(24, ("a", "b"), 4, 4) == expected * 2


def test_boosting_loss_counts_less_where_the_others_are_right(seed: int) -> None:
    logits, others = torch.randn(2, 9, 6, dtype=torch.float64) * 2
    label = torch.randint(6, (9,))
    own, right = (
        logits.log_softmax(1)[torch.arange(9), label],
        others.softmax(1)[torch.arange(9), label],
    )
    found = reconciled(logits, others, label, 5.0, 1.5, 2.0)
    torch.testing.assert_close(found, -(5 - 1.5 * right) * own / 2)
    weight = found / -own * 2
    assert bool(((weight >= 3.5) & (weight <= 5)).all())
    sure = 1000.0 * F.one_hot(label, 6)
    torch.testing.assert_close(reconciled(logits, sure, label, 5.0, 1.5, 2.0), -3.5 * own / 2)


def test_without_the_others_it_is_plain_unimodal_training(
    seed: int, world: SimpleNamespace
) -> None:
    batch = world.batch(INPUTS, absent={"b": [2]})
    method, ctx = build(world, batch, "b", phase=2, reconcilement=0.0, consolidation=0.0)
    output, others = ctx.model(batch, only=("b",)), ctx.model(batch, only=("a", "c"))
    there = batch.present["b"]
    entropy = F.cross_entropy(output.logits["b"][there], batch.label[there])
    # The published value for six classes, however many there are.
    found = method.boosting_loss("b", output, others, batch, ctx)
    torch.testing.assert_close(found, 5 / 6 * entropy)
    method.divisor = "classes"
    found = method.boosting_loss("b", output, others, batch, ctx)
    torch.testing.assert_close(found, 5 / world.classes * entropy)


def test_consolidation_is_the_distance_from_the_modality_trained_before(
    seed: int, world: SimpleNamespace
) -> None:
    batch = world.batch(INPUTS, absent={"a": [1], "b": [2]})
    method, ctx = build(world, batch, "b", phase=2, consolidation=2.0)
    without = build(world, batch, "b", phase=2, consolidation=0.0)[0]
    assert method.before(ctx) == "a"
    output, others = ctx.model(batch, only=("b",)), ctx.model(batch, only=("a", "c"))
    both = batch.present["a"] & batch.present["b"]
    p, q = (x[both].softmax(1) for x in (output.logits["b"], others.logits["a"].detach()))
    found = method.boosting_loss("b", output, others, batch, ctx)
    torch.testing.assert_close(
        found, without.boosting_loss("b", output, others, batch, ctx) + 2 * F.mse_loss(p, q)
    )
    gradient = torch.autograd.grad(
        consolidated(output.logits["b"], q.new_zeros(8, 4)).mean(), ctx.model.group("b").encoder
    )
    assert all(bool(g.any()) for g in gradient)


def test_the_first_stage_has_nobody_before_it(world: SimpleNamespace) -> None:
    method, ctx = build(world, world.batch(INPUTS), "a")
    assert [p.modalities for p in method.plan[:3]] == [("a",), None, ("b",)]
    found = []
    for phase in range(len(method.plan) + 1):
        ctx.position.phase = phase
        found.append(method.before(ctx))
    assert found[:7] == [None, "a", "a", "b", "b", "c", "c"]


def test_a_single_modality_has_nobody_before_it(seed: int, world: SimpleNamespace) -> None:
    batch = world.batch({"a": 3})
    ctx = world.context(world.model("boosted-sum", {"a": 3}), [batch], epochs=16)
    method = ReconBoost(consolidation=2.0)
    method.setup(ctx)
    ctx.phase, ctx.position.phase = Phase(1, ("a",)), 2
    output, others = ctx.model(batch), ctx.model(batch, only=())
    expected = reconciled(output.logits["a"], others.fused, batch.label, 5.0, 1.0, 6.0).mean()
    torch.testing.assert_close(method.boosting_loss("a", output, others, batch, ctx), expected)


def test_in_alternation_only_one_encoder_and_the_classifier_move(
    seed: int, world: SimpleNamespace
) -> None:
    batch = world.batch(INPUTS)
    method, ctx = build(world, batch, "b", phase=2)
    for encoder in ctx.model.encoders.values():
        encoder.layers.append(nn.BatchNorm1d(encoder.width))
    ctx = world.context(ctx.model, [batch], epochs=16, momentum=0.9, weight_decay=0.1)
    ctx.phase = Phase(1)
    method.step(batch, ctx)  # all together: there is momentum to stand still against
    ctx.phase, ctx.position.phase = Phase(1, ("b",)), 2
    before = copy.deepcopy(ctx.model.state_dict())
    method.step(batch, ctx)
    moved = {n for n, t in ctx.model.state_dict().items() if not torch.equal(t, before[n])}
    assert all(n.startswith(("encoders.b.", "head.classifier.")) for n in moved), moved
    assert {n for n in before if n.startswith(("encoders.b.", "head.classifier."))} == moved
    assert all(encoder.training for encoder in ctx.model.encoders.values())


def test_a_step_of_the_alternation_follows_the_loss_written_out(
    seed: int, world: SimpleNamespace
) -> None:
    """With q of all the others together, F without k, and p' of the modality trained before."""
    batch = world.batch(INPUTS, absent={"a": [1, 4], "b": [2]})
    method, ctx = build(
        world, batch, "b", phase=2, strength=4.0, reconcilement=3.0, consolidation=2.0
    )
    twin = copy.deepcopy(ctx.model)
    moved: dict[str, torch.Tensor] = {}
    ctx.update = lambda: moved.update(
        {n: p.grad.clone() for n, p in ctx.model.named_parameters() if p.grad is not None}
    )
    method.step(batch, ctx)
    head = twin.head
    logits = {m: head.classifier(twin.encoders[m](batch.inputs[m])) for m in INPUTS}
    shown = {m: v * batch.present[m].unsqueeze(1) for m, v in logits.items()}
    right = (
        (head.rate * (shown["a"] + shown["c"])).softmax(1).detach()[torch.arange(8), batch.label]
    )
    own = F.cross_entropy(logits["b"], batch.label, reduction="none")
    here, both = batch.present["b"], batch.present["b"] & batch.present["a"]
    distance = (logits["b"].softmax(1) - logits["a"].softmax(1).detach()).square().mean(1)
    loss = ((4 - 3 * right) * own / 6)[here].mean() + 2 * distance[both].mean()
    loss.backward()
    for name, parameter in twin.named_parameters():
        if name.startswith(("encoders.b.", "head.classifier.")):
            torch.testing.assert_close(moved[name], parameter.grad)
        else:
            assert name not in moved


def test_rectification_is_joint_training(seed: int, world: SimpleNamespace) -> None:
    batch = world.batch(INPUTS, absent={"c": [0]})
    method, ctx = build(world, batch, "a")
    other = copy.deepcopy(ctx.model)
    ctx.phase = Phase(1)
    method.step(batch, ctx)
    world.train("joint", world.context(other, [batch]))
    assert all(
        torch.equal(p, q) for p, q in zip(ctx.model.parameters(), other.parameters(), strict=True)
    )


def test_a_phase_starts_without_momentum(seed: int, world: SimpleNamespace) -> None:
    batch = world.batch(INPUTS)
    ends = []
    for fresh in (False, True):
        torch.manual_seed(seed)
        method, ctx = build(world, batch, "a")
        ctx.phase = Phase(1)
        method.step(batch, ctx)
        method.on_phase_start(ctx)
        if fresh:
            ctx = world.context(ctx.model, [batch])
        method.step(batch, ctx)
        ends.append([p.detach().clone() for p in ctx.model.parameters()])
    assert all(torch.equal(p, q) for p, q in zip(*ends, strict=True))


def test_wants_its_head(world: SimpleNamespace) -> None:
    with pytest.raises(ConfigError, match="use head 'boosted-sum'"):
        ReconBoost().setup(world.context(world.model("sum", INPUTS), []))


@pytest.mark.parametrize(
    "options",
    [
        {"strength": 0.0},
        {"reconcilement": 6.0},
        {"consolidation": -1},
        {"alternation": 0},
        {"rectification": -1},
        {"alternation": 1.5},
        {"rectification": 0.5},
    ],
)
def test_refuses_bad_options(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"ReconBoost: '{next(iter(options))}' must be"):
        ReconBoost(**options)  # type: ignore[arg-type]
