"""ReconBoost: modalities trained in turn, each on what the others get wrong.

Hua, Xu, Bao, Yang, Huang. ReconBoost: Boosting Can Achieve Modality Reconcilement. ICML 2024.
Code: github.com/huacong/ReconBoost

With F = b Σ_m v_m, a stage for modality k has two phases, and stages go round the modalities.
1. Alternation: encoder k and the shared classifier train for E_1 epochs, the other encoders stand
   still. With q = softmax(b Σ_{m≠k} v_m) of the others and p = softmax(v_k),
       L = (w_1 − w_2 q[y]) CE(v_k, y) / C + α MSE(p, p')
   The first term is cross-entropy that counts less where the others are right already (the
   reconcilement), the second keeps to p' of the modality trained before (the memory consolidation),
   and is left out of the first stage.
2. Global rectification: L = CE(F, y), everything trains for E_2 epochs.
Momentum is forgotten at the start of every phase. The others' predictions are made in evaluation
mode.

Where codes depart:
  published: both sides of the consolidation are detached, and it does nothing      `consolidation: 0`
  published: before the first stage the others' F is a random constant             here the untrained others' F
  BalanceBenchmark: the gradient of the consolidation moves the frozen modality     not offered
  BalanceBenchmark: one optimiser, which goes on moving what should stand still     not offered
w_2/w_1 is the weight of the KL reconcilement, of which the code keeps the true class. The whole
divergence against q would be unbounded below, as a wrong class of which the others are sure may be
made ever less likely.

A round of M stages takes M (E_1 + E_2) epochs, in which every modality sees the data E_1 + M E_2
times. The epochs of a run are shared out in the same proportion, in as many whole rounds as they
allow, but at least one. The published runs start from pretrained unimodal encoders where possible.
Cost: all M forward and one backward pass in alternation, as joint in rectification.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.checks import not_negative, positive, require, whole
from equipoise.errors import ConfigError
from equipoise.evaluating import evaluating
from equipoise.heads.boosted_sum import BoostedSum
from equipoise.methods.parts.losses import cross_entropy, fused_loss, true_probability
from equipoise.methods.parts.stages import stages
from equipoise.training.context import Context
from equipoise.training.method import Method
from equipoise.training.phase import Phase


def reconciled(
    logits: Tensor, others: Tensor, label: Tensor, strength: float, reconcilement: float
) -> Tensor:
    """(w_1 − w_2 q[y]) CE(v_k, y) / C per sample (B,), with q the softmax of the others' logits."""
    right = true_probability(others, label)
    losses = cross_entropy(logits, label)
    return (strength - reconcilement * right) * losses / logits.shape[1]


def consolidated(logits: Tensor, before: Tensor) -> Tensor:
    """Mean square distance (B,) of the class probabilities from those of the modality trained before."""
    return (logits.softmax(1) - before.softmax(1)).square().mean(1)


class ReconBoost(Method):
    """Modality-alternating boosting.

    Args:
        strength: w_1, positive.
        reconcilement: w_2, between 0 and w_1; 0 trains each modality for itself.
        consolidation: α, at least 0.
        alternation: E_1, epochs of a modality on its own, at least 1.
        rectification: E_2, epochs of all together, at least 0.
    """

    def __init__(
        self,
        strength: float = 5.0,
        reconcilement: float = 1.0,
        consolidation: float = 0.5,
        alternation: int = 4,
        rectification: int = 4,
    ) -> None:
        super().__init__()
        require(
            "ReconBoost",
            positive("strength", strength),
            (
                "reconcilement",
                0 <= reconcilement <= strength,
                "between 0 and 'strength'",
                reconcilement,
            ),
            not_negative("consolidation", consolidation),
            whole("alternation", alternation, 1),
            whole("rectification", rectification, 0),
        )
        self.strength = strength
        self.reconcilement = reconcilement
        self.consolidation = consolidation
        self.lengths = (alternation, rectification)
        self.plan: list[Phase] = []

    def setup(self, ctx: Context) -> None:
        """Plan the phases.

        Raises:
            ConfigError: the head does not boost the modalities' logits.
        """
        if not isinstance(ctx.model.head, BoostedSum):
            raise ConfigError(
                f"method 'reconboost' boosts one classifier's logits, found {type(ctx.model.head).__name__}; "
                "use head 'boosted-sum'"
            )
        self.plan = stages(ctx.epochs, ctx.model.modalities, *self.lengths)

    def phases(self, epochs: int) -> Iterator[Phase]:
        yield from self.plan

    def on_phase_start(self, ctx: Context) -> None:
        ctx.forget_momentum()

    def step(self, batch: Batch, ctx: Context) -> None:
        if ctx.phase.modalities is None:
            ctx.backward(fused_loss(ctx.model(batch), batch, ctx))
            ctx.update()
            return
        (modality,) = ctx.training
        if not ctx.anyone_has(modality, batch):
            return
        rest = [m for m in ctx.model.modalities if m != modality]
        with evaluating(*(ctx.model.encoders[m] for m in rest)), torch.no_grad():
            others = ctx.model(batch, only=rest)
        output = ctx.model(batch, only=(modality,))
        ctx.backward(self.boosting_loss(modality, output, others, batch, ctx))
        ctx.update()

    def boosting_loss(
        self, modality: str, output: Output, others: Output, batch: Batch, ctx: Context
    ) -> Tensor:
        """The loss of the alternation, over the samples of all ranks that have the modality."""
        logits = output.logits[modality]
        there = batch.present[modality]
        losses = reconciled(logits, others.fused, batch.label, self.strength, self.reconcilement)
        loss = ctx.sample_mean(losses, there)
        before = self.before(ctx)
        if self.consolidation and before not in (
            "",
            modality,
        ):  # a single modality comes after itself
            distance = consolidated(logits, others.logits[before])
            loss = loss + self.consolidation * ctx.sample_mean(
                distance, there & batch.present[before]
            )
        return loss

    def before(self, ctx: Context) -> str:
        """The modality of the stage before, or nothing."""
        trained = [p.modalities[0] for p in self.plan[: ctx.position.phase] if p.modalities]
        return trained[-1] if trained else ""
