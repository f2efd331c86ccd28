"""Turn settings back into the command line that repeats a run."""

from __future__ import annotations

import json
import shlex
from typing import Any

from equipoise.configuration.layers import defaults
from equipoise.settings import Settings


def command(settings: Settings) -> str:
    """The command line of a run, quoted for a shell."""
    return shlex.join(["equipoise", "train", *flags(settings)])


def flags(settings: Settings) -> list[str]:
    """Command-line flags for every setting that differs from what holds without it."""
    method = settings.method["name"]
    silent = defaults(method, settings.optimiser.name)
    # These two names decide about other defaults: each is given unless it holds without a word.
    silent["optimiser"]["name"] = defaults(method)["optimiser"]["name"]
    silent["method"] = Settings().method
    return _flags(settings.to_dict(), silent, "")


def _flags(values: dict[str, Any], defaults: dict[str, Any], prefix: str) -> list[str]:
    found: list[str] = []
    for key, value in values.items():
        name = f"{prefix}{key}"
        if value == defaults.get(key):
            continue
        if name in ("method", "head") or prefix == "encoder.":
            options = {k: v for k, v in value.items() if k != "name"}
            found += [f"--{name}={value['name']}", *_flags(options, {}, f"{name}.")]
        elif isinstance(value, dict) and name != "class_weight":
            found += _flags(value, defaults.get(key, {}), f"{name}.")
        elif name == "data.source":
            found.append(f"--data={value}")
        elif name == "data.modality":
            found += [f"--data.modality={item}" for item in value]
        else:
            found.append(f"--{name}={value if isinstance(value, str) else json.dumps(value)}")
    return found
