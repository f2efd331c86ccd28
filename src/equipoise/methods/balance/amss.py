r"""AMSS and AMSS+: only some units of each encoder are updated, fewer in the stronger modality.

Yang, Pan, Jiang, Xu, Tang. Learning to Rebalance Multi-Modal Optimization by Adaptively Masking
Subnetworks. IEEE TPAMI 2025.
Code: github.com/njustkmg/TPAMI-AMSS

Idea:
    In every step a subnetwork of each encoder is drawn, and only its gradients are kept. It is the
    smaller, the more a modality is ahead of the others, and units with a large gradient are drawn
    more often. AMSS+ divides the gradients that are kept by the probability that they are, so that
    their mean over the draws is the gradient itself.

    A unit is a row of a weight along its first axis, a filter of a convolution for example, with
    its entry of the bias. The draw is systematic: it has exactly the wanted number of units, and
    each is included with exactly the wanted probability. The head is `concat` or `sum`.

    Masks act under plain SGD. Under momentum or Adam a unit that is left out goes on moving by
    what they remember of it, and there is a warning under Adam. Any number of modalities. The cost
    is that of joint training and a sum over each gradient.

Equations:
    $L = \mathrm{CE}(f, y)$. With $u_m$ the part of modality $m$ in the fused logits, $H_Y$ the
    entropy of the labels of the batch, and $H_m$ the mean entropy of $\mathrm{softmax}(z_m)$ over
    the features of a sample, all in nats,

    $$r_m = \frac{H_Y + 0.5 - \mathrm{CE}(u_m, y)}{H_m} \qquad
    s_m = 1 - \mathrm{softmax}_m (r_m / T)$$

    clipped to [0.1, 0.9]; all $s_m$ are 0.5 where some numerator is not positive. Of the $n$ units
    of a weight, $K = \lceil n s_m \rceil$ are drawn, unit $i$ with probability

    $$\pi_i = \min (1, c \, \lVert g_i \rVert^2) \qquad \sum_i \pi_i = K$$

    In `amss` the gradients of these are kept, in `amss-plus` they are divided by $\pi_i$ (at most
    multiplied by 10), and all others are 0. $T$ is 0.2, or 0.5 for images with texts. With bounds
    of 1 every unit is kept, and it is joint training.

Where published code departs:
    AMSS+ multiplies by 1 / (q + 1/n) with q the part of a unit in
    the squared gradient, which is no inverse probability and
    enlarges the step by up to n / 2                               not offered
    H_Y is right for balanced batches only                         not offered
    units are drawn one after the other                            not offered
    the masks of the head are computed and not used                not offered
    other rates, and units, for texts and for three modalities     not offered
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from zlib import crc32

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equipoise.batch import Batch, Output
from equipoise.checks import flag, is_list, is_number, positive, require
from equipoise.heads.parts.fusion import entropy
from equipoise.methods.baselines.joint import Joint
from equipoise.methods.parts.auxiliary import require_decomposable
from equipoise.methods.parts.idle import warn_of_frozen_encoders, warn_of_one_modality
from equipoise.methods.parts.losses import cross_entropy
from equipoise.training.context import Context

LARGEST = 10.0
"""Of the inverse probabilities in AMSS+."""


def update_fractions(
    losses: Tensor, entropies: Tensor, label_entropy: Tensor, temperature: float
) -> Tensor:
    """s (M,) before it is clipped, M ≥ 2.

    Args:
        losses: CE(u_m, y) (M,).
        entropies: H (M,).
        label_entropy: H_Y, a scalar.
        temperature: T.
    """
    numerators = label_entropy + 0.5 - losses
    rates = numerators / entropies.clamp_min(torch.finfo(entropies.dtype).tiny)
    found = 1 - (rates / temperature).softmax(0)
    return torch.where((numerators > 0).all(), found, 0.5)


def inclusion_probabilities(sizes: Tensor, count: Tensor) -> Tensor:
    """π (n,) = min(1, c · size), of sum K where at least K units have a positive size.

    Args:
        sizes: squared gradients (n,) in float64.
        count: K, a scalar.
    """
    ordered, places = sizes.sort(descending=True)
    tail = ordered.flip(0).cumsum(0).flip(0)
    # With the t largest units certain, the others share the K − t units that are left. A unit is
    # certain while its part of them would exceed 1.
    left = count - torch.arange(len(sizes), device=sizes.device)
    certain = (left > 0) & (left * ordered >= tail) & (ordered > 0)
    certain = certain.cumprod(0).bool()
    number = certain.sum()
    rest = torch.where(certain, 0.0, ordered)
    total = rest.sum().clamp_min(torch.finfo(sizes.dtype).tiny)
    shared = (rest * (count - number) / total).clamp(0.0, 1.0)
    found = torch.empty_like(sizes)
    found[places] = torch.where(certain, 1.0, shared)
    return found


def systematic_draw(probabilities: Tensor, start: Tensor) -> Tensor:
    """bool (n,), units drawn with exactly these probabilities, as many as these sum up to.

    Args:
        probabilities: π (n,) in float64.
        start: uniform in [0, 1), a scalar.
    """
    ends = probabilities.cumsum(0)
    # A sum that misses an integer by rounding would draw one unit too few or too many.
    whole = ends.round()
    ends = torch.where((ends - whole).abs() < 1e-9, whole, ends)
    starts = torch.cat([ends.new_zeros(1), ends[:-1]])
    return (ends - start).ceil() > (starts - start).ceil()


class AMSS(Joint):
    """Adaptively masked subnetworks.

    Args:
        temperature: T, the sharpness of the fractions.
        bounds: [least, most] fraction of the units that are updated.
        unbiased: divide the gradients that are kept by the probability of their unit (AMSS+).
    """

    def __init__(
        self,
        temperature: float = 0.2,
        bounds: Sequence[float] = (0.1, 0.9),
        unbiased: bool = False,
    ) -> None:
        super().__init__()
        pair = (
            is_list(bounds)
            and len(bounds) == 2
            and all(is_number(b) for b in bounds)
            and 0 < bounds[0] <= bounds[1] <= 1
        )
        require(
            type(self).__name__,
            positive("temperature", temperature),
            ("bounds", pair, "two fractions, 0 < least ≤ most ≤ 1", bounds),
            flag("unbiased", unbiased),
        )
        self.temperature = temperature
        self.bounds = (float(bounds[0]), float(bounds[1]))
        self.unbiased = unbiased

    def setup(self, ctx: Context) -> None:
        """Check the head; warn where there is nothing to mask.

        Raises:
            ConfigError: the fused logits are not a sum with one term for each modality.
        """
        require_decomposable("AMSS goes by", ctx.model.head)
        if self.bounds[0] < 1:
            warn_of_frozen_encoders("masking of units", ctx, "matrix", lambda p: p.dim() >= 2)
            warn_of_one_modality("masking of units", ctx)
            if ctx.adaptive:
                name = ctx.optimisers.settings.name
                warnings.warn(
                    f"masking of units: under {name} a unit that is left out goes on moving by "
                    "what the optimiser remembers of it; use optimiser 'sgd'",
                    stacklevel=2,
                )

    @torch.no_grad()
    def edit_gradients(self, output: Output, batch: Batch, ctx: Context) -> None:
        shown = ctx.present_in(batch)
        if len(shown) < 2:
            return
        fractions = self.fractions(shown, output, batch, ctx)
        # Drawn on the CPU: all ranks draw the same, and no step waits for the device.
        seed = int(torch.randint(2**31, (), generator=ctx.rng))
        for modality, fraction in zip(shown, fractions, strict=True):
            stream = torch.Generator().manual_seed(seed + crc32(modality.encode()))
            for weight, bias in _units(ctx.model.encoders[modality]):
                start = torch.rand((), generator=stream, dtype=torch.float64)
                self.mask(weight, bias, fraction, start)
        ctx.log(**{f"fraction/{m}": s for m, s in zip(shown, fractions, strict=True)})

    def fractions(self, shown: list[str], output: Output, batch: Batch, ctx: Context) -> Tensor:
        """s (M,) of the modalities that some sample has, over the samples of all ranks."""
        classes = ctx.model.head.classes
        measured = []
        for modality in shown:
            loss = cross_entropy(output.logits[modality], batch.label)
            spread = entropy(output.features[modality])
            here = batch.present[modality]
            measured.append(ctx.sample_mean(torch.stack([loss, spread], 1), here))
        losses, entropies = ctx.mean(torch.stack(measured)).unbind(1)
        counts = F.one_hot(batch.label, classes).to(losses.dtype)
        frequency = ctx.mean(ctx.sample_mean(counts))
        label_entropy = -torch.special.xlogy(frequency, frequency).sum()
        found = update_fractions(losses, entropies, label_entropy, self.temperature)
        return found.expand(len(shown)).clamp(*self.bounds)

    def mask(
        self, weight: nn.Parameter, bias: nn.Parameter | None, fraction: Tensor, start: Tensor
    ) -> None:
        """Keep the gradients of some units of one weight, and of their bias."""
        if weight.grad is None:
            return
        sizes = weight.grad.double().square().flatten(1).sum(1)
        # A little less, so that rounding of a product such as 10 · 0.3 adds no unit.
        count = (len(sizes) * fraction.double() - 1e-6).ceil()
        probabilities = inclusion_probabilities(sizes, count)
        kept = systematic_draw(probabilities, start.to(sizes.device))
        factor = kept.double()
        if self.unbiased:
            factor = factor / probabilities.clamp_min(1 / LARGEST)
        # Where all units are kept, no gradient may change, also of those whose size is 0.
        factor = torch.where(count >= len(sizes), 1.0, factor)
        for parameter in (weight, bias):
            if parameter is not None and parameter.grad is not None:
                shape = (-1, *(1,) * (parameter.dim() - 1))
                parameter.grad = parameter.grad * factor.to(parameter.grad.dtype).view(shape)


def _units(encoder: nn.Module) -> Iterator[tuple[nn.Parameter, nn.Parameter | None]]:
    """Weights of two or more dimensions, each with the bias of its module if that is as long."""
    for module in encoder.modules():
        bias = getattr(module, "bias", None)
        for parameter in module.parameters(recurse=False):
            if parameter.dim() >= 2:
                fits = isinstance(bias, nn.Parameter) and bias.shape == parameter.shape[:1]
                yield parameter, bias if fits else None


class AMSSPlus(AMSS):
    """AMSS with unbiased gradients: the same, with `unbiased` on by default."""

    def __init__(
        self,
        temperature: float = 0.2,
        bounds: Sequence[float] = (0.1, 0.9),
        unbiased: bool = True,
    ) -> None:
        super().__init__(temperature, bounds, unbiased)
