"""The heads of Weight: weights on predictions, hidden features or feature dimensions."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from equipoise.errors import ConfigError
from equipoise.heads.parts.scorer import Scorer
from equipoise.heads.weight import Weight
from equipoise.heads.weight_elementwise import WeightElementwise
from equipoise.heads.weight_hidden import WeightHidden

C = 4
WIDTHS = {"a": 3, "b": 5, "c": 2}
ABSENT = {"a": [0, 1], "b": [1, 2]}


def score(scorer, h):
    first, _, second, _, third = scorer
    inner = torch.relu(second(torch.relu(first(h))))
    return (inner @ third.weight.T + third.bias)[:, 0]


def expected_weights(head, features, present):
    """Softmax over the present modalities of the scores, written out; (B, M)."""
    raw = torch.stack(
        [score(head.scorer, head.blocks[m]["projection"](features[m])) for m in WIDTHS], 1
    ).exp()
    raw = raw * torch.stack([present[m] for m in WIDTHS], 1)
    return raw / raw.sum(1, keepdim=True)


def sharpen(head):
    """Scores far enough apart to tell a weighted mean from a plain one."""
    for parameter in head.scorer.parameters():
        nn.init.normal_(parameter, std=0.4)
    return head


def test_scorer_has_the_published_size():
    assert sum(p.numel() for p in Scorer().parameters()) == 10_369


def test_predictions_are_weighed_by_the_scores(given):
    features, present = given(WIDTHS, absent=ABSENT)
    head = sharpen(Weight(WIDTHS, C))
    output = head(features, present)
    weights = expected_weights(head, features, present)
    own = torch.stack(
        [
            z @ head.blocks[m]["classifier"].weight.T + head.blocks[m]["classifier"].bias
            for m, z in features.items()
        ],
        1,
    )
    torch.testing.assert_close(output.weights, weights)
    torch.testing.assert_close(torch.stack(list(output.logits.values()), 1), own)
    torch.testing.assert_close(output.fused, (weights.unsqueeze(-1) * own).sum(1))
    torch.testing.assert_close(output.fused[1], own[1, 2])  # it has 'c' only
    assert not torch.allclose(weights[3:], torch.full((3, 3), 1 / 3), atol=1e-2)


def test_probabilities_are_mixed_instead_of_logits(given):
    features, present = given(WIDTHS, absent=ABSENT)
    head = sharpen(Weight(WIDTHS, C, mix="probabilities"))
    output = head(features, present)
    probability = torch.stack([v.softmax(1) for v in output.logits.values()], 1)
    mixed = (expected_weights(head, features, present).unsqueeze(-1) * probability).sum(1)
    torch.testing.assert_close(output.fused.exp(), mixed)
    output.fused.square().sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in head.parameters())


@pytest.mark.parametrize("cls", [Weight, WeightHidden, WeightElementwise])
def test_rows_without_any_modality_are_finite_and_alike(given, cls):
    widths = dict.fromkeys(WIDTHS, 5)
    features, present = given(widths, absent={m: [0, 1] for m in widths})
    head = cls(widths, C)
    fused = head(features, present).fused
    assert bool(fused.isfinite().all())
    torch.testing.assert_close(fused[0], fused[1])
    fused.sum().backward()
    assert all(not z.grad[:2].any() for z in features.values())


def test_equal_scores_are_the_mean_and_a_constant_changes_nothing(given):
    features, present = given(WIDTHS)
    head = sharpen(Weight(WIDTHS, C))
    before = head(features, present).fused
    with torch.no_grad():
        head.scorer[-1].bias += 3
    torch.testing.assert_close(head(features, present).fused, before, atol=1e-4, rtol=1e-4)
    nn.init.zeros_(head.scorer[-1].weight)
    output = head(features, present)
    torch.testing.assert_close(output.fused, torch.stack(list(output.logits.values())).mean(0))


def test_features_of_the_scorers_width_are_not_projected():
    plain = Weight({"a": 128, "b": 128}, C)
    assert sum(p.numel() for p in plain.parameters()) == 10_369 + 2 * (128 * C + C)
    mixed = Weight({"a": 128, "b": 64}, C)
    assert mixed.blocks["a"]["projection"].weight.shape == (128, 128)
    with pytest.raises(ConfigError, match="mix"):
        Weight(WIDTHS, C, mix="odds")


def test_hidden_features_are_weighed_before_one_classifier(given):
    features, present = given(WIDTHS, absent=ABSENT)
    head = sharpen(WeightHidden(WIDTHS, C))
    output = head(features, present)
    weights = expected_weights(head, features, present)
    hidden = torch.stack([head.blocks[m]["projection"](z) for m, z in features.items()], 1)
    torch.testing.assert_close(output.weights, weights)
    torch.testing.assert_close(
        output.fused, head.classifier((weights.unsqueeze(-1) * hidden).sum(1))
    )
    torch.testing.assert_close(output.logits["b"], head.blocks["b"]["classifier"](hidden[:, 1]))


def test_dimensions_are_weighed_by_the_softmax_over_the_features(given):
    features, present = given(dict.fromkeys(WIDTHS, 5), absent=ABSENT)
    head = WeightElementwise(dict.fromkeys(WIDTHS, 5), C)
    z = torch.stack([features[m] for m in WIDTHS])
    attention = z.softmax(-1) * torch.stack([present[m] for m in WIDTHS]).unsqueeze(-1)
    mixed = (attention / attention.sum(0) * z).sum(0)
    output = head(features, present)
    torch.testing.assert_close(output.fused, head.classifier(mixed))
    torch.testing.assert_close(output.fused[1], output.logits["c"][1])  # it has 'c' only: ω = 1


def test_equal_features_are_that_feature(given):
    (z,) = given({"a": 5})[0].values()
    head = WeightElementwise({"a": 5, "b": 5}, C)
    shown = torch.ones(6, dtype=torch.bool)
    torch.testing.assert_close(
        head({"a": z, "b": z}, {"a": shown, "b": shown}).fused, head.classifier(z)
    )
    with pytest.raises(ConfigError, match="one width, found a 3, b 5, c 2"):
        WeightElementwise(WIDTHS, C)
