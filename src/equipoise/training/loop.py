"""The training loop, whole: phases, epochs, steps and hooks."""

from __future__ import annotations

from equipoise.training.context import Context
from equipoise.training.method import Method
from equipoise.training.phase import Plan


def fit(method: Method, ctx: Context, epochs: int) -> None:
    """Train `ctx.model` with a method, from the position where `ctx` stands.

    A resumed training enters the same loop in the middle: finished phases are skipped, and hooks
    that ran before the last step that was taken do not run again.

    Args:
        method: set up (`method.setup(ctx)`) and, in a resumed training, with its memory restored.
        ctx: the model, the data and the position.
        epochs: how many times every modality sees the training table.
    """
    at = ctx.position
    # The whole plan, before the first step: no epoch may be chosen until all that will train has.
    ctx.plan = Plan(tuple(method.phases(epochs)), ctx.model.modalities)
    with ctx.blaming_numbers():
        for number, phase in enumerate(ctx.plan.phases):
            if number < at.phase:
                continue
            if ctx.observer.stopped():
                return
            ctx.phase = phase
            # A signal may stop a training inside a hook, before the first step of a phase or epoch.
            # The hook then runs again, from the same seed, which is why it must not add to its own
            # results.
            if at.phase_epoch == 0 and at.batch == 0:
                if number and not ctx.plan.phases[number - 1].selectable:
                    # What a second stage fits to features fits those of the weights themselves.
                    ctx.restart_average()
                ctx.seed_generators("phase start")
                method.on_phase_start(ctx)
            while at.phase_epoch < phase.epochs and not ctx.observer.stopped():
                if at.batch == 0:
                    ctx.seed_generators("epoch start")
                    method.on_epoch_start(ctx)
                for batch in ctx.steps():
                    method.step(batch, ctx)
                    ctx.require_heard(type(method).__name__)
                ctx.end_epoch()
            # The checkpoint of the phase's last epoch is written before its end: resumed from
            # there, a training passes by the `while` and comes here.
            ctx.seed_generators("phase end")
            method.on_phase_end(ctx)
            at.phase = number + 1
            at.phase_epoch = 0
