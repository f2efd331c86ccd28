"""The description of one modality of a table."""

from __future__ import annotations

from dataclasses import dataclass

from equipoise.errors import ConfigError

# Results and optimisers list these beside the modalities, so no modality may have such a name.
RESERVED = ("fused", "shared", "pseudo-view")


def check_modality_name(name: str) -> None:
    """Check that a modality can have this name in networks and tables.

    Raises:
        ConfigError: it cannot.
    """
    # Imported here, since declaring a table and preparing data must work without loading torch.
    from torch.nn import ModuleDict

    if not name.replace("-", "_").isidentifier():
        raise ConfigError(f"{name!r} cannot name a modality; use letters, digits, '_' and '-'")
    if name in RESERVED or hasattr(ModuleDict(), name):
        raise ConfigError(
            f"{name!r} cannot name a modality, it means something else; "
            f"use another, such as {name}_1"
        )


@dataclass(frozen=True)
class ModalitySpec:
    """One modality after its transform.

    Attributes:
        name: as the user declared it.
        kind: vector, tabular, array, image, audio, video, flow or text.
        shape: of one sample's tensor.
        vocabulary: number of token ids of text, whose tensor holds ids (int64; id 0 is padding);
            None for other kinds.
        masked: the tensors of a sample are its `values` and a `mask`, bool (length,), which is
            False for the padding of a series.

    Raises:
        ConfigError: the name cannot be one.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    vocabulary: int | None = None
    masked: bool = False

    def __post_init__(self) -> None:
        check_modality_name(self.name)
