"""Phases in which modalities train alone and together by turns."""

from __future__ import annotations

import math
from collections.abc import Sequence

from equipoise.methods.base import Phase
from equipoise.methods.mie import spread


def stages(epochs: int, modalities: Sequence[str], alternation: int, rectification: int) -> list[Phase]:
    """Alternation and rectification by turns, so that every modality sees the data `epochs` times."""
    count = len(modalities)
    length = alternation + count * rectification  # how often a modality sees the data in one round
    plan = []
    for budget in spread(epochs, math.ceil(epochs / length)):
        alone = max(1, round(budget * alternation / length))
        together = budget - alone
        for k, modality in enumerate(modalities):
            plan.append(Phase(alone, (modality,)))
            part = together * (k + 1) // count - together * k // count
            plan += [Phase(part)] if part else []
    return plan
