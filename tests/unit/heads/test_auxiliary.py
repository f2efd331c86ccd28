"""The head `auxiliary`: the prediction of Concat, and classifiers that have no part in it."""

from __future__ import annotations

import torch

from equipoise.heads.auxiliary import Auxiliary
from equipoise.heads.concat import Concat

WIDTHS = {"a": 3, "b": 5, "c": 2}


def example() -> tuple[Auxiliary, dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    features = {m: torch.randn(6, w, requires_grad=True) for m, w in WIDTHS.items()}
    present = {m: torch.rand(6) > 0.3 for m in WIDTHS}
    return Auxiliary(WIDTHS, 4), features, present


def test_fused_prediction_is_that_of_concat():
    head, features, present = example()
    concat = Concat(WIDTHS, 4)
    concat.load_state_dict({k: v for k, v in head.state_dict().items() if ".own." not in k})
    torch.testing.assert_close(head(features, present).fused, concat(features, present).fused)


def test_logits_are_those_of_the_own_classifier():
    head, features, present = example()
    own = head.blocks["b"].own
    torch.testing.assert_close(
        head(features, present).logits["b"], features["b"] @ own.weight.T + own.bias
    )
    assert sum(p.numel() for p in head.blocks["b"].parameters()) == 2 * 5 * 4 + 4


def test_no_gradient_crosses_between_the_classifiers():
    head, features, present = example()
    owned = {n for n, _ in head.named_parameters() if ".own." in n}
    head(features, present).fused.sum().backward()
    assert {n for n, p in head.named_parameters() if p.grad is None} == owned
    head.zero_grad()
    head(features, present).logits["a"].sum().backward()
    reached = {n for n, p in head.named_parameters() if p.grad is not None}
    assert reached == {"blocks.a.own.weight", "blocks.a.own.bias"}
