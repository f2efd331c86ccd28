"""What one modality of a table is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModalitySpec:
    """One modality after its transform.

    Attributes:
        name: as the user declared it.
        kind: vector, image or audio.
        shape: of one sample's tensor.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
