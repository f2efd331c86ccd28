"""Random numbers for the samples of a batch.

They do not depend on the number of ranks, nor on the order of the modalities.
"""

from __future__ import annotations

from collections.abc import Iterable
from zlib import crc32

import torch
from torch import Tensor

from equipoise.batch import Batch
from equipoise.training.context import Context


def sample_uniform(names: Iterable[str], batch: Batch, ctx: Context) -> dict[str, Tensor]:
    """Draw a number per sample for each name.

    Each name has a stream of its own over the global batch, of which a rank takes its part.

    Args:
        names: of modalities, or of anything else to draw for.
        batch: the samples.
        ctx: draws.

    Returns:
        {name: (B,)}, uniform in [0, 1), independent between samples and names.
    """
    # On the CPU, so that every rank draws the same and no device waits.
    seed = int(torch.randint(2**31, (), generator=ctx.rng))
    rows = ctx.runtime.objects(len(batch))
    start = sum(rows[: ctx.runtime.rank])
    drawn = {}
    for name in names:
        stream = torch.Generator().manual_seed(seed + crc32(name.encode()))
        numbers = torch.rand(sum(rows), generator=stream)[start : start + len(batch)]
        drawn[name] = numbers.to(batch.label.device)
    return drawn
