"""Data Remixing: the separability, the dealing out of the table, and the steps of one modality."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from equipoise.errors import ConfigError
from equipoise.methods.balance.data_remixing import DataRemixing, separability
from equipoise.testing.world import World, differing, snapshot

INPUTS = {"a": 3, "b": 4, "c": 2}


def test_separability_worked_out_by_hand() -> None:
    def of(*p: float) -> float:
        return separability(torch.tensor(p, dtype=torch.float64).log()).item()

    assert of(0.5, 0.25, 0.25) == pytest.approx(0.084963, abs=1e-6)
    assert of(1 / 3, 1 / 3, 1 / 3) == pytest.approx(0)
    assert of(1.0, 1e-300, 1e-300) == pytest.approx(math.log2(3))
    assert of(0.4, 0.3, 0.3) < of(0.5, 0.25, 0.25)


@pytest.mark.parametrize("count", [2, 3])
def test_every_sample_goes_to_the_least_certain_modality_it_has(seed: int, count: int) -> None:
    world = World("data-remixing", count, seed % 9999, {"warm_up": 0.0}, missing=0.4)
    method, ctx = world.build()
    method.on_epoch_start(ctx)
    seen, before = [], None
    model = ctx.model.eval()
    table = ctx.train.table
    whole = table.rows(range(len(table)))
    output = model(whole)
    kappa = torch.stack(
        [
            separability(output.logits[m]).masked_fill(~whole.present[m], torch.inf)
            for m in model.modalities
        ],
        1,
    )
    expected = kappa.argmin(1)
    changes = 0
    for batch in ctx.batches(ctx.reading.loader):
        shown = torch.stack([batch.present[m] for m in model.modalities], 1)
        assert bool((shown.sum(1) == 1).all())
        assert torch.equal(shown.long().argmax(1), expected[batch.index])
        seen += batch.index.tolist()
        for modality in shown.long().argmax(1).tolist():
            changes += before is not None and modality != before
            before = modality
    assert sorted(seen) == list(range(len(table)))
    assert changes == len(expected.unique()) - 1


@pytest.mark.parametrize("optimiser", [{}, {"name": "adamw"}])
def test_a_step_moves_one_modality_and_what_is_shared(
    seed: int, world: SimpleNamespace, optimiser: dict[str, str]
) -> None:
    model = world.model("auxiliary", INPUTS)
    ctx = world.context(model, [world.batch(INPUTS)], weight_decay=0.1, lr=0.01, **optimiser)
    method = DataRemixing(warm_up=0.0)
    method.setup(ctx)
    for batch in (world.batch(INPUTS), world.batch(INPUTS)):  # the second with momentum
        only = batch.hide({m: torch.full((8,), m == "b") for m in INPUTS})
        before = snapshot(model)
        method.step(only, ctx)
        moved = differing(before, snapshot(model))
        assert all(".b." in f".{name}" or name == "head.bias" for name in moved)
        assert "head.bias" in moved
        assert any(name.startswith("encoders.b") for name in moved)


def test_a_mixed_minibatch_is_a_step_of_each_modality(
    seed: int, world: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = {"a": 3, "b": 4}
    model = world.model("auxiliary", inputs).double()
    first = torch.arange(8) < 3
    batch = world.batch(inputs).apply(lambda t: t.double() if t.is_floating_point() else t)
    batch = batch.hide({"a": first, "b": ~first})
    ctx = world.context(model, [batch])
    method = DataRemixing(warm_up=0.0, gamma=0.6)
    method.setup(ctx)
    steps = []
    monkeypatch.setattr(ctx, "update", lambda modalities: steps.append(modalities))
    losses = []
    monkeypatch.setattr(ctx, "backward", lambda loss: losses.append(loss.item()))
    method.step(batch, ctx)
    assert steps == [("a",), ("b",)]
    output = model(batch)
    for m, rows, found in (("a", first, losses[0]), ("b", ~first, losses[1])):
        fused, own = (
            F.cross_entropy(logits[rows], batch.label[rows])
            for logits in (output.fused, output.logits[m])
        )
        assert found == pytest.approx((fused + 0.6 * own).item())


@pytest.mark.parametrize("count", [2, 3])
def test_before_the_table_is_dealt_out_it_is_joint_uniform(seed: int, count: int) -> None:
    options = {"warm_up": 1.0, "unimodal_weight": 0.3}
    ours = World("data-remixing", count, seed % 9999, options)
    other = World("joint-uniform", count, seed % 9999, {"weight": 0.3})
    assert not differing(*(snapshot(w.train()[1].model) for w in (ours, other)))


def test_refusals(world: SimpleNamespace) -> None:
    with pytest.raises(ConfigError, match="use head 'auxiliary'"):
        DataRemixing().setup(world.context(world.model("concat", INPUTS), []))
    with pytest.raises(ConfigError, match=r"DataRemixing: 'warm_up' must be in \[0, 1\]"):
        DataRemixing(warm_up=2.0)
