"""What one modality of a table is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModalitySpec:
    """One modality after its transform.

    Attributes:
        name: as the user declared it.
        kind: vector, array, image, audio, video or text.
        shape: of one sample's tensor.
        vocabulary: number of token ids, of text; the tensor holds ids (int64), and id 0 is padding.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    vocabulary: int | None = None
