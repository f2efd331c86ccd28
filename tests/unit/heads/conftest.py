"""Random features of modalities of unequal width."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

Given = tuple[dict[str, Tensor], dict[str, Tensor]]


@pytest.fixture
def given() -> Callable[..., Given]:
    """Features {modality: (rows, d_m)} and presence; `absent` lists the absent rows."""

    def make(
        widths: dict[str, int], rows: int = 6, absent: dict[str, list[int]] | None = None
    ) -> Given:
        features = {m: torch.randn(rows, width, requires_grad=True) for m, width in widths.items()}
        present = {m: torch.ones(rows, dtype=torch.bool) for m in widths}
        for modality, lacking in (absent or {}).items():
            present[modality][lacking] = False
        return features, present

    return make
