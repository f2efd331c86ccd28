"""Encoders of the user's own: any `nn.Module` by import path."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping

from torch import nn

from equipoise.encoders.parts.probe import probe_width
from equipoise.errors import ConfigError, suggest

PREFIX = "import:"


def build_imported(
    name: str, options: Mapping[str, object], shape: tuple[int, ...], vocabulary: int | None
) -> nn.Module:
    """The class `import:package.module.Class`, constructed with the options.

    `shape` and `vocabulary` are passed if the constructor takes arguments of these names. A module
    without a whole number `width` gets it from running two samples of zeros.

    Raises:
        ConfigError: no such module or class, no `nn.Module`, an option it refuses, or features that
            are not (B, d).
    """
    kind = _find(name)
    parameters = inspect.signature(kind).parameters
    own = {"shape": shape, "vocabulary": vocabulary}
    given = {argument: value for argument, value in own.items() if argument in parameters}
    known = set(parameters) - set(own)
    flexible = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    for option in options:
        if option in own or (option not in known and not flexible):
            raise ConfigError(f"encoder {name!r} has no option {option!r}{suggest(option, known)}")
    try:
        encoder = kind(**given, **options)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"encoder {name!r} refuses its options ({' '.join(str(error).split())})"
        ) from error
    if type(getattr(encoder, "width", None)) is not int:
        encoder.width = probe_width(
            f"encoder {name!r}", encoder, encoder, shape, vocabulary is not None
        )  # type: ignore[assignment]
    return encoder


def _find(name: str) -> type[nn.Module]:
    path, _, attribute = name.removeprefix(PREFIX).rpartition(".")
    if not path:
        raise ConfigError(f"encoder {name!r} must be written {PREFIX}package.module.Class")
    try:
        module = importlib.import_module(path)
    except ImportError as error:
        raise ConfigError(
            f"encoder {name!r}: {error}; is the folder it lies in on PYTHONPATH?"
        ) from None
    found = getattr(module, attribute, None)
    if found is None:
        classes = [
            k for k, v in vars(module).items() if isinstance(v, type) and issubclass(v, nn.Module)
        ]
        raise ConfigError(
            f"encoder {name!r}: {path} has no {attribute!r}{suggest(attribute, classes)}"
        )
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise ConfigError(f"encoder {name!r}: {attribute} is not a class of nn.Module")
    return found
