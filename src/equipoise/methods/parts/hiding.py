"""Hide present modalities at random during training.

`lose_one` and `keep_some` hide them so that there is something to restore. Where missing modalities
are simulated, a row's table hides content that exists. Such a row keeps its own mask, since the
content that it lacks is known. Any other row loses further modalities here. `kept` treats all rows
alike. No row ever loses its last modality. Draws are per sample: they depend neither on the
number of ranks nor on the order of the modalities.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from equipoise.batch import Batch
from equipoise.methods.parts.draws import sample_uniform
from equipoise.training.context import Context


def lose_one(batch: Batch, ctx: Context, probability: float) -> dict[str, Tensor]:
    """Hide one modality of a row with this probability, each of them equally likely.

    Returns:
        {modality: bool (B,)}, which modalities are left.
    """
    place, count = _places(batch.present)
    draw = sample_uniform(("loses", "which"), batch, ctx)
    loses = (draw["loses"] < probability) & (count > 1) & ~_masked(batch)
    which = (draw["which"] * count).long()
    return {m: p & ~(loses & (place[m] == which)) for m, p in batch.present.items()}


def keep_some(batch: Batch, ctx: Context, complete: bool = True) -> dict[str, Tensor]:
    """Keep a non-empty set of a row's modalities, each set equally likely.

    Args:
        batch: the samples.
        ctx: draws.
        complete: True where a row may keep all its modalities; where False, a row of several
            modalities loses at least one.

    Returns:
        {modality: bool (B,)}, which modalities are left.
    """
    place, count = _places(batch.present)
    sets = (2**count - (1 if complete else 2)).clamp_min(1)
    # The bits of this number say which modalities are kept.
    number = 1 + (sample_uniform(("kept",), batch, ctx)["kept"] * sets).long()
    masked = _masked(batch)
    return {
        m: p & (masked | (number >> place[m]).bitwise_and(1).bool())
        for m, p in batch.present.items()
    }


def kept(batch: Batch, rates: Mapping[str, float], ctx: Context) -> dict[str, Tensor]:
    """{modality: bool (B,)}, the modalities that each sample keeps, at least one of those it has.

    The modalities are drawn one after the other, each given that nothing is kept so far. That is
    the distribution of independent draws of which a row that loses everything is drawn again, and
    it takes one number per cell.

    Args:
        batch: the samples.
        rates: p of each modality; at most one of them is 1.
        ctx: draws.
    """
    names = sorted(batch.present)
    drawn = sample_uniform(names, batch, ctx)
    # The probability that a sample loses this modality and all that come after it.
    lost: dict[str, Tensor] = {}
    rest = torch.ones_like(drawn[names[0]])
    for name in reversed(names):
        rest = torch.where(batch.present[name], rates[name] * rest, rest)
        lost[name] = rest
    some = torch.zeros_like(batch.present[names[0]])
    found = {}
    for name in names:
        alone = torch.where(lost[name] < 1, (1 - rates[name]) / (1 - lost[name]), 1.0)
        chance = torch.where(some, 1 - rates[name], alone)
        found[name] = batch.present[name] & (drawn[name] < chance)
        some = some | found[name]
    return found


def hidden(batch: Batch, kept: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """{modality: bool (B,)}, True where the content exists and is not kept."""
    return {m: here & ~kept[m] for m, here in batch.existing.items()}


def any_of(cells: Mapping[str, Tensor]) -> Tensor:
    """bool (B,), True where a cell of any modality is True."""
    return torch.stack(list(cells.values())).any(0)


def _masked(batch: Batch) -> Tensor:
    """bool (B,), True where the table hides content that exists."""
    return any_of(hidden(batch, batch.present))


def _places(present: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
    """The places of the modalities that a row has, in alphabetical order.

    Returns:
        {modality: place (B,)}, and the number of modalities (B,).
    """
    names = sorted(present)
    table = torch.stack([present[m] for m in names]).long()
    return dict(zip(names, table.cumsum(0) - table, strict=True)), table.sum(0)
