"""Random numbers for the samples of a batch, the same for any number of ranks and any order of the modalities."""

from __future__ import annotations

from collections.abc import Iterable
from zlib import crc32

import torch
from torch import Tensor

from equipoise.batch import Batch
from equipoise.training.context import Context


def sample_uniform(names: Iterable[str], batch: Batch, ctx: Context) -> dict[str, Tensor]:
    """{name: (B,)}, uniform in [0, 1) and independent between samples and names.

    Each name has a stream of its own over the global batch, of which a rank takes its share.
    """
    seed = int(
        torch.randint(2**31, (), generator=ctx.rng)
    )  # on the CPU: alike on every rank, and no device waits
    rows = ctx.runtime.objects(len(batch))
    start = sum(rows[: ctx.runtime.rank])
    drawn = {}
    for name in names:
        stream = torch.Generator().manual_seed(seed + crc32(name.encode()))
        drawn[name] = torch.rand(sum(rows), generator=stream)[start : start + len(batch)].to(
            batch.label.device
        )
    return drawn
