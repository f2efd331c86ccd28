"""MLA against a plain re-implementation of Algorithm 1, and its promises."""

from __future__ import annotations

import copy
import math
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from equipoise.errors import ConfigError
from equipoise.methods import METHODS
from equipoise.methods.balance.mla import MLA, alpha_at
from equipoise.model import Model
from equipoise.training.phase import Phase

INPUTS = {"a": 3, "b": 4, "c": 2}


def named(count: int) -> dict[str, int]:
    return dict(list(INPUTS.items())[:count])


def algorithm_1(
    model: Model,
    batches: list,
    alpha: float,
    lr: float,
    order: str,
    normalize: bool,
    plug_in: bool = False,
) -> None:
    """Algorithm 1 of the paper with plain gradient descent, without the library's methods.

    With the plug-in of the published code instead of Eq. 5, if so asked.
    """
    weight, bias = model.head.classifier.weight, model.head.classifier.bias
    projection = torch.eye(weight.shape[1])
    seen, t = None, 0
    for batch in batches:
        for m, encoder in model.encoders.items():
            z = encoder(batch.inputs[m])
            loss = F.cross_entropy(z @ weight.T + bias, batch.label)
            own = list(encoder.parameters())
            *gradients, g_weight, g_bias = torch.autograd.grad(loss, [*own, weight, bias])
            r = z.detach().mean(0, keepdim=True).T if order == "current" else seen
            if plug_in and t > 0:
                k = projection @ r
                projection = projection - (k @ k.T) / (alpha + k @ r.T)
                if normalize:
                    projection = projection / projection.norm()
            elif not plug_in and r is not None:
                q = projection @ r / (alpha + r.T @ projection @ r)
                projection = projection - q @ r.T @ projection
                if normalize:
                    projection = projection / projection.norm()
            seen = z.detach().mean(0, keepdim=True).T
            with torch.no_grad():
                for p, g in zip(own, gradients, strict=True):
                    p -= lr * g
                weight -= lr * (g_weight if t == 0 else g_weight @ projection.T)
                bias -= lr * g_bias
            t += 1


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("order", ["current", "previous"])
@pytest.mark.parametrize("normalize", [False, True])
def test_equals_algorithm_1(
    seed: int, world: SimpleNamespace, count: int, order: str, normalize: bool
) -> None:
    model = world.model("shared", named(count))
    other = copy.deepcopy(model)
    batches = [world.batch(named(count)) for _ in range(4)]
    ctx = world.context(model, batches, lr=0.2, momentum=0.0, weight_decay=0.0)
    world.train("mla", ctx, alpha=0.3, projection_order=order, normalize_projection=normalize)
    assert (ctx.passes.forward_passes, ctx.passes.backward_passes) == (1, 1)
    algorithm_1(other, batches, 0.3, 0.2, order, normalize)
    for (name, p), q in zip(model.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p, q, msg=name, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("normalize", [False, True])
def test_the_plug_in_is_that_of_the_published_code(
    seed: int, world: SimpleNamespace, count: int, normalize: bool
) -> None:
    model = world.model("shared", named(count))
    other = copy.deepcopy(model)
    batches = [world.batch(named(count)) for _ in range(2)]
    ctx = world.context(model, batches, lr=0.2, momentum=0.0, weight_decay=0.0)
    options = {"normalize_projection": normalize, "projection_form": "plug-in"}
    method = world.train("mla", ctx, alpha=1.3, **options)
    algorithm_1(other, batches, 1.3, 0.2, "current", normalize, plug_in=True)
    for (name, p), q in zip(model.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p, q, msg=name, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(method.memory.projection, method.memory.projection.T, atol=1e-4)


@pytest.mark.parametrize(("momentum", "leaks"), [("reset", False), ("keep", True)])
def test_without_its_momentum_the_head_moves_across_what_was_seen(
    seed: int, world: SimpleNamespace, momentum: str, leaks: bool
) -> None:
    """The protected direction is the mean feature of the modality before, at a small α."""
    model = world.model("shared", named(2))
    batches = [world.batch(named(2)) for _ in range(6)]
    # A slow encoder and a large α in the first steps would hide what momentum does.
    ctx = world.context(model, batches, lr=0.05, momentum=0.9, weight_decay=0.0)
    method = MLA(alpha=1e-4, momentum=momentum)
    method.setup(ctx)
    along = []
    for batch in ctx.steps():
        before = model.head.classifier.weight.detach().clone()
        with torch.no_grad():
            seen = model.encoders["a"](batch.inputs["a"]).mean(0)
        ctx.phase = Phase(1, ("a",))
        method.step(batch, ctx)
        step = model.head.classifier.weight.detach() - before
        along.append(float((step @ seen).norm() / (step.norm() * seen.norm())))
    assert (max(along[1:]) > 0.05) == leaks, along


def test_the_momentum_of_adam_is_not_forgotten(world: SimpleNamespace) -> None:
    ctx = world.context(world.model("shared", named(2)), [world.batch(named(2))], name="adam")
    with pytest.raises(ConfigError, match="'momentum' reset is for SGD; set --optim"):
        MLA(momentum="reset").setup(ctx)


def test_with_one_modality_and_infinite_alpha_it_is_plain_training(
    seed: int, world: SimpleNamespace
) -> None:
    model = world.model("shared", named(1))
    other = copy.deepcopy(model)
    batches = [world.batch(named(1)) for _ in range(4)]
    world.train("mla", world.context(model, batches), 2, alpha=math.inf)
    world.train("joint", world.context(other, batches), 2)
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(p, q)


def test_without_projection_infinite_alpha_changes_nothing(
    seed: int, world: SimpleNamespace
) -> None:
    model = world.model("shared", INPUTS)
    other = copy.deepcopy(model)
    batches = [world.batch(INPUTS) for _ in range(4)]
    world.train("mla", world.context(model, batches), 2, alpha=math.inf)
    world.train("mla", world.context(other, batches), 2, projection=False)
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(p, q)


def test_a_modality_in_hand_leaves_the_others_bit_identical(
    seed: int, world: SimpleNamespace
) -> None:
    model = world.model("shared", INPUTS)
    for encoder in model.encoders.values():
        encoder.layers.append(torch.nn.BatchNorm1d(encoder.width))
    batches = [world.batch(INPUTS) for _ in range(3)]
    ctx = world.context(model, batches, momentum=0.9, weight_decay=0.1)
    method = world.train("mla", ctx)  # momentum is warm now
    before = {m: copy.deepcopy(model.encoders[m].state_dict()) for m in INPUTS}
    ctx.phase = Phase(1, ("b",))
    batches[0].inputs["a"].fill_(torch.nan)  # not even read
    model.train()
    method.step(batches[0], ctx)
    for m in INPUTS:
        same = [
            torch.equal(value, before[m][name])
            for name, value in model.encoders[m].state_dict().items()
        ]
        assert all(same) if m != "b" else not any(same)


def test_a_modality_absent_from_the_batch_moves_neither_its_encoder_nor_the_memory(
    seed: int, world: SimpleNamespace
) -> None:
    model = world.model("shared", named(2))
    rows = list(range(8))
    ctx = world.context(model, [world.batch(named(2)), world.batch(named(2), absent={"b": rows})])
    method = MLA()
    method.setup(ctx)
    steps = ctx.steps()
    method.step(next(steps), ctx)
    before = copy.deepcopy(model.encoders["b"].state_dict())
    assert method.memory is not None
    assert int(method.memory.updates) == 2
    method.step(next(steps), ctx)
    assert int(method.memory.updates) == 3
    for name, value in model.encoders["b"].state_dict().items():
        assert torch.equal(value, before[name])


def test_the_mean_feature_is_that_of_the_present_rows(seed: int, world: SimpleNamespace) -> None:
    model = world.model("shared", named(1))
    batch = world.batch(named(1), absent={"a": [0, 5]})
    with torch.no_grad():
        r = model.encoders["a"](batch.inputs["a"][batch.present["a"]]).mean(0)
    method = world.train("mla", world.context(model, [batch]), alpha=0.5)
    expected = torch.eye(len(r)) - torch.outer(r, r) / (0.5 + r @ r)
    torch.testing.assert_close(method.memory.projection, expected)


def test_memory_holds_the_projection_and_nothing_of_the_model(
    seed: int, world: SimpleNamespace
) -> None:
    ctx = world.context(world.model("shared", named(2)), [world.batch(named(2)) for _ in range(2)])
    method = world.train("mla", ctx)
    assert set(method.state_dict()) == {"memory.projection", "memory.updates"}
    assert not list(method.parameters())
    logged = ctx.read_journal()["method/spectrum/shared"]
    assert len(logged) == 16
    assert logged == sorted(logged)


def test_alpha_decays_within_an_epoch() -> None:
    assert [alpha_at("epoch-decay", b, 4) for b in range(5)] == pytest.approx(
        [0.1, 10**-1.25, 10**-1.5, 10**-1.75, 0.01]
    )
    assert alpha_at(0.3, 7, 9) == 0.3


def test_wants_one_head_for_all(world: SimpleNamespace) -> None:
    ctx = world.context(world.model("late", named(2)), [])
    with pytest.raises(ConfigError, match="use head 'shared'"):
        MLA().setup(ctx)


@pytest.mark.parametrize(
    "options",
    [
        {"alpha": 0.0},
        {"alpha": -1.0},
        {"alpha": "decay"},
        {"alpha": math.nan},
        {"projection_order": "next"},
        {"projection": "no"},
        {"normalize_projection": "no"},
        {"projection_form": "code"},
        {"momentum": "none"},
    ],
)
def test_refuses_bad_options(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"MLA: '{next(iter(options))}' must be"):
        MLA(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("alpha", 0.1),
        ("projection_order", "current"),
        ("normalize_projection", True),
        ("projection_form", "plug-in"),
    ],
)
def test_refuses_options_without_effect(option: str, value: object) -> None:
    METHODS.build("mla", {option: value})
    METHODS.build("mla", {"projection": False, "normalize_projection": False})
    with pytest.raises(
        ConfigError, match=f"MLA: '{option}' must be left out unless 'projection' is true"
    ):
        METHODS.build("mla", {option: value, "projection": False})


def test_a_normalised_identity_still_shrinks_the_heads_gradient(
    seed: int, world: SimpleNamespace
) -> None:
    """As the option's text says of an infinite α."""
    ctx = world.context(world.model("shared", named(2)), [world.batch(named(2)) for _ in range(3)])
    method = world.train("mla", ctx, alpha=math.inf, normalize_projection=True)
    width = len(method.memory.projection)
    torch.testing.assert_close(method.memory.projection, torch.eye(width) / math.sqrt(width))
