"""Projections of a linear layer's gradient: orthogonal to what was seen (MLA), or along its flat directions (MIE).

A projection acts on the input side of the weight (C, d), so it multiplies the gradient from the right by a symmetric
(d, d) matrix. Both are remembered in at least float32, whatever the precision of the features.

    orthogonal  P ← P − q rᵀP,  q = P r / (α + rᵀP r)          recursive least squares; MLA, Eq. 4-5
    flat        Ȳ = Σ z̄ z̄ᵀ = V Λ Vᵀ,  T = V exp(−τ (Λ − λmin) / (λmax − λmin)) Vᵀ          MIE, Eq. 5 and 7
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equipoise.batch import Batch
from equipoise.data.loader import Loader
from equipoise.heads.base import Head
from equipoise.model import Model

if TYPE_CHECKING:
    from equipoise.training.context import Context


def project(gradient: Tensor, projection: Tensor) -> Tensor:
    """∇W P: the gradient (C, d) seen through a symmetric (d, d) matrix."""
    return (gradient.to(projection.dtype) @ projection).to(gradient.dtype)


def orthogonal_update(projection: Tensor, mean_feature: Tensor, alpha: float) -> Tensor:
    """MLA Eq. 5: P (d, d) once it has seen the mean feature r (d,).

    Written as P − u uᵀ with u = P r / √(α + rᵀP r): one vector product and one outer product, exactly symmetric.
    """
    image = projection @ mean_feature
    scaled = image / (alpha + mean_feature @ image).sqrt()
    return projection - torch.outer(scaled, scaled)


def flat_projection(second_moment: Tensor, tau: float) -> Tensor:
    """MIE Eq. 7: T (d, d) from Ȳ (d, d). It does not depend on the scale of Ȳ.

    With τ = 0, or a spectrum without spread (nothing seen, or every direction used alike), it is the identity.
    """
    identity = torch.eye(len(second_moment), dtype=second_moment.dtype, device=second_moment.device)
    if tau == 0:
        return identity
    values, vectors = torch.linalg.eigh(second_moment.double())
    spread = values[-1] - values[0]
    weights = torch.exp(-tau * (values - values[0]) / spread)
    flat = ((vectors * weights) @ vectors.T).to(second_moment.dtype)
    resolution = len(values) * torch.finfo(second_moment.dtype).eps * values.abs().amax()
    return torch.where(spread > resolution, flat, identity)


def mean_rows(values: Tensor, batch: Batch, modality: str, ctx: Context) -> Tensor:
    """Mean (d,) of per-sample values (B, d) over the samples of all ranks that have the modality, detached."""
    return ctx.mean(ctx.sample_mean(values.detach(), batch.present[modality]))


def reading_layer(head: Head, modality: str) -> nn.Linear:
    """The linear layer that reads this modality's features: the first of its block, or of the whole head."""
    block = head.blocks[modality] if modality in head.blocks else head  # noqa: SIM401 (ModuleDict has no get)
    return next(layer for layer in block.modules() if isinstance(layer, nn.Linear))


def weighted_layers(module: nn.Module) -> list[nn.Linear | nn.Conv2d]:
    """The linear and (ungrouped) convolutional layers of a module, in the order they were built."""
    return [x for x in module.modules() if isinstance(x, nn.Linear) or (isinstance(x, nn.Conv2d) and x.groups == 1)]


def deepest_layers(model: Model, modality: str, share: float) -> list[nn.Linear | nn.Conv2d]:
    """The layers of one modality from the logits back: its head block's, or this share of the encoder's and those."""
    head = weighted_layers(model.head.blocks[modality])[::-1]
    whole = head + weighted_layers(model.encoders[modality])[::-1]
    return whole[: max(len(head), round(share * len(whole)))]


def input_directions(layer: nn.Linear | nn.Conv2d, mean: Tensor) -> Tensor:
    """The vectors (n, d) that a layer's weight (C, d) meets in a mean input; a convolution meets its patches."""
    if isinstance(layer, nn.Linear):
        return mean.reshape(-1, layer.in_features)
    padding = layer.padding if isinstance(layer.padding, tuple) else 0
    patches = F.unfold(mean.unsqueeze(0), layer.kernel_size, layer.dilation, padding, layer.stride)
    return patches[0].T


class OrthogonalMemory(nn.Module):
    """MLA's P, and how often it was updated.

    Args:
        like: the weight (C, d) whose gradient is to be projected.
        normalize: divide P by its Frobenius norm after every update (MLA's published code).
        order: "current" updates P with the features of the modality in hand before its gradient is projected
            (Algorithm 1); "previous" afterwards, so that only earlier modalities are protected (the text of 3.2).
    """

    projection: Tensor
    updates: Tensor

    def __init__(self, like: Tensor, *, normalize: bool = False, order: str = "current") -> None:
        super().__init__()
        dtype = torch.promote_types(like.dtype, torch.float32)
        self.register_buffer("projection", torch.eye(like.shape[1], dtype=dtype, device=like.device))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64, device=like.device))
        self.normalize = normalize
        self.order = order

    def update(self, mean_feature: Tensor, alpha: float) -> None:
        """Remember the mean feature (d,)."""
        projection = orthogonal_update(self.projection, mean_feature.to(self.projection.dtype), alpha)
        self.projection.copy_(projection / projection.norm() if self.normalize else projection)
        self.updates += 1

    def modify(self, weights: Sequence[Tensor], mean_features: Sequence[Tensor], alpha: float) -> None:
        """Project the gradients of weights and remember mean features: one of each where one modality trains alone.

        The very first gradients stay as they are.
        """
        first = self.updates == 0
        if self.order == "current":
            for mean in mean_features:
                self.update(mean, alpha)
        for weight in weights:
            if weight.grad is not None:
                weight.grad = torch.where(first, weight.grad, project(weight.grad, self.projection))
        if self.order == "previous":
            for mean in mean_features:
                self.update(mean, alpha)

    def spectrum(self, points: int = 16) -> list[float]:
        """Quantiles of the eigenvalues of P, ascending."""
        return quantiles(torch.linalg.eigvalsh(self.projection), points)


class _Spectrum(nn.Module):
    """Ȳ and T of one linear layer."""

    moment: Tensor
    transform: Tensor

    def __init__(self, like: Tensor) -> None:
        super().__init__()
        dtype = torch.promote_types(like.dtype, torch.float32)
        self.register_buffer("moment", torch.zeros(like.shape[1], like.shape[1], dtype=dtype, device=like.device))
        self.register_buffer("transform", torch.eye(like.shape[1], dtype=dtype, device=like.device))


class FlatMemory(nn.Module):
    """MIE's Ȳ and T for given layers of every modality; T is the identity until `collect`.

    Args:
        layers: {modality: its layers}, from the deepest back to the first or the other way round, but the same way
            for all: layer number l of one modality is modified by layer number l of another.
        tau: how strongly the directions in use are damped.
    """

    def __init__(self, layers: Mapping[str, Sequence[nn.Linear | nn.Conv2d]], tau: float) -> None:
        super().__init__()
        self.tau = tau
        self._layers = {m: tuple(of) for m, of in layers.items()}  # a plain mapping: they belong to the model
        self.spectra = nn.ModuleDict(
            {m: nn.ModuleList(_Spectrum(layer.weight.flatten(1)) for layer in of) for m, of in layers.items()}
        )

    @torch.no_grad()
    def collect(self, modality: str, ctx: Context, loader: Loader) -> None:
        """Rebuild Ȳ and T of one modality from a pass over the loader's batches in eval mode."""
        layers, spectra = self._layers[modality], self._of(modality)
        inputs: dict[nn.Module, Tensor] = {}
        handles = [layer.register_forward_pre_hook(lambda m, x: inputs.__setitem__(m, x[0])) for layer in layers]
        for spectrum in spectra:
            spectrum.moment.zero_()
        was_training = ctx.model.training
        ctx.model.eval()
        try:
            for batch in ctx.batches(loader):
                if not ctx.anyone_has(modality, batch):
                    continue
                inputs.clear()
                ctx.model(batch.rows(batch.present[modality]), only=(modality,))
                for layer, spectrum in zip(layers, spectra, strict=True):
                    mean = _mean_input(inputs.get(layer), layer.weight, ctx)
                    rows = input_directions(layer, mean).to(spectrum.moment.dtype)
                    spectrum.moment += rows.T @ rows
        finally:
            ctx.model.train(was_training)
            for handle in handles:
                handle.remove()
        for spectrum in spectra:
            spectrum.transform.copy_(flat_projection(spectrum.moment, self.tau))

    def modify(self, to_modality: str, from_modality: str) -> None:
        """MIE Eq. 8: ∇W ← ∇W T for the layers of one modality, T from the same layer of another.

        Layers of unequal input width, and layers without a gradient, are left alone.
        """
        for layer, spectrum in zip(self._layers[to_modality], self._of(from_modality), strict=False):
            gradient = layer.weight.grad
            if gradient is not None and gradient.flatten(1).shape[1] == len(spectrum.transform):
                layer.weight.grad = project(gradient.flatten(1), spectrum.transform).view_as(gradient)

    def spectrum(self, modality: str, layer: int, points: int = 16) -> list[float]:
        """Quantiles of the eigenvalues of T of one layer, ascending."""
        return quantiles(torch.linalg.eigvalsh(self._of(modality)[layer].transform), points)

    def _of(self, modality: str) -> list[_Spectrum]:
        return list(cast(Iterable[_Spectrum], self.spectra[modality]))


def _mean_input(inputs: Tensor | None, like: Tensor, ctx: Context) -> Tensor:
    """Mean of a layer's inputs (n, …) over the rows of all ranks; None on a rank that ran none."""
    shapes = [shape for shape in ctx.runtime.objects(None if inputs is None else tuple(inputs.shape[1:])) if shape]
    total = like.new_zeros(shapes[0]) if inputs is None else inputs.sum(0).to(like.dtype)
    count = like.new_tensor(0 if inputs is None else len(inputs))
    return ctx.sum(total) / ctx.sum(count)


def statistic_loader(ctx: Context, batch_size: int) -> Loader:
    """The training table in order, in the small batches whose means the flat projection is built from."""
    return ctx.train.again(ctx.train.table, batch_size, seed=0, shuffle=False)


def quantiles(values: Tensor, points: int) -> list[float]:
    """Evenly spaced quantiles of a spectrum, short enough to log."""
    steps = torch.linspace(0, 1, points, dtype=values.dtype, device=values.device)
    found: list[float] = torch.quantile(values, steps).tolist()
    return found
