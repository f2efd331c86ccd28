"""The loader: the same global batches for any number of ranks, and from any batch on."""

import numpy as np
import pytest
import torch

from equipoise.data.datasets.synthetic import load
from equipoise.data.table.loader import Loader


@pytest.fixture(scope="module")
def table():
    return load(samples=150, seed=int(np.random.default_rng().integers(1000))).train


@pytest.mark.parametrize("world", [2, 3, 5])
def test_ranks_share_the_global_batch(table, world):
    whole = list(Loader(table, 16, seed=1, shuffle=True).batches(2))
    parts = [
        list(Loader(table, 16, seed=1, shuffle=True, rank=r, world=world).batches(2))
        for r in range(world)
    ]
    for number, batch in enumerate(whole):
        assert torch.equal(batch.index, torch.cat([p[number].index for p in parts]))
        for m in table.modalities:
            assert torch.equal(batch.inputs[m], torch.cat([p[number].inputs[m] for p in parts]))


def test_a_share_may_be_empty_and_keeps_its_shape(table):
    batches = list(
        Loader(table.take(np.arange(3)), 3, seed=1, shuffle=True, rank=4, world=5).batches(0)
    )
    assert len(batches[0]) == 0
    assert all(batches[0].inputs[m].shape == (0, *table.specs[m].shape) for m in table.modalities)


def test_every_sample_once_an_epoch_in_a_new_order(table):
    loader = Loader(table, 16, seed=int(np.random.default_rng().integers(1000)), shuffle=True)
    first, second = (torch.cat([b.index for b in loader.batches(epoch)]) for epoch in (0, 1))
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(len(table)))
    assert first.tolist() != second.tolist()


def test_going_on_from_a_batch_yields_the_rest(table):
    loader = Loader(table, 16, seed=1, shuffle=True)
    whole = [b.index for b in loader.batches(3)]
    rest = [b.index for b in loader.batches(3, start=4)]
    assert len(rest) == len(loader) - 4
    assert all(torch.equal(a, b) for a, b in zip(whole[4:], rest, strict=True))


@pytest.mark.parametrize(
    ("rows", "sizes"), [(33, [16, 17]), (34, [16, 16, 2]), (32, [16, 16]), (1, [1])]
)
def test_a_last_batch_of_one_joins_the_one_before_in_training(table, rows, sizes):
    part = table.take(np.arange(rows))
    assert [len(b) for b in Loader(part, 16, seed=1, shuffle=True).batches(0)] == sizes
    in_order = [len(b) for b in Loader(part, 16, seed=1, shuffle=False).batches(0)]
    assert sum(in_order) == rows
    assert max(in_order) <= 16
