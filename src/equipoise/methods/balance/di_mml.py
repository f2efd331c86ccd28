r"""DI-MML: encoders that never see a fused loss, and teach each other what the other lacks.

Fan, Xu, Wang, Liu, Guo. Detached and Interactive Multimodal Learning. ACM Multimedia 2024.
Code: github.com/fanyunfeng-bit/DI-MML

Idea:
    Competition is avoided altogether: each encoder learns from its own classifier, and from one
    classifier that all share, which brings the features into one space. After a while they also
    teach each other: in the dimensions that tell the classes apart in one modality but not in
    another, the features of the other are drawn to those of the first. Only the student moves.

    In a second stage the encoders and their classifiers are frozen, and a classifier of all
    features is trained. A prediction weighs it and the modalities' own by how sure each is. No
    epoch of the first stage is chosen. The second one has a fresh optimiser and schedule.

    Any number of modalities, of one feature width: every ordered pair teaches, and the sum is
    divided by $M - 1$. A pair is compared on the samples that have both. The first stage costs as
    much as joint training and one pass over the table; in the second no encoder is differentiated.

Equations:
    With an own classifier $v_m$ for each modality and the common one $s$,

    $$L_1 = \sum_m \left[ \mathrm{CE}(v_m, y) + w \, \mathrm{CE}(s(z_m), y) \right] + L_{duc}$$

    With $\mu_{kd}$ the mean of dimension $d$ over the training samples of class $k$, the effective
    dimensions of a modality are those better than average at naming the class of a sample:

    $$e_d = \mathrm{mean}_i \, [ \mathrm{argmin}_k \, | z_{id} - \mu_{kd} | = y_i ] \qquad
    E = \{ d : e_d > \mathrm{mean} \, e \}$$

    They are found once, when $L_{duc}$ begins. Modality $a$ teaches $b$ in the dimensions
    $D = E_a \setminus E_b$, where $z^a$ is a constant:

    $$L_{a \to b} = - \mathrm{mean}_i \, \log
    \frac{\exp(z^b_{iD} \cdot z^a_{iD} / \tau)}{\sum_j \exp(z^b_{iD} \cdot z^a_{jD} / \tau)}
    \qquad L_{duc} = \frac{1}{M - 1} \sum_{a \neq b} L_{a \to b}$$

    In the second stage $L_2 = \mathrm{CE}(v_0, y)$, with $v_0$ the classifier of all features. $w$
    is 1; $\tau$ is 50 for CREMA-D and ModelNet40 and 10 for AVE and UCF-101. The stages take 150
    and 20 epochs, and $L_{duc}$ begins in epoch 20; here these are fractions of the run. The
    temperature $T$ of the prediction is 1, or 3 for AVE and ModelNet40 (`head.temperature`).

Where published code departs:
    the exponentials may overflow                           not offered
    the network of stage 1 is chosen on the test split      not offered
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import permutations

import torch
from torch import Tensor
from torch.nn import functional as F

from equipoise.batch import Batch, Output
from equipoise.checks import inside, not_negative, positive, require
from equipoise.heads import di_mml
from equipoise.methods.parts.losses import mean_loss, unimodal_loss
from equipoise.methods.parts.own_head import OwnHead
from equipoise.methods.parts.reconstruction import encoded_aside
from equipoise.methods.parts.table_values import read_features
from equipoise.methods.parts.whole_batch import whole_batch
from equipoise.training.context import Context
from equipoise.training.phase import Phase


def effectiveness(features: Tensor, label: Tensor, classes: int) -> Tensor:
    """e (d,) of features (N, d) and labels (N,): the fraction of samples whose class it names."""
    best = torch.full_like(features, torch.inf)
    named = torch.full(features.shape, -1, device=features.device)
    for number in range(classes):
        own = label == number
        if not own.any():
            continue
        distance = (features - features[own].mean(0)).abs()
        nearer = distance < best
        best = torch.where(nearer, distance, best)
        named = torch.where(nearer, number, named)
    return (named == label.unsqueeze(1)).to(features.dtype).mean(0)


def teaching_loss(
    student: Tensor, teacher: Tensor, dimensions: Tensor, temperature: float
) -> Tensor:
    """L (), a scalar, of the features (N, d) of one modality and those of another, N ≥ 1.

    Args:
        student: features that move.
        teacher: features that do not.
        dimensions: D, bool (d,).
        temperature: τ.
    """
    private = student * dimensions
    similar = private @ teacher.detach().T / temperature
    return F.cross_entropy(similar, torch.arange(len(similar), device=similar.device))


class DIMML(OwnHead[di_mml.DIMML]):
    """Detached and interactive multimodal learning.

    Args:
        pretrain: fraction of the epochs of the first stage.
        common_weight: w, the weight of the common classifier's losses.
        teach_from: fraction of the first stage after which the modalities teach each other; 1
            never.
        temperature: τ of the comparison.

    Attributes:
        effective: bool (M, d), the effective dimensions.
    """

    name = "di-mml"
    kind = di_mml.DIMML
    effective: Tensor

    def __init__(
        self,
        pretrain: float = 0.88,
        common_weight: float = 1.0,
        teach_from: float = 0.13,
        temperature: float = 50.0,
    ) -> None:
        super().__init__()
        require(
            "DIMML",
            inside("pretrain", pretrain, "(0, 1)"),
            not_negative("common_weight", common_weight),
            inside("teach_from", teach_from, "[0, 1]"),
            positive("temperature", temperature),
        )
        self.pretrain = pretrain
        self.common_weight = common_weight
        self.teach_from = teach_from
        self.temperature = temperature

    def setup(self, ctx: Context) -> None:
        """Allocate the effective dimensions.

        Raises:
            ConfigError: the head is another one.
        """
        widths = self.head(ctx.model).widths
        size = (len(widths), max(widths.values()))
        self.register_buffer("effective", torch.zeros(size, dtype=torch.bool))
        self.effective = self.effective.to(next(ctx.model.parameters()).device)

    def stage(self, epochs: int) -> int:
        """Epochs of the first stage, of a training of this many."""
        return min(max(round(self.pretrain * epochs), 1), epochs - 1)

    def phases(self, epochs: int) -> Iterator[Phase]:
        first = self.stage(epochs)
        # The classifier of all features has not begun.
        yield Phase(first, selectable=False)
        yield Phase(epochs - first)

    def on_phase_start(self, ctx: Context) -> None:
        if ctx.position.phase == 1:
            ctx.reset_optimisers(ctx.model.modalities)

    def teaches(self, ctx: Context) -> bool:
        """True in the epochs of the first stage in which the modalities teach each other."""
        return ctx.epoch >= round(self.teach_from * self.stage(ctx.epochs))

    @torch.no_grad()
    def on_epoch_start(self, ctx: Context) -> None:
        """Find the effective dimensions when the teaching begins."""
        first = self.stage(ctx.epochs)
        if ctx.epoch != round(self.teach_from * first) or ctx.epoch >= first:
            return
        table = read_features(ctx)
        label = torch.as_tensor(ctx.train.table.label, device=self.effective.device)
        for number, modality in enumerate(ctx.model.modalities):
            here = table.present[modality]
            z = table.features[modality][here].double()
            if len(z):
                e = effectiveness(z, label[here], ctx.model.head.classes)
                self.effective[number] = e > e.mean()
        counts = zip(ctx.model.modalities, self.effective, strict=True)
        ctx.log(**{f"effective/{m}": d.double().mean() for m, d in counts})

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        """L_1, of the first stage."""
        head = self.head(ctx.model)
        loss = output.fused.new_zeros(())
        shown = ctx.present_in(batch)
        for modality in shown:
            loss = loss + unimodal_loss(modality, output, batch, ctx)
            if self.common_weight:
                here = batch.present[modality]
                again = head.common(output.features[modality])
                loss = loss + self.common_weight * mean_loss(again, batch, ctx, here)
        if len(shown) > 1 and self.teaches(ctx):
            loss = loss + self.teaching(shown, output.features, batch, ctx)
        return loss

    def teaching(
        self, shown: list[str], features: Mapping[str, Tensor], batch: Batch, ctx: Context
    ) -> Tensor:
        """L_duc over the samples of all ranks."""
        whole = whole_batch(shown, features, batch, ctx)
        effective = dict(zip(ctx.model.modalities, self.effective, strict=True))
        total = next(iter(whole.values.values())).new_zeros(())
        for teacher, student in permutations(shown, 2):
            both = whole.present[teacher] & whole.present[student]
            if both.any():
                z = {m: whole.values[m][both] for m in (teacher, student)}
                dimensions = effective[teacher] & ~effective[student]
                total = total + teaching_loss(z[student], z[teacher], dimensions, self.temperature)
        return total / (len(ctx.model.modalities) - 1)

    def step(self, batch: Batch, ctx: Context) -> None:
        if ctx.position.phase == 0:
            super().step(batch, ctx)
            return
        features = encoded_aside(ctx.model, batch)
        joint = self.head(ctx.model).joint(features, batch.present)
        ctx.backward(mean_loss(joint, batch, ctx))
        ctx.update()
