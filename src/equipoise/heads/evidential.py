r"""TMC and ETMC: each modality gives an opinion, and Dempster's rule combines the opinions.

Han, Zhang, Fu, Zhou. Trusted Multi-View Classification. ICLR 2021 (TMC).
Han, Zhang, Fu, Zhou. Trusted Multi-View Classification with Dynamic Evidential Fusion. IEEE TPAMI
45(2), 2023 (ETMC).

$$e_m = \mathrm{softplus}(z_m W_m^\top + b_m) \qquad v_m = \log(e_m + 1) \qquad
f = v_1 \oplus \dots \oplus v_M$$

where $\oplus$ is Dempster's rule (`parts/opinions.py`). ETMC adds the opinion of a linear
classifier on the concatenated features, the pseudo-view. All logits, unimodal or fused, are
$\log \alpha$: their softmax is the expected probability of the Dirichlet distribution, their
exponentials are its parameters. An absent modality has no evidence.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from equipoise.checks import choice, require
from equipoise.heads.auxiliary import Auxiliary
from equipoise.heads.base import Head
from equipoise.heads.parts.opinions import combine_opinions, opinion
from equipoise.heads.parts.presence import stacked


class TMC(Head):
    """Combined opinions of the present modalities."""

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
        opinions, shown = stacked(
            (logits[m] for m in self.modalities), (present[m] for m in self.modalities)
        )
        return combine_opinions(opinions, shown), None


class ETMC(Auxiliary):
    """Combined opinions of the present modalities and of the pseudo-view.

    Args:
        incomplete: opinion of the pseudo-view on a sample that lacks a modality: none ("vacuous"),
            or its opinion with zeros in place of that modality ("zero").
    """

    fused_only = "pseudo-view"

    def __init__(
        self, widths: Mapping[str, int], classes: int, incomplete: str = "vacuous"
    ) -> None:
        require("ETMC", choice("incomplete", incomplete, ("vacuous", "zero")))
        super().__init__(widths, classes)
        self.incomplete = incomplete

    def reading_layer(self, modality: str) -> None:
        """None: both the own classifier and the pseudo-view read the features."""

    def own_only(self, modality: str) -> None:
        """None: the fused logits depend on the own opinions."""

    def unimodal(self, modality: str, features: Tensor) -> Tensor:
        return opinion(super().unimodal(modality, features))

    def pseudo_view(
        self, features: Mapping[str, Tensor], present: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Opinion of the pseudo-view.

        Args:
            features: {modality: (B, d_m)} of the modalities with at least one present row.
            present: {modality: bool (B,)} of every modality.

        Returns:
            The opinion log α (B, C), and bool (B,), True where the pseudo-view has an opinion.
        """
        shown = torch.stack([present[m] for m in self.modalities])
        fused, _ = super().fuse(features, {}, present)
        defined = shown.all(0) if self.incomplete == "vacuous" else shown.any(0)
        return opinion(fused), defined

    def fuse(
        self,
        features: Mapping[str, Tensor],
        logits: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
    ) -> tuple[Tensor, None]:
        pseudo, defined = self.pseudo_view(features, present)
        opinions = torch.stack([*(logits[m] for m in self.modalities), pseudo])
        shown = torch.stack([*(present[m] for m in self.modalities), defined])
        return combine_opinions(opinions, shown), None
