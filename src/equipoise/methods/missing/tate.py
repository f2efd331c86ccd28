"""TATE: a tag-assisted transformer encoder.

Zeng, Liu, Zhou. Tag-assisted Multimodal Sentiment Analysis under Uncertain Missing Modalities.
SIGIR 2022; Zeng, Zhou, Liu. Robust Multimodal Sentiment Analysis via Tag Encoding of Uncertain
Missing Modalities. IEEE TMM 2022. Code: github.com/JaydenZeng/TATE

Tokens of the modalities, projected pairwise into common spaces, carry a tag that says which
modalities are missing. A transformer encoder reads them, a decoder restores them, and a teacher
that is trained on all content there is and then frozen tells what the encoder should have made of
them:

    L = CE(f, y) + w_f D(encoded, encoded by the teacher) + w_b D(decoded, tagged input) + w_t |tag
    − σ(pooled)|

D(a, b) = KL(p‖q) + KL(q‖p) of p = softmax(a), q = softmax(b) over the features, averaged over
tokens and samples; the last term compares the tag with the entries of the pooled vector in its
place, averaged. The teacher has all terms but the second. The student goes on from its weights and
sees some of the modalities of each sample, chosen as for MMIN: its own mask where hidden content
exists (the simulated regime), any non-empty set of what it has otherwise.

The published code sums D and CE over its batches of 32 and averages the rest, so that w_t = 0.1/32
in means; it also has an L2 penalty on the classifier, here the optimiser's weight decay. Where it
departs from the idea, nothing is
offered: by a comparison of objects its tag is the same for every pattern; its teacher sees the
    student's incomplete
input; two of the patterns never come up; on IEMOCAP nothing is masked at all. A feature is one
token, where the code has sequences, and so the tokens are no wider than the widest feature (the
code: 300); an absent modality's token is zero but for the tag; dropout 0.2 is an option of the
    head, off by default. It was trained with Adam at a rate of
1e-3: SGD moves its layers slowly, and needs several times the epochs of joint training. Any number
of modalities.
Cost: 2 − t forward passes and 1 backward pass, t the teacher's share of the epochs, and M + 2
    transformer
layers.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from equipoise.batch import Batch
from equipoise.checks import not_negative, require
from equipoise.heads.tate import TATE as Head
from equipoise.heads.tate import Reading, missing_tag
from equipoise.methods.parts.hiding import keep_some
from equipoise.methods.parts.reconstruction import classification
from equipoise.methods.parts.teacher import TeacherStudent
from equipoise.model import Model
from equipoise.training.context import Context


def symmetric_divergence(first: Tensor, second: Tensor) -> Tensor:
    """D (B,): KL(p‖q) + KL(q‖p) of the softmax over the features of tokens (B, T, W), averaged over the tokens."""
    p = F.log_softmax(first, 2)
    q = F.log_softmax(second, 2)
    return ((p.exp() - q.exp()) * (p - q)).sum(2).mean(1)


class TATE(TeacherStudent[Head]):
    """The tag-assisted transformer encoder.

    Args:
        forward_weight: w_f, of the agreement with the teacher.
        backward_weight: w_b, of restoring the tagged input.
        tag_weight: w_t, of telling the tag; 0.1/32 is what the published 0.1 comes to.
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
        return (
            self.own_loss(reading, batch, missing_tag(kept), ctx) + self.forward_weight * agreement
        )

    def own_loss(self, reading: Reading, batch: Batch, tag: Tensor, ctx: Context) -> Tensor:
        """The terms that need no teacher."""
        head = self.head(ctx.model)
        restored = symmetric_divergence(head.decoder(reading.encoded), reading.tagged)
        return (
            classification(reading.logits, batch, ctx)
            + self.backward_weight * ctx.sample_mean(restored)
            + self.tag_weight * ctx.sample_mean(head.tag_error(reading.pooled, tag))
        )

    def look(self, model: Model, batch: Batch) -> Reading:
        """What the model makes of all that the batch holds."""
        return self.head(model).interpret(model.encode(batch), batch.present)
