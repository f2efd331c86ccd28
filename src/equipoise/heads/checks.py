"""What heads ask of their options."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from equipoise.errors import ConfigError, invalid, suggest


def check_positive(owner: str, **options: object) -> None:
    """Widths and counts.

    Raises:
        ConfigError: one is no positive whole number.
    """
    for name, value in options.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise invalid(owner, name, "a positive whole number", value)


def check_choice(owner: str, name: str, value: object, choices: Collection[str]) -> None:
    """An option with named values.

    Raises:
        ConfigError: the value is none of them.
    """
    if value not in choices:
        raise invalid(owner, name, "one of " + ", ".join(choices), value)


def check_dropout(owner: str, value: object) -> None:
    """A share of units to drop.

    Raises:
        ConfigError: not in [0, 1).
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise invalid(owner, "dropout", "in [0, 1)", value)


def leading(owner: str, option: str, named: str | None, widths: Mapping[str, int]) -> str:
    """The modality that conditions or gates the others: the one that is named, else the first.

    Raises:
        ConfigError: there is no such modality, or no other one beside it.
    """
    if len(widths) < 2:
        raise ConfigError(f"{owner} lets one modality act on another, and there is only {next(iter(widths))!r}")
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
