"""What is said of a loss or a weight that is not finite."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from equipoise.training.position import Position

ADVICE = "the last good checkpoint is kept: try a smaller 'optimiser.lr', or set 'optimiser.clip'"


class LossWatch:
    """Looks at a loss one step late: by then it is known without waiting for the device."""

    def __init__(self) -> None:
        self._pending: tuple[Tensor, Position, Tensor] | None = None

    def note(self, loss: Tensor, position: Position, rows: Tensor) -> None:
        """Remember a loss, where it arose and the training rows of its batch."""
        self._pending = (loss.detach(), replace(position), rows)

    def complaint(self) -> str:
        """What is wrong with the loss noted last, or nothing; it is said once."""
        if self._pending is None:
            return ""
        loss, at, rows = self._pending
        self._pending = None
        if bool(torch.isfinite(loss)):
            return ""
        shown = ", ".join(str(int(r)) for r in rows[:8]) + (", …" if len(rows) > 8 else "")
        return f"the loss is {float(loss)} in epoch {at.epoch}, step {at.step}, training rows {shown}; {ADVICE}"


def weights_complaint(model: nn.Module, step: int) -> str:
    """The first parameter that is not finite, or nothing."""
    broken = [n for n, p in model.named_parameters() if not bool(torch.isfinite(p).all())]
    return f"parameter {broken[0]} is not finite after step {step}; {ADVICE}" if broken else ""
