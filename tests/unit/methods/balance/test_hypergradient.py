"""The implicit gradient against a closed form, and the solvers against a dense solve."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from equipoise.methods.balance.lfm_learned import conjugate_gradients, implicit_gradient, neumann

SIZE = 6
Quadratic = tuple[Tensor, Tensor]


def positive(size: int = SIZE) -> Tensor:
    """A symmetric matrix with eigenvalues in [0.5, 2]."""
    basis = torch.linalg.qr(torch.randn(size, size, dtype=torch.float64)).Q
    return basis @ torch.diag(0.5 + 1.5 * torch.rand(size, dtype=torch.float64)) @ basis.T


def quadratic() -> Quadratic:
    return positive(), torch.randn(SIZE, dtype=torch.float64)


def value(of: Quadratic, parameters: list[nn.Parameter]) -> Tensor:
    theta = torch.cat([p.reshape(-1) for p in parameters])
    return theta @ of[0] @ theta / 2 - of[1] @ theta


def minimum(classify: Quadratic, match: Quadratic, alpha: float) -> Tensor:
    """θ*(α) of (1 − α) L_CLS + α L_MM."""
    hessian, linear = ((1 - alpha) * classify[k] + alpha * match[k] for k in (0, 1))
    return torch.linalg.solve(hessian, linear)


def split(theta: Tensor) -> list[nn.Parameter]:
    return [nn.Parameter(theta[:2].clone()), nn.Parameter(theta[2:].clone().view(2, 2))]


@pytest.fixture
def ctx(world: SimpleNamespace) -> object:
    return world.context(world.model("sum", {"a": 3, "b": 4}), [])


def found(
    ctx: object,
    parts: tuple[Quadratic, Quadratic, Quadratic],
    theta: Tensor,
    alpha: float,
    **options,
) -> float:
    classify, match, outer = parts
    parameters = split(theta)
    inner = value(classify, parameters), value(match, parameters)
    settings = {"solver": "cg", "iterations": 20, "damping": 0.0, **options}
    gradient = implicit_gradient(
        inner, torch.tensor(alpha), value(outer, parameters), parameters, ctx, **settings
    )
    assert all(p.grad is None for p in parameters)  # nothing is left for an optimiser
    return float(gradient)


@pytest.mark.parametrize("options", [{}, {"solver": "neumann", "iterations": 400, "step": 0.4}])
def test_equals_the_derivative_of_the_outer_loss_at_the_inner_minimum(
    seed: int, ctx: object, options: dict[str, object]
) -> None:
    classify, match, outer = quadratic(), quadratic(), quadratic()
    alpha, step = float(torch.rand(())), 1e-5
    ends = [value(outer, split(minimum(classify, match, alpha + s))).item() for s in (step, -step)]
    expected = (ends[0] - ends[1]) / (2 * step)
    theta = minimum(classify, match, alpha)
    assert found(ctx, (classify, match, outer), theta, alpha, **options) == pytest.approx(
        expected, rel=1e-4, abs=1e-6
    )


@pytest.mark.parametrize("damping", [0.0, 0.3])
@pytest.mark.parametrize("solver", ["cg", "neumann", "identity"])
def test_equals_equation_3_anywhere(seed: int, ctx: object, solver: str, damping: float) -> None:
    classify, match, outer = quadratic(), quadratic(), quadratic()
    theta, alpha = torch.randn(SIZE, dtype=torch.float64), 0.3
    gradients = {
        name: of[0] @ theta - of[1]
        for name, of in zip("cmo", (classify, match, outer), strict=True)
    }
    hessian = (
        (1 - alpha) * classify[0]
        + alpha * match[0]
        + damping * torch.eye(SIZE, dtype=torch.float64)
    )
    solved = gradients["o"] if solver == "identity" else torch.linalg.solve(hessian, gradients["o"])
    expected = float(-(gradients["m"] - gradients["c"]) @ solved)
    options = {
        "solver": solver,
        "damping": damping,
        "iterations": 20 if solver == "cg" else 400,
        "step": 0.4,
    }
    assert found(ctx, (classify, match, outer), theta, alpha, **options) == pytest.approx(
        expected, rel=1e-6
    )


def test_conjugate_gradients_solve_in_as_many_steps_as_dimensions_and_keep_to_the_budget(
    seed: int,
) -> None:
    matrix, target = quadratic()
    calls = 0

    def product(vector: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return matrix @ vector

    solution = conjugate_gradients(product, target, iterations=SIZE, damping=0.0)
    torch.testing.assert_close(solution, torch.linalg.solve(matrix, target), rtol=1e-6, atol=1e-8)
    assert calls <= SIZE
    errors = [
        float((conjugate_gradients(product, target, iterations=k, damping=0.0) - solution).norm())
        for k in (1, 2, 4)
    ]
    assert errors == sorted(errors, reverse=True)


def test_conjugate_gradients_stop_at_curvature_that_is_not_positive(seed: int) -> None:
    target = torch.randn(SIZE, dtype=torch.float64)
    assert not conjugate_gradients(lambda v: -v, target, iterations=5, damping=0.0).any()
    damped = conjugate_gradients(lambda v: -v, target, iterations=5, damping=3.0)
    torch.testing.assert_close(damped, target / 2)
    assert not conjugate_gradients(lambda v: v, torch.zeros(SIZE), iterations=5, damping=0.0).any()


def test_neumann_is_the_series_written_out(seed: int) -> None:
    matrix, target = quadratic()
    inside = torch.eye(SIZE, dtype=torch.float64) - 0.3 * (
        matrix + 0.1 * torch.eye(SIZE, dtype=torch.float64)
    )
    for terms in (1, 2, 5):
        expected = 0.3 * sum(torch.linalg.matrix_power(inside, k) @ target for k in range(terms))
        series = neumann(lambda v: matrix @ v, target, iterations=terms, damping=0.1, step=0.3)
        torch.testing.assert_close(series, expected)
