r"""DOMFN's head: fuse where the modalities agree, ask the surest of them where they do not.

Yang, Zhang, Gao, Gao, Zhu. DOMFN: A Divergence-Orientated Multi-Modal Fusion Network for Resume
Assessment. ACM Multimedia 2022; after the published code.

With probabilities $p_m$, their mean $\bar p$ over the $n$ present modalities, and penalties

$$\pi_m = \max_k (p_{mk} - \bar p_k)^2 \le ((n - 1) / n)^2$$

the gate of a sample is open if the sample has at least two modalities and $\pi_m < \gamma \tau$ for
each of them. Where it is open, the fused logits are those of the fused predictor, Linear(D, h) –
ReLU – Linear(h, C) on the concatenated features. Elsewhere they are those of the own classifier
$v_m = z_m V_m^\top + c_m$ with the largest probability (the first in order of declaration among
equals).

$\gamma \tau$ is a fraction of the largest possible penalty (`threshold`) unless `tau` is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equipoise.checks import choice, inside, integer, positive, require
from equipoise.heads.concat import Concat
from equipoise.registry import GIVEN, NULL, Effect

OUTPUTS = ("softmax", "sigmoid")


def penalties(probability: Tensor, present: Tensor) -> Tensor:
    """Penalties π (M, B) of probabilities; 0 where absent.

    Args:
        probability: (M, B, C), in [0, 1].
        present: bool (M, B).
    """
    shown = torch.where(present.unsqueeze(-1), probability, 0.0)
    mean = shown.sum(0) / present.sum(0).clamp_min(1).unsqueeze(-1)
    return torch.where(present, (shown - mean).square().amax(-1), 0.0)


class DOMFN(Concat):
    """A fused predictor, a linear classifier per modality, and a gate between them.

    Args:
        threshold: γτ as a fraction of the largest possible penalty, ((n − 1) / n)² for n present
            modalities.
        gamma: γ where `tau` is given (published: 0.8).
        tau: τ (published: 0.5 and 0.2), which gives γτ itself instead of the fraction `threshold`;
            null for the fraction.
        output: "softmax", or "sigmoid" for the published code, which applies a sigmoid to every
            output and takes the softmax cross-entropy of the result.
        hidden: h, width of the hidden layer of the fused predictor.

    Attributes:
        fusing: bool (), False closes every gate, as the method does in pretraining; saved with the
            weights.
    """

    effect: ClassVar[Effect] = {"threshold": ("tau", NULL), "gamma": ("tau", GIVEN)}

    fusing: Tensor

    decomposable = False
    own_classifiers = True
    fused_only = "fused predictor"

    def __init__(
        self,
        widths: Mapping[str, int],
        classes: int,
        threshold: float = 0.8,
        gamma: float = 0.8,
        tau: float | None = None,
        output: str = "softmax",
        hidden: int = 64,
    ) -> None:
        require(
            "DOMFN",
            inside("threshold", threshold, "(0, 1]"),
            positive("gamma", gamma),
            choice("output", output, OUTPUTS),
            integer("hidden", hidden, 1),
        )
        if tau is not None:
            require("DOMFN", positive("tau", tau))
        # The first layer of the fused predictor is a Concat with `hidden` outputs.
        super().__init__(widths, hidden)
        self.classes = classes
        self.fraction = threshold
        self.literal = None if tau is None else gamma * tau
        self.squashed = output == "sigmoid"
        self.output = nn.Linear(hidden, classes)
        self.register_buffer("fusing", torch.tensor(True))
        for modality, width in widths.items():
            self.blocks[modality].add_module("own", nn.Linear(width, classes))

    def reading_layer(self, modality: str) -> None:
        """None: both the fused predictor and the own classifier read the features."""

    def own_only(self, modality: str) -> nn.Module:
        """The own classifier, which the fused loss trains on samples with a closed gate only."""
        own: nn.Module = self.blocks[modality].own  # type: ignore[assignment]
        return own

    def unimodal(self, modality: str, features: Tensor) -> Tensor:
        logits: Tensor = self.blocks[modality].own(features)  # type: ignore[operator]
        return logits.sigmoid() if self.squashed else logits

    def probability(self, logits: Tensor) -> Tensor:
        """Probabilities (…, C) of logits (…, C), fused or unimodal; never in half precision.

        With `output` "sigmoid" the logits are probabilities already.
        """
        full = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return full if self.squashed else full.softmax(-1)

    def gate(self, divergence: Tensor, present: Tensor) -> Tensor:
        """True for the samples with an open gate, bool (B,).

        Args:
            divergence: π (M, B).
            present: bool (M, B).
        """
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
        values = torch.stack([logits[m] for m in self.modalities])
        shown = torch.stack([present[m] for m in self.modalities])
        probability = self.probability(values)
        surest = torch.where(shown, probability.amax(-1), -torch.inf).argmax(0)
        rows = torch.arange(len(surest), device=surest.device)
        own = values.masked_fill(~shown.unsqueeze(-1), 0.0)[surest, rows]
        is_open = self.gate(penalties(probability, shown), shown)
        return torch.where(is_open.unsqueeze(1), fused, own), None
