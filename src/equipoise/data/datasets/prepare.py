"""Preparation: from the download of a data set to a folder that `equipoise.data.load` reads."""

from __future__ import annotations

import inspect
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from equipoise.data.datasets import DATASETS
from equipoise.errors import ConfigError, RunError, suggest
from equipoise.files import take_lock


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
        RunError: the folder exists or cannot be written, a file of the download cannot be read, or
            another process prepares the same folder.
    """
    function = _function(name)
    _check_options(name, function, options)
    folder = Path(out)
    if folder.exists():
        raise RunError(f"{folder}: exists already; choose another folder")
    temporary = folder.with_name(f".{folder.name}.tmp")
    try:
        with _hold(temporary):
            try:
                facts = function(temporary, **options)
                os.rename(temporary, folder)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise RunError(f"{folder}: cannot be prepared ({error})") from None
    return facts


@contextmanager
def _hold(temporary: Path) -> Iterator[None]:
    """Make a temporary folder, or empty the one that a killed command left, for this process alone.

    Raises:
        RunError: another process prepares the same data set.
        OSError: the folder cannot be made.
    """
    temporary.mkdir(parents=True, exist_ok=True)
    opened = os.open(temporary, os.O_RDONLY)
    try:
        # The lock goes with its process. A process that had it and ended in between has renamed the
        # folder that is open here, so that it must not be touched.
        same = take_lock(opened, wait=False) and _is_open(temporary, opened)
        if not same:
            raise RunError(f"{temporary}: another process prepares this data set; wait for its end")
        for path in temporary.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        yield
    finally:
        os.close(opened)


def _is_open(folder: Path, opened: int) -> bool:
    """True if a path still leads to the folder that was opened."""
    try:
        return os.path.samestat(folder.stat(), os.fstat(opened))
    except FileNotFoundError:
        return False


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
