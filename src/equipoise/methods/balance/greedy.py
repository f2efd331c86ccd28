r"""Greedy: balanced multimodal learning by the conditional learning speed.

Wu, Jastrzębski, Cho, Geras. Characterizing and Overcoming the Greedy Nature of Learning in
Multi-modal Deep Neural Networks. ICML 2022.
Code: github.com/nyukat/greedy_multimodal_learning

Idea:
    Each modality has a branch with a classifier of its own, and the branches gate each other's
    features (head `channel`, MMTM). A branch that learns mainly from the other modalities neglects
    its own input, so it is cared for: for the next $Q$ steps its gate is a constant, the mean
    $\bar\gamma_m$ of all its gates so far, and it has to learn from its own input. No branch is
    cared for before the start epoch.

    The prediction is the mean of the branches, with every gate open. When one modality is read
    alone, or a sample lacks some, running means stand in for the squeezes of the others, as in the
    published code (see method `channel`).

    The paper has two modalities; here there may be any number. With two, the largest minus the
    smallest BDR is the absolute value of the paper's $d_{speed}$. A branch without a sample in a
    batch neither learns nor is measured.

Equations:
    $$L = \sum_m \mathrm{CE}(v_m, y)$$

    The speed at which parameters $\Psi$ learn at a step is

    $$\mu(\Psi) = \sum \lVert \nabla_\Psi L \rVert^2 \,/\, \sum \lVert \Psi \rVert^2$$

    It is summed over the steps for two parts of every branch: the bypass, which brings in the other
    modalities (squeeze and excitation of gate $m$), and the main part (encoder and classifier
    $m$). The sums stand still while a branch is cared for.

    $$S^{byp}_m \leftarrow S^{byp}_m + \mu(\mathrm{bypass}_m) \qquad
    S^{main}_m \leftarrow S^{main}_m + \mu(\mathrm{main}_m)$$

    $$\mathrm{BDR}_m = \log_{10} (S^{byp}_m / S^{main}_m)$$

    The branch with the largest BDR is cared for once

    $$\max_m \mathrm{BDR}_m - \min_m \mathrm{BDR}_m > \epsilon$$

Where published code departs:
    the base of the logarithm is 10, as here; it is perhaps
    e in the paper, which only scales ε                       `tolerance`
    κ = 1                                                     head option `gate_scale: 1`
    the gates stand between the stages of the encoders,
    here after the encoders                                   not offered
    the mean of the second gate is taken from the first       not offered
    gates are averaged and branches cared for at validation   not offered
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equipoise.batch import Batch, Output
from equipoise.checks import integer, not_negative, require
from equipoise.errors import ConfigError
from equipoise.heads.channel import Channel
from equipoise.methods.fusion.channel import remember_squeezes
from equipoise.methods.parts.features import features_here
from equipoise.methods.parts.idle import warn_of_a_short_run
from equipoise.methods.parts.losses import unimodal_loss
from equipoise.training.context import Context
from equipoise.training.method import Method

SQUEEZE_MOMENTUM = 0.1
"""Fraction of the newest batch in the running means of the squeezes, as in method `channel`."""


def speed(parameters: Iterable[nn.Parameter]) -> Tensor:
    """μ (), a scalar: the squared gradients over the squared parameters."""
    parts = [(p, p.grad) for p in parameters]
    moved = [g.square().sum() for _, g in parts if g is not None]
    size = torch.stack([p.detach().square().sum() for p, _ in parts]).sum()
    return torch.stack(moved).sum() / size if moved else torch.zeros_like(size)


def bypass_rates(bypass: Tensor, main: Tensor) -> Tensor:
    """BDR (M,), NaN where nothing was measured."""
    return torch.where((bypass > 0) & (main > 0), (bypass / main).log10(), torch.nan)


def neediest(rates: Tensor, tolerance: float) -> Tensor:
    """The branch to care for, bool (M,): the one with the largest BDR.

    There is none where it exceeds the smallest BDR by ε or less.

    Args:
        rates: BDR (M,), NaN where nothing was measured.
        tolerance: ε.
    """
    largest = rates.nan_to_num(-torch.inf)
    smallest = rates.nan_to_num(torch.inf)
    chosen = F.one_hot(largest.argmax(), len(rates)).bool()
    return chosen & (largest.max() - smallest.min() > tolerance)


class Greedy(Method):
    """Balanced multimodal learning.

    Args:
        tolerance: ε, the difference between the branches' BDR up to which no branch is cared for;
            `.inf` for plain training of the branches.
        hold: Q, the number of steps for which a branch is cared for.
        start_epoch: first epoch, from 0, in which a branch is cared for.
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
            integer("hold", hold, 1),
            integer("start_epoch", start_epoch, 0),
        )
        self.tolerance = tolerance
        self.hold = hold
        self.start_epoch = start_epoch

    def setup(self, ctx: Context) -> None:
        """Start all sums at 0; warn where the training ends before the start epoch.

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
        # γ̄ of all modalities side by side.
        self.register_buffer("gate_mean", like.new_zeros(sum(self.widths)))
        self.register_buffer("gate_count", torch.zeros(count, dtype=torch.int64))

    def head(self, ctx: Context) -> Channel:
        """The model's head.

        Raises:
            ConfigError: it has no gates.
        """
        head = ctx.model.head
        if not isinstance(head, Channel):
            raise ConfigError(
                f"method 'greedy' closes gates between modalities, {type(head).__name__} has none; "
                "use head 'channel'"
            )
        return head

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        """Σ_m CE(v_m, y), the gate of the branch that is cared for held at its mean."""
        head = self.head(ctx)
        features = features_here(output, batch)
        gates = head.gates(features, batch.present)
        self.remember(gates, batch, ctx)
        # Copies: autograd keeps them, and the buffers are changed in place.
        averages = torch.split(self.gate_mean.clone(), self.widths)
        means = dict(zip(head.modalities, averages, strict=True))
        caring = dict(zip(head.modalities, self.caring.clone(), strict=True))
        closed = {m: torch.where(caring[m], means[m], gate) for m, gate in gates.items()}
        logits = {**output.logits, **head.classify(features, closed)}
        shown = Output(output.features, logits, lambda: (output.fused, output.weights))
        return torch.stack([unimodal_loss(m, shown, batch, ctx) for m in head.modalities]).sum()

    @torch.no_grad()
    def remember(self, gates: Mapping[str, Tensor], batch: Batch, ctx: Context) -> None:
        """Update γ̄_m, the mean over all steps of the mean gate of a batch.

        A batch's mean is over the samples of all ranks that have the modality. A batch without such
        a sample is not a step.
        """
        means = torch.split(self.gate_mean, self.widths)
        for number, modality in enumerate(ctx.model.modalities):
            if ctx.anyone_has(modality, batch):
                present = batch.present[modality]
                # A rank without such a sample takes part in the exchange with zeros.
                absent = means[number].new_zeros(len(present), self.widths[number])
                gate = gates.get(modality, absent)
                mean = ctx.mean(ctx.sample_mean(gate, present))
                self.gate_count[number] += 1
                means[number].add_((mean - means[number]) / self.gate_count[number])

    @torch.no_grad()
    def edit_gradients(self, output: Output, batch: Batch, ctx: Context) -> None:
        """Measure the speeds, and choose the branch that the next step cares for.

        The gradients stay as they are.
        """
        remember_squeezes(output, batch, ctx, SQUEEZE_MOMENTUM)
        normal = ~self.caring.any()
        for number, modality in enumerate(ctx.model.modalities):
            if ctx.anyone_has(modality, batch):
                bypass, main = self.parts(modality, ctx)
                self.bypass[number] += speed(bypass) * normal
                self.main[number] += speed(main) * normal
        rates = bypass_rates(self.bypass, self.main)
        self.held.copy_(torch.where(normal, 0, self.held + 1))
        chosen = neediest(rates, self.tolerance if ctx.epoch >= self.start_epoch else torch.inf)
        self.caring.copy_(torch.where(normal, chosen, self.caring & (self.held < self.hold)))
        named = zip(ctx.model.modalities, self.caring, strict=True)
        ctx.log(**{f"cared_for/{m}": cared.float() for m, cared in named})

    def parts(self, modality: str, ctx: Context) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """The parameters of bypass_m and those of main_m."""
        head = self.head(ctx)
        block = cast(nn.ModuleDict, head.blocks[modality])
        encoder = ctx.model.encoders[modality]
        bypass = [*head.squeeze.parameters(), *block["excitation"].parameters()]
        main = [*encoder.parameters(), *block["classifier"].parameters()]
        return bypass, main
