"""Presets: settings of published experiments, in one YAML file per data set.

A preset holds inputs, encoders and how they are trained. It holds no method and no head, so that
they are compared on equal terms; the files in `recipes/` add them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from equipoise.errors import ConfigError, unknown
from equipoise.registry import Entry, Registry
from equipoise.settings import DataSettings
from equipoise.yaml_text import parse_yaml

SUFFIX = ".yaml"
FOLDER = files(__name__)


def preset_names() -> list[str]:
    """All presets in alphabetical order."""
    return sorted(
        file.name.removesuffix(SUFFIX) for file in FOLDER.iterdir() if file.name.endswith(SUFFIX)
    )


def preset_registry() -> Registry:
    """The presets as `equipoise list presets` shows them."""
    return Registry(
        "preset",
        [Entry(name, f"{name}{SUFFIX}", read_preset(name)["summary"]) for name in preset_names()],
    )


def read_preset(name: object) -> dict[str, Any]:
    """The content of a preset's file: nested settings, and a `summary`.

    Raises:
        ConfigError: no such preset; the message suggests the nearest ones.
    """
    if name not in preset_names():
        raise unknown("preset", str(name), preset_names())
    values: dict[str, Any] = parse_yaml((FOLDER / f"{name}{SUFFIX}").read_text(encoding="utf-8"))
    return values


def fitted_preset(name: object, data: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a preset that fit some data.

    A preset may name more modalities than were prepared (Twitter2015 without its pictures). Its
    settings for modalities that the data do not have are left out. The settings of the user are
    never left out.

    Args:
        name: of the preset.
        data: the user's settings of the data; `source` and `modality` are read.

    Raises:
        ConfigError: no such preset, or the data have none of its modalities.
        DataError: the description of a prepared folder is not valid.
    """
    preset = {key: value for key, value in read_preset(name).items() if key != "summary"}
    found = _declared(data)
    if not found:
        return preset
    own = preset["encoder"]
    if not set(own) & set(found):
        raise ConfigError(
            f"preset {name!r} is for the modalities {_listed(own)}; the data have {_listed(found)}"
        )
    options = preset["data"]["options"]
    return {
        **preset,
        "encoder": {m: encoder for m, encoder in own.items() if m in found},
        "data": {
            **preset["data"],
            "options": {m: settings for m, settings in options.items() if m in found},
        },
    }


def _declared(data: Mapping[str, Any]) -> list[str]:
    """The declared modalities; none where they are known only after the data have been loaded."""
    # Imported here, because `--help` must not wait for it.
    from equipoise.data.locate import locate
    from equipoise.data.manifest.declaration import Declaration

    declared = [Declaration.parse(str(text)) for text in data.get("modality") or ()]
    source = data.get("source")
    if source is None or (isinstance(source, str | Path) and not Path(source).exists()):
        return [declaration.name for declaration in declared]
    given = DataSettings(source, modality=list(data.get("modality") or ()))
    return [declaration.name for declaration in locate(given).declared]


def _listed(modalities: Iterable[str]) -> str:
    return ", ".join(modalities)
