"""Tables are values: they do not change, and whatever is done to one gives another."""

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from equipoise.data.datasets.synthetic import load
from equipoise.data.table.splits import cut_holdout


def test_a_table_does_not_change():
    table = load(samples=60).train
    with pytest.raises(FrozenInstanceError):
        table.label = table.label + 1


def test_a_function_is_applied_to_every_split():
    parts = load(samples=200)
    train, held = cut_holdout(parts.train, 0.2, seed=1)
    for given in (parts, replace(parts, train=train, holdout=held)):
        halved = given.map(lambda table: table.take(np.arange(len(table) // 2)))
        for name in ("train", "validation", "test"):
            assert len(getattr(halved, name)) == len(getattr(given, name)) // 2
        assert (halved.holdout is None) == (given.holdout is None)
        assert halved.name == given.name
        assert halved.preprocessing == given.preprocessing
    assert len(halved.holdout) == len(held) // 2


def test_hidden_content_that_exists_is_kept_by_what_is_taken():
    table = load(samples=60).train
    name = table.modalities[0]
    hidden = {m: p & (m != name) for m, p in table.present.items()}
    taken = table.with_present(hidden, existing=True).take(np.arange(5))
    batch = taken.rows(np.arange(5))
    assert not batch.present[name].any()
    assert batch.revealed().present[name].all()
    gone = table.with_present(hidden).take(np.arange(5)).rows(np.arange(5))
    assert not gone.revealed().present[name].any()
