r"""MIDAS: misaligned samples, made of the modalities of different samples, as augmentation.

Hwang, Choi, Whang. MIDAS: Misalignment-based Data Augmentation Strategy for Imbalanced Multimodal
Learning. NeurIPS 2025.

Idea:
    A network that leans on one modality does not notice when the others belong to another class. So
    the features of one sample are combined with those of a sample of another class, and the fused
    classifier has to predict both labels, each as much as the modality that it comes from is sure
    of it. The weaker modality's label gets a weight that grows while the fused prediction neglects
    it, and hard samples, whose replaced features resemble the original ones, count more.

    In a first part of the training only the modalities' own classifiers and the encoders train.
    None of these epochs is chosen. All is done on features, so a step takes one pass of each
    encoder, and the head runs $M + 1$ times.

    With $M$ modalities there are $M$ source samples, the sample itself and $M - 1$ others drawn
    from the batch, and $M$ assignments of sources to modalities, such that each modality comes from
    each source once. For two modalities these are the misaligned sample and its mirror image. A
    combination is left out where the modalities it has do not come from two classes at least.

Equations:
    With a classifier $v_m$ of its own for each modality, $p_m = \mathrm{softmax}(v_m)$, and a
    misaligned sample $\tilde z$ whose modality $m$ comes from a sample of label $y_m$:

    $$\tilde c_m = p_m[y_m] \,/\, \sum_j p_j[y_j] \qquad
    \tilde p = \mathrm{softmax} \, f(\tilde z)$$

    With $\tilde s$ the mean cosine between the replaced features of the sample and those that
    replace them,

    $$L_{mis} = \left( 1 + \frac{\tilde s + 1}{2} \right) \sum_m
    - \alpha_m \tilde c_m \log \tilde p(y_m)$$

    $$L = \mathrm{CE}(f, y) + a \sum_m \mathrm{CE}(v_m, y) + \lambda L_{mis}$$

    $\tilde c$ and $\tilde s$ are constants of a step, and $a$ is 1. After a step, with $w$ the
    modality of the smallest mean $\tilde c$, whose label gets too little of the fused prediction
    where the difference is positive,

    $$\alpha_w \leftarrow \max \left( 1, \, \alpha_w + \eta \, \mathrm{sign} \left(
    \mathrm{mean} \, \tilde c_w - \mathrm{mean} \, \frac{\tilde p(y_w)}{\sum_j \tilde p(y_j)}
    \right) \right)$$

    All $\alpha_m$ start at 1. The paper gives $\lambda = 1$ (5 for Kinetics-Sounds, while Food-101
    collapses there) and $\eta = 0.05$. The length of the first part is not given in what we could
    read; a tenth of the run is ours. With $\lambda = 0$ and no first part it is `joint-uniform`.

    Published, in the protocol of BalanceBenchmark: 74.99 on CREMA-D, 74.88 on Kinetics-Sounds,
    87.16 on Sarcasm and 73.60 on Twitter2015.

Where published code departs:
    No public code was found. The displayed formulas were read in a summary that agrees with every
    sentence of the paper. That α is kept over the epochs, and that the α of a modality which is no
    longer the weakest keeps its value, are our reading.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from equipoise.batch import Batch, Output
from equipoise.checks import inside, not_negative, require
from equipoise.methods.parts.auxiliary import auxiliary_loss, require_own_classifiers
from equipoise.methods.parts.losses import unimodal_loss
from equipoise.methods.parts.whole_batch import WholeBatch, whole_batch
from equipoise.registry import POSITIVE, Effect
from equipoise.training.context import Context
from equipoise.training.method import Method
from equipoise.training.phase import Phase


def confidences(true: Tensor, present: Tensor) -> Tensor:
    """c̃ (M, N): the probability of its own label in each modality, over the sum of all.

    Args:
        true: p_m[y_m] (M, N).
        present: bool (M, N), the modalities that a misaligned sample has.
    """
    shown = torch.where(present, true, 0.0)
    return shown / shown.sum(0).clamp_min(torch.finfo(true.dtype).tiny)


def misaligned_loss(
    log_probability: Tensor, confidence: Tensor, similarity: Tensor, alpha: Tensor
) -> Tensor:
    """L_mis (N,) of misaligned samples.

    Args:
        log_probability: log p̃(y_m) (M, N).
        confidence: c̃ (M, N), 0 where absent.
        similarity: s̃ (N,).
        alpha: α (M,).
    """
    terms = -(alpha.unsqueeze(1) * confidence * log_probability).sum(0)
    return (1 + (similarity + 1) / 2) * terms


def next_alpha(alpha: Tensor, confidence: Tensor, share: Tensor, step: float) -> Tensor:
    """α (M,) after a step.

    Args:
        alpha: α (M,) before it.
        confidence: mean c̃ (M,); infinite for a modality that was not seen.
        share: mean of p̃(y_m) / Σ_j p̃(y_j) (M,).
        step: η.
    """
    weakest = F.one_hot(confidence.argmin(), len(alpha)).bool()
    moved = (alpha + step * (confidence - share).sign()).clamp_min(1.0)
    return torch.where(weakest & confidence.isfinite(), moved, alpha)


@dataclass(frozen=True)
class Misaligned:
    """Samples whose modalities come from different samples.

    Attributes:
        source: int64 (M, N), the row of the batch that each modality comes from.
        label: y_m (M, N).
        present: bool (M, N).
        valid: bool (N,), which samples have modalities of two classes at least.
    """

    source: Tensor
    label: Tensor
    present: Tensor
    valid: Tensor


def misalign(sources: Tensor, shift: int, label: Tensor, present: Tensor) -> Misaligned:
    """Take modality m of every sample from its source number m + shift.

    Args:
        sources: int64 (M, N), M source rows of each sample, the sample itself first.
        shift: from 0 to M − 1; over all shifts each modality comes from each source once.
        label: y (N,) of the batch.
        present: bool (M, N) of the batch.
    """
    source = sources.roll(-shift, 0)
    labels = label[source]
    shown = present.gather(1, source)
    least = labels.masked_fill(~shown, torch.iinfo(labels.dtype).max).amin(0)
    most = labels.masked_fill(~shown, -1).amax(0)
    return Misaligned(source, labels, shown, shown.any(0) & (least != most))


class MIDAS(Method):
    """Misalignment-based augmentation.

    Args:
        weight: λ, the weight of the loss of misaligned samples; 0 for none.
        unimodal_weight: a, the weight of each modality's own loss.
        warm_up: fraction of the epochs that train the modalities' own classifiers only.
        step: η, by which the weight of the weakest modality's label changes.

    Attributes:
        alpha: α (M,), in the alphabetical order of the modalities.
    """

    effect: ClassVar[Effect] = {"step": ("weight", POSITIVE)}
    alpha: Tensor

    def __init__(
        self,
        weight: float = 1.0,
        unimodal_weight: float = 1.0,
        warm_up: float = 0.1,
        step: float = 0.05,
    ) -> None:
        super().__init__()
        require(
            "MIDAS",
            not_negative("weight", weight),
            not_negative("unimodal_weight", unimodal_weight),
            inside("warm_up", warm_up, "[0, 1)"),
            not_negative("step", step),
        )
        self.weight = weight
        self.unimodal_weight = unimodal_weight
        self.warm_up = warm_up
        self.step_size = step

    def setup(self, ctx: Context) -> None:
        """Start with equal weights.

        Raises:
            ConfigError: the head has no classifier for each modality.
        """
        require_own_classifiers("midas", ctx.model.head)
        # The assignment of sources must not depend on the order in which modalities are declared.
        self.names = sorted(ctx.model.modalities)
        like = next(ctx.model.parameters())
        self.register_buffer("alpha", torch.ones(len(self.names)).to(like))

    def phases(self, epochs: int) -> Iterator[Phase]:
        first = min(round(self.warm_up * epochs), epochs - 1)
        # The fused classifier has not begun.
        yield Phase(first, selectable=False)
        yield Phase(epochs - first)

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        if ctx.position.phase == 0:
            return torch.stack([unimodal_loss(m, output, batch, ctx) for m in ctx.training]).sum()
        own = dict.fromkeys(ctx.training, self.unimodal_weight)
        loss = auxiliary_loss(own, output, batch, ctx)
        shown = [m for m in self.names if ctx.anyone_has(m, batch)]
        if self.weight == 0 or len(shown) < 2:
            return loss
        features = whole_batch(shown, output.features, batch, ctx)
        with torch.no_grad():  # the confidences are constants
            logits = whole_batch(
                shown, {m: v.detach() for m, v in output.logits.items()}, batch, ctx
            )
        return loss + self.weight * self.augmented(shown, features, logits.values, ctx)

    def augmented(
        self, shown: list[str], whole: WholeBatch, logits: Mapping[str, Tensor], ctx: Context
    ) -> Tensor:
        """Mean of L_mis over all misaligned samples of all ranks; α is updated on the way."""
        rows = torch.arange(len(whole))
        others = [torch.randperm(len(whole), generator=ctx.rng) for _ in shown[1:]]
        sources = torch.stack([rows, *others]).to(whole.label.device)
        present = torch.stack([whole.present[m] for m in shown])
        probability = torch.stack([logits[m].softmax(1) for m in shown])  # (M, N, C)
        alpha = self.alpha[[self.names.index(m) for m in shown]]
        losses, valid, confident, shares, there = [], [], [], [], []
        for shift in range(len(shown)):
            mixed = misalign(sources, shift, whole.label, present)
            features = {m: whole.values[m][s] for m, s in zip(shown, mixed.source, strict=True)}
            cells = dict(zip(shown, mixed.present, strict=True))
            nowhere = torch.zeros_like(mixed.valid)
            every = {m: cells.get(m, nowhere) for m in ctx.model.modalities}
            log_p = ctx.model.read(features, every).fused.log_softmax(1)
            of_labels = log_p.gather(1, mixed.label.T).T  # (M, N)
            known = probability.gather(1, mixed.source.unsqueeze(2).expand_as(probability)).gather(
                2, mixed.label.unsqueeze(2)
            )
            confidence = confidences(known.squeeze(2), mixed.present)
            similar = similarity(shown, whole, mixed)
            similar = similarity(shown, whole, mixed)
            losses.append(misaligned_loss(of_labels, confidence, similar, alpha))
            valid.append(mixed.valid)
            confident.append(confidence)
            shares.append(confidences(of_labels.detach().exp(), mixed.present))
            there.append(mixed.present & mixed.valid)
        counted = torch.cat(there, 1)
        self.remember(shown, torch.cat(confident, 1), torch.cat(shares, 1), counted)
        ctx.log(**{f"alpha/{m}": a for m, a in zip(self.names, self.alpha, strict=True)})
        where = torch.cat(valid)
        total = torch.where(where, torch.cat(losses), 0.0).sum()
        return total / where.sum().clamp_min(1)

    @torch.no_grad()
    def remember(
        self, shown: list[str], confidence: Tensor, share: Tensor, counted: Tensor
    ) -> None:
        """Update α from c̃ and the shares (M, N) of the modalities that count, bool (M, N)."""
        number = counted.sum(1)
        means = [
            torch.where(counted, values, 0.0).sum(1) / number.clamp_min(1)
            for values in (confidence, share)
        ]
        where = [self.names.index(m) for m in shown]
        first = torch.where(number > 0, means[0], torch.inf)
        self.alpha[where] = next_alpha(self.alpha[where], first, means[1], self.step_size)


@torch.no_grad()
def similarity(shown: list[str], whole: WholeBatch, mixed: Misaligned) -> Tensor:
    """s̃ (N,), the mean cosine between replaced features and those that replace them.

    Only modalities that the sample and the source have count; it is 0 where there is none.
    """
    rows = torch.arange(len(whole), device=whole.label.device)
    total = torch.zeros(len(whole), device=whole.label.device)
    count = torch.zeros_like(total)
    for modality, source, cells in zip(shown, mixed.source, mixed.present, strict=True):
        replaced = (source != rows) & cells & whole.present[modality]
        z = whole.values[modality]
        total = total + torch.where(replaced, F.cosine_similarity(z, z[source], dim=1), 0.0)
        count = count + replaced
    return total / count.clamp_min(1)
