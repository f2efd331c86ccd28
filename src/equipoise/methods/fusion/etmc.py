"""ETMC: TMC with a pseudo-view.

Han, Zhang, Fu, Zhou. Trusted Multi-View Classification with Dynamic Evidential Fusion. IEEE TPAMI
45(2), 2551-2566, 2023. Code: github.com/hanmenghan/TMC

Beside the opinion of each modality (see `tmc`) there is one of the pseudo-view, a linear classifier
on the concatenated features, so that early fusion takes part in the evidential combination:

    e_ps = softplus([z_1; …; z_M] Wᵀ + b)
    e = K (Π_m (1 + e_m / K) · (1 + e_ps / K) − 1)
    L = Σ_m ℓ(α_m) + ℓ(α_ps) + ℓ(α)

with ℓ, and λ_t over the epochs, as in `tmc`. There is one pseudo-view however many modalities there
are. Where a sample lacks a modality the pseudo-view is not defined; it then says nothing and has no
loss, or reads zeros in the missing place with the head's option `incomplete: zero`.

The defaults are those of the published code: T = 10, and t from 0, so that λ is 0 in the first
epoch.

Cost: that of joint training with heads `sum` and `concat` together; the pseudo-view is read out
    twice.
"""

from __future__ import annotations

from typing import cast

from equipoise.batch import Batch, Output
from equipoise.heads import evidential
from equipoise.methods.fusion.tmc import TMC, Opinions
from equipoise.methods.parts.features import features_here
from equipoise.training.context import Context


class ETMC(TMC):
    """TMC's losses, and one more for the pseudo-view.

    Args:
        annealing_epochs: T, epochs until the price on misleading evidence is full.
        annealing_start: number of the first epoch; with 0 it costs nothing there.
        fit: "cross-entropy" (paper) or "squared-error" (option of the published code).
    """

    name = "etmc"
    kind = evidential.ETMC

    def __init__(
        self, annealing_epochs: int = 10, annealing_start: int = 0, fit: str = "cross-entropy"
    ) -> None:
        super().__init__(annealing_epochs, annealing_start, fit)

    def opinions(self, output: Output, batch: Batch, ctx: Context) -> Opinions:
        head = cast(evidential.ETMC, self.head(ctx.model))
        shown = features_here(output, batch)
        return {
            **super().opinions(output, batch, ctx),
            "pseudo-view": head.pseudo_view(shown, batch.present),
        }
