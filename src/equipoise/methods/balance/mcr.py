r"""MCR: a game in which each modality strives to matter more, and the others less.

Kontras, Strypsteen, Chatzichristos, Liang, Blaschko, De Vos. Balancing Multimodal Training Through
Game-Theoretic Regularization. NeurIPS 2025.
Code: github.com/kkontras/MCR

Idea:
    How much the fused prediction depends on a modality is measured by giving its part of other
    samples to each sample of the batch, and comparing the predictions. Each modality is a player:
    its encoder and its block of the head raise the dependence on itself and, in the greedy form,
    lower that on the others. So none is content to let another decide. Unimodal losses, and a
    contrastive loss that draws features of one class together, go along.

    The pieces of the greedy game add up to zero, but not their gradients, since in each piece only
    one player moves. Only the parts of the fused logits are exchanged, so that a step takes one
    pass of each encoder, however many permutations there are. The fused prediction must be a sum
    of parts that are linear in the features of one modality: heads `auxiliary`, `concat`, `sum`.

    With more than two modalities one modality is exchanged at a time, and the dependence on the
    others is a mean. A part is exchanged among the samples that have the modality. The authors
    start from encoders that were trained alone.

Equations:
    With $f = \sum_j u_j + b$ and $f^{(m)}$ the same with $u_m$ taken from other samples, drawn
    without replacement, in $n$ permutations,

    $$J_m = \mathrm{mean} \, \mathrm{JSD} \left( \mathrm{softmax} \, f, \;
    \mathrm{softmax} \, f^{(m)} \right)$$

    in nats, between 0 and $\log 2$. A player $m$ descends

    $$- J_m - k \, \mathrm{mean}_{j \neq m} \, J_j$$

    with all parts but its own held constant: $k = -1$ is greedy, 0 independent, and 1
    collaborative. In all,

    $$L = \mathrm{CE}(f, y) + a \sum_m \mathrm{CE}(v_m, y) + \lambda \, L_{game} + \mu L_{con}$$

    $L_{con}$ compares the normalised features $h$ of all modalities and samples, with $P(i)$ the
    others of the same class:

    $$L_{con} = \mathrm{mean}_i \, \frac{-1}{|P(i)|} \sum_{p \in P(i)} \log
    \frac{\exp(h_i \cdot h_p / \tau)}{\sum_{j \neq i} \exp(h_i \cdot h_j / \tau)}, \qquad
    \tau = 1/2$$

    Published for CREMA-D with ResNets: $\lambda = 0.1$, $a = 0.01$, $n = 32$, $\mu = 1$; for AVE
    $\lambda = 0.01$. The default $a = 1$ is that of their other encoders, as these here need not be
    pretrained. They report 76.1 on CREMA-D, where the unimodal losses alone give 69.2. With $a$,
    $\lambda$ and $\mu$ all 0 it is joint training.

Where published code departs:
    features are computed again in evaluation mode for the game    not offered
    a bottleneck loss, for self-supervised encoders                not offered
    three modalities are exchanged two by two                      not offered
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar
from zlib import crc32

import torch
from torch import Tensor
from torch.nn import functional as F

from equipoise.batch import Batch, Output
from equipoise.checks import choice, integer, is_number, not_negative, positive, require
from equipoise.errors import ConfigError
from equipoise.heads.auxiliary import Auxiliary
from equipoise.heads.base import Head
from equipoise.methods.parts.auxiliary import auxiliary_loss
from equipoise.methods.parts.whole_batch import whole_batch
from equipoise.registry import POSITIVE, Effect
from equipoise.training.context import Context
from equipoise.training.method import Method

GAMES = {"greedy": -1.0, "independent": 0.0, "collaborative": 1.0}
"""k of each game."""


def jensen_shannon(first: Tensor, second: Tensor) -> Tensor:
    """JSD (…) of the softmax of two logits (…, C), in nats."""
    p = first.log_softmax(-1)
    q = second.log_softmax(-1)
    middle = torch.logaddexp(p, q) - torch.tensor(2.0, dtype=p.dtype).log()
    return ((p.exp() * (p - middle)).sum(-1) + (q.exp() * (q - middle)).sum(-1)) / 2


def game_loss(
    parts: Mapping[str, Tensor],
    present: Mapping[str, Tensor],
    rest: Tensor,
    orders: Mapping[str, Tensor],
    cooperation: float,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The sum of what the players descend, in each of which only one player moves.

    Args:
        parts: {modality: u_m (N, C)}.
        present: {modality: bool (N,)}.
        rest: f minus all parts (N, C), a constant.
        orders: {modality: int64 (n, K)}, permutations of the K samples that have it.
        cooperation: k.

    Returns:
        The loss, a scalar, and {modality: J_m}, scalars without gradient.
    """
    loss = rest.new_zeros(())
    found = {}
    players = list(orders)
    shown = {m: u * present[m].unsqueeze(1) for m, u in parts.items()}
    still = {m: u.detach() for m, u in shown.items()}
    for modality in players:
        rows = present[modality].nonzero(as_tuple=True)[0]
        for player in players:
            own = 1.0 if player == modality else cooperation / max(len(players) - 1, 1)
            moving = {**still, player: shown[player]}
            fused = rest + torch.stack([*moving.values()]).sum(0)
            part = moving[modality][rows]
            kept = fused[rows] - part
            exchanged = kept + part[orders[modality]]  # (n, K, C)
            apart = jensen_shannon(fused[rows].expand_as(exchanged), exchanged).mean(0)
            # Where the player is absent, nothing of it moves.
            with_player = present[player][rows]
            dependence = torch.where(with_player, apart, 0.0).sum() / with_player.sum().clamp_min(1)
            if player == modality:
                found[modality] = dependence.detach()
            if own:
                loss = loss - own * dependence
    return loss, found


def contrast(features: Tensor, label: Tensor, temperature: float) -> Tensor:
    """L_con, a scalar, of features (N, d) of all modalities, and the labels (N,) of their samples.

    Features without another one of their class do not count.
    """
    h = F.normalize(features, dim=1)
    itself = torch.eye(len(h), dtype=torch.bool, device=h.device)
    similar = (h @ h.T / temperature).masked_fill(itself, -torch.inf)
    log_p = similar - similar.logsumexp(1, keepdim=True)
    partner = (label.unsqueeze(0) == label.unsqueeze(1)) & ~itself
    number = partner.sum(1)
    terms = -torch.where(partner, log_p, 0.0).sum(1) / number.clamp_min(1)
    return terms.sum() / (number > 0).sum().clamp_min(1)


def linear_parts(head: Head, output: Output) -> dict[str, Tensor]:
    """u_m (B, C), the parts of the fused logits that are linear in the features.

    Raises:
        ConfigError: the fused logits have no such parts.
    """
    if head.decomposable:
        return dict(output.logits)
    if isinstance(head, Auxiliary):
        return {m: head.blocks[m](z) for m, z in output.features.items()}
    raise ConfigError(
        "method 'mcr' exchanges what each modality adds to the fused logits, and those of "
        f"{type(head).__name__} are not a sum over modalities; use head 'auxiliary'"
    )


class MCR(Method):
    """The multimodal competition regulariser.

    Args:
        weight: λ, the weight of the game; 0 for none.
        game: k, "greedy" (-1), "independent" (0) or "collaborative" (1).
        permutations: n, how often the parts are exchanged in a step.
        unimodal_weight: a, the weight of each modality's own loss.
        contrast: μ, the weight of the contrastive loss; "auto" for 1 where the features of all
            modalities have one width, and 0 where they cannot be compared.
        temperature: τ of the contrastive loss.
    """

    effect: ClassVar[Effect] = {
        "game": ("weight", POSITIVE),
        "permutations": ("weight", POSITIVE),
    }

    def __init__(
        self,
        weight: float = 0.1,
        game: str = "greedy",
        permutations: int = 32,
        unimodal_weight: float = 1.0,
        contrast: float | str = "auto",
        temperature: float = 0.5,
    ) -> None:
        super().__init__()
        usable = contrast == "auto" or (is_number(contrast) and contrast >= 0)
        require(
            "MCR",
            not_negative("weight", weight),
            choice("game", game, GAMES),
            integer("permutations", permutations, 1),
            not_negative("unimodal_weight", unimodal_weight),
            ("contrast", usable, "at least 0 and finite, or auto", contrast),
            positive("temperature", temperature),
        )
        self.weight = weight
        self.cooperation = GAMES[game]
        self.permutations = permutations
        self.unimodal_weight = unimodal_weight
        self.contrast = contrast
        self.temperature = temperature
        self.contrast_weight = 0.0

    def setup(self, ctx: Context) -> None:
        """Find out whether features can be compared.

        Raises:
            ConfigError: the fused logits are not a sum over modalities, or features of different
                widths are to be compared.
        """
        head = ctx.model.head
        if self.weight and not (head.decomposable or isinstance(head, Auxiliary)):
            linear_parts(head, Output({}, {}, torch.empty(0)))
        widths = {*head.widths.values()}
        if not isinstance(self.contrast, str):
            self.contrast_weight = self.contrast
        else:
            self.contrast_weight = 1.0 if len(widths) == 1 else 0.0
        if self.contrast_weight and len(widths) > 1:
            raise ConfigError(
                "method 'mcr' with 'contrast' compares features of all modalities, and their "
                f"widths are {', '.join(map(str, sorted(widths)))}; give the encoders one width"
            )

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        own = dict.fromkeys(ctx.training, self.unimodal_weight)
        loss = auxiliary_loss(own, output, batch, ctx)
        shown = ctx.present_in(batch)
        if self.weight and len(shown) > 1:
            loss = loss + self.weight * self.play(shown, output, batch, ctx)
        if self.contrast_weight and shown:
            whole = whole_batch(shown, output.features, batch, ctx)
            features = torch.cat([whole.values[m][whole.present[m]] for m in shown])
            label = torch.cat([whole.label[whole.present[m]] for m in shown])
            loss = loss + self.contrast_weight * contrast(features, label, self.temperature)
        return loss

    def play(self, shown: Sequence[str], output: Output, batch: Batch, ctx: Context) -> Tensor:
        """L_game over the samples of all ranks."""
        parts = linear_parts(ctx.model.head, output)
        here = {m: parts[m] * batch.present[m].unsqueeze(1) for m in shown}
        rest = (output.fused - torch.stack([*here.values()]).sum(0)).detach()
        whole = whole_batch([*shown, ""], {**here, "": rest}, batch, ctx)
        seed = int(torch.randint(2**31, (), generator=ctx.rng))
        orders = {}
        for modality in shown:
            count = int(whole.present[modality].sum())
            stream = torch.Generator().manual_seed(seed + crc32(modality.encode()))
            order = torch.rand(self.permutations, count, generator=stream).argsort(1)
            orders[modality] = order.to(rest.device)
        loss, dependence = game_loss(
            {m: whole.values[m] for m in shown},
            whole.present,
            whole.values[""].detach(),
            orders,
            self.cooperation,
        )
        ctx.log(**{f"dependence/{m}": value for m, value in dependence.items()})
        return loss
