"""The base of all encoders that are built on the transformers library."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from equipoise.checks import choice, integer, require
from equipoise.encoders.parts.frames import encode_frames
from equipoise.encoders.parts.projection import projection
from equipoise.encoders.pretrained.hub import (
    check_folder,
    load_configuration,
    load_network,
    one_line,
)
from equipoise.errors import ConfigError
from equipoise.registry import Effect

TUNINGS = ("full", "frozen", "lora")


def tune(
    owner: str, network: nn.Module, tuning: str, rank: int, alpha: int, targets: str | Sequence[str]
) -> None:
    """Choose the parameters of a network that are trained, in place.

    LoRA (Hu et al., ICLR 2022) adds (alpha / rank) · B A to the weight of a linear layer. B starts
    at 0, so the network starts unchanged.

    Args:
        owner: the encoder, for messages.
        network: to freeze, or to freeze and put adapters into.
        tuning: "full" for all parameters, "frozen" for none, "lora" for low-rank adapters.
        rank: of an adapter.
        alpha: scale of the adapters.
        targets: layers that get an adapter.

    Raises:
        ConfigError: a wrong value, targets that match no layer, or peft is not installed.
    """
    require(
        owner,
        choice("tuning", tuning, TUNINGS),
        integer("rank", rank, 1),
        integer("alpha", alpha, 1),
    )
    if tuning == "frozen":
        network.requires_grad_(False)
    if tuning == "lora":
        _add_adapters(owner, network, rank, alpha, targets)


def _add_adapters(
    owner: str, network: nn.Module, rank: int, alpha: int, targets: str | Sequence[str]
) -> None:
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise ConfigError(
            f"{owner}: tuning=lora needs peft, which is not installed; "
            "pip install 'equipoise[transformers]'"
        ) from None
    chosen = targets if isinstance(targets, str) else list(targets)
    with one_line(owner, f"adapting the layers {chosen!r}"):
        inject_adapter_in_model(
            LoraConfig(r=rank, lora_alpha=alpha, target_modules=chosen), network
        )


class Pretrained(nn.Module, ABC):
    """A network of the transformers library and, where another width is asked for, a linear layer.

    Args:
        shape: of one sample.
        vocabulary: number of token ids of a text; null for any other modality.
        width: of the feature, reached by a linear layer that is always trained; null for the
            network's own.
        weights: a name on the Hugging Face hub or a local folder; null for a random network that is
            built to fit the data.
        config: values of the network's configuration to change, such as {"num_hidden_layers": 4};
            null for none.
        pooling: how the network's states become one vector; "auto" for the way that is usual for
            this network.
        tuning: "full" trains the network; "frozen" trains nothing in it and keeps it in evaluation
            mode; "lora" trains low-rank adapters in it.
        rank: of an adapter; "lora" only.
        alpha: scale of the adapters, whose output is multiplied by alpha / rank; "lora" only.
        targets: layers that get an adapter: "all-linear", a list of ends of names, or a regular
            expression; "lora" only.

    Raises:
        ConfigError: weights that cannot be loaded or do not fit the data, or a wrong value.

    Attributes:
        poolings: values of `pooling`, the usual one first.
        configuration_class: of the transformers library.
        network_class: of the transformers library.
        given: further arguments for the network's constructor.
    """

    effect: ClassVar[Effect] = {
        "rank": ("tuning", {"lora"}),
        "alpha": ("tuning", {"lora"}),
        "targets": ("tuning", {"lora"}),
    }
    poolings: ClassVar[tuple[str, ...]]
    configuration_class: ClassVar[Any]
    network_class: ClassVar[Any]
    given: ClassVar[Mapping[str, object]] = {}
    network: Any

    def __init__(
        self,
        shape: tuple[int, ...],
        vocabulary: int | None = None,
        width: int | None = None,
        weights: str | None = None,
        config: Mapping[str, object] | None = None,
        pooling: str = "auto",
        tuning: str = "full",
        rank: int = 8,
        alpha: int = 16,
        targets: str | Sequence[str] = "all-linear",
    ) -> None:
        super().__init__()
        self.owner = type(self).__name__
        self.pooling = self.poolings[0] if pooling == "auto" else pooling
        named = config is None or isinstance(config, Mapping)
        require(
            self.owner,
            choice("pooling", self.pooling, self.poolings),
            ("weights", weights is None or isinstance(weights, str), "a name or a folder", weights),
            ("config", named, "a mapping of names to values", config),
        )
        self.network = self.build(shape, vocabulary, weights, config or {})
        own = self.own_width(shape)
        tune(self.owner, self.network, tuning, rank, alpha, targets)
        self.frozen = tuning == "frozen"
        self.projection = projection(self.owner, own, width)
        self.width = own if width is None else width
        self.train()

    def build(
        self,
        shape: tuple[int, ...],
        vocabulary: int | None,
        weights: str | None,
        config: Mapping[str, object],
    ) -> Any:
        """Build the network for samples of this shape."""
        fitted = self.fitted(shape, vocabulary)
        if weights is not None:
            check_folder(self.owner, weights)
        configuration = load_configuration(
            self.owner,
            lambda: self.start(weights, config),
            fitted if weights is None else None,
            config,
        )
        self.check_fits(configuration, shape, vocabulary)
        return load_network(self.owner, self.network_class, configuration, weights, self.given)

    def start(self, weights: str | None, config: Mapping[str, object]) -> Any:
        """The configuration before the user's changes."""
        kind = self.configuration_class
        return kind() if weights is None else kind.from_pretrained(weights)

    @abstractmethod
    def fitted(self, shape: tuple[int, ...], vocabulary: int | None) -> dict[str, object]:
        """Values of the configuration that follow from the data.

        Raises:
            ConfigError: the network cannot read samples of this shape.
        """

    @abstractmethod
    def check_fits(
        self, configuration: Any, shape: tuple[int, ...], vocabulary: int | None
    ) -> None:
        """Refuse a configuration that is for other data.

        Raises:
            ConfigError: the weights, or the user's changes, do not fit the data.
        """

    def own_width(self, shape: tuple[int, ...]) -> int:
        """The width d of the network's own vector."""
        return int(self.network.config.hidden_size)

    @abstractmethod
    def pooled(self, inputs: Tensor) -> Tensor:
        """Turn samples into vectors: (B, *shape) → (B, d). Frames come here as single images."""

    def backbone_features(self, inputs: Tensor) -> Tensor:
        """Compute the vectors before the projection, (B, *shape) → (B, d).

        Those of a frozen network never change, so they can be computed once and kept.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            return encode_frames(self.pooled, inputs)

    def forward(self, inputs: Tensor | Mapping[str, Tensor]) -> Tensor:
        """Samples (B, *shape), or {"feature": (B, d)} from `backbone_features` → (B, width)."""
        given = inputs["feature"] if isinstance(inputs, Mapping) else self.backbone_features(inputs)
        feature: Tensor = self.projection(given)
        return feature

    def train(self, mode: bool = True) -> Self:
        """Set the mode; a frozen network stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.network.eval()
        return self
