r"""PDF: predictive dynamic fusion, confidences that learn the probability of being right.

Cao, Xia, Ding, Zhang, Hu. Predictive Dynamic Fusion. ICML 2024.
Code: github.com/Yinan-Xia/PDF

Idea:
    The logits of each modality are weighed sample by sample. A small network on its features
    predicts how probable its own prediction of the true class is (mono-confidence). A modality
    counts the more, the surer it is itself and the less sure the others are (holo-confidence). In
    prediction, a modality whose own prediction is close to uniform counts less. It is the successor
    of QMF, by some of the same authors.

    Neither do the confidences train the encoders, nor does the fused loss train the confidences.
    Any number of modalities; an absent one has no weight, and a single one has all of it. The cost
    is that of late fusion.

Equations:
    The head fuses, and gives the confidences $t_m$. With $p_m = \mathrm{softmax}(v_m)$, a constant
    in the last term,

    $$L = \mathrm{CE}(f, y) + \sum_m \mathrm{CE}(v_m, y)
    + \lambda \sum_m \mathrm{mean} \, | t_m - p_m[y] |$$

    and $\lambda$ is 1. On Food-101 the authors are quoted with 92.3.

Where published code departs:
    a confidence of 0 or 1 gives NaN, for which the authors advise
    weight decay; here confidences keep away from both               not offered
    a weight decay of 1 for two of the layers                        not offered
    validation during training goes by weights without the spread    not offered
"""

from __future__ import annotations

from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.checks import positive, require
from equipoise.heads import pdf
from equipoise.methods.parts.auxiliary import auxiliary_loss
from equipoise.methods.parts.features import features_here
from equipoise.methods.parts.losses import true_probability
from equipoise.methods.parts.own_head import OwnHead
from equipoise.training.context import Context


class PDF(OwnHead[pdf.PDF]):
    """Losses of all predictions, and of the confidences.

    Args:
        confidence_weight: λ, the weight of the distance between confidences and probabilities.
    """

    name = "pdf"
    kind = pdf.PDF

    def __init__(self, confidence_weight: float = 1.0) -> None:
        super().__init__()
        require("PDF", positive("confidence_weight", confidence_weight))
        self.confidence_weight = confidence_weight

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        loss = auxiliary_loss(dict.fromkeys(ctx.training, 1.0), output, batch, ctx)
        head = self.head(ctx.model)
        features = features_here(output, batch)
        for modality in ctx.training:
            true = true_probability(output.logits[modality].detach(), batch.label)
            # A rank without such a sample takes part in the exchange all the same.
            known = head.confidence(modality, features[modality]) if modality in features else true
            apart = (known - true).abs()
            here = batch.present[modality]
            loss = loss + self.confidence_weight * ctx.sample_mean(apart, here)
        return loss
