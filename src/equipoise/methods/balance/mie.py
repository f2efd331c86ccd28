"""MIE: modal-aware interactive enhancement (later published as IGM).

Jiang, Chi, Yang. Multimodal Classification via Modal-Aware Interactive Enhancement. 2024 (IJCAI
2025 as IGM).
Code: github.com/njustkmg/IJCAI25-IGM

The modalities train in turn, phase by phase, each with its own head. Inside a phase of modality j
every minibatch
1. takes the gradient at θ_j + ε*, ε* = ρ ∇L / ‖∇L‖₂ over encoder and head (Eq. 3-4, sharpness-aware
  minimisation);
2. multiplies the gradient of every linear layer of head j by T^(k) of the same layer of the
   modality k trained before (Eq. 8), so that it keeps to directions k does not use; nothing is
   modified before a first phase has ended.
After a phase Ȳ ← Σ z̄ z̄ᵀ over the batch means of each layer's inputs, in eval mode (Eq. 5), and
T = V exp(−τ (Λ − λmin)/(λmax − λmin)) Vᵀ from its eigendecomposition (Eq. 7).

Where the published code departs from the paper:
  only the head is run again, on the features of the first pass, with
  ρ = 1e-10 or 1e-15: numerically nothing                                      `sam: head`, `rho`
  the perturbation is scaled per tensor and never removed                      not offered
  the loss is 0.7 L(θ) + 0.3 L(θ + ε)                                          `flat_weight: 0.3`
  mixup with Beta(1, 1) in every phase, of images only                         `mixup_alpha: 1`, all but token ids
  the loss at θ + ε takes the unmixed labels for mixed features                not offered
  only gradients of nn.Linear are modified                                     `scope: 0`
  phases of given lengths, a fresh optimiser in each                           `phases`, `fresh_optimiser`
  the best weights so far are loaded between phases, and T is theirs           `reload_best`
`scope` widens step 2 from the head to deeper layers (Table 4). SAM's customary radius 0.05 is the
default.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from itertools import cycle

from torch import Tensor

from equipoise.batch import Batch
from equipoise.checks import (
    choice,
    flag,
    inside,
    not_negative,
    only_where,
    optional,
    or_default,
    require,
    whole,
    whole_list,
)
from equipoise.errors import ConfigError, suggest
from equipoise.methods.parts.auxiliary import require_fused_classifiers
from equipoise.methods.parts.mixup import Blend, mixup
from equipoise.methods.parts.projection.flat import FlatMemory, statistic_loader
from equipoise.methods.parts.projection.layers import deepest_layers, require_head_per_modality
from equipoise.methods.parts.sharpness import backward_nearby
from equipoise.methods.parts.stages import turns
from equipoise.training.context import Context
from equipoise.training.method import Method
from equipoise.training.phase import Phase

SAM = ("full", "head", "none")


def sharp_backward(
    modality: str, blend: Blend, ctx: Context, *, sam: str, rho: float, flat_weight: float
) -> None:
    """The gradient at θ_j + ε*, mixed with the one at θ_j where `flat_weight` says so.

    Args:
        modality: j, the one that trains.
        blend: its samples, mixed or not.
        ctx: takes the gradients.
        sam: "full", "head" (only the head moves, and reads the features of the first pass again) or
            "none".
        rho: radius ρ of the perturbation.
        flat_weight: share of the gradient at θ_j + ε*.
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
        return blend.loss(modality, again, ctx)

    if sam == "full":
        backward_nearby(loss, moved, plain, rho, ctx)
    else:
        backward_nearby(loss_of_head, group.head, plain[-len(group.head) :], rho, ctx)
    for parameter, gradient in zip(moved, plain, strict=True):
        if flat_weight < 1 and parameter.grad is not None:
            parameter.grad = flat_weight * parameter.grad + (1 - flat_weight) * gradient


def check_options(
    *,
    rho: float | None,
    tau: float,
    sam: str,
    flat_weight: float | None,
    scope: float | None,
    one_direction: Sequence[str] | None,
    mixup_alpha: float,
    cycles: int | None,
    phases: Sequence[int] | None,
    fresh_optimiser: bool,
    reload_best: bool,
    statistic_batch: int | None,
) -> None:
    """Raises ConfigError for a value that cannot be, or an option that has no effect beside the others."""
    pair = one_direction is None or (len(one_direction) == 2 and len(set(one_direction)) == 2)
    sharp = "'sam' is full or head"
    modified = "'tau' is positive"
    require(
        "MIE",
        choice("sam", sam, SAM),
        not_negative("tau", tau),
        *only_where(sharp, sam != "none", rho=rho, flat_weight=flat_weight),
        *only_where(
            modified,
            tau != 0,
            scope=scope,
            one_direction=one_direction,
            statistic_batch=statistic_batch,
        ),
        *only_where("'phases' are, which say how long each is", phases is None, cycles=cycles),
        *optional(not_negative("rho", rho)),
        *optional(inside("flat_weight", flat_weight, "[0, 1]")),
        *optional(inside("scope", scope, "[0, 1]")),
        ("one_direction", pair, "two different modalities", one_direction),
        not_negative("mixup_alpha", mixup_alpha),
        *optional(whole("cycles", cycles, 1)),
        *optional(whole_list("phases", phases)),
        flag("fresh_optimiser", fresh_optimiser),
        flag("reload_best", reload_best),
        *optional(whole("statistic_batch", statistic_batch, 1)),
    )


def check_modalities(
    named: Sequence[str], lengths: Sequence[int] | None, fresh_optimiser: bool, ctx: Context
) -> None:
    """Warns where the phases do not fit the learning-rate schedule.

    Raises:
        ConfigError: no such modality, or one without a phase.
    """
    modalities = ctx.model.modalities
    for name in named:
        if name not in modalities:
            raise ConfigError(f"method 'mie': no modality {name!r}{suggest(name, modalities)}")
    if lengths is None:
        return
    count = len(modalities)
    require(
        "MIE",
        ("phases", len(lengths) >= count, f"at least {count}, one for each modality", lengths),
    )
    sums = {m: sum(lengths[k::count]) for k, m in enumerate(modalities)}
    fits = fresh_optimiser or set(sums.values()) == {ctx.epochs}
    if ctx.optimisers.settings.schedule == "cosine" and not fits:
        found = ", ".join(f"{m!r} for {n}" for m, n in sums.items())
        warnings.warn(
            f"method 'mie': the cosine of the learning rate ends after {ctx.epochs} epochs of a modality "
            f"('epochs'), and 'phases' train {found}; make them agree, or set 'fresh_optimiser'",
            stacklevel=3,
        )


class MIE(Method):
    """Modal-aware interactive enhancement.

    Args:
        rho: radius ρ of the perturbation; null for 0.05.
        tau: τ of Eq. 7; 0 switches the modification off.
        sam: "full", "head" (only the head is perturbed and run again, as published) or "none".
        flat_weight: share of the gradient at θ + ε*, the rest is taken at θ; null for 1, the
            paper's.
        scope: share of the parameters whose gradients are modified, from the deepest on (Table 4):
            0, or null, for the head only, 1 for every layer. The layer that reaches the share is
            modified whole.
        one_direction: [k, j]: only j is modified, and by k; null for every modality by the one
            before it.
        mixup_alpha: Beta(a, a) of mixup, of inputs that are no token ids; 0 for none.
        cycles: how often every modality has a phase, each of epochs/cycles epochs; null for 3.
        phases: epochs of each phase in turn, instead of `cycles`, at least one phase for each
            modality. The setting `epochs` is then the length of the learning-rate schedule only.
        fresh_optimiser: forget momentum and learning-rate schedule at the start of a phase.
        reload_best: end a phase with the weights that had the best validation score so far, and
            their T.
        statistic_batch: samples of a batch mean z̄ (12, or 6 for NVGesture, in the paper); null for
            12.
    """

    def __init__(
        self,
        rho: float | None = None,
        tau: float = 0.4,
        sam: str = "full",
        flat_weight: float | None = None,
        scope: float | None = None,
        one_direction: Sequence[str] | None = None,
        mixup_alpha: float = 0.0,
        cycles: int | None = None,
        phases: Sequence[int] | None = None,
        fresh_optimiser: bool = False,
        reload_best: bool = False,
        statistic_batch: int | None = None,
    ) -> None:
        super().__init__()
        check_options(
            rho=rho,
            tau=tau,
            sam=sam,
            flat_weight=flat_weight,
            scope=scope,
            one_direction=one_direction,
            mixup_alpha=mixup_alpha,
            cycles=cycles,
            phases=phases,
            fresh_optimiser=fresh_optimiser,
            reload_best=reload_best,
            statistic_batch=statistic_batch,
        )
        self.rho = or_default(rho, 0.05)
        self.tau = tau
        self.sam = sam
        self.flat_weight = or_default(flat_weight, 1.0)
        self.scope = or_default(scope, 0.0)
        self.one_direction = one_direction
        self.mixup_alpha = mixup_alpha
        self.cycles = or_default(cycles, 3)
        self.lengths = phases
        self.fresh_optimiser = fresh_optimiser
        self.reload_best = reload_best
        self.statistic_batch = or_default(statistic_batch, 12)
        self.compilable = sam != "head"
        self.modalities: tuple[str, ...] = ()

    def setup(self, ctx: Context) -> None:
        """Find the layers; warns of phases that do not fit the learning-rate schedule.

        Raises:
            ConfigError: the head does not fuse a part for each modality, an option names none, or
                one has no phase.
        """
        model = ctx.model
        self.modalities = ctx.model.modalities
        require_fused_classifiers("method 'mie'", model.head, "per-modality")
        require_head_per_modality("method 'mie'", model.head)
        check_modalities(self.one_direction or (), self.lengths, self.fresh_optimiser, ctx)
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
        """Eq. 5 and 7 for the modality that has just trained, with the weights from which the next one goes on."""
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
        sharp_backward(
            modality, blend, ctx, sam=self.sam, rho=self.rho, flat_weight=self.flat_weight
        )
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
