"""Memory of an orthogonal projection: MLA's P, built up from mean features."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from equipoise.batch import Batch
from equipoise.checks import Rule, is_number
from equipoise.methods.parts.projection.matrices import (
    orthogonal_update_,
    plug_in_update,
    project,
    quantiles,
)
from equipoise.training.context import Context

EPOCH_DECAY = "epoch-decay"
ORDERS = ("current", "previous")
FORMS = ("equation", "plug-in")


def alpha_rule(option: str, alpha: float | str) -> Rule:
    """The rule of α of Eq. 5, under the name that a method gives it."""
    good = alpha in (EPOCH_DECAY, math.inf) or (is_number(alpha) and alpha > 0)
    return option, good, f"a positive number or {EPOCH_DECAY!r}", alpha


def alpha_at(alpha: float | str, batch: int, batches: int) -> float:
    """α for one batch: constant, or 0.1^(1 + b/N) for batch b of the N of an epoch."""
    return float(0.1 ** (1 + batch / batches)) if isinstance(alpha, str) else alpha


def mean_rows(values: Tensor, batch: Batch, modality: str, ctx: Context) -> Tensor:
    """Mean (d,) of values (B, d) over the samples of all ranks that have the modality, detached."""
    return ctx.mean(ctx.sample_mean(values.detach(), batch.rows_with(modality)))


class OrthogonalMemory(nn.Module):
    """P, and the number of its updates.

    Args:
        like: the weight (C, d) whose gradient is to be projected.
        normalize: divide P by its Frobenius norm after every update (MLA's published code).
        order: "current" updates P with the features of the modality that trains before its gradient
            is projected (Algorithm 1); "previous" updates it afterwards, so that only earlier
            modalities are protected (text of section 3.2).
        form: "equation" is Eq. 5, "plug-in" MLA's published code: another denominator, the product
            with the transpose of a P that is not symmetric, and no update of P at the first step.
    """

    projection: Tensor
    updates: Tensor

    def __init__(
        self,
        like: Tensor,
        *,
        normalize: bool = False,
        order: str = "current",
        form: str = "equation",
    ) -> None:
        super().__init__()
        dtype = torch.promote_types(like.dtype, torch.float32)
        self.register_buffer(
            "projection", torch.eye(like.shape[1], dtype=dtype, device=like.device)
        )
        # Of the mean features met, the first of which the plug-in leaves out.
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64, device=like.device))
        self.normalize = normalize
        self.order = order
        self.form = form
        self._begun = False
        # A memory that is loaded may be one without updates.
        self.register_load_state_dict_post_hook(  # type: ignore[no-untyped-call]
            lambda memory, _: memory._forget_begun()
        )

    def _forget_begun(self) -> None:
        self._begun = False

    def _has_begun(self) -> bool:
        """True after the first update; the device is asked only until it says so."""
        if not self._begun:
            self._begun = bool(self.updates)
        return self._begun

    def update(self, mean_feature: Tensor, alpha: float) -> None:
        """Update P with a mean feature (d,)."""
        feature = mean_feature.to(self.projection.dtype)
        if self.form == "equation":
            orthogonal_update_(self.projection, feature, alpha)
        elif self._has_begun():
            self.projection.copy_(plug_in_update(self.projection, feature, alpha))
        if self.normalize and (self.form == "equation" or self._has_begun()):
            self.projection.div_(self.projection.norm())
        self.updates.add_(1)

    def modify(
        self, weights: Sequence[Tensor], mean_features: Sequence[Tensor], alpha: float
    ) -> None:
        """Project the gradients of weights, and update P with mean features.

        The very first gradients stay as they are.

        Args:
            weights: each (C, d); one where a modality trains alone.
            mean_features: each (d,), of the modalities that train.
            alpha: α of Eq. 5.
        """
        begun = self._has_begun()
        if self.order == "current":
            for mean in mean_features:
                self.update(mean, alpha)
        factor = self.projection if self.form == "equation" else self.projection.T
        for weight in weights:
            if begun and weight.grad is not None:
                weight.grad = project(weight.grad, factor)
        if self.order == "previous":
            for mean in mean_features:
                self.update(mean, alpha)

    def spectrum(self, points: int = 16) -> list[float]:
        """Quantiles of the eigenvalues of P, ascending; of the singular values of the plug-in's."""
        if self.form == "equation":
            return quantiles(torch.linalg.eigvalsh(self.projection), points)
        return quantiles(torch.linalg.svdvals(self.projection), points)
