"""CPM-Net's head: the latent vector that best decodes into what is there, compared with the means of the classes."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from equipoise.checks import positive, require, whole
from equipoise.heads.concat import Concat
from equipoise.heads.parts.joint import JointHead


class CPMNet(JointHead):
    """logits_y = h · h̄_y, where h minimises Σ_m s_m ‖W_m h + b_m − z_m‖² + ridge ‖h‖² over the
    present modalities.

    The decoders are linear, as those of the published code are (it has no activations), and so the
    latent of a test sample needs no search: h = (Σ s_m W_mᵀW_m + ridge I)⁻¹ Σ s_m W_mᵀ(z_m − b_m),
    solved in float64 once for each set of present modalities, of which there are 2^M − 1.
    `prototypes` holds the class means h̄_y of the training latents, `pretraining` the classifier
    that the encoders are trained with.

    Args:
        latent: width K of the latent.
        ridge: keeps the solution unique where K exceeds the widths of the features.
    """

    prototypes: Tensor

    def __init__(
        self, widths: Mapping[str, int], classes: int, latent: int = 128, ridge: float = 1e-3
    ) -> None:
        super().__init__(widths, classes)
        require("CPMNet", whole("latent", latent, 1), positive("ridge", ridge))
        self.latent = latent
        self.ridge = ridge
        for modality, width in widths.items():
            self.blocks[modality] = nn.Linear(latent, width)
        self.pretraining = Concat(widths, classes)
        bound = math.sqrt(6 / (classes + latent))  # Xavier's, as the latents start
        self.register_buffer("prototypes", torch.empty(classes, latent).uniform_(-bound, bound))

    def reading_layer(self, modality: str) -> None:
        """None: the decoders read latents, and make features of them."""

    def decode(self, modality: str, latent: Tensor) -> Tensor:
        """Features (B, d_m) that latents (B, K) stand for."""
        features: Tensor = self.blocks[modality](latent)
        return features

    def latents(self, features: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        """The latent (B, K) of each row, from the features of its present modalities."""
        names = sorted(features)
        like = self.prototypes
        rows = len(next(iter(present.values())))
        code = torch.zeros(rows, dtype=torch.int64, device=like.device)
        target = torch.zeros(rows, self.latent, dtype=torch.float64, device=like.device)
        grams = []
        for bit, modality in enumerate(names):
            weight, bias = (p.double() for p in self.blocks[modality].parameters())
            residual = (features[modality].double() - bias) * present[modality].unsqueeze(1)
            target = target + residual @ weight
            grams.append(weight.T @ weight)
            code = code + (present[modality].long() << bit)
        latent = torch.zeros_like(target)
        floor = self.ridge * torch.eye(self.latent, dtype=torch.float64, device=like.device)
        for pattern in range(1, 2 ** len(names)):
            system = floor + torch.stack(
                [g for bit, g in enumerate(grams) if pattern >> bit & 1]
            ).sum(0)
            solved = torch.linalg.solve(system, target.T).T
            latent = torch.where((code == pattern).unsqueeze(1), solved, latent)
        return latent.to(like.dtype)

    def read(self, features: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        with torch.autocast(self.prototypes.device.type, enabled=False):
            return self.latents(features, present) @ self.prototypes.T
