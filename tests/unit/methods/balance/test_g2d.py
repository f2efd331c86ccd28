"""G2D: the distillation, the turns, and modalities that wait."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from equipoise.errors import ConfigError
from equipoise.methods.balance.g2d import G2D, divergence, turn
from equipoise.testing.world import World, differing, snapshot
from equipoise.training.context import Context
from plain import PLAIN

INPUTS = {"a": 3, "b": 4, "c": 2}


@pytest.mark.parametrize(("temperature", "expected"), [(1.0, 0.130812), (2.0, 0.145363)])
def test_divergence_worked_out_by_hand(temperature: float, expected: float) -> None:
    teacher = torch.tensor([[3.0, 1.0]], dtype=torch.float64).log()
    student = torch.zeros(1, 2, dtype=torch.float64)
    found = divergence(teacher, student, temperature)
    assert found.item() == pytest.approx(expected, abs=1e-6)
    assert divergence(teacher, teacher + 5, temperature).item() == pytest.approx(0, abs=1e-12)


def test_turns() -> None:
    def plan(*given: object) -> list[int | None]:
        return [turn(epoch, *given) for epoch in range(given[0])]  # type: ignore[arg-type]

    assert plan(6, 2, 0.5) == [0, 0, 0, None, None, None]
    assert plan(8, 3, 0.5) == [0, 0, 1, 1, None, None, None, None]
    assert plan(4, 2, 0.0) == [None] * 4
    assert plan(4, 1, 0.5) == [None] * 4


def prepared(world: SimpleNamespace, **options: object) -> tuple[G2D, Context, object]:
    batch = world.batch(INPUTS, absent={"b": [1, 4]})
    ctx = world.context(world.model("sum", INPUTS), [batch], epochs=4)
    method = G2D(**options)  # type: ignore[arg-type]
    method.setup(ctx)
    return method, ctx, batch


def test_loss_is_that_of_the_equation(seed: int, world: SimpleNamespace) -> None:
    method, ctx, batch = prepared(world, weight=0.7, feature_weight=0.3, temperature=2.0)
    with torch.no_grad():  # other teachers than the network
        for parameter in method.teachers.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    output, taught = ctx.model(batch), method.teachers(batch)
    expected = F.cross_entropy(output.fused, batch.label)
    for m in INPUTS:
        here = batch.present[m]
        p = (taught.logits[m][here] / 2).softmax(1)
        q = (output.fused[here] / 2).softmax(1)
        expected = expected + 0.7 * 4 * (p * (p.log() - q.log())).sum(1).mean()
        moved = output.features[m][here] - taught.features[m][here]
        expected = expected + 0.3 * moved.square().mean()
    torch.testing.assert_close(method.loss(output, batch, ctx), expected)


def parameters(ctx: Context) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in ctx.model.named_parameters()}


@pytest.mark.parametrize("optimiser", [{"momentum": 0.9}, {"name": "adamw"}, {"name": "adam"}])
@pytest.mark.parametrize("count", [2, 3])
def test_a_modality_that_waits_does_not_move_and_the_other_does(
    seed: int, count: int, optimiser: dict[str, object]
) -> None:
    """It has momentum already: it trained in a turn of its own, or before."""
    settings = {"optimiser": {**PLAIN, "lr": 0.01, "weight_decay": 0.1, **optimiser}}
    world = World("g2d", count, seed % 9999, {"teacher_epochs": 1}, epochs=4, settings=settings)
    method, ctx = world.build()
    method.on_phase_start(ctx)
    taught = snapshot(method.teachers)
    method.turns = 0.0
    batches = list(ctx.steps())
    method.step(batches[0], ctx)  # all train
    method.turns = 0.5
    (chosen,) = {*ctx.model.modalities} - {*method.waiting(ctx)}
    assert method.confidence[ctx.model.modalities.index(chosen)] == method.confidence.min()
    before = parameters(ctx)
    method.step(batches[1], ctx)
    moved = differing(before, parameters(ctx))
    for name in before:
        waits = f".{chosen}." not in name  # encoder and classifier
        assert (name in moved) != waits, name
    # What is left of a gradient would be added to that of the step in which the modality moves.
    assert all(p.grad is None for p in ctx.model.parameters())
    ctx.position.epoch = 3
    assert method.waiting(ctx) == ()
    method.step(batches[2], ctx)
    assert len(differing(before, parameters(ctx))) == len(before)
    assert not differing(taught, snapshot(method.teachers))


def test_confidence_is_that_of_the_teachers_on_the_samples_they_have(seed: int) -> None:
    method, ctx = World("g2d", 3, seed % 9999, missing=0.3).build()
    method.on_phase_start(ctx)
    table = ctx.train.table
    batch = table.rows(range(len(table)))
    logits = method.teachers.eval()(batch).logits
    for number, m in enumerate(ctx.model.modalities):
        p = logits[m].softmax(1)[torch.arange(len(batch)), batch.label][batch.present[m]]
        torch.testing.assert_close(method.confidence[number], p.mean())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"turns": 1.5}, r"G2D: 'turns' must be in \[0, 1\]"),
        ({"temperature": 0.0}, "G2D: 'temperature' must be positive"),
        ({"teacher_epochs": 0}, "G2D: 'teacher_epochs' must be a positive integer"),
    ],
)
def test_refusals(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        G2D(**options)  # type: ignore[arg-type]
