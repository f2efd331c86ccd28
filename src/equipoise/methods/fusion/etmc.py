r"""ETMC: TMC with a pseudo-view.

Han, Zhang, Fu, Zhou. Trusted Multi-View Classification with Dynamic Evidential Fusion. IEEE TPAMI
45(2), 2551-2566, 2023.
Code: github.com/hanmenghan/TMC

Idea:
    Beside the opinion of each modality (see `tmc`) there is one of the pseudo-view, a linear
    classifier on the concatenated features, so that early fusion takes part in the evidential
    combination. There is one pseudo-view however many modalities there are.

    Where a sample lacks a modality the pseudo-view is not defined. It then says nothing and has no
    loss, or reads zeros in the missing place with the head's option `incomplete: zero`.

    The cost is that of joint training with heads `sum` and `concat` together; the pseudo-view is
    read out twice.

Equations:
    $$e_{ps} = \mathrm{softplus}([z_1; \ldots; z_M] W^\top + b)$$

    $$e = K \left( \prod_m (1 + e_m / K) \cdot (1 + e_{ps} / K) - 1 \right)$$

    $$L = \sum_m \ell(\alpha_m) + \ell(\alpha_{ps}) + \ell(\alpha)$$

    with $\ell$, and $\lambda_t$ over the epochs, as in `tmc`. As in the published code $t$ is
    counted from 0, so that $\lambda$ is 0 in the first epoch. Its $T = 10$ is a tenth of the epochs
    here.

Where published code departs:
    No departure of the published code is known.
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
        annealing: T, the fraction of the epochs until misleading evidence has its full price.
        annealing_start: number of the first epoch; with 0 misleading evidence costs nothing in it.
        fit: "cross-entropy" (paper) or "squared-error" (option of the published code).
    """

    name = "etmc"
    kind = evidential.ETMC

    def __init__(
        self, annealing: float = 0.1, annealing_start: int = 0, fit: str = "cross-entropy"
    ) -> None:
        super().__init__(annealing, annealing_start, fit)

    def opinions(self, output: Output, batch: Batch, ctx: Context) -> Opinions:
        head = cast(evidential.ETMC, self.head(ctx.model))
        shown = features_here(output, batch)
        return {
            **super().opinions(output, batch, ctx),
            "pseudo-view": head.pseudo_view(shown, batch.present),
        }
