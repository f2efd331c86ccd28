r"""MSLR: modality-specific learning rates.

Yao, Mihalcea. Modality-specific Learning Rates for Effective Multimodal Additive Late-fusion.
Findings of ACL 2022.
Re-implementations: github.com/lihong2303/AGM_ICCV2023, github.com/CXianRen/AMST

Idea:
    In additive late fusion the prediction is a sum of one prediction per modality. The learning
    rates that suit the modalities differ, so each modality learns at a rate of its own. There are
    three strategies. "keep" uses a constant rate for each modality. "smooth" uses constants that
    are drawn towards each other. "dynamic" raises the rate of a modality while its accuracy on
    held-out samples improves.

    The paper takes the constants $c_m$ from fine-tuning each modality alone. To do so here, train
    method `unimodal` at several rates, and give the best ones as `rates`.

    Any number of modalities and any head can be used; only parameters that serve one modality alone
    have its rate. With a single modality "dynamic" does nothing, and says so: no other modality is
    there to be balanced against. "dynamic" costs a pass over the held-out samples per epoch.

Equations:
    The loss is that of joint training. The learning rate of modality $m$ is a multiple of the
    optimiser's rate $\eta$, which follows its schedule:

    $$f = \sum_m v_m \qquad L = \mathrm{CE}(f, y) \qquad \eta_m = \eta \, c_m \, r_m$$

    With "keep" $r_m = 1$. With "smooth" $r_m = 1$ as well, and with $g$ the geometric mean of all
    constants

    $$c_m \leftarrow c_m^s \, g^{1-s}$$

    which goes from one rate for all ($s = 0$) to "keep" ($s = 1$). With "dynamic", after epoch
    $e$,

    $$r_m = a_m(e) \,/\, \frac{1}{K} \sum_{k=1}^{K} a_m(e-k)$$

    where $a_m(e)$ is the accuracy of $v_m$ on the held-out samples after epoch $e$. $r_m$ is 1
    until there are as many accuracies, that is in the first $K + 1$ epochs. A ratio is kept above
    0.01, so that no modality stops for good.

    No code of the authors is known. The names of the strategies and the form of "smooth" are not
    confirmed by the paper. "dynamic" is that of the re-implementation in AGM's repository, with
    $K = 5$.

Where published code departs:
    AGM's repository has constants from 0.7 to 1.4              `rates`
    AMST's repository: every K epochs the rate is multiplied
    by a ratio whose window includes the newest accuracy        `cumulative: true`
    both measure the accuracies on the test split               not offered
    AGM's repository multiplies gradients, which adaptive
    optimisers undo, and only up to epoch 20                    not offered
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from math import exp, log
from typing import ClassVar

import torch
from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.checks import choice, flag, inside, is_integer, is_table, require
from equipoise.errors import ConfigError, suggest
from equipoise.methods.baselines.joint import Joint
from equipoise.methods.parts.auxiliary import require_trained_classifiers
from equipoise.methods.parts.idle import warn_of_a_short_run, warn_of_one_modality
from equipoise.methods.parts.table_values import table_means
from equipoise.registry import Effect
from equipoise.training.context import Context

STRATEGIES = ("keep", "smooth", "dynamic")

SMALLEST = 0.01
"""Lower bound of a ratio of accuracies: a rate of 0 would stop a modality for good."""


def smooth(rates: Sequence[float], exponent: float) -> list[float]:
    """c_m^s g^(1−s) of each rate c_m, with s the exponent and g the geometric mean."""
    mean = sum(map(log, rates)) / len(rates)
    return [exp(exponent * log(rate) + (1 - exponent) * mean) for rate in rates]


def hits(output: Output, batch: Batch) -> Tensor:
    """1 where a modality's own prediction is right, 0 where wrong, NaN where absent; (B, M)."""
    columns = [
        (logits.argmax(1) == batch.label).double().masked_fill(~batch.present[m], torch.nan)
        for m, logits in output.logits.items()
    ]
    return torch.stack(columns, dim=1)


def improvements(now: Tensor, window: Tensor) -> Tensor:
    """r (M,): accuracies (M,) over their means in the window (K, M); 1 where there is no ratio."""
    found = now / window.mean(0)
    return torch.where(found.isfinite(), found, 1.0).clamp_min(SMALLEST)


class MSLR(Joint):
    """Modality-specific learning rates.

    Args:
        strategy: "keep", "smooth" or "dynamic".
        rates: {modality: c_m}, in multiples of the optimiser's learning rate; 1 for a modality not
            named. Without any (null) "keep" and "smooth" warn that they do nothing; {} says that
            this is meant.
        smoothing: s of "smooth": 0 for one rate for all, 1 for the rates as given.
        window: K of "dynamic", the number of epochs that an accuracy is compared with.
        cumulative: let "dynamic" act every K epochs, and multiply the rate that it set before.
    """

    effect: ClassVar[Effect] = {
        "smoothing": ("strategy", {"smooth"}),
        "window": ("strategy", {"dynamic"}),
        "cumulative": ("strategy", {"dynamic"}),
    }
    history: Tensor
    measured: Tensor
    scale: Tensor

    def __init__(
        self,
        strategy: str = "dynamic",
        rates: Mapping[str, float] | None = None,
        smoothing: float = 0.5,
        window: int = 5,
        cumulative: bool = False,
    ) -> None:
        super().__init__()
        given = {} if rates is None else rates
        usable = is_table(given) and min(given.values(), default=1) > 0
        # A window of 1 that includes the newest accuracy would compare it with itself.
        least = 2 if cumulative is True else 1
        require(
            "MSLR",
            choice("strategy", strategy, STRATEGIES),
            ("rates", usable, "a positive number for each name", given),
            inside("smoothing", smoothing, "[0, 1]"),
            (
                "window",
                is_integer(window, least),
                "at least 1, or 2 if 'cumulative', and an integer",
                window,
            ),
            flag("cumulative", cumulative),
        )
        self.strategy = strategy
        self.rates = given
        self.names_no_rates = rates is None
        self.smoothing = smoothing
        self.window = window
        self.cumulative = cumulative
        self.needs_holdout = strategy == "dynamic"
        self.adapts = strategy == "dynamic"

    def setup(self, ctx: Context) -> None:
        """Set the constant rates; warn where the strategy has nothing to act on, or no time to.

        Raises:
            ConfigError: a rate is given for an unknown modality, or "dynamic" has nothing to
                measure: nothing was held out, or the fused loss does not train the classifiers
                that it compares.
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
            # A single modality has no other to be balanced against. Its ratios would be a schedule
            # of the whole training's learning rate, and where they round to 1, no schedule at all.
            self.adapts = not warn_of_one_modality("strategy 'dynamic' of method 'mslr'", ctx)
        elif self.names_no_rates:
            warnings.warn(
                f"method 'mslr' does nothing: strategy '{self.strategy}' has no 'rates', so that "
                "every modality learns at the same one; give the best rate of each",
                stacklevel=2,
            )
        if self.adapts:
            warn_of_a_short_run("mslr", self.window + (not self.cumulative), "window", ctx)
        constants = [float(self.rates.get(m, 1.0)) for m in modalities]
        if self.strategy == "smooth":
            constants = smooth(constants, self.smoothing)
        self.constants = dict(zip(modalities, constants, strict=True))
        count = len(modalities)
        self.register_buffer("history", torch.zeros(self.window, count, dtype=torch.float64))
        self.register_buffer("measured", torch.zeros((), dtype=torch.int64))
        self.register_buffer("scale", torch.ones(count, dtype=torch.float64))
        self.apply_rates(ctx)

    def on_epoch_start(self, ctx: Context) -> None:
        """Measure the epoch that has just ended, and set the rates of the coming one."""
        if self.adapts and ctx.epoch > 0 and ctx.holdout is not None:
            self.adapt(table_means(ctx, ctx.holdout, hits))
            self.apply_rates(ctx)
            ctx.log(
                **{f"scale/{m}": s for m, s in zip(ctx.model.modalities, self.scale, strict=True)}
            )

    def adapt(self, accuracies: Tensor) -> None:
        """Set r (M,) from the accuracies (M,) of the epoch that has just ended and those before."""
        full = bool(self.measured >= self.window)  # of the epochs before
        later = torch.cat([self.history[1:], accuracies.unsqueeze(0)])
        self.measured += 1
        if not self.cumulative:
            if full:
                self.scale.copy_(improvements(accuracies, self.history))
        elif bool(self.measured % self.window == 0):
            self.scale.mul_(improvements(accuracies, later))
        self.history.copy_(later)

    def apply_rates(self, ctx: Context) -> None:
        """Hand c_m r_m of every modality to the optimisers."""
        for (modality, constant), scale in zip(
            self.constants.items(), self.scale.tolist(), strict=True
        ):
            ctx.scale_learning_rate(modality, constant * max(scale, SMALLEST))
