"""In which settings two configurations differ."""

from __future__ import annotations

import random
from copy import deepcopy

from equipoise.settings import changes


def nested(depth: int = 3) -> dict[str, object]:
    return {
        k: nested(depth - 1) if depth and random.random() < 0.5 else random.random() for k in "abc"
    }


def test_equal_configurations_differ_in_nothing():
    values = nested()
    assert changes(values, deepcopy(values)) == {}


def test_each_difference_has_its_full_name_and_both_values():
    was = {"lr": 0.1, "data": {"source": "x", "options": {"rate": 8}}, "same": nested()}
    now = {"lr": 0.2, "data": {"source": "x", "options": {"rate": 9}}, "same": was["same"]}
    found = changes(was, now)
    assert found == {"data.options.rate": (8, 9), "lr": (0.1, 0.2)}
    assert list(found) == sorted(found)
    assert changes(now, was) == {name: pair[::-1] for name, pair in found.items()}


def test_what_one_lacks_is_none():
    assert changes({"method": {"name": "mla"}}, {"method": {"name": "mla", "alpha": 1}}) == {
        "method.alpha": (None, 1)
    }
    assert changes({"width": 3}, {}) == {"width": (3, None)}
    assert changes({"method": {}}, {}) == {}
