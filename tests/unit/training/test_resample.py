"""Drawn rows are the rows that epochs read, also after a checkpoint and on several ranks."""

import numpy as np
import pytest
import torch

from equipoise.data.table.loader import Loader
from equipoise.testing.world import World, differing, small_splits, snapshot


@pytest.fixture
def world(seed):
    return World("joint", 2, seed, missing=0.2)


def drawing(ctx, seed):
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(len(ctx.train.table), (70,), generator=generator)
    kept = torch.rand(70, generator=generator) < 0.5
    first, second = ctx.model.modalities
    both = torch.from_numpy(ctx.train.table.present[first] & ctx.train.table.present[second])[rows]
    return rows, {first: kept | ~both, second: ~kept | ~both}


def test_each_epoch_reads_the_drawn_rows(world, seed):
    ctx = world.build()[1]
    rows, shown = drawing(ctx, seed)
    ctx.resample(rows, shown, shuffle=False)
    assert ctx.steps_per_epoch == 5
    batches = list(ctx.steps())
    assert torch.equal(torch.cat([b.index for b in batches]), rows)
    for modality, visible in shown.items():
        there = torch.from_numpy(ctx.train.table.present[modality])[rows] & visible
        assert torch.equal(torch.cat([b.present[modality] for b in batches]), there)
        values = torch.cat([b.inputs[modality] for b in batches])
        assert not values[~there].any(), "content of a hidden cell"
        whole = ctx.train.table.rows(rows.numpy()).inputs[modality]
        assert torch.equal(values[there], whole[there])


def test_a_shuffled_drawing_changes_its_order_each_epoch(world, seed):
    ctx = world.build()[1]
    rows, _ = drawing(ctx, seed)
    ctx.resample(rows)
    orders = []
    for epoch in range(2):
        ctx.position.epoch, ctx.position.batch = epoch, 0
        orders.append(torch.cat([b.index for b in ctx.steps()]))
        assert torch.equal(orders[-1].sort().values, rows.sort().values)
    assert not torch.equal(*orders)


def test_all_rows_drawn_once_are_the_plain_epoch(world):
    ctx = world.build()[1]
    plain = [b.index for b in ctx.train.batches(1)]
    ctx.resample(torch.arange(len(ctx.train.table)))
    ctx.position.epoch = 1
    assert all(torch.equal(a, b.index) for a, b in zip(plain, ctx.steps(), strict=True))


def test_a_checkpoint_inside_a_drawn_epoch_goes_on_with_it(world, seed):
    def begin():
        with torch.random.fork_rng():
            return world.build()

    def go_on(method, ctx):
        for batch in ctx.steps():
            method.step(batch, ctx)

    method, whole = begin()
    whole.resample(*drawing(whole, seed))
    go_on(method, whole)
    method, half = begin()
    half.resample(*drawing(half, seed))
    steps = half.steps()
    for _ in range(3):
        method.step(next(steps), half)
    next(steps)  # the third is over, the fourth has not begun
    state, weights = half.state_dict(), snapshot(half.model)
    method, resumed = begin()
    resumed.model.load_state_dict(weights)
    resumed.load_state_dict(state)
    go_on(method, resumed)
    assert not differing(snapshot(whole.model), snapshot(resumed.model))


def test_ranks_share_a_drawing(seed):
    table = small_splits(2, seed).train
    rows = np.random.default_rng(seed).integers(0, len(table), 50)
    alone, *ranks = (
        [
            b.index
            for b in Loader(table, 16, seed=seed, shuffle=True, rank=r, world=w)
            .drawn(rows)
            .batches(2)
        ]
        for r, w in [(0, 1), (0, 3), (1, 3), (2, 3)]
    )
    for whole, *parts in zip(alone, *ranks, strict=True):
        assert torch.equal(whole, torch.cat(parts))
