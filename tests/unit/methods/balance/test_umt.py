"""UMT: the training of the teachers, their constancy, and the distance to their features."""

from __future__ import annotations

import copy
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from equipoise.errors import ConfigError
from equipoise.methods.balance.umt import UMT
from equipoise.testing.world import World, differing, snapshot
from equipoise.training.loop import fit
from plain import PLAIN

INPUTS = {"a": 3, "b": 4, "c": 2}


def set_up(world: SimpleNamespace, **options: object) -> tuple[UMT, object, object]:
    batch = world.batch(INPUTS, absent={"b": [1, 5]})
    ctx = world.context(world.model("concat", INPUTS), [batch], epochs=2)
    method = UMT(**options)  # type: ignore[arg-type]
    method.setup(ctx)
    return method, ctx, batch


@pytest.mark.parametrize("schedule", ["none", "cosine"])
@pytest.mark.parametrize("epochs", ["auto", 2, 5])
def test_teachers_are_what_late_fusion_would_be(
    seed: int, epochs: int | str, schedule: str
) -> None:
    """Against method `late`, trained for as long from the same encoders and zero classifiers."""
    settings = {"optimiser": {**PLAIN, "lr": 0.05, "momentum": 0.9, "schedule": schedule}}
    mine = World(
        "umt", 3, seed, {"teacher_epochs": epochs}, missing=0.3, epochs=3, settings=settings
    )
    method, ctx = mine.build()
    with torch.no_grad():
        for parameter in ctx.model.encoders.parameters():
            parameter.mul_(1.1)  # not what it was at setup
    length = 3 if isinstance(epochs, str) else epochs
    late, other = replace(mine, method="late", options={}, epochs=length).build()
    other.model.encoders.load_state_dict(ctx.model.encoders.state_dict())
    for parameter in other.model.head.parameters():
        torch.nn.init.zeros_(parameter)
    fit(late, other, length)
    method.on_phase_start(ctx)
    assert not differing(snapshot(method.teachers), snapshot(other.model))
    assert ctx.position.step == 0


def test_teachers_stay_as_they_are(seed: int) -> None:
    method, ctx = World("umt", 2, seed).build()
    method.on_phase_start(ctx)
    before = snapshot(method.teachers)
    for batch in ctx.steps():
        method.step(batch, ctx)
    assert not differing(before, snapshot(method.teachers))
    assert all(p.grad is None for p in method.teachers.parameters())


def test_the_network_starts_where_the_teachers_started(seed: int) -> None:
    method, ctx = World("umt", 2, seed).build()
    before = snapshot(ctx.model)
    method.on_phase_start(ctx)
    assert not differing(before, snapshot(ctx.model))
    taught = snapshot(method.teachers.encoders)
    assert differing(taught, snapshot(ctx.model.encoders))


def test_the_loss_written_out(seed: int, world: SimpleNamespace) -> None:
    method, ctx, batch = set_up(world, weight=3.0)
    with torch.no_grad():
        for parameter in method.teachers.parameters():
            parameter.normal_()
    output = ctx.model(batch)
    expected = F.cross_entropy(output.fused, batch.label)
    for modality, encoder in method.teachers.encoders.items():
        shown = batch.present[modality]
        taught = encoder(batch.inputs[modality][shown])
        expected = expected + 3.0 * F.mse_loss(output.features[modality][shown], taught)
    torch.testing.assert_close(method.loss(output, batch, ctx), expected)


def test_an_encoder_that_agrees_has_nothing_to_learn(seed: int, world: SimpleNamespace) -> None:
    method, ctx, batch = set_up(world)
    ctx.model.encoders.load_state_dict(method.teachers.encoders.state_dict())
    ctx.model.eval()
    output = ctx.model(batch)
    torch.testing.assert_close(
        method.loss(output, batch, ctx), F.cross_entropy(output.fused, batch.label)
    )


def test_the_distance_reaches_encoders_only(seed: int, world: SimpleNamespace) -> None:
    method, ctx, batch = set_up(world)
    with torch.no_grad():
        for parameter in method.teachers.parameters():
            parameter.normal_()
    output = ctx.model(batch)
    extra = method.loss(output, batch, ctx) - F.cross_entropy(output.fused, batch.label)
    named = dict(ctx.model.named_parameters())
    found = torch.autograd.grad(
        extra, list(named.values()), allow_unused=True, materialize_grads=True
    )
    moved = {name for name, g in zip(named, found, strict=True) if g.abs().max() > 1e-6}
    assert {name.split(".")[1] for name in moved} == set(INPUTS)
    assert all(name.startswith("encoders.") for name in moved)


def test_statistics_of_teachers_are_frozen(seed: int, world: SimpleNamespace) -> None:
    model = world.model("concat", INPUTS)
    for encoder in model.encoders.values():
        encoder.layers.append(torch.nn.BatchNorm1d(5))
    ctx = world.context(model, [world.batch(INPUTS)])
    method = UMT()
    method.setup(ctx)
    method.on_phase_start(ctx)
    before = snapshot(method.teachers)
    method.step(copy.copy(ctx.train.all[0]), ctx)
    assert not differing(before, snapshot(method.teachers))


@pytest.mark.parametrize(
    "options",
    [
        {"weight": -1.0},
        {"teacher_epochs": 0},
        {"teacher_epochs": 1.5},
        {"teacher_epochs": None},
        {"teacher_epochs": "long"},
    ],
)
def test_refuses_bad_options(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"UMT: '{next(iter(options))}' must be"):
        UMT(**options)  # type: ignore[arg-type]


def test_encoders_that_do_not_train_have_no_teachers(seed: int, world: SimpleNamespace) -> None:
    ctx = world.context(world.model("concat", INPUTS), [world.batch(INPUTS)])
    ctx.model.encoders.requires_grad_(False)
    with pytest.warns(
        UserWarning, match="method 'umt' does nothing: no encoder has a parameter that trains"
    ):
        method = world.train("umt", ctx)
    assert not method.state_dict()
    ctx.model.encoders["a"].requires_grad_(True)  # one is enough
    method.setup(ctx)
    assert method.state_dict()
