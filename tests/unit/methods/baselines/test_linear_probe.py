"""Linear probe: frozen encoders, independent probes, and the encoders of a finished run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from equipoise.errors import ConfigError, RunError
from equipoise.methods.baselines.linear_probe import LinearProbe
from equipoise.runs.run import train
from equipoise.testing.world import World, snapshot
from equipoise.training.loop import fit


def test_only_the_head_moves_and_running_statistics_stay(seed: int) -> None:
    method, ctx = World("linear-probe", 2, seed % 9999).build()
    for modality in ctx.model.modalities:
        width = ctx.model.head.widths[modality]
        encoder = torch.nn.Sequential(ctx.model.encoders[modality], torch.nn.BatchNorm1d(width))
        ctx.model.encoders[modality] = encoder
    before = snapshot(ctx.model)
    fit(method, ctx, 2)
    after = snapshot(ctx.model)
    for name in after:
        assert torch.equal(before[name], after[name]) == name.startswith("encoders."), name


def test_probes_are_independent_least_losses(seed: int) -> None:
    """Each probe has the gradient of its own cross-entropy alone."""
    method, ctx = World("linear-probe", 2, seed % 9999).build()
    batch = next(ctx.train.batches(0))
    ctx.model.eval()
    output = ctx.model(batch)
    loss = method.loss(output, batch, ctx)
    head = ctx.model.head
    losses = {"fused": output.fused, **output.logits}
    separate = {k: torch.nn.functional.cross_entropy(u, batch.label) for k, u in losses.items()}
    torch.testing.assert_close(loss, sum(separate.values()))
    for modality in ctx.model.modalities:
        own = head.blocks[modality].own.weight
        whole, alone = (
            torch.autograd.grad(x, own, retain_graph=True)[0] for x in (loss, separate[modality])
        )
        torch.testing.assert_close(whole, alone)
        column = head.blocks[modality].weight
        whole, alone = (
            torch.autograd.grad(x, column, retain_graph=True)[0] for x in (loss, separate["fused"])
        )
        torch.testing.assert_close(whole, alone)


def test_reads_the_encoders_of_the_best_epoch(seed: int, tmp_path: Path) -> None:
    world = World("joint", 2, seed % 9999)
    train(world.run_settings(), tmp_path / "run", splits=world.data())
    from equipoise.runs.trained import Trained

    expected = snapshot(Trained(tmp_path / "run").model.encoders)
    probing = World(
        "linear-probe",
        2,
        seed % 9999 + 1,
        splits=world.data(),
        options={"run": str(tmp_path / "run")},
    )
    _, ctx = probing.build()
    assert all(torch.equal(expected[n], w) for n, w in snapshot(ctx.model.encoders).items())
    with pytest.raises(ConfigError, match="encoders are not those of this model"):
        World("linear-probe", 3, seed % 9999, options={"run": str(tmp_path / "run")}).build()


def test_says_what_is_wrong_with_the_run(seed: int, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a folder of a finished run"):
        World("linear-probe", 2, seed % 9999, options={"run": str(tmp_path)}).build()
    with pytest.raises(ConfigError, match="'run' must be"):
        LinearProbe(run=3)  # type: ignore[arg-type]


def test_a_head_without_own_classifiers_has_one_probe(seed: int) -> None:
    method, ctx = World("linear-probe", 2, seed % 9999, head="concat").build()
    batch = next(ctx.train.batches(0))
    output = ctx.model(batch)
    torch.testing.assert_close(
        method.loss(output, batch, ctx),
        torch.nn.functional.cross_entropy(output.fused, batch.label),
    )
