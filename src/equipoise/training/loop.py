"""The one training loop."""

from __future__ import annotations

from equipoise.training.context import Context
from equipoise.training.method import Method


def fit(method: Method, ctx: Context, epochs: int) -> None:
    """Train `ctx.model` by `method`, from wherever `ctx.position` stands.

    A resumed training enters the same loop in the middle: finished phases are skipped, and a hook
    that ran before the checkpoint was taken does not run again.

    Args:
        method: already set up (`method.setup(ctx)`), its memory restored if the run is resumed.
        ctx: holds the model, the data and the position.
        epochs: how often every modality sees the training table.
    """
    at = ctx.position
    for number, phase in enumerate(method.phases(epochs)):
        if number < at.phase:
            continue
        if ctx.observer.stopped():
            return
        ctx.phase = phase
        if at.phase_epoch == 0 and at.batch == 0:
            ctx.seed_generators("phase start")
            method.on_phase_start(ctx)
        while at.phase_epoch < phase.epochs and not ctx.observer.stopped():
            if at.batch == 0:
                ctx.seed_generators("epoch start")
                method.on_epoch_start(ctx)
            for batch in ctx.steps():
                method.step(batch, ctx)
            ctx.end_epoch()
        ctx.seed_generators("phase end")
        method.on_phase_end(ctx)
        at.phase = number + 1
        at.phase_epoch = 0
