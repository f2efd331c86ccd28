"""Greedy: the speeds by hand, when and for how long a branch is cared for, and its input then."""

from __future__ import annotations

import copy
import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from equipoise.errors import ConfigError
from equipoise.methods.balance.greedy import Greedy, bypass_rates, neediest, speed

INPUTS = {"a": 3, "b": 4, "c": 2}


def set_up(
    world: SimpleNamespace, inputs: dict[str, int] = INPUTS, **options: object
) -> tuple[Greedy, object]:
    batches = [world.batch(inputs, rows=12, absent={"b": [1, 5]}) for _ in range(12)]
    ctx = world.context(world.model("channel", inputs), batches)
    method = Greedy(**options)  # type: ignore[arg-type]
    method.setup(ctx)
    return method, ctx


def test_speed_by_hand() -> None:
    parameters = [nn.Parameter(torch.tensor([3.0, 4.0])), nn.Parameter(torch.tensor([[5.0]]))]
    assert float(speed(parameters)) == 0
    parameters[0].grad = torch.tensor([1.0, 3.0])
    assert float(speed(parameters)) == pytest.approx(10 / 50)


def test_who_is_cared_for() -> None:
    rates = bypass_rates(torch.tensor([1.0, 100.0, 10.0]), torch.tensor([1.0, 1.0, 1.0]))
    assert rates.tolist() == pytest.approx([0.0, 2.0, 1.0])
    assert neediest(rates, 1.9).tolist() == [False, True, False]
    assert not neediest(rates, 2.1).any()
    assert not neediest(rates, math.inf).any()
    two = bypass_rates(torch.tensor([1.0, 10.0, 0.0]), torch.tensor([1.0, 1.0, 0.0]))
    assert neediest(two, 0.5).tolist() == [False, True, False]
    assert neediest(rates[[1, 0]], 0.1).tolist() == [True, False]


@pytest.mark.parametrize("count", [2, 3])
def test_sums_are_those_of_bypass_and_main(seed: int, world: SimpleNamespace, count: int) -> None:
    method, ctx = set_up(world, dict(list(INPUTS.items())[:count]), tolerance=math.inf)
    head, expected = ctx.model.head, torch.zeros(2, count)
    for batch in ctx.train.all[:3]:
        twin = copy.deepcopy(ctx.model)
        logits = twin.head.branches(twin(batch).features, batch.present)
        sum(
            F.cross_entropy(v[batch.present[m]], batch.label[batch.present[m]])
            for m, v in logits.items()
        ).backward()
        for number, m in enumerate(head.modalities):
            block = twin.head.blocks[m]
            for row, modules in enumerate(
                ([twin.head.squeeze, block["excitation"]], [twin.encoders[m], block["classifier"]])
            ):
                parameters = [p for module in modules for p in module.parameters()]
                moved = sum(float(p.grad.square().sum()) for p in parameters)
                expected[row, number] += moved / sum(
                    float(p.detach().square().sum()) for p in parameters
                )
        method.step(batch, ctx)
    torch.testing.assert_close(
        torch.stack([method.bypass, method.main]), expected, rtol=1e-4, atol=1e-8
    )


def test_a_branch_is_cared_for_exactly_so_many_steps(seed: int, world: SimpleNamespace) -> None:
    method, ctx = set_up(world, tolerance=0.0, hold=3, start_epoch=0)
    cared, sums = [], []
    for batch in ctx.train.all:
        before = method.bypass.clone()
        cared.append(bool(method.caring.any()))
        assert method.caring.sum() <= 1
        method.step(batch, ctx)
        sums.append(not torch.equal(before, method.bypass))
    assert cared == [False, True, True, True] * 3
    assert sums == [not c for c in cared]


def test_nobody_is_cared_for_before_the_start_epoch(seed: int, world: SimpleNamespace) -> None:
    method, ctx = set_up(world, tolerance=0.0, start_epoch=2)
    for batch in ctx.train.all:
        method.step(batch, ctx)
        assert not method.caring.any()
    ctx.position.epoch = 2
    method.step(ctx.train.all[0], ctx)
    rates = bypass_rates(method.bypass, method.main)
    assert method.caring.tolist() == [bool(r == rates.max()) for r in rates]


def test_who_is_cared_for_sees_its_own_input_only(seed: int, world: SimpleNamespace) -> None:
    method, ctx = set_up(world)
    batch, model = world.batch(INPUTS), ctx.model
    method.gate_mean.uniform_()
    seen: list[dict[str, torch.Tensor]] = []
    classify = model.head.classify
    model.head.classify = lambda features, gates: seen.append(classify(features, gates)) or seen[-1]
    for caring in (True, False):
        method.caring[1] = caring
        seen.clear()
        inputs = {m: x.clone().requires_grad_() for m, x in batch.inputs.items()}
        shown = type(batch)(inputs, batch.present, batch.label, batch.index)
        method.loss(model(shown), shown, ctx)
        logits = seen[-1]  # of the loss; the model's own pass came before
        if caring:
            mean = method.gate_mean.split([5, 5, 5])[1]
            z = model.encoders["b"](shown.inputs["b"])
            torch.testing.assert_close(logits["b"], model.head.blocks["b"]["classifier"](mean * z))
        crossed = torch.autograd.grad(logits["b"].sum(), inputs["a"], retain_graph=True)[0]
        assert bool(crossed.any()) != caring
        assert torch.autograd.grad(logits["b"].sum(), inputs["b"], retain_graph=True)[0].any()
        assert torch.autograd.grad(logits["a"].sum(), inputs["b"])[0].any()


def test_a_held_gate_is_the_mean_of_all_gates(seed: int, world: SimpleNamespace) -> None:
    method, ctx = set_up(world, tolerance=0.0, start_epoch=0, hold=2)
    means: dict[str, list[torch.Tensor]] = {m: [] for m in INPUTS}
    for batch in ctx.train.all[:5]:
        with torch.no_grad():
            gates = ctx.model.head.gates(ctx.model(batch).features, batch.present)
        for m, gate in gates.items():
            assert bool(((gate > 0) & (gate < 2)).all())
            means[m].append(gate[batch.present[m]].mean(0))
        method.step(batch, ctx)
    expected = torch.cat([torch.stack(v).mean(0) for v in means.values()])
    torch.testing.assert_close(method.gate_mean, expected, rtol=1e-4, atol=1e-6)


def test_with_an_infinite_tolerance_the_branches_train_as_they_are(
    seed: int, world: SimpleNamespace
) -> None:
    method, ctx = set_up(world, tolerance=math.inf, start_epoch=0)
    twin = copy.deepcopy(ctx.model)
    optimiser = torch.optim.SGD(twin.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    for batch in ctx.train.all[:4]:
        for name, squeeze in ctx.model.head.named_buffers():
            twin.head.get_buffer(name).copy_(squeeze)
        logits = twin.head.branches(twin(batch).features, batch.present)
        optimiser.zero_grad()
        sum(
            F.cross_entropy(v[batch.present[m]], batch.label[batch.present[m]])
            for m, v in logits.items()
        ).backward()
        optimiser.step()
        method.step(batch, ctx)
    for p, q in zip(ctx.model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-4, atol=1e-5)


def test_the_means_that_stand_for_absent_squeezes_move(seed: int, world: SimpleNamespace) -> None:
    """As under method `channel`: what one modality alone predicts is read with them."""
    method, ctx = set_up(world)
    batch, head = ctx.train.all[0], ctx.model.head
    features = ctx.model(batch).features
    method.step(batch, ctx)
    for m, z in features.items():
        torch.testing.assert_close(head.get_buffer(f"mean_{m}"), 0.1 * z[batch.present[m]].mean(0))


@pytest.mark.parametrize(
    "wrong", [{"hold": 1.5}, {"hold": 0}, {"start_epoch": 0.5}, {"tolerance": -1.0}]
)
def test_refuses_bad_options(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"Greedy: '{next(iter(wrong))}' must be"):
        Greedy(**wrong)  # type: ignore[arg-type]


def test_wants_gates(world: SimpleNamespace) -> None:
    with pytest.raises(ConfigError, match="use head 'channel'"):
        Greedy().setup(world.context(world.model("concat", INPUTS), []))
