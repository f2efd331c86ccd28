"""BiGated: the gate and its limits, three modalities, absence, one modality alone."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from equipoise.errors import ConfigError
from equipoise.heads.bigated import BiGated

C = 4
WIDTHS = {"a": 3, "b": 5, "c": 2}


def hidden(head, features):
    return {m: F.linear(z, head.blocks[m].weight, head.blocks[m].bias) for m, z in features.items()}


def classify(head, gated):
    weight = torch.cat([head.classifier.columns[m].weight for m in gated], 1)
    return F.linear(torch.cat(list(gated.values()), 1), weight, head.classifier.bias)


def test_one_gate_for_all_others(given):
    features, present = given(WIDTHS)
    head = BiGated(WIDTHS, C, gate="b", width=7)
    h = hidden(head, features)
    gate = 1 / (1 + torch.exp(-h["b"]))
    torch.testing.assert_close(
        head(features, present).fused, classify(head, {m: gate * h[m] for m in ("a", "c")})
    )
    total = BiGated(WIDTHS, C, gate="b", width=7, combine="sum")
    total.blocks.load_state_dict(head.blocks.state_dict())
    expected = F.linear(gate * (h["a"] + h["c"]), total.classifier.weight, total.classifier.bias)
    torch.testing.assert_close(total(features, present).fused, expected)


def test_every_modality_gated_by_the_mean_of_the_others(given):
    features, present = given(WIDTHS)
    head = BiGated(WIDTHS, C, gate="others", width=7)
    h = hidden(head, features)
    gated = {
        "a": torch.sigmoid((h["b"] + h["c"]) / 2) * h["a"],
        "b": torch.sigmoid((h["a"] + h["c"]) / 2) * h["b"],
        "c": torch.sigmoid((h["a"] + h["b"]) / 2) * h["c"],
    }
    torch.testing.assert_close(head(features, present).fused, classify(head, gated))


def test_default_is_the_first_modality_and_the_published_size():
    head = BiGated({"a": 512, "b": 512}, 6)
    assert head.gate == "a"
    assert sum(p.numel() for p in head.parameters()) == 2 * 512 * 512 + 2 * 512 + 6 * 512 + 6


@pytest.mark.parametrize(("bias", "opening"), [(0.0, 0.5), (50.0, 1.0), (-200.0, 0.0)])
def test_a_constant_gate_is_a_linear_classifier_that_ignores_the_gating_modality(
    given, bias, opening
):
    features, present = given(WIDTHS)
    head = BiGated(WIDTHS, C, width=7)
    with torch.no_grad():
        head.blocks["a"].weight.zero_()
        head.blocks["a"].bias.fill_(bias)
    h = hidden(head, features)
    fused = head(features, present).fused
    torch.testing.assert_close(fused, classify(head, {m: opening * h[m] for m in ("b", "c")}))
    fused.square().sum().backward()
    assert not features["a"].grad.any()


def test_one_modality_alone_meets_zero_features_which_do_not_learn(given):
    features, present = given({"a": 3, "b": 5})
    head = BiGated({"a": 3, "b": 5}, C, width=7)
    h = hidden(head, features)
    bias = {m: head.blocks[m].bias for m in h}
    output = head(features, present)
    torch.testing.assert_close(
        output.logits["a"], classify(head, {"b": h["a"].sigmoid() * bias["b"]})
    )
    torch.testing.assert_close(
        output.logits["b"], classify(head, {"b": bias["a"].sigmoid() * h["b"]})
    )
    output.logits["b"].sum().backward()
    assert all(p.grad is None for p in head.blocks["a"].parameters())


def test_absent_cells_are_zero_features_and_train_nothing(given):
    features, present = given(WIDTHS, absent={"a": [0, 1], "b": [1, 2]})
    head = BiGated(WIDTHS, C, width=7)
    zeroed = {m: z * present[m].unsqueeze(1) for m, z in features.items()}
    everything = {m: torch.ones_like(p) for m, p in present.items()}
    fused = head(features, present).fused
    torch.testing.assert_close(fused, head(zeroed, everything).fused)
    fused[:2].sum().backward()  # the rows without 'a'
    assert not features["a"].grad.any()
    assert not head.blocks["a"].bias.grad.any()


def test_unusable_settings_are_refused():
    with pytest.raises(ConfigError, match="only 'a'"):
        BiGated({"a": 3}, C, gate="others")
    with pytest.raises(ConfigError, match="'gate' names no modality"):
        BiGated(WIDTHS, C, gate="d")
    for options in ({"combine": "product"}, {"width": 0}, {"width": 2.5}):
        with pytest.raises(ConfigError, match="BiGated"):
            BiGated(WIDTHS, C, **options)
