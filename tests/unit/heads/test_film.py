"""FiLM and Affine: the modulation, its limits, absent modalities, one modality alone."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from equipoise.errors import ConfigError
from equipoise.heads import HEADS
from equipoise.heads.film import FiLM

C = 4
WIDTHS = {"a": 3, "b": 5, "c": 2}
ALIKE = {"a": 3, "b": 5, "c": 5}


def classify(head, modulated):
    """W_o on the concatenation, from the stored column blocks."""
    weight = torch.cat([head.classifier.columns[m].weight for m in modulated], 1)
    return F.linear(torch.cat(list(modulated.values()), 1), weight, head.classifier.bias)


def test_two_modalities_are_the_published_module(given):
    features, present = given({"a": 3, "b": 5})
    head = FiLM({"a": 3, "b": 5}, C)
    made = F.linear(features["a"], head.blocks["a"].weight, head.blocks["a"].bias)
    expected = classify(head, {"b": made[:, :5] * features["b"] + made[:, 5:]})
    torch.testing.assert_close(head(features, present).fused, expected)
    assert sum(p.numel() for p in head.parameters()) == 3 * 10 + 10 + C * 5 + C


@pytest.mark.parametrize("residual", [False, True])
def test_targets_of_one_width_share_scale_and_shift(given, residual):
    features, present = given(ALIKE)
    head = FiLM(ALIKE, C, residual_gamma=residual)
    gamma, beta = head.blocks["a"](features["a"]).split(5, 1)
    modulated = {m: (gamma + residual) * features[m] + beta for m in ("b", "c")}
    torch.testing.assert_close(head(features, present).fused, classify(head, modulated))
    total = FiLM(ALIKE, C, combine="sum", residual_gamma=residual)
    total.blocks.load_state_dict(head.blocks.state_dict())
    expected = F.linear(
        modulated["b"] + modulated["c"], total.classifier.weight, total.classifier.bias
    )
    torch.testing.assert_close(total(features, present).fused, expected)


def test_targets_of_unequal_width_have_their_own(given):
    features, present = given(WIDTHS)
    head = FiLM(WIDTHS, C, conditioner="b")
    scale_a, scale_c, shift_a, shift_c = head.blocks["b"](features["b"]).split([3, 2, 3, 2], 1)
    modulated = {"a": scale_a * features["a"] + shift_a, "c": scale_c * features["c"] + shift_c}
    torch.testing.assert_close(head(features, present).fused, classify(head, modulated))


@pytest.mark.parametrize("residual", [False, True])
def test_identity_modulation_is_a_linear_classifier_and_ignores_the_conditioner(given, residual):
    features, present = given(ALIKE)
    head = FiLM(ALIKE, C, residual_gamma=residual)
    with torch.no_grad():
        head.blocks["a"].weight.zero_()
        head.blocks["a"].bias.zero_()
        head.blocks["a"].bias[:5] += not residual
    fused = head(features, present).fused
    torch.testing.assert_close(fused, classify(head, {m: features[m] for m in ("b", "c")}))
    fused.square().sum().backward()
    assert not features["a"].grad.any()


def test_affine_in_the_target_and_in_the_conditioner(given):
    features, present = given(WIDTHS)
    head = FiLM(WIDTHS, C)
    for parts in (("a",), ("b", "c")):

        def scaled(factor, parts=parts):
            return head(
                {m: factor * z if m in parts else z for m, z in features.items()}, present
            ).fused

        torch.testing.assert_close(scaled(2.5) - scaled(0.0), 2.5 * (scaled(1.0) - scaled(0.0)))


def test_conditioner_alone_speaks_through_the_shift(given):
    features, present = given(ALIKE)
    head = FiLM(ALIKE, C)
    before = head(features, present).logits["a"]
    shift = head.blocks["a"](features["a"])[:, 5:]
    torch.testing.assert_close(before, classify(head, {"b": shift, "c": shift}))
    with torch.no_grad():
        head.blocks["a"].weight[:5].normal_()
    torch.testing.assert_close(head(features, present).logits["a"], before)


def test_target_alone_meets_the_constant_modulation_which_does_not_learn(given):
    features, present = given(ALIKE)
    head = FiLM(ALIKE, C)
    gamma, beta = head.blocks["a"].bias.split(5)
    expected = classify(head, {"b": gamma * features["b"] + beta, "c": beta.expand(6, -1)})
    alone = head(features, present).logits["b"]
    torch.testing.assert_close(alone, expected)
    alone.sum().backward()
    assert head.blocks["a"].bias.grad is None


def test_rows_without_conditioner_are_not_modulated_and_absent_targets_are_their_shift(given):
    features, present = given(ALIKE, absent={"a": [0, 1], "b": [1, 2]})
    head = FiLM(ALIKE, C)
    gamma, beta = head.blocks["a"](features["a"]).split(5, 1)
    b, c = features["b"], features["c"]
    rows = [
        ({"b": b[:1], "c": c[:1]}),
        ({"b": 0 * b[1:2], "c": c[1:2]}),
        ({"b": beta[2:3], "c": gamma[2:3] * c[2:3] + beta[2:3]}),
        ({"b": gamma[3:] * b[3:] + beta[3:], "c": gamma[3:] * c[3:] + beta[3:]}),
    ]
    expected = torch.cat([classify(head, row) for row in rows])
    torch.testing.assert_close(head(features, present).fused, expected)


def test_unusable_settings_are_refused():
    with pytest.raises(ConfigError, match="only 'a'"):
        FiLM({"a": 3}, C)
    with pytest.raises(ConfigError, match="'conditioner' names no modality"):
        FiLM(WIDTHS, C, conditioner="d")
    with pytest.raises(ConfigError, match="one width, found b 5, c 2"):
        FiLM(WIDTHS, C, combine="sum")
    with pytest.raises(ConfigError, match="'combine' must be"):
        FiLM(WIDTHS, C, combine="product")
    assert HEADS["affine"].target == HEADS["film"].target
