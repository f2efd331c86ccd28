"""InfoNCE and the Jensen-Shannon divergence against their definitions, and their samples."""

from __future__ import annotations

import math
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy

from equipoise.batch import Batch, Output
from equipoise.errors import ConfigError
from equipoise.heads.parts.checks import one_width
from equipoise.methods.parts.alignment import (
    DIVERGENCES,
    alignment_loss,
    alignment_softmaxes,
    info_nce,
    jensen_shannon,
    mean_divergence,
)
from equipoise.training.context import Context

INPUTS = {"a": 3, "b": 4, "c": 2}


def named(count: int) -> dict[str, int]:
    return dict(list(INPUTS.items())[:count])


def by_hand(first: torch.Tensor, second: torch.Tensor, temperature: float) -> float:
    """InfoNCE as a double loop over samples."""
    a, b = first.double().numpy(), second.double().numpy()
    a, b = (
        a / np.linalg.norm(a, axis=1, keepdims=True),
        b / np.linalg.norm(b, axis=1, keepdims=True),
    )
    total = 0.0
    for x, y in ((a, b), (b, a)):
        for i in range(len(x)):
            scores = np.exp([x[i] @ y[j] / temperature for j in range(len(y))])
            total -= math.log(scores[i] / scores.sum()) / (2 * len(x))
    return total


@pytest.mark.parametrize("temperature", [0.07, 0.5, 2.0])
def test_info_nce_is_its_definition_and_symmetric(seed: int, temperature: float) -> None:
    first, second = torch.randn(2, 6, 5, dtype=torch.float64)
    found = info_nce(first, second, temperature)
    assert float(found) == pytest.approx(by_hand(first, second, temperature), rel=1e-9)
    torch.testing.assert_close(found, info_nce(second, first, temperature))
    torch.testing.assert_close(
        found, info_nce(3 * first, 0.1 * second, temperature)
    )  # only directions count


def test_info_nce_of_identical_features_vanishes_with_the_temperature(seed: int) -> None:
    features = torch.randn(8, 16, dtype=torch.float64)
    losses = [float(info_nce(features, features, t)) for t in (1.0, 0.3, 0.1, 0.01)]
    assert losses == sorted(losses, reverse=True)
    assert 0 <= losses[-1] < 1e-6


def test_info_nce_of_a_single_sample_is_zero(seed: int) -> None:
    first, second = torch.randn(2, 1, 5, requires_grad=True).unbind()
    loss = info_nce(first, second, 0.1)
    assert loss.item() == 0
    assert not torch.autograd.grad(loss, first)[0].any()


def test_jensen_shannon_is_the_divergence_of_the_softmax_outputs(seed: int) -> None:
    first, second = 3 * torch.randn(2, 7, 4, dtype=torch.float64)
    found = jensen_shannon(first, second)
    expected = jensenshannon(first.softmax(1).numpy(), second.softmax(1).numpy(), axis=1) ** 2
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-8)
    torch.testing.assert_close(found, jensen_shannon(second, first))
    assert float(jensen_shannon(first, first + 5).abs().max()) < 1e-12
    apart = torch.tensor([[1000.0, 0.0]]), torch.tensor([[0.0, 1000.0]])
    assert float(jensen_shannon(*apart)) == pytest.approx(math.log(2))


@pytest.mark.parametrize("scale", [0.5, 2.0, 10.0])
def test_mean_divergence_is_from_the_mean_to_the_softmax_outputs(seed: int, scale: float) -> None:
    first, second = scale * torch.randn(2, 7, 4, dtype=torch.float64)
    p, q = first.softmax(1), second.softmax(1)
    m = (p + q) / 2
    expected = (entropy(m.numpy(), p.numpy(), axis=1) + entropy(m.numpy(), q.numpy(), axis=1)) / 2
    found = mean_divergence(first, second)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-8)
    torch.testing.assert_close(found, mean_divergence(second, first))
    assert DIVERGENCES["kl-mean"] is mean_divergence
    assert DIVERGENCES["js"] is jensen_shannon
    apart = torch.tensor([[50.0, 0.0]]), torch.tensor([[0.0, 50.0]])
    assert float(mean_divergence(*apart)) == pytest.approx(25 - math.log(2))  # and no bound


def answered(world: SimpleNamespace, count: int) -> tuple[dict[str, int], Batch, Output, Context]:
    """Modalities, a batch where some samples lack one, and what a network answers."""
    inputs = named(count)
    model = world.model("sum", inputs)
    batch = world.batch(inputs, absent={"a": [0, 3], "b": [1]})
    return inputs, batch, model(batch), world.context(model, [batch])


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("kind", ["infonce", "js", "kl-mean"])
def test_the_softmaxes_of_the_loss_have_its_curvature(
    seed: int, world: SimpleNamespace, count: int, kind: str
) -> None:
    _, batch, output, ctx = answered(world, count)
    found = alignment_softmaxes(kind, output, batch, ctx, 0.2)
    pairs = count * (count - 1) // 2
    assert len(found) == 2 * pairs
    if kind == "infonce":
        partners = [torch.arange(len(s.logits)) for s in found]
        losses = [
            s.reduce(torch.nn.functional.cross_entropy(s.logits, k, reduction="none"))
            for s, k in zip(found, partners, strict=True)
        ]
        torch.testing.assert_close(sum(losses), alignment_loss(kind, output, batch, ctx, 0.2))
    else:
        weights = [s.reduce(torch.ones(len(s.logits))) for s in found]
        torch.testing.assert_close(torch.stack(weights), torch.full((len(found),), 0.5 / pairs))


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("kind", ["infonce", "js", "kl-mean"])
def test_the_loss_is_the_mean_over_pairs_of_the_samples_that_have_both(
    seed: int, world: SimpleNamespace, count: int, kind: str
) -> None:
    inputs, batch, output, ctx = answered(world, count)
    losses = []
    for first, second in combinations(inputs, 2):
        both = batch.present[first] & batch.present[second]
        if kind in DIVERGENCES:
            apart = DIVERGENCES[kind](output.logits[first][both], output.logits[second][both])
            losses.append(float(apart.mean()))
        else:
            pair = (output.features[m][both].detach() for m in (first, second))
            losses.append(by_hand(*pair, 0.2))
    found = alignment_loss(kind, output, batch, ctx, 0.2)
    assert found.item() == pytest.approx(np.mean(losses), rel=1e-4)


@pytest.mark.parametrize("kind", ["infonce", "js", "kl-mean"])
def test_absent_content_and_absent_modalities_say_nothing(
    seed: int, world: SimpleNamespace, kind: str
) -> None:
    model = world.model("sum", INPUTS)
    batch = world.batch(INPUTS, absent={"a": [0], "c": list(range(8))})
    noise = {
        m: torch.where(batch.present[m].unsqueeze(1), x, torch.randn_like(x))
        for m, x in batch.inputs.items()
    }
    other = Batch(noise, batch.present, batch.label, batch.index)
    ctx = world.context(model, [batch])
    first, second = (alignment_loss(kind, model(b), b, ctx, 0.2) for b in (batch, other))
    assert torch.equal(first, second)
    first.backward()
    assert all(p.grad is None or not p.grad.any() for p in model.encoders["c"].parameters())
    assert any(p.grad is not None and bool(p.grad.any()) for p in model.encoders["a"].parameters())


def test_a_batch_without_any_pair_costs_nothing(seed: int, world: SimpleNamespace) -> None:
    model = world.model("sum", named(2))
    batch = world.batch(named(2), absent={"a": [0, 1, 2, 3], "b": [4, 5, 6, 7]})
    for kind in ("infonce", "js", "kl-mean"):
        assert (
            float(alignment_loss(kind, model(batch), batch, world.context(model, [batch]), 0.1))
            == 0
        )


def test_widths_that_differ_are_refused(world: SimpleNamespace) -> None:
    model = world.model("sum", named(2))
    one_width("InfoNCE", model.head.widths)
    model.head.widths["b"] = 9
    with pytest.raises(ConfigError, match=r"found a 5, b 9; give all encoders one"):
        one_width("InfoNCE", model.head.widths)
