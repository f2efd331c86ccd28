"""Build the method and the model of a run from the names and options in its settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import nn

from equipoise.data.manifest.labels import Label
from equipoise.data.modality import ModalitySpec
from equipoise.encoders import build_encoder, default_encoder
from equipoise.errors import ConfigError, suggest
from equipoise.heads import HEADS
from equipoise.methods import METHODS
from equipoise.model import Model
from equipoise.registry import MethodEntry
from equipoise.settings import Component, Settings
from equipoise.training.method import Method


def build_method(settings: Settings) -> Method:
    """The method of these settings.

    Raises:
        ConfigError: unknown name, option or value, or compiled encoders under a method that cannot
            train them.
    """
    name = settings.method["name"]
    options = {k: v for k, v in settings.method.items() if k != "name"}
    method = cast(Method, METHODS.build(name, options))
    if settings.compile and not method.compilable:
        raise ConfigError(
            f"method {name!r} differentiates an encoder's pass twice, "
            "which compiled encoders do not allow; leave out --compile"
        )
    return method


def head_of(settings: Settings) -> Component:
    """The head in the settings; `auto` is the head that the method is usually trained with."""
    name = settings.head["name"]
    if name == "auto":
        name = cast(MethodEntry, METHODS[settings.method["name"]]).head
    return {**settings.head, "name": name}


def build_model(
    settings: Settings, specs: Mapping[str, ModalitySpec], classes: Sequence[Label]
) -> Model:
    """Encoders and head, with initial weights drawn from the run's seed.

    Args:
        settings: of the run.
        specs: the modalities of the data.
        classes: of the data.

    Raises:
        ConfigError: an encoder is named for a modality that the data do not have, or a name, option
            or value is wrong.
    """
    for modality in settings.encoder:
        if modality not in specs:
            raise ConfigError(
                f"encoder.{modality}: the data have no such modality{suggest(modality, specs)}"
            )
    encoders = _encoders(settings, specs)
    width = _common_width(settings, encoders)
    if width is not None:
        encoders = _encoders(settings, specs, width)
    head = head_of(settings)
    widths = {m: encoder.width for m, encoder in encoders.items()}
    options = {k: v for k, v in head.items() if k != "name"}
    return Model(
        encoders,
        HEADS.build(head["name"], options, widths=widths, classes=len(classes)),
        precision=settings.precision,
    )


def _encoders(
    settings: Settings, specs: Mapping[str, ModalitySpec], common_width: int | None = None
) -> dict[str, nn.Module]:
    """An encoder for each modality; `common_width` holds for those that the user did not name."""
    # Seeded here, so that encoders built a second time get the weights of the first time.
    torch.manual_seed(settings.seed)
    encoders = {}
    for modality, spec in specs.items():
        named = settings.encoder.get(modality)
        chosen = named or {"name": default_encoder(spec.kind, spec.shape)}
        options = {k: v for k, v in chosen.items() if k != "name"}
        width = settings.width if named or settings.width else common_width
        if width is not None:
            options = {"width": width, **options}
        encoder = build_encoder(chosen["name"], options, spec.shape, spec.vocabulary)
        if settings.channels_last:
            encoder.to(memory_format=torch.channels_last)
        if settings.compile:
            encoder.compile()  # in place, so that parameters keep their names
        encoders[modality] = encoder
    return encoders


def _common_width(settings: Settings, encoders: Mapping[str, nn.Module]) -> int | None:
    """The feature width for encoders that the user did not name, or None to leave the widths.

    Many methods compare features, which must then be of one width, and all methods are compared
    with the same encoders. So where the widths differ and the settings name none, the encoders take
    the width of those that the user named, or the smallest.
    """
    widths = {modality: cast(int, encoder.width) for modality, encoder in encoders.items()}
    named = {widths[modality] for modality in settings.encoder}
    if settings.width is not None or len(set(widths.values())) == 1 or len(named) > 1:
        return None
    return min(named or widths.values())
