r"""ML-LSTM: the modalities are the steps of a short sequence that a multilayer LSTM reads.

Nie, Yan, Song, Wang. Multi-modal feature fusion based on multi-layers LSTM for video emotion
recognition. Multimedia Tools and Applications 80, 2021; the baseline ML-LSTM of the LFM paper.
Neither code nor the configuration of LFM's row is public: this is our form of the idea for one
feature per modality.

$$x_m = z_m P_m^\top + p_m \qquad h = \mathrm{LSTM}(x_1, \dots, x_M) \qquad
f = h_M W_o^\top + b_o$$

Absent modalities are skipped, not fed as zeros: a step with zero input would still move the state.
One modality alone is a sequence of one step. The order of declaration is the order of the steps;
`bidirectional` reads both ways.

The dropout of 0.5 that is common on the last state is off by default, so that k processes equal
one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from equipoise.checks import flag, inside, integer, require
from equipoise.heads.parts.joint import JointHead


class MLLSTM(JointHead):
    """A projection per modality, a multilayer LSTM over the modalities, and a linear classifier.

    Args:
        hidden: width of the projections and of every layer.
        layers: number of layers of the LSTM.
        bidirectional: let a second LSTM read the modalities backwards; the classifier reads the
            mean of both last states.
        dropout: on the last state.

    Raises:
        ConfigError: an option out of its range.
    """

    fused_only = "recurrent weights"  # a sequence of one step has no state to multiply

    def __init__(
        self,
        widths: Mapping[str, int],
        classes: int,
        hidden: int = 128,
        layers: int = 2,
        bidirectional: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(widths, classes)
        require(
            "MLLSTM",
            integer("hidden", hidden, 1),
            integer("layers", layers, 1),
            flag("bidirectional", bidirectional),
            inside("dropout", dropout, "[0, 1)"),
        )
        for modality, width in widths.items():
            self.blocks[modality] = nn.Linear(width, hidden)
        self.directions = nn.ModuleList(
            nn.ModuleList(_cell(hidden) for _ in range(layers)) for _ in range(1 + bidirectional)
        )
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(hidden, classes)

    def read(self, features: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        steps = [
            (self.blocks[m](features[m]), present[m].unsqueeze(-1))
            for m in self.modalities
            if m in features
        ]
        rows = len(next(iter(present.values())))
        zeros = self.classifier.weight.new_zeros(rows, self.classifier.in_features)
        orders = (steps, reversed(steps))
        directions = cast(Iterable[nn.ModuleList], self.directions)
        ends = [
            self._last(cells, order, zeros)
            for cells, order in zip(directions, orders, strict=False)
        ]
        logits: Tensor = self.classifier(self.dropout(torch.stack(ends).mean(0)))
        return logits

    @staticmethod
    def _last(
        cells: nn.ModuleList, steps: Iterable[tuple[Tensor, Tensor]], zeros: Tensor
    ) -> Tensor:
        """State (B, hidden) of the top layer after the last present step of each row.

        A row without any present step keeps zeros.

        Args:
            cells: of the layers, the lowest first.
            steps: (B, hidden) and presence bool (B, 1) of each modality.
            zeros: (B, hidden).
        """
        states = [(zeros, zeros) for _ in cells]
        for step, there in steps:
            below = step
            for layer, cell in enumerate(cells):
                old_hidden, old_memory = states[layer]
                hidden, memory = cell(below, states[layer])
                below = torch.where(there, hidden, old_hidden)
                states[layer] = below, torch.where(there, memory, old_memory)
        return states[-1][0]


def _cell(hidden: int) -> nn.LSTMCell:
    """LSTM cell with Xavier weights per gate, orthogonal recurrence and an open forget gate.

    The default initialisation of nn.LSTMCell shrinks a signal through two layers so much that SGD
    needs hundreds of steps to do better than chance.
    """
    cell = nn.LSTMCell(hidden, hidden)
    gains = {"input": 1.0, "forget": 1.0, "cell": nn.init.calculate_gain("tanh"), "output": 1.0}
    for weight, recurrence, gain in zip(
        cell.weight_ih.chunk(4), cell.weight_hh.chunk(4), gains.values(), strict=True
    ):
        nn.init.xavier_uniform_(weight, gain)
        nn.init.orthogonal_(recurrence)
    nn.init.zeros_(cell.bias_hh)
    nn.init.zeros_(cell.bias_ih)
    nn.init.ones_(cell.bias_ih[hidden : 2 * hidden])
    return cell
