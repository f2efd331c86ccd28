"""G-Blend: the weights as a closed form, and estimates that leave the training alone."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from equipoise.errors import ConfigError
from equipoise.methods import METHODS
from equipoise.methods.balance.g_blend import GBlend, blend, measured
from equipoise.methods.baselines.unimodal import Unimodal
from equipoise.testing.world import World, differing, snapshot
from equipoise.training.phase import Phase
from equipoise.training.trial import fork, try_out

INPUTS = {"a": 3, "b": 4, "c": 2}


def test_weights_by_hand() -> None:
    before = torch.tensor([[1.0, 1.0], [1.0, 1.2]], dtype=torch.float64)  # train, held out
    after = torch.tensor([[0.5, 0.2], [0.8, 0.8]], dtype=torch.float64)
    # gains 0.2 and 0.4; overfitting grows by 0.3 and by 0.4
    raw = torch.tensor([0.2 / 0.09, 0.4 / 0.16], dtype=torch.float64)
    torch.testing.assert_close(blend(before, after, 1e-4), raw / raw.sum())
    floored = torch.tensor([0.2 / 0.1225, 0.4 / 0.16], dtype=torch.float64)
    torch.testing.assert_close(blend(before, after, 0.35), floored / floored.sum())


@pytest.mark.parametrize("count", [3, 4])
def test_weights_add_up_to_1_whatever_the_scale_and_order(seed: int, count: int) -> None:
    before, after = torch.rand(2, 2, count, dtype=torch.float64) + torch.tensor([[[1.0]], [[0.0]]])
    found = blend(before, after, 1e-4)
    assert float(found.sum()) == pytest.approx(1)
    assert bool((found >= 0).all())
    torch.testing.assert_close(blend(7 * before, 7 * after, 7e-4), found)
    order = torch.randperm(count)
    torch.testing.assert_close(blend(before[:, order], after[:, order], 1e-4), found[order])


def test_weights_where_nothing_is_gained_or_nothing_overfits() -> None:
    ones = torch.ones(2, 3, dtype=torch.float64)
    assert blend(ones, 2 * ones, 1e-4).tolist() == pytest.approx([1 / 3] * 3)
    assert blend(2 * ones, ones, 1e-4).tolist() == pytest.approx(
        [1 / 3] * 3
    )  # no overfitting: the same for all
    one = blend(
        2 * ones, torch.tensor([[1.0, 1.0, 1.0], [1.0, 2.5, torch.nan]], dtype=torch.float64), 1e-4
    )
    assert one.tolist() == [1.0, 0.0, 0.0]


def test_the_loss_blends_all_classifiers(seed: int, world: SimpleNamespace) -> None:
    ctx = world.context(world.model("auxiliary", INPUTS), [])
    batch = world.batch(INPUTS)
    output = ctx.model(batch)
    weights = torch.rand(4)
    terms = [F.cross_entropy(v, batch.label) for v in (*output.logits.values(), output.fused)]
    expected = sum(w * t for w, t in zip(weights, terms, strict=True))
    method = GBlend()
    method.setup(ctx)
    method.blended.copy_(weights)
    torch.testing.assert_close(method.loss(output, batch, ctx), expected)
    given = GBlend(
        weights={**dict(zip(INPUTS, weights.tolist(), strict=False)), "fused": float(weights[3])}
    )
    given.setup(ctx)
    torch.testing.assert_close(given.loss(output, batch, ctx), expected)


def test_an_estimate_is_what_each_classifier_learns_alone(seed: int) -> None:
    """Against training each branch by the method `unimodal`, in a training of its own."""
    method, ctx = World("g-blend", 3, seed, missing=0.3).build()
    before, columns = measured(ctx), []
    for number, modality in enumerate(ctx.model.modalities):
        twin = try_out(fork(ctx), Unimodal(modality), Phase(2, (modality,)))
        others = [
            n
            for n in differing(snapshot(ctx.model), snapshot(twin.model))
            if f".{modality}." not in n
        ]
        assert not others
        columns.append(measured(twin)[:, number])
    joint = World("joint", 3, seed, missing=0.3, head="auxiliary").train()[1]
    columns.append(measured(joint)[:, -1])
    expected = blend(before, torch.stack(columns, 1), len(ctx.holdout.table) ** -0.5)
    torch.testing.assert_close(method.estimate(ctx, 2), expected, rtol=1e-4, atol=1e-6)


def test_estimates_leave_the_training_alone(seed: int) -> None:
    """With the weights it found, a training without estimates goes the same way."""
    found, ctx = World("g-blend", 2, seed).train()
    weights = dict(zip((*ctx.model.modalities, "fused"), found.blended.tolist(), strict=True))
    assert abs(weights["fused"] - 1 / 3) > 1e-6
    other = World("g-blend", 2, seed, {"weights": weights}).train()[1]
    first, second = snapshot(ctx.model), snapshot(other.model)
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], rtol=1e-4, atol=1e-5, msg=name)


def test_online_estimates_at_every_super_epoch(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []

    def estimate(self: GBlend, ctx: object, epochs: int) -> torch.Tensor:
        asked.append((ctx.epoch, epochs))
        return torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)

    monkeypatch.setattr(GBlend, "estimate", estimate)
    World("g-blend", 2, seed, {"mode": "online", "super_epoch": 2}, epochs=5).train()
    assert asked == [(0, 2), (2, 2), (4, 1)]
    asked.clear()
    World("g-blend", 2, seed, epochs=5).train()
    assert asked == [(0, 5)]


def test_refuses_what_it_cannot_use(world: SimpleNamespace) -> None:
    ctx = world.context(world.model("auxiliary", INPUTS), [])
    with pytest.raises(ConfigError, match="no modality 'fuse'; did you mean 'fused'"):
        GBlend(weights={"fuse": 1.0}).setup(ctx)
    with pytest.raises(ConfigError, match="'weights' must be"):
        GBlend(weights={"a": 0.0})
    with pytest.raises(ConfigError, match="'floor' must be positive"):
        GBlend(floor=0.0)
    with pytest.raises(ConfigError, match="'floor' must be positive and finite, or auto"):
        GBlend(floor="small")
    for weights in ([1, 2], {"a": "much"}, {"a": -1.0}, {"a": float("nan")}, {}, 2.0):
        with pytest.raises(
            ConfigError, match="'weights' must be a number of at least 0 for each name"
        ):
            GBlend(weights=weights)  # type: ignore[arg-type]
    for super_epoch in (0, 1.5, True):
        with pytest.raises(ConfigError, match="'super_epoch' must be a positive integer"):
            GBlend(mode="online", super_epoch=super_epoch)
    with pytest.raises(ConfigError, match="'super_epoch' must be left out unless 'mode' is online"):
        METHODS.build("g-blend", {"super_epoch": 5})
    with pytest.raises(ConfigError, match="'floor' must be left out unless 'weights' is null"):
        METHODS.build("g-blend", {"weights": {"a": 1.0}, "floor": 0.1})
    with pytest.raises(ConfigError, match="'weights' must be left out unless 'mode' is offline"):
        METHODS.build("g-blend", {"mode": "online", "weights": {"a": 1.0}})
    METHODS.build("g-blend", {"mode": "online", "super_epoch": 5, "floor": 0.1})
    METHODS.build("g-blend", {"weights": {"a": 1.0}})
    with pytest.raises(ConfigError, match="use head 'auxiliary'"):
        GBlend().setup(world.context(world.model("concat", INPUTS), []))
    ctx = copy.copy(ctx)
    ctx.holdout = None
    with pytest.raises(ConfigError, match=r"data\.holdout"):
        GBlend().setup(ctx)
