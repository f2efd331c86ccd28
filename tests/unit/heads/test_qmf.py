"""QMF's head: the energy-based confidence, what it weighs, and what trains it."""

from __future__ import annotations

import math
import random

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from equipoise.errors import ConfigError
from equipoise.heads.qmf import QMF, energy_confidence

WIDTHS = {"a": 3, "b": 5, "c": 2}
ROWS, CLASSES = 6, 4


def example() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    features = {m: torch.randn(ROWS, w) for m, w in WIDTHS.items()}
    return features, {m: torch.ones(ROWS, dtype=torch.bool) for m in WIDTHS}


def test_reference_values_of_the_confidence() -> None:
    assert float(energy_confidence(torch.tensor([2.0, 0.0, -1.0]))) == pytest.approx(
        0.216985, abs=1e-6
    )
    assert float(energy_confidence(torch.zeros(3))) == pytest.approx(math.log(3) / 10)


def test_a_shift_of_the_logits_shifts_the_confidence() -> None:
    logits, shift = torch.randn(ROWS, CLASSES, dtype=torch.float64), random.uniform(-20, 20)
    torch.testing.assert_close(
        energy_confidence(logits + shift), energy_confidence(logits) + shift / 10
    )
    largest = logits.amax(1)
    assert bool((energy_confidence(logits, 1.0) >= largest).all())
    assert bool((energy_confidence(logits, 1.0) <= largest + math.log(CLASSES)).all())


@pytest.mark.parametrize("scale", [0.1, 0.7])
def test_fused_logits_are_weighed_by_confidence(scale: float) -> None:
    head = QMF(WIDTHS, CLASSES, confidence_scale=scale)
    features, present = example()
    present["b"][:2] = False
    output = head(features, present)
    expected = torch.zeros(ROWS, CLASSES)
    for place, m in enumerate(WIDTHS):
        own = F.linear(features[m], head.blocks[m].weight, head.blocks[m].bias)
        torch.testing.assert_close(output.logits[m], own)
        weight = scale * own.exp().sum(1).log() * present[m]
        torch.testing.assert_close(output.weights[:, place], weight)
        expected += weight.unsqueeze(1) * own
    torch.testing.assert_close(output.fused, expected)


def test_gradient_passes_through_the_confidence_only_when_asked() -> None:
    features, present = example()
    label = torch.randint(CLASSES, (ROWS,))
    for detach in (True, False):
        head = QMF(WIDTHS, CLASSES, detach_confidence=detach)
        logits = {m: torch.randn(ROWS, CLASSES, requires_grad=True) for m in WIDTHS}
        fused, weights = head.fuse(features, logits, present)
        F.cross_entropy(fused, label).backward()
        residual = (fused.softmax(1) - F.one_hot(label, CLASSES)).detach() / ROWS
        for place, m in enumerate(WIDTHS):
            expected = weights[:, place : place + 1].detach() * residual
            if not detach:
                inner = (residual * logits[m].detach()).sum(1, True)
                expected = expected + inner * logits[m].detach().softmax(1) / 10
            torch.testing.assert_close(logits[m].grad, expected)


def test_evaluation_falls_back_on_the_mean_without_confidence() -> None:
    head = QMF(WIDTHS, CLASSES)
    features, present = example()
    present["a"][0] = False
    logits = {m: torch.randn(ROWS, CLASSES) for m in WIDTHS}
    low = {
        m: x - 30 * (torch.arange(ROWS) < 3).unsqueeze(1) for m, x in logits.items()
    }  # the first three rows
    trained, _ = head.fuse(features, low, present)
    fused, weights = head.eval().fuse(features, low, present)
    torch.testing.assert_close(fused[0], (low["b"] + low["c"])[0] / 2)
    torch.testing.assert_close(fused[1:3], torch.stack(list(low.values())).mean(0)[1:3])
    torch.testing.assert_close(fused[3:], trained[3:])
    assert weights[0].tolist() == [0.0, 0.5, 0.5]
    assert not torch.isclose(trained[:3], fused[:3]).any()


def test_one_modality_alone_predicts_as_it_would_by_itself() -> None:
    head = QMF(WIDTHS, CLASSES).eval()
    features, present = example()
    output = head({"b": features["b"]}, {m: p & (m == "b") for m, p in present.items()})
    assert torch.equal(output.fused.argmax(1), output.logits["b"].argmax(1))


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan])
def test_refuses_a_scale_that_is_not_positive(scale: float) -> None:
    with pytest.raises(ConfigError, match="QMF: 'confidence_scale' must be positive"):
        QMF(WIDTHS, CLASSES, confidence_scale=scale)
