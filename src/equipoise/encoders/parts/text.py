"""Padding of texts: token ids are (B, L), and id 0 fills a text up to length L."""

from __future__ import annotations

import torch
from torch import Tensor


def text_mask(ids: Tensor) -> Tensor:
    """Mark the tokens that are not padding, int64 (B, L) → bool (B, L).

    A text of nothing but padding shows its first position, so that no mean and no attention runs
    over an empty set.
    """
    mask = ids != 0
    mask[:, 0] |= ~mask.any(1)
    return mask


def text_lengths(ids: Tensor) -> Tensor:
    """Count the positions up to the last token, int64 (B, L) → (B,); at least 1."""
    positions = torch.arange(1, ids.shape[1] + 1, device=ids.device)
    return (text_mask(ids) * positions).amax(1)


def masked_mean(states: Tensor, mask: Tensor) -> Tensor:
    """Average the positions where the mask is True: (B, L, d) and bool (B, L) → (B, d)."""
    weights = mask.unsqueeze(-1).to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1)
