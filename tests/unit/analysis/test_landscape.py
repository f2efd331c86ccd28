"""Landscape and curvature of a quadratic bowl, whose answers are known, and of trained networks."""

import numpy as np
import pytest
import torch
from torch import nn

from equipoise.analysis.landscape import direction, landscape, surface
from equipoise.analysis.objective import (
    FUSED,
    Objective,
    hessian_product,
    largest_eigenvalue,
    trace,
    worst_nearby,
)
from equipoise.errors import ConfigError
from equipoise.runs.trained import Trained


class Bowl:
    """L = ½ (θ − c)ᵀ H (θ − c) of two weights (3, 2) and (4,), with known eigenvalues."""

    def __init__(self, eigenvalues, seed):
        generator = torch.Generator().manual_seed(seed)
        basis, _ = torch.linalg.qr(torch.randn(10, 10, generator=generator, dtype=torch.float64))
        self.hessian = basis * torch.tensor(eigenvalues, dtype=torch.float64) @ basis.T
        self.centre = torch.randn(10, generator=generator, dtype=torch.float64)
        self.weights = [
            nn.Parameter(part.clone().view(shape))
            for part, shape in zip(self.centre.split([6, 4]), ((3, 2), (4,)), strict=True)
        ]

    def loss(self):
        away = torch.cat([w.flatten() for w in self.weights]) - self.centre
        return 0.5 * away @ self.hessian @ away


EIGENVALUES = [
    [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 20.0],
    [-30.0, 0.0, 0.0, 0.0, 0.1, 0.1, 0.1, 1.0, 1.0, 2.5],
    [0.0] * 9 + [3.0],
]


@pytest.mark.parametrize("eigenvalues", EIGENVALUES)
def test_eigenvalue_and_trace_of_a_bowl(eigenvalues, seed):
    bowl = Bowl(eigenvalues, seed)
    product = hessian_product(bowl.loss, bowl.weights)
    generator = torch.Generator().manual_seed(seed)
    found = largest_eigenvalue(product, bowl.weights, generator, 20)
    assert found == pytest.approx(max(eigenvalues), rel=1e-8)
    mean, error = trace(product, bowl.weights, generator, 4000)
    assert abs(mean - sum(eigenvalues)) < 5 * error
    # Of signs, the variance of vᵀHv is twice the sum of squares beside the diagonal.
    beside = bowl.hessian - torch.diag(bowl.hessian.diagonal())
    assert error == pytest.approx(float(2 * beside.square().sum() / 4000) ** 0.5, rel=0.15)


def test_the_worst_loss_in_a_ball(seed):
    """At the minimum of a bowl it is ½ ρ² λ_max; weights are put back bit for bit."""
    bowl = Bowl(EIGENVALUES[0], seed)
    before = [w.clone() for w in bowl.weights]
    generator = torch.Generator().manual_seed(seed)
    found = worst_nearby(bowl.loss, bowl.weights, 0.3, generator, steps=20)
    assert found == pytest.approx(0.5 * 0.3**2 * 20, rel=1e-3)
    assert worst_nearby(bowl.loss, bowl.weights, 0.0, generator) == pytest.approx(0, abs=1e-12)
    assert all(torch.equal(a, b) for a, b in zip(before, bowl.weights, strict=True))


class Square:
    """An objective ½ ‖θ‖² over the weights of a network."""

    def __init__(self, model):
        self.model = model

    @torch.no_grad()
    def losses(self):
        return {FUSED: 0.5 * sum(float(p.double().square().sum()) for p in self.model.parameters())}


def test_the_plane_of_a_bowl():
    """L(θ + a d + b e) of ½ ‖θ‖², and directions as long as the filters they move."""
    model = nn.Sequential(nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5), nn.Flatten(), nn.Linear(5, 4))
    first, second = direction(model, 1), direction(model, 2)
    assert set(first) == {"0.weight", "3.weight"}
    parameters = dict(model.named_parameters())
    for name, moved in first.items():
        lengths = parameters[name].flatten(1).norm(dim=1)
        assert torch.allclose(moved.flatten(1).norm(dim=1), lengths, rtol=1e-5)
    start = Square(model).losses()[FUSED]
    steps = [-1.0, 0.0, 0.5]
    found = dict(surface(Square(model), [first, second], steps))
    assert list(found) == [(a, b) for a in steps for b in steps]
    for (a, b), losses in found.items():
        rise = 0.0
        for name in first:
            theta, offset = parameters[name].detach(), a * first[name] + b * second[name]
            rise += float((theta * offset).sum() + 0.5 * offset.square().sum())
        assert losses[FUSED] == pytest.approx(start + rise, rel=1e-5)
    assert Square(model).losses()[FUSED] == start


def test_two_networks_of_one_architecture_move_alike():
    torch.manual_seed(0)
    one, other = (nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)) for _ in range(2))
    for name, moved in direction(one, 5).items():
        twin = direction(other, 5)[name]
        cosine = torch.nn.functional.cosine_similarity(moved, twin, dim=1)
        assert torch.allclose(cosine, torch.ones(len(moved)), atol=1e-5)


def test_the_curvature_of_a_trained_network(trio):
    """Lanczos and Hutchinson agree with the dense Hessian of the loss of one modality."""
    trained = Trained(trio["joint"].folder)
    objective = Objective(trained.model.double(), Doubled(trained.own("train")))
    weights = objective.weights("easy")
    own = {id(p) for p in trained.model.encoders["easy"].parameters()}
    assert own <= {id(w) for w in weights}
    assert not {id(w) for w in weights} & {
        id(p) for p in trained.model.encoders["hard"].parameters()
    }
    gradient = torch.autograd.grad(objective.loss("easy"), weights, create_graph=True)
    flat = torch.cat([g.flatten() for g in gradient])
    every = torch.eye(len(flat), dtype=flat.dtype)
    rows = torch.autograd.grad(flat, weights, every, is_grads_batched=True, retain_graph=True)
    dense = torch.cat([x.flatten(1) for x in rows], 1)
    product = hessian_product(lambda: objective.loss("easy"), weights)
    generator = torch.Generator().manual_seed(0)
    largest = largest_eigenvalue(product, weights, generator, 30)
    assert largest == pytest.approx(float(torch.linalg.eigvalsh(dense)[-1]), rel=1e-4)
    mean, error = trace(product, weights, generator, 100)
    assert abs(mean - float(dense.trace())) < 5 * error


class Doubled:
    """A table whose batches hold float64."""

    def __init__(self, table):
        self.table = table

    def __len__(self):
        return len(self.table)

    def rows(self, indices, epoch=0):
        batch = self.table.rows(indices, epoch)
        return batch.apply(lambda x: x.double() if x.is_floating_point() else x)


def test_the_landscape_of_runs(trio):
    runs = [trio["joint"], trio["mie"]]
    record = landscape(runs, points=3, samples=1000, iterations=3, seed=4)
    found = record.to_frame()
    assert list(found["part"]) == ["fused", "easy", "hard"] * 2
    for run, name in zip(runs, ("joint", "mie"), strict=True):
        measured = run.evaluate(split="train")
        own = found[found["run"] == name].set_index("part")
        assert own.loc["fused", "loss"] == pytest.approx(measured["fused"]["log_loss"], rel=1e-4)
        hard = measured["modalities"]["hard"]["log_loss"]
        assert own.loc["hard", "loss"] == pytest.approx(hard, rel=1e-4)
    surfaces = record.to_frame("surface")
    centre = surfaces[(surfaces["a"] == 0) & (surfaces["b"] == 0)]
    assert np.allclose(centre["loss"], found["loss"])
    mean = surfaces.groupby(["run", "part"], sort=False)["loss"].mean().to_numpy()
    assert np.allclose(mean - found["loss"], found["rise"])
    assert (found["worst"] >= found["loss"] - 1e-6).all()
    lines = landscape(runs, dimensions=1, points=5, curvature=False)
    assert len(lines.picture.panels) == 3
    assert len(lines.to_frame("surface")) == 2 * 3 * 5
    before = trio["joint"].model.state_dict()
    assert all(torch.equal(before[k], v) for k, v in trio["joint"].model.state_dict().items())
    with pytest.raises(ConfigError, match="'dimensions' must be 1 or 2"):
        landscape(runs, dimensions=3)
