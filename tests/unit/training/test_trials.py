"""Copies of a training to try things on, means over a table, and scaled learning rates."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from equipoise.errors import Interrupted
from equipoise.methods.parts.losses import fused_loss
from equipoise.methods.parts.table_values import table_means
from equipoise.settings import OptimiserSettings
from equipoise.testing.world import World, differing, snapshot
from equipoise.training.observer import Silent
from equipoise.training.trial import fork


@pytest.fixture
def world(seed):
    return World("joint", 3, seed, missing=0.3)


def test_what_happens_to_a_fork_leaves_the_training_alone(world):
    method, ctx = world.train()
    before, passes = snapshot(ctx.model), ctx.passes.state_dict()
    twin = fork(ctx)
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
    twin = fork(ctx)
    for one in (ctx, twin):
        for batch in one.steps():
            method.step(batch, one)
    assert not differing(snapshot(ctx.model), snapshot(twin.model))


def test_a_fork_can_train_another_model(world):
    """With optimisers of its own, and without its passes being counted."""
    method, ctx = world.train()
    other = world.build()[1].model
    before, passes, start = snapshot(ctx.model), ctx.passes.state_dict(), snapshot(other)
    twin = fork(ctx, other)
    assert not differing(start, snapshot(other))
    for batch in twin.steps():
        method.step(batch, twin)
    assert twin.model is other
    assert differing(start, snapshot(other))
    assert not differing(before, snapshot(ctx.model))
    assert ctx.passes.state_dict() == passes


def test_a_fork_can_train_another_model_by_other_optimisers(world):
    method, ctx = world.train()
    moved = []
    for lr in (0.01, 0.02):
        other = world.build()[1].model
        twin = fork(
            ctx, other, OptimiserSettings(name="sgd", lr=lr, momentum=0.0, weight_decay=0.0)
        )
        start = snapshot(other)
        method.step(next(twin.steps()), twin)
        moved.append({name: value - start[name] for name, value in snapshot(other).items()})
    for name, once in moved[0].items():
        torch.testing.assert_close(moved[1][name], 2 * once, rtol=1e-3, atol=1e-6)
    assert any(value.any() for value in moved[0].values())


def test_passes_of_several_models_are_counted_also_after_a_fork(world):
    _, ctx = world.train()
    other = world.build()[1].model
    ctx.passes.attach(other)
    fork(ctx)
    ctx.passes.active, before = True, ctx.passes.forwards
    batch = next(ctx.train.batches(0))
    ctx.model(batch)
    other(batch)
    shown = sum(count > 0 for count in batch.counts.values())
    assert ctx.passes.forwards - before == 2 * shown
    ctx.passes.close()
    other(batch)
    assert ctx.passes.forwards - before == 2 * shown


@pytest.mark.parametrize("on", ["loss", "metric"])
def test_a_fork_is_judged_by_its_training_loss(seed, on):
    """A plateau forgets the training's own values, and sees the loss of the copy."""
    settings = {
        "optimiser": {
            "lr": 1e-6,
            "momentum": 0.0,
            "schedule": "plateau",
            "plateau_on": on,
            "step_size": 2,
            "gamma": 0.5,
        }
    }
    method, ctx = World("joint", 2, seed, settings=settings, epochs=1).build()
    better = -5.0 if on == "loss" else 5.0  # than any of the copy's
    ctx.optimisers.end_epoch(ctx.training, better)
    ctx.optimisers.end_epoch(ctx.training, better)  # one more would halve the rate
    twin = fork(ctx)
    with torch.no_grad():
        losses = [
            float(fused_loss(twin.model(batch), batch, twin)) for batch in twin.batches(twin.train)
        ]
    for batch in twin.steps():
        method.step(batch, twin)
    found = twin.observer.validate()
    assert found == pytest.approx(-sum(losses) / len(losses), rel=1e-3)
    worse = 1 if on == "loss" else -1
    rates = []
    for change in (0, worse, worse):
        value = -found if on == "loss" else found
        twin.optimisers.end_epoch(twin.training, value + change)
        rates.append(twin.optimisers.learning_rate(twin.model.modalities[0]))
    assert rates == pytest.approx([1e-6, 1e-6, 0.5e-6])
    assert ctx.optimisers.learning_rate(ctx.model.modalities[0]) == pytest.approx(1e-6)


def test_a_plateau_goes_by_the_mean_loss_of_the_epoch(seed):
    settings = {"optimiser": {"lr": 1e-6, "schedule": "plateau", "step_size": 1, "gamma": 0.5}}
    method, ctx = World("joint", 2, seed, settings=settings, epochs=1).build()
    seen = []
    end_epoch = ctx.optimisers.end_epoch
    ctx.optimisers.end_epoch = lambda names, value, goal: (
        seen.append(value),
        end_epoch(names, value, goal),
    )
    losses = []
    for batch in ctx.steps():
        method.step(batch, ctx)
        losses.append(ctx.journal.state_dict()["sums"]["loss"])
    ctx.end_epoch()
    assert seen == pytest.approx([losses[-1] / len(losses)])


def test_a_signal_during_a_trial_stops_the_training_where_it_stands(world):
    """The training, not the copy, is what its observer hears of."""
    _, ctx = world.train()
    heard = []

    class Listener(Silent):
        def heed(self):
            heard.append("step")
            if len(heard) == 2:
                raise Interrupted("a signal")

    ctx.observer = Listener()
    twin = fork(ctx)
    with pytest.raises(Interrupted):
        list(twin.steps())
    assert ctx.position.batch == 0


def test_any_whole_number_is_a_seed(seed):
    _, ctx = World("joint", 2, 2**31 - 1).build()
    for number in (0, 2**31 - 1, 2**40):
        ctx.seed = number
        draws = []
        for _ in range(2):
            ctx.seed_generators("epoch start")
            draws.append(torch.rand(()))
        assert draws[0] == draws[1]


def test_means_over_a_table_do_not_depend_on_its_batches(world):
    _, ctx = world.train()
    table = ctx.holdout.table
    batch = table.rows(np.arange(len(table)))

    def losses(output, batch):
        """Losses of the fused prediction, and of a modality where it is present."""
        fused, alone = (
            F.cross_entropy(x, batch.label, reduction="none")
            for x in (output.fused, output.logits["beta"])
        )
        return torch.stack([fused, torch.where(batch.present["beta"], alone, torch.nan)], dim=1)

    ctx.model.train()
    found = [
        table_means(ctx, ctx.holdout.again(table, size, seed=1, shuffle=False), losses)
        for size in (7, 16)
    ]
    assert ctx.model.training
    ctx.model.eval()
    with torch.no_grad():
        expected = losses(ctx.model(batch), batch).nanmean(0)
    for means in found:
        torch.testing.assert_close(means.float(), expected, atol=1e-5, rtol=1e-5)
    none = table_means(ctx, ctx.holdout, lambda output, batch: torch.full((len(batch),), torch.nan))
    assert bool(none.isnan())


@pytest.mark.parametrize("schedule", ["none", "step", "cosine"])
def test_a_scaled_learning_rate_stays_scaled(seed, schedule):
    settings = {
        "optimiser": {
            "lr": 0.1,
            "momentum": 0.0,
            "weight_decay": 0.0,
            "schedule": schedule,
            "step_size": 1,
        }
    }
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
