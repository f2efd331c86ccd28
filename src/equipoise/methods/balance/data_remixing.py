r"""Data Remixing: every sample trains the one modality that is least certain of it.

Ma, Chen, Deng. Improving Multimodal Learning Balance and Sufficiency through Data Remixing. ICML
2025.
Code: github.com/MatthewMaxy/Remix_ICML2025

Idea:
    After a first part of joint training with unimodal losses, the training table is dealt out anew
    before every epoch: each sample goes to the modality whose own classifier tells least about it,
    and shows only that one. So every modality trains on the samples that it finds hard, and no
    other modality's gradient interferes. Prediction uses all modalities.

    Minibatches hold one modality each: an epoch reads the samples of one modality after those of
    another, in an order of the modalities that is drawn anew. Where a minibatch of the loader holds
    the end of one part and the start of the next, they are two steps. An epoch has as many samples
    as before, and each costs one pass of one encoder. A pass over the table in evaluation mode
    comes before each epoch.

    Any number of modalities. A sample goes to one of those it has. The encoders of the hidden
    modalities do not run and do not move.

Equations:
    In the first part, with a classifier $v_m$ of its own for each modality,

    $$L = \mathrm{CE}(f, y) + a \sum_m \mathrm{CE}(v_m, y)$$

    with $a = 1/2$. Afterwards, with $C$ classes, the separability of a sample in bits, 0 for a
    uniform prediction, and the modality that it goes to are

    $$\kappa_{im} = \sum_c p_{im}(c) \log_2 (C \, p_{im}(c)) \qquad
    s(i) = \mathrm{argmin}_m \, \kappa_{im}$$

    A minibatch of modality $m$, where the features of all others are zero, has the loss

    $$L = \mathrm{CE}(f, y) + \gamma \, \mathrm{CE}(v_m, y)$$

    with $\gamma = 1$. The first part takes 10 of 60 epochs in the published code, a sixth here too.

Where published code departs:
    encoders of hidden modalities run and get a gradient of
    zero, so that momentum and decay move them                 not offered
    a fixed order of the modalities, the last one first        not offered
    κ is written for six classes                               not offered
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.checks import inside, not_negative, require
from equipoise.methods.parts.auxiliary import auxiliary_loss, require_own_classifiers
from equipoise.methods.parts.table_values import table_values
from equipoise.training.context import Context
from equipoise.training.method import Method


def separability(logits: Tensor) -> Tensor:
    """κ (…) in [0, log2 C] of logits (…, C): log2 C minus the entropy in bits."""
    log_p = logits.log_softmax(-1)
    entropy = -(log_p.exp() * log_p).sum(-1)
    return (math.log(logits.shape[-1]) - entropy) / math.log(2)


class DataRemixing(Method):
    """Decoupling of the modalities by samples.

    Args:
        warm_up: fraction of the epochs of joint training before the table is dealt out; 1 never
            does.
        unimodal_weight: a, the weight of each modality's own loss in this first part.
        gamma: γ, the weight of the modality's own loss afterwards.
    """

    def __init__(
        self, warm_up: float = 0.17, unimodal_weight: float = 0.5, gamma: float = 1.0
    ) -> None:
        super().__init__()
        require(
            "DataRemixing",
            inside("warm_up", warm_up, "[0, 1]"),
            not_negative("unimodal_weight", unimodal_weight),
            not_negative("gamma", gamma),
        )
        self.warm_up = warm_up
        self.unimodal_weight = unimodal_weight
        self.gamma = gamma
        self.chooses_rows = warm_up < 1

    def setup(self, ctx: Context) -> None:
        """Check the head.

        Raises:
            ConfigError: it has no classifier for each modality.
        """
        require_own_classifiers("data-remixing", ctx.model.head)

    def remixed(self, ctx: Context) -> bool:
        """True once the table is dealt out."""
        return ctx.epoch >= round(self.warm_up * ctx.epochs)

    def on_epoch_start(self, ctx: Context) -> None:
        """Deal out the table by the network as it is."""
        if not self.remixed(ctx):
            return
        modalities = ctx.model.modalities

        def values(output: Output, batch: Batch) -> Tensor:
            columns = [
                separability(output.logits[m].double()).masked_fill(~batch.present[m], torch.inf)
                for m in modalities
            ]
            return torch.stack(columns, 1)

        modality = table_values(ctx, ctx.train, values).argmin(1).cpu()
        # By name, so that the order does not depend on that in which the modalities are declared.
        names = sorted(modalities)
        order = [names[k] for k in torch.randperm(len(names), generator=ctx.rng).tolist()]
        shuffled = torch.randperm(len(modality), generator=ctx.rng)
        parts = [shuffled[modality[shuffled] == modalities.index(m)] for m in order]
        rows = torch.cat(parts)
        shown = {m: modality[rows] == k for k, m in enumerate(modalities)}
        ctx.resample(rows, shown, shuffle=False)
        counts = zip(order, parts, strict=True)
        ctx.log(**{f"fraction/{m}": len(part) / len(rows) for m, part in counts})

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        own = self.gamma if self.remixed(ctx) else self.unimodal_weight
        shown = ctx.present_in(batch)
        return auxiliary_loss(dict.fromkeys(shown, own), output, batch, ctx)

    def step(self, batch: Batch, ctx: Context) -> None:
        if not self.remixed(ctx):
            super().step(batch, ctx)
            return
        for modality in sorted(ctx.present_in(batch)):
            rows = batch.present[modality].nonzero(as_tuple=True)[0]
            part = batch.rows(rows)
            ctx.backward(self.loss(ctx.model(part), part, ctx))
            ctx.update((modality,))
