"""Encoders, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from equipoise.encoders.entries import ENTRIES
from equipoise.errors import ConfigError
from equipoise.registry import EncoderEntry, Registry

ENCODERS = Registry("encoder", ENTRIES, entry=EncoderEntry)

SMALL = 96  # pixels, mels or frames of a map that a few convolutions are enough for


def default_encoder(kind: str, shape: tuple[int, ...]) -> str:
    """The encoder a modality of this kind and shape gets when none is asked for."""
    if kind in ("text", "array") and len(shape) < 3:
        return "gru"
    if len(shape) == 4:
        return "resnet"
    if len(shape) == 3:
        return "small_cnn" if max(shape[1:]) <= SMALL else "resnet"
    return "mlp"


def build_encoder(
    name: str, options: Mapping[str, object], shape: tuple[int, ...], vocabulary: int | None = None
) -> Any:
    """An encoder for samples of this shape; text comes with the number of its token ids.

    The name is a registered one, or `import:package.module.Class` for any `nn.Module`.

    Raises:
        ConfigError: an unknown name, option or value, or an encoder that does not read what the
            modality holds.
    """
    if name.startswith("import:"):
        from equipoise.encoders.imported import (
            build_imported,  # here, since listing must not import torch
        )

        return build_imported(name, options, shape, vocabulary)
    given: dict[str, object] = {"shape": shape}
    if "vocabulary" in _parameters(name):
        given["vocabulary"] = vocabulary
    elif vocabulary is not None:
        raise ConfigError(f"encoder {name!r} does not read text")
    return ENCODERS.build(name, options, **given)


def _parameters(name: str) -> Mapping[str, object]:
    entry = cast(EncoderEntry, ENCODERS[name])
    try:
        return entry.parameters()
    except ImportError as error:
        if not entry.needs:
            raise
        raise ConfigError(
            f"encoder {name!r} needs {error.name}, which is not installed; pip install 'equipoise[{entry.needs}]'"
        ) from None
