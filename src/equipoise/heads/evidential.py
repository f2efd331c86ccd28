"""Heads whose modalities give opinions that Dempster's rule combines: TMC, and ETMC with a
pseudo-view.

Han, Zhang, Fu, Zhou. Trusted Multi-View Classification. ICLR 2021.
Han, Zhang, Fu, Zhou. Trusted Multi-View Classification with Dynamic Evidential Fusion. IEEE TPAMI
45(2), 2023.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from equipoise.checks import choice, require
from equipoise.heads.auxiliary import Auxiliary
from equipoise.heads.base import Head
from equipoise.heads.parts.opinions import combine, opinion
from equipoise.heads.parts.presence import stacked


class TMC(Head):
    """Evidence e_m = softplus(z_m W_mᵀ + b_m), combined over the modalities that are present.

    Every logit, unimodal or fused, is log α = log(e + 1): the softmax is the expected probability
    of the Dirichlet distribution, the exponential are its parameters. An absent modality has no
    evidence.
    """

    own_classifiers = True

    def __init__(self, widths: Mapping[str, int], classes: int) -> None:
        super().__init__(widths, classes)
        for modality, width in widths.items():
            self.blocks[modality] = nn.Linear(width, classes)

    def unimodal(self, modality: str, features: Tensor) -> Tensor:
        return opinion(self.blocks[modality](features))

    def fuse(
        self,
        features: Mapping[str, Tensor],
        logits: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
    ) -> tuple[Tensor, None]:
        return combine(
            *stacked((logits[m] for m in self.modalities), (present[m] for m in self.modalities))
        ), None


class ETMC(Auxiliary):
    """TMC with one more opinion, of a linear classifier on the concatenated features (the
    pseudo-view).

    Args:
        incomplete: what the pseudo-view says of a sample that lacks a modality: nothing
            ("vacuous"), or what it makes of zeros in that modality's place ("zero").
    """

    fused_only = "pseudo-view"

    def __init__(
        self, widths: Mapping[str, int], classes: int, incomplete: str = "vacuous"
    ) -> None:
        require("ETMC", choice("incomplete", incomplete, ("vacuous", "zero")))
        super().__init__(widths, classes)
        self.incomplete = incomplete

    def reading_layer(self, modality: str) -> None:
        """None: the own classifier reads the features, and the pseudo-view."""

    def own_only(self, modality: str) -> None:
        """None: the own opinions are among those combined."""

    def unimodal(self, modality: str, features: Tensor) -> Tensor:
        return opinion(super().unimodal(modality, features))

    def pseudo_view(
        self, features: Mapping[str, Tensor], present: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """The pseudo-view's opinion log α (B, C), and where it has one, bool (B,).

        Args:
            features: {modality: (B, d_m)} of the modalities with at least one present row.
            present: {modality: bool (B,)} of every modality.
        """
        shown = torch.stack([present[m] for m in self.modalities])
        fused, _ = super().fuse(features, {}, present)
        return opinion(fused), shown.all(0) if self.incomplete == "vacuous" else shown.any(0)

    def fuse(
        self,
        features: Mapping[str, Tensor],
        logits: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
    ) -> tuple[Tensor, None]:
        pseudo, defined = self.pseudo_view(features, present)
        opinions = torch.stack([*(logits[m] for m in self.modalities), pseudo])
        return combine(
            opinions, torch.stack([*(present[m] for m in self.modalities), defined])
        ), None
