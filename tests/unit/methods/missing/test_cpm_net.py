"""CPM-Net: the clustering loss at known values, the steps of the latents, frozen parts."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from equipoise.batch import Batch
from equipoise.errors import ConfigError
from equipoise.methods.missing.cpm_net import (
    CPMNet,
    Latents,
    class_scores,
    clustering_loss,
    decoding_loss,
)

INPUTS = {"a": 3, "b": 4, "c": 2}
H = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.8]])


def scores(latent: torch.Tensor, label: torch.Tensor, classes: int = 2) -> torch.Tensor:
    sums = torch.zeros(classes, latent.shape[1]).index_add(0, label, latent)
    return class_scores(
        latent, latent, label, sums, torch.bincount(label, minlength=classes).float()
    )


def ready(world: SimpleNamespace, batches: list[Batch], **options: object) -> tuple:
    model = world.model("cpm-net", INPUTS, latent=6)
    ctx = world.context(model, batches, 2)
    ctx.train.table = SimpleNamespace(label=torch.cat([b.label for b in batches]).numpy())
    method = CPMNet(**options)
    method.setup(ctx)
    ctx.position.phase = 1
    method.on_phase_start(ctx)
    return model, ctx, method


def test_class_scores_and_losses_of_the_reference() -> None:
    label = torch.tensor([0, 0, 1, 1])
    found = scores(H, label)
    torch.testing.assert_close(
        found, torch.tensor([[0.9, 0.05], [0.9, 0.135], [0.05, 0.8], [0.135, 0.8]])
    )
    torch.testing.assert_close(
        clustering_loss(found, label), torch.tensor([0.150, 0.235, 0.250, 0.335])
    )
    assert not bool(clustering_loss(found, label, "code").any())
    mixed = torch.tensor([0, 1, 1, 0])
    expected = torch.tensor([1.350, 1.435, 1.300, 1.385])
    for margin in ("paper", "code"):
        torch.testing.assert_close(clustering_loss(scores(H, mixed), mixed, margin), expected)


def test_tight_clusters_lose_nothing_and_a_class_of_one_is_finite(seed: int) -> None:
    label = torch.tensor([0, 0, 1, 1, 2])
    latent = 2 * torch.eye(3)[label]
    found = clustering_loss(scores(latent, label, 3), label)
    assert not bool(found[:4].any())
    assert bool(found.isfinite().all())
    noise = torch.randn(20, 3)
    many = torch.randint(3, (20,))
    wrong = scores(noise, many, 3).argmax(1) != many
    for margin in ("paper", "code"):
        assert bool((clustering_loss(scores(noise, many, 3), many, margin)[wrong] >= 1).all())


def test_decoding_counts_present_cells_alone(seed: int, world: SimpleNamespace) -> None:
    batch = world.batch(INPUTS, absent={"b": [0, 1, 2]})
    model, _, _ = ready(world, [batch])
    features = {m: torch.randn(8, 5, requires_grad=True) for m in INPUTS}
    latent = torch.randn(8, 6)
    loss = decoding_loss(model.head, latent, features, batch)
    expected = sum(
        ((model.head.decode(m, latent) - features[m]) ** 2).sum(1) * batch.present[m].float()
        for m in INPUTS
    )
    torch.testing.assert_close(loss, expected)
    loss.sum().backward()
    assert not bool(features["b"].grad[:3].any())


def test_latents_move_as_torchs_adam_moves_them(seed: int, world: SimpleNamespace) -> None:
    ctx = world.context(world.model("concat", INPUTS), [])
    memory = Latents(torch.tensor([0, 1, 1]), 2, torch.zeros(1, dtype=torch.float64), 4)
    memory.draw(ctx.rng)
    start = memory.latent.clone()
    assert bool((start.abs() <= (6 / 7) ** 0.5).all())
    twin = torch.nn.Parameter(start[1:].clone())
    adam = torch.optim.Adam([twin], lr=0.05)
    rows = torch.tensor([2, 1])
    for _ in range(4):
        slope = torch.randn(2, 4, dtype=torch.float64)
        memory.move(rows, slope, 0.05, ctx)
        twin.grad = slope.flip(0)
        adam.step()
    torch.testing.assert_close(memory.latent[1:], twin.data)
    assert torch.equal(memory.latent[0], start[0])
    sums, counts = memory.sums()
    torch.testing.assert_close(sums[1], memory.latent[1:].sum(0))
    assert counts.tolist() == [1, 2]


def test_the_slope_is_that_of_both_terms(seed: int, world: SimpleNamespace) -> None:
    batch = world.batch(INPUTS, absent={"b": [0]})
    model, _, method = ready(world, [batch], weight=3.0)
    features = {m: torch.randn(8, 5) for m in INPUTS}
    found = method.slope(model.head, features, batch)
    latent = method.memory.latent.clone().requires_grad_()
    means = [
        [latent.detach()[[j for j in range(8) if batch.label[j] == y and j != n]] for y in range(4)]
        for n in range(8)
    ]
    total = decoding_loss(model.head, latent, features, batch).sum()
    for n in range(8):
        g = torch.stack(
            [(latent[n] * (rows.mean(0) if len(rows) else 0)).sum() for rows in means[n]]
        )
        margin = torch.ones(4)
        margin[batch.label[n]] = 0
        total = total + 3 * (margin + g - g[batch.label[n]]).max()
    torch.testing.assert_close(found, torch.autograd.grad(total, latent)[0])


def test_a_step_moves_decoders_latents_and_class_means_but_no_encoder(
    seed: int, world: SimpleNamespace
) -> None:
    first, second = world.batch(INPUTS), world.batch(INPUTS)
    second = Batch(second.inputs, second.present, second.label, second.index + 8)
    model, ctx, method = ready(world, [first, second])
    encoders = [p.detach().clone() for p in model.encoders.parameters()]
    before, decoder = method.memory.latent.clone(), model.head.blocks["a"].weight.detach().clone()
    method.step(second, ctx)
    assert all(
        torch.equal(p, q) for p, q in zip(encoders, model.encoders.parameters(), strict=True)
    )
    assert not torch.equal(decoder, model.head.blocks["a"].weight)
    assert torch.equal(method.memory.latent[:8], before[:8])
    assert bool((method.memory.latent[8:] != before[8:]).any(1).all())
    for y in range(4):
        rows = method.memory.latent[method.memory.label == y]
        if len(rows):
            torch.testing.assert_close(model.head.prototypes[y], rows.mean(0))


def test_latents_come_to_decode_and_to_cluster(seed: int, world: SimpleNamespace) -> None:
    batch = world.batch(INPUTS, 16)
    model, ctx, method = ready(world, [batch], weight=10.0, latent_lr=0.05)
    features = model(batch).features

    def losses() -> tuple[float, float]:
        latent = method.memory.latent
        g = class_scores(latent, latent, batch.label, *method.memory.sums())
        with torch.no_grad():
            decoding = decoding_loss(model.head, latent, features, batch).mean()
        return float(decoding), float(clustering_loss(g, batch.label).mean())

    start = losses()
    for _ in range(60):
        method.step(batch, ctx)
    assert all(end < 0.7 * begin for begin, end in zip(start, losses(), strict=True))


def test_encoders_train_first(seed: int, world: SimpleNamespace) -> None:
    batch = world.batch(INPUTS)
    model, ctx, method = ready(world, [batch])
    assert [phase.epochs for phase in CPMNet(pretrain=0.25).phases(8)] == [2, 6]
    assert [phase.epochs for phase in CPMNet(pretrain=0).phases(8)] == [0, 8]
    ctx.position.phase = 0
    latent, encoder = (
        method.memory.latent.clone(),
        model.encoders["a"].layers[0].weight.detach().clone(),
    )
    method.step(batch, ctx)
    assert torch.equal(latent, method.memory.latent)
    assert not torch.equal(encoder, model.encoders["a"].layers[0].weight)


def test_frozen_encoders_leave_all_epochs_to_the_latents(world: SimpleNamespace) -> None:
    _, ctx, method = ready(world, [world.batch(INPUTS)])
    ctx.model.encoders.requires_grad_(False)
    method.setup(ctx)
    assert [phase.epochs for phase in method.phases(8)] == [0, 8]


@pytest.mark.parametrize(
    "options",
    [
        {"weight": -1},
        {"latent_lr": 0},
        {"latent_steps": 0},
        {"latent_steps": 1.5},
        {"margin": "both"},
        {"pretrain": 1},
    ],
)
def test_refuses_bad_options(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"CPMNet: '{next(iter(options))}' must be"):
        CPMNet(**options)  # type: ignore[arg-type]
