"""The head `cosine`: only directions count, and no modality's logit exceeds the scale."""

from __future__ import annotations

import math

import pytest
import torch

from equipoise.errors import ConfigError
from equipoise.heads.cosine import Cosine, unit

WIDTHS = {"a": 3, "b": 5, "c": 2}


def example(rows: int = 6) -> tuple[Cosine, dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    head = Cosine(WIDTHS, 4, scale=7.0).double()
    features = {m: torch.randn(rows, w, dtype=torch.float64) for m, w in WIDTHS.items()}
    return head, features, {m: torch.ones(rows, dtype=torch.bool) for m in WIDTHS}


def test_a_cosine_worked_out_by_hand():
    head = Cosine({"a": 2}, 2, scale=10.0).double()
    with torch.no_grad():
        head.blocks["a"].weight.copy_(torch.tensor([[2.0, 0.0], [1.0, 1.0]]))
    fused = head(
        {"a": torch.tensor([[0.0, 5.0]], dtype=torch.float64)}, {"a": torch.tensor([True])}
    ).fused
    torch.testing.assert_close(fused, torch.tensor([[0.0, 10 / math.sqrt(2)]], dtype=torch.float64))


def test_lengths_of_features_and_weights_do_not_count():
    head, features, present = example()
    before = head(features, present).fused
    torch.testing.assert_close(head({**features, "b": 31.0 * features["b"]}, present).fused, before)
    with torch.no_grad():
        head.blocks["c"].weight.mul_(torch.tensor([[0.1], [3.0], [8.0], [1.0]]))
    torch.testing.assert_close(head(features, present).fused, before)


def test_no_share_exceeds_the_scale_and_there_is_no_bias():
    head, features, present = example(200)
    output = head(features, present)
    largest = max(float(logits.detach().abs().max()) for logits in output.logits.values())
    assert 0.9 * 7.0 < largest <= 7.0
    assert {name for name, _ in head.named_parameters()} == {f"blocks.{m}.weight" for m in WIDTHS}


def test_a_feature_of_zeros_has_logit_zero_and_a_moderate_gradient():
    rows = torch.tensor([[0.0, 0.0], [3.0, 4.0]], requires_grad=True)
    found = unit(rows)
    assert found.tolist() == [[0.0, 0.0], [0.6000000238418579, 0.800000011920929]]
    found.sum().backward()
    assert float(rows.grad.abs().max()) <= 1.0


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan])
def test_refuses_a_scale_that_is_not_positive(scale):
    with pytest.raises(ConfigError, match="'scale' must be positive"):
        Cosine(WIDTHS, 4, scale=scale)
