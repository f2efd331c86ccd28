"""A fresh seed for every test, and random features of modalities of unequal width."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

Given = tuple[dict[str, Tensor], dict[str, Tensor]]


@pytest.fixture(autouse=True)
def seed() -> int:
    """A seed nobody chose, printed when the test fails; torch is seeded with it."""
    value = random.SystemRandom().randrange(2**31)
    print(f"seed {value}")
    torch.manual_seed(value)
    return value


@pytest.fixture
def given() -> Callable[..., Given]:
    """Features {modality: (rows, d_m)} and presence; `absent` lists the rows each modality lacks."""

    def make(
        widths: dict[str, int], rows: int = 6, absent: dict[str, list[int]] | None = None
    ) -> Given:
        features = {m: torch.randn(rows, width, requires_grad=True) for m, width in widths.items()}
        present = {m: torch.ones(rows, dtype=torch.bool) for m in widths}
        for modality, lacking in (absent or {}).items():
            present[modality][lacking] = False
        return features, present

    return make
