"""Stacking: the pool and its fit against closed forms and SciPy, and when it is fitted."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor
from torch.nn import functional as F

from equipoise.errors import ConfigError
from equipoise.evaluation.predict import predict
from equipoise.methods.baselines.stacking import Stacking, fit_weights
from equipoise.testing.world import World, differing, snapshot
from equipoise.training.context import Context

INPUTS = {"a": 3, "b": 4, "c": 2}


def problem(rows: int, count: int, classes: int = 4) -> tuple[Tensor, Tensor]:
    """Log-probabilities (N, M, C), each modality weaker than the one before, and labels."""
    label = torch.randint(classes, (rows,))
    strength = torch.tensor([3.0, 1.0, 0.3])[:count].view(1, -1, 1)
    logits = torch.randn(rows, count, classes) + strength * F.one_hot(label, classes).unsqueeze(1)
    return logits.double().log_softmax(2), label


def cross_entropy(w: Tensor, log_probability: Tensor, label: Tensor) -> Tensor:
    return F.cross_entropy(torch.einsum("m,nmc->nc", w, log_probability), label)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [([1.0, 1.0], [0.857143, 0.142857]), ([1.0, 0.5], [0.830479, 0.169521])],
)
def test_pool_worked_out_by_hand(
    world: SimpleNamespace, weights: list[float], expected: list[float]
) -> None:
    head = world.model("stacked", {"a": 3, "b": 4}).head
    head.set_fusion_weights(torch.tensor(weights))
    p = {"a": torch.tensor([[0.8, 0.2]]), "b": torch.tensor([[0.6, 0.4]])}
    there = dict.fromkeys(p, torch.ones(1, dtype=torch.bool))
    fused, _ = head.fuse({}, {m: x.log() for m, x in p.items()}, there)
    assert fused.softmax(1)[0].tolist() == pytest.approx(expected, abs=1e-6)
    alone, shown = head.fuse({}, {m: x.log() for m, x in p.items()}, {**there, "b": ~there["b"]})
    assert alone.softmax(1)[0].tolist() == pytest.approx([0.8, 0.2])
    assert shown.tolist() == [[weights[0], 0.0]]


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("prior", [0.01, 1.0])
def test_fit_is_that_of_another_solver(seed: int, count: int, prior: float) -> None:
    log_probability, label = problem(60, count)

    def objective(w: np.ndarray) -> float:
        weights = torch.from_numpy(w)
        penalty = prior / 2 * (weights - 1).square().sum()
        return float(cross_entropy(weights, log_probability, label) + penalty)

    expected = minimize(
        objective, np.ones(count), bounds=[(0, None)] * count, method="L-BFGS-B", tol=1e-14
    )
    found = fit_weights(log_probability, label, prior)
    assert found.tolist() == pytest.approx(expected.x.tolist(), abs=2e-4)
    assert objective(found.numpy()) <= expected.fun + 1e-12


def test_a_modality_that_misleads_weighs_nothing(seed: int) -> None:
    log_probability, label = problem(80, 2)
    wrong = (label + 1) % 4
    log_probability[:, 1] = (4.0 * F.one_hot(wrong, 4)).double().log_softmax(1)
    assert fit_weights(log_probability, label, 0.01)[1] == 0


def test_a_modality_that_says_nothing_keeps_the_weight_of_the_prior(seed: int) -> None:
    log_probability, label = problem(50, 2)
    log_probability[:, 1] = torch.full((50, 4), 0.25).double().log()
    assert fit_weights(log_probability, label, 0.01)[1] == pytest.approx(1)


def test_equal_modalities_have_equal_weights(seed: int) -> None:
    log_probability, label = problem(50, 1)
    found = fit_weights(log_probability.expand(-1, 2, -1), label, 0.01)
    assert found[0] == pytest.approx(float(found[1]))


def test_doubled_logits_have_half_the_weight(seed: int) -> None:
    log_probability, label = problem(200, 2)
    doubled = log_probability.clone()
    doubled[:, 0] = (2 * log_probability[:, 0]).log_softmax(1)
    first = fit_weights(log_probability, label, 0.0)
    second = fit_weights(doubled, label, 0.0)
    assert second[0] == pytest.approx(float(first[0]) / 2, rel=1e-6)
    assert second[1] == pytest.approx(float(first[1]), rel=1e-6)


@pytest.mark.parametrize("count", [2, 3])
def test_training_is_late_fusion_and_the_fit_improves_what_was_held_out(
    seed: int, count: int
) -> None:
    world = World("stacking", count, seed % 9999, missing=0.2, epochs=3)
    _, ctx = world.train()
    late = World("late", count, seed % 9999, head="stacked", missing=0.2, epochs=3).train()[1]
    ours, theirs = snapshot(ctx.model), snapshot(late.model)
    fitted = [f"head.blocks.{m}.fusion_weight" for m in ctx.model.modalities]
    assert differing(ours, theirs) == fitted
    assert ctx.holdout is not None
    losses = []
    for model in (ctx.model, late.model):
        found = predict(model, ctx.holdout.table)
        fused, label = torch.from_numpy(found.fused), torch.from_numpy(found.label)
        losses.append(float(F.cross_entropy(fused, label)))
    assert losses[0] < losses[1]


def test_it_is_fitted_at_the_end_of_every_epoch(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = []

    def fit(self: Stacking, ctx: Context) -> None:
        fitted.append((ctx.epoch, ctx.position.batch + 1 == ctx.steps_per_epoch))

    monkeypatch.setattr(Stacking, "fit", fit)
    World("stacking", 2, seed % 9999, epochs=3).train()
    assert fitted == [(0, True), (1, True), (2, True)]


def test_asks_for_its_head_and_for_held_out_samples(world: SimpleNamespace) -> None:
    with pytest.raises(ConfigError, match="use head 'stacked'"):
        Stacking().setup(world.context(world.model("late", INPUTS), []))
    ctx = world.context(world.model("stacked", INPUTS), [])
    ctx.holdout = None
    with pytest.raises(ConfigError, match=r"set 'data\.holdout'"):
        Stacking().setup(ctx)
    with pytest.raises(ConfigError, match="Stacking: 'prior' must be positive"):
        Stacking(0.0)
