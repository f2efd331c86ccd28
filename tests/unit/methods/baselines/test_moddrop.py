"""ModDrop: how often a modality is kept, and what a dropped one does to the step."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import pytest
import torch

from equipoise.batch import Batch
from equipoise.errors import ConfigError
from equipoise.methods.baselines.joint import Joint
from equipoise.methods.baselines.moddrop import ModDrop, kept
from equipoise.testing.world import World, differing, snapshot
from equipoise.training.context import Context

INPUTS = {"a": 3, "b": 4, "c": 2}
ROWS = 20_000


def draw(
    seed: int, world: SimpleNamespace, rates: dict[str, float], rows: int = ROWS, **absent: list
) -> tuple[Batch, dict[str, torch.Tensor]]:
    inputs = {m: INPUTS[m] for m in rates}
    batch = world.batch(inputs, rows, absent)
    ctx = world.context(world.model("concat", inputs), [])
    ctx.rng.manual_seed(seed)
    return batch, kept(batch, rates, ctx)


@pytest.mark.parametrize(
    ("count", "p", "expected"),
    [(2, 0.5, 2 / 3), (2, 0.2, 0.833333), (3, 0.5, 0.571429), (3, 0.2, 0.806452)],
)
def test_a_modality_is_kept_as_often_as_the_formula_says(
    seed: int, world: SimpleNamespace, count: int, p: float, expected: float
) -> None:
    _, found = draw(seed, world, dict.fromkeys(list(INPUTS)[:count], p))
    assert expected == pytest.approx((1 - p) / (1 - p**count), abs=1e-6)
    assert bool(torch.stack([*found.values()]).any(0).all())
    deviation = (expected * (1 - expected) / ROWS) ** 0.5
    for there in found.values():
        assert float(there.double().mean()) == pytest.approx(expected, abs=4 * deviation)


def test_at_one_half_every_set_is_equally_likely(seed: int, world: SimpleNamespace) -> None:
    _, found = draw(seed, world, dict.fromkeys(INPUTS, 0.5))
    sets = Counter(map(tuple, torch.stack([found[m] for m in INPUTS], 1).tolist()))
    assert len(sets) == 7
    for number in sets.values():
        assert number / ROWS == pytest.approx(1 / 7, abs=4 * (6 / 49 / ROWS) ** 0.5)


def test_different_rates_are_independent_given_that_one_is_kept(
    seed: int, world: SimpleNamespace
) -> None:
    rates = {"a": 0.3, "b": 0.6, "c": 0.9}
    _, found = draw(seed, world, rates)
    whole = 1 - 0.3 * 0.6 * 0.9
    for m, p in rates.items():
        assert float(found[m].double().mean()) == pytest.approx((1 - p) / whole, abs=0.015)


def test_only_present_modalities_are_drawn_and_the_last_one_is_kept(
    seed: int, world: SimpleNamespace
) -> None:
    batch, found = draw(
        seed, world, dict.fromkeys(INPUTS, 0.9), 60, a=list(range(30)), b=list(range(15))
    )
    for m in INPUTS:
        assert not (found[m] & ~batch.present[m]).any()
    assert bool(found["c"][:15].all())
    assert bool(torch.stack([*found.values()]).any(0).all())


def test_rate_one_is_training_without_the_modality(seed: int, world: SimpleNamespace) -> None:
    inputs = {"a": 3, "b": 4}
    batch = world.batch(inputs, absent={"b": [2]})
    states = []
    for method, data in (
        (ModDrop({"a": 1.0}), batch),
        (Joint(), batch.hide({"a": ~batch.present["b"], "b": batch.present["b"]})),
    ):
        torch.manual_seed(seed)
        model = world.model("concat", inputs)
        world.train(method, world.context(model, [data]))
        states.append(snapshot(model))
    assert not differing(*states)


def test_a_dropped_cell_gets_no_gradient(
    seed: int, world: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = world.batch(INPUTS)
    for x in batch.inputs.values():
        x.requires_grad_()
    ctx = world.context(world.model("concat", INPUTS), [batch])
    seen: list[Batch] = []
    run = ctx.model.forward

    def forward(shown: Batch) -> object:
        seen.append(shown)
        return run(shown)

    monkeypatch.setattr(ctx.model, "forward", forward)
    method = ModDrop(0.5)
    method.setup(ctx)
    method.step(batch, ctx)
    (shown,) = seen
    assert not all(p.all() for p in shown.present.values())
    for m, x in batch.inputs.items():
        assert x.grad is not None
        moved = x.grad.abs().sum(1) > 0
        assert torch.equal(moved & shown.present[m], moved)


@pytest.mark.parametrize("count", [2, 3])
def test_the_order_of_samples_over_ranks_does_not_matter_but_the_step_does(
    seed: int, count: int
) -> None:
    """The same numbers again from the same seed, others in the next step."""
    world = World("moddrop", count, seed % 9999, {"probability": 0.5})

    def first_two(ctx: Context) -> list[torch.Tensor]:
        rates = dict.fromkeys(ctx.model.modalities, 0.5)
        return [
            torch.stack([*kept(batch, rates, ctx).values()])
            for batch, _ in zip(ctx.steps(), range(2), strict=False)
        ]

    ours, again = (first_two(world.build()[1]) for _ in range(2))
    assert all(map(torch.equal, ours, again))
    assert not torch.equal(*ours)


@pytest.mark.parametrize(
    "wrong", [1.0, -0.1, True, "half", {"a": 1.1}, {"a": 1.0, "b": 1.0}, {"a": "x"}]
)
def test_refuses_what_is_no_probability(wrong: object) -> None:
    with pytest.raises(ConfigError, match=r"ModDrop: 'probability' must be in \[0, 1\)"):
        ModDrop(wrong)  # type: ignore[arg-type]


def test_names_the_modality_that_does_not_exist(world: SimpleNamespace) -> None:
    with pytest.raises(ConfigError, match="no modality 'audio'"):
        ModDrop({"audio": 0.1}).setup(world.context(world.model("concat", INPUTS), []))
