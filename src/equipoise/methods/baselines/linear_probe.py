r"""Linear probe: frozen encoders, and a new linear classifier on their features.

Alain, Bengio. Understanding intermediate layers using linear classifier probes. ICLR 2017 workshop.
Re-implementation for multimodal models: github.com/GeWu-Lab/BalanceBenchmark

Idea:
    The probe measures how much the features of trained encoders tell about the classes. `run` names
    the folder of a finished run, and the encoders of its best epoch are read. Without it the
    encoders are probed as they are built, pretrained or random.

    Encoders run in evaluation mode and without gradients: neither their parameters nor their
    running statistics change. Only the head trains. As no encoder is shared, the $M + 1$
    classifiers are independent probes: one of all the features, and one of each modality's. With a
    head without own classifiers only the first term of the loss is left.

    Any number of modalities. A step costs one forward pass of each encoder and no backward pass.

Equations:
    $$L = \mathrm{CE}(f, y) + \sum_m \mathrm{CE}(v_m, y)$$

    $f$ comes from the concatenated features and $v_m$ from those of one modality (head
    `auxiliary`).

Where published code departs:
    BalanceBenchmark resets its best score before every evaluation, so that it
    always keeps the last epoch; here validation chooses the epoch                  not offered
"""

from __future__ import annotations

import torch
from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.checks import require
from equipoise.errors import ConfigError
from equipoise.evaluating import evaluating
from equipoise.methods.parts.auxiliary import auxiliary_loss
from equipoise.training.context import Context
from equipoise.training.method import Method


class LinearProbe(Method):
    """Training of the head alone.

    Args:
        run: folder of a finished run with the same encoders; null for none, which probes the
            encoders as they are built.
    """

    def __init__(self, run: str | None = None) -> None:
        super().__init__()
        named = run is None or (isinstance(run, str) and run != "")
        require("LinearProbe", ("run", named, "the folder of a finished run", run))
        self.run = run

    def setup(self, ctx: Context) -> None:
        """Read the encoders of the run, if there is one.

        Raises:
            RunError: the folder holds no finished run, or its weights are damaged.
            ConfigError: its encoders are not those of this model.
        """
        if self.run is None:
            return
        prefix = "encoders."
        learned = ctx.weights_of(self.run).items()
        weights = {name.removeprefix(prefix): w for name, w in learned if name.startswith(prefix)}
        ours = {name: tuple(w.shape) for name, w in ctx.model.encoders.state_dict().items()}
        theirs = {name: tuple(w.shape) for name, w in weights.items()}
        different = sorted({*ours.items()} ^ {*theirs.items()})
        if different:
            raise ConfigError(
                f"{self.run}: its encoders are not those of this model ({different[0][0]!r} "
                "differs); give the probe the modalities and the encoders of that run"
            )
        ctx.model.encoders.load_state_dict(weights)

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        own = ctx.training if ctx.model.head.own_classifiers else ()
        return auxiliary_loss(dict.fromkeys(own, 1.0), output, batch, ctx)

    def step(self, batch: Batch, ctx: Context) -> None:
        with evaluating(ctx.model.encoders), torch.no_grad():
            features = ctx.model(batch).features
        shown = {m: z for m, z in features.items() if batch.counts[m]}
        ctx.backward(self.loss(ctx.model.read(shown, batch.present), batch, ctx))
        ctx.update()
