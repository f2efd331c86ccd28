"""Hiding further modalities: how often and which, and rows that the data set masks itself."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import pytest
import torch

from equipoise.methods.parts.hiding import hidden, keep_some, lose_one

INPUTS = {"b": 2, "a": 2, "c": 2}
ROWS = 9000


@pytest.fixture(params=[2, 3])
def inputs(request: pytest.FixtureRequest) -> dict[str, int]:
    """Two modalities, and three."""
    return dict(list(INPUTS.items())[: request.param])


def context(world: SimpleNamespace, seed: int, inputs: dict[str, int]) -> object:
    ctx = world.context(world.model("concat", inputs), [])
    ctx.rng.manual_seed(seed)
    return ctx


def patterns(kept: dict[str, torch.Tensor]) -> Counter[str]:
    rows = torch.stack([kept[m] for m in sorted(kept)], 1).int().tolist()
    return Counter("".join(map(str, row)) for row in rows)


@pytest.mark.parametrize("complete", [True, False])
def test_every_set_is_kept_alike(
    seed: int, world: SimpleNamespace, inputs: dict[str, int], complete: bool
) -> None:
    found = patterns(keep_some(world.batch(inputs, ROWS), context(world, seed, inputs), complete))
    sets = 2 ** len(inputs) - (1 if complete else 2)
    assert len(found) == sets
    assert ("1" * len(inputs) in found) == complete
    assert all(abs(count / ROWS - 1 / sets) < 0.04 for count in found.values())


def test_one_is_lost_as_often_as_asked_and_each_alike(
    seed: int, world: SimpleNamespace, inputs: dict[str, int]
) -> None:
    found = patterns(lose_one(world.batch(inputs, ROWS), context(world, seed, inputs), 0.3))
    assert abs(found.pop("1" * len(inputs)) / ROWS - 0.7) < 0.03
    assert found.keys() == {"011", "101", "110"} if len(inputs) == 3 else {"01", "10"}
    assert all(abs(count / ROWS - 0.3 / len(inputs)) < 0.025 for count in found.values())


def test_of_several_one_is_lost_but_never_the_last(
    seed: int, world: SimpleNamespace, inputs: dict[str, int]
) -> None:
    half = list(range(ROWS // 2))
    batch = world.batch(inputs, ROWS, absent={m: half for m in inputs if m != "a"})
    for kept in (
        lose_one(batch, context(world, seed, inputs), 1.0),
        keep_some(batch, context(world, seed, inputs), False),
    ):
        left = torch.stack(list(kept.values())).sum(0)
        assert bool(kept["a"][half].all())
        assert int(left.min()) == 1
        assert int(left[len(half) :].max()) == len(inputs) - 1
        assert not any(bool((kept[m] & ~batch.present[m]).any()) for m in inputs)


def test_a_row_with_hidden_content_keeps_its_own_mask(
    seed: int, world: SimpleNamespace, inputs: dict[str, int]
) -> None:
    batch = world.batch(inputs, 100)
    shown = {m: torch.ones(100, dtype=torch.bool) for m in inputs}
    shown["b"][:60] = False
    masked = batch.hide(shown)
    for kept in (
        lose_one(masked, context(world, seed, inputs), 1.0),
        keep_some(masked, context(world, seed, inputs), False),
    ):
        assert all(torch.equal(kept[m][:60], shown[m][:60]) for m in inputs)
        cells = hidden(masked, kept)
        assert bool(cells["b"][:60].all())
        assert not bool(cells["a"][:60].any())
        assert bool(torch.stack([c[60:] for c in cells.values()]).any(0).all())
