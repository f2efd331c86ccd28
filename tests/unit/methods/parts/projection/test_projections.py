"""Orthogonal and flat projections against their definitions."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from equipoise.data.table.loader import Loader
from equipoise.methods.parts.projection.flat import FlatMemory, statistic_loader
from equipoise.methods.parts.projection.layers import weighted_layers
from equipoise.methods.parts.projection.matrices import (
    flat_projection,
    orthogonal_update_,
    project,
    quantiles,
)
from equipoise.methods.parts.projection.orthogonal import OrthogonalMemory
from equipoise.runs import run
from equipoise.settings import Settings
from equipoise.testing.world import World
from equipoise.training.loop import fit
from equipoise.training.runtime import Runtime
from plain import PLAIN

WIDTH = 7


def updated(projection: torch.Tensor, mean_feature: torch.Tensor, alpha: float) -> torch.Tensor:
    """The next P, beside the old one."""
    return orthogonal_update_(projection.clone(), mean_feature, alpha)


def test_orthogonal_update_is_equation_5_written_out(seed: int) -> None:
    projection = torch.eye(WIDTH, dtype=torch.float64)
    expected = projection.clone()
    for r in torch.randn(5, WIDTH, dtype=torch.float64):
        projection = updated(projection, r, 0.3)
        q = expected @ r / (0.3 + r @ expected @ r)
        expected = expected - torch.outer(q, r) @ expected
    torch.testing.assert_close(projection, expected)
    # and the recursion is the inverse of the regularised second moment (Woodbury)
    rows = torch.randn(4, WIDTH, dtype=torch.float64)
    projection = torch.eye(WIDTH, dtype=torch.float64)
    for r in rows:
        projection = updated(projection, r, 0.3)
    inverse = torch.linalg.inv(torch.eye(WIDTH, dtype=torch.float64) + rows.T @ rows / 0.3)
    torch.testing.assert_close(projection, inverse)


def test_orthogonal_projection_stays_symmetric_positive_and_never_grows(seed: int) -> None:
    projection = torch.eye(WIDTH)
    for r in torch.randn(200, WIDTH) * torch.rand(200, 1) * 10:
        following = updated(projection, r, 0.05)
        assert torch.equal(following, following.T)
        values = torch.linalg.eigvalsh(following)
        assert values.min() > -1e-6
        assert values.max() <= 1 + 1e-6
        assert following.norm() <= projection.norm() + 1e-6
        projection = following


def test_a_seen_direction_is_removed_and_seeing_it_again_changes_less(seed: int) -> None:
    r = torch.randn(WIDTH, dtype=torch.float64)
    identity = torch.eye(WIDTH, dtype=torch.float64)
    left = [float((updated(identity, r, alpha) @ r).norm()) for alpha in (1.0, 1e-3, 1e-6)]
    assert left[0] > left[1] > left[2]
    assert left[2] < 1e-5
    once = updated(identity, r, 0.1)
    twice = updated(once, r, 0.1)
    assert (twice - once).norm() < (once - identity).norm()


def test_infinite_alpha_leaves_the_identity(seed: int) -> None:
    assert torch.equal(updated(torch.eye(WIDTH), torch.randn(WIDTH), math.inf), torch.eye(WIDTH))


@pytest.mark.parametrize("order", ["current", "previous"])
def test_memory_leaves_the_first_gradient_and_changes_the_second(seed: int, order: str) -> None:
    weight = nn.Parameter(torch.randn(3, WIDTH))
    memory = OrthogonalMemory(weight, order=order)
    first, second = torch.randn(2, 3, WIDTH)
    means = torch.randn(2, WIDTH)
    weight.grad = first.clone()
    memory.modify([weight], [means[0]], 0.1)
    assert torch.equal(weight.grad, first)
    weight.grad = second.clone()
    memory.modify([weight], [means[1]], 0.1)
    seen = means if order == "current" else means[:1]
    projection = torch.eye(WIDTH)
    for r in seen:
        projection = updated(projection, r, 0.1)
    torch.testing.assert_close(weight.grad, second @ projection)


def test_normalised_memory_has_unit_norm_and_survives_a_round_trip(seed: int) -> None:
    weight = nn.Parameter(torch.randn(3, WIDTH))
    memory, copy = (
        OrthogonalMemory(weight, normalize=True),
        OrthogonalMemory(weight, normalize=True),
    )
    memory.update(torch.randn(WIDTH), 0.1)
    assert float(memory.projection.norm()) == pytest.approx(1)
    copy.load_state_dict(memory.state_dict())
    assert torch.equal(copy.projection, memory.projection)
    assert torch.equal(copy.updates, memory.updates)


def test_projection_is_done_in_float32_for_half_precision(seed: int) -> None:
    weight = torch.randn(3, WIDTH).bfloat16()
    memory = OrthogonalMemory(weight)
    assert memory.projection.dtype is torch.float32
    assert project(weight, memory.projection).dtype is torch.bfloat16


def moment(rows: torch.Tensor) -> torch.Tensor:
    return rows.T @ rows


def test_flat_projection_damps_what_is_used_most(seed: int) -> None:
    basis = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64)).Q
    spectrum = torch.tensor([0.0, 1.0, 3.0, 4.0], dtype=torch.float64)
    found = flat_projection(basis @ torch.diag(spectrum) @ basis.T, 0.4)
    expected = basis @ torch.diag(torch.exp(-0.4 * spectrum / 4)) @ basis.T
    torch.testing.assert_close(found, expected)


def test_flat_projection_is_symmetric_with_bounded_spectrum_and_ignores_scale(seed: int) -> None:
    second = moment(torch.randn(20, WIDTH))
    found = flat_projection(second, 0.4)
    torch.testing.assert_close(found, found.T)
    values = torch.linalg.eigvalsh(found)
    assert values.min() == pytest.approx(math.exp(-0.4), abs=1e-5)
    assert values.max() == pytest.approx(1, abs=1e-5)
    torch.testing.assert_close(flat_projection(second * 123.0, 0.4), found, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("second", [torch.zeros(3, 3), 5 * torch.eye(3), torch.ones(1, 1)])
def test_flat_projection_without_spread_is_the_identity(second: torch.Tensor) -> None:
    assert torch.equal(flat_projection(second, 0.4), torch.eye(len(second)))


def test_flat_projection_with_tau_zero_is_the_identity(seed: int) -> None:
    assert torch.equal(flat_projection(moment(torch.randn(9, WIDTH)), 0.0), torch.eye(WIDTH))


@pytest.mark.parametrize("points", [2, 5, 16])
def test_quantiles_run_from_the_smallest_to_the_largest(seed: int, points: int) -> None:
    values = torch.randn(9, dtype=torch.float64)
    found = quantiles(values, points)
    assert found == pytest.approx(
        np.quantile(values.numpy(), [k / (points - 1) for k in range(points)]).tolist()
    )
    assert (found[0], found[-1]) == (values.min(), values.max())


def block(width: int = 5, classes: int = 3) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, 4), nn.ReLU(), nn.Linear(4, classes))


def test_flat_memory_is_neutral_until_it_has_collected(seed: int) -> None:
    head = nn.Module()
    head.blocks = nn.ModuleDict({"a": block(), "b": block()})  # type: ignore[assignment]
    memory = FlatMemory({m: weighted_layers(head.blocks[m]) for m in ("a", "b")}, 0.4)
    gradients = [torch.randn_like(p) for p in head.blocks["a"].parameters()]
    for parameter, gradient in zip(head.blocks["a"].parameters(), gradients, strict=True):
        parameter.grad = gradient.clone()
    memory.modify("a", "b")
    for parameter, gradient in zip(head.blocks["a"].parameters(), gradients, strict=True):
        assert parameter.grad is not None
        assert torch.equal(parameter.grad, gradient)


def test_flat_memory_collects_the_inputs_of_every_layer(seed: int, world: SimpleNamespace) -> None:
    inputs = {"a": 3, "b": 4}
    model = world.model("per-modality", inputs, hidden=[6, 4])
    model.encoders["a"].layers.append(nn.Dropout(0.5))  # the statistic is taken in eval mode
    batches = [world.batch(inputs, absent={"a": [1, 2]}) for _ in range(3)]
    batches.append(world.batch(inputs, absent={"a": list(range(8))}))
    ctx = world.context(model, batches)
    memory = FlatMemory({m: weighted_layers(b) for m, b in model.head.blocks.items()}, 0.4)
    memory.collect("a", ctx, ctx.train)
    memory.collect("a", ctx, ctx.train)  # rebuilt, not accumulated
    assert model.training
    model.eval()
    first, relu, second, _ = model.head.blocks["a"]
    expected = [torch.zeros(width, width) for width in (5, 6, 4)]
    with torch.no_grad():
        for batch in batches[:3]:
            z = model.encoders["a"](batch.inputs["a"][batch.present["a"]])
            h = relu(first(z))
            for moment, seen in zip(expected, (z, h, second(h)), strict=True):
                moment += torch.outer(seen.mean(0), seen.mean(0))
    for spectrum, moment in zip(memory.spectra["a"], expected, strict=True):
        torch.testing.assert_close(
            spectrum.transform, flat_projection(moment, 0.4), rtol=1e-3, atol=1e-3
        )
    assert all(torch.equal(s.transform, torch.eye(len(s.transform))) for s in memory.spectra["b"])
    assert len(memory.spectrum("a", 0)) == 16
    assert {name.split(".")[-1] for name in memory.state_dict()} == {
        "transform"
    }  # what a step reads


def test_flat_memory_modifies_layers_of_equal_width_only(seed: int) -> None:
    blocks = {"a": block(5), "b": block(3)}
    head = nn.Module()
    head.blocks = nn.ModuleDict(blocks)  # type: ignore[assignment]
    memory = FlatMemory({m: weighted_layers(b) for m, b in blocks.items()}, 0.4)
    for spectrum in memory.spectra["b"]:
        spectrum.transform.copy_(2 * torch.eye(len(spectrum.transform)))
    for parameter in head.parameters():
        parameter.grad = torch.ones_like(parameter)
    memory.modify("a", "b")
    factors = [float(p.grad.mean()) for p in head.blocks["a"].parameters()]
    assert factors == [1, 1, 2, 1]  # first layer (unequal), its bias, last layer, its bias
    assert all(float(p.grad.mean()) == 1 for p in head.blocks["b"].parameters())


@pytest.mark.parametrize("method", ["mie", "compose"])
def test_the_order_of_the_rows_hardly_moves_the_statistic(seed: int, method: str) -> None:
    """Sorted by class, with batches in the order of the table, T was another by up to a quarter."""
    options = {} if method == "mie" else {"schedule": "phase", "projection": "flat"}
    settings = Settings.from_dict(
        {
            "data": {"source": "digits"},
            "method": {"name": method, **options},
            "head": "per-modality",
            "width": 16,
            "encoder": "mlp",
            "optimiser": PLAIN,
            "epochs": 2,
            "batch_size": 64,
            "seed": seed,
            "device": "cpu",
        }
    )
    trained = run.build_method(settings)
    splits = run.load_splits(settings, trained)
    model = run.build_model(settings, splits.train.specs, splits.train.classes)
    ctx = run.make_context(settings, splits, model, Runtime())
    trained.setup(ctx)
    fit(trained, ctx, 2)
    memory = trained.memory if method == "mie" else trained.projection.memory
    order = np.random.default_rng(seed).permutation(len(splits.train))
    mixed = splits.train.take(order)
    by_class = splits.train.take(np.argsort(splits.train.label, kind="stable"))

    def differ(*loaders: Loader) -> list[float]:
        found = []
        for modality in model.modalities:
            both = []
            for loader in loaders:
                memory.collect(modality, ctx, loader)
                both.append(memory.spectra[modality][0].transform.clone())
            moved = (torch.eye(len(both[0])) - both[0]).norm()
            found.append(float((both[0] - both[1]).norm() / moved))
        return found

    drawn = []
    for table in (mixed, by_class):
        other = run.make_context(settings, replace(splits, train=table), model, Runtime())
        drawn.append(statistic_loader(other, 12))
    in_order = [ctx.train.again(t, 12, seed=0, shuffle=False) for t in (mixed, by_class)]
    new, old = max(differ(*drawn)), max(differ(*in_order))
    assert new < 0.02
    assert old > 5 * new


def test_the_batches_of_the_statistic_are_those_of_the_seed(seed: int) -> None:
    ctx = World("mie", 2, seed, epochs=1).build()[1]

    def rows(run_seed: int) -> list[list[int]]:
        ctx.seed = run_seed
        return [b.index.tolist() for b in statistic_loader(ctx, 12).batches(0)]

    assert rows(3) == rows(3)
    assert rows(3) != rows(4)
    assert sorted(row for batch in rows(3) for row in batch) == list(range(len(ctx.train.table)))
