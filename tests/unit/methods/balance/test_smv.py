"""SMV: Shapley values against all orders of arrival, the published form, the growing table."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations, product
from types import SimpleNamespace

import pytest
import torch

from equipoise.errors import ConfigError
from equipoise.methods.balance.smv import (
    ModalityValuation,
    SampleValuation,
    copy_counts,
    growth_of_table,
    shapley_value,
    subsets,
    valuation,
)
from equipoise.testing.world import World, differing, snapshot

NAMES = ("a", "b", "c")


def by_arrival(values: dict[tuple[str, ...], torch.Tensor], names: tuple[str, ...]) -> torch.Tensor:
    """The mean marginal contribution over all orders in which the modalities can arrive."""
    worth = {frozenset(s): v for s, v in values.items()}
    orders = list(permutations(names))
    total = {m: torch.zeros_like(next(iter(worth.values()))) for m in names}
    for order in orders:
        before: frozenset[str] = frozenset()
        for m in order:
            total[m] = total[m] + worth[before | {m}] - (worth[before] if before else 0)
            before |= {m}
    return torch.stack([total[m] / len(orders) for m in names], 1)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_shapley_values_are_the_mean_over_orders_of_arrival(seed: int, count: int) -> None:
    names = NAMES[:count]
    worth = {s: torch.randn(6, dtype=torch.float64) for s in subsets(names)}
    assert len(worth) == 2**count - 1
    found = torch.stack([shapley_value(m, worth, count) for m in names], 1)
    torch.testing.assert_close(found, by_arrival(worth, names))
    torch.testing.assert_close(found.sum(1), worth[names])


def test_two_modalities_follow_the_published_form() -> None:
    right = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3)
    a, v, both = right[:, 0], right[:, 1], 2 * right[:, 2]
    found = [shapley_value(m, {("a",): a, ("b",): v, ("a", "b"): both}, 2) for m in "ab"]
    assert found[0].tolist() == ((a + both - v) / 2).tolist()
    assert set(torch.stack(found).flatten().tolist()) == {-0.5, 0.0, 0.5, 1.0, 1.5}


def test_a_valuation_sums_to_what_is_there_where_all_are_right(
    seed: int, world: SimpleNamespace
) -> None:
    inputs = {"a": 3, "b": 4, "c": 2}
    model = world.model("concat", inputs).eval()
    batch = world.batch(inputs, rows=40, absent={"b": [0, 1, 2], "c": [1, 5]})
    output = model(batch)
    found = valuation(model, output, batch)
    there = torch.stack([batch.present[m] for m in inputs], 1)
    right = output.fused.argmax(1) == batch.label
    torch.testing.assert_close(found.sum(1), (right * there.sum(1)).double())
    assert bool((found[~there].abs() < 1e-12).all()), (
        "a modality that is not there is worth nothing"
    )
    alone = batch.rows(slice(1, 2))
    assert float(found[1, 0]) == float(model(alone).fused.argmax(1) == alone.label)
    # Two modalities: the value of row 0 is that of the game without b.
    pair = [
        valuation_of(model, batch.rows(slice(0, 1)), only) for only in (["a"], ["c"], ["a", "c"])
    ]
    assert float(found[0, 0]) == (pair[0] + 2 * pair[2] - pair[1]) / 2


def valuation_of(model: torch.nn.Module, batch: object, only: list[str]) -> float:
    return float(model(batch, only=only).fused.argmax(1) == batch.label)  # type: ignore[attr-defined]


def test_copies_by_value() -> None:
    values = torch.tensor([-0.5, -0.1, 0.0, 0.4, 0.5, 2 / 3, 1.0, 1.5], dtype=torch.float64)
    assert copy_counts(values, (1, 2, 3)).tolist() == [3, 2, 2, 2, 1, 1, 0, 0]
    assert copy_counts(torch.zeros(2, 2), (1, 2, 3)).tolist() == [[2, 2], [2, 2]], (
        "all wrong: two copies each"
    )
    assert copy_counts(torch.ones(2, 2), (1, 2, 3)).sum() == 0, "all right: none"


def test_share_by_gap() -> None:
    gaps = torch.tensor([0.2, 0.8], dtype=torch.float64)
    assert float(growth_of_table(gaps, 1.0, "linear")) == pytest.approx(0.4)
    assert float(growth_of_table(gaps, 2.0, "linear")) == pytest.approx(0.8)
    assert float(growth_of_table(gaps, 2.0, "tanh")) == pytest.approx(0.6640367702678491)
    assert float(growth_of_table(gaps, 2.0, "power")) == pytest.approx(2 * 0.4**1.5)
    assert float(growth_of_table(torch.tensor([0.2, 0.5, 0.8]), 1.0, "linear")) == pytest.approx(
        0.4
    )


@pytest.mark.parametrize("count", [2, 3])
def test_the_table_grows_by_the_copies(seed: int, count: int) -> None:
    method, ctx = World(
        "smv-sample", count, seed % 9999, missing=0.3, options={"warm_up": 0}
    ).build()
    table, names = ctx.train.table, ctx.model.modalities
    values, present = method.values(ctx.train, ctx)
    method.on_epoch_start(ctx)
    seen: dict[tuple[int, tuple[str, ...]], int] = {}
    for batch in ctx.steps():
        for row in range(len(batch)):
            shown = tuple(m for m in names if batch.present[m][row])
            key = int(batch.index[row]), shown
            seen[key] = seen.get(key, 0) + 1
            assert int(batch.label[row]) == table.label[key[0]]
    for row in range(len(table)):
        whole = tuple(m for m in names if table.present[m][row])
        expected = {whole: 1}
        for k, m in enumerate(names):
            if present[row, k]:
                expected[(m,)] = expected.get((m,), 0) + int(copy_counts(values[row, k], (1, 2, 3)))
        assert {s: n for (r, s), n in seen.items() if r == row} == {
            s: n for s, n in expected.items() if n
        }


def test_copies_of_the_weakest_modality_only(seed: int) -> None:
    method, ctx = World("smv-modality", 3, seed % 9999, options={"warm_up": 0, "part": 1.0}).build()
    count, generator = len(ctx.train.table), ctx.rng.get_state()
    values, _ = method.values(ctx.train, ctx)
    ctx.rng.set_state(generator)
    drawn = torch.randint(count, (count,), generator=ctx.rng)
    means = values[drawn].mean(0)
    ctx.rng.set_state(generator)
    rows, kept = method.added(ctx)
    assert len(rows) == int(count * float(growth_of_table(1 - means, 1.0, "linear")))
    assert bool((kept == means.argmin()).all())


@pytest.mark.parametrize(
    ("name", "options"), [("smv-sample", {"copies": [0, 0, 0]}), ("smv-modality", {"alpha": 0.0})]
)
def test_without_copies_it_is_joint_training(
    seed: int, name: str, options: dict[str, object]
) -> None:
    mine = World(name, 2, seed % 9999, options={**options, "warm_up": 0})
    joint = replace(mine, method="joint", options={})
    assert not differing(snapshot(mine.train()[1].model), snapshot(joint.train()[1].model))


@pytest.mark.parametrize(("count", "most"), [(2, 5), (3, 9)])
def test_the_table_grows_at_most_so_many_times(count: int, most: int) -> None:
    sets = subsets(NAMES[:count])
    grown = set()
    for right in product([0.0, 1.0], repeat=len(sets)):
        worth = {
            s: torch.tensor([r * len(s)], dtype=torch.float64)
            for s, r in zip(sets, right, strict=True)
        }
        values = torch.cat([shapley_value(m, worth, count) for m in NAMES[:count]])
        grown.add(1 + int(copy_counts(values, (1, 2, 3)).sum()))
    assert max(grown) == most


def test_who_adds_nothing_values_nothing(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    method, ctx = World(
        "smv-sample", 2, seed % 9999, options={"warm_up": 0, "copies": [0, 0, 0]}
    ).build()
    monkeypatch.setattr(method, "values", lambda *_: pytest.fail("an evaluation pass for nothing"))
    method.on_epoch_start(ctx)


def test_the_warm_up_reads_the_plain_table(seed: int) -> None:
    method, ctx = World("smv-sample", 2, seed % 9999, options={"warm_up": 0.5}, epochs=4).build()
    lengths = []
    for epoch in range(3):
        ctx.position.epoch = epoch
        method.on_epoch_start(ctx)
        lengths.append(ctx.steps_per_epoch)
    assert lengths[:2] == [len(ctx.train)] * 2, lengths
    assert lengths[2] > len(ctx.train), "an untrained model is wrong somewhere"


@pytest.mark.parametrize("wrong", [{"warm_up": 1.5}, {"copies": [1, 2]}, {"copies": [1, 2, -1]}])
def test_refuses_bad_options(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"SampleValuation: '{next(iter(wrong))}'"):
        SampleValuation(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="ModalityValuation: 'part'"):
        ModalityValuation(part=0)
