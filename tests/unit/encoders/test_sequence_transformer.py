"""BalanceMM's encoder of feature sequences."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from equipoise.encoders import build_encoder
from equipoise.encoders.sequence_transformer import SequenceTransformer
from equipoise.errors import ConfigError


@pytest.mark.parametrize(
    ("shape", "parameters"),
    [((50, 300), 17_106_944), ((500, 74), 16_875_520), ((500, 35), 16_835_584)],
)
def test_it_has_the_size_of_balancemms(shape, parameters):
    """Text, audio and vision of CMU-MOSEI."""
    with torch.device("meta"):
        encoder = SequenceTransformer(shape)
    assert sum(p.numel() for p in encoder.parameters()) == parameters


def post_norm_layer(layer, steps):
    """Attention, add, norm, feed-forward, add, norm, written out for one sequence (L, width)."""
    attention = layer.self_attn
    queries, keys, values = (steps @ attention.in_proj_weight.T + attention.in_proj_bias).chunk(
        3, dim=1
    )
    seen = []
    for head in range(attention.num_heads):
        part = slice(head * attention.head_dim, (head + 1) * attention.head_dim)
        scores = queries[:, part] @ keys[:, part].T / attention.head_dim**0.5
        seen.append(scores.softmax(1) @ values[:, part])
    steps = norm(layer.norm1, steps + attention.out_proj(torch.cat(seen, dim=1)))
    return norm(layer.norm2, steps + layer.linear2(F.relu(layer.linear1(steps))))


def norm(layer, steps):
    centred = steps - steps.mean(1, keepdim=True)
    return (
        centred / (centred.square().mean(1, keepdim=True) + layer.eps).sqrt() * layer.weight
        + layer.bias
    )


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_it_equals_the_layers_written_out(mode):
    encoder = SequenceTransformer((7, 5), width=12, layers=2, heads=3, hidden=9, dropout=0.0)
    encoder.train(mode == "train")
    for module in encoder.modules():
        if isinstance(module, nn.LayerNorm):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    sequences = torch.randn(4, 7, 5)
    features = encoder(sequences)
    for sequence, feature in zip(sequences, features, strict=True):
        steps = sequence @ encoder.embedding.weight[:, :, 0].T
        for layer in encoder.layers:
            steps = post_norm_layer(layer, steps)
        assert torch.allclose(feature, steps[-1], atol=1e-5)


@pytest.mark.parametrize(
    ("options", "shape", "message"),
    [
        ({"width": 30}, (7, 5), "'width' must be a multiple of the 4 heads, found 30"),
        ({"layers": 0}, (7, 5), "'layers' must be a positive integer, found 0"),
        ({"dropout": -0.1}, (7, 5), r"'dropout' must be in \[0, 1\), found -0.1"),
        ({}, (7,), r"'shape' must be \(length, d\), found \(7,\)"),
    ],
)
def test_wrong_options_are_one_clear_line(options, shape, message):
    with pytest.raises(ConfigError, match=message):
        build_encoder("sequence_transformer", options, shape)
