"""The user's own encoders: any `nn.Module` by its import path."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import TypeGuard

from torch import nn

from equipoise.encoders.parts.probe import probe_width
from equipoise.errors import ConfigError, suggest

PREFIX = "import:"


def build_imported(
    name: str, options: Mapping[str, object], shape: tuple[int, ...], vocabulary: int | None
) -> nn.Module:
    """Construct the class that `import:package.module.Class` names.

    `shape` and `vocabulary` are passed if the constructor takes arguments of these names. If the
    module has no integer attribute `width`, it is set by running two samples of zeros.

    Args:
        name: `import:package.module.Class`.
        options: for the constructor.
        shape: of one sample.
        vocabulary: number of token ids of a text; None for any other modality.

    Raises:
        ConfigError: no such module or class, not an `nn.Module`, an option that the class refuses,
            or features that are not (B, d).
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
        width = probe_width(f"encoder {name!r}", encoder, encoder, shape, vocabulary is not None)
        encoder.width = width  # type: ignore[assignment]
    return encoder


def _find(name: str) -> type[nn.Module]:
    """The class of that import path."""
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
        classes = [name for name, value in vars(module).items() if _is_module_class(value)]
        raise ConfigError(
            f"encoder {name!r}: {path} has no {attribute!r}{suggest(attribute, classes)}"
        )
    if not _is_module_class(found):
        raise ConfigError(f"encoder {name!r}: {attribute} is not a class of nn.Module")
    return found


def _is_module_class(found: object) -> TypeGuard[type[nn.Module]]:
    return isinstance(found, type) and issubclass(found, nn.Module)
