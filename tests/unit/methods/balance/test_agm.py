"""AGM: responses that add up to the prediction, and gradients against independent code."""

from __future__ import annotations

import copy
import math
from itertools import permutations
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from equipoise.errors import ConfigError
from equipoise.evaluation.shapley import shapley_value, subsets
from equipoise.methods.balance.agm import (
    AGM,
    fused_of,
    ordered_responses,
    relative,
    response_factors,
    rotated,
)

INPUTS = {"a": 3, "b": 4, "c": 2}


def set_up(
    world: SimpleNamespace, model: nn.Module, batch: object, **options: object
) -> tuple[AGM, object]:
    ctx = world.context(model, [batch])
    method = AGM(**options)  # type: ignore[arg-type]
    method.setup(ctx)
    return method, ctx


def gradients(loss: torch.Tensor, model: nn.Module) -> dict[str, torch.Tensor]:
    named = dict(model.named_parameters())
    found = torch.autograd.grad(
        loss, list(named.values()), allow_unused=True, materialize_grads=True
    )
    return dict(zip(named, found, strict=True))


class Scaled(torch.autograd.Function):
    """The identity, whose gradient is multiplied."""

    @staticmethod
    def forward(ctx, tensor, factor):  # type: ignore[no-untyped-def]
        ctx.factor = factor
        return tensor.clone()

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        return gradient * ctx.factor, None


def test_responses_of_two_and_three_in_the_published_form(seed: int) -> None:
    two = {s: torch.randn(5, 4, dtype=torch.float64) for s in subsets("av")}
    av, a, v = two["a", "v"], two["a",], two["v",]
    torch.testing.assert_close(shapley_value("a", two, 2), (av - v + a) / 2)
    torch.testing.assert_close(shapley_value("v", two, 2), (av - a + v) / 2)
    f = {s: torch.randn(5, 4, dtype=torch.float64) for s in subsets("avt")}
    first = (f["a", "v", "t"] - f["v", "t"] + f["a",]) / 3
    second = (f["a", "v"] - f["v",] + f["a", "t"] - f["t",]) / 6
    torch.testing.assert_close(shapley_value("a", f, 3), first + second)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_responses_add_up_to_the_prediction(seed: int, count: int) -> None:
    names = tuple("abcd"[:count])
    fused = {s: torch.randn(5, 4, dtype=torch.float64) for s in subsets(names)}
    torch.testing.assert_close(sum(shapley_value(m, fused, count) for m in names), fused[names])


def test_coefficients_by_hand(seed: int) -> None:
    scores, means = torch.tensor([0.5, 1.5]), torch.tensor([0.8, 1.0])
    r, tau = [math.exp(1.0), math.exp(-1.0)], [math.exp(0.2), math.exp(-0.2)]
    expected = [math.exp(0.3 * (t - s)) for t, s in zip(tau, r, strict=True)]
    assert response_factors(scores, means, 0.3, math.inf).tolist() == pytest.approx(expected)
    assert response_factors(scores, means, 0.3, 0.1)[1].item() == pytest.approx(math.exp(0.3 * 0.1))
    assert expected[0] < 1 < expected[1]  # the first is further ahead than it used to be
    three = torch.rand(3, dtype=torch.float64)
    assert float(relative(three).prod()) == pytest.approx(1)
    pairs = [
        math.exp(float(sum(three[j] - three[m] for j in range(3) if j != m)) / 2) for m in range(3)
    ]
    assert relative(three).tolist() == pytest.approx(pairs)


@pytest.mark.parametrize("head", ["concat", "sum", "late"])
@pytest.mark.parametrize("count", [2, 3])
def test_gradients_are_those_of_scaled_responses(
    seed: int, world: SimpleNamespace, head: str, count: int
) -> None:
    """Against responses written out, with an identity on each whose gradient is multiplied by κ."""
    inputs = dict(list(INPUTS.items())[:count])
    model = world.model(head, inputs).double()
    batch = world.batch(inputs, absent={"b": [2]}).apply(
        lambda t: t.double() if t.is_floating_point() else t
    )
    method, ctx = set_up(world, model, batch, alpha=0.7)
    method.mean_score.copy_(torch.rand(count))
    means = method.mean_score.clone()
    found = gradients(method.loss(model(batch), batch, ctx), model)

    zeros = {m: torch.zeros_like(x) for m, x in batch.inputs.items()}
    read = {m: model.encoders[m](batch.inputs[m]) for m in inputs}
    blank = {m: model.encoders[m](zeros[m]) for m in inputs}
    fused = {s: model.head({m: (read if m in s else blank)[m] for m in inputs}, batch.present).fused
             for s in subsets(tuple(inputs))}  # fmt: skip
    responses = {m: shapley_value(m, fused, count) for m in inputs}
    scores = []
    for modality, own in responses.items():
        shown = batch.present[modality]
        scores.append(F.cross_entropy(own[shown], batch.label[shown]).detach())
    kappa = response_factors(torch.stack(scores), means, 0.7, 10.0)
    scaled = sum(Scaled.apply(o, k) for o, k in zip(responses.values(), kappa, strict=True))
    expected = gradients(F.cross_entropy(scaled, batch.label), model)
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], msg=name)


def test_additive_and_without_biases_an_encoder_is_scaled_by_its_coefficient(
    seed: int, world: SimpleNamespace
) -> None:
    model = world.model("concat", INPUTS).double()
    for encoder in model.encoders.values():
        for layer in (encoder.layers[0], encoder.layers[2]):
            layer.bias = None
    batch = world.batch(INPUTS).apply(lambda t: t.double() if t.is_floating_point() else t)
    method, ctx = set_up(world, model, batch, alpha=0.5)
    plain = gradients(F.cross_entropy(model(batch).fused, batch.label), model)
    output = model(batch)
    responses = method.responses(list(INPUTS), output, batch, ctx)
    kappa = response_factors(
        method.scores(list(INPUTS), responses, batch, ctx), torch.zeros(3), 0.5, 10.0
    )
    found = gradients(method.loss(output, batch, ctx), model)
    factors = {**dict(zip(INPUTS, kappa, strict=True)), "bias": kappa.mean()}
    for name, gradient in found.items():
        part = name.split(".")[
            1 if name.startswith("encoders") else -1 if name == "head.bias" else 2
        ]
        torch.testing.assert_close(gradient, factors[part] * plain[name], msg=name)


MANY = dict.fromkeys("abcdef", 3)


@pytest.mark.parametrize("head", ["concat", "sum"])
def test_many_modalities_of_a_sum_have_exact_responses(
    seed: int, world: SimpleNamespace, head: str
) -> None:
    model = world.model(head, MANY).double()
    batch = world.batch(MANY, absent={"b": [2], "e": [2, 5]}).apply(
        lambda t: t.double() if t.is_floating_point() else t
    )
    method, ctx = set_up(world, model, batch)
    output = model(batch)
    found = method.responses(list(MANY), output, batch, ctx)
    blank = method.blank(list(MANY), batch, ctx)[0]
    everywhere = torch.ones(8, dtype=torch.bool)
    fused = {
        s: fused_of(dict.fromkeys(s, everywhere), blank, output, batch, model)
        for s in subsets(tuple(MANY))
    }
    for modality, response in zip(MANY, found, strict=True):
        torch.testing.assert_close(response, shapley_value(modality, fused, len(MANY)))


def test_every_modality_has_each_place_equally_often_in_a_batch(seed: int) -> None:
    place = rotated(torch.randperm(5), torch.randperm(40))
    assert (place.sort(0).values == torch.arange(5).unsqueeze(1)).all()
    for of_modality in place:
        assert torch.bincount(of_modality, minlength=5).tolist() == [8] * 5


def test_orders_of_many_modalities_are_right_on_average(seed: int, world: SimpleNamespace) -> None:
    """Over all orders; every response adds to the prediction in each of them."""
    inputs = dict.fromkeys("abcde", 3)
    model = world.model("late", inputs).double()
    batch = world.batch(inputs, absent={"b": [2]}).apply(
        lambda t: t.double() if t.is_floating_point() else t
    )
    with pytest.warns(UserWarning, match="head Late would be read for 31 sets of 5 modalities"):
        method, ctx = set_up(world, model, batch)
    output = model(batch)
    blank = method.blank(list(inputs), batch, ctx)[0]
    levels = []
    total = torch.zeros(5, 8, world.classes, dtype=torch.float64)
    for order in permutations(range(5)):
        place = torch.tensor(order).unsqueeze(1).expand(-1, 8)
        levels = [
            fused_of(dict(zip(inputs, place < k, strict=True)), blank, output, batch, model)
            for k in range(6)
        ]
        total += ordered_responses(torch.stack(levels), place)
    everywhere = torch.ones(8, dtype=torch.bool)
    fused = {
        s: fused_of(dict.fromkeys(s, everywhere), blank, output, batch, model)
        for s in subsets(tuple(inputs))
    }
    for modality, response in zip(inputs, total / 120, strict=True):
        torch.testing.assert_close(response, shapley_value(modality, fused, 5))
    one = method.responses(list(inputs), output, batch, ctx)
    torch.testing.assert_close(one.sum(0), output.fused)
    assert not torch.allclose(one, total / 120)


@pytest.mark.parametrize("scale", [0.1, 30.0])
def test_a_large_gradient_of_the_head_is_clipped(
    seed: int, world: SimpleNamespace, scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = world.model("concat", INPUTS)
    batch = world.batch(INPUTS)
    with torch.no_grad():
        for encoder in model.encoders.values():
            encoder.layers[2].weight.mul_(scale)
    found = {}
    for clip in (0.0, 0.01):
        method, ctx = set_up(world, model, batch, clip=clip)
        monkeypatch.setattr(ctx, "update", lambda: None)
        model.zero_grad()
        method.step(batch, ctx)
        found[clip] = {name: p.grad.clone() for name, p in model.named_parameters()}
    of_head = max(float(g.abs().max()) for n, g in found[0.0].items() if n.startswith("head"))
    norm = math.sqrt(sum(float(g.square().sum()) for g in found[0.0].values()))
    assert (of_head > 1) == (scale > 1)
    factor = 0.01 / norm if scale > 1 else 1.0
    for name, gradient in found[0.01].items():
        torch.testing.assert_close(gradient, factor * found[0.0][name], msg=name)


def test_remembers_the_mean_of_all_scores(seed: int, world: SimpleNamespace) -> None:
    model = world.model("concat", INPUTS)
    batches = [
        world.batch(INPUTS),
        world.batch(INPUTS, absent={"c": list(range(8))}),
        world.batch(INPUTS),
    ]
    ctx = world.context(model, batches)
    method = AGM()
    method.setup(ctx)
    seen: dict[str, list[float]] = {m: [] for m in INPUTS}
    for batch in batches:
        shown = [m for m in INPUTS if batch.counts[m]]
        own = method.responses(shown, model(batch), batch, ctx)
        for modality, score in zip(shown, method.scores(shown, own, batch, ctx), strict=True):
            seen[modality].append(float(score))
        method.step(batch, ctx)
    assert method.mean_score.tolist() == pytest.approx(
        [sum(v) / len(v) for v in seen.values()], rel=1e-5
    )
    assert method.steps.tolist() == [3, 3, 2]


@pytest.mark.parametrize("count", [2, 3])
def test_the_first_step_compares_with_equal_means(
    seed: int, world: SimpleNamespace, count: int
) -> None:
    inputs = dict(list(INPUTS.items())[:count])
    method, ctx = set_up(world, world.model("concat", inputs), None, alpha=0.3)
    scores = torch.rand(count)
    torch.testing.assert_close(
        method.factors(list(inputs), scores, ctx),
        torch.exp(0.3 * (1 - relative(scores)).clamp_max(10)),
    )


@pytest.mark.parametrize("late", ["a", "b", "c"])
def test_a_modality_that_appears_late_changes_nothing_where_no_score_has_changed(
    seed: int, world: SimpleNamespace, late: str
) -> None:
    """By its first score, and not by a mean of 0, which would be the strongest there is."""
    method, ctx = set_up(world, world.model("concat", INPUTS), None)
    scores = dict(zip(INPUTS, 3 * torch.rand(3), strict=True))
    early = [m for m in INPUTS if m != late]
    for shown in (early, early, list(INPUTS), list(INPUTS)):
        first = not method.steps.any()
        kappa = method.factors(shown, torch.stack([scores[m] for m in shown]), ctx)
        if not first:
            torch.testing.assert_close(kappa, torch.ones(len(shown)))
    assert method.steps.tolist() == [2 if m == late else 4 for m in INPUTS]
    torch.testing.assert_close(method.mean_score, torch.stack(list(scores.values())))


def test_passes_of_zeros_leave_running_statistics_alone(seed: int, world: SimpleNamespace) -> None:
    model = world.model("concat", INPUTS)
    for encoder in model.encoders.values():
        encoder.layers.append(nn.BatchNorm1d(5))
    other = copy.deepcopy(model)
    batch = world.batch(INPUTS)
    world.train(AGM(), world.context(model, [batch]))
    world.train("joint", world.context(other, [batch]))
    for name, value in model.named_buffers():
        assert torch.equal(value, dict(other.named_buffers())[name]), name
    assert model.encoders["a"].training


def test_passes_of_zeros_drop_nothing_out(seed: int, world: SimpleNamespace) -> None:
    model = world.model("concat", INPUTS)
    for encoder in model.encoders.values():
        encoder.layers.append(nn.Dropout(0.5))
    batch = world.batch(INPUTS, absent={"c": list(range(8))})
    method, ctx = set_up(world, model, batch)
    first, second = (method.blank(["a", "b"], batch, ctx)[0] for _ in range(2))
    assert list(first) == ["a", "b"]
    assert all(torch.equal(first[m], second[m]) and first[m].shape == (1, 5) for m in first)
    assert model.training


def test_outside_the_window_it_is_joint_training(seed: int, world: SimpleNamespace) -> None:
    model = world.model("concat", INPUTS)
    batch = world.batch(INPUTS)
    method, ctx = set_up(world, model, batch, window=[1, 2])
    output = model(batch)
    expected = F.cross_entropy(output.fused, batch.label)
    torch.testing.assert_close(method.loss(output, batch, ctx), expected)
    assert method.steps.sum() == 0
    ctx.position.epoch = 2
    plain = gradients(expected, model)
    changed = gradients(method.loss(model(batch), batch, ctx), model)
    assert any(not torch.allclose(changed[name], gradient) for name, gradient in plain.items())


def test_warns_under_adam_and_refuses_bad_windows(world: SimpleNamespace) -> None:
    with pytest.warns(UserWarning, match="method 'agm' scales gradients, and adam divides"):
        AGM().setup(world.context(world.model("concat", INPUTS), [], name="adam"))
    with pytest.raises(ConfigError, match="'window' must be"):
        AGM(window=[3, 1])
