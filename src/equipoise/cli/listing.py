"""List methods, heads, encoders, data sets, presets or analyses."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from equipoise.registry import Registry


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=list(LISTED), help="what to list")
    parser.add_argument(
        "pattern", nargs="?", default="*", help="only names that match, such as 'ogm*'"
    )
    parser.add_argument(
        "--json", action="store_true", help="print everything that is known of each, as JSON"
    )


def run(args: argparse.Namespace) -> int:
    from equipoise.cli.output import print_json, print_table

    registry = LISTED[args.kind]()
    entries = [registry[name] for name in registry.names(args.pattern)]
    if args.json:
        print_json([{f.name: getattr(e, f.name) for f in fields(e)} for e in entries])
    else:
        columns = EXTRA_COLUMNS.get(args.kind, {})
        rows = [
            (e.name, str(e.year or ""), *(show(e) for show in columns.values()), e.summary)
            for e in entries
        ]
        print_table(("name", "year", *columns, "summary"), rows)
    return 0


def _methods() -> Registry:
    from equipoise.methods import METHODS

    return METHODS


def _heads() -> Registry:
    from equipoise.heads import HEADS

    return HEADS


def _encoders() -> Registry:
    from equipoise.encoders import ENCODERS

    return ENCODERS


def _datasets() -> Registry:
    from equipoise.data.datasets import DATASETS

    return DATASETS


def _presets() -> Registry:
    from equipoise.configuration.presets import preset_registry

    return preset_registry()


def _analyses() -> Registry:
    from equipoise.analysis import ANALYSES

    return ANALYSES


EXTRA_COLUMNS: dict[str, dict[str, Callable[[Any], str]]] = {
    "methods": {
        "head": lambda e: e.head,
        "modalities": lambda e: e.modalities,
        "passes": lambda e: e.passes,
        "memory": lambda e: e.memory or "–",
        "advises": lambda e: e.advice or "–",
    },
    "encoders": {
        "reads": lambda e: ", ".join(e.kinds),
        "feature": lambda e: str(e.width or "–"),
        "parameters": lambda e: f"{e.size:,}" if e.size else "–",
    },
}
"""Columns of the table beside name, year and summary. Passes are forward / backward passes of an
encoder per minibatch."""

LISTED = {
    "methods": _methods,
    "heads": _heads,
    "encoders": _encoders,
    "datasets": _datasets,
    "presets": _presets,
    "analyses": _analyses,
}
