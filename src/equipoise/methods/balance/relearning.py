"""Diagnosing & Re-learning: encoders are softly re-initialised, the more the worse what they
learned carries over.

Wei, Li, Feng, Hu. Diagnosing and Re-learning for Balanced Multimodal Learning. ECCV 2024.
Code: github.com/GeWu-Lab/Diagnosing_Relearning_ECCV2024

Joint training, L = CE(f, y). After the epochs e = E, 2E, …, K·E (from 0), for each modality on its
own:

    P_m(table) = share of samples with the majority label of their cluster: k-means of the features
    z_m into C
                 clusters, each dimension scaled to [−1, 1]
    w_m        = tanh(λ |P_m(train) − P_m(held out)|)
    θ_m        ← w_m θ_m⁰ + (1 − w_m) θ_m                 every parameter of the encoder, with θ_m⁰ its initial value

Buffers (running statistics), the head and the state of the optimiser stay. An encoder whose
features cluster as well on held-out samples as on those it was trained on is left alone. The paper
compares with its validation split; here the held-out part is cut from the training table, so that
validation is free to choose the epoch. Any number of modalities; one is judged by the samples that
have it, and left alone where one of the tables has none.

Unverified: the paper's text (the equations are those of the authors' code). BalanceBenchmark takes
    whatever
validation table it has, the test split if there is none, with E = 15 and K = 2.

Cost: as joint training; an evaluation pass over both tables and 2M runs of k-means, each of ten
    starts, at each of
the K events; a copy of the encoders' parameters.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from equipoise.batch import Batch, Output
from equipoise.checks import not_negative, require, whole
from equipoise.data.table.loader import Loader
from equipoise.errors import ConfigError
from equipoise.methods.baselines.joint import Joint
from equipoise.methods.parts.idle import warn_of_a_short_run, warn_of_frozen_encoders
from equipoise.methods.parts.snapshot import EncoderCopy
from equipoise.methods.parts.table_values import table_values
from equipoise.training.context import Context


def cluster_purity(features: np.ndarray, label: np.ndarray, clusters: int) -> float:
    """Share of the rows of (N, d) with the majority label of their k-means cluster, each dimension
    scaled before.

    Rows fewer than clusters are a cluster each.
    """
    from sklearn.cluster import KMeans
    from sklearn.preprocessing import MinMaxScaler

    scaled = MinMaxScaler((-1, 1)).fit_transform(features)
    found = KMeans(min(clusters, len(scaled)), n_init=10, random_state=0).fit_predict(scaled)
    majorities = [int(np.bincount(label[found == k]).max()) for k in np.unique(found)]
    return sum(majorities) / len(label)


def strength(train: float, held: float, scale: float) -> float:
    """w of the two purities."""
    return math.tanh(scale * abs(train - held))


class Relearning(Joint):
    """Soft re-initialisation of the encoders.

    Args:
        strength: λ, at least 0; 0 re-initialises nothing.
        every: E, the epochs between two events.
        times: K, the number of events.
    """

    needs_holdout = True

    def __init__(self, strength: float = 3.0, every: int = 20, times: int = 3) -> None:
        super().__init__()
        require(
            "Relearning",
            not_negative("strength", strength),
            whole("every", every, 1),
            whole("times", times, 0),
        )
        self.strength = strength
        self.every = every
        self.times = times

    def setup(self, ctx: Context) -> None:
        """Keep a copy of the encoders; warns where all are frozen, or the training ends before the
        first event.

        Raises:
            ConfigError: nothing was held out.
        """
        if ctx.holdout is None:
            raise ConfigError(
                "method 'relearning' measures held-out samples and there are none; set 'data.holdout'"
            )
        self.initial = EncoderCopy(ctx.model)
        acts = self.strength and self.times
        if acts and not warn_of_frozen_encoders("method 'relearning'", ctx):
            warn_of_a_short_run("relearning", self.every + 1, "every", ctx)

    @torch.no_grad()
    def on_epoch_start(self, ctx: Context) -> None:
        finished = ctx.epoch - 1  # the number of the last epoch
        if finished < self.every or finished % self.every or finished // self.every > self.times:
            return
        assert ctx.holdout is not None, "needs_holdout"
        train = self.purities(ctx.train, ctx)
        held = self.purities(ctx.holdout, ctx)
        for modality in (m for m in train if m in held):
            weight = strength(train[modality], held[modality], self.strength)
            for parameter, start in self.initial.pairs(modality):
                parameter.copy_(weight * start + (1 - weight) * parameter)
            ctx.log(**{f"weight/{modality}": weight})

    def purities(self, loader: Loader, ctx: Context) -> dict[str, float]:
        """P of each modality that a sample of the table has; one rank clusters, and the others believe it."""
        table = loader.table
        modalities = ctx.model.modalities
        widths = [ctx.model.head.widths[m] for m in modalities]
        whole = table_values(
            ctx, loader, lambda output, batch: _side_by_side(modalities, output, batch)
        )
        found = {}
        if ctx.runtime.main:
            for modality, part in zip(modalities, torch.split(whole.cpu(), widths, 1), strict=True):
                here = table.present[modality]
                if here.any():
                    found[modality] = cluster_purity(
                        part.numpy()[here], table.label[here], len(table.classes)
                    )
        shared: dict[str, float] = ctx.runtime.objects(found)[0]
        return shared


def _side_by_side(modalities: tuple[str, ...], output: Output, batch: Batch) -> torch.Tensor:
    return torch.cat([output.features[m] for m in modalities], 1)
