"""CML: shrinking sets, rises of confidence, and the loss against a loop over the samples."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from equipoise.errors import ConfigError
from equipoise.methods.balance.cml import CML, chain, rises

INPUTS = {"a": 3, "b": 4, "c": 2}


def double(batch: object) -> object:
    return batch.apply(lambda t: t.double() if t.is_floating_point() else t)  # type: ignore[attr-defined]


def looped(
    model: torch.nn.Module, batch: object, sets: list[tuple[str, ...]], weight: float, where: str
) -> float:
    """The loss one sample and one set at a time, for the head concat."""
    z, blocks, bias = model(batch).features, model.head.blocks, model.head.bias
    entropy: list[list[float]] = [[] for _ in sets]
    risen: list[list[float]] = [[] for _ in sets]
    for i, label in enumerate(batch.label.tolist()):  # type: ignore[attr-defined]
        before = None
        for j, kept in enumerate(sets):
            there = [m for m in kept if batch.present[m][i]]  # type: ignore[attr-defined]
            if not there:
                break
            logits = sum(z[m][i] @ blocks[m].weight.T for m in there) + bias
            p = logits.softmax(0)
            entropy[j].append(-p[label].log().item())
            if before is not None:
                counts = where == "all" or int(before.argmax()) == label
                risen[j].append(max(0.0, (p.max() - before.max()).item()) if counts else 0.0)
            before = p
    calibration = sum(sum(r) / len(r) for r in risen[1:])
    return sum(sum(e) / len(e) for e in entropy) / len(sets) + weight * calibration


@pytest.mark.parametrize("where", ["all", "correct"])
@pytest.mark.parametrize("names", ["ab", "abc"])
def test_loss_is_that_of_the_loop_over_samples_and_sets(
    seed: int, world: SimpleNamespace, names: str, where: str
) -> None:
    inputs = {m: INPUTS[m] for m in names}
    model = world.model("concat", inputs).double()
    model.head.bias.data.mul_(20)  # so that a sample with nothing left would look confident
    batch = double(world.batch(inputs, rows=12, absent={"a": [0, 3], "b": [1]}))
    ctx = world.context(model, [batch])
    method = CML(weight=0.7, where=where)
    for _ in range(4):
        state = ctx.rng.get_state()
        sets = chain(ctx.training, ctx)
        ctx.rng.set_state(state)
        found = method.loss(model(batch), batch, ctx).item()
        assert found == pytest.approx(looped(model, batch, sets, 0.7, where), rel=1e-9)


def test_without_weight_it_is_the_mean_cross_entropy_over_the_chain(
    seed: int, world: SimpleNamespace
) -> None:
    model = world.model("concat", {"a": 3, "b": 4}).double()
    batch = double(world.batch({"a": 3, "b": 4}))
    ctx = world.context(model, [batch])
    output = model(batch)
    state = ctx.rng.get_state()
    gone = ({"a", "b"} - set(chain(ctx.training, ctx)[1])).pop()
    ctx.rng.set_state(state)
    alone = output.fused - output.logits[gone] + model.head.bias / 2  # the bias stays whole
    expected = (
        F.cross_entropy(output.fused, batch.label) + F.cross_entropy(alone, batch.label)
    ) / 2
    torch.testing.assert_close(CML(weight=0.0).loss(output, batch, ctx), expected)


def test_rises_worked_out_by_hand() -> None:
    def logits(p: float) -> torch.Tensor:
        return torch.tensor([[math.log(p), math.log(1 - p)]], dtype=torch.float64)

    assert float(rises(logits(0.6), logits(0.9))) == pytest.approx(0.3)
    assert float(rises(logits(0.9), logits(0.6))) == 0.0
    assert float(rises(logits(0.2), logits(0.7))) == 0.0  # 0.8 for the other class


def test_calibration_is_a_mean_over_samples(seed: int, world: SimpleNamespace) -> None:
    batch = world.batch(INPUTS)
    ctx = world.context(world.model("concat", INPUTS), [batch])
    larger, smaller = torch.randn(2, 8, 4, dtype=torch.float64) * 3
    some = torch.arange(8) > 2
    risen = rises(larger, smaller)
    found = CML(where="all").calibration(larger, smaller, some, batch, ctx)
    torch.testing.assert_close(found, risen[some].mean())
    right = larger.argmax(1) == batch.label
    found = CML().calibration(larger, smaller, some, batch, ctx)
    torch.testing.assert_close(found, (risen * right)[some].mean())


def test_the_chain_shrinks_by_one_whatever_the_order_of_declaration(
    seed: int, world: SimpleNamespace
) -> None:
    ctx = world.context(world.model("concat", INPUTS), [])
    seen = set()
    for _ in range(60):
        state = ctx.rng.get_state()
        sets = chain(("a", "b", "c"), ctx)
        ctx.rng.set_state(state)
        assert [set(s) for s in chain(("c", "a", "b"), ctx)] == [set(s) for s in sets]
        assert [len(s) for s in sets] == [3, 2, 1]
        assert set(sets[2]) < set(sets[1]) < set(sets[0])
        seen.add(tuple(sets))
    assert len(seen) == 6


def test_head_that_does_not_decompose_is_welcome(seed: int, world: SimpleNamespace) -> None:
    model = world.model("late", INPUTS)
    batch = world.batch(INPUTS, absent={"b": list(range(8))})
    CML().loss(model(batch), batch, world.context(model, [batch])).backward()
    assert all(p.grad is None for p in (*model.group("b").encoder, *model.group("b").head))
    assert all(p.grad is not None for p in (*model.group("a").encoder, *model.group("a").head))


@pytest.mark.parametrize("options", [{"weight": -0.1}, {"weight": math.nan}, {"where": "wrong"}])
def test_refuses_bad_options(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"CML: '{next(iter(options))}' must be"):
        CML(**options)  # type: ignore[arg-type]
