"""Greedy: balanced multimodal learning by the conditional learning speed.

Wu, Jastrzębski, Cho, Geras. Characterizing and Overcoming the Greedy Nature of Learning in
Multi-modal Deep Neural Networks. ICML 2022. Code: github.com/nyukat/greedy_multimodal_learning

Branches of one modality each, with a classifier of their own, gate each other's features (head
`channel`, MMTM), and L = Σ_m CE(v_m, y). How fast parameters Ψ learn at a step is μ(Ψ) = Σ‖∇_Ψ L‖²
/ Σ‖Ψ‖². For every branch it is summed over the steps, apart for what brings in the other
modalities, and for the branch itself:

    bypass_m   squeeze and excitation of gate m            S_byp ← S_byp + μ(bypass_m)
    main_m     encoder and classifier m                    S_main ← S_main + μ(main_m)
    BDR_m = log10(S_byp / S_main)                          the branch with the largest learns mainly from the others
    once max BDR − min BDR > ε                             care for that branch for the next Q steps

While a branch is cared for, its gate is the constant γ̄_m, the mean of all its gates so far, so
that it has to learn from its own input; the sums stand still. Before the start epoch nobody is
cared for. Prediction is the mean of the branches, every gate open. One modality alone, and a sample
that lacks some, is read with running means in the place of the other squeezes, as in the code (see
`channel`).

Two modalities in the paper, any number here (with two, largest minus smallest is |d_speed|). A
branch without a sample in a batch neither learns nor is measured. Gates stand after the encoders,
published between their stages. And:
  base of the logarithm: 10 as in the code; perhaps e in the paper     `tolerance`
  published: κ = 1                                                     head option `gate_scale: 1`
  published: the mean of the second gate is taken from the first       not offered
  published: means and care also at validation                         not offered
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equipoise.batch import Batch, Output
from equipoise.checks import not_negative, require, whole
from equipoise.errors import ConfigError
from equipoise.heads.channel import Channel
from equipoise.methods.fusion.channel import remember_squeezes
from equipoise.methods.parts.features import features_here
from equipoise.methods.parts.idle import warn_of_a_short_run
from equipoise.methods.parts.losses import unimodal_loss
from equipoise.training.context import Context
from equipoise.training.method import Method


def speed(parameters: Iterable[nn.Parameter]) -> Tensor:
    """μ (), the squared gradients over the squared parameters."""
    parts = [(p, p.grad) for p in parameters]
    moved = [g.square().sum() for _, g in parts if g is not None]
    size = torch.stack([p.detach().square().sum() for p, _ in parts]).sum()
    return torch.stack(moved).sum() / size if moved else torch.zeros_like(size)


def bypass_rates(bypass: Tensor, main: Tensor) -> Tensor:
    """BDR (M,), NaN where nothing was measured."""
    return torch.where((bypass > 0) & (main > 0), (bypass / main).log10(), torch.nan)


def neediest(rates: Tensor, tolerance: float) -> Tensor:
    """The branch to care for, bool (M,): the one with the largest BDR if it leads the smallest by more than ε."""
    largest = rates.nan_to_num(-torch.inf)
    smallest = rates.nan_to_num(torch.inf)
    chosen = F.one_hot(largest.argmax(), len(rates)).bool()
    return chosen & (largest.max() - smallest.min() > tolerance)


SQUEEZE_MOMENTUM = 0.1  # that of method `channel`


class Greedy(Method):
    """Balanced multimodal learning.

    Args:
        tolerance: ε; `.inf` for plain training of the branches.
        hold: Q, steps for which a branch is cared for.
        start_epoch: the first epoch in which one is.
    """

    bypass: Tensor
    main: Tensor
    caring: Tensor
    held: Tensor
    gate_mean: Tensor
    gate_count: Tensor

    def __init__(self, tolerance: float = 0.01, hold: int = 5, start_epoch: int = 2) -> None:
        super().__init__()
        require(
            "Greedy",
            not_negative("tolerance", tolerance, infinite=True),
            whole("hold", hold, 1),
            whole("start_epoch", start_epoch, 0),
        )
        self.tolerance = tolerance
        self.hold = hold
        self.start_epoch = start_epoch

    def setup(self, ctx: Context) -> None:
        """Start all sums at 0; warns where the training ends before the start epoch.

        Raises:
            ConfigError: the head has no gates.
        """
        head = self.head(ctx)
        if self.tolerance < torch.inf:
            warn_of_a_short_run("greedy", self.start_epoch, "start_epoch", ctx)
        self.widths = list(head.widths.values())
        count = len(self.widths)
        like = next(ctx.model.parameters())
        self.register_buffer("bypass", like.new_zeros(count))
        self.register_buffer("main", like.new_zeros(count))
        self.register_buffer("caring", torch.zeros(count, dtype=torch.bool))
        self.register_buffer("held", torch.zeros((), dtype=torch.int64))
        self.register_buffer(
            "gate_mean", like.new_zeros(sum(self.widths))
        )  # γ̄ of all modalities side by side
        self.register_buffer("gate_count", torch.zeros(count, dtype=torch.int64))

    def head(self, ctx: Context) -> Channel:
        """The model's head."""
        head = ctx.model.head
        if not isinstance(head, Channel):
            raise ConfigError(
                f"method 'greedy' closes gates between modalities, {type(head).__name__} has none; use head 'channel'"
            )
        return head

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        """Σ_m CE(v_m, y), the gate of the branch that is cared for held at its mean."""
        head = self.head(ctx)
        features = features_here(output, batch)
        gates = head.gates(features, batch.present)
        self.remember(gates, batch, ctx)
        means = dict(
            zip(head.modalities, torch.split(self.gate_mean.clone(), self.widths), strict=True)
        )
        caring = dict(zip(head.modalities, self.caring.clone(), strict=True))
        closed = {m: torch.where(caring[m], means[m], gate) for m, gate in gates.items()}
        shown = replace(output, logits={**output.logits, **head.classify(features, closed)})
        return torch.stack([unimodal_loss(m, shown, batch, ctx) for m in head.modalities]).sum()

    @torch.no_grad()
    def remember(self, gates: Mapping[str, Tensor], batch: Batch, ctx: Context) -> None:
        """γ̄_m, the mean over all steps of the mean over the samples of all ranks that have the modality."""
        means = torch.split(self.gate_mean, self.widths)
        for number, modality in enumerate(ctx.model.modalities):
            if ctx.anyone_has(modality, batch):
                present = batch.present[modality]
                gate = gates.get(
                    modality, means[number].new_zeros(len(present), self.widths[number])
                )
                mean = ctx.mean(ctx.sample_mean(gate, present))
                self.gate_count[number] += 1
                means[number].add_((mean - means[number]) / self.gate_count[number])

    @torch.no_grad()
    def edit_gradients(self, output: Output, batch: Batch, ctx: Context) -> None:
        """Measure the speeds, and say which branch the next step cares for; the gradients stay as they are."""
        remember_squeezes(output, batch, ctx, SQUEEZE_MOMENTUM)
        normal = ~self.caring.any()
        for number, modality in enumerate(ctx.model.modalities):
            if ctx.anyone_has(modality, batch):
                for total, part in zip(
                    (self.bypass, self.main), self.parts(modality, ctx), strict=True
                ):
                    total[number] += speed(part) * normal
        rates = bypass_rates(self.bypass, self.main)
        self.held.copy_(torch.where(normal, 0, self.held + 1))
        chosen = neediest(rates, self.tolerance if ctx.epoch >= self.start_epoch else torch.inf)
        self.caring.copy_(torch.where(normal, chosen, self.caring & (self.held < self.hold)))
        ctx.log(
            **{
                f"cared_for/{m}": c.float()
                for m, c in zip(ctx.model.modalities, self.caring, strict=True)
            }
        )

    def parts(self, modality: str, ctx: Context) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """bypass_m and main_m."""
        head = self.head(ctx)
        block = cast(nn.ModuleDict, head.blocks[modality])
        bypass = [*head.squeeze.parameters(), *block["excitation"].parameters()]
        return bypass, [
            *ctx.model.encoders[modality].parameters(),
            *block["classifier"].parameters(),
        ]
