"""Channel (MMTM after the encoders): gates, sizes, what stands for an absent modality."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from equipoise.errors import ConfigError
from equipoise.heads.channel import Channel

C = 4
WIDTHS = {"a": 3, "b": 6, "c": 2}


def example(**options):
    head = Channel(WIDTHS, C, **options)
    for m, width in WIDTHS.items():
        head.get_buffer(f"mean_{m}").copy_(torch.randn(width))
    return head


def branches(head, squeezes, features, scale=2):
    """MMTM's equations, written with one matrix for the concatenation."""
    weight = torch.cat([head.squeeze.columns[m].weight for m in WIDTHS], 1)
    joint = torch.relu(
        F.linear(torch.cat([squeezes[m] for m in WIDTHS], 1), weight, head.squeeze.bias)
    )
    found = {}
    for m, z in features.items():
        excitation, classifier = head.blocks[m]["excitation"], head.blocks[m]["classifier"]
        gate = scale * torch.sigmoid(joint @ excitation.weight.T + excitation.bias)
        found[m] = (gate * z) @ classifier.weight.T + classifier.bias
    return found


@pytest.mark.parametrize("scale", [1, 2])
def test_fused_prediction_is_the_mean_of_the_recalibrated_branches(given, scale):
    features, present = given(WIDTHS)
    head = example(gate_scale=scale)
    expected = torch.stack(list(branches(head, features, features, scale).values())).mean(0)
    torch.testing.assert_close(head(features, present).fused, expected)


@pytest.mark.parametrize(("width", "parameters"), [(128, 65_920), (256, 262_912), (512, 1_050_112)])
def test_size_of_the_published_module(width, parameters):
    head = Channel({"a": width, "b": width}, C)
    classifiers = 2 * (width * C + C)
    assert sum(p.numel() for p in head.parameters()) - classifiers == parameters
    paper = Channel({"a": width, "b": width}, C, bottleneck="paper")
    assert paper.squeeze.bias.numel() * 2 == head.squeeze.bias.numel() == width


@pytest.mark.parametrize("scale", [1, 2])
def test_zero_excitation_scales_by_half_of_kappa(given, scale):
    features, present = given(WIDTHS)
    head = example(gate_scale=scale)
    for block in head.blocks.values():
        torch.nn.init.zeros_(block["excitation"].weight)
        torch.nn.init.zeros_(block["excitation"].bias)
    for m, logits in head(features, present).logits.items():
        torch.testing.assert_close(logits, head.blocks[m]["classifier"](features[m] * scale / 2))


def test_a_modality_that_is_not_squeezed_does_not_reach_the_others(given):
    features, present = given(WIDTHS)
    head = example()
    torch.nn.init.zeros_(head.squeeze.columns["b"].weight)
    found = head.branches(features, present)
    (found["a"].sum() + found["c"].sum()).backward()
    assert not features["b"].grad.any()
    assert features["a"].grad.any()


def test_one_modality_alone_sees_the_stored_means_of_the_others(given):
    features, present = given(WIDTHS)
    head = example()
    means = {m: head.get_buffer(f"mean_{m}").expand(6, -1) for m in WIDTHS}
    output = head(features, present)
    for m in WIDTHS:
        expected = branches(head, {**means, m: features[m]}, {m: features[m]})[m]
        torch.testing.assert_close(output.logits[m], expected)
    output.logits["a"].sum().backward()
    assert features["b"].grad is None


def test_absent_cells_are_their_mean_and_do_not_vote(given):
    features, present = given(WIDTHS, absent={"a": [0, 1], "b": [1, 2]})
    head = example()
    squeezes = {
        m: torch.where(present[m].unsqueeze(1), features[m], head.get_buffer(f"mean_{m}"))
        for m in WIDTHS
    }
    votes = torch.stack(list(branches(head, squeezes, features).values()))
    shown = torch.stack([present[m] for m in WIDTHS]).float().unsqueeze(-1)
    output = head(features, present)
    torch.testing.assert_close(output.fused, (votes * shown).sum(0) / shown.sum(0))
    torch.testing.assert_close(output.weights, (shown / shown.sum(0)).squeeze(-1).T)


def test_rows_without_any_modality_prefer_no_class(given):
    features, present = given(WIDTHS, absent={m: [0, 1] for m in WIDTHS})
    output = example()(features, present)
    assert not output.fused[:2].any()
    assert bool(output.fused[2:].isfinite().all())


def test_unusable_settings_are_refused():
    for options in ({"gate_scale": 3}, {"bottleneck": "narrow"}):
        with pytest.raises(ConfigError, match=next(iter(options))):
            Channel(WIDTHS, C, **options)
