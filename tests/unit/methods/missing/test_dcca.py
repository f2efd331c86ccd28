"""The losses of DCCA and DCCAE: values by hand, invariances, gradients, moved parts."""

import pytest
import torch

from equipoise.errors import ConfigError
from equipoise.methods import METHODS
from equipoise.methods.missing.cca import fit_projections
from equipoise.methods.missing.dcca import correlation_loss, whitened
from equipoise.methods.missing.dccae import reconstruction_loss
from equipoise.methods.parts.table_values import FeatureTable, read_features
from equipoise.testing.world import World, differing, snapshot


def everywhere(outputs):
    return {m: torch.ones(len(h), dtype=torch.bool) for m, h in outputs.items()}


def loss(outputs, ridge=1e-3):
    return correlation_loss(outputs, everywhere(outputs), ridge)


@pytest.fixture
def golden():
    first = torch.tensor(
        [[1.0, 0], [0, 1], [-1, 0], [0, -1]], dtype=torch.float64, requires_grad=True
    )
    second = torch.tensor([[1.0], [0], [-1], [0]], dtype=torch.float64, requires_grad=True)
    return {"a": first, "b": second}


def test_golden_value(golden):
    present = everywhere(golden)
    product = (
        whitened(golden["a"], present["a"], 1e-3) @ whitened(golden["b"], present["b"], 1e-3).T
    )
    assert float(torch.linalg.svdvals(product.detach())) == pytest.approx(0.998502, abs=1e-6)
    assert float(loss(golden).detach()) == pytest.approx(-0.999003, abs=1e-6)


def test_gradients_are_finite_where_eigenvalues_coincide_and_where_nothing_correlates(golden):
    loss(golden).backward()
    assert all(torch.isfinite(h.grad).all() for h in golden.values())
    apart = {
        "a": torch.tensor([[1.0], [-1], [0], [0]], requires_grad=True),
        "b": torch.tensor([[0.0], [0], [1], [-1]], requires_grad=True),
    }
    loss(apart).backward()
    assert all(torch.isfinite(h.grad).all() for h in apart.values())


def test_it_is_the_nuclear_norm_of_the_whitened_cross_covariance_of_all_pairs(seed):
    outputs = {m: torch.randn(200, 4, dtype=torch.float64) + torch.randn(200, 1) for m in "abc"}
    inverse = {
        m: torch.linalg.inv(torch.linalg.cholesky(torch.cov(h.T) + 1e-9 * torch.eye(4)))
        for m, h in outputs.items()
    }
    centred = {m: h - h.mean(0) for m, h in outputs.items()}
    expected = -sum(
        torch.linalg.matrix_norm(
            inverse[i] @ (centred[i].T @ centred[j] / 199) @ inverse[j].T, "nuc"
        )
        for i, j in ("ab", "ac", "bc")
    )
    torch.testing.assert_close(loss(outputs, 1e-9), expected, atol=1e-5, rtol=0)


def test_invertible_maps_and_shifts_do_not_matter_and_a_copy_is_the_lower_bound(seed):
    outputs = {m: torch.randn(150, 3, dtype=torch.float64) for m in "ab"}
    moved = {m: h @ torch.randn(3, 3, dtype=torch.float64) + 7 for m, h in outputs.items()}
    torch.testing.assert_close(loss(moved, 1e-12), loss(outputs, 1e-12), atol=1e-5, rtol=0)
    copied = {"a": outputs["a"], "b": outputs["a"] @ torch.randn(3, 3, dtype=torch.float64)}
    assert float(loss(copied, 1e-12)) == pytest.approx(-3, abs=1e-4)


def test_absent_rows_count_as_the_mean_and_get_no_gradient(seed):
    outputs = {m: torch.randn(60, 3, dtype=torch.float64, requires_grad=True) for m in "ab"}
    present = {"a": torch.rand(60) < 0.6, "b": torch.ones(60, dtype=torch.bool)}
    mean = outputs["a"].detach()[present["a"]].mean(0)
    imputed = {**outputs, "a": torch.where(present["a"].unsqueeze(1), outputs["a"], mean)}
    found = correlation_loss(outputs, present, 1e-3)
    torch.testing.assert_close(found, correlation_loss(imputed, everywhere(outputs), 1e-3))
    found.backward()
    assert not outputs["a"].grad[~present["a"]].any()
    assert outputs["a"].grad[present["a"]].any()


def test_reconstruction_counts_present_rows_only():
    features = torch.tensor([[1.0, 2], [0, 0], [3, 3]])
    decoded = torch.tensor([[1.0, 0], [9, 9], [3, 2]])
    assert float(
        reconstruction_loss(decoded, features, torch.tensor([True, False, True]))
    ) == pytest.approx(1.25)
    assert float(reconstruction_loss(decoded, features, torch.zeros(3, dtype=torch.bool))) == 0
    assert float(reconstruction_loss(features, features, torch.ones(3, dtype=torch.bool))) == 0


@pytest.mark.parametrize("name", ["dcca", "dccae"])
def test_learning_raises_correlations_and_moves_the_networks_alone(seed, name):
    method, ctx = World(name, 3, seed % 1000, {"passes": 60}, missing=0.3).build()
    table = read_features(ctx)
    before, start = (
        snapshot(ctx.model),
        float(method.objective(method.head(ctx.model), table).detach()),
    )
    passes = ctx.passes.state_dict()
    method.learn(table, ctx)
    assert float(method.objective(method.head(ctx.model), table).detach()) < start - 1
    parts = (".represent.", ".decoder.") if name == "dccae" else (".represent.",)
    moved = differing(before, snapshot(ctx.model))
    assert {next((part for part in parts if part in n), n) for n in moved} == set(parts)
    assert ctx.passes.state_dict() == passes


def test_decoders_learn_from_the_reconstruction_and_only_from_it(seed):
    method, ctx = World("dccae", 2, seed % 1000, {"weight": 0.5}).build()
    head, table = method.head(ctx.model), read_features(ctx)
    part = FeatureTable({m: x.requires_grad_() for m, x in table.features.items()}, table.present)
    correlation = METHODS.build("dcca").objective(head, part)
    whole = method.objective(head, part)
    errors = sum(
        reconstruction_loss(head.decode(m, head.represent(m, x)), x, part.present[m])
        for m, x in part.features.items()
    )
    torch.testing.assert_close(whole, correlation + 0.5 * errors)
    whole.backward()
    assert all(p.grad is not None for n, p in head.named_parameters() if ".decoder." in n)
    head.zero_grad()
    METHODS.build("dccae", {"weight": 0.0}).objective(head, part).backward()
    assert all(p.grad is None for n, p in head.named_parameters() if ".decoder." in n)
    assert all(p.grad is not None for n, p in head.named_parameters() if ".represent." in n)


def test_representations_are_scaled_to_unit_variance_at_the_end(seed):
    method, ctx = World("dcca", 2, seed % 1000, {"passes": 20}).build()
    table = read_features(ctx)
    method.learn(table, ctx)
    head = method.head(ctx.model)
    fit_projections(head, table, 1e-12)
    for m, x in table.features.items():
        projected = head.branch(m).project(x).detach()
        torch.testing.assert_close(projected.std(0), torch.ones(10), atol=1e-3, rtol=0)
        torch.testing.assert_close(projected.mean(0), torch.zeros(10), atol=1e-3, rtol=0)


def test_few_samples_that_correlate_by_chance_are_told(seed):
    with pytest.warns(UserWarning, match="by chance; raise 'samples'"):
        World("dcca", 2, 1, {"samples": 30}).build()


@pytest.mark.parametrize("option", ["deep_ridge", "passes", "samples", "lr", "weight"])
def test_wrong_options_are_refused(option):
    for wrong in (-1, float("nan")):
        with pytest.raises(ConfigError, match=option):
            METHODS.build("dccae", {option: wrong})
