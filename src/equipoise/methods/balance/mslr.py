"""MSLR: modality-specific learning rates.

Yao, Mihalcea. Modality-specific Learning Rates for Effective Multimodal Additive Late-fusion.
Findings of ACL 2022. No code of the authors is known.

Additive late fusion, f = Σ_m v_m and L = CE(f, y), where each modality learns at its own rate η_m =
η c_m r_m: η is the optimiser's, schedule included, c_m a constant of the modality. The paper takes
c_m from fine-tuning each modality alone; train method `unimodal` at several rates, and give the
best ones as `rates`. Three strategies:

    keep       r_m = 1
    smooth     c_m ← c_m^s g^(1−s), g the geometric mean of all c: from one rate for all (s = 0) to `keep` (s = 1)
    dynamic    after epoch e, r_m = a_m(e) / mean of the K accuracies a_m(e−K) … a_m(e−1): what still improves learns
               faster; 1 until there are as many, that is in the first K + 1 epochs

a_m is the accuracy of v_m after epoch e on samples held out from training. The names of the
strategies and the form of "smooth" are not confirmed; "dynamic" is that of two re-implementations:
  AGM's repository: as above, K = 5, c from 0.7 to 1.4                 `rates`
  AMST's repository: every K epochs η_m ← η_m r_m, the mean over a
  window that includes a_m(e)                                          `cumulative: true`
  both read the accuracies off the test split                          not offered
  AGM's multiplies gradients, which adaptive optimisers undo, and
  only up to epoch 20                                                  not offered: the learning rate itself is set

Any number of modalities and any head; only parameters that serve one modality alone have its rate.
A ratio is kept above 0.01, so that no modality stops for good. "dynamic" costs a pass over the
held-out part per epoch.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from math import exp, log

import torch
from torch import Tensor

from equipoise.checks import choice, flag, inside, is_table, is_whole, optional, require, unless
from equipoise.errors import ConfigError, suggest
from equipoise.methods.baselines.joint import Joint
from equipoise.methods.parts.auxiliary import require_trained_classifiers
from equipoise.methods.parts.idle import warn_of_a_short_run
from equipoise.methods.parts.scores import right
from equipoise.methods.parts.table_values import table_means
from equipoise.training.context import Context

SMALLEST = 0.01


def smooth(rates: Sequence[float], share: float) -> list[float]:
    """c_m^s g^(1−s), g the geometric mean."""
    mean = sum(map(log, rates)) / len(rates)
    return [exp(share * log(rate) + (1 - share) * mean) for rate in rates]


def ratios(now: Tensor, window: Tensor) -> Tensor:
    """r (M,): accuracies now (M,) over their means in the window (K, M); 1 where there is nothing to compare."""
    found = now / window.mean(0)
    return torch.where(found.isfinite(), found, 1.0).clamp_min(SMALLEST)


STRATEGIES = ("keep", "smooth", "dynamic")


class MSLR(Joint):
    """Modality-specific learning rates.

    Args:
        strategy: "keep", "smooth" or "dynamic".
        rates: {modality: c_m}, in multiples of the optimiser's learning rate; 1 for a modality not
            named. "keep" and "smooth" do nothing without any, of which they warn unless it is {}.
        smoothing: s of "smooth"; null for 0.5.
        window: K of "dynamic"; null for 5.
        cumulative: "dynamic" every K epochs, on top of what it did before.
    """

    history: Tensor
    measured: Tensor
    scale: Tensor

    def __init__(
        self,
        strategy: str = "dynamic",
        rates: Mapping[str, float] | None = None,
        smoothing: float | None = None,
        window: int | None = None,
        cumulative: bool = False,
    ) -> None:
        super().__init__()
        self._unset = rates is None
        rates = {} if rates is None else rates
        compared = 1 + (cumulative is True)
        usable = is_table(rates) and min(rates.values(), default=1) > 0
        require(
            "MSLR",
            choice("strategy", strategy, STRATEGIES),
            ("rates", usable, "a positive number for each name", rates),
            *optional(inside("smoothing", smoothing, "[0, 1]")),
            unless("smoothing", smoothing, "'strategy' is smooth", strategy == "smooth"),
            *optional(
                (
                    "window",
                    is_whole(window, compared),
                    "at least 1, or 2 if 'cumulative', and whole",
                    window,
                )
            ),
            unless("window", window, "'strategy' is dynamic", strategy == "dynamic"),
            flag("cumulative", cumulative),
            (
                "cumulative",
                strategy == "dynamic" or not cumulative,
                "false unless 'strategy' is dynamic",
                cumulative,
            ),
        )
        self.strategy = strategy
        self.rates = rates
        self.smoothing = 0.5 if smoothing is None else smoothing
        self.window = window or 5
        self.cumulative = cumulative
        self.needs_holdout = strategy == "dynamic"

    def setup(self, ctx: Context) -> None:
        """Set the constant rates; warns where the strategy has nothing to act on, or no time to.

        Raises:
            ConfigError: a rate is given for an unknown modality, or "dynamic" has nothing to
                measure: nothing was held out, or the fused loss does not train the classifiers that
                    it compares.
        """
        modalities = ctx.model.modalities
        for modality in self.rates:
            if modality not in modalities:
                raise ConfigError(
                    f"method 'mslr': rates: no modality {modality!r}{suggest(modality, modalities)}"
                )
        if self.needs_holdout and ctx.holdout is None:
            raise ConfigError(
                "method 'mslr' measures held-out samples and there are none; set 'data.holdout'"
            )
        if self.strategy == "dynamic":
            require_trained_classifiers("method 'mslr'", ctx.model.head, "use head 'sum'")
            warn_of_a_short_run("mslr", self.window + (not self.cumulative), "window", ctx)
        elif self._unset:
            warnings.warn(
                f"method 'mslr' does nothing: strategy '{self.strategy}' has no 'rates', so that every modality "
                "learns at the same one; give the best rate of each",
                stacklevel=2,
            )
        constants = [float(self.rates.get(m, 1.0)) for m in modalities]
        constants = smooth(constants, self.smoothing) if self.strategy == "smooth" else constants
        self.constants = dict(zip(modalities, constants, strict=True))
        self.register_buffer(
            "history", torch.zeros(self.window, len(modalities), dtype=torch.float64)
        )
        self.register_buffer("measured", torch.zeros((), dtype=torch.int64))
        self.register_buffer("scale", torch.ones(len(modalities), dtype=torch.float64))
        self.apply_rates(ctx)

    def on_epoch_start(self, ctx: Context) -> None:
        """Look at the epoch that has just ended, and set the rates of the coming one."""
        if self.strategy == "dynamic" and ctx.epoch > 0 and ctx.holdout is not None:
            self.adapt(table_means(ctx, ctx.holdout, right))
            self.apply_rates(ctx)
            ctx.log(
                **{f"scale/{m}": s for m, s in zip(ctx.model.modalities, self.scale, strict=True)}
            )

    def adapt(self, accuracies: Tensor) -> None:
        """r (M,) from the accuracies (M,) of the epoch that has just ended and of those before."""
        full = bool(self.measured >= self.window)  # of the epochs before
        later = torch.cat([self.history[1:], accuracies.unsqueeze(0)])
        self.measured += 1
        if not self.cumulative:
            if full:
                self.scale.copy_(ratios(accuracies, self.history))
        elif bool(self.measured % self.window == 0):
            self.scale.mul_(ratios(accuracies, later))
        self.history.copy_(later)

    def apply_rates(self, ctx: Context) -> None:
        for (modality, constant), scale in zip(
            self.constants.items(), self.scale.tolist(), strict=True
        ):
            ctx.scale_learning_rate(modality, constant * max(scale, SMALLEST))
