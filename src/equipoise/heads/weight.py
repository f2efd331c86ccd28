r"""Weight: each sample weighs the predictions of the modalities by a learned score.

The baseline Weight ("prediction weighting") of the LFM paper, which cites Yang, Wang, Zhan, Xiong,
Jiang. Comprehensive Semi-Supervised Multi-Modal Learning (CMML). IJCAI 2019. The network behind
LFM's row is not public; this is the plain reading of its name, with CMML's scorer.

$$v_m = z_m W_m^\top + b_m \qquad q_m = a(h_m) \qquad w = \mathrm{softmax}_m(q) \qquad
f = \sum_m w_m v_m$$

$h_m$ is $z_m$ projected to 128 units ($z_m$ itself where every width is 128), and the modalities
share $a$. An absent modality has the score $-\infty$. One modality alone reads its own classifier
$v_m$, which is $f$ with all weight on it.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional as F

from equipoise.checks import choice, require
from equipoise.heads.base import Head
from equipoise.heads.parts.fusion import weigh
from equipoise.heads.parts.presence import stacked
from equipoise.heads.parts.scorer import HIDDEN, Scorer, log_weights


class Weight(Head):
    """A linear classifier per modality, and a scorer that weighs their predictions.

    Args:
        mix: predictions that are weighed, "logits", or "probabilities" for
            f = log Σ_m w_m softmax(v_m).
    """

    own_classifiers = True
    fused_only = "scorer"

    def __init__(self, widths: Mapping[str, int], classes: int, mix: str = "logits") -> None:
        super().__init__(widths, classes)
        require("Weight", choice("mix", mix, ("logits", "probabilities")))
        self.mix = mix
        project = any(width != HIDDEN for width in widths.values())
        for modality, width in widths.items():
            self.blocks[modality] = nn.ModuleDict(
                {
                    "classifier": nn.Linear(width, classes),
                    "projection": nn.Linear(width, HIDDEN) if project else nn.Identity(),
                }
            )
        self.scorer = Scorer()

    def unimodal(self, modality: str, features: Tensor) -> Tensor:
        logits: Tensor = self.blocks[modality]["classifier"](features)  # type: ignore[index]
        return logits

    def fuse(
        self,
        features: Mapping[str, Tensor],
        logits: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
    ) -> tuple[Tensor, Tensor]:
        there = [present[m] for m in self.modalities]
        values, shown = stacked((logits[m] for m in self.modalities), there)
        scores, _ = stacked((self._score(m, features, values) for m in self.modalities), there)
        weights = log_weights(scores, shown)
        if self.mix == "logits":
            return weigh(values, weights.exp())
        return (weights.unsqueeze(-1) + F.log_softmax(values, dim=-1)).logsumexp(0), weights.exp().T

    def _score(self, modality: str, features: Mapping[str, Tensor], like: Tensor) -> Tensor:
        """q_m (B,); zeros for a modality that the batch lacks, which has no weight anyway."""
        if modality not in features:
            return like.new_zeros(like.shape[1])
        score: Tensor = self.scorer(self.blocks[modality]["projection"](features[modality]))  # type: ignore[index]
        return score
