"""MIDAS: the misaligned samples, their loss, and the weights of their labels."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from equipoise.errors import ConfigError
from equipoise.methods.balance.midas import (
    MIDAS,
    confidences,
    misalign,
    misaligned_loss,
    next_alpha,
)
from equipoise.testing.world import World, differing, snapshot

INPUTS = {"a": 3, "b": 4, "c": 2}
HERE = torch.ones(2, 1, dtype=torch.bool)


def test_confidences_worked_out_by_hand() -> None:
    true = torch.tensor([[0.9], [0.3]], dtype=torch.float64)
    assert confidences(true, HERE).squeeze(1).tolist() == pytest.approx([0.75, 0.25])
    absent = torch.tensor([[True], [False]])
    assert confidences(true, absent).squeeze(1).tolist() == [1.0, 0.0]


@pytest.mark.parametrize(("alpha", "expected"), [(1.0, 1.197197), (1.05, 1.223534)])
def test_loss_worked_out_by_hand(alpha: float, expected: float) -> None:
    log_p = torch.tensor([[0.6], [0.3]], dtype=torch.float64).log()
    confidence = torch.tensor([[0.75], [0.25]], dtype=torch.float64)
    weights = torch.tensor([1.0, alpha], dtype=torch.float64)
    found = misaligned_loss(log_p, confidence, torch.tensor([0.5]).double(), weights)
    assert found.item() == pytest.approx(expected, abs=1e-6)


def test_similar_samples_weigh_up_to_twice_as_much() -> None:
    log_p = torch.tensor([[0.5], [0.5]]).log()
    half = torch.full((2, 1), 0.5)
    low, high = (
        misaligned_loss(log_p, half, torch.tensor([s]), torch.ones(2)).item() for s in (-1.0, 1.0)
    )
    assert high == pytest.approx(2 * low)


def test_alpha_worked_out_by_hand() -> None:
    alpha = torch.ones(2, dtype=torch.float64)
    confidence = torch.tensor([0.75, 0.25], dtype=torch.float64)
    enough = torch.tensor([2 / 3, 1 / 3], dtype=torch.float64)
    assert next_alpha(alpha, confidence, enough, 0.05).tolist() == [1.0, 1.0]
    little = torch.tensor([0.8, 0.2], dtype=torch.float64)
    for _ in range(10):
        alpha = next_alpha(alpha, confidence, little, 0.05)
    assert alpha.tolist() == pytest.approx([1.0, 1.5])
    assert next_alpha(alpha, confidence, enough, 0.05).tolist() == pytest.approx([1.0, 1.45])
    unseen = torch.tensor([0.75, torch.inf], dtype=torch.float64)
    assert next_alpha(alpha, unseen, little, 0.05)[1] == alpha[1]


def test_every_modality_comes_from_every_source_once(seed: int) -> None:
    label = torch.tensor([0, 1, 2, 0])
    sources = torch.stack([torch.arange(4), torch.randperm(4), torch.randperm(4)])
    present = torch.ones(3, 4, dtype=torch.bool)
    found = torch.stack([misalign(sources, s, label, present).source for s in range(3)])
    for modality in range(3):
        rows = found[:, modality].sort(0).values
        assert torch.equal(rows, sources.sort(0).values)


def test_samples_of_one_class_are_left_out() -> None:
    label = torch.tensor([0, 0, 1])
    sources = torch.tensor([[0, 1, 2], [1, 2, 0]])
    present = torch.ones(2, 3, dtype=torch.bool)
    assert misalign(sources, 0, label, present).valid.tolist() == [False, True, True]
    present[1, 0] = False  # source of the last sample
    mixed = misalign(sources, 0, label, present)
    assert mixed.present.tolist() == [[True, True, True], [True, True, False]]
    assert mixed.valid.tolist() == [False, True, False]


def by_hand(method: MIDAS, ctx: SimpleNamespace, batch: SimpleNamespace) -> torch.Tensor:
    """The loss of two modalities, sample by sample, with partners drawn again."""
    output = ctx.model(batch)
    partner = torch.randperm(len(batch), generator=ctx.rng)
    found = []
    z, v, y = output.features, output.logits, batch.label
    for i, j in enumerate(partner.tolist()):
        if y[i] == y[j]:
            continue
        for first, second, replaced in ((i, j, "b"), (j, i, "a")):
            mixed = {"a": z["a"][[first]], "b": z["b"][[second]]}
            there = dict.fromkeys(mixed, torch.ones(1, dtype=torch.bool))
            log_p = ctx.model.read(mixed, there).fused.log_softmax(1)[0]
            pa, pb = v["a"][first].softmax(0)[y[first]], v["b"][second].softmax(0)[y[second]]
            c = (pa / (pa + pb)).detach()
            s = F.cosine_similarity(z[replaced][i], z[replaced][j], dim=0).detach()
            terms = -c * log_p[y[first]] - (1 - c) * log_p[y[second]]
            found.append((1 + (s + 1) / 2) * terms)
    losses = [F.cross_entropy(x, y) for x in (output.fused, v["a"], v["b"])]
    return torch.stack(losses).sum() + 0.7 * torch.stack(found).mean()


def test_loss_of_a_batch_is_that_of_the_samples_one_by_one(
    seed: int, world: SimpleNamespace
) -> None:
    inputs = {"a": 3, "b": 4}
    batch = world.batch(inputs).apply(lambda t: t.double() if t.is_floating_point() else t)
    ctx = world.context(world.model("auxiliary", inputs).double(), [batch])
    method = MIDAS(weight=0.7)
    method.setup(ctx)
    ctx.position.phase = 1
    ctx.rng.manual_seed(seed)
    parameters = list(ctx.model.parameters())
    expected = by_hand(method, ctx, batch)
    gradients = torch.autograd.grad(expected, parameters)
    ctx.rng.manual_seed(seed)
    found = method.loss(ctx.model(batch), batch, ctx)
    torch.testing.assert_close(found, expected)
    for ours, theirs in zip(torch.autograd.grad(found, parameters), gradients, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_batch_of_one_class_has_no_misaligned_sample(seed: int, world: SimpleNamespace) -> None:
    batch = world.batch(INPUTS)
    batch.label.fill_(1)
    ctx = world.context(world.model("auxiliary", INPUTS), [batch])
    ctx.position.phase = 1
    losses = []
    for weight in (0.0, 3.0):
        method = MIDAS(weight=weight)
        method.setup(ctx)
        losses.append(method.loss(ctx.model(batch), batch, ctx).item())
    assert losses[0] == losses[1]


@pytest.mark.parametrize("count", [2, 3])
def test_without_the_augmentation_it_is_joint_uniform(seed: int, count: int) -> None:
    ours = World("midas", count, seed % 9999, {"weight": 0.0, "warm_up": 0.0}, missing=0.2)
    other = World("joint-uniform", count, seed % 9999, missing=0.2)
    assert not differing(*(snapshot(w.train()[1].model) for w in (ours, other)))


def test_the_fused_classifier_waits_for_the_first_part(seed: int) -> None:
    world = World("midas", 2, seed % 9999, {"warm_up": 0.5}, epochs=4)
    method, ctx = world.build()
    phases = list(method.phases(4))
    assert [(p.epochs, p.selectable) for p in phases] == [(2, False), (2, True)]
    before = snapshot(ctx.model.head)
    for batch in ctx.steps():
        method.step(batch, ctx)
    moved = differing(before, snapshot(ctx.model.head))
    assert moved == [name for name in before if "own" in name]


def test_wants_own_classifiers(world: SimpleNamespace) -> None:
    with pytest.raises(ConfigError, match="use head 'auxiliary'"):
        MIDAS().setup(world.context(world.model("concat", INPUTS), []))
    with pytest.raises(ConfigError, match=r"MIDAS: 'warm_up' must be in \[0, 1\)"):
        MIDAS(warm_up=1.0)
