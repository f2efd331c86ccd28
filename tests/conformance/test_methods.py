"""Every registered method against the thirteen points of the conformance suite.

The default run tries every check on every method with two or with three modalities; `slow` tries
the other number. Numbers alternate, so that each method and each check meets both.
"""

from __future__ import annotations

import pytest

from equipoise.methods import METHODS
from equipoise.testing import CHECKS
from equipoise.testing.world import fresh_seed

LONG = {"check_acts"}
"""Checks that take longer than all others together."""

ONE_BY_ONE = [check for check in CHECKS if check.__name__ != "check_ranks"]
ONCE = {"check_entry", "check_documentation"}
"""Checks that do not ask for the number of modalities."""


def grid():
    """Every method, check and number of modalities, `slow` where the default run leaves it out."""
    for row, entry in enumerate(METHODS):
        for column, check in enumerate(ONE_BY_ONE):
            first = 2 + (row + column) % 2
            name = f"{entry.name}-{check.__name__}"
            slow = [pytest.mark.slow] if check.__name__ in LONG else []
            yield pytest.param(entry, check, first, id=f"{name}-{first}", marks=slow)
            if check.__name__ not in ONCE:
                other = 5 - first
                marks = pytest.mark.slow
                yield pytest.param(entry, check, other, id=f"{name}-{other}", marks=marks)


@pytest.mark.parametrize(("entry", "check", "count"), list(grid()))
def test_method(entry, check, count):
    check(entry, count, fresh_seed())
