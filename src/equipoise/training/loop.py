"""The one training loop."""

from __future__ import annotations

from equipoise.methods.base import Method
from equipoise.training.context import Context


def fit(method: Method, ctx: Context, epochs: int) -> None:
    """Train `ctx.model` by `method`, from wherever `ctx.position` stands.

    Args:
        method: already set up (`method.setup(ctx)`), its memory restored if the run is resumed.
        ctx: where everything happens.
        epochs: how often every modality sees the training table.
    """
    for _ in ctx.phases(method, epochs):
        if ctx.starts_phase():
            method.on_phase_start(ctx)
        while ctx.wants_epoch():
            if ctx.starts_epoch():
                method.on_epoch_start(ctx)
            for batch in ctx.steps():
                method.step(batch, ctx)
            ctx.end_epoch()
        method.on_phase_end(ctx)
