"""DOMFN's head: fuse where the modalities agree, ask the surest of them where they do not.

Yang, Zhang, Gao, Gao, Zhu. DOMFN: A Divergence-Orientated Multi-Modal Fusion Network for Resume
Assessment. ACM Multimedia 2022; after the published code.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equipoise.checks import choice, inside, optional, positive, require, whole
from equipoise.heads.concat import Concat

OUTPUTS = ("softmax", "sigmoid")


def penalties(probability: Tensor, present: Tensor) -> Tensor:
    """π (M, B): max_k (p_mk − p̄_k)² with p̄ the mean over the modalities present; 0 where absent.

    `probability` is (M, B, C) in [0, 1], `present` bool (M, B). With n modalities present π ≤ ((n −
    1) / n)².
    """
    shown = torch.where(present.unsqueeze(-1), probability, 0.0)
    mean = shown.sum(0) / present.sum(0).clamp_min(1).unsqueeze(-1)
    return torch.where(present, (shown - mean).square().amax(-1), 0.0)


class DOMFN(Concat):
    """Own classifiers v_m = z_m V_mᵀ + c_m, a fused predictor Linear(D, h) – ReLU – Linear(h, C),
    and a gate.

    The gate of a sample is open if it has at least two modalities and π_m / τ < γ for each. The
    fused logits are those of the fused predictor where it is open; elsewhere those of the own
    classifier with the largest probability (the first in order of declaration among equals). While
    `fusing` is False every gate is closed.

    Args:
        threshold: γτ as a fraction of the largest possible penalty, ((n − 1) / n)² for n modalities
            present.
        gamma: γ, literally; with `tau` it takes the place of `threshold` (published: 0.8).
        tau: τ, literally (published: 0.5 and 0.2).
        output: "softmax", or "sigmoid" for the published code, which squashes every output by a
            sigmoid and takes the softmax cross-entropy of that.
        hidden: h, width of the fused predictor's hidden layer.

    Attributes:
        fusing: bool (), True unless somebody shuts the gate, as the method does in pretraining;
            saved with the weights.
    """

    fusing: Tensor

    decomposable = False
    own_classifiers = True
    fused_only = "fused predictor"

    def __init__(
        self,
        widths: Mapping[str, int],
        classes: int,
        threshold: float = 0.8,
        gamma: float | None = None,
        tau: float | None = None,
        output: str = "softmax",
        hidden: int = 64,
    ) -> None:
        require(
            "DOMFN",
            inside("threshold", threshold, "(0, 1]"),
            (
                "gamma",
                (gamma is None) == (tau is None),
                "given with 'tau', and 'tau' with it",
                gamma,
            ),
            *optional(positive("gamma", gamma)),
            *optional(positive("tau", tau)),
            choice("output", output, OUTPUTS),
            whole("hidden", hidden, 1),
        )
        super().__init__(
            widths, hidden
        )  # the first layer of the fused predictor is a Concat of that width
        self.classes = classes
        self.fraction = threshold
        self.literal = None if gamma is None or tau is None else gamma * tau
        self.squashed = output == "sigmoid"
        self.output = nn.Linear(hidden, classes)
        self.register_buffer("fusing", torch.tensor(True))
        for modality, width in widths.items():
            self.blocks[modality].add_module("own", nn.Linear(width, classes))

    def reading_layer(self, modality: str) -> None:
        """None: the fused predictor reads the features, and the own classifier."""

    def own_only(self, modality: str) -> nn.Module:
        """The own classifier, which the fused loss reaches in samples with a closed gate only."""
        own: nn.Module = self.blocks[modality].own  # type: ignore[assignment]
        return own

    def unimodal(self, modality: str, features: Tensor) -> Tensor:
        logits: Tensor = self.blocks[modality].own(features)  # type: ignore[operator]
        return logits.sigmoid() if self.squashed else logits

    def probability(self, logits: Tensor) -> Tensor:
        """What counts as probability (…, C) of logits, fused or unimodal; never in half precision."""
        full = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return full if self.squashed else full.softmax(-1)

    def gate(self, divergence: Tensor, present: Tensor) -> Tensor:
        """Where to fuse, bool (B,), given π (M, B) and who is present, bool (M, B)."""
        count = present.sum(0)
        bound = ((count - 1) / count.clamp_min(1)).square()
        limit = self.fraction * bound if self.literal is None else self.literal
        return (divergence < limit).all(0) & (count > 1) & self.fusing

    def fuse(
        self,
        features: Mapping[str, Tensor],
        logits: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
    ) -> tuple[Tensor, None]:
        hidden, _ = super().fuse(features, logits, present)
        fused = self.output(F.relu(hidden))
        fused = fused.sigmoid() if self.squashed else fused
        values, shown = (
            torch.stack([given[m] for m in self.modalities]) for given in (logits, present)
        )
        probability = self.probability(values)
        surest = torch.where(shown, probability.amax(-1), -torch.inf).argmax(0)
        alone = values.masked_fill(~shown.unsqueeze(-1), 0.0)[
            surest, torch.arange(len(surest), device=surest.device)
        ]
        return torch.where(
            self.gate(penalties(probability, shown), shown).unsqueeze(1), fused, alone
        ), None
