"""ML-LSTM: the same numbers as torch's LSTM on the sequence of those that are there."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from equipoise.errors import ConfigError
from equipoise.heads.ml_lstm import MLLSTM

C, H = 4, 6
WIDTHS = {"a": 3, "b": 5, "c": 2}


def reference(head, sequence, direction=0):
    """nn.LSTM with the head's weights on one sample's projected steps, (steps, H) → last state."""
    cells = head.directions[direction]
    lstm = nn.LSTM(H, H, num_layers=len(cells))
    for layer, cell in enumerate(cells):
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(lstm, f"{name}_l{layer}").data.copy_(getattr(cell, name))
    return lstm(sequence.unsqueeze(1))[0][-1, 0]


def steps(head, features, present, row):
    return torch.stack([head.blocks[m](features[m][row]) for m in WIDTHS if present[m][row]])


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_absent_modalities_are_skipped(given, layers, bidirectional):
    features, present = given(WIDTHS, absent={"a": [0, 1], "b": [1, 2], "c": [3]})
    head = MLLSTM(WIDTHS, C, hidden=H, layers=layers, bidirectional=bidirectional)
    fused = head(features, present).fused
    for row in range(6):
        sequence = steps(head, features, present, row)
        last = reference(head, sequence)
        if bidirectional:
            last = (last + reference(head, sequence.flip(0), direction=1)) / 2
        torch.testing.assert_close(fused[row], head.classifier(last))


def test_one_modality_alone_is_a_sequence_of_one_step(given):
    features, present = given(WIDTHS)
    head = MLLSTM(WIDTHS, C, hidden=H)
    logits = head(features, present).logits
    for m, z in features.items():
        expected = [
            head.classifier(reference(head, head.blocks[m](z[row : row + 1]))) for row in range(6)
        ]
        torch.testing.assert_close(logits[m], torch.stack(expected))
    single = MLLSTM({"b": 5}, C, hidden=H)
    single.load_state_dict(
        {k: v for k, v in head.state_dict().items() if not k.startswith(("blocks.a", "blocks.c"))}
    )
    torch.testing.assert_close(single({"b": features["b"]}, {"b": present["b"]}).fused, logits["b"])


def test_the_last_state_is_bounded(given):
    features, present = given(WIDTHS)
    head = MLLSTM(WIDTHS, C, hidden=H)
    fused = head({m: 100 * z for m, z in features.items()}, present).fused
    assert bool(((fused - head.classifier.bias).abs() <= head.classifier.weight.abs().sum(1)).all())


def test_what_enters_reaches_the_classifier(given):
    """The default start of the cells of torch lets a sixth as much through two layers."""
    features, present = given({"a": 32, "b": 32}, rows=256)
    head = MLLSTM({"a": 32, "b": 32}, C)
    spread = head(features, present).fused.std(0).mean()
    size = head.classifier.weight.norm(dim=1).mean()
    assert spread / size > 0.05


def test_dropout_is_on_the_last_state_in_training_only(given):
    features, present = given(WIDTHS, rows=64)
    head = MLLSTM(WIDTHS, C, hidden=H, dropout=0.5)
    assert not torch.equal(head(features, present).fused, head(features, present).fused)
    head.eval()
    assert torch.equal(head(features, present).fused, head(features, present).fused)


def test_unusable_settings_are_refused():
    for options in ({"hidden": 0}, {"layers": True}, {"dropout": 1.0}, {"dropout": float("nan")}):
        with pytest.raises(ConfigError, match=next(iter(options))):
            MLLSTM(WIDTHS, C, **options)
