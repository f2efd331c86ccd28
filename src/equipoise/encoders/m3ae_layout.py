"""Names of M3AE's weights: the authors' flax paths, and the PyTorch names of the port that MLA uses."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

Rules = tuple[tuple[str, str], ...]

PORT: Rules = (
    (r"^encoder\.blocks\.", "blocks."),
    (r"^encoder\.layer_norm\.", "norm."),
    (r"\.layer_norm([12])\.", r".norm\1."),
    (r"\.attention\.qkv_linear\.", ".attn.qkv."),
    (r"\.attention\.fc\.", ".attn.proj."),
    (r"\.transformer_mlp\.", ".mlp."),
)
FLAX: Rules = (
    (r"^encoder\.Block_(\d+)\.", r"blocks.\1."),
    (r"^encoder\.LayerNorm_0\.", "norm."),
    (r"\.LayerNorm_0\.", ".norm1."),
    (r"\.LayerNorm_1\.", ".norm2."),
    (r"\.Attention_0\.Dense_0\.", ".attn.qkv."),
    (r"\.Attention_0\.Dense_1\.", ".attn.proj."),
    (r"\.TransformerMLP_0\.", ".mlp."),
    (r"\.(kernel|scale|embedding)$", ".weight"),
)
PRETRAINING = ("decoder", "image_mask_embedding", "text_mask_embedding")  # what only reconstruction needs


def own_state(state: Mapping[str, Tensor], modality: str) -> dict[str, Tensor]:
    """Published weights under the names of `M3AE`; what it has no place for is left out, unknown names stay.

    Args:
        state: of the port, or flat flax paths joined by '/' or '.', kernels not yet transposed. The kernel of patches
            stays in the published pixel order in both.
        modality: "image" or "text"; the embedding of the other one is left out.
    """
    dotted = {name.replace("/", "."): value for name, value in state.items()}
    rules = FLAX if any(".Block_" in name for name in dotted) else PORT
    other = {"image": "text", "text": "image"}[modality]
    left_out = (*PRETRAINING, f"{other}_embedding.", f"encoder_{other}_type_embedding")
    return {
        _renamed(name, rules, modality): value.T if name.endswith(".kernel") else value
        for name, value in dotted.items()
        if not name.startswith(left_out)
    }


def _renamed(name: str, rules: Rules, modality: str) -> str:
    embedding: Rules = (
        (rf"^{modality}_embedding\.", "embedding.content."),
        (rf"^encoder_{modality}_type_embedding$", "embedding.type_embedding"),
    )
    for pattern, replacement in (*rules, *embedding):
        name = re.sub(pattern, replacement, name)
    return name
