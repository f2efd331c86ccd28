"""AMCo: the mass of a modality, the growing mask, and the loss on masked logits."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from equipoise.errors import ConfigError
from equipoise.methods.balance.amco import AMCo, default_threshold, masked_count, masses
from equipoise.methods.parts.auxiliary import auxiliary_loss
from equipoise.training.position import Position

INPUTS = {"a": 3, "b": 4, "c": 2}


def build(world: SimpleNamespace, batch: object, **options: float) -> tuple[AMCo, object, object]:
    """A method that is set up, its context late in epoch 1, and the model's output."""
    ctx = world.context(world.model("mixed-sum", INPUTS), [batch])
    ctx.position = Position(epoch=1, batch=50)
    method = AMCo(**options)
    method.setup(ctx)
    return method, ctx, ctx.model(batch)


def test_masses_are_blocks_of_one_softmax(seed: int) -> None:
    logits = torch.randn(3, 7, 4, dtype=torch.float64)
    present = torch.rand(3, 7) > 0.4
    present[0] = True
    found = masses(logits, present)
    for i in range(7):
        there = [m for m in range(3) if present[m, i]]
        blocks = torch.cat([logits[m, i] for m in there]).softmax(0).view(len(there), 4).sum(1)
        torch.testing.assert_close(found[there, i], blocks)
    torch.testing.assert_close(found.sum(0), torch.ones(7, dtype=torch.float64))
    assert not found[~present].any()


def test_the_mask_grows_within_an_epoch() -> None:
    assert [masked_count(0, b, 0.3, 8) for b in (0, 1, 100)] == [0, 0, 0]
    assert [masked_count(1, b, 0.3, 8) for b in range(5)] == [
        0,
        4,
        6,
        8,
        8,
    ]  # sin π/6 = 1/2, sin π/3 = 0.87
    assert masked_count(3, 1, 0.3, 8) == 8
    assert masked_count(2, 1, 0.4, 100) == math.floor(100 * math.sin(math.pi / 4))


def test_a_dependent_modality_loses_all_its_classes_in_the_end(
    seed: int, world: SimpleNamespace
) -> None:
    batch = world.batch(INPUTS)
    method, ctx, output = build(world, batch, threshold=0.5)
    method.dependence.copy_(torch.tensor([0.2, 0.6, 0.2]))
    mix, own = ctx.model.head.mix, output.logits
    fused = (own["a"] + own["c"]) @ mix.weight.T + mix.bias
    expected = F.cross_entropy(fused, batch.label) + math.log(world.classes)
    expected = expected + sum(F.cross_entropy(own[m], batch.label) for m in "ac")
    loss = method.loss(output, batch, ctx)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert not any(
        p.grad.any() for p in (*ctx.model.group("b").encoder, *ctx.model.group("b").head)
    )


def test_a_partial_mask_hides_the_same_classes_of_every_dependent_modality(
    seed: int, world: SimpleNamespace
) -> None:
    batch = world.batch(INPUTS)
    method, ctx, output = build(world, batch, threshold=0.3, ramp=0.3)
    ctx.position.batch = 2
    method.dependence.copy_(torch.tensor([0.45, 0.2, 0.35]))
    count = masked_count(1, 2, 0.3, world.classes)
    assert 0 < count < world.classes
    hidden = set()
    for _ in range(20):
        shown = method.shown(output, batch, ctx)
        gone = {m: (shown.logits[m] == 0) for m in INPUTS}
        assert torch.equal(gone["a"], gone["c"])
        assert int(gone["a"][0].sum()) == count
        assert torch.equal(gone["a"], gone["a"][:1].expand_as(gone["a"]))
        assert torch.equal(shown.logits["b"], output.logits["b"])
        hidden.add(tuple(gone["a"][0].tolist()))
    assert len(hidden) > 1


def test_a_threshold_of_one_never_masks(seed: int, world: SimpleNamespace) -> None:
    batch = world.batch(INPUTS, absent={"a": [1, 2]})
    method, ctx, output = build(world, batch, threshold=1.0)
    method.dependence.copy_(torch.tensor([1.0, 0.0, 0.0]))
    plain = auxiliary_loss(dict.fromkeys(INPUTS, 1.0), output, batch, ctx)
    torch.testing.assert_close(method.loss(output, batch, ctx), plain)


def test_the_default_threshold_is_above_an_equal_mass(seed: int, world: SimpleNamespace) -> None:
    assert [default_threshold(count) for count in (1, 2)] == pytest.approx([1, 0.6])
    batch = world.batch(INPUTS)
    method, ctx, output = build(world, batch)
    for largest, masked in ((0.46, False), (0.47, True)):  # 1/3 + 2/15
        method.dependence.copy_(torch.tensor([largest, 0.3, 0.2]))
        shown = method.shown(output, batch, ctx)
        assert [bool(shown.logits[m].any()) for m in INPUTS] == [not masked, True, True]


def test_dependence_is_remembered_from_the_masked_logits(seed: int, world: SimpleNamespace) -> None:
    batch = world.batch(INPUTS, absent={"a": [0, 2], "b": [1, 2], "c": [3]})
    method, ctx, output = build(world, batch)
    method.dependence.copy_(torch.tensor([0.9, 0.1, 0.0]))  # all classes of a are masked
    method.loss(output, batch, ctx)
    read = {**output.logits, "a": torch.zeros_like(output.logits["a"])}
    found = masses(torch.stack(list(read.values())), torch.stack(list(batch.present.values())))
    expected = found[:, [0, 1, 3, 4, 5, 6, 7]].mean(1)  # all but the sample with c alone
    torch.testing.assert_close(method.dependence, expected)
    assert float(method.dependence.sum()) == pytest.approx(1)
    assert not method.dependence.requires_grad


def test_samples_of_one_modality_say_nothing_about_dependence(
    seed: int, world: SimpleNamespace
) -> None:
    batch = world.batch(INPUTS, absent={"b": list(range(8)), "c": list(range(8))})
    method, ctx, output = build(world, batch)
    method.loss(output, batch, ctx)
    assert method.dependence.tolist() == [0, 0, 0]


def test_nothing_is_masked_in_the_first_batch(seed: int, world: SimpleNamespace) -> None:
    batch = world.batch(INPUTS)
    method, ctx, output = build(world, batch)
    shown = method.shown(output, batch, ctx)
    torch.testing.assert_close(shown.fused, output.fused)


@pytest.mark.parametrize("head", ["concat", "auxiliary"])
def test_wants_logits_that_meet(world: SimpleNamespace, head: str) -> None:
    with pytest.raises(ConfigError, match="use head"):
        AMCo().setup(world.context(world.model(head, INPUTS), []))


@pytest.mark.parametrize(
    "options",
    [
        {"threshold": 0.0},
        {"threshold": 1.5},
        {"threshold": "most"},
        {"ramp": 0.0},
        {"ramp": math.nan},
    ],
)
def test_refuses_bad_options(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"AMCo: '{next(iter(options))}' must be"):
        AMCo(**options)  # type: ignore[arg-type]
