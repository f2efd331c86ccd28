r"""MIE: modal-aware interactive enhancement (later published as IGM).

Jiang, Chi, Yang. Multimodal Classification via Modal-Aware Interactive Enhancement. 2024 (IJCAI
2025 as IGM).
Code: github.com/njustkmg/IJCAI25-IGM

Idea:
    The modalities train in turn, phase by phase, each with its own head. Two things keep a phase
    from undoing what the phases before it taught. Every step goes down the loss of a nearby point
    where it is worst (sharpness-aware minimisation), which leads to flat minima. And the gradients
    of the head keep to directions that the modality trained before does not use.

Equations:
    A step of modality $j$ takes its gradient at $\theta_j + \epsilon^*$, over encoder and head:

    $$\epsilon^* = \rho \, \nabla L(\theta_j) \,/\, \lVert \nabla L(\theta_j) \rVert_2
    \qquad \text{(Eq. 3-4)}$$

    It then multiplies the gradient of every linear layer of head $j$ by the matrix $T^{(k)}$ of the
    same layer of the modality $k$ that trained before:

    $$\nabla W_j \leftarrow \nabla W_j \, T^{(k)} \qquad \text{(Eq. 8)}$$

    Nothing is modified before a first phase has ended. After a phase, with $\bar z$ the mean input
    of a layer over a small batch that is drawn at random, in evaluation mode:

    $$\bar Y = \sum \bar z \bar z^\top = V \Lambda V^\top \qquad \text{(Eq. 5)}$$

    $$T = V \exp\!\left(-\tau \, \frac{\Lambda - \lambda_{\min}}{\lambda_{\max} - \lambda_{\min}}
    \right) V^\top \qquad \text{(Eq. 7)}$$

    `scope` widens Eq. 8 from the head to deeper layers (Table 4). The paper states
    $\rho = 10^{-15}$ for image and text and $10^{-10}$ for audio, which is so small that single
    precision rounds most of $\epsilon^*$ away: the network is trained as without sharpness-aware
    minimisation. The default of `rho` is the customary radius of that method, and
    `rho: {image: 1e-15, audio: 1e-10}` is the paper's.

    `igm` is MIE under its later name, with the settings that the published code runs by default.

    The published mixup (Zhang, Cisse, Dauphin, Lopez-Paz. mixup: Beyond Empirical Risk
    Minimization. ICLR 2018) is an option, `mixup_alpha`.

Where published code departs:
    only the head is run again, on the features of the
    first pass; ε is scaled for each tensor by itself; the
    loss at θ + ε takes the labels before mixup            `sam: head`
    ε stays in the weights, which at the published ρ
    changes none of them                                   not offered
    the loss is 0.7 L(θ) + 0.3 L(θ + ε)                    `flat_weight: 0.3`
    mixup with Beta(1, 1) (Twitter2015: 0.9) in every
    phase but those of text                                `mixup_alpha: 1`, all but token ids
    only gradients of nn.Linear are modified               `scope: 0`
    phases of given lengths, each a fresh optimiser        `phases`, `fresh_optimiser`
    NVGesture's phases begin with depth                    `order: [depth]`
    the best weights so far, by macro-F1, are loaded
    between phases, and T is computed with them (here not
    before every modality has had a phase: until then none
    is best)                                               `reload_best`, setting `select: macro_f1`
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from equipoise.batch import Batch, Input, Output, map_input
from equipoise.checks import (
    Rule,
    choice,
    flag,
    inside,
    integer,
    integer_list,
    not_negative,
    require,
)
from equipoise.errors import ConfigError, suggest
from equipoise.methods.parts.auxiliary import require_fused_classifiers
from equipoise.methods.parts.losses import unimodal_loss
from equipoise.methods.parts.projection.flat import FlatMemory, statistic_loader
from equipoise.methods.parts.projection.layers import deepest_layers, require_head_per_modality
from equipoise.methods.parts.sharpness import backward_nearby
from equipoise.methods.parts.stages import turns
from equipoise.registry import NULL, POSITIVE, Effect
from equipoise.training.context import Context
from equipoise.training.method import Method
from equipoise.training.phase import Phase

SAM = ("full", "head", "none")


@dataclass(frozen=True)
class Blend:
    """A batch whose inputs are fraction · own + (1 − fraction) · partner's.

    Attributes:
        batch: the samples, blended.
        partner_label: int64 (B,).
        fraction: (B,); 1 where the sample or its partner lacks the modality.
        partner_weight: (B,); None where all samples count alike.
    """

    batch: Batch
    partner_label: Tensor
    fraction: Tensor
    partner_weight: Tensor | None = None

    def own_loss(self, modality: str, output: Output, ctx: Context) -> Tensor:
        """The loss of the samples' own labels alone, as MIE's published code has it at θ + ε."""
        return unimodal_loss(modality, output, self.batch, ctx)

    def loss(self, modality: str, output: Output, ctx: Context) -> Tensor:
        """Losses of the two labels, blended as the inputs are.

        Their mean is taken over the samples of all ranks that have the modality.
        """
        if self.partner_label is self.batch.label:  # nothing is mixed
            return unimodal_loss(modality, output, self.batch, ctx)
        logits = output.logits[modality]
        own = ctx.sample_loss(logits, self.batch.label)
        partner = ctx.sample_loss(logits, self.partner_label)
        present = self.batch.present[modality]
        if self.batch.weight is None or self.partner_weight is None:
            blended = self.fraction * own + (1 - self.fraction) * partner
            return ctx.sample_mean(blended, present)
        # Each label counts by the weight of the sample that it comes from.
        own_weight = self.fraction * self.batch.weight
        partner_weight = (1 - self.fraction) * self.partner_weight
        weight = own_weight + partner_weight
        blended = own_weight * own + partner_weight * partner
        return ctx.sample_mean(blended / weight.clamp_min(1e-12), present, weight)


def mixup(modality: str, batch: Batch, strength: float, ctx: Context) -> Blend:
    """Blend one modality of a batch; partners come from the batches of all ranks.

    Only floating-point inputs are blended. A modality without any, such as token ids, leaves the
    batch as it is, labels included.

    Args:
        modality: the one to blend.
        batch: this rank's samples.
        strength: a of Beta(a, a), from which one fraction is drawn per batch; 0 leaves the batch
            as it is.
        ctx: draws, and gathers the partners.
    """
    ones = torch.ones(len(batch), device=batch.label.device)
    if strength == 0 or not any(x.is_floating_point() for x in _tensors(batch.inputs[modality])):
        return Blend(batch, batch.label, ones, batch.weight)
    drawn = int(torch.randint(2**31, (), generator=ctx.rng))
    fraction = float(np.random.default_rng(drawn).beta(strength, strength))
    # The same permutation on every rank; each takes the partners of its own rows from it.
    owner = ctx.gather(torch.full_like(batch.label, ctx.runtime.rank))
    order = torch.randperm(len(owner), generator=ctx.rng).to(owner.device)
    partner = order[owner == ctx.runtime.rank]
    own = batch.present[modality]
    both = own & ctx.gather(own.to(torch.uint8))[partner].bool()
    fractions = torch.where(both, fraction, ones)

    def blend(x: Tensor) -> Tensor:
        if not x.is_floating_point():
            return x
        weight = fractions.to(x.dtype).view(-1, *(1,) * (x.dim() - 1))
        return weight * x + (1 - weight) * ctx.gather(x)[partner]

    inputs = {**batch.inputs, modality: map_input(batch.inputs[modality], blend)}
    label = ctx.gather(batch.label)[partner]
    weight = None if batch.weight is None else ctx.gather(batch.weight)[partner]
    return Blend(replace(batch, inputs=inputs), label, fractions, weight)


def _tensors(value: Input) -> Iterable[Tensor]:
    return value.values() if isinstance(value, Mapping) else [value]


def sharp_backward(
    modality: str, blend: Blend, ctx: Context, *, sam: str, rho: float, flat_weight: float
) -> None:
    """The gradient at θ_j + ε*, mixed with the one at θ_j where `flat_weight` says so.

    Args:
        modality: j, the one that trains.
        blend: its samples, mixed or not.
        ctx: takes the gradients.
        sam: "full", "head" (published code: only the head moves, by ρ in each of its tensors, reads
            the features of the first pass again, and is compared with unmixed labels) or "none".
        rho: radius ρ of the perturbation.
        flat_weight: fraction of the gradient at θ_j + ε*.
    """

    def loss() -> Tensor:
        return blend.loss(modality, ctx.model(blend.batch, only=(modality,)), ctx)

    if sam == "none":
        ctx.backward(loss())
        return
    group = ctx.model.group(modality)
    moved = [p for p in (*group.encoder, *group.head) if p.requires_grad]
    output = ctx.model(blend.batch, only=(modality,))
    plain = ctx.gradient(blend.loss(modality, output, ctx), moved, retain_graph=sam == "head")

    def loss_of_head() -> Tensor:
        again = ctx.model.read(output.features, blend.batch.present, (modality,))
        return blend.own_loss(modality, again, ctx)

    if sam == "full":
        backward_nearby(loss, moved, plain, rho, ctx)
    else:
        own = [p for p in group.head if p.requires_grad]
        backward_nearby(loss_of_head, own, plain[-len(own) :], rho, ctx, per_tensor=True)
    for parameter, gradient in zip(moved, plain, strict=True):
        if flat_weight < 1 and parameter.grad is not None:
            parameter.grad = flat_weight * parameter.grad + (1 - flat_weight) * gradient


def check_modalities(
    named: Sequence[str],
    turns_of: Sequence[str],
    lengths: Sequence[int] | None,
    fresh_optimiser: bool,
    ctx: Context,
) -> None:
    """Warn where the phases do not fit the learning-rate schedule.

    Args:
        named: modalities that an option names.
        turns_of: all modalities, in the order of their turns.
        lengths: epochs of each phase in turn; None where all are of equal length.
        fresh_optimiser: every phase starts the schedule anew.
        ctx: knows the modalities and the schedule.

    Raises:
        ConfigError: no such modality, or one without a phase.
    """
    known = ctx.model.modalities
    for name in named:
        if name not in known:
            raise ConfigError(f"method 'mie': no modality {name!r}{suggest(name, known)}")
    if lengths is None:
        return
    count = len(turns_of)
    require(
        "MIE",
        ("phases", len(lengths) >= count, f"at least {count}, one for each modality", lengths),
    )
    sums = {m: sum(lengths[k::count]) for k, m in enumerate(turns_of)}
    fits = fresh_optimiser or set(sums.values()) == {ctx.epochs}
    if ctx.optimisers.settings.schedule == "cosine" and not fits:
        found = ", ".join(f"{m!r} for {n}" for m, n in sums.items())
        warnings.warn(
            f"method 'mie': the cosine of the learning rate ends after {ctx.epochs} epochs of a "
            f"modality ('epochs'), and 'phases' train {found}; make them agree, or set "
            "'fresh_optimiser'",
            stacklevel=3,
        )


def radius_rules(rho: object) -> list[Rule]:
    """The rules of ρ: a number, or one for each modality."""
    if not isinstance(rho, Mapping):
        return [not_negative("rho", rho)]
    return [("rho", len(rho) > 0, "a number, or {modality: number}", rho)] + [
        not_negative(f"rho.{modality}", radius) for modality, radius in rho.items()
    ]


def _are_names(values: Sequence[str]) -> bool:
    is_list = isinstance(values, list | tuple) and all(isinstance(v, str) for v in values)
    return is_list and len(set(values)) == len(values)


class MIE(Method):
    """Modal-aware interactive enhancement.

    Args:
        rho: radius ρ of the perturbation, or {modality: ρ}.
        tau: τ of Eq. 7; 0 switches the modification of gradients off.
        sam: "full", "head" (published code: only the head is perturbed, each tensor by itself, and
            run again, on labels without mixup) or "none".
        flat_weight: fraction of the gradient that is taken at θ + ε*, the rest at θ; 1 is the
            paper's.
        scope: fraction of the parameters whose gradients are modified, from the deepest on (Table
            4): 0 for the head only, 1 for every layer. The layer that reaches the fraction is
            modified whole.
        one_direction: [k, j]: only j is modified, and by k; null for every modality by the one
            before it.
        mixup_alpha: a of Beta(a, a), the distribution of mixup; 0 for no mixup. Token ids are
            never mixed.
        order: modalities that take the first turns; the others follow in the order of the data.
        cycles: number of phases of every modality, each of epochs/cycles epochs.
        phases: epochs of each phase in turn, instead of `cycles`, at least one phase for each
            modality. The setting `epochs` is then the length of the learning-rate schedule only.
        fresh_optimiser: forget momentum and learning-rate schedule at the start of a phase.
        reload_best: end a phase with the weights of the best validation score so far, and compute
            T with them. Before every modality has trained there is no best score.
        statistic_batch: samples of a batch mean z̄ (12, or 6 for NVGesture, in the paper).
    """

    effect: ClassVar[Effect] = {
        "rho": ("sam", {"full", "head"}),
        "flat_weight": ("sam", {"full", "head"}),
        "scope": ("tau", POSITIVE),
        "one_direction": ("tau", POSITIVE),
        "statistic_batch": ("tau", POSITIVE),
        "cycles": ("phases", NULL),
    }

    def __init__(
        self,
        rho: float | Mapping[str, float] = 0.05,
        tau: float = 0.4,
        sam: str = "full",
        flat_weight: float = 1.0,
        scope: float = 0.0,
        one_direction: Sequence[str] | None = None,
        mixup_alpha: float = 0.0,
        order: Sequence[str] = (),
        cycles: int = 3,
        phases: Sequence[int] | None = None,
        fresh_optimiser: bool = False,
        reload_best: bool = False,
        statistic_batch: int = 12,
    ) -> None:
        super().__init__()
        pair = one_direction is None or (len(one_direction) == 2 and len(set(one_direction)) == 2)
        require(
            "MIE",
            *radius_rules(rho),
            not_negative("tau", tau),
            choice("sam", sam, SAM),
            inside("flat_weight", flat_weight, "[0, 1]"),
            inside("scope", scope, "[0, 1]"),
            ("one_direction", pair, "two different modalities", one_direction),
            not_negative("mixup_alpha", mixup_alpha),
            ("order", _are_names(order), "a list of different modalities", order),
            integer("cycles", cycles, 1),
            flag("fresh_optimiser", fresh_optimiser),
            flag("reload_best", reload_best),
            integer("statistic_batch", statistic_batch, 1),
        )
        if phases is not None:
            require("MIE", integer_list("phases", phases))
        self.rho = rho
        self.tau = tau
        self.sam = sam
        self.flat_weight = flat_weight
        self.scope = scope
        self.one_direction = one_direction
        self.mixup_alpha = mixup_alpha
        self.order = list(order)
        self.cycles = cycles
        self.lengths = phases
        self.fresh_optimiser = fresh_optimiser
        self.reload_best = reload_best
        self.statistic_batch = statistic_batch
        self.compilable = sam != "head"
        self.modalities: tuple[str, ...] = ()

    def setup(self, ctx: Context) -> None:
        """Find the layers; warn of phases that do not fit the learning-rate schedule.

        Raises:
            ConfigError: the head does not fuse a part for each modality, an option names none, or
                one has no phase or no ρ.
        """
        model = ctx.model
        require_fused_classifiers("method 'mie'", model.head, "per-modality")
        require_head_per_modality("method 'mie'", model.head)
        radii = self.rho if isinstance(self.rho, Mapping) else {}
        named = [*(self.one_direction or ()), *self.order, *radii]
        self.modalities = (*self.order, *(m for m in model.modalities if m not in self.order))
        check_modalities(named, self.modalities, self.lengths, self.fresh_optimiser, ctx)
        if radii and set(radii) != set(model.modalities):
            missing = next(m for m in model.modalities if m not in radii)
            raise ConfigError(f"method 'mie': 'rho' gives no radius for {missing!r}")
        self.memory = FlatMemory(
            {m: deepest_layers(model, m, self.scope) for m in model.modalities}, self.tau
        )

    def phases(self, epochs: int) -> Iterator[Phase]:
        if self.lengths is None:
            return turns(epochs, self.modalities, self.cycles)
        return (Phase(n, (m,)) for n, m in zip(self.lengths, cycle(self.modalities), strict=False))

    def on_phase_start(self, ctx: Context) -> None:
        if self.fresh_optimiser:
            ctx.reset_optimisers(ctx.training)

    def on_phase_end(self, ctx: Context) -> None:
        """Compute T (Eq. 5 and 7) for the modality that has just trained.

        It is computed with the weights from which the next modality goes on.
        """
        if self.reload_best:
            ctx.reload_best()
        if self.tau:
            (modality,) = ctx.training
            self.memory.collect(modality, ctx, statistic_loader(ctx, self.statistic_batch))
            ctx.log(**{f"spectrum/{modality}": self.memory.spectrum(modality, 0)})

    def step(self, batch: Batch, ctx: Context) -> None:
        (modality,) = ctx.training
        if not ctx.anyone_has(modality, batch):
            return
        blend = mixup(modality, batch, self.mixup_alpha, ctx)
        rho = self.rho[modality] if isinstance(self.rho, Mapping) else self.rho
        sharp_backward(modality, blend, ctx, sam=self.sam, rho=rho, flat_weight=self.flat_weight)
        if (source := self.source(modality, ctx)) is not None:
            self.memory.modify(modality, source)
        ctx.update((modality,))

    def source(self, modality: str, ctx: Context) -> str | None:
        """The modality whose flat directions this one keeps to: the one trained before it."""
        trained = [self.modalities[n % len(self.modalities)] for n in range(ctx.position.phase)]
        if self.one_direction is not None:
            first, second = self.one_direction
            return first if modality == second and first in trained else None
        return trained[-1] if trained and trained[-1] != modality and self.tau else None


class IGM(MIE):
    """MIE as the code published with the IJCAI paper runs it: other defaults, nothing else."""

    def __init__(
        self,
        rho: float | Mapping[str, float] = 1e-10,
        tau: float = 0.4,
        sam: str = "head",
        flat_weight: float = 0.3,
        scope: float = 0.0,
        one_direction: Sequence[str] | None = None,
        mixup_alpha: float = 1.0,
        order: Sequence[str] = (),
        cycles: int = 3,
        phases: Sequence[int] | None = None,
        fresh_optimiser: bool = True,
        reload_best: bool = True,
        statistic_batch: int = 12,
    ) -> None:
        super().__init__(
            rho,
            tau,
            sam,
            flat_weight,
            scope,
            one_direction,
            mixup_alpha,
            order,
            cycles,
            phases,
            fresh_optimiser,
            reload_best,
            statistic_batch,
        )
