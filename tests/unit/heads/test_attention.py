"""Attention: the common block written out, the mask over absent modalities, both read-outs."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from equipoise.errors import ConfigError
from equipoise.heads.attention import Attention

C, D, HEADS = 4, 8, 2
WIDTHS = {"a": 3, "b": 5, "c": 2}


def block(layer, x):
    """A pre-norm transformer layer on one sample's tokens (K, D), from its parameters."""
    normed = F.layer_norm(x, (D,), layer.norm1.weight, layer.norm1.bias)
    query, key, value = F.linear(
        normed, layer.self_attn.in_proj_weight, layer.self_attn.in_proj_bias
    ).split(D, 1)
    heads = []
    for part in torch.arange(D).split(D // HEADS):
        share = torch.softmax(query[:, part] @ key[:, part].T / (D // HEADS) ** 0.5, 1)
        heads.append(share @ value[:, part])
    x = x + layer.self_attn.out_proj(torch.cat(heads, 1))
    normed = F.layer_norm(x, (D,), layer.norm2.weight, layer.norm2.bias)
    return x + layer.linear2(torch.relu(layer.linear1(normed)))


def reference(head, features, names, row):
    """The head on the tokens of these modalities only."""
    tokens = [head.blocks[m](features[m][row]) for m in names]
    x = torch.stack(tokens if head.cls is None else [head.cls, *tokens])
    for layer in head.layers:
        x = block(layer, x)
    x = F.layer_norm(x, (D,), head.norm.weight, head.norm.bias)
    return head.classifier(x.mean(0) if head.cls is None else x[0])


@pytest.fixture(params=["cls", "mean"])
def head(request):
    return Attention(WIDTHS, C, width=D, heads=HEADS, layers=2, read_out=request.param)


@pytest.mark.parametrize("training", [True, False])
def test_a_row_is_read_from_its_present_tokens(head, given, training):
    features, present = given(WIDTHS, absent={"a": [0, 1], "b": [1, 2], "c": [3]})
    head.train(training)
    with torch.set_grad_enabled(training):
        fused = head(features, present).fused
        for row in range(6):
            names = [m for m in WIDTHS if present[m][row]]
            torch.testing.assert_close(
                fused[row], reference(head, features, names, row), atol=1e-5, rtol=1e-4
            )


def test_one_modality_alone_is_its_token_only(head, given):
    features, present = given(WIDTHS)
    logits = head(features, present).logits
    for m in WIDTHS:
        expected = torch.stack([reference(head, features, [m], row) for row in range(6)])
        torch.testing.assert_close(logits[m], expected, atol=1e-5, rtol=1e-4)


def test_rows_without_any_modality_are_finite_and_alike(head, given):
    features, present = given(WIDTHS, absent={m: [0, 1] for m in WIDTHS})
    with torch.no_grad():
        assert bool(head.eval()(features, present).fused.isfinite().all())
    head.train()
    fused = head(features, present).fused
    assert bool(fused.isfinite().all())
    torch.testing.assert_close(fused[0], fused[1])
    fused.sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in head.parameters())
    assert not features["a"].grad[:2].any()
    assert head({}, present).fused.shape == (6, C)


def test_unusable_settings_are_refused():
    wrong = (
        {"width": 6, "heads": 4},
        {"layers": 0},
        {"heads": 0},
        {"read_out": "max"},
        {"dropout": -0.1},
    )
    for options in wrong:
        with pytest.raises(ConfigError, match=next(iter(options))):
            Attention(WIDTHS, C, **options)
