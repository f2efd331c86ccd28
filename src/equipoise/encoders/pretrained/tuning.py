"""How much of a pretrained network is trained: all of it, nothing, or low-rank adapters."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from equipoise.checks import choice, require, whole
from equipoise.encoders.pretrained.hub import one_line
from equipoise.errors import ConfigError

TUNINGS = ("full", "frozen", "lora")


def tune(
    owner: str, network: nn.Module, tuning: str, rank: int, alpha: int, targets: str | Sequence[str]
) -> None:
    """Freeze the network, or all but adapters put into it, in place.

    LoRA (Hu et al., ICLR 2022) adds (alpha / rank) · B A to a linear layer's weight; B starts at 0,
    so the network starts as it was.

    Raises:
        ConfigError: a wrong value, targets that no layer matches, or peft is not installed.
    """
    require(
        owner, choice("tuning", tuning, TUNINGS), whole("rank", rank, 1), whole("alpha", alpha, 1)
    )
    if tuning == "frozen":
        network.requires_grad_(False)
    if tuning == "lora":
        _adapt(owner, network, rank, alpha, targets)


def _adapt(
    owner: str, network: nn.Module, rank: int, alpha: int, targets: str | Sequence[str]
) -> None:
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise ConfigError(
            f"{owner}: tuning=lora needs peft, which is not installed; pip install 'equipoise[transformers]'"
        ) from None
    chosen = targets if isinstance(targets, str) else list(targets)
    with one_line(owner, f"adapting the layers {chosen!r}"):
        inject_adapter_in_model(
            LoraConfig(r=rank, lora_alpha=alpha, target_modules=chosen), network
        )
