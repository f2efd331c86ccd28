"""The implicit gradient against closed forms, and the solvers against a dense solve."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equipoise.methods.balance.lfm_learned import (
    Solution,
    conjugate_gradients,
    gauss_newton_product,
    hessian_product,
    implicit_gradient,
    largest_curvature,
    minimal_residual,
    neumann,
    solve,
)
from equipoise.methods.parts.alignment import Softmax

SIZE = 6
CLASSES = 3


def symmetric(values: Tensor) -> Tensor:
    """A symmetric matrix with these eigenvalues."""
    basis = torch.linalg.qr(torch.randn(len(values), len(values), dtype=torch.float64)).Q
    return basis @ torch.diag(values) @ basis.T


def positive() -> Tensor:
    """A matrix with eigenvalues in [0.5, 2]."""
    return symmetric(0.5 + 1.5 * torch.rand(SIZE, dtype=torch.float64))


def indefinite() -> Tensor:
    """A matrix with eigenvalues in [-2, -0.5] and [0.5, 2]."""
    sign = torch.tensor([1.0, -1.0] * (SIZE // 2), dtype=torch.float64)
    return symmetric(sign * (0.5 + 1.5 * torch.rand(SIZE, dtype=torch.float64)))


def residual(matrix: Tensor, target: Tensor, found: Solution) -> float:
    return float((matrix @ found.value - target).norm() / target.norm())


class Classifier:
    """A cross-entropy of soft labels, whose logits are linear in θ, or a tanh of that."""

    def __init__(self, bent: bool = False, rows: int = 40) -> None:
        self.inputs = torch.randn(rows, SIZE // 2, CLASSES, dtype=torch.float64)
        self.labels = torch.randn(rows, CLASSES, dtype=torch.float64).softmax(1)
        self.bent = bent

    def logits(self, parameters: list[nn.Parameter]) -> Tensor:
        theta = torch.cat([p.reshape(-1) for p in parameters])
        slopes, scales = theta[: SIZE // 2], theta[SIZE // 2 :]
        linear = torch.einsum("nkc,k->nc", self.inputs, slopes) + scales[:CLASSES]
        return torch.tanh(linear) * 2 if self.bent else linear

    def loss(self, parameters: list[nn.Parameter]) -> Tensor:
        return F.cross_entropy(self.logits(parameters), self.labels)

    def softmax(self, parameters: list[nn.Parameter]) -> Softmax:
        return Softmax(self.logits(parameters), torch.mean)


def split(theta: Tensor) -> list[nn.Parameter]:
    return [nn.Parameter(theta[:2].clone()), nn.Parameter(theta[2:].clone().view(2, 2))]


@pytest.fixture
def ctx(world: SimpleNamespace) -> object:
    return world.context(world.model("sum", {"a": 3, "b": 4}), [])


def found(
    ctx: object,
    parts: tuple[Classifier, Classifier, Classifier],
    theta: Tensor,
    alpha: float,
    **options,
) -> float:
    classify, match, outer = parts
    parameters = split(theta)
    gradient, _ = implicit_gradient(
        (classify.loss(parameters), match.loss(parameters)),
        ([classify.softmax(parameters)], [match.softmax(parameters)]),
        torch.tensor(alpha, dtype=torch.float64),
        outer.loss(parameters),
        parameters,
        ctx,
        **options,
    )
    assert all(p.grad is None for p in parameters)  # nothing is left for an optimiser
    return float(gradient)


def minimum(classify: Classifier, match: Classifier, alpha: float) -> Tensor:
    """θ*(α) of (1 − α) L_CLS + α L_MM, by Newton's method."""

    def total(theta: Tensor) -> Tensor:
        parts = [theta[:2], theta[2:]]
        return (1 - alpha) * classify.loss(parts) + alpha * match.loss(parts)

    theta = torch.zeros(SIZE, dtype=torch.float64)
    for _ in range(6):
        slope = torch.func.grad(total)(theta)
        # The classes may all be shifted alike: the least of many solutions.
        theta = theta - torch.linalg.pinv(torch.func.hessian(total)(theta), 1e-9) @ slope
    return theta


@pytest.mark.parametrize("solver", ["cg", "minres", "neumann"])
@pytest.mark.parametrize("alpha", [0.0, 0.4, 1.0])
def test_equals_the_derivative_of_the_outer_loss_at_the_inner_minimum(
    seed: int, ctx: object, solver: str, alpha: float
) -> None:
    """Also where α is at one of its ends: there the other loss decides whether it stays."""
    classify, match, outer = (Classifier() for _ in range(3))
    step = 1e-5
    ends = [outer.loss(split(minimum(classify, match, alpha + s))).item() for s in (step, -step)]
    expected = (ends[0] - ends[1]) / (2 * step)
    terms = 400 if solver == "neumann" else 40
    options = {"solver": solver, "iterations": terms, "damping": 1e-9}
    theta = minimum(classify, match, alpha)
    assert found(ctx, (classify, match, outer), theta, alpha, **options) == pytest.approx(
        expected, rel=2e-2, abs=1e-5
    )
    assert abs(expected) > 1e-4


@pytest.mark.parametrize("damping", [0.05, 0.5])
@pytest.mark.parametrize("solver", ["cg", "minres", "neumann", "identity"])
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_equals_equation_3_anywhere(
    seed: int, ctx: object, solver: str, damping: float, alpha: float
) -> None:
    """Of any logits: "minres" with the Hessian, "cg" and "neumann" with the Gauss-Newton matrix."""
    parts = tuple(Classifier(bent=True) for _ in range(3))
    theta = torch.randn(SIZE, dtype=torch.float64)

    def loss(part: Classifier, at: Tensor) -> Tensor:
        return part.loss([at[:2], at[2:]])

    slopes = [torch.func.grad(lambda at, part=part: loss(part, at))(theta) for part in parts]
    weights = (1 - alpha, alpha)
    if solver == "minres":
        curvatures = [torch.func.hessian(lambda at, p=p: loss(p, at))(theta) for p in parts[:2]]
    else:
        curvatures = [gauss_newton(part, theta) for part in parts[:2]]
    matrix = sum(w * c for w, c in zip(weights, curvatures, strict=True))
    largest = largest_curvature(lambda v: matrix @ v, slopes[2])
    matrix = matrix + damping * largest * torch.eye(SIZE, dtype=torch.float64)
    solved = slopes[2] if solver == "identity" else torch.linalg.solve(matrix, slopes[2])
    expected = float(-(slopes[1] - slopes[0]) @ solved)
    options = {"solver": solver, "damping": damping, "iterations": 100}
    assert found(ctx, parts, theta, alpha, **options) == pytest.approx(
        expected, rel=2e-2, abs=1e-3 * float(slopes[2].norm())
    )


def gauss_newton(part: Classifier, theta: Tensor) -> Tensor:
    """Σ Jᵀ (diag p − p pᵀ) J / n, written out."""
    jacobian = torch.func.jacrev(lambda at: part.logits([at[:2], at[2:]]))(theta)
    p = part.logits(split(theta)).detach().softmax(1)
    curvature = torch.diag_embed(p) - p.unsqueeze(2) * p.unsqueeze(1)
    return torch.einsum("nci,ncd,ndj->ij", jacobian, curvature, jacobian) / len(p)


def test_products_are_those_of_the_matrices_written_out(seed: int, ctx: object) -> None:
    part, theta = Classifier(bent=True), torch.randn(SIZE, dtype=torch.float64)
    parameters = split(theta)
    vector = torch.randn(SIZE, dtype=torch.float64)
    product = gauss_newton_product([part.softmax(parameters)], parameters, ctx)
    torch.testing.assert_close(product(vector), gauss_newton(part, theta) @ vector)
    torch.testing.assert_close(product(2 * vector), 2 * product(vector))
    slope = ctx.gradient(part.loss(parameters), parameters, create_graph=True)  # type: ignore[attr-defined]
    of_hessian = hessian_product(torch.cat([g.reshape(-1) for g in slope]), parameters, ctx)
    hessian = torch.func.hessian(lambda at: part.loss([at[:2], at[2:]]))(theta)
    torch.testing.assert_close(of_hessian(vector), hessian @ vector)
    assert not torch.allclose(hessian, gauss_newton(part, theta))


@pytest.mark.parametrize("matrix", [positive, indefinite])
def test_the_largest_curvature_is_approached_from_below(seed: int, matrix) -> None:
    drawn = matrix()
    largest = torch.linalg.eigvalsh(drawn).abs().amax()
    start = torch.randn(SIZE, dtype=torch.float64)
    estimate = largest_curvature(lambda v: drawn @ v, start)
    assert 0.6 * largest < estimate <= largest * (1 + 1e-12)
    assert largest_curvature(lambda v: drawn @ v, torch.zeros(SIZE, dtype=torch.float64)) == 0


@pytest.mark.parametrize("solver", ["cg", "minres", "neumann"])
def test_damping_is_a_fraction_of_the_largest_curvature(seed: int, solver: str) -> None:
    """A loss of a thousandfold scale is solved as well, and by a thousandth of the solution."""
    matrix, target = positive(), torch.randn(SIZE, dtype=torch.float64)
    found = [
        solve(solver, lambda v, s=s: s * matrix @ v, target, iterations=400, damping=0.3)
        for s in (1.0, 1000.0)
    ]
    torch.testing.assert_close(found[0].value, 1000 * found[1].value)
    damped = matrix + 0.3 * largest_curvature(lambda v: matrix @ v, target) * torch.eye(SIZE)
    expected = torch.linalg.solve(damped, target)
    torch.testing.assert_close(found[0].value, expected, rtol=2e-2, atol=2e-3)
    assert float(found[0].residual) == pytest.approx(
        residual(damped, target, found[0]), rel=1e-3, abs=1e-6
    )


def test_conjugate_gradients_solve_in_as_many_steps_as_dimensions_and_keep_to_the_budget(
    seed: int,
) -> None:
    matrix, target = positive(), torch.randn(SIZE, dtype=torch.float64)
    calls = 0

    def product(vector: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return matrix @ vector

    found = conjugate_gradients(product, target, iterations=SIZE)
    assert residual(matrix, target, found) < 2e-3
    assert found.iterations == calls <= SIZE
    for k in (1, 2, 4):
        part = conjugate_gradients(product, target, iterations=k)
        assert part.iterations == k
        assert float(part.residual) == pytest.approx(residual(matrix, target, part))


def test_conjugate_gradients_return_the_iterate_of_least_residual(seed: int) -> None:
    """The residual is not monotone: no later iterate may be worse than an earlier one."""
    matrix = symmetric(torch.tensor([1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0], dtype=torch.float64))
    target = torch.randn(SIZE, dtype=torch.float64)
    residuals = [
        float(conjugate_gradients(lambda v: matrix @ v, target, iterations=k).residual)
        for k in range(1, SIZE)
    ]
    assert residuals == sorted(residuals, reverse=True)
    assert residuals[0] <= 1


def test_minimal_residual_solves_what_is_not_positive(seed: int) -> None:
    """In every iteration it is the least residual of the Krylov space, found by least squares."""
    matrix, target = indefinite(), torch.randn(SIZE, dtype=torch.float64)
    basis = [target]
    for k in range(1, SIZE + 1):
        found = minimal_residual(lambda v: matrix @ v, target, iterations=k)
        images = matrix @ torch.stack(basis, 1)
        least = target - images @ torch.linalg.lstsq(images, target).solution
        expected = float(least.norm() / target.norm())
        assert residual(matrix, target, found) == pytest.approx(expected, abs=2e-3)
        assert float(found.residual) == pytest.approx(
            residual(matrix, target, found), rel=1e-6, abs=1e-9
        )
        basis.append(matrix @ basis[-1])
    assert residual(matrix, target, found) < 2e-3
    nothing = minimal_residual(lambda v: v, torch.zeros(SIZE), iterations=5)
    assert not nothing.value.any()
    assert nothing.iterations == 0


def test_conjugate_gradients_stop_at_curvature_that_is_not_positive(seed: int) -> None:
    target = torch.randn(SIZE, dtype=torch.float64)
    stopped = conjugate_gradients(lambda v: -v, target, iterations=5)
    assert not stopped.value.any()
    assert float(stopped.residual) == pytest.approx(1)
    nothing = conjugate_gradients(lambda v: v, torch.zeros(SIZE), iterations=5)
    assert not nothing.value.any()


def test_neumann_is_the_series_written_out(seed: int) -> None:
    matrix, target = positive(), torch.randn(SIZE, dtype=torch.float64)
    inside = torch.eye(SIZE, dtype=torch.float64) - 0.3 * matrix
    for terms in (1, 2, 5):
        expected = 0.3 * sum(torch.linalg.matrix_power(inside, k) @ target for k in range(terms))
        series = neumann(lambda v: matrix @ v, target, terms=terms, step=0.3)
        torch.testing.assert_close(series.value, expected)
        assert float(series.residual) == pytest.approx(residual(matrix, target, series))
