"""What one modality of a table is."""

from __future__ import annotations

from dataclasses import dataclass

from equipoise.errors import ConfigError

# Results name the prediction from all modalities, and optimisers the parameters of all, beside the
# modalities.
RESERVED = ("fused", "shared", "pseudo-view")


def check_modality_name(name: str) -> None:
    """Check that networks and tables can call a modality so.

    Raises:
        ConfigError: they cannot.
    """
    from torch.nn import (
        ModuleDict,  # not at the top: a table is declared, and data are prepared, without torch
    )

    if not name.replace("-", "_").isidentifier():
        raise ConfigError(f"{name!r} cannot name a modality; use letters, digits, '_' and '-'")
    if name in RESERVED or hasattr(ModuleDict(), name):
        raise ConfigError(
            f"{name!r} cannot name a modality, it means something else; use another, such as {name}_1"
        )


@dataclass(frozen=True)
class ModalitySpec:
    """One modality after its transform.

    Attributes:
        name: as the user declared it.
        kind: vector, array, image, audio, video or text.
        shape: of one sample's tensor.
        vocabulary: number of token ids, of text; the tensor holds ids (int64), and id 0 is padding.

    Raises:
        ConfigError: the name cannot be one.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    vocabulary: int | None = None

    def __post_init__(self) -> None:
        check_modality_name(self.name)
