"""Methods in two stages: the encoders train, then they are frozen and the head is fitted."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping

from torch import Tensor

from equipoise.batch import Batch
from equipoise.checks import inside, require
from equipoise.methods.parts.own_head import H, OwnHead
from equipoise.methods.parts.reconstruction import encoded_aside
from equipoise.training.context import Context
from equipoise.training.phase import Phase


class FrozenEncoders(OwnHead[H]):
    """Base of a method that trains the encoders first, and then the head on their features.

    Args:
        pretrain: fraction of the epochs that train the encoders; none if they have nothing to
            train.
    """

    def __init__(self, pretrain: float) -> None:
        super().__init__()
        require(type(self).__name__, inside("pretrain", pretrain, "[0, 1)"))
        self.pretrain = pretrain
        self.trains_encoders = True

    def setup(self, ctx: Context) -> None:
        """Find out whether the encoders have anything to train.

        Raises:
            ConfigError: the head is another one.
        """
        super().setup(ctx)
        self.trains_encoders = any(p.requires_grad for p in ctx.model.encoders.parameters())

    def phases(self, epochs: int) -> Iterator[Phase]:
        first = min(round(self.pretrain * epochs), epochs - 1) if self.trains_encoders else 0
        # Until the head is fitted, what it predicts says nothing.
        yield Phase(first, selectable=False)
        yield Phase(epochs - first)

    def step(self, batch: Batch, ctx: Context) -> None:
        if ctx.position.phase == 0:
            ctx.backward(self.encoder_loss(ctx.model.encode(batch), batch, ctx))
            ctx.update()
            return
        self.fit(encoded_aside(ctx.model, batch), batch, ctx)

    @abstractmethod
    def encoder_loss(self, features: Mapping[str, Tensor], batch: Batch, ctx: Context) -> Tensor:
        """The loss that trains the encoders, from their features {modality: (B, d_m)}."""

    @abstractmethod
    def fit(self, features: Mapping[str, Tensor], batch: Batch, ctx: Context) -> None:
        """Train on one minibatch of the second stage, whose features are constants."""
