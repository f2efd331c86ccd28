"""DOMFN: the objective on either side of the gate, pretraining, and a gate that never closes."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from equipoise.errors import ConfigError
from equipoise.heads.domfn import penalties
from equipoise.methods.fusion.domfn import DOMFN
from equipoise.training.observer import Silent

INPUTS = {"a": 3, "b": 4, "c": 2}


def sharpened(world: SimpleNamespace, inputs: dict[str, int], **head: object) -> torch.nn.Module:
    """A model so sure of itself that its modalities disagree now and then."""
    model = world.model("domfn", inputs, **head)
    with torch.no_grad():
        for m in inputs:
            model.head.blocks[m].own.weight.mul_(30)
    return model


def by_hand(model: torch.nn.Module, batch: object, eta: float) -> tuple[torch.Tensor, list[bool]]:
    """The published objective, sample by sample; a modality's terms over the samples with it."""
    output = model(batch)
    fused, terms, opened = [], {m: [] for m in batch.present}, []
    for row, label in enumerate(batch.label):
        shown = [m for m, p in batch.present.items() if p[row]]
        probability = torch.stack([output.logits[m][row].softmax(0) for m in shown])
        penalty = (probability - probability.mean(0)).square().amax(1)
        bound = ((len(shown) - 1) / len(shown)) ** 2
        opened.append(len(shown) > 1 and bool((penalty < 0.8 * bound).all()))
        for m, divergence in zip(shown, penalty, strict=True):
            entropy = F.cross_entropy(output.logits[m][row], label)
            terms[m].append(entropy + (entropy**2 / 2 - eta * divergence if opened[-1] else 0))
        fused.append(F.cross_entropy(output.fused[row], label) if opened[-1] else torch.zeros(()))
    return torch.stack(fused).mean() + sum(torch.stack(t).mean() for t in terms.values()), opened


@pytest.mark.parametrize("inputs", [{"a": 3, "b": 4}, INPUTS])
def test_loss_and_gradient_are_those_of_the_published_objective(
    seed: int, world: SimpleNamespace, inputs: dict[str, int]
) -> None:
    sides = set()
    for _ in range(5):
        model = sharpened(world, inputs)
        batch = world.batch(inputs, rows=20, absent={"a": [0, 1], "b": [2]})
        ctx = world.context(model, [batch])
        expected, opened = by_hand(model, batch, 0.3)
        found = DOMFN(eta=0.3, pretraining=0.0).loss(model(batch), batch, ctx)
        torch.testing.assert_close(found, expected)
        gradients = [
            torch.autograd.grad(x, list(model.parameters()), materialize_grads=True)
            for x in (found, expected)
        ]
        for one, other in zip(*gradients, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
        sides |= set(opened)
    assert sides == {True, False}


def test_divergence_is_rewarded_in_proportion_to_eta(seed: int, world: SimpleNamespace) -> None:
    model = world.model("domfn", INPUTS)
    batch = world.batch(INPUTS)
    ctx, output = world.context(model, [batch]), model(batch)
    plain, rewarded = (DOMFN(eta=e, pretraining=0.0).loss(output, batch, ctx) for e in (0.0, 2.0))
    probability = torch.stack([output.logits[m].softmax(1) for m in INPUTS])
    divergence = penalties(probability, torch.stack(list(batch.present.values())))
    torch.testing.assert_close(plain - rewarded, 2 * divergence.mean(1).sum(), rtol=1e-3, atol=1e-5)


def test_the_modalities_train_apart_at_first(seed: int, world: SimpleNamespace) -> None:
    model = world.model("domfn", INPUTS)
    batch = world.batch(INPUTS, absent={"a": [0, 1]})
    ctx = world.context(model, [batch], epochs=10)
    method = DOMFN(pretraining=0.31)
    expected = sum(
        F.cross_entropy(model(batch).logits[m][p], batch.label[p]) for m, p in batch.present.items()
    )
    for epoch in (0, 2):
        ctx.position.epoch = epoch
        torch.testing.assert_close(method.loss(model(batch), batch, ctx), expected)
    ctx.backward(method.loss(model(batch), batch, ctx))
    assert all(p.grad is None for p in [model.head.bias, *model.head.output.parameters()])
    ctx.position.epoch = 3
    ctx.backward(method.loss(model(batch), batch, ctx))
    assert all(p.grad is not None for p in model.parameters())


def test_no_fused_prediction_is_made_before_the_fused_predictor_trains(
    seed: int, world: SimpleNamespace
) -> None:
    model = world.model("domfn", INPUTS)
    batch = world.batch(INPUTS)  # untrained classifiers agree: every gate would be open
    ctx = world.context(model, [batch], epochs=4)
    shares = []

    class Validation(Silent):
        def validate(self) -> float:
            output = model(batch)
            own = torch.stack(list(output.logits.values()))
            shares.append(float((output.fused == own).all(-1).any(0).float().mean()))
            return 0.0

    ctx.observer = Validation()
    world.train("domfn", ctx, 4, pretraining=0.5)
    assert shares == [1.0, 1.0, 0.0, 0.0]
    assert bool(model.state_dict()["head.fusing"])


def test_share_of_fused_samples_is_logged(seed: int, world: SimpleNamespace) -> None:
    model = world.model("domfn", {"a": 3, "b": 4})
    batch = world.batch(
        {"a": 3, "b": 4}, absent={"a": [0, 1]}
    )  # alone, and untrained classifiers agree
    ctx = world.context(model, [batch])
    DOMFN().loss(model(batch), batch, ctx)
    assert ctx.read_journal()["method/fused"] == pytest.approx(6 / 8)


def test_warns_of_a_gate_that_never_closes(world: SimpleNamespace) -> None:
    published = {"gamma": 0.8, "tau": 0.5}
    with pytest.warns(
        UserWarning, match=r"never closes: γτ = 0.4, and 2 modalities diverge by 0.25 at most"
    ):
        DOMFN().setup(world.context(world.model("domfn", {"a": 3, "b": 4}, **published), []))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        DOMFN().setup(world.context(world.model("domfn", INPUTS, **published), []))


@pytest.mark.parametrize("options", [{"eta": -0.1}, {"pretraining": 1.0}, {"pretraining": -0.1}])
def test_refuses_bad_options(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"DOMFN: '{next(iter(options))}' must be"):
        DOMFN(**options)  # type: ignore[arg-type]
