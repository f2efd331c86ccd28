"""Memory of a flat projection: MIE's statistic Ȳ of every layer's inputs, and T made from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equipoise.batch import Batch
from equipoise.data.table.loader import Loader
from equipoise.methods.parts.projection.matrices import flat_projection, project, quantiles
from equipoise.training.context import Context


def input_directions(layer: nn.Linear | nn.Conv2d, mean: Tensor) -> Tensor:
    """Vectors (n, d) of a mean input that a layer multiplies with its weight (C, d).

    Those of a convolution are its patches.
    """
    if isinstance(layer, nn.Linear):
        return mean.reshape(-1, layer.in_features)
    padding = layer.padding if isinstance(layer.padding, tuple) else 0
    patches = F.unfold(mean.unsqueeze(0), layer.kernel_size, layer.dilation, padding, layer.stride)
    return patches[0].T


class _Spectrum(nn.Module):
    """T of one layer."""

    transform: Tensor

    def __init__(self, like: Tensor) -> None:
        super().__init__()
        dtype = torch.promote_types(like.dtype, torch.float32)
        self.register_buffer("transform", torch.eye(like.shape[1], dtype=dtype, device=like.device))


class FlatMemory(nn.Module):
    """T for given layers of every modality; the identity until `collect`.

    Args:
        layers: {modality: its layers}, either all from the deepest back to the first or all the
            other way round: layer number l of one modality is modified by layer number l of
            another.
        tau: τ of Eq. 7; the larger, the more the directions in use are damped.
    """

    def __init__(self, layers: Mapping[str, Sequence[nn.Linear | nn.Conv2d]], tau: float) -> None:
        super().__init__()
        self.tau = tau
        # A plain mapping of tuples: as submodules, the layers of the model would become ours too.
        self._layers = {m: tuple(of) for m, of in layers.items()}
        self.spectra = nn.ModuleDict(
            {
                m: nn.ModuleList(_Spectrum(layer.weight.flatten(1)) for layer in of)
                for m, of in layers.items()
            }
        )

    @torch.no_grad()
    def collect(self, modality: str, ctx: Context, loader: Loader) -> None:
        """Rebuild T of one modality from a pass over a table in evaluation mode (Eq. 5 and 7).

        An encoder may hold layers that it never calls; these keep the identity.
        """
        layers = self._layers[modality]
        spectra = self._of(modality)
        inputs: dict[nn.Module, Tensor] = {}
        handles = [
            layer.register_forward_pre_hook(lambda m, x: inputs.__setitem__(m, x[0]))
            for layer in layers
        ]
        moments = [torch.zeros_like(spectrum.transform) for spectrum in spectra]

        def add(batch: Batch) -> None:
            if not ctx.anyone_has(modality, batch):
                return
            inputs.clear()
            ctx.model(batch.rows(batch.present[modality]), only=(modality,))
            for layer, moment in zip(layers, moments, strict=True):
                mean = _mean_input(inputs.get(layer), layer.weight, ctx)
                if mean is not None:
                    rows = input_directions(layer, mean).to(moment.dtype)
                    moment += rows.T @ rows

        try:
            ctx.over(loader, add)
        finally:
            for handle in handles:
                handle.remove()
        for spectrum, moment in zip(spectra, moments, strict=True):
            spectrum.transform.copy_(flat_projection(moment, self.tau))

    def modify(self, to_modality: str, from_modality: str) -> None:
        """Eq. 8: ∇W ← ∇W T for the layers of one modality, with T of the same layer of another.

        Layers of unequal input width, and layers without a gradient, stay as they are.
        """
        for layer, spectrum in zip(
            self._layers[to_modality], self._of(from_modality), strict=False
        ):
            gradient = layer.weight.grad
            if gradient is not None and gradient.flatten(1).shape[1] == len(spectrum.transform):
                layer.weight.grad = project(gradient.flatten(1), spectrum.transform).view_as(
                    gradient
                )

    def spectrum(self, modality: str, layer: int, points: int = 16) -> list[float]:
        """Quantiles of the eigenvalues of T of one layer, ascending."""
        return quantiles(torch.linalg.eigvalsh(self._of(modality)[layer].transform), points)

    def _of(self, modality: str) -> list[_Spectrum]:
        return list(cast(Iterable[_Spectrum], self.spectra[modality]))


def _mean_input(inputs: Tensor | None, like: Tensor, ctx: Context) -> Tensor | None:
    """Mean (…) of a layer's inputs over the rows of all ranks; None where no rank has any.

    Args:
        inputs: (n, …); None on a rank that did not call the layer.
        like: has the type and device of the mean.
        ctx: sums over ranks.
    """
    shapes = [
        shape
        for shape in ctx.runtime.objects(None if inputs is None else tuple(inputs.shape[1:]))
        if shape
    ]
    if not shapes:
        return None
    total = like.new_zeros(shapes[0]) if inputs is None else inputs.sum(0).to(like.dtype)
    count = like.new_tensor(0 if inputs is None else len(inputs))
    return ctx.sum(total) / ctx.sum(count)


def statistic_loader(ctx: Context, batch_size: int) -> Loader:
    """A loader of the training table in the small batches whose means Eq. 5 sums up.

    The batches are drawn at random, as in Algorithm 1, and the same ones for every T of a run: in
    the order of the table, the rows of a batch could all have the same class, and T would depend on
    the order of the manifest.
    """
    return ctx.train.again(ctx.train.table, batch_size, seed=ctx.seed, shuffle=True)
