"""Padding of series: a mask is True up to the last step of a series, and False behind it."""

from __future__ import annotations

from torch import Tensor


def series_lengths(mask: Tensor) -> Tensor:
    """Count the steps of each series, bool (B, L) → int64 (B,); at least 1.

    A series without any step, such as an absent one, shows its first position, so that no mean and
    no attention runs over an empty set.
    """
    return mask.sum(1).clamp(min=1)
