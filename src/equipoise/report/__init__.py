"""A page, and tables beside it, that compare finished runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from equipoise.report.page import write_report

__all__ = ["write_report"]


def __getattr__(name: str) -> Any:
    """Imported on first use: plotly takes its time."""
    if name in __all__:
        from equipoise.report import page

        return getattr(page, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
