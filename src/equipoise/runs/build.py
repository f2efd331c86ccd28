"""Build the method and the model of a run from the names and options in its settings."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import nn

from equipoise.data.manifest.labels import Label
from equipoise.data.modality import ModalitySpec
from equipoise.encoders import (
    build_encoder,
    can_read,
    default_encoder,
    starts_unlike_published,
)
from equipoise.errors import ConfigError, suggest
from equipoise.heads import HEADS
from equipoise.methods import METHODS
from equipoise.model import Model
from equipoise.registry import MethodEntry
from equipoise.settings import EVERY, Component, Settings
from equipoise.training.criterion import Criterion
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
    _check_loss(name, method, settings)
    if settings.compile and not method.compilable:
        raise ConfigError(
            f"method {name!r} differentiates an encoder's pass twice, "
            "which compiled encoders do not allow; leave out --compile"
        )
    return method


def _check_loss(name: str, method: Method, settings: Settings) -> None:
    """Refuse settings of the loss that the method cannot take."""
    asked = {
        "loss": settings.loss != "cross-entropy",
        "label_smoothing": settings.label_smoothing != 0,
        "class_weight": settings.class_weight != "none",
        "data.weight": settings.data.weight is not None,
        "sampling": settings.sampling != "uniform",
    }
    refused = {
        "has a loss of its own": () if method.takes_loss else ("loss", "label_smoothing"),
        "cannot weight samples": () if method.takes_weight else ("class_weight", "data.weight"),
        "chooses the rows of an epoch itself": ("sampling",) if method.chooses_rows else (),
    }
    for reason, names in refused.items():
        for setting in names:
            if asked[setting]:
                raise ConfigError(f"method {name!r} {reason}; leave out --{setting}")


def criterion_of(settings: Settings) -> Criterion:
    """The loss of a sample."""
    gamma = settings.focal_gamma if settings.loss == "focal" else 0.0
    return Criterion(gamma, settings.label_smoothing)


def head_of(settings: Settings) -> Component:
    """The head in the settings; `auto` is the head that the method is usually trained with."""
    name = settings.head["name"]
    if name == "auto":
        name = cast(MethodEntry, METHODS[settings.method["name"]]).head
    return {**settings.head, "name": name}


def build_model(
    settings: Settings,
    specs: Mapping[str, ModalitySpec],
    classes: Sequence[Label],
    rows: int | None = None,
) -> Model:
    """Encoders and head, with initial weights drawn from the run's seed.

    Args:
        settings: of the run.
        specs: the modalities of the data.
        classes: of the data.
        rows: number of training samples, by which default encoders are chosen; None for few.

    Raises:
        ConfigError: an encoder is named for a modality that the data do not have, or a name, option
            or value is wrong.
    """
    encoders = build_encoders(settings, specs, rows)
    head = head_of(settings)
    widths = {m: encoder.width for m, encoder in encoders.items()}
    options = {k: v for k, v in head.items() if k != "name"}
    return Model(
        encoders,
        HEADS.build(head["name"], options, widths=widths, classes=len(classes)),
        precision=settings.precision,
    )


def warn_of_random_weights(settings: Settings, specs: Mapping[str, ModalitySpec]) -> None:
    """Warn of encoders that are used with pretrained weights and start from random ones.

    Args:
        settings: of the run.
        specs: the modalities of the data.
    """
    for modality, encoder in named_encoders(settings.encoder, specs).items():
        options = {k: v for k, v in encoder.items() if k != "name"}
        if starts_unlike_published(encoder["name"], options):
            warnings.warn(
                f"{modality}: encoder {encoder['name']!r} starts from random weights, and numbers "
                "were published with pretrained ones; give them with "
                f"--encoder.{modality}.weights",
                RuntimeWarning,
                stacklevel=3,
            )


def named_encoders(
    encoders: Mapping[str, Component], specs: Mapping[str, ModalitySpec]
) -> dict[str, Component]:
    """{modality: encoder} of the modalities for which the settings name one.

    Args:
        encoders: of the settings. `EVERY` stands for all modalities that the encoder can read, and
            a later entry wins.
        specs: the modalities of the data.

    Raises:
        ConfigError: the data have no such modality, or none that the encoder can read.
    """
    named: dict[str, Component] = {}
    for modality, encoder in encoders.items():
        if modality != EVERY and modality not in specs:
            raise ConfigError(
                f"encoder.{modality}: the data have no such modality{suggest(modality, specs)}"
            )
        served = [modality]
        if modality == EVERY:
            served = [m for m, spec in specs.items() if can_read(encoder["name"], spec.kind)]
        if not served:
            held = ", ".join(f"{m} ({spec.kind})" for m, spec in specs.items())
            raise ConfigError(
                f"encoder {encoder['name']!r} reads none of the modalities, which are {held}; "
                "see equipoise list encoders"
            )
        named |= dict.fromkeys(served, encoder)
    return named


def build_encoders(
    settings: Settings, specs: Mapping[str, ModalitySpec], rows: int | None = None
) -> dict[str, nn.Module]:
    """An encoder for each modality, with initial weights drawn from the run's seed.

    Args:
        settings: of the run.
        specs: the modalities of the data.
        rows: number of training samples; None for few.

    Raises:
        ConfigError: a name, option or value is wrong.
    """
    named = named_encoders(settings.encoder, specs)
    encoders = _encoders(settings, specs, named, rows)
    width = _common_width(settings, encoders, named)
    return encoders if width is None else _encoders(settings, specs, named, rows, width)


def _encoders(
    settings: Settings,
    specs: Mapping[str, ModalitySpec],
    named: Mapping[str, Component],
    rows: int | None,
    common_width: int | None = None,
) -> dict[str, nn.Module]:
    """An encoder for each modality; `common_width` holds for those that the user did not name."""
    # Seeded here, so that encoders built a second time get the weights of the first time.
    torch.manual_seed(settings.seed)
    encoders = {}
    for modality, spec in specs.items():
        chosen = named.get(modality) or {"name": default_encoder(spec.kind, spec.shape, rows)}
        options = {k: v for k, v in chosen.items() if k != "name"}
        width = settings.width if modality in named or settings.width else common_width
        if width is not None:
            options = {"width": width, **options}
        encoder = build_encoder(chosen["name"], options, spec.shape, spec.vocabulary)
        if settings.channels_last:
            encoder.to(memory_format=torch.channels_last)
        if settings.compile:
            encoder.compile()  # in place, so that parameters keep their names
        encoders[modality] = encoder
    return encoders


def _common_width(
    settings: Settings, encoders: Mapping[str, nn.Module], named: Mapping[str, Component]
) -> int | None:
    """The feature width for encoders that the user did not name, or None to leave the widths.

    Many methods compare features, which must then be of one width, and all methods are compared
    with the same encoders. So where the widths differ and the settings name none, the encoders take
    the width of those that the user named, or the smallest.
    """
    widths = {modality: cast(int, encoder.width) for modality, encoder in encoders.items()}
    chosen = {widths[modality] for modality in named}
    if settings.width is not None or len(set(widths.values())) == 1 or len(chosen) > 1:
        return None
    return min(chosen or widths.values())
