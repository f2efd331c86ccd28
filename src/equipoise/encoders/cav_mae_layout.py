"""From a published CAV-MAE file to the weights of one branch."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional as F

OTHER = {"a": "v", "v": "a"}  # branches: audio, vision
PARTS = ("patch_embed", "pos_embed", "modality", "blocks", "norm")  # that each branch has of its own
JOINT = ("norm.", "decoder_", "mask_token", "mlp_head.")  # joint sequence, reconstruction, fine-tuned classifier


def branch_state(state: Mapping[str, Tensor], branch: str) -> dict[str, Tensor]:
    """Published weights of one branch under the names of `CAVMAE`; unknown names stay.

    Args:
        state: names as published, without the prefix `module.`.
        branch: "a" or "v"; the other one, the decoder and the classifier are left out.
    """
    left_out = re.compile(rf"({'|'.join(PARTS)})_{OTHER[branch]}(\.|$)")
    return {
        _renamed(name, branch): value
        for name, value in state.items()
        if not (left_out.match(name) or name.startswith(JOINT))
    }


def _renamed(name: str, branch: str) -> str:
    name = re.sub(rf"^({'|'.join(PARTS)})_{branch}(?=\.|$)", r"\1", name)
    return re.sub(r"^blocks_u\.", "shared.", name).replace("patch_embed.proj.", "patch_embed.")


def over_time(positions: Tensor, frequencies: int, times: int) -> Tensor:
    """A position table (1, frequencies · any, D) for another number of patches along time.

    For shorter sound the first columns are kept: in pretraining short clips were padded at their end. For longer
    sound the table is stretched linearly along time, as AST does (Gong et al., Interspeech 2021).

    Args:
        positions: frequency by frequency, each over time.
        frequencies: number of patches along frequency.
        times: number of patches along time to return.

    Returns:
        (1, frequencies · times, D).
    """
    grid = positions.reshape(frequencies, -1, positions.shape[-1])
    if grid.shape[1] >= times:
        return grid[:, :times].flatten(0, 1)[None]
    stretched: Tensor = F.interpolate(grid.transpose(1, 2), size=times, mode="linear")
    return stretched.transpose(1, 2).flatten(0, 1)[None]
