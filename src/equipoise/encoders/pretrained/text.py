"""Networks of the transformers library that read texts."""

from __future__ import annotations

from typing import Any

from equipoise.encoders.parts.checks import check_shape, check_vocabulary
from equipoise.encoders.pretrained.base import Pretrained
from equipoise.errors import ConfigError


class PretrainedText(Pretrained):
    """An encoder of token ids (length,). A random network is built for the vocabulary."""

    def fitted(self, shape: tuple[int, ...], vocabulary: int | None) -> dict[str, object]:
        count = check_vocabulary(self.owner, vocabulary)
        check_shape(self.owner, shape, len(shape) == 1, "(length,)")
        return {"vocab_size": count}

    def check_fits(
        self, configuration: Any, shape: tuple[int, ...], vocabulary: int | None
    ) -> None:
        check_text_fits(
            self.owner, configuration, shape[0], check_vocabulary(self.owner, vocabulary)
        )


def check_text_fits(owner: str, configuration: Any, length: int, vocabulary: int) -> None:
    """Refuse a configuration that is too small for the texts.

    Args:
        owner: the encoder, for messages.
        configuration: of the network.
        length: of a text.
        vocabulary: number of token ids.

    Raises:
        ConfigError: it knows fewer ids or positions.
    """
    known = getattr(configuration, "vocab_size", vocabulary)
    if vocabulary > known:
        raise ConfigError(
            f"{owner}: tokenizer and encoder do not belong together: the tokenizer makes "
            f"{vocabulary} ids, and the encoder knows {known}"
        )
    longest = getattr(configuration, "max_position_embeddings", length)
    if length > longest:
        raise ConfigError(
            f"{owner}: it reads at most {longest} tokens, and the texts have {length}; "
            "cut them shorter"
        )
