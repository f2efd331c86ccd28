"""BSS: the score of a sample, both schedules, and the loss."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
from torch.nn import functional as F

from equipoise.errors import ConfigError
from equipoise.methods import METHODS
from equipoise.methods.balance.bss import BSS, curriculum_fraction, difficulty, similarity
from equipoise.testing.world import World
from equipoise.training.loop import fit


def build(seed: int, count: int = 2, missing: float = 0.0, **options: object) -> tuple[BSS, object]:
    with torch.random.fork_rng():
        return World("bss", count, seed % 9999, missing=missing, options=options).build()  # type: ignore[return-value]


def test_difficulty_is_loss_less_likeness_each_from_0_to_1() -> None:
    found = difficulty(torch.tensor([1.0, 3.0, 2.0]), torch.tensor([0.9, 0.5, 0.5]))
    assert found.tolist() == pytest.approx([-1.0, 1.0, 0.5])
    assert difficulty(torch.ones(4), torch.ones(4)).tolist() == [0, 0, 0, 0], "all alike"


def test_the_fraction_grows_from_the_start_to_all() -> None:
    assert curriculum_fraction(0, 0.1, 40) == pytest.approx(math.sqrt(0.99 / 40 + 0.01))
    assert curriculum_fraction(19, 0.1, 40) == pytest.approx(math.sqrt(0.505))
    assert curriculum_fraction(39, 0.1, 40) == pytest.approx(1.0)
    assert curriculum_fraction(100, 0.1, 40) == 1.0
    assert all(
        curriculum_fraction(t - 1, start, t) == 1
        for t in range(1, 200)
        for start in (0.1, 0.3, 0.7)
    )


@pytest.mark.parametrize("count", [2, 3])
def test_the_score_by_hand(seed: int, count: int) -> None:
    method, ctx = build(seed, count, missing=0.3)
    batch = ctx.train.table.rows(torch.arange(len(ctx.train.table)).numpy())
    ctx.model.eval()
    with torch.no_grad():
        output = ctx.model(batch)
    head, names = ctx.model.head, ctx.model.modalities
    weight = torch.cat([head.blocks[m].weight for m in names], 1)
    joint = F.linear(torch.cat([output.features[m] for m in names], 1), weight, head.bias)
    losses, alike = [], []
    for row in range(len(batch)):
        here = [m for m in names if batch.present[m][row]]
        label = batch.label[row]
        own = sum(-output.logits[m][row].log_softmax(0)[label] for m in here)
        losses.append(float(-0.1 * joint[row].log_softmax(0)[label] + 0.9 * own))
        pairs = [
            F.cosine_similarity(
                output.logits[m][row].softmax(0), output.logits[j][row].softmax(0), dim=0
            )
            for k, m in enumerate(here)
            for j in here[k + 1 :]
        ]
        alike.append(float(sum(pairs)) / len(pairs) if pairs else 0.0)
    torch.testing.assert_close(similarity(output, batch), torch.tensor(alike), atol=1e-5, rtol=1e-4)
    lost, same = (torch.tensor(x, dtype=torch.float64) for x in (losses, alike))
    expected = (lost - lost.min()) / (lost.max() - lost.min()) - (same - same.min()) / (
        same.max() - same.min()
    )
    torch.testing.assert_close(method.score(ctx), expected, atol=1e-4, rtol=1e-4)


def test_the_loss_and_what_it_reaches(seed: int) -> None:
    method, ctx = build(seed, 3, missing=0.3)
    batch = next(ctx.train.batches(0))
    output = ctx.model(batch)
    loss = method.loss(output, batch, ctx)
    joint = ctx.model.head.joint(output.features, batch.present)
    expected = 0.1 * F.cross_entropy(joint, batch.label)
    for m in ctx.model.modalities:
        here = batch.present[m]
        expected = expected + 0.9 * F.cross_entropy(output.logits[m][here], batch.label[here])
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert all(p.grad is not None for p in ctx.model.parameters())


def test_the_prediction_is_the_sum_of_the_classifiers_present(seed: int) -> None:
    _, ctx = build(seed, 3, missing=0.3)
    batch = next(ctx.train.batches(0))
    output = ctx.model(batch)
    expected = sum(output.logits[m] * batch.present[m].unsqueeze(1) for m in ctx.model.modalities)
    torch.testing.assert_close(output.fused, expected)


def test_the_curriculum_takes_the_easiest_first(seed: int) -> None:
    method, ctx = build(seed, schedule="curriculum", start=0.1, grow=2)
    scores = method.score(ctx)
    sizes = []
    for epoch in range(2):
        ctx.position.epoch = epoch
        method.on_epoch_start(ctx)
        rows = torch.cat([b.index for b in ctx.reading.loader.batches(0)])
        assert len(rows) == len(rows.unique())
        outside = torch.ones(len(scores), dtype=torch.bool)
        outside[rows] = False
        if outside.any():
            assert float(scores[rows].max()) <= float(scores[outside].min())
        sizes.append(len(rows))
    assert sizes == [int(len(scores) * math.sqrt(0.505)), len(scores)]


def test_self_paced_orders_put_the_balanced_first(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, ctx = build(seed)
    count = len(ctx.train.table)
    hard = torch.arange(count) % 2 == 0
    monkeypatch.setattr(method, "score", lambda _: torch.where(hard, 1.0, -1.0).double())
    method.on_epoch_start(ctx)
    rows = torch.cat([b.index for b in ctx.steps()])
    assert torch.equal(rows.sort().values, torch.arange(count)), "every sample once"
    first = hard[rows[: count // 2]]
    assert float(first.double().mean()) < 0.2, "weights 2.01 against 0.01"


@pytest.mark.parametrize("options", [{"start": 0.2}, {"grow": 10}])
def test_options_of_the_curriculum_are_not_ignored_in_silence(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="left out unless 'schedule' is curriculum"):
        METHODS.build("bss", options)
    found = METHODS.build("bss", {"schedule": "curriculum", **options})
    assert {"start": 0.1, "grow": "auto", **options} == {"start": found.start, "grow": found.grow}


@pytest.mark.parametrize(("epochs", "grow"), [(1, 1), (7, 7), (40, 40), (60, 40)])
def test_by_default_the_curriculum_comes_to_all_samples(seed: int, epochs: int, grow: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        method, ctx = World(
            "bss", 2, seed % 9999, {"schedule": "curriculum"}, epochs=epochs
        ).build()
    for epoch in range(epochs):
        assert method.fraction(epoch, ctx) == curriculum_fraction(epoch, 0.1, grow)
    assert method.fraction(epochs - 1, ctx) == 1


def test_a_curriculum_longer_than_the_training_is_warned_of(seed: int) -> None:
    with pytest.warns(RuntimeWarning, match="in epoch 5, and this training has 4.*lower 'grow'"):
        World("bss", 2, seed % 9999, {"schedule": "curriculum", "grow": 5}, epochs=4).build()
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        World("bss", 2, seed % 9999, {"schedule": "curriculum", "grow": 4}, epochs=4).build()
        World(
            "bss", 2, seed % 9999, {"schedule": "curriculum", "grow": 5, "start": 1.0}, epochs=4
        ).build()


@pytest.mark.parametrize("schedule", ["self-paced", "curriculum"])
def test_scoring_moves_no_weight(seed: int, schedule: str) -> None:
    method, ctx = build(seed, schedule=schedule)
    before = [p.clone() for p in ctx.model.state_dict().values()]
    method.on_epoch_start(ctx)
    assert all(
        torch.equal(p, q) for p, q in zip(before, ctx.model.state_dict().values(), strict=True)
    )
    fit(method, ctx, 1)


@pytest.mark.parametrize(
    "options",
    [
        {"schedule": "random"},
        {"joint_weight": 1.5},
        {"start": 0.0},
        {"grow": 0},
        {"grow": 2.5},
        {"grow": "all"},
    ],
)
def test_refuses_bad_options(options: dict[str, object], seed: int) -> None:
    with pytest.raises(ConfigError, match=f"BSS: '{next(iter(options))}' must be"):
        BSS(**options)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="use head 'vote'"):
        World("bss", 2, seed % 9999, head="auxiliary").build()
