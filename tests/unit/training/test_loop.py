"""The training loop: the order of its hooks, and where a resumed training enters it."""

from dataclasses import replace

import pytest
import torch

from equipoise.testing.world import NAMES, World
from equipoise.training.loop import fit
from equipoise.training.method import Method
from equipoise.training.observer import Silent
from equipoise.training.phase import Phase
from equipoise.training.position import Position

PHASES = (Phase(2), Phase(0, NAMES[:1]), Phase(1, NAMES[1:2]))


class Recorder(Method):
    """Writes down every call, with a random number, and trains nothing."""

    def __init__(self, phases=PHASES):
        super().__init__()
        self.calls = []
        self._phases = phases

    def phases(self, epochs):
        return iter(self._phases)

    def note(self, what, ctx):
        at = ctx.position
        self.calls.append((what, at.phase, at.phase_epoch, at.batch, float(torch.rand(()))))

    def on_phase_start(self, ctx):
        self.note("phase start", ctx)

    def on_phase_end(self, ctx):
        self.note("phase end", ctx)

    def on_epoch_start(self, ctx):
        self.note("epoch start", ctx)

    def step(self, batch, ctx):
        self.note(f"step of {', '.join(ctx.training)}", ctx)


class Watcher(Silent):
    """Remembers the position after every step and epoch; wants no epoch more after `enough`."""

    def __init__(self, ctx, enough=99):
        self.ctx = ctx
        self.enough = enough
        self.positions = []

    def after_step(self):
        self.positions.append(replace(self.ctx.position))

    def record(self):
        self.positions.append(replace(self.ctx.position))

    def stopped(self):
        return self.ctx.position.epoch >= self.enough


def trained(seed, position=None, **watched):
    """The calls of a training from a position on, and the positions it was at."""
    ctx = World("joint", 2, seed).build()[1]
    ctx.position = Position() if position is None else replace(position)
    ctx.observer = Watcher(ctx, **watched)
    method = Recorder()
    fit(method, ctx, epochs=2)
    return method.calls, ctx


def names(calls):
    return [what for what, *_ in calls]


def test_hooks_and_steps_come_in_order(seed):
    calls, ctx = trained(seed)
    steps = ctx.steps_per_epoch
    both = ["epoch start", *[f"step of {NAMES[0]}, {NAMES[1]}"] * steps]
    second = ["epoch start", *[f"step of {NAMES[1]}"] * steps]
    assert names(calls) == [
        *("phase start", *both, *both, "phase end"),
        *("phase start", "phase end"),  # a phase without epochs
        *("phase start", *second, "phase end"),
    ]
    assert ctx.position == Position(phase=3, phase_epoch=0, epoch=3, batch=0, step=3 * steps)


def test_from_every_position_it_goes_on_as_if_it_had_not_stopped(seed):
    """Calls and random numbers are those that an uninterrupted training makes from there on."""
    whole, ctx = trained(seed)
    for position in ctx.observer.positions:
        rest, resumed = trained(seed, position)
        assert rest == whole[len(whole) - len(rest) :]
        assert resumed.position == ctx.position
        steps = [what for what in names(rest) if what.startswith("step")]
        assert len(steps) == ctx.position.step - position.step


@pytest.mark.parametrize(("enough", "phases"), [(1, 1), (2, 1), (3, 3)])
def test_no_epoch_and_no_phase_begins_once_the_observer_has_enough(seed, enough, phases):
    calls, ctx = trained(seed, enough=enough)
    assert ctx.position.epoch == enough
    assert names(calls).count("epoch start") == enough
    assert names(calls).count("phase start") == names(calls).count("phase end") == phases


def test_a_finished_training_calls_nothing(seed):
    _, ctx = trained(seed)
    calls, again = trained(seed, ctx.position)
    assert calls == []
    assert again.position == ctx.position
