"""The pre-norm transformer block (Dosovitskiy et al., ICLR 2021) that M3AE and CAV-MAE share.

Parameters are named as in timm: `norm1`, `attn.qkv`, `attn.proj`, `norm2`, `mlp.fc1`, `mlp.fc2`.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

EXPANSION = 4
"""Width of the hidden feed-forward layer over the width of a token."""


def xavier_linear(before: int, after: int) -> nn.Linear:
    """Build a linear layer with Xavier-uniform weights and zero biases, as both papers do."""
    layer = nn.Linear(before, after)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class SelfAttention(nn.Module):
    """Self-attention whose queries, keys and values come from one linear layer, in that order.

    Args:
        width: of a token.
        heads: number of attention heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = xavier_linear(width, 3 * width)
        self.proj = xavier_linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, N, width) → (B, N, width).

        Args:
            x: tokens.
            mask: bool, broadcast to (B, heads, N, N); True where a query may see a key. None where
                it may see all of them.
        """
        query, key, value = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        out: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return out


class FeedForward(nn.Module):
    """Linear – GELU – linear, applied to each token.

    Args:
        width: of a token.
        gelu: "none" for the exact GELU, "tanh" for the approximation.
    """

    def __init__(self, width: int, gelu: Literal["none", "tanh"]) -> None:
        super().__init__()
        self.gelu = gelu
        self.fc1 = xavier_linear(width, EXPANSION * width)
        self.fc2 = xavier_linear(EXPANSION * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, width) → (B, N, width)."""
        out: Tensor = self.fc2(F.gelu(self.fc1(x), approximate=self.gelu))
        return out


class Block(nn.Module):
    """x + attention(norm(x)), then x + feed-forward(norm(x)).

    Args:
        width: of a token.
        heads: number of attention heads.
        eps: of the LayerNorms.
        gelu: "none" for the exact GELU, "tanh" for the approximation.
    """

    def __init__(
        self, width: int, heads: int, eps: float, gelu: Literal["none", "tanh"] = "none"
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=eps)
        self.attn = SelfAttention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=eps)
        self.mlp = FeedForward(width, gelu)

    def norms(self) -> tuple[nn.Module, nn.Module]:
        """The LayerNorm before the attention and the one before the feed-forward layers."""
        return self.norm1, self.norm2

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, N, width) → (B, N, width); `mask` as in `SelfAttention`."""
        before_attention, before_mlp = self.norms()
        x = x + self.attn(before_attention(x), mask)
        out: Tensor = x + self.mlp(before_mlp(x))
        return out
