"""Take the columns of a table as `equipoise doctor` would declare them."""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from pathlib import Path

from equipoise.configuration.flags import flags
from equipoise.data.locate import ROLES, Source, is_built_in, locate
from equipoise.data.manifest.sheet import read_sheet
from equipoise.diagnosis.columns import describe_columns, suggest_declarations
from equipoise.errors import DataError
from equipoise.progress import say
from equipoise.settings import DataSettings, Settings


def take_columns(settings: DataSettings) -> DataSettings:
    """Declare the columns of a table whose modalities nobody declared, and say so on stderr.

    Args:
        settings: of the data. A column that they name keeps its role.

    Returns:
        The same settings if they, or a dataset.json, declare modalities; else settings that do.

    Raises:
        ConfigError: the source is neither a name, a path nor a DataFrame.
        DataError: the table cannot be read, or no column looks like a modality.
    """
    if settings.modality or is_built_in(settings.source):
        return settings
    source = locate(settings)
    if source.declared:
        return settings
    columns = describe_columns(read_sheet(source.data), base_folder(source, settings.root))
    silent = DataSettings()
    # A column that the user names wrongly must be refused by its name, not replaced by another.
    named = {role: getattr(settings, role) for role in ROLES}
    given = {role: name for role, name in named.items() if name != getattr(silent, role)}
    chosen = suggest_declarations(columns, named)
    if not chosen["modality"]:
        raise DataError(
            f"{source.name}: no column looks like a modality; declare them with "
            "--modality NAME=COLUMN:KIND"
        )
    found = {role: chosen[role] for role in ROLES if chosen[role] is not None}
    taken = replace(settings, **{**found, **given, "modality": chosen["modality"]})
    if os.environ.get("RANK", "0") == "0":
        say(
            f"equipoise: {source.name}: no modalities are declared; the columns are taken as "
            + shlex.join(data_flags(taken))
        )
    return taken


def data_flags(settings: DataSettings) -> list[str]:
    """The words that declare the columns on a command line, and set what else is no default.

    The source is not among them.
    """
    words = [word for declared in settings.modality for word in ("--modality", declared)]
    for role in ROLES:
        column = getattr(settings, role)
        if column is not None and (settings.modality or column != getattr(DataSettings(), role)):
            words += [f"--{role}", column]
    silent = {role: getattr(DataSettings(), role) for role in ROLES}
    other = flags(Settings(data=replace(settings, **silent, modality=[])))
    return [*words, *(word for word in other if not word.startswith("--data="))]


def base_folder(source: Source, root: str | None) -> Path:
    """The folder that relative paths start from."""
    chosen = root or source.root
    if chosen is not None:
        return Path(chosen)
    return source.data.parent if isinstance(source.data, Path) else Path()
