r"""CPM-Net's head: a latent vector fitted to the present modalities, compared with the class means.

Zhang, Han, Cui, Fu, Zhou, Hu. CPM-Nets: Cross Partial Multi-View Networks. NeurIPS 2019.

$$f_y = h \cdot \bar h_y \qquad h = \arg\min_h \sum_m s_m \lVert W_m h + b_m - z_m \rVert^2
+ \rho \lVert h \rVert^2$$

with $s_m = 1$ where modality $m$ is present. The decoders are linear, as those of the published
code are (it has no activations), so the latent of a test sample needs no search:

$$h = \Big(\sum_m s_m W_m^\top W_m + \rho I\Big)^{-1} \sum_m s_m W_m^\top (z_m - b_m)$$

It is solved in float64, once for each set of present modalities, of which there are $2^M - 1$.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from equipoise.checks import integer, positive, require
from equipoise.heads.concat import Concat
from equipoise.heads.parts.joint import JointHead


class CPMNet(JointHead):
    """Products of a fitted latent vector with the class means of the training latents.

    Args:
        latent: width K of the latent.
        ridge: ρ, which keeps the solution unique where K exceeds the widths of the features.

    Attributes:
        prototypes: (C, K), the class means of the training latents; saved with the weights.
        pretraining: classifier with which the encoders are trained.
    """

    prototypes: Tensor

    def __init__(
        self, widths: Mapping[str, int], classes: int, latent: int = 128, ridge: float = 1e-3
    ) -> None:
        super().__init__(widths, classes)
        require("CPMNet", integer("latent", latent, 1), positive("ridge", ridge))
        self.latent = latent
        self.ridge = ridge
        for modality, width in widths.items():
            self.blocks[modality] = nn.Linear(latent, width)
        self.pretraining = Concat(widths, classes)
        # Xavier's bound, as for the first latents: until the means are known they have that size.
        bound = math.sqrt(6 / (classes + latent))
        self.register_buffer("prototypes", torch.empty(classes, latent).uniform_(-bound, bound))

    def reading_layer(self, modality: str) -> None:
        """None: the decoders read latents, not features."""

    def decode(self, modality: str, latent: Tensor) -> Tensor:
        """Decode latents (B, K) into features (B, d_m)."""
        features: Tensor = self.blocks[modality](latent)
        return features

    def latents(self, features: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        """Latent (B, K) of each row, from the features of its present modalities; 0 without any."""
        names = sorted(features)
        like = self.prototypes
        rows = len(next(iter(present.values())))
        # Bit k of a row's code is 1 if the row has the k-th modality.
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
            shown = [gram for bit, gram in enumerate(grams) if pattern >> bit & 1]
            system = floor + torch.stack(shown).sum(0)
            solved = torch.linalg.solve(system, target.T).T
            latent = torch.where((code == pattern).unsqueeze(1), solved, latent)
        return latent.to(like.dtype)

    def read(self, features: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        with torch.autocast(self.prototypes.device.type, enabled=False):
            return self.latents(features, present) @ self.prototypes.T
