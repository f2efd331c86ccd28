"""Balanced multimodal classification: train every modality, not only the easiest one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from equipoise.api import Comparison, compare, doctor, evaluate, fit, predict
    from equipoise.errors import EquipoiseError
    from equipoise.runs.run import Run

__version__ = "0.1.0"

__all__ = [
    "Comparison",
    "EquipoiseError",
    "Run",
    "__version__",
    "compare",
    "doctor",
    "evaluate",
    "fit",
    "predict",
]

_HOME = {"EquipoiseError": "errors", "Run": "runs.run"}


def __getattr__(name: str) -> Any:
    """Public names are imported when first used, so that `import equipoise` costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'equipoise' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"equipoise.{_HOME.get(name, 'api')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
