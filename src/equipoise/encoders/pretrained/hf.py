"""Any network of the transformers library that reads texts, waveforms or images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import CONFIG_MAPPING, AutoConfig, AutoModel

from equipoise.data.transforms.text import own_padding
from equipoise.encoders.parts.checks import check_shape
from equipoise.encoders.parts.probe import probe_width
from equipoise.encoders.parts.text import masked_mean, text_mask
from equipoise.encoders.pretrained.base import Pretrained
from equipoise.encoders.pretrained.hub import drop_pooler
from equipoise.encoders.pretrained.text import check_text_fits
from equipoise.errors import ConfigError, suggest


class HuggingFace(Pretrained):
    """The network that `weights` name, or a random one of the kind `config.model_type`.

    The options are those of `Pretrained`. The network reads token ids (length,) of a text,
    waveforms (samples,), images (channels, height, width) or frames of them, as the samples are.
    If it has an encoder and a decoder, the encoder is used. Pooling "mean" (the usual one) averages
    the last states over tokens, steps, patches or pixels, special tokens included; "cls" takes the
    first state.
    """

    poolings = ("mean", "cls")
    network_class = AutoModel

    def build(
        self,
        shape: tuple[int, ...],
        vocabulary: int | None,
        weights: str | None,
        config: Mapping[str, object],
    ) -> Any:
        self.text = vocabulary is not None
        if self.text:
            self.argument = "input_ids"
        else:
            self.argument = "input_values" if len(shape) == 1 else "pixel_values"
        network = super().build(shape, vocabulary, weights, config)
        if network.config.is_encoder_decoder:
            network = network.get_encoder()
        drop_pooler(network)
        return network

    def start(self, weights: str | None, config: Mapping[str, object]) -> Any:
        if weights is not None:
            # Without the word about trust, the library asks on the terminal.
            return AutoConfig.from_pretrained(weights, trust_remote_code=False)
        if "model_type" not in config:
            raise ConfigError(
                f"{self.owner}: give 'weights', or a 'model_type' in 'config' for a random network"
            )
        kind = str(config["model_type"])
        if kind not in CONFIG_MAPPING:
            raise ConfigError(
                f"{self.owner}: transformers has no model_type {kind!r}"
                f"{suggest(kind, CONFIG_MAPPING)}"
            )
        return AutoConfig.for_model(kind)

    def fitted(self, shape: tuple[int, ...], vocabulary: int | None) -> dict[str, object]:
        if vocabulary is not None:
            check_shape(self.owner, shape, len(shape) == 1, "(length,)")
            return {"vocab_size": vocabulary}
        check_shape(
            self.owner, shape, len(shape) in (1, 3, 4), "that of a waveform, an image or frames"
        )
        return {}

    def check_fits(
        self, configuration: Any, shape: tuple[int, ...], vocabulary: int | None
    ) -> None:
        if vocabulary is not None:
            check_text_fits(self.owner, configuration, shape[0], vocabulary)

    def own_width(self, shape: tuple[int, ...]) -> int:
        return probe_width(self.owner, self.network, self.pooled, shape[-3:], self.text)

    def pooled(self, inputs: Tensor) -> Tensor:
        """Token ids (B, L), waveforms (B, samples) or images (B, C, H, W) → (B, d)."""
        mask = text_mask(inputs) if self.text else None
        attention = {} if mask is None else {"attention_mask": mask.long()}
        given = inputs if mask is None else self._own_ids(inputs, mask)
        states: Tensor = self.network(**{self.argument: given}, **attention).last_hidden_state
        if states.dim() == 4:
            return self._over_pixels(states)
        if self.pooling == "cls":
            return states[:, 0]
        return states.mean(1) if mask is None else masked_mean(states, mask)

    def _own_ids(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Restore the ids of the network's own tokenizer, (B, L) → (B, L).

        The transform swapped the tokenizer's padding with 0 (see `own_padding`); this swaps them
        back.
        """
        config = self.network.config
        pad = own_padding(
            getattr(config, "pad_token_id", None), getattr(config, "eos_token_id", None)
        )
        return ids if pad == 0 else torch.where(mask, torch.where(ids == pad, 0, ids), pad)

    def _over_pixels(self, maps: Tensor) -> Tensor:
        """Average the maps of a convolutional network, (B, d, H, W) → (B, d)."""
        if self.pooling == "cls":
            raise ConfigError(
                f"{self.owner}: a convolutional network has no first token; pooling must be 'mean'"
            )
        return maps.mean((2, 3))
