"""The files of a run folder that precede training: settings, environment, facts of the data."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shlex
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from equipoise.data.decoding.decode import write_problems
from equipoise.data.modality import ModalitySpec
from equipoise.data.table.table import Splits
from equipoise.errors import EquipoiseError, RunError
from equipoise.files import write_file
from equipoise.settings import Settings, imports

SEARCH_STATE = "auto.json"
"""The file of a search by `equipoise auto`: its time limit, and the time that it has spent."""

FACTS = ("name", "classes", "modalities", "preprocessing", "digest")
"""The parts of `data.json`."""


def resume_command(folder: Path, devices: int = 1) -> str:
    """The command that goes on with the training in a folder, as a shell takes it."""
    try:
        trust = bool(imports(Settings.load(folder / "config.yaml").to_dict()))
    except EquipoiseError:  # whoever resumes it is told what is wrong with the settings
        trust = False
    kind = "auto" if (folder / SEARCH_STATE).is_file() else "train"
    words = ["equipoise", kind, "--resume", str(folder)]
    words += ["--devices", str(devices)] * (devices > 1) + ["--trust"] * trust
    return shlex.join(words)


def environment() -> dict[str, object]:
    """Versions and hardware. Nothing in it identifies a person or a machine."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        "packages": {
            name: version(name) for name in ("equipoise", "torch", "numpy", "scikit-learn")
        },
        "cuda": torch.version.cuda,
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }


def create_folder(
    folder: Path, settings: Settings, splits: Splits, inputs: Mapping[str, str]
) -> None:
    """Make the run folder with config.yaml, environment.json and data.json.

    The folder appears complete or not at all, so that a run that was killed here can start again.

    Args:
        folder: to make.
        settings: of the run.
        splits: its data.
        inputs: {modality: what is read of it, and by which encoder}.

    Raises:
        RunError: it exists, or cannot be made.
    """
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        temporary.mkdir(parents=True)
        settings.save(temporary / "config.yaml")
        write_file(temporary / "environment.json", json.dumps(environment(), indent=1).encode())
        write_file(
            temporary / "data.json",
            json.dumps(
                {**data_facts(splits), "inputs": dict(inputs), "rows": len(splits.train)}, indent=1
            ).encode(),
        )
        if splits.problems:
            write_problems(splits.problems, temporary / "problems.csv")
        os.rename(temporary, folder)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise RunError(
            f"{folder}: cannot make the run folder ({error.strerror}); choose another --out"
        ) from None


def data_facts(splits: Splits) -> dict[str, Any]:
    """The content of `data.json`: enough to rebuild the model and to preprocess new data alike."""
    return {
        "name": splits.name,
        "classes": list(splits.train.classes),
        "modalities": {m: _specification(s) for m, s in splits.train.specs.items()},
        "preprocessing": dict(splits.preprocessing),
        "digest": splits.digest,
    }


def digest(value: Any) -> str:
    """A short digest of plain values, as JSON has them. The order of keys counts."""
    return hashlib.sha256(json.dumps(json.loads(json.dumps(value))).encode()).hexdigest()[:16]


def fact_digests(facts: Mapping[str, Any]) -> dict[str, str]:
    """A digest of every part of `data.json`.

    They decide what an output of the model means, so they are stored with the weights.
    """
    return {part: digest(facts.get(part)) for part in FACTS}


def read_facts(folder: Path) -> dict[str, Any]:
    """Read the `data.json` of a run, see `data_facts`.

    Raises:
        RunError: it is missing or damaged.
    """
    path = folder / "data.json"
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(facts, dict):
            raise TypeError
    except (OSError, ValueError, TypeError, RecursionError):
        raise RunError(
            f"{path}: missing or damaged, without it the run's model cannot be rebuilt"
        ) from None
    return facts


def _specification(spec: ModalitySpec) -> dict[str, Any]:
    facts = {"kind": spec.kind, "shape": list(spec.shape), "vocabulary": spec.vocabulary}
    # Only where it is true: runs of earlier versions do not have it.
    return {**facts, "masked": True} if spec.masked else facts
