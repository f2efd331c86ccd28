"""The context of a training: means, steps of its groups, passes over tables, and errors."""

import os
import random
import re
import signal
from dataclasses import replace
from itertools import product
from typing import get_args

import pytest
import torch
from torch import nn

from equipoise.cli import main
from equipoise.errors import Interrupted, TrainingError
from equipoise.methods.balance.mla import MLA
from equipoise.methods.baselines.joint import Joint
from equipoise.model import Model
from equipoise.runs import run
from equipoise.testing.world import NAMES, World, differing, snapshot
from equipoise.training.checkpoint import Checkpoints
from equipoise.training.context import Context
from equipoise.training.loop import fit
from equipoise.training.phase import Phase
from equipoise.training.position import Moment
from equipoise.training.runtime import Runtime
from plain import plain


@pytest.fixture
def context(seed):
    """Builds a context over a fresh world; options go to the optimiser."""

    def build(count=2, head="auto", **optimiser):
        ctx = World("joint", count, seed, head=head).build()[1]
        return Context(ctx.model, ctx.train, optimiser=plain(**optimiser), epochs=2, seed=seed)

    return build


def fill_gradients(model):
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)


def flat(tensors):
    return torch.cat([t.detach().reshape(-1) for t in tensors])


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("shape", [(11,), (11, 4)])
def test_a_sample_mean_is_over_the_samples_that_have_it(context, shape, count):
    ctx = context(count)
    for fraction in (0.0, 0.3, 1.0):
        values = torch.randn(shape, requires_grad=True)
        where = torch.rand(11) < fraction
        mean = ctx.sample_mean(values, where)
        expected = values[where].mean(0) if where.any() else torch.zeros(shape[1:])
        torch.testing.assert_close(mean, expected)
        mean.sum().backward()
        each = torch.where(where, 1 / max(int(where.sum()), 1), 0.0)
        torch.testing.assert_close(
            values.grad, each.view(-1, *(1,) * (len(shape) - 1)).expand(shape).contiguous()
        )


def test_a_sample_mean_of_all_and_of_hidden_nonsense(context):
    ctx = context()
    values = torch.randn(7)
    torch.testing.assert_close(ctx.sample_mean(values), values.mean())
    values[2] = torch.nan
    where = torch.arange(7) != 2
    torch.testing.assert_close(ctx.sample_mean(values, where), values[where].mean())


@pytest.mark.parametrize("head", ["concat", "sum", "shared"])
@pytest.mark.parametrize("count", [2, 3])
def test_an_update_moves_the_groups_asked_for_and_the_shared_one(context, count, head):
    ctx = context(count, head, lr=0.1, momentum=0.9, weight_decay=0.1)
    for chosen in (NAMES[:1], NAMES[1:count], ()):
        fill_gradients(ctx.model)
        before, gradients = (
            snapshot(ctx.model),
            {n: p.grad.clone() for n, p in ctx.model.named_parameters()},
        )
        ctx.update(chosen)
        expected = {id(p) for m in chosen for group in ctx.model.group(m) for p in group}
        expected |= {id(p) for p in ctx.model.shared}
        for name, parameter in ctx.model.named_parameters():
            if id(parameter) in expected:
                assert not torch.equal(parameter, before[name]), f"{name} did not move"
                assert parameter.grad is None
            else:
                assert torch.equal(parameter, before[name]), f"{name} moved"
                assert torch.equal(parameter.grad, gradients[name])


def test_a_parameter_without_gradient_does_not_move(context):
    ctx = context(lr=0.1, momentum=0.9, weight_decay=0.1)
    fill_gradients(ctx.model)
    ctx.update()
    before = snapshot(ctx.model)
    ctx.update()
    assert not differing(before, snapshot(ctx.model)), "momentum or weight decay moved it"


@pytest.mark.parametrize("count", [2, 3])
def test_clipping_bounds_the_step_of_all_groups_together(context, count):
    ctx = context(count, lr=1.0, momentum=0.0, weight_decay=0.0, clip=0.5)
    for scale in (10.0, 1e-4):
        fill_gradients(ctx.model)
        gradients = [p.grad.mul_(scale).clone() for p in ctx.model.parameters()]
        before = [p.detach().clone() for p in ctx.model.parameters()]
        ctx.update()
        step = flat(before) - flat(ctx.model.parameters())
        whole = flat(gradients)
        expected = whole * min(1.0, 0.5 / float(whole.norm()))
        torch.testing.assert_close(step, expected, atol=1e-6, rtol=1e-3)


def test_the_random_stream_depends_on_the_step_alone(context):
    ctx, other = context(), context()
    other.position.step = 0
    drawn = []
    for batch in ctx.steps():
        drawn.append((torch.rand((), generator=ctx.rng), torch.rand(()), batch.index.tolist()))
        torch.rand(random.randrange(9))  # what one step draws does not shift the next
        torch.rand(random.randrange(9), generator=ctx.rng)
    again = [
        (torch.rand((), generator=other.rng), torch.rand(()), b.index.tolist())
        for b in other.steps()
    ]
    assert drawn == again
    assert len({float(own) for own, _, _ in drawn}) == len(drawn)


def test_ranks_draw_apart_and_share_one_stream(context):
    """Dropout differs between ranks, steps and moments; what all ranks share differs between the
    last two alone."""
    ctx = context()
    own = set()
    shared = {}
    for rank, step, moment in product(range(3), range(4), get_args(Moment)):
        ctx.runtime = Runtime(rank)
        ctx.position.step = step
        ctx.seed_generators(moment)
        own.add(float(torch.rand((), dtype=torch.float64)))
        drawn = float(torch.rand((), dtype=torch.float64, generator=ctx.rng))
        assert shared.setdefault((step, moment), drawn) == drawn
    assert len(own) == 3 * 4 * 4
    assert len(set(shared.values())) == 4 * 4
    assert not own & set(shared.values())


def test_a_gradient_that_is_not_reached_is_zero(context):
    ctx = context()
    first, second = list(ctx.model.parameters())[:2]
    for loss in (first.square().sum(), torch.tensor(1.0)):
        found = ctx.gradient(loss, [first, second])
        expected = 2 * first if loss.requires_grad else torch.zeros_like(first)
        torch.testing.assert_close(found[0], expected)
        assert not found[1].any()


class Normalised(nn.Module):
    """BatchNorm before an encoder: its statistics move in training mode, and only there."""

    def __init__(self, encoder, width):
        super().__init__()
        self.norm = nn.BatchNorm1d(width)
        self.encoder = encoder
        self.width = encoder.width

    def forward(self, x):
        return self.encoder(self.norm(x))


@pytest.fixture
def normalised(context):
    """A context whose first encoder has batch statistics."""
    ctx = context()
    (width,) = ctx.train.table.specs[NAMES[0]].shape
    encoders = {**ctx.model.encoders}
    encoders[NAMES[0]] = Normalised(encoders[NAMES[0]], width)
    model = Model(encoders, ctx.model.head)
    return Context(model, ctx.train, epochs=2)


def test_a_pass_over_a_table_is_in_evaluation_mode_and_leaves_no_trace(normalised):
    ctx = normalised
    ctx.model.train()
    ctx.model.head.eval()
    ctx.passes.active = True
    before = snapshot(ctx.model)
    modes = [part.training for part in ctx.model.modules()]

    def look(batch):
        output = ctx.model(batch)
        assert not ctx.model.encoders[NAMES[0]].norm.training
        assert not output.fused.requires_grad
        return batch.index.tolist()

    found = ctx.over(ctx.train, look)
    assert sorted(row for rows in found for row in rows) == list(range(len(ctx.train.table)))
    assert not differing(before, snapshot(ctx.model))
    assert [part.training for part in ctx.model.modules()] == modes
    assert ctx.passes.forwards == 0
    assert ctx.passes.active


def test_a_pass_over_a_table_takes_the_order_of_an_epoch_and_stops_at_a_limit(context):
    ctx = context()
    for epoch in (0, 3):
        expected = [batch.index.tolist() for batch in ctx.train.batches(epoch)]
        assert ctx.over(ctx.train, lambda batch: batch.index.tolist(), epoch=epoch) == expected
        for limit in (0, 1, 2, 10**6):
            found = ctx.over(
                ctx.train, lambda batch: batch.index.tolist(), epoch=epoch, limit=limit
            )
            assert found == expected[:limit]


def test_modes_come_back_after_a_pass_that_fails(context):
    ctx = context()
    ctx.model.train()
    with pytest.raises(ZeroDivisionError):
        ctx.over(ctx.train, lambda batch: 1 / 0)
    assert all(part.training for part in ctx.model.modules())
    assert not ctx.passes.active


def test_modalities_present_in_a_batch_are_those_that_train_and_that_a_sample_has(context):
    ctx = context(3)
    batch = next(ctx.train.batches(0))
    assert ctx.present_in(batch) == list(NAMES[:3])
    present = {m: torch.zeros_like(p) for m, p in batch.present.items()}
    present[NAMES[1]][0] = True  # one sample is enough
    present[NAMES[2]][:] = True
    batch = replace(batch, present=present)
    assert ctx.present_in(batch) == list(NAMES[1:3])
    ctx.phase = Phase(1, (NAMES[2], NAMES[0]))
    assert ctx.present_in(batch) == [NAMES[2]]
    ctx.phase = Phase(1, (NAMES[0],))
    assert ctx.present_in(batch) == []


class Breaks(Joint):
    """Joint training whose loss, or a parameter, is spoiled in one step."""

    def __init__(self, at, value, spoils="loss"):
        super().__init__()
        self.at, self.value, self.spoils, self.rows = at, value, spoils, None

    def loss(self, output, batch, ctx):
        loss = super().loss(output, batch, ctx)
        if ctx.position.step != self.at:
            return loss
        self.rows = batch.index.tolist()
        return loss * self.value if self.spoils == "loss" else loss

    def step(self, batch, ctx):
        super().step(batch, ctx)
        if ctx.position.step == self.at and self.spoils == "parameter":
            with torch.no_grad():
                next(ctx.model.parameters())[0] = self.value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_loss_that_is_not_finite_is_named(context, value):
    ctx = context()
    method = Breaks(random.randrange(2 * len(ctx.train)), value)
    with pytest.raises(TrainingError) as caught:
        fit(method, ctx, 2)
    said = str(caught.value)
    assert re.search(rf"epoch {method.at // len(ctx.train)}, step {method.at}\b", said), said
    assert "training rows " + ", ".join(map(str, method.rows[:8])) in said
    assert "\n" not in said


@pytest.mark.parametrize("spoils", ["loss", "parameter"])
@pytest.mark.parametrize("at_end", [False, True])
def test_no_checkpoint_holds_what_follows_a_bad_step(
    settings, tmp_path, monkeypatch, spoils, at_end, seed
):
    steps = -(-len(run.load_splits(settings, Joint()).train) // settings.batch_size)
    at = 2 * steps - 1 if at_end else random.randrange(1, 2 * steps)
    monkeypatch.setattr(run, "build_method", lambda settings: Breaks(at, float("nan"), spoils))
    often = run.Settings.from_dict({**settings.to_dict(), "method": "joint", "checkpoint_every": 1})
    with pytest.raises(TrainingError):
        run.train(often, tmp_path / "run")
    folder = tmp_path / "run" / "checkpoints"
    newest = Checkpoints(folder, {}).resumable()[0]
    assert newest.name.endswith(f"step-{at:08d}"), "the step before the bad one"
    for path in folder.iterdir():
        assert all(
            torch.isfinite(value).all()
            for value in Checkpoints(folder, {}).load(path).model.values()
        )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_after_the_step_and_the_run_goes_on(
    settings, tmp_path, whole, final, number, monkeypatch
):
    folder = tmp_path / "run"
    handler = signal.getsignal(number)
    at = random.randrange(1, 15)

    step = MLA.step

    def signalled(method, batch, ctx):
        if ctx.position.step == at:
            os.kill(os.getpid(), number)
        step(method, batch, ctx)

    monkeypatch.setattr(MLA, "step", signalled)
    with pytest.raises(Interrupted) as caught:
        run.train(settings, folder)
    monkeypatch.undo()
    assert caught.value.exit_code == 130
    assert f"after step {at + 1} " in str(caught.value)
    assert f"equipoise train --resume {folder}" in str(caught.value)
    assert signal.getsignal(number) is handler
    assert main(["train", "--resume", str(folder)]) == 0
    assert not differing(final(whole), final(folder))
