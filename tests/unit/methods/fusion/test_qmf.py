"""QMF: the ranking of confidences against a loop over pairs, and the history it ranks by."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from equipoise.errors import ConfigError
from equipoise.methods.fusion.qmf import MARGINS, QMF, normalised, rank_loss
from equipoise.testing.world import World

INPUTS = {"a": 3, "b": 4, "c": 2}


def over_pairs(confidence: Tensor, difficulty: Tensor, present: Tensor, margin: str) -> float:
    """The published loss, pair by pair."""
    confidence, rows = confidence.detach(), [int(i) for i in present.nonzero().flatten()]
    terms = []
    for place, i in enumerate(rows):
        j = rows[(place + 1) % len(rows)]
        gap = float(difficulty[i] - difficulty[j])
        sign = (gap > 0) - (gap < 0)
        slack = {"published": -abs(gap), "margin": abs(gap), "none": 0.0}[margin]
        terms.append(max(0.0, sign * float(confidence[i] - confidence[j]) + slack) if sign else 0.0)
    return sum(terms) / len(terms) if terms else 0.0


@pytest.mark.parametrize(("margin", "expected"), [("published", 0.066667), ("margin", 0.733333)])
def test_reference_values(margin: str, expected: float) -> None:
    confidence, difficulty = torch.tensor([0.9, 0.2, 0.4]), torch.tensor([0.8, 0.3, 0.3])
    found = rank_loss(confidence, difficulty, torch.ones(3, dtype=torch.bool), margin)
    assert float(found) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("margin", MARGINS)
@pytest.mark.parametrize("rows", [1, 2, 5, 16])
def test_pairs_are_consecutive_samples_that_have_the_modality(
    seed: int, margin: str, rows: int
) -> None:
    for _ in range(10):
        confidence, difficulty = torch.randn(rows), torch.rand(rows).round(decimals=1)
        present = torch.rand(rows) < 0.6
        found = rank_loss(confidence, difficulty, present, margin)
        assert float(found) == pytest.approx(
            over_pairs(confidence, difficulty, present, margin), abs=1e-6
        )
        other = torch.where(present, confidence, torch.randn(rows))
        assert torch.equal(found, rank_loss(other, difficulty, present, margin))


def test_what_costs_nothing(seed: int) -> None:
    everyone, difficulty = torch.ones(9, dtype=torch.bool), torch.rand(9)
    assert float(rank_loss(torch.full((9,), 0.4), difficulty, everyone)) == 0  # all alike
    assert (
        float(rank_loss(torch.randn(9), normalised(torch.zeros(1, 9))[0], everyone)) == 0
    )  # no history
    assert float(rank_loss(torch.randn(1), torch.rand(1), everyone[:1])) == 0  # its own partner
    tolerated = (
        torch.tensor([0.5, 0.1]) * 0.9
    )  # the harder one surer, by less than the difference in difficulty
    assert float(rank_loss(tolerated, torch.tensor([0.5, 0.1]), everyone[:2])) == 0
    assert float(
        rank_loss(tolerated, torch.tensor([0.5, 0.1]), everyone[:2], "none")
    ) == pytest.approx(0.36)


def test_normalisation_is_over_all_samples_of_a_modality() -> None:
    history = torch.tensor([[0.0, 2.0, 8.0], [3.0, 3.0, 3.0], [1.0, 3.0, 2.0]])
    assert normalised(history).tolist() == [[0.0, 0.25, 1.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.5]]


@pytest.fixture
def training(seed: int) -> tuple[QMF, object]:
    method, ctx = World("qmf", 3, seed % 10_000, missing=0.3).build()
    assert isinstance(method, QMF)
    return method, ctx


def test_history_sums_the_losses_of_every_visit(training: tuple[QMF, SimpleNamespace]) -> None:
    method, ctx = training
    expected = torch.zeros_like(method.history)
    assert expected.shape == (3, len(ctx.train.table))
    for epoch in (0, 1):
        for batch in ctx.train.batches(epoch):
            output = ctx.model(batch)
            for place, m in enumerate(ctx.model.modalities):
                for row, index in enumerate(batch.index.tolist()):
                    if batch.present[m][row]:
                        loss = F.cross_entropy(output.logits[m][row], batch.label[row])
                        expected[place, index] += loss.detach()
            method.loss(output, batch, ctx)
    torch.testing.assert_close(method.history, expected)
    assert not method.history.requires_grad


@pytest.mark.parametrize("weight", [0.0, 0.1, 3.0])
def test_loss_has_every_term_once(training: tuple[QMF, SimpleNamespace], weight: float) -> None:
    method, ctx = training
    method.rank_weight = weight
    batches = list(ctx.train.batches(0))
    for batch in batches[:3]:
        method.loss(ctx.model(batch), batch, ctx)
    batch = batches[3]
    output = ctx.model(batch)
    found = method.loss(output, batch, ctx)
    expected = F.cross_entropy(output.fused, batch.label)
    difficulty = normalised(method.history)[:, batch.index]  # with the losses of this very batch
    for place, m in enumerate(ctx.model.modalities):
        rows = batch.present[m]
        expected = expected + F.cross_entropy(output.logits[m][rows], batch.label[rows])
        confidence = output.logits[m].logsumexp(1) / 10
        expected = expected + weight * over_pairs(confidence, difficulty[place], rows, "published")
    torch.testing.assert_close(found, expected)


def test_ranking_trains_the_confidences(training: tuple[QMF, SimpleNamespace]) -> None:
    """With and without the fused loss; nothing trains through the history."""
    method, ctx = training
    method.rank_margin = "margin"
    batch = next(ctx.train.batches(0))
    output = ctx.model(batch)
    found = torch.autograd.grad(
        method.ranking(output, batch, ctx), list(output.logits.values()), retain_graph=True
    )
    difficulty = normalised(method.history)[:, batch.index]
    for place, m in enumerate(ctx.model.modalities):
        confidence = output.logits[m].logsumexp(1) / 10
        expected = rank_loss(confidence, difficulty[place], batch.present[m], "margin")
        (gradient,) = torch.autograd.grad(expected, [output.logits[m]], retain_graph=True)
        torch.testing.assert_close(found[place], gradient)
        assert bool(gradient.any())


def test_confidence_is_that_of_the_head(seed: int) -> None:
    world = World(
        "qmf", 2, seed % 10_000, settings={"head": {"name": "auto", "confidence_scale": 0.7}}
    )
    method, ctx = world.build()
    assert isinstance(method, QMF)
    batch = next(ctx.train.batches(0))
    output = ctx.model(batch)
    found = method.ranking(output, batch, ctx)
    difficulty = normalised(method.history)[:, batch.index]
    terms = [
        over_pairs(
            0.7 * output.logits[m].logsumexp(1), difficulty[place], batch.present[m], "published"
        )
        for place, m in enumerate(ctx.model.modalities)
    ]
    assert float(found.detach()) == pytest.approx(sum(terms), abs=1e-5)


@pytest.mark.parametrize("options", [{"rank_weight": -1.0}, {"rank_margin": "slack"}])
def test_refuses_bad_options(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"QMF: '{next(iter(options))}' must be"):
        QMF(**options)  # type: ignore[arg-type]
