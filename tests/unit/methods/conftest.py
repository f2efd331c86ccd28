"""A tiny world to train in: random encoders, random batches, a context."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from equipoise.batch import Batch
from equipoise.heads import HEADS
from equipoise.methods import METHODS
from equipoise.model import Model
from equipoise.training.context import Context
from equipoise.training.loop import fit
from equipoise.training.method import Method
from plain import plain

CLASSES = 4


class Encoder(nn.Module):
    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.layers = nn.Sequential(nn.Linear(inputs, 6), nn.ReLU(), nn.Linear(6, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


class Batches:
    """The same few batches every epoch."""

    def __init__(self, batches: list[Batch]) -> None:
        self.all = batches

    def __len__(self) -> int:
        return len(self.all)

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        return iter(self.all[start:])


def make_batch(
    inputs: dict[str, int], rows: int = 8, absent: dict[str, list[int]] | None = None
) -> Batch:
    """A random batch; `absent` lists the rows each modality lacks."""
    present = {m: torch.ones(rows, dtype=torch.bool) for m in inputs}
    for modality, missing in (absent or {}).items():
        present[modality][missing] = False
    values = {m: torch.randn(rows, width) * present[m].unsqueeze(1) for m, width in inputs.items()}
    return Batch(values, present, torch.randint(CLASSES, (rows,)), torch.arange(rows))


def make_model(head: str, inputs: dict[str, int], width: int = 5, **options: object) -> Model:
    encoders = {m: Encoder(size, width) for m, size in inputs.items()}
    built = HEADS.build(head, options, widths=dict.fromkeys(inputs, width), classes=CLASSES)
    return Model(encoders, built)


def make_context(
    model: Model, batches: list[Batch], epochs: int = 1, **optimiser: object
) -> Context:
    settings = plain(**{"lr": 0.1, **optimiser})  # type: ignore[arg-type]
    return Context(
        model, Batches(batches), holdout=Batches(batches), optimiser=settings, epochs=epochs
    )  # type: ignore[arg-type]


def train(method: Method | str, ctx: Context, epochs: int = 1, **options: object) -> Method:
    """Set up and fit; a method's name is built with `options`."""
    built: Method = METHODS.build(method, options) if isinstance(method, str) else method
    built.setup(ctx)
    fit(built, ctx, epochs)
    return built


@pytest.fixture
def world() -> SimpleNamespace:
    """The builders above."""
    return SimpleNamespace(
        batch=make_batch,
        model=make_model,
        context=make_context,
        train=train,
        classes=CLASSES,
        encoder=Encoder,
    )
