"""The head of CPM-Net: the latent solves its least-squares problem from what is present."""

from __future__ import annotations

import pytest
import torch

from equipoise.errors import ConfigError
from equipoise.heads.cpm_net import CPMNet

WIDTHS = {"b": 3, "a": 4, "c": 2}


@pytest.mark.parametrize("latent", [5, 40])
def test_the_latent_is_where_the_gradient_vanishes(latent: int) -> None:
    head = CPMNet(WIDTHS, 4, latent=latent, ridge=0.01).double()
    features = {m: torch.randn(7, d, dtype=torch.float64) for m, d in WIDTHS.items()}
    present = {m: torch.rand(7) < 0.6 for m in WIDTHS}
    present["a"] |= ~torch.stack(list(present.values())).any(0)
    found = head.latents(features, present).detach().requires_grad_()
    loss = 0.01 * found.square().sum()
    for m, z in features.items():
        loss = loss + ((head.decode(m, found) - z).square().sum(1) * present[m]).sum()
    (slope,) = torch.autograd.grad(loss, found)
    assert float(slope.abs().max()) < 1e-9
    torch.testing.assert_close(head(features, present).fused, found @ head.prototypes.T)


def test_it_decodes_into_what_it_came_from() -> None:
    head = CPMNet(WIDTHS, 4, latent=4, ridge=1e-9)
    latent = torch.randn(6, 4)
    features = {m: head.decode(m, latent) for m in WIDTHS}
    full = {m: torch.ones(6, dtype=torch.bool) for m in WIDTHS}
    torch.testing.assert_close(head.latents(features, full), latent, atol=1e-3, rtol=1e-3)


def test_rows_are_fitted_each_for_itself() -> None:
    head = CPMNet(WIDTHS, 4)
    features = {m: torch.randn(6, d) for m, d in WIDTHS.items()}
    present = {m: torch.rand(6) < 0.7 for m in WIDTHS}
    order = torch.randperm(6)
    shuffled = head(
        {m: z[order] for m, z in features.items()}, {m: p[order] for m, p in present.items()}
    ).fused
    torch.testing.assert_close(shuffled, head(features, present).fused[order])


@pytest.mark.parametrize("options", [{"latent": 0}, {"ridge": 0.0}])
def test_refuses_bad_options(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"'{next(iter(options))}' must be"):
        CPMNet(WIDTHS, 4, **options)  # type: ignore[arg-type]
