"""What methods that estimate ask of the context: a copy to try things on, means over a table, learning rates."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from equipoise.testing.world import World, differing, snapshot


@pytest.fixture
def world(seed):
    return World("joint", 3, seed, missing=0.3)


def test_what_happens_to_a_fork_leaves_the_training_alone(world):
    method, ctx = world.train()
    before, passes = snapshot(ctx.model), ctx.passes.state_dict()
    twin = ctx.fork()
    assert not differing(before, snapshot(twin.model))
    for batch in twin.steps():
        method.step(batch, twin)
    assert differing(before, snapshot(twin.model))
    assert not differing(before, snapshot(ctx.model))
    assert ctx.passes.state_dict() == passes
    for batch in ctx.steps():
        method.step(batch, ctx)
    assert ctx.passes.forward_passes == pytest.approx(1.0)


def test_a_fork_goes_on_as_the_training_would(world):
    method, ctx = world.train()
    twin = ctx.fork()
    for one in (ctx, twin):
        for batch in one.steps():
            method.step(batch, one)
    assert not differing(snapshot(ctx.model), snapshot(twin.model))


def test_means_over_a_table_do_not_depend_on_its_batches(world):
    _, ctx = world.train()
    table = ctx.holdout.table
    batch = table.rows(np.arange(len(table)))

    def losses(output, batch):
        """Of the fused prediction, and of a modality where it is there."""
        fused, alone = (
            F.cross_entropy(x, batch.label, reduction="none") for x in (output.fused, output.logits["beta"])
        )
        return torch.stack([fused, torch.where(batch.present["beta"], alone, torch.nan)], dim=1)

    ctx.model.train()
    found = [ctx.loss_on(ctx.holdout.again(table, size, seed=1, shuffle=False), losses) for size in (7, 16)]
    assert ctx.model.training
    ctx.model.eval()
    with torch.no_grad():
        expected = losses(ctx.model(batch), batch).nanmean(0)
    for means in found:
        torch.testing.assert_close(means.float(), expected, atol=1e-5, rtol=1e-5)
    none = ctx.loss_on(ctx.holdout, lambda output, batch: torch.full((len(batch),), torch.nan))
    assert bool(none.isnan())


@pytest.mark.parametrize("schedule", ["none", "step", "cosine"])
def test_a_scaled_learning_rate_stays_scaled(seed, schedule):
    settings = {"optimiser": {"lr": 0.1, "momentum": 0.0, "weight_decay": 0.0, "schedule": schedule, "step_size": 1}}
    _, ctx = World("joint", 2, seed, settings=settings, epochs=4).build()
    first, second = ctx.model.modalities
    ctx.scale_learning_rate(first, 5.0)
    ctx.scale_learning_rate(first, 0.25)
    for epoch in range(4):
        rates = [ctx.optimisers.learning_rate(m) for m in (first, second)]
        assert rates[0] == pytest.approx(0.25 * rates[1])
        if epoch == 2:
            state = ctx.state_dict()
            _, ctx = World("joint", 2, seed, settings=settings, epochs=4).build()
            ctx.load_state_dict(state)
            ctx.reset_optimisers([second])
            assert ctx.optimisers.learning_rate(second) == pytest.approx(0.1)
            assert ctx.optimisers.learning_rate(first) == pytest.approx(rates[0])
            ctx.load_state_dict(state)
        ctx.optimisers.step((first, second))
        ctx.end_epoch()
    ctx.reset_optimisers([first])
    assert ctx.optimisers.learning_rate(first) == pytest.approx(0.025)
