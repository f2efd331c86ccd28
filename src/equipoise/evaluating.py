"""Evaluation mode in the middle of training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(*modules: nn.Module) -> Iterator[None]:
    """Put modules into evaluation mode: no dropout, and running statistics are not updated.

    Afterwards, also after an exception, every submodule has its own mode again: one that was frozen
    in evaluation mode stays so.
    """
    modes = {part: part.training for module in modules for part in module.modules()}
    for module in modules:
        module.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode
