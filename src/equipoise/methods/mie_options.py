"""What MIE's options must be."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

from equipoise.checks import choice, flag, inside, not_negative, only_where, optional, require, whole, whole_list
from equipoise.errors import ConfigError, suggest
from equipoise.methods.mie_gradient import SAM

if TYPE_CHECKING:
    from equipoise.training.context import Context


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
    sharp, modified = "'sam' is full or head", "'tau' is positive"
    require(
        "MIE",
        choice("sam", sam, SAM),
        not_negative("tau", tau),
        *only_where(sharp, sam != "none", rho=rho, flat_weight=flat_weight),
        *only_where(modified, tau != 0, scope=scope, one_direction=one_direction, statistic_batch=statistic_batch),
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
    require("MIE", ("phases", len(lengths) >= count, f"at least {count}, one for each modality", lengths))
    sums = {m: sum(lengths[k::count]) for k, m in enumerate(modalities)}
    fits = fresh_optimiser or set(sums.values()) == {ctx.epochs}
    if ctx.optimisers.settings.schedule == "cosine" and not fits:
        found = ", ".join(f"{m!r} for {n}" for m, n in sums.items())
        warnings.warn(
            f"method 'mie': the cosine of the learning rate ends after {ctx.epochs} epochs of a modality "
            f"('epochs'), and 'phases' train {found}; make them agree, or set 'fresh_optimiser'",
            stacklevel=3,
        )
