"""What all encoders built on the transformers library share: loading, tuning, cached features, the projection."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from equipoise.checks import choice, require
from equipoise.encoders.parts.frames import encode_frames
from equipoise.encoders.parts.projection import projection
from equipoise.encoders.pretrained.hub import changed, check_folder, load_network
from equipoise.encoders.pretrained.tuning import tune


class Pretrained(nn.Module, ABC):
    """A network of the transformers library and, where another width is asked for, a linear layer.

    Args:
        shape: of one sample.
        vocabulary: number of token ids, of a text.
        width: of the feature; null for the network's own, else a linear layer follows, which is
            always trained.
        weights: a name on the hub or a local folder; null for a random network, made to fit the
            data.
        config: values of the network's configuration to change, such as {"num_hidden_layers": 4}.
        pooling: how the network's states become one vector; null for the network's usual way.
        tuning: "full" trains the network; "frozen" trains nothing in it and keeps it in evaluation
            mode; "lora" trains low-rank adapters in it.
        rank: of an adapter.
        alpha: scale of the adapters; what they add is multiplied by alpha / rank.
        targets: layers that get an adapter: "all-linear", ends of names, or a regular expression.

    Raises:
        ConfigError: weights that cannot be loaded or do not fit the data, or a wrong value.
    """

    poolings: ClassVar[tuple[str, ...]]  # the usual one first
    configuration_class: ClassVar[Any]
    network_class: ClassVar[Any]
    given: ClassVar[Mapping[str, object]] = {}  # to the network's constructor
    network: Any  # its attributes are its class's own

    def __init__(
        self,
        shape: tuple[int, ...],
        vocabulary: int | None = None,
        width: int | None = None,
        weights: str | None = None,
        config: Mapping[str, object] | None = None,
        pooling: str | None = None,
        tuning: str = "full",
        rank: int = 8,
        alpha: int = 16,
        targets: str | Sequence[str] = "all-linear",
    ) -> None:
        super().__init__()
        self.owner = type(self).__name__
        self.pooling = self.poolings[0] if pooling is None else pooling
        named = config is None or isinstance(config, Mapping)
        require(
            self.owner,
            choice("pooling", self.pooling, self.poolings),
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
        """The network for samples of this shape."""
        fitted = self.fitted(shape, vocabulary)
        if weights is not None:
            check_folder(self.owner, weights)
        configuration = changed(
            self.owner,
            lambda: self.start(weights, config),
            fitted if weights is None else None,
            config,
        )
        self.check_fits(configuration, shape, vocabulary)
        return load_network(self.owner, self.network_class, configuration, weights, self.given)

    def start(self, weights: str | None, config: Mapping[str, object]) -> Any:
        """The configuration before changes."""
        kind = self.configuration_class
        return kind() if weights is None else kind.from_pretrained(weights)

    @abstractmethod
    def fitted(self, shape: tuple[int, ...], vocabulary: int | None) -> dict[str, object]:
        """Values of the configuration that follow from the data. Raises ConfigError where they cannot be read."""

    @abstractmethod
    def check_fits(
        self, configuration: Any, shape: tuple[int, ...], vocabulary: int | None
    ) -> None:
        """Raises ConfigError where the weights, or the user's changes, are for other data."""

    def own_width(self, shape: tuple[int, ...]) -> int:
        """d, the width of the network's own vector."""
        return int(self.network.config.hidden_size)

    @abstractmethod
    def pooled(self, inputs: Tensor) -> Tensor:
        """One vector per sample: (B, *shape) → (B, d). Frames come here as single images."""

    def backbone_features(self, inputs: Tensor) -> Tensor:
        """What comes before the projection, (B, *shape) → (B, d); of a frozen network it can be computed once."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            return encode_frames(self.pooled, inputs)

    def forward(self, inputs: Tensor | Mapping[str, Tensor]) -> Tensor:
        """Samples (B, *shape), or {"feature": (B, d)} that `backbone_features` gave before, → (B, width)."""
        given = inputs["feature"] if isinstance(inputs, Mapping) else self.backbone_features(inputs)
        feature: Tensor = self.projection(given)
        return feature

    def train(self, mode: bool = True) -> Self:
        """Set the mode; a frozen network stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.network.eval()
        return self
