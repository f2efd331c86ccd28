"""AE and CRA: what the reconstruction counts, what it reaches, and the greedy schedule."""

from __future__ import annotations

import copy
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from equipoise.batch import Batch
from equipoise.errors import ConfigError
from equipoise.methods.missing.ae import AE
from equipoise.methods.missing.cra import CRA
from equipoise.methods.parts.hiding import lose_one

INPUTS = {"a": 3, "b": 4, "c": 2}
KINDS = {"ae": AE, "cra": CRA}


def mask(batch: Batch, name: str, rows: slice) -> Batch:
    """Hide a modality's content in some rows."""
    shown = {m: torch.ones(len(batch), dtype=torch.bool) for m in INPUTS}
    shown[name][rows] = False
    return batch.hide(shown)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("name", KINDS)
def test_the_loss_by_hand(seed: int, world: SimpleNamespace, name: str, reduction: str) -> None:
    model = world.model(name, INPUTS)
    whole = world.batch(INPUTS)
    batch = mask(whole, "b", slice(0, 3))
    options = {"entries": "hidden"} if name == "cra" else {}
    method = KINDS[name](weight=0.7, reduction=reduction, hide=0.0, **options)
    found = method.objective(batch, world.context(model, [batch]))
    features = model(whole).features
    joint = torch.cat([features[m] * batch.present[m].unsqueeze(1) for m in sorted(INPUTS)], 1)
    code, restored = model.head.restore(joint)
    error = (model.head.estimates(restored)["b"] - features["b"]).square().mean(1)[:3].sum()
    expected = F.cross_entropy(model.head.classify(code), batch.label)
    torch.testing.assert_close(found, expected + 0.7 * error / (1 if reduction == "sum" else 8))


def test_cra_counts_every_known_cell_as_the_paper_does(seed: int, world: SimpleNamespace) -> None:
    model = world.model("cra", INPUTS)
    batch = world.batch(INPUTS, absent={"c": [0, 1]})
    ctx = world.context(model, [batch])
    total = CRA(weight=1.0, hide=0.0).objective(batch, ctx) - CRA(weight=0.0, hide=0.0).objective(
        batch, ctx
    )
    features = model(batch).features
    joint = model.head.joint(features, 8)
    estimates = model.head.split(model.head.restore(joint).joint)
    errors = [
        ((estimates[m] - features[m]).square().mean(1) * batch.present[m]).sum() for m in INPUTS
    ]
    torch.testing.assert_close(total, torch.stack(errors).sum())


def test_a_complete_batch_has_nothing_to_restore(seed: int, world: SimpleNamespace) -> None:
    model = world.model("ae", INPUTS)
    batch = world.batch(INPUTS)
    ctx = world.context(model, [batch])
    losses = [AE(weight=w, hide=0.0).objective(batch, ctx) for w in (0.0, 5.0)]
    assert torch.equal(*losses)
    losses[1].backward()
    assert not any(bool(p.grad.any()) for p in model.head.decoders.parameters())


@pytest.mark.parametrize("name", KINDS)
def test_content_that_is_truly_missing_does_not_matter(
    seed: int, world: SimpleNamespace, name: str
) -> None:
    model = world.model(name, INPUTS)
    batch = world.batch(INPUTS, absent={"b": [0, 1, 2]})
    other = Batch(
        {**batch.inputs, "b": batch.inputs["b"] + 9 * ~batch.present["b"].unsqueeze(1)},
        batch.present,
        batch.label,
        batch.index,
    )
    losses = []
    for each in (batch, other):
        ctx = world.context(model, [each])
        ctx.rng.manual_seed(seed)
        losses.append(KINDS[name](weight=1.0, hide=1.0).objective(each, ctx))
    assert torch.equal(*losses)


def test_the_target_is_not_trained(seed: int, world: SimpleNamespace) -> None:
    model = world.model("ae", INPUTS)
    batch = mask(world.batch(INPUTS), "b", slice(None))
    AE(weight=1.0).objective(batch, world.context(model, [batch])).backward()
    assert all(p.grad is None for p in model.encoders["b"].parameters())
    assert bool(model.head.decoders["b"][0].weight.grad.any())


@pytest.mark.parametrize("name", KINDS)
def test_hidden_content_reaches_the_target_alone(
    seed: int, world: SimpleNamespace, name: str
) -> None:
    """Batch normalisation must not carry hidden features into the features that are shown."""
    model = world.model(name, INPUTS)
    for encoder in model.encoders.values():
        encoder.layers.append(torch.nn.BatchNorm1d(encoder.width))
    frozen = model.encoders["a"].layers[-1].eval()
    batch = mask(world.batch(INPUTS), "b", slice(0, 3))
    whole = batch.revealed()
    other = replace(whole, inputs={**whole.inputs, "b": whole.inputs["b"].clone()})
    other.inputs["b"][:3] += 7.0
    found = []
    for content in (whole, other):
        for weight in (0.0, 1.0):
            twin = copy.deepcopy(model)
            ctx = world.context(twin, [batch])
            loss = KINDS[name](weight=weight, hide=0.5).objective(
                replace(batch, whole=content), ctx
            )
            found.append((loss, [p.clone() for p in twin.buffers()]))
            assert twin.encoders["b"].training
            assert frozen.training == twin.encoders["a"].layers[-1].training
    (plain, still), (restoring, _), (same, _), (changed, _) = found
    assert torch.equal(plain, same)
    assert not torch.equal(restoring, changed)
    assert all(torch.equal(p, q) for _, moved in found for p, q in zip(still, moved, strict=True))


@pytest.mark.parametrize("name", KINDS)
def test_a_cell_hidden_at_random_is_kept_from_the_input_too(
    seed: int, world: SimpleNamespace, name: str
) -> None:
    model = world.model(name, INPUTS)
    for encoder in model.encoders.values():
        encoder.layers.append(torch.nn.BatchNorm1d(encoder.width))
    batch = world.batch(INPUTS, rows=40)
    ctx = world.context(copy.deepcopy(model), [batch])
    kept = lose_one(batch, ctx, 1.0)
    ctx = world.context(model, [batch])
    KINDS[name](hide=1.0).objective(batch, ctx)
    for m, encoder in model.encoders.items():
        made = encoder.layers[:-1](batch.inputs[m][kept[m]])
        torch.testing.assert_close(encoder.layers[-1].running_mean, 0.1 * made.mean(0))


def test_greedy_phases_leave_the_other_blocks_alone(seed: int, world: SimpleNamespace) -> None:
    model = world.model("cra", INPUTS, layers=[6, 4])
    batches = [world.batch(INPUTS) for _ in range(2)]
    ctx = world.context(model, batches, 5, weight_decay=0.1)
    method = CRA(training="greedy")
    method.setup(ctx)
    joint = torch.randn(4, 15)
    assert torch.equal(model.head.restore(joint).joint, joint)
    assert sum(phase.epochs for phase in method.phases(5)) == 5
    for number in range(4):
        ctx.position.phase = number
        before = copy.deepcopy(model.head.cascade)
        method.step(batches[0], ctx)
        moved = [
            any(not torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
            for a, b in zip(before.blocks, model.head.cascade.blocks, strict=True)
        ]
        assert moved == [number in (k, 3) for k in range(3)]


def test_greedy_training_needs_an_epoch_for_each_block(world: SimpleNamespace) -> None:
    with pytest.raises(ConfigError, match="takes at least 4 epochs, found 3"):
        CRA(training="greedy").setup(world.context(world.model("cra", INPUTS), [], 3))


def test_gradients_are_clipped(seed: int, world: SimpleNamespace) -> None:
    model = world.model("ae", INPUTS)
    batch = world.batch(INPUTS)
    before = [p.detach().clone() for p in model.parameters()]
    AE(clip=1e-3).step(batch, world.context(model, [batch], lr=1.0, momentum=0.0, weight_decay=0.0))
    moved = [
        (p.detach() - q).square().sum() for p, q in zip(model.parameters(), before, strict=True)
    ]
    assert float(torch.stack(moved).sum().sqrt()) == pytest.approx(1e-3, rel=1e-2)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (AE, {"weight": -1}),
        (AE, {"reduction": "max"}),
        (AE, {"hide": 1.5}),
        (AE, {"clip": -1}),
        (CRA, {"entries": "all"}),
        (CRA, {"training": "lazy"}),
    ],
)
def test_refuses_bad_options(kind: type, options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"{kind.__name__}: '{next(iter(options))}' must be"):
        kind(**options)
