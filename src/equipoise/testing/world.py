"""A world small enough to train a method in a second: vectors of known strength, tiny encoders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equipoise.batch import Batch
from equipoise.data.datasets.synthetic import load
from equipoise.data.table.loader import Loader
from equipoise.data.table.missing import mask
from equipoise.data.table.splits import cut_holdout
from equipoise.data.table.table import Splits
from equipoise.data.table.weights import weighted_to_train
from equipoise.model import Model
from equipoise.runs.build import build_method, build_model, criterion_of
from equipoise.settings import Settings
from equipoise.training.context import Context
from equipoise.training.loop import fit
from equipoise.training.method import Method
from equipoise.training.runtime import Runtime

NAMES = ("alpha", "beta", "gamma", "delta")

OPTIMISER = {
    "name": "sgd",
    "lr": 0.05,
    "momentum": 0.9,
    "weight_decay": 0.01,
    "warmup": 0.0,
    "schedule": "none",
    "clip": 0.0,
    "average": 0.9,
}
"""All that acts, so that the checks do not follow the defaults of the settings."""


def small_splits(
    count: int, seed: int, missing: float = 0.0, samples: int = 240, strongest: float = 4.0
) -> Splits:
    """Draw vectors of several modalities, each weaker than the one before.

    Args:
        count: number of modalities.
        seed: seed of everything.
        missing: fraction of the cells to hide, in training and holdout.
        samples: samples of all splits together.
        strongest: strength of the first modality; each other one is weaker by a quarter of it.

    Returns:
        Splits in which a fifth of the training samples is held out.
    """
    modalities = {NAMES[k]: {"strength": strongest * (1 - k / 4), "noise": 3} for k in range(count)}
    parts = load(seed=seed, samples=samples, classes=3, modalities=modalities)
    train, held = cut_holdout(parts.train, 0.2, seed)
    hidden = mask(train, missing, seed=seed, split="train")
    return replace(parts, train=hidden, holdout=mask(held, missing, seed=seed, split="holdout"))


class CastLoader(Loader):
    """A loader of batches in another precision."""

    dtype: torch.dtype = torch.float64

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        for batch in super().batches(epoch, start):
            yield batch.apply(
                lambda tensor: tensor.to(self.dtype) if tensor.is_floating_point() else tensor
            )


@dataclass(frozen=True)
class World:
    """A method, a model, data and a context, all drawn from one seed.

    Attributes:
        method: registered name.
        count: number of modalities.
        seed: seed of everything.
        options: options of the method.
        head: name of the head; "auto" takes the method's own.
        missing: fraction of hidden cells.
        batch_size: odd by default, so that ranks get unequal parts.
        precision: "float32", "float64" or "bfloat16".
        epochs: number of epochs.
        splits: the data; None draws `small_splits`.
        settings: further settings of a run.
    """

    method: str
    count: int
    seed: int
    options: Mapping[str, Any] = field(default_factory=dict)
    head: str = "auto"
    missing: float = 0.0
    batch_size: int = 15
    precision: str = "float32"
    epochs: int = 2
    splits: Splits | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def data(self) -> Splits:
        return self.splits or small_splits(self.count, self.seed, self.missing)

    def run_settings(self) -> Settings:
        """Make settings with tiny encoders and an optimiser that has all its parts."""
        return Settings.from_dict(
            {
                "method": {"name": self.method, **self.options},
                "head": self.head,
                "encoder": {
                    NAMES[k]: {"name": "mlp", "hidden": [12], "width": 8} for k in range(self.count)
                },
                "epochs": self.epochs,
                "batch_size": self.batch_size,
                "select": "accuracy",
                "patience": 0,
                "seed": self.seed,
                "device": "cpu",
                "optimiser": OPTIMISER,
                "precision": "bfloat16" if self.precision == "bfloat16" else "float32",
                **self.settings,
            }
        )

    def build(self, runtime: Runtime | None = None) -> tuple[Method, Context]:
        """Build the method, which is set up, and its context."""
        runtime = runtime or Runtime()
        settings = self.run_settings()
        splits = self.data()
        method = build_method(settings)
        model: Model = build_model(settings, splits.train.specs, splits.train.classes)
        kind = Loader
        if self.precision == "float64":
            model = model.double()
            kind = CastLoader
        ranks: dict[str, Any] = {"rank": runtime.rank, "world": runtime.world}
        train, held = weighted_to_train(
            splits.train, splits.holdout, settings.class_weight, settings.sampling
        )
        ctx = Context(
            model,
            kind(
                train,
                self.batch_size,
                seed=self.seed,
                shuffle=True,
                balanced=settings.sampling == "balanced",
                **ranks,
            ),
            holdout=None
            if held is None
            else kind(held, self.batch_size, seed=self.seed + 1, shuffle=True, **ranks),
            optimiser=settings.optimiser,
            epochs=self.epochs,
            seed=self.seed,
            runtime=runtime,
            criterion=criterion_of(settings),
        )
        method.setup(ctx)
        return method, ctx

    def train(self, runtime: Runtime | None = None) -> tuple[Method, Context]:
        """Build and train; the caller's random state stays as it was."""
        with torch.random.fork_rng():
            method, ctx = self.build(runtime)
            fit(method, ctx, self.epochs)
        return method, ctx


def snapshot(module: torch.nn.Module) -> dict[str, Tensor]:
    """Copy all parameters and buffers."""
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def differing(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> list[str]:
    """List the names whose tensors are not bit-identical."""
    assert first.keys() == second.keys(), f"other names: {sorted(first.keys() ^ second.keys())}"
    return [name for name in first if not torch.equal(first[name], second[name])]


def farthest(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> float:
    """The largest absolute difference between tensors of one name."""
    assert first.keys() == second.keys(), f"other names: {sorted(first.keys() ^ second.keys())}"
    return max(
        (
            float((first[n].double() - second[n].double()).abs().max())
            for n in first
            if first[n].numel()
        ),
        default=0.0,
    )


def fresh_seed() -> int:
    """Draw a seed; failures name it."""
    return int(np.random.default_rng().integers(1, 10_000))
