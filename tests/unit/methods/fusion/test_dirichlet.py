"""The loss of an opinion: published values, torch's Dirichlet distribution, and the annealing."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Dirichlet, kl_divergence

from equipoise.methods.fusion.tmc import (
    annealed,
    expected_cross_entropy,
    expected_squared_error,
    misleading_evidence,
    opinion_loss,
)

ROWS, CLASSES = 7, 5


def drawn() -> tuple[torch.Tensor, torch.Tensor]:
    return 1 + 6 * torch.rand(ROWS, CLASSES, dtype=torch.float64), torch.randint(CLASSES, (ROWS,))


def test_reference_values() -> None:
    first = torch.zeros(1, dtype=torch.int64)
    assert float(expected_cross_entropy(torch.tensor([[5.0, 2, 1]]), first)) == pytest.approx(
        0.509524, abs=1e-6
    )
    assert float(misleading_evidence(torch.tensor([[9.0, 2, 1]]), first)) == pytest.approx(
        0.265279, abs=1e-6
    )


@pytest.mark.parametrize(
    ("evidence", "values"),
    [
        ([4, 1, 0], [0.509524, 0.642163, 0.774803]),
        ([0, 2, 2], [2.45, 2.799905, 3.149809]),
        ([4, 11 / 3, 2], [0.992863, 1.495824, 1.998784]),
    ],
)
def test_reference_values_of_the_loss(evidence: list[float], values: list[float]) -> None:
    opinion = torch.tensor([evidence], dtype=torch.float64).log1p()
    found = [float(opinion_loss(opinion, torch.tensor([0]), weight)) for weight in (0, 0.5, 1)]
    assert found == pytest.approx(values, abs=1e-6)


def test_fits_are_expectations_under_the_distribution(seed: int) -> None:
    alpha, label = drawn()
    samples = Dirichlet(alpha).sample((200_000,))
    log_true = samples[:, torch.arange(ROWS), label].log()
    torch.testing.assert_close(
        expected_cross_entropy(alpha, label), -log_true.mean(0), rtol=0.05, atol=0.01
    )
    distribution, target = Dirichlet(alpha), torch.nn.functional.one_hot(label, CLASSES)
    squares = (target - distribution.mean).square() + distribution.variance
    torch.testing.assert_close(expected_squared_error(alpha, label), squares.sum(1))


def test_price_is_the_divergence_from_uniform_without_the_true_class(seed: int) -> None:
    alpha, label = drawn()
    removed = alpha.clone()
    removed[torch.arange(ROWS), label] = 1
    expected = kl_divergence(Dirichlet(removed), Dirichlet(torch.ones_like(alpha)))
    found = misleading_evidence(alpha, label)
    torch.testing.assert_close(found, expected)
    assert bool((found > 0).all())
    right = torch.ones_like(alpha)
    right[torch.arange(ROWS), label] = 40
    torch.testing.assert_close(
        misleading_evidence(right, label), torch.zeros(ROWS, dtype=torch.float64)
    )


def test_the_chosen_fit_is_the_one_used(seed: int) -> None:
    alpha, label = drawn()
    expected = expected_squared_error(alpha, label) + 0.3 * misleading_evidence(alpha, label)
    torch.testing.assert_close(opinion_loss(alpha.log(), label, 0.3, "squared-error"), expected)


def test_annealing() -> None:
    assert [annealed(epoch, 4, 1) for epoch in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert [annealed(epoch, 0.8, 1) for epoch in range(2)] == [1.0, 1.0]
    assert [annealed(epoch, 4, 0) for epoch in (0, 1, 4, 9)] == [0.0, 0.25, 1.0, 1.0]
