"""Sharpness-aware minimisation: the perturbation, the way back, and the running statistics."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from equipoise.methods.parts.sharpness import frozen_statistics, perturbation, perturbed


def test_perturbation_has_radius_rho_along_the_gradient(seed: int) -> None:
    gradients = [torch.randn(3, 4), torch.randn(5), torch.randn(())]
    offsets = perturbation(gradients, 0.05)
    flat, gradient = (torch.cat([t.reshape(-1) for t in part]) for part in (offsets, gradients))
    assert float(flat.norm()) == pytest.approx(0.05, rel=1e-5)
    torch.testing.assert_close(flat / 0.05, gradient / gradient.norm())


def test_perturbation_of_nothing_is_nothing() -> None:
    (offset,) = perturbation([torch.zeros(4)], 0.05)
    assert torch.equal(offset, torch.zeros(4))


def test_parameters_come_back_bit_for_bit_even_after_an_error(seed: int) -> None:
    parameters = [nn.Parameter(torch.randn(4, 3)), nn.Parameter(torch.randn(2))]
    offsets = [torch.randn_like(p) for p in parameters]
    before = [p.detach().clone() for p in parameters]
    with perturbed(parameters, offsets):
        for parameter, value, offset in zip(parameters, before, offsets, strict=True):
            assert torch.equal(parameter, value + offset)
    with pytest.raises(ZeroDivisionError), perturbed(parameters, offsets):
        raise ZeroDivisionError
    for parameter, value in zip(parameters, before, strict=True):
        assert torch.equal(parameter, value)


def test_the_gradient_at_the_perturbed_point_is_that_of_a_moved_copy(seed: int) -> None:
    parameter = nn.Parameter(torch.randn(4))
    matrix, offset = torch.randn(4, 4), torch.randn(4)
    with perturbed([parameter], [offset]):
        ((matrix @ parameter) ** 4).sum().backward()  # type: ignore[no-untyped-call]
    moved = (parameter + offset).detach().requires_grad_()
    (expected,) = torch.autograd.grad(((matrix @ moved) ** 4).sum(), moved)
    torch.testing.assert_close(parameter.grad, expected)


@pytest.mark.parametrize("training", [True, False])
def test_batch_statistics_are_used_and_not_remembered(seed: int, training: bool) -> None:
    model = nn.Sequential(
        nn.Linear(3, 4), nn.BatchNorm1d(4), nn.BatchNorm1d(4, track_running_stats=False)
    )
    model(torch.randn(9, 3))
    model.train(training)
    before = copy.deepcopy(model.state_dict())
    x = torch.randn(6, 3)
    with frozen_statistics(model):
        inside = model(x)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(inside, model(x))
    if training:
        assert not torch.equal(model[1].running_mean, before["1.running_mean"])
    assert (model[1].track_running_stats, model[2].track_running_stats) == (True, False)
