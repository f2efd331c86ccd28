"""Features that an encoder made."""

from __future__ import annotations

from torch import Tensor

from equipoise.batch import Batch, Output


def features_here(output: Output, batch: Batch) -> dict[str, Tensor]:
    """Features of the modalities that some sample of this rank has, {modality: (B, d_m)}.

    The encoder of any other modality ran on no row, and its features in the output are filler,
    zeros only. The head must not read them again: its layers would get a gradient of zeros instead
    of none, and momentum and weight decay would move a modality that the batch lacks.

    Args:
        output: of the model on this batch.
        batch: the samples of this rank.
    """
    return {m: z for m, z in output.features.items() if batch.counts[m]}
