"""Mixup of one modality: who is blended with whom, in which fractions, and what it costs."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats
from torch.nn import functional as F

from equipoise.methods.balance.mie import mixup

INPUTS = {"a": 3, "b": 4, "c": 2}


def partners(batch: object, blended: torch.Tensor, fraction: float) -> list[int]:
    """The row each sample was blended with, found by solving for it."""
    own = batch.inputs["a"]
    other = (blended - fraction * own) / (1 - fraction)
    return torch.cdist(other, own).argmin(1).tolist()


@pytest.mark.parametrize("strength", [0.3, 1.0, 4.0])
def test_rows_are_blended_with_a_permutation_by_one_fraction(
    seed: int, world: SimpleNamespace, strength: float
) -> None:
    batch = world.batch(INPUTS)
    ctx = world.context(world.model("late", INPUTS), [batch])
    ctx.rng.manual_seed(seed)
    blend = mixup("a", batch, strength, ctx)
    fraction = float(blend.fraction[0])
    assert torch.equal(blend.fraction, torch.full((8,), fraction))
    if fraction < 0.99:
        order = partners(batch, blend.batch.inputs["a"], fraction)
        assert sorted(order) == list(range(8))
        assert torch.equal(blend.partner_label, batch.label[order])
        expected = fraction * batch.inputs["a"] + (1 - fraction) * batch.inputs["a"][order]
        torch.testing.assert_close(blend.batch.inputs["a"], expected)
    for m in ("b", "c"):
        assert torch.equal(blend.batch.inputs[m], batch.inputs[m])


def test_the_loss_blends_the_labels_as_the_inputs(seed: int, world: SimpleNamespace) -> None:
    model = world.model("late", INPUTS)
    batch = world.batch(INPUTS)
    ctx = world.context(model, [batch])
    blend = mixup("a", batch, 1.0, ctx)
    output = model(blend.batch)
    fraction = float(blend.fraction[0])
    soft = fraction * F.one_hot(batch.label, 4) + (1 - fraction) * F.one_hot(blend.partner_label, 4)
    torch.testing.assert_close(
        blend.loss("a", output, ctx), F.cross_entropy(output.logits["a"], soft)
    )


def test_fractions_follow_the_beta_distribution(seed: int, world: SimpleNamespace) -> None:
    batch = world.batch(INPUTS, rows=2)
    ctx = world.context(world.model("late", INPUTS), [batch])
    ctx.rng.manual_seed(seed)
    drawn = [float(mixup("a", batch, 0.5, ctx).fraction[0]) for _ in range(400)]
    assert stats.kstest(drawn, stats.beta(0.5, 0.5).cdf).pvalue > 1e-5


def test_absent_rows_are_neither_blended_nor_partners(seed: int, world: SimpleNamespace) -> None:
    absent = [0, 3, 4]
    batch = world.batch(INPUTS, absent={"a": absent})
    marked = {**batch.inputs, "a": torch.where(batch.present["a"][:, None], batch.inputs["a"], 1e6)}
    ctx = world.context(world.model("late", INPUTS), [batch])
    blend = mixup("a", replace(batch, inputs=marked), 1.0, ctx)
    assert (blend.fraction[absent] == 1).all()
    assert bool((blend.batch.inputs["a"][batch.present["a"]].abs() < 100).all())
    changed = (blend.batch.inputs["a"] != batch.inputs["a"]).any(1) & batch.present["a"]
    assert not changed[blend.fraction == 1].any()


def test_strength_zero_leaves_the_batch_and_the_draws_alone(
    seed: int, world: SimpleNamespace
) -> None:
    batch = world.batch(INPUTS)
    ctx = world.context(world.model("late", INPUTS), [batch])
    state = ctx.rng.get_state()
    blend = mixup("a", batch, 0.0, ctx)
    assert blend.batch is batch
    assert torch.equal(blend.fraction, torch.ones(8))
    assert torch.equal(ctx.rng.get_state(), state)


def test_every_named_tensor_of_a_modality_is_blended_alike(
    seed: int, world: SimpleNamespace
) -> None:
    batch = world.batch(INPUTS)
    twice = {"x": batch.inputs["a"], "y": 2 * batch.inputs["a"].double()}
    ctx = world.context(world.model("late", INPUTS), [batch])
    blend = mixup("a", replace(batch, inputs={**batch.inputs, "a": twice}), 1.0, ctx)
    x, y = blend.batch.inputs["a"].values()
    assert (x.dtype, y.dtype) == (torch.float32, torch.float64)
    np.testing.assert_allclose(y.numpy(), 2 * x.numpy(), rtol=1e-5, atol=1e-6)


def text(rows: int = 8) -> torch.Tensor:
    return torch.randint(1, 50, (rows, 6))


@pytest.mark.parametrize("masked", [False, True])
def test_token_ids_are_not_mixed_nor_their_labels(
    seed: int, world: SimpleNamespace, masked: bool
) -> None:
    batch, ids = world.batch(INPUTS), text()
    batch = replace(
        batch, inputs={**batch.inputs, "a": {"ids": ids, "mask": ids > 25} if masked else ids}
    )
    ctx = world.context(world.model("late", INPUTS), [batch])
    state = ctx.rng.get_state()
    blend = mixup("a", batch, 1.0, ctx)
    assert blend.batch is batch
    assert torch.equal(blend.partner_label, batch.label)
    assert torch.equal(blend.fraction, torch.ones(8))
    assert torch.equal(ctx.rng.get_state(), state)


def test_beside_numbers_ids_and_masks_stay_as_they_are(seed: int, world: SimpleNamespace) -> None:
    batch = world.batch(INPUTS)
    mixed = {"x": batch.inputs["a"], "ids": text(), "mask": torch.rand(8, 6) < 0.5}
    ctx = world.context(world.model("late", INPUTS), [batch])
    ctx.rng.manual_seed(seed)
    blend = mixup("a", replace(batch, inputs={**batch.inputs, "a": mixed}), 1.0, ctx)
    found = blend.batch.inputs["a"]
    assert found["ids"] is mixed["ids"]
    assert found["mask"] is mixed["mask"]
    assert (found["x"] != mixed["x"]).any()
