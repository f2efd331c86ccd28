"""CGGM: the factors with and without limits, the direction, and what each loss trains."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from equipoise.batch import Batch
from equipoise.errors import ConfigError
from equipoise.methods.balance.cggm import CGGM, direction, factors

INPUTS = {"a": 3, "b": 4, "c": 2}


def of(*gain: float, stabilised: bool = True) -> list[float]:
    return factors(torch.tensor(gain, dtype=torch.float64), stabilised).tolist()


@pytest.mark.parametrize("stabilised", [True, False])
def test_factors_worked_out_by_hand(stabilised: bool) -> None:
    assert of(0.2, 0.1, stabilised=stabilised) == pytest.approx([1 / 3, 2 / 3])
    assert of(0.2, 0.1, 0.0, stabilised=stabilised) == pytest.approx([1 / 3, 2 / 3, 1.0])
    found = [1.3 * k for k in of(0.2, 0.1, stabilised=stabilised)]
    assert found == pytest.approx([0.433333, 0.866667], abs=1e-6)


def test_factors_stay_within_limits_where_the_published_ones_explode() -> None:
    assert abs(of(0.1, -0.1, stabilised=False)[1]) > 1e6
    assert of(0.1, -0.1) == [0.5, 0.5]
    assert of(-0.1, -0.2) == [0.5, 0.5]
    assert of(0.3, -0.2) == [0.0, 2.0]
    assert of(0.0, 0.0, 0.0) == pytest.approx([2 / 3] * 3)


def test_direction_worked_out_by_hand() -> None:
    k = torch.tensor([1 / 3, 2 / 3], dtype=torch.float64)
    found = direction(k, torch.tensor([0.6, 0.0], dtype=torch.float64)).item()
    assert found == pytest.approx(0.4)
    assert direction(k, torch.ones(2, dtype=torch.float64)).item() == pytest.approx(0)


def double(batch: Batch) -> Batch:
    return batch.apply(lambda t: t.double() if t.is_floating_point() else t)


@pytest.mark.parametrize("stabilised", [True, False])
@pytest.mark.parametrize("names", ["ab", "abc"])
def test_each_part_is_trained_by_its_own_loss_and_encoders_are_multiplied(
    seed: int, world: SimpleNamespace, names: str, stabilised: bool
) -> None:
    inputs = {m: INPUTS[m] for m in names}
    model = world.model("auxiliary", inputs).double()
    batch = double(world.batch(inputs, absent={"b": [1, 4]}))
    ctx = world.context(model, [batch])
    method = CGGM(1.3, 0.4, stabilised)
    method.setup(ctx)
    method.accuracy.fill_(0.05)
    method.factor.copy_(torch.rand(len(names)))
    k = method.factor.clone()
    output = model(batch)
    there = {m: batch.present[m] for m in names}
    gain = []
    for m in names:
        right = (output.logits[m].argmax(1) == batch.label)[there[m]].double().mean()
        gain.append((right - 0.05) * (0.1 if stabilised else 1.0))
    new = factors(torch.stack(gain), stabilised)
    fused = F.cross_entropy(output.fused, batch.label)
    blocks = model.head.blocks
    cosines = torch.stack(
        [
            F.cosine_similarity(blocks[m].own.weight.flatten(), blocks[m].weight.flatten(), dim=0)
            for m in names
        ]
    )
    apart = 0.4 * (k.abs() - k * cosines).sum() / len(names)
    expected = {}
    for number, m in enumerate(names):
        for name, p in model.encoders[m].named_parameters():
            (g,) = torch.autograd.grad(fused, [p], retain_graph=True)
            expected[f"encoders.{m}.{name}"] = 1.3 * new[number] * g
        (g,) = torch.autograd.grad(fused + apart, [blocks[m].weight], retain_graph=True)
        expected[f"head.blocks.{m}.weight"] = g
        own = F.cross_entropy(output.logits[m][there[m]], batch.label[there[m]])
        (g,) = torch.autograd.grad(own, [blocks[m].own.weight], retain_graph=True)
        expected[f"head.blocks.{m}.own.weight"] = g
    ctx.update = lambda: None
    method.step(batch, ctx)
    found = dict(model.named_parameters())
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name].grad, gradient)
    torch.testing.assert_close(method.factor, new)


def test_a_modality_that_the_batch_lacks_keeps_its_accuracy(
    seed: int, world: SimpleNamespace
) -> None:
    batch = world.batch(INPUTS, absent={"b": list(range(8))})
    ctx = world.context(world.model("auxiliary", INPUTS), [batch])
    method = CGGM()
    method.setup(ctx)
    method.accuracy.fill_(0.3)
    method.factor.fill_(0.7)
    method.step(batch, ctx)
    assert method.accuracy[1].item() == pytest.approx(0.3)
    assert method.factor[1].item() == pytest.approx(0.7)


def test_warns_under_adam_and_asks_for_its_head(world: SimpleNamespace) -> None:
    model = world.model("auxiliary", INPUTS)
    with pytest.warns(UserWarning, match="use optimiser 'sgd'"):
        CGGM().setup(world.context(model, [], name="adamw"))
    for head in ("concat", "vote"):
        with pytest.raises(ConfigError, match="use head 'auxiliary'"):
            CGGM().setup(world.context(world.model(head, INPUTS), []))
    with pytest.raises(ConfigError, match="CGGM: 'rho' must be at least 0"):
        CGGM(rho=-1.0)
