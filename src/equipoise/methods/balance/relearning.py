r"""Diagnosing & Re-learning: encoders softly re-initialised, the more the worse they carry over.

Wei, Li, Feng, Hu. Diagnosing and Re-learning for Balanced Multimodal Learning. ECCV 2024.
Code: github.com/GeWu-Lab/Diagnosing_Relearning_ECCV2024

Idea:
    In joint training, an encoder whose features cluster better on the samples it was trained on
    than on held-out ones has learned what does not carry over. A few times during training every
    encoder is moved back towards its initial weights, the more the larger that difference is. An
    encoder whose features cluster equally well on both is left alone.

    Buffers (running statistics), the head and the state of the optimiser stay as they are. Each
    modality is judged by the samples that have it, and left alone where one of the tables has none.
    Any number of modalities.

    The paper's text is unverified: the equations are those of the authors' code. The cost is that
    of joint training, a copy of the encoders' parameters, and at each event an evaluation pass over
    both tables and $2M$ runs of k-means with ten starts each.

Equations:
    The loss is $L = \mathrm{CE}(f, y)$. After the epochs $e = E, 2E, \ldots, K E$ (counted from 0),
    where $E$ is a fraction of all epochs (`every`; 20 of 90 as published), for each modality on its
    own, $P_m$ of a table is the fraction of its samples that have the majority label of their
    cluster, where k-means divides the features $z_m$, each dimension scaled to $[-1, 1]$, into $C$
    clusters:

    $$w_m = \tanh( \lambda \, | P_m(\mathrm{train}) - P_m(\mathrm{held\ out}) | )$$

    $$\theta_m \leftarrow w_m \theta_m^0 + (1 - w_m) \theta_m$$

    for every parameter of the encoder, with $\theta_m^0$ its initial value.

Where published code departs:
    the training table is compared with the validation split; here the
    held-out samples are cut from the training table, so that validation
    is free to choose the epoch                                             not offered
    BalanceBenchmark takes whatever validation table it has, the test
    split if there is none                                                  not offered
    BalanceBenchmark has E = 15 and K = 2                                   `times: 2`
"""

from __future__ import annotations

import math

import numpy as np
import torch

from equipoise.batch import Batch, Output
from equipoise.checks import inside, integer, not_negative, require
from equipoise.data.table.loader import Loader
from equipoise.errors import ConfigError
from equipoise.methods.baselines.joint import Joint
from equipoise.methods.parts.idle import warn_of_a_short_run, warn_of_frozen_encoders
from equipoise.methods.parts.snapshot import EncoderCopy
from equipoise.methods.parts.table_values import table_values
from equipoise.training.context import Context


def cluster_purity(features: np.ndarray, label: np.ndarray, clusters: int) -> float:
    """P, the fraction of the rows that have the majority label of their k-means cluster.

    Args:
        features: (N, d); each dimension is scaled to [−1, 1] first.
        label: (N,).
        clusters: C; rows fewer than that are a cluster each.
    """
    from sklearn.cluster import KMeans
    from sklearn.preprocessing import MinMaxScaler

    scaled = MinMaxScaler((-1, 1)).fit_transform(features)
    found = KMeans(min(clusters, len(scaled)), n_init=10, random_state=0).fit_predict(scaled)
    majorities = [int(np.bincount(label[found == k]).max()) for k in np.unique(found)]
    return sum(majorities) / len(label)


def reset_weight(train: float, held: float, scale: float) -> float:
    """w, the weight of the initial parameters, from the two purities and λ."""
    return math.tanh(scale * abs(train - held))


class Relearning(Joint):
    """Soft re-initialisation of the encoders.

    Args:
        strength: λ, the growth of the re-initialisation with the gap between the purities; 0
            re-initialises nothing.
        every: E, the fraction of the epochs between two events.
        times: K, the number of events.
    """

    needs_holdout = True

    def __init__(self, strength: float = 3.0, every: float = 0.22, times: int = 3) -> None:
        super().__init__()
        require(
            "Relearning",
            not_negative("strength", strength),
            inside("every", every, "(0, 1]"),
            integer("times", times, 0),
        )
        self.strength = strength
        self.every = every
        self.times = times

    def setup(self, ctx: Context) -> None:
        """Keep a copy of the encoders; warn if all are frozen, or there is no time for an event.

        Raises:
            ConfigError: nothing was held out.
        """
        if ctx.holdout is None:
            raise ConfigError(
                "method 'relearning' measures held-out samples and there are none; "
                "set 'data.holdout'"
            )
        self.initial = EncoderCopy(ctx.model)
        acts = self.strength and self.times
        if acts and not warn_of_frozen_encoders("method 'relearning'", ctx):
            warn_of_a_short_run("relearning", self.length(ctx) + 1, "every", ctx)

    def length(self, ctx: Context) -> int:
        """E in epochs, at least one."""
        return max(round(self.every * ctx.epochs), 1)

    @torch.no_grad()
    def on_epoch_start(self, ctx: Context) -> None:
        """Measure the purities and move the encoders, if the last epoch was one of an event."""
        finished = ctx.epoch - 1  # number of the last epoch
        length = self.length(ctx)
        if finished < length or finished % length or finished // length > self.times:
            return
        assert ctx.holdout is not None, "needs_holdout"
        train = self.purities(ctx.train, ctx)
        held = self.purities(ctx.holdout, ctx)
        for modality in (m for m in train if m in held):
            weight = reset_weight(train[modality], held[modality], self.strength)
            for parameter, start in self.initial.pairs(modality):
                parameter.copy_(weight * start + (1 - weight) * parameter)
            ctx.restart_average([modality])
            ctx.log(**{f"weight/{modality}": weight})

    def purities(self, loader: Loader, ctx: Context) -> dict[str, float]:
        """P of each modality that a sample of the table has."""
        table = loader.table
        modalities = ctx.model.modalities
        widths = [ctx.model.head.widths[m] for m in modalities]

        def side_by_side(output: Output, batch: Batch) -> torch.Tensor:
            return torch.cat([output.features[m] for m in modalities], 1)

        whole = table_values(ctx, loader, side_by_side)
        found = {}
        # One rank clusters and tells the others, so that all move their encoders alike.
        if ctx.runtime.main:
            for modality, part in zip(modalities, torch.split(whole.cpu(), widths, 1), strict=True):
                here = table.present[modality]
                if here.any():
                    found[modality] = cluster_purity(
                        part.numpy()[here], table.label[here], len(table.classes)
                    )
        shared: dict[str, float] = ctx.runtime.objects(found)[0]
        return shared
