"""Training a copy for some epochs, to see what becomes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equipoise.methods.base import Method, Phase

if TYPE_CHECKING:
    from equipoise.training.context import Context


def run(twin: Context, method: Method, phase: Phase) -> Context:
    """Train a copy, made by `Context.fork`, as a phase of this method would.

    Args:
        twin: where it happens.
        method: needs no setup.
        phase: how many epochs, and of which modalities.

    Returns:
        The copy, trained.
    """
    twin.phase = phase
    for _ in range(phase.epochs):
        for batch in twin.steps():
            method.step(batch, twin)
        twin.end_epoch()
    return twin
