"""Checks of the modalities that a head is given."""

from __future__ import annotations

from collections.abc import Mapping

from equipoise.errors import ConfigError, suggest

AUTO = "auto"  # stands for the first modality declared, unless a modality has that very name
ONE_WIDTH = "give all encoders one, for example --width 128"


def leading_modality(owner: str, option: str, named: str, widths: Mapping[str, int]) -> str:
    """The modality that conditions or gates the others.

    Args:
        owner: name of the head, for error messages.
        option: that names the modality.
        named: its value, a modality or "auto" for the first one declared.
        widths: {modality: feature width}, in the order of declaration.

    Raises:
        ConfigError: there is no such modality, or no other modality beside it.
    """
    if len(widths) < 2:
        raise ConfigError(
            f"{owner} lets one modality act on another, and there is only {next(iter(widths))!r}"
        )
    if named in widths:
        return named
    if named != AUTO:
        raise ConfigError(f"{owner}: {option!r} names no modality{suggest(str(named), widths)}")
    return next(iter(widths))


def one_width(owner: str, widths: Mapping[str, int], remedy: str = ONE_WIDTH) -> int:
    """The feature width that all modalities have.

    Args:
        owner: name of the head, for the error message.
        widths: {modality: feature width}.
        remedy: end of the error message.

    Raises:
        ConfigError: the widths differ.
    """
    if len(set(widths.values())) != 1:
        found = ", ".join(f"{m} {w}" for m, w in widths.items())
        raise ConfigError(f"{owner} needs features of one width, found {found}; {remedy}")
    return next(iter(widths.values()))
