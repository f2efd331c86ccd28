r"""CRA: a cascade of residual autoencoders restores what is missing.

Tran, Liu, Zhou, Jin. Missing Modalities Imputation via Cascaded Residual Autoencoder. CVPR 2017.
Code: github.com/tranluan/CRA; on features, as here: github.com/zeroQiaoba/GCNet

Idea:
    The joint vector is the concatenation of the features, with zeros where a modality is absent.
    Each block of the cascade predicts what the blocks before it left missing and adds it. A
    classifier reads the result. Hidden content is chosen as for AE: what the simulated regime
    hides, and otherwise a further modality at random.

    The imputer of the paper has no classifier and trains greedily: block 1, then block 2 with the
    first one frozen, and so on, then all together. `training: greedy` does so with one phase for
    each block. A block starts as the identity, since its last layer is zero, and moves only in its
    own phase and in the last one.

    Any number of modalities. Cost: as for AE, with an autoencoder for each block.

Equations:
    With the joint vector $x_0$, the blocks $g_k$ and $\hat x = x_K$:

    $$x_{k+1} = x_k + g_k(x_k)$$

    $$L = \mathrm{CE}(f(\hat x), y)
        + w \sum_n \sum_m c_{nm} \, \lVert \hat x_{nm} - x_{nm} \rVert^2 / d_m$$

    where $c_{nm} = 1$ for every cell with known content (`entries: known`, the paper), or for the
    hidden ones only (`entries: hidden`, GCNet). $x$ are the encoder's features, which the second
    term does not train as a target. The loss weight of the paper is not known; the default of $w$
    is GCNet's.

Where published code departs:
    the blocks train one by one (paper); GCNet trains
    all at once, which is the default                    `training: greedy`
    only hidden cells count (GCNet)                      `entries: hidden`
    two more layers close the cascade (GCNet)            head option `transition: true`
    trained with Adam at a rate of 1e-3 (GCNet), which
    moves the long cascade much faster than SGD          `optimiser.name`, `optimiser.lr`
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import ClassVar, cast

from torch import Tensor, nn

from equipoise.batch import Batch
from equipoise.checks import choice, require
from equipoise.errors import ConfigError
from equipoise.heads.cra import CRA as Head
from equipoise.heads.parts.cascade import Autoencoder
from equipoise.methods.missing.ae import Imputation
from equipoise.registry import POSITIVE, Effect
from equipoise.training.context import Context
from equipoise.training.phase import Phase

COUNTED = ("known", "hidden")
TRAINING = ("joint", "greedy")


class CRA(Imputation[Head]):
    """Cascaded residual autoencoder.

    Args:
        weight: w of the reconstruction; GCNet tries 0.01, 0.02 and 0.03, and its example has 0.8.
        reduction: of the reconstruction, "sum" over the samples of the batch, as published, or
            "mean".
        hide: probability that a row loses a further modality, where its own hidden content is not
            known.
        clip: largest norm of the gradient, 5 as published; 0 for no limit.
        entries: the cells whose reconstruction counts, "known" (paper) or "hidden" (GCNet).
        training: "joint" (GCNet), or "greedy" (paper) with a phase for each block and one for all.
    """

    effect: ClassVar[Effect] = {**Imputation.effect, "entries": ("weight", POSITIVE)}

    name = "cra"
    kind = Head

    def __init__(
        self,
        weight: float = 0.02,
        reduction: str = "sum",
        hide: float = 0.5,
        clip: float = 5.0,
        entries: str = "known",
        training: str = "joint",
    ) -> None:
        super().__init__(weight, reduction, hide, clip)
        require("CRA", choice("entries", entries, COUNTED), choice("training", training, TRAINING))
        self.entries = entries
        self.greedy = training == "greedy"
        self.blocks = 0

    def setup(self, ctx: Context) -> None:
        """Count the blocks; under greedy training each starts as the identity.

        Raises:
            ConfigError: the head is another one, or there are fewer epochs than phases.
        """
        super().setup(ctx)
        blocks = self.autoencoders(ctx)
        self.blocks = len(blocks)
        if not self.greedy:
            return
        if ctx.epochs <= self.blocks:
            raise ConfigError(
                f"CRA: greedy training of {self.blocks} blocks takes at least {self.blocks + 1} "
                f"epochs, found {ctx.epochs}; raise 'epochs' or lower 'head.blocks'"
            )
        for block in blocks:
            nn.init.zeros_(block.last.weight)
            nn.init.zeros_(block.last.bias)

    def phases(self, epochs: int) -> Iterator[Phase]:
        count = self.blocks + 1 if self.greedy else 1
        bounds = [epochs * k // count for k in range(count + 1)]
        for start, end in pairwise(bounds):
            # Before the last phase there are blocks that have not trained.
            yield Phase(end - start, selectable=end == epochs)

    def cells(self, batch: Batch, kept: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return dict(batch.existing) if self.entries == "known" else super().cells(batch, kept)

    def after_backward(self, ctx: Context) -> None:
        """Freeze every block but that of the phase, under greedy training and until the last phase.

        The gradients become None, not zero: momentum and weight decay would move a block whose
        gradient is zero.
        """
        number = ctx.position.phase
        if not self.greedy or number >= self.blocks:
            return
        for k, block in enumerate(self.autoencoders(ctx)):
            if k != number:
                for parameter in block.parameters():
                    parameter.grad = None

    def autoencoders(self, ctx: Context) -> list[Autoencoder]:
        """Blocks of the cascade, from first to last."""
        return [cast(Autoencoder, block) for block in self.head(ctx.model).cascade.blocks]
