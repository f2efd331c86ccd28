"""Balanced multimodal classification: train every modality, not only the easiest one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from equipoise import analyse
    from equipoise.api import Comparison, Run, auto, compare, doctor, evaluate, fit, load, predict
    from equipoise.errors import EquipoiseError
    from equipoise.estimator import EquipoiseClassifier
    from equipoise.runs.callbacks import Callback

    __version__: str

__all__ = [
    "Callback",
    "Comparison",
    "EquipoiseClassifier",
    "EquipoiseError",
    "Run",
    "__version__",
    "analyse",
    "auto",
    "compare",
    "doctor",
    "evaluate",
    "fit",
    "load",
    "predict",
]

_HOME = {
    "Callback": "runs.callbacks",
    "EquipoiseClassifier": "estimator",
    "EquipoiseError": "errors",
}
"""Modules of the public names that are not defined in `equipoise.api`."""


def __getattr__(name: str) -> Any:
    """Import public names when they are first used, so that `import equipoise` is quick."""
    if name not in __all__:
        raise AttributeError(f"module 'equipoise' has no attribute {name!r}")
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("equipoise")
    else:
        from importlib import import_module

        if name == "analyse":
            value = import_module("equipoise.analyse")
        else:
            value = getattr(import_module(f"equipoise.{_HOME.get(name, 'api')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
