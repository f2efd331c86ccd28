r"""ModDrop: modalities are dropped at random in training, so that none is relied upon.

Neverova, Wolf, Taylor, Nebout. ModDrop: adaptive multi-modal gesture recognition. IEEE TPAMI 2016.

Idea:
    In every training sample each modality is dropped at random, but never all of them. A modality
    can then not lean on the others, and the network learns to do without any of them: this is the
    baseline for modalities that are missing at test time. It helps balance little (MCR's authors
    report so).

    A dropped modality is treated as an absent one: its encoder does not run on the sample, so that
    batch normalisation sees real inputs only. Nothing is dropped or rescaled in prediction.

    Any number of modalities. A sample with one modality keeps it, and one that lacks some drops
    among those it has. A step costs at most that of joint training.

Equations:
    With $S_i$ the modalities that sample $i$ has, draw for each $m \in S_i$

    $$\kappa_{im} \sim \mathrm{Bernoulli}(1 - p_m) \quad \text{given} \quad
    \sum_{m \in S_i} \kappa_{im} \geq 1$$

    and train by $L = \mathrm{CE}(f, y)$ on $z_m \kappa_m$. With one $p$ for all, a modality of a
    complete sample is kept with probability $(1 - p) / (1 - p^M)$. With $p = 1/2$ every non-empty
    set of modalities is equally likely. With $p = 0$ this is joint training.

Where published code departs:
    The paper trains the modalities one by one first, and then fuses them in stages, with
    probabilities that we could not consult. This is the form that others use as a baseline, and no
    claim about its stages.
"""

from __future__ import annotations

from collections.abc import Mapping

from equipoise.batch import Batch
from equipoise.checks import is_number, is_table, require
from equipoise.errors import ConfigError, suggest
from equipoise.methods.baselines.joint import Joint
from equipoise.methods.parts.hiding import kept
from equipoise.methods.parts.idle import warn_of_one_modality
from equipoise.training.context import Context


class ModDrop(Joint):
    """Joint training under modality dropout.

    Args:
        probability: p, from 0 to below 1, with which a modality is dropped; 0 drops nothing. A
            mapping {modality: p} drops those it names, where one p may be 1.
    """

    def __init__(self, probability: float | Mapping[str, float] = 0.2) -> None:
        super().__init__()
        if is_table(probability):
            rates = list(probability.values())
            usable = all(0 <= p <= 1 for p in rates) and sum(p == 1 for p in rates) < 2
        else:
            usable = is_number(probability) and 0 <= probability < 1
        expectation = "in [0, 1), or such a number for each of some modalities"
        require("ModDrop", ("probability", usable, expectation, probability))
        self.probability = probability
        self.rates: dict[str, float] = {}

    def setup(self, ctx: Context) -> None:
        """Find the rate of each modality; warn where there is a single one.

        Raises:
            ConfigError: the option names no modality.
        """
        modalities = ctx.model.modalities
        if isinstance(self.probability, Mapping):
            for name in self.probability:
                if name not in modalities:
                    raise ConfigError(
                        f"method 'moddrop': no modality {name!r}{suggest(name, modalities)}"
                    )
            self.rates = {m: float(self.probability.get(m, 0.0)) for m in modalities}
        else:
            self.rates = dict.fromkeys(modalities, self.probability)
        if any(self.rates.values()):
            warn_of_one_modality("method 'moddrop'", ctx)

    def step(self, batch: Batch, ctx: Context) -> None:
        if not any(self.rates.values()):
            super().step(batch, ctx)
            return
        shown = batch.hide(kept(batch, self.rates, ctx))
        ctx.backward(self.loss(ctx.model(shown), shown, ctx))
        ctx.update(ctx.present_in(shown))
