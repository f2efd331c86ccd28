"""Which table a source means, and what is said of its columns: by the user, or by a prepared folder itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from equipoise.data.datasets import DATASETS
from equipoise.data.manifest.declaration import Columns, Declaration
from equipoise.errors import DataError, invalid, suggest

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Source:
    """A table to read, and what it says of itself or the user of it.

    Attributes:
        data: the table, or its path.
        declared: modalities; none where nobody said what they are.
        named: label, split, group and id column.
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
        """Raises ConfigError where no modality is declared, or one in a way that cannot be."""
        return Columns(self.declared, **self.named)


def is_built_in(source: Any) -> bool:
    """Whether this names a registered data set; a file or folder of the same name goes first."""
    return isinstance(source, str) and source in DATASETS and not Path(source).exists()


def locate(
    source: Any, declared: list[Declaration], named: dict[str, Any], options: dict[str, Any]
) -> Source:
    """The table a path, folder or DataFrame means; what a dataset.json says holds where the user
    says nothing.

    Raises:
        ConfigError: `source` is none of these.
        DataError: nothing is there, or a dataset.json is not valid.
    """
    path = as_path(source)
    if not isinstance(path, Path):
        return Source(path, declared, named, options, "DataFrame")
    if not path.exists():
        near = suggest(str(source), DATASETS.names())
        raise DataError(f"{source}: no such file or folder, and no data set of that name{near}")
    folder = path if path.is_dir() else path.parent
    if path.is_file() and (declared or not (folder / "dataset.json").is_file()):
        return Source(path, declared, named, options, path.stem)
    manifest, facts = read_prepared(folder)
    if path.is_file() and path.resolve() != manifest.resolve():
        return Source(path, declared, named, options, path.stem)
    defaults = {"label": "label"}
    chosen = {
        k: facts.get(k, value) if value == defaults.get(k) else value for k, value in named.items()
    }
    own = declared or [Declaration.parse(text) for text in facts["modalities"]]
    settings = {
        m: kept for m, kept in facts.get("options", {}).items() if m in {d.name for d in own}
    }
    return Source(
        manifest,
        own,
        chosen,
        _over(settings, options),
        facts.get("name", folder.name),
        facts.get("root"),
    )


def as_path(source: Any) -> Path | pd.DataFrame:
    """A path or the DataFrame itself. Raises ConfigError for anything else."""
    if isinstance(source, str | Path):
        return Path(source)
    import pandas as pd

    if not isinstance(source, pd.DataFrame):
        raise invalid(
            "data", "source", "a data set's name, a path or a DataFrame", type(source).__name__
        )
    return source


def read_prepared(folder: Path) -> tuple[Path, dict[str, Any]]:
    """The manifest of a prepared folder, and what its dataset.json says.

    Raises:
        DataError: there is no dataset.json, or it is not valid.
    """
    try:
        facts: dict[str, Any] = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
        if not (
            isinstance(facts["modalities"], list) and isinstance(facts.get("options", {}), dict)
        ):
            raise TypeError
        return folder / facts["manifest"], facts
    except OSError:
        raise DataError(
            f"{folder}: not a prepared folder (it has no dataset.json); give a manifest file"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{folder / 'dataset.json'}: not valid; prepare the data again") from None


def _over(settings: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """{modality: settings}, each setting the user's where the user gave it."""
    both = {
        m: {**settings[m], **o}
        for m, o in options.items()
        if m in settings and isinstance(o, Mapping)
    }
    return {**settings, **options, **both}
