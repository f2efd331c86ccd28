"""Hide present modalities at random during training, so that there is something to restore.

A row whose table hides content that exists (the simulated regime) keeps its own mask: what it lacks
is known. Any other row loses further modalities here, never the last. Draws are per sample, alike
on any number of ranks, and do not depend on the order of the modalities.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from equipoise.batch import Batch
from equipoise.methods.parts.draws import sample_uniform
from equipoise.training.context import Context


def lose_one(batch: Batch, ctx: Context, probability: float) -> dict[str, Tensor]:
    """{modality: bool (B,)}, what is left; with this probability a row has lost one modality, each alike."""
    place, count = _places(batch.present)
    draw = sample_uniform(("loses", "which"), batch, ctx)
    loses = (draw["loses"] < probability) & (count > 1) & ~_masked(batch)
    which = (draw["which"] * count).long()
    return {m: p & ~(loses & (place[m] == which)) for m, p in batch.present.items()}


def keep_some(batch: Batch, ctx: Context, complete: bool = True) -> dict[str, Tensor]:
    """{modality: bool (B,)}, what is left: any non-empty set of a row's modalities, each alike.

    Args:
        batch: the samples.
        ctx: draws.
        complete: whether a row may keep all it has; where False, a row of several modalities loses
            one at least.
    """
    place, count = _places(batch.present)
    sets = (2**count - (1 if complete else 2)).clamp_min(1)
    number = (
        1 + (sample_uniform(("kept",), batch, ctx)["kept"] * sets).long()
    )  # its bits say which are kept
    masked = _masked(batch)
    return {
        m: p & (masked | (number >> place[m]).bitwise_and(1).bool())
        for m, p in batch.present.items()
    }


def hidden(batch: Batch, kept: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """{modality: bool (B,)}: the content exists, and is not shown."""
    return {m: here & ~kept[m] for m, here in batch.existing.items()}


def any_of(cells: Mapping[str, Tensor]) -> Tensor:
    """bool (B,): True where it is for some modality."""
    return torch.stack(list(cells.values())).any(0)


def _masked(batch: Batch) -> Tensor:
    return any_of(hidden(batch, batch.present))


def _places(present: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
    """Each modality's place (B,) among those that a row has, in alphabetical order, and how many it has (B,)."""
    names = sorted(present)
    table = torch.stack([present[m] for m in names]).long()
    return dict(zip(names, table.cumsum(0) - table, strict=True)), table.sum(0)
