"""Preparation: from the download of a data set to a folder that `equipoise.data.load` reads."""

from __future__ import annotations

import inspect
import os
import shutil
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from equipoise.data.datasets import DATASETS
from equipoise.errors import ConfigError, RunError, suggest


def prepare(name: str, out: str | Path, **options: Any) -> Any:
    """Write a registered data set into a new folder.

    The folder appears complete or not at all.

    Args:
        name: of the data set.
        out: the folder; it must not exist.
        options: of this data set; `av-digits`, for example, has the option `fsdd`, the folder of
            the recordings.

    Returns:
        Facts about the data set, for example the number of samples in each split.

    Raises:
        ConfigError: unknown data set, one that needs no preparation, or an option that is unknown
            or missing.
        DataError: the download is not what the data set expects.
        RunError: the folder exists or cannot be written, or a file of the download not be read.
    """
    function = _function(name)
    _check_options(name, function, options)
    folder = Path(out)
    if folder.exists():
        raise RunError(f"{folder}: exists already; choose another folder")
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        temporary.mkdir(parents=True)
        facts = function(temporary, **options)
        os.rename(temporary, folder)
    except OSError as error:
        raise RunError(f"{folder}: cannot be prepared ({error})") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return facts


def _function(name: str) -> Callable[..., Any]:
    module = import_module(DATASETS[name].target.partition(":")[0])
    function: Callable[..., Any] | None = getattr(module, "prepare", None)
    if function is None:
        raise ConfigError(f"{name} needs no preparation: equipoise train --data {name}")
    return function


def _check_options(name: str, function: Callable[..., Any], options: Mapping[str, Any]) -> None:
    # The first parameter is the folder, which is not an option.
    parameters = dict(list(inspect.signature(function).parameters.items())[1:])
    for option in options:
        if option not in parameters:
            raise ConfigError(
                f"prepare {name} has no option '--{option}'{suggest(option, parameters)}"
            )
    for option, parameter in parameters.items():
        if parameter.default is parameter.empty and option not in options:
            raise ConfigError(f"prepare {name} needs --{option}")
