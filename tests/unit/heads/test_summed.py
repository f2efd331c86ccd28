"""Heads that look at the sum of the modalities' logits once more: `mixed-sum` and `boosted-sum`."""

from __future__ import annotations

import pytest
import torch

from equipoise.errors import ConfigError
from equipoise.heads.boosted_sum import BoostedSum
from equipoise.heads.mixed_sum import MixedSum

NAMES = ("a", "b", "c")


def example(head_class, **options):
    head = head_class(dict.fromkeys(NAMES, 5), 4, **options).double()
    features = {m: torch.randn(6, 5, dtype=torch.float64) for m in NAMES}
    present = {m: torch.ones(6, dtype=torch.bool) for m in NAMES}
    present["b"][:2] = False
    return head, features, present


def test_mixed_sum_is_a_linear_layer_on_the_sum():
    head, z, present = example(MixedSum)
    output = head(z, present)
    own = {m: z[m] @ head.blocks[m].weight.T + head.blocks[m].bias for m in NAMES}
    total = sum(own[m] * present[m].unsqueeze(1) for m in NAMES)
    torch.testing.assert_close(output.fused, total @ head.mix.weight.T + head.mix.bias)
    torch.testing.assert_close(output.logits["c"], own["c"])


def test_boosted_sum_multiplies_one_classifiers_outputs():
    head, z, present = example(BoostedSum, hidden=7, rate=0.3)
    first, _, second = head.classifier
    own = {
        m: torch.relu(z[m] @ first.weight.T + first.bias) @ second.weight.T + second.bias
        for m in NAMES
    }
    total = sum(own[m] * present[m].unsqueeze(1) for m in NAMES)
    output = head(z, present)
    torch.testing.assert_close(output.fused, 0.3 * total, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(output.logits["a"], own["a"])


def test_boosted_sum_does_not_depend_on_the_order_of_the_modalities():
    head, z, present = example(BoostedSum)
    other = BoostedSum(dict.fromkeys(NAMES[::-1], 5), 4).double()
    other.load_state_dict(head.state_dict())
    torch.testing.assert_close(other(z, present).fused, head(z, present).fused)


def test_boosted_sum_without_a_hidden_layer_is_linear():
    head, z, present = example(BoostedSum, hidden=0)
    doubled = head({"a": 2 * z["a"]}, present).logits["a"] - head.classifier.bias
    torch.testing.assert_close(
        doubled, 2 * (head({"a": z["a"]}, present).logits["a"] - head.classifier.bias)
    )


@pytest.mark.parametrize("options", [{"hidden": -1}, {"rate": 0.0}, {"rate": float("nan")}])
def test_boosted_sum_refuses_bad_options(options):
    with pytest.raises(ConfigError, match=f"BoostedSum: '{next(iter(options))}' must be"):
        BoostedSum({"a": 5, "b": 5}, 4, **options)


def test_boosted_sum_needs_one_width():
    with pytest.raises(ConfigError, match="one width, found a 5, b 6"):
        BoostedSum({"a": 5, "b": 6}, 4)
