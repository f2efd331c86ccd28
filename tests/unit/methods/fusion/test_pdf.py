"""PDF: the fusion weights worked out by hand, and what the losses train."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from equipoise.errors import ConfigError
from equipoise.heads.pdf import beliefs, spreads
from equipoise.methods.fusion.pdf import PDF

INPUTS = {"a": 3, "b": 4, "c": 2}


def column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).unsqueeze(1)


def test_two_modalities_worked_out_by_hand() -> None:
    here = torch.ones(2, 1, dtype=torch.bool)
    found = beliefs(column(0.8, 0.5), here)
    assert found.squeeze(1).tolist() == pytest.approx([1.556471, 0.743529], abs=1e-6)
    assert found.softmax(0).squeeze(1).tolist() == pytest.approx([0.692736, 0.307264], abs=1e-6)
    logits = torch.tensor([[[0.7, 0.3]], [[0.6, 0.4]]], dtype=torch.float64).log()
    spread = spreads(logits, here)
    assert spread.squeeze(1).tolist() == pytest.approx([1.0, 0.5])
    weights = (found * spread).softmax(0)
    assert weights.squeeze(1).tolist() == pytest.approx([0.765793, 0.234207], abs=1e-6)


def test_three_modalities_worked_out_by_hand() -> None:
    confidence = column(0.8, 0.5, 0.25)
    found = beliefs(confidence, torch.ones(3, 1, dtype=torch.bool))
    holo = (found - confidence).squeeze(1)
    assert holo.tolist() == pytest.approx([0.903090, 0.698970, 0.397940], abs=1e-6)
    assert found.softmax(0).squeeze(1).tolist() == pytest.approx(
        [0.512249, 0.309417, 0.178334], abs=1e-6
    )


def test_absent_modalities_count_for_nothing() -> None:
    confidence = column(0.8, 0.5, 0.25)
    here = torch.tensor([[True], [True], [False]])
    both = beliefs(confidence[:2], here[:2])
    assert torch.equal(beliefs(confidence, here)[:2], both)
    alone = torch.tensor([[False], [True], [False]])
    assert bool(beliefs(confidence, alone).isfinite().all())


@pytest.mark.parametrize("names", ["ab", "abc"])
def test_the_prediction_is_that_of_the_equations(
    seed: int, world: SimpleNamespace, names: str
) -> None:
    inputs = {m: INPUTS[m] for m in names}
    model = world.model("pdf", inputs).double()
    batch = world.batch(inputs, absent={"b": [1, 4]}).apply(
        lambda t: t.double() if t.is_floating_point() else t
    )
    for training in (True, False):
        output = model.train(training)(batch)
        for i in range(len(batch)):
            shown = [m for m in names if batch.present[m][i]]
            t = {m: model.head.confidence(m, output.features[m])[i].item() for m in shown}
            total = sum(math.log(x) for x in t.values())
            p = {m: output.logits[m][i].softmax(0) for m in shown}
            spread = {m: (p[m] - 1 / len(p[m])).abs().mean().item() for m in shown}
            score = {}
            for m in shown:
                others = sum(math.log(t[j]) for j in shown if j != m)
                score[m] = t[m] + others / total
                if not training:
                    score[m] *= spread[m] / max(spread.values())
            exp = {m: math.exp(s) for m, s in score.items()}
            expected = sum(exp[m] * output.logits[m][i] for m in shown) / sum(exp.values())
            torch.testing.assert_close(output.fused[i], expected)


def test_equal_confidences_are_an_average(seed: int, world: SimpleNamespace) -> None:
    model = world.model("pdf", INPUTS)
    for m in INPUTS:
        for parameter in model.head.blocks[m]["confidence"].parameters():
            torch.nn.init.zeros_(parameter)
    output = model(world.batch(INPUTS))
    torch.testing.assert_close(output.weights, torch.full((8, 3), 1 / 3))


def test_each_part_is_trained_by_its_own_loss(seed: int, world: SimpleNamespace) -> None:
    model = world.model("pdf", INPUTS).double()
    batch = world.batch(INPUTS, absent={"b": [1, 4]}).apply(
        lambda t: t.double() if t.is_floating_point() else t
    )
    ctx = world.context(model, [batch])
    method = PDF(0.6)
    method.setup(ctx)
    output = model(batch)
    confidences = [p for m in INPUTS for p in model.head.blocks[m]["confidence"].parameters()]
    others = [p for p in model.parameters() if all(p is not q for q in confidences)]
    terms = []
    for m in INPUTS:
        here = batch.present[m]
        true = output.logits[m].softmax(1)[torch.arange(8), batch.label].detach()
        terms.append((model.head.confidence(m, output.features[m]) - true).abs()[here].mean())
    extra = 0.6 * torch.stack(terms).sum()
    losses = [F.cross_entropy(output.fused, batch.label)]
    losses += [
        F.cross_entropy(v[batch.present[m]], batch.label[batch.present[m]])
        for m, v in output.logits.items()
    ]
    rest = torch.stack(losses).sum()
    loss = method.loss(output, batch, ctx)
    torch.testing.assert_close(loss, rest + extra)
    grads = torch.autograd.grad(loss, confidences, retain_graph=True)
    for ours, theirs in zip(grads, torch.autograd.grad(extra, confidences), strict=True):
        torch.testing.assert_close(ours, theirs)
    for ours, theirs in zip(
        torch.autograd.grad(loss, others, retain_graph=True),
        torch.autograd.grad(rest, others),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


def test_sure_confidences_stay_finite(seed: int, world: SimpleNamespace) -> None:
    model = world.model("pdf", INPUTS)
    with torch.no_grad():
        for m in INPUTS:
            model.head.blocks[m]["confidence"][-1].bias.fill_(1e4)
    assert bool(model(world.batch(INPUTS)).fused.isfinite().all())


def test_asks_for_its_head(world: SimpleNamespace) -> None:
    with pytest.raises(ConfigError, match="use head 'pdf'"):
        PDF().setup(world.context(world.model("late", INPUTS), []))
    with pytest.raises(ConfigError, match="PDF: 'confidence_weight' must be positive"):
        PDF(0.0)
