r"""TATE: a tag-assisted transformer encoder.

Zeng, Liu, Zhou. Tag-assisted Multimodal Sentiment Analysis under Uncertain Missing Modalities.
SIGIR 2022; Zeng, Zhou, Liu. Robust Multimodal Sentiment Analysis via Tag Encoding of Uncertain
Missing Modalities. IEEE TMM 2022.
Code: github.com/JaydenZeng/TATE

Idea:
    Tokens of the modalities, projected pairwise into common spaces, carry a tag that says which
    modalities are missing. A transformer encoder reads them and a decoder restores them. A teacher,
    trained on all content there is and then frozen, gives the encoding that the student should
    reach. The student goes on from the teacher's weights and sees some of the modalities of each
    sample. They are chosen as for MMIN: the sample's own mask where hidden content exists (the
    simulated regime), and any non-empty set of what it has otherwise. A feature is one token. The
    token of an absent modality is zero except for the tag.

    Any number of modalities. Cost: 2 − t forward passes and 1 backward pass, where t is the
    teacher's fraction of the epochs, and M + 2 transformer layers.

Equations:
    $$L = \mathrm{CE}(f, y) + w_f \, D(\mathrm{encoded}, \mathrm{encoded}_{\mathrm{teacher}})
        + w_b \, D(\mathrm{decoded}, \mathrm{tagged})
        + w_t \, \lvert \mathrm{tag} - \sigma(\mathrm{pooled}) \rvert$$

    $$D(a, b) = \mathrm{KL}(p \Vert q) + \mathrm{KL}(q \Vert p), \qquad
        p = \mathrm{softmax}(a), \; q = \mathrm{softmax}(b)$$

    with the softmax over the features and the mean over tokens and samples; $\mathrm{tagged}$ is
    the input of the encoder. The last term compares the tag with the entries of the pooled vector
    in its place, and is averaged. The teacher has all terms but the second.

Where published code departs:
    it sums D and CE over its batches of 32 and averages
    the rest, so that w_t = 0.1/32 in means              `tag_weight: 0.003125`
    it has an L2 penalty on the classifier               `optimiser.weight_decay`
    it compares objects instead of values, so that its
    tag is the same for every pattern                    not offered
    its teacher sees the student's incomplete input      not offered
    two of the patterns never occur                      not offered
    nothing is masked at all on IEMOCAP                  not offered
    modalities are sequences of tokens 300 wide; here a
    feature is one token, no wider than the widest
    feature                                              head option `width`
    dropout of 0.2                                       head option `dropout: 0.2`
    trained with Adam at a rate of 1e-3: SGD moves its
    layers slowly, and needs several times the epochs of
    joint training                                       `optimiser.name`, `optimiser.lr`
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from equipoise.batch import Batch
from equipoise.checks import not_negative, require
from equipoise.heads.tate import TATE as Head
from equipoise.heads.tate import Interpretation, missing_tag
from equipoise.methods.parts.hiding import keep_some
from equipoise.methods.parts.losses import mean_loss
from equipoise.methods.parts.teacher import TeacherStudent
from equipoise.model import Model
from equipoise.training.context import Context


def symmetric_divergence(first: Tensor, second: Tensor) -> Tensor:
    """D (B,): KL(p‖q) + KL(q‖p) averaged over the tokens.

    Args:
        first: tokens (B, T, W); p is their softmax over the features.
        second: tokens (B, T, W); q is their softmax over the features.
    """
    p = F.log_softmax(first, 2)
    q = F.log_softmax(second, 2)
    return ((p.exp() - q.exp()) * (p - q)).sum(2).mean(1)


class TATE(TeacherStudent[Head]):
    """Tag-assisted transformer encoder.

    Args:
        forward_weight: w_f, the weight of the agreement with the teacher.
        backward_weight: w_b, the weight of restoring the tagged input.
        tag_weight: w_t, the weight of predicting the tag; 0.1/32 is the published 0.1, which
            applies to sums over batches of 32.
        teacher: fraction of the epochs that train the teacher; it gets at least one where there are
            two.
        include_complete: let the student see complete samples too; false is the published draw.
    """

    name = "tate"
    kind = Head

    def __init__(
        self,
        forward_weight: float = 0.1,
        backward_weight: float = 0.1,
        tag_weight: float = 0.1 / 32,
        teacher: float = 0.5,
        include_complete: bool = True,
    ) -> None:
        super().__init__(teacher, include_complete)
        require(
            "TATE",
            not_negative("forward_weight", forward_weight),
            not_negative("backward_weight", backward_weight),
            not_negative("tag_weight", tag_weight),
        )
        self.forward_weight = forward_weight
        self.backward_weight = backward_weight
        self.tag_weight = tag_weight

    def teach(self, batch: Batch, ctx: Context) -> Tensor:
        return self.own_loss(self.look(ctx.model, batch), batch, missing_tag(batch.present), ctx)

    def study(self, batch: Batch, ctx: Context) -> Tensor:
        head = self.head(ctx.model)
        kept = keep_some(batch, ctx, self.include_complete)
        reading = head.interpret(ctx.model.encode(batch), kept)
        taught = self.teacher.answer(self.look, batch.revealed())
        agreement = ctx.sample_mean(symmetric_divergence(reading.encoded, taught.encoded))
        own = self.own_loss(reading, batch, missing_tag(kept), ctx)
        return own + self.forward_weight * agreement

    def own_loss(self, reading: Interpretation, batch: Batch, tag: Tensor, ctx: Context) -> Tensor:
        """Sum of the terms that need no teacher."""
        head = self.head(ctx.model)
        restored = symmetric_divergence(head.decoder(reading.encoded), reading.tagged)
        return (
            mean_loss(reading.logits, batch, ctx)
            + self.backward_weight * ctx.sample_mean(restored)
            + self.tag_weight * ctx.sample_mean(head.tag_error(reading.pooled, tag))
        )

    def look(self, model: Model, batch: Batch) -> Interpretation:
        """Interpret everything that the batch holds."""
        return self.head(model).interpret(model.encode(batch), batch.present)
