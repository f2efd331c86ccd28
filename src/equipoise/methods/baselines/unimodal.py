r"""Unimodal training: one modality alone, the yardstick for what joint training loses.

Idea:
    One modality trains by its own loss. The other encoders are never run and never move, and the
    fused prediction is that of the one modality; for a sample that lacks it all classes are equally
    likely. Without a modality named, every one trains on its own, which is late fusion.

Equations:
    $$L = \mathrm{CE}(v_m, y)$$

Where published code departs:
    Unimodal training is a baseline without a published code of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

from equipoise.errors import ConfigError, suggest
from equipoise.heads.base import SeparateHead
from equipoise.methods.baselines.late import Late
from equipoise.training.context import Context
from equipoise.training.phase import Phase


class Unimodal(Late):
    """One modality alone.

    Args:
        modality: the one that trains; null for every modality, each on its own.
    """

    def __init__(self, modality: str | None = None) -> None:
        super().__init__()
        self.modality = modality

    def setup(self, ctx: Context) -> None:
        """Make the fused prediction that of the one modality.

        Raises:
            ConfigError: there is no such modality, or the head has parameters that serve several.
        """
        super().setup(ctx)
        if self.modality is None:
            return
        head = ctx.model.head
        if self.modality not in ctx.model.modalities:
            raise ConfigError(
                f"method 'unimodal': no modality {self.modality!r}"
                f"{suggest(self.modality, ctx.model.modalities)}"
            )
        if not isinstance(head, SeparateHead):
            raise ConfigError(
                f"method 'unimodal' needs a classifier per modality, {type(head).__name__} has "
                "none; use head 'late'"
            )
        head.fuse_only([self.modality])

    def phases(self, epochs: int) -> Iterator[Phase]:
        yield Phase(epochs, None if self.modality is None else (self.modality,))
