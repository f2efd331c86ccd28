"""What heads ask of the modalities."""

from __future__ import annotations

from collections.abc import Mapping

from equipoise.errors import ConfigError, suggest


def leading(owner: str, option: str, named: str | None, widths: Mapping[str, int]) -> str:
    """The modality that conditions or gates the others: the one that is named, else the first.

    Raises:
        ConfigError: there is no such modality, or no other one beside it.
    """
    if len(widths) < 2:
        raise ConfigError(
            f"{owner} lets one modality act on another, and there is only {next(iter(widths))!r}"
        )
    if named is None:
        return next(iter(widths))
    if named not in widths:
        raise ConfigError(f"{owner}: {option!r} names no modality{suggest(str(named), widths)}")
    return named


ONE_WIDTH = "give all encoders one, for example --width 128"


def one_width(owner: str, widths: Mapping[str, int], remedy: str = ONE_WIDTH) -> int:
    """The feature width that all these modalities have.

    Raises:
        ConfigError: they differ; the message ends with the remedy.
    """
    if len(set(widths.values())) != 1:
        found = ", ".join(f"{m} {w}" for m, w in widths.items())
        raise ConfigError(f"{owner} needs features of one width, found {found}; {remedy}")
    return next(iter(widths.values()))
