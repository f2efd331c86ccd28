"""The recurrent layer, for texts and for vectors."""

import pytest
import torch

from equipoise.encoders import build_encoder
from equipoise.encoders.gru import GRU
from equipoise.errors import ConfigError

WAYS = [(bidirectional, pooling) for bidirectional in (False, True) for pooling in ("last", "mean")]


def states_by_hand(gru, steps, suffix=""):
    """Cho et al.'s equations 5 to 8, gates in PyTorch's order; (L, d) → (L, hidden)."""
    weights = {
        name: getattr(gru, f"{name}_l0{suffix}")
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    }
    state = torch.zeros(gru.hidden_size)
    states = []
    for step in steps:
        from_input = (weights["weight_ih"] @ step + weights["bias_ih"]).chunk(3)
        from_state = (weights["weight_hh"] @ state + weights["bias_hh"]).chunk(3)
        reset, update = (
            torch.sigmoid(a + b) for a, b in zip(from_input[:2], from_state[:2], strict=True)
        )
        new = torch.tanh(from_input[2] + reset * from_state[2])
        state = (1 - update) * new + update * state
        states.append(state)
    return torch.stack(states)


def by_hand(encoder, steps, bidirectional, pooling):
    parts = [states_by_hand(encoder.gru, steps)]
    if bidirectional:
        parts.append(states_by_hand(encoder.gru, steps.flip(0), "_reverse"))
    return torch.cat([part.mean(0) if pooling == "mean" else part[-1] for part in parts])


@pytest.mark.parametrize(("bidirectional", "pooling"), WAYS)
def test_a_text_is_read_to_its_end_and_no_further(bidirectional, pooling):
    encoder = GRU((8,), 20, hidden=3, bidirectional=bidirectional, pooling=pooling, embedding=4)
    ids = torch.randint(1, 20, (4, 8)) * (torch.arange(8) < torch.tensor([8, 3, 1, 5]).unsqueeze(1))
    features = encoder(ids)
    assert encoder.width == features.shape[1]
    for row, feature in zip(ids, features, strict=True):
        steps = encoder.embedding(row[row != 0])
        assert torch.allclose(feature, by_hand(encoder, steps, bidirectional, pooling), atol=1e-6)


@pytest.mark.parametrize(("bidirectional", "pooling"), WAYS)
def test_vectors_are_read_whole(bidirectional, pooling):
    encoder = GRU((6, 5), hidden=3, bidirectional=bidirectional, pooling=pooling)
    sequences = torch.randn(3, 6, 5)
    sequences[1, 4:] = 0  # not padding: these are measurements
    expected = torch.stack([by_hand(encoder, steps, bidirectional, pooling) for steps in sequences])
    assert torch.allclose(encoder(sequences), expected, atol=1e-6)


@pytest.mark.parametrize(("bidirectional", "pooling"), WAYS)
def test_a_text_of_padding_only_has_a_finite_feature_and_gradient(bidirectional, pooling):
    encoder = GRU((4,), 20, width=7, bidirectional=bidirectional, pooling=pooling)
    features = encoder(torch.zeros(2, 4, dtype=torch.int64))
    features.sum().backward()
    assert features.shape == (2, 7)
    assert torch.isfinite(features).all()
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters())


@pytest.mark.parametrize(
    ("options", "shape", "vocabulary", "message"),
    [
        ({"pooling": "max"}, (8,), 20, "'pooling' must be one of last, mean, found 'max'"),
        ({"hidden": 0}, (8,), 20, "'hidden' must be a positive integer, found 0"),
        ({"width": "9"}, (8,), 20, "'width' must be a positive integer, found '9'"),
        ({"embedding": 0}, (8,), 20, "'embedding' must be 'auto' or an integer of at least 1"),
        ({"embedding": 8}, (8, 3), None, "'embedding' must be 'auto' for a sequence, found 8"),
        ({}, (8,), None, r"'shape' must be \(length, d\), found \(8,\)"),
        ({}, (8, 3), 20, r"'shape' must be \(length,\) of a text, found \(8, 3\)"),
    ],
)
def test_what_it_cannot_read_is_one_clear_line(options, shape, vocabulary, message):
    with pytest.raises(ConfigError, match=message):
        build_encoder("gru", options, shape, vocabulary)
