"""Conformance suites for methods, heads, encoders and data sets, Equipoise's and your own.

from equipoise.testing import check_method

if __name__ == "__main__":
    check_method(MyMethod)
"""

from __future__ import annotations

from equipoise.testing.components import check_dataset, check_encoder, check_head
from equipoise.testing.methods import CHECKS, check_method
from equipoise.testing.ranks import ROUNDING, rank_difference
from equipoise.testing.world import World

__all__ = [
    "CHECKS",
    "ROUNDING",
    "World",
    "check_dataset",
    "check_encoder",
    "check_head",
    "check_method",
    "rank_difference",
]
