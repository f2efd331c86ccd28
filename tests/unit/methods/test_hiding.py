"""Hiding further modalities: how often, which, and what a mask of the data's own does to it."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import pytest
import torch

from equipoise.methods.hiding import hidden, keep_some, lose_one

INPUTS = {"b": 2, "a": 2, "c": 2}
ROWS = 9000


def context(world: SimpleNamespace, seed: int) -> object:
    ctx = world.context(world.model("concat", INPUTS), [])
    ctx.rng.manual_seed(seed)
    return ctx


def patterns(kept: dict[str, torch.Tensor]) -> Counter[str]:
    rows = torch.stack([kept[m] for m in sorted(kept)], 1).int().tolist()
    return Counter("".join(map(str, row)) for row in rows)


@pytest.mark.parametrize("complete", [True, False])
def test_every_set_is_kept_alike(seed: int, world: SimpleNamespace, complete: bool) -> None:
    found = patterns(keep_some(world.batch(INPUTS, ROWS), context(world, seed), complete))
    sets = 7 if complete else 6
    assert len(found) == sets
    assert ("111" in found) == complete
    assert all(abs(count / ROWS - 1 / sets) < 0.02 for count in found.values())


def test_one_is_lost_as_often_as_asked_and_each_alike(seed: int, world: SimpleNamespace) -> None:
    found = patterns(lose_one(world.batch(INPUTS, ROWS), context(world, seed), 0.3))
    assert abs(found.pop("111") / ROWS - 0.7) < 0.03
    assert found.keys() == {"011", "101", "110"}
    assert all(abs(count / ROWS - 0.1) < 0.02 for count in found.values())


def test_the_last_modality_stays(seed: int, world: SimpleNamespace) -> None:
    half = list(range(ROWS // 2))
    batch = world.batch(INPUTS, ROWS, absent={"b": half, "c": half})
    for kept in (lose_one(batch, context(world, seed), 1.0), keep_some(batch, context(world, seed), False)):
        assert bool(kept["a"][half].all())
        assert bool(torch.stack(list(kept.values())).any(0).all())
        assert not any(bool((kept[m] & ~batch.present[m]).any()) for m in INPUTS)


def test_a_row_with_hidden_content_keeps_its_own_mask(seed: int, world: SimpleNamespace) -> None:
    batch = world.batch(INPUTS, 100)
    shown = {m: torch.ones(100, dtype=torch.bool) for m in INPUTS}
    shown["b"][:60] = False
    masked = batch.hide(shown)
    for kept in (lose_one(masked, context(world, seed), 1.0), keep_some(masked, context(world, seed), False)):
        assert all(torch.equal(kept[m][:60], shown[m][:60]) for m in INPUTS)
        cells = hidden(masked, kept)
        assert bool(cells["b"][:60].all())
        assert not bool(cells["a"][:60].any())
        assert bool(torch.stack([c[60:] for c in cells.values()]).any(0).all())
