"""The table that a source means, and how its columns are declared: by the user or by itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from equipoise.data.datasets import DATASETS
from equipoise.data.manifest.declaration import Columns, Declaration
from equipoise.errors import DataError, invalid, suggest
from equipoise.settings import DataSettings

if TYPE_CHECKING:
    import pandas as pd


ROLES = ("label", "split", "group", "id", "weight")
"""What a column can be that is no modality."""


@dataclass(frozen=True)
class Source:
    """A table to read, and what it or its user says of it.

    Attributes:
        data: the table, or its path.
        declared: modalities; empty where nobody declared any.
        named: label, split, group, id and weight column.
        options: {modality: settings of its transform}.
        name: of the data set.
        root: folder that relative paths start from, where it is not the table's own.
    """

    data: Path | pd.DataFrame
    declared: Sequence[Declaration]
    named: Mapping[str, Any]
    options: dict[str, Any]
    name: str
    root: str | None = None

    @property
    def columns(self) -> Columns:
        """The columns by role.

        Raises:
            ConfigError: no modality is declared, or one in a way that cannot be.
        """
        return Columns(self.declared, **self.named)


def is_built_in(source: Any) -> bool:
    """True if this names a registered data set; a file or folder of that name takes precedence."""
    return isinstance(source, str) and source in DATASETS and not Path(source).exists()


def locate(settings: DataSettings) -> Source:
    """Find the table of a path, a folder or a DataFrame.

    A dataset.json beside the table speaks where the settings are silent.

    Raises:
        ConfigError: the source is none of these.
        DataError: nothing is there, or a dataset.json is not valid.
    """
    declared = [Declaration.parse(str(text)) for text in settings.modality]
    named = {role: getattr(settings, role) for role in ROLES}
    options = dict(settings.options)
    path = as_path(settings.source)
    if not isinstance(path, Path):
        return Source(path, declared, named, options, "DataFrame")
    if not path.exists():
        near = suggest(str(settings.source), DATASETS.names())
        raise DataError(
            f"{settings.source}: no such file or folder, and no data set of that name{near}"
        )
    folder = path if path.is_dir() else path.parent
    if path.is_file() and (declared or not (folder / "dataset.json").is_file()):
        return Source(path, declared, named, options, path.stem)
    manifest, facts = read_prepared(folder)
    if path.is_file() and path.resolve() != manifest.resolve():
        return Source(path, declared, named, options, path.stem)
    silent = {"label": "label"}
    chosen = {
        role: facts.get(role, column) if column == silent.get(role) else column
        for role, column in named.items()
    }
    own = declared or [Declaration.parse(text) for text in facts["modalities"]]
    names = {declaration.name for declaration in own}
    prepared = {m: kept for m, kept in facts.get("options", {}).items() if m in names}
    name = facts.get("name", folder.name)
    return Source(manifest, own, chosen, _merged(prepared, options), name, facts.get("root"))


def as_path(source: Any) -> Path | pd.DataFrame:
    """A path, or the DataFrame itself.

    Raises:
        ConfigError: anything else.
    """
    if isinstance(source, str | Path):
        return Path(source)
    import pandas as pd

    if not isinstance(source, pd.DataFrame):
        raise invalid(
            "data", "source", "a data set's name, a path or a DataFrame", type(source).__name__
        )
    return source


def read_prepared(folder: Path) -> tuple[Path, dict[str, Any]]:
    """The manifest of a prepared folder, and the content of its dataset.json.

    Raises:
        DataError: there is no dataset.json, or it is not valid.
    """
    try:
        facts: dict[str, Any] = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
        if not _is_prepared(facts):
            raise TypeError
        return folder / facts["manifest"], facts
    except OSError:
        raise DataError(
            f"{folder}: not a prepared folder (it has no dataset.json); give a manifest file"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise DataError(f"{folder / 'dataset.json'}: not valid; prepare the data again") from None


def _is_prepared(facts: dict[str, Any]) -> bool:
    """True if every part of a dataset.json that is read has its type."""
    declared = facts["modalities"]
    options = facts.get("options", {})
    columns = [facts.get(role) for role in (*ROLES, "root")]
    return (
        isinstance(facts["manifest"], str)
        and isinstance(facts.get("name", ""), str)
        and isinstance(declared, list)
        and all(isinstance(text, str) for text in declared)
        and isinstance(options, dict)
        and all(isinstance(kept, dict) for kept in options.values())
        and all(column is None or isinstance(column, str) for column in columns)
        and facts.get("label", "") is not None
    )


def _merged(prepared: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """{modality: settings}; a setting that the user gave replaces the prepared one."""
    both = {
        m: {**prepared[m], **options}
        for m, options in given.items()
        if m in prepared and isinstance(options, Mapping)
    }
    return {**prepared, **given, **both}
