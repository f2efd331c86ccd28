"""What every encoder of texts needs to know of padding: ids are (B, L), and id 0 fills a text up to L."""

from __future__ import annotations

import torch
from torch import Tensor


def text_mask(ids: Tensor) -> Tensor:
    """True where a token stands, bool (B, L). A text of padding only shows its first position, so
    that no mean and no attention runs over nothing."""
    mask = ids != 0
    mask[:, 0] |= ~mask.any(1)
    return mask


def text_lengths(ids: Tensor) -> Tensor:
    """Positions up to the last token, int64 (B,); 1 for a text of padding only."""
    positions = torch.arange(1, ids.shape[1] + 1, device=ids.device)
    return (text_mask(ids) * positions).amax(1)


def masked_mean(states: Tensor, mask: Tensor) -> Tensor:
    """Mean over the positions where the mask is True: (B, L, d) and (B, L) → (B, d)."""
    weights = mask.unsqueeze(-1).to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1)
