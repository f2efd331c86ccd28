"""Checkpoints that are either whole or not there.

A checkpoint is a folder: weights in safetensors, training state readable with `weights_only=True`,
and a `checkpoint.json` with the digest of each file and the settings that made them. It is written
under another name in the same place, forced to disk, and renamed.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from equipoise.errors import RunError
from equipoise.files import write_file
from equipoise.settings import changes

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """What is read back."""

    path: Path
    model: dict[str, Tensor]
    method: dict[str, Tensor]
    state: dict[str, Any]


def _encode(tensors: Tensors) -> bytes:
    return save({name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()})


def _force(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: made on first write.
        identity: what must agree for a checkpoint to fit (settings, digest of the data), as plain
            values.
        keep: how many resumable checkpoints stay; the best weights stay beside them.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any], keep: int = 2) -> None:
        self.folder = folder
        self.identity = json.loads(json.dumps(identity))
        self.keep = keep

    def save(
        self, name: str, model: Tensors, method: Tensors | None = None, state: Any = None
    ) -> Path:
        """Write a checkpoint; with `state` it can be resumed from.

        Raises:
            RunError: the folder cannot be written; what stood there before still stands.
        """
        contents = {
            "model.safetensors": _encode(model),
            "method.safetensors": _encode(method or {}),
        }
        if state is not None:
            buffer = io.BytesIO()
            torch.save(state, buffer)
            contents["state.pt"] = buffer.getvalue()
        digests = {file: hashlib.sha256(content).hexdigest() for file, content in contents.items()}
        facts = {"format": 1, "files": digests, "identity": self.identity}
        contents["checkpoint.json"] = json.dumps(facts, indent=1).encode()
        target = self.folder / name
        temporary = self.folder / f".{name}.tmp"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
            for file, content in contents.items():
                write_file(temporary / file, content)
            _force(temporary)
            if (
                target.exists()
            ):  # written before a kill and reached again after resuming from an older one
                shutil.rmtree(target)
            os.replace(temporary, target)
            _force(self.folder)
        except OSError as error:
            shutil.rmtree(temporary, ignore_errors=True)
            raise RunError(
                f"{target}: cannot write the checkpoint ({error.strerror}); make room or mend the permissions"
            ) from None
        return target

    def resumable(self) -> list[Path]:
        """Checkpoints with training state, newest first."""
        return sorted(self.folder.glob("epoch-*-step-*"), reverse=True)

    def prune(self) -> None:
        """Drop all but the newest `keep` resumable checkpoints."""
        for path in self.resumable()[self.keep :]:
            shutil.rmtree(path, ignore_errors=True)

    def best(self) -> Path:
        """The best weights.

        Raises:
            RunError: none were written yet.
        """
        found = sorted(self.folder.glob("best-epoch-*"))
        if not found:
            raise RunError(f"{self.folder}: no best weights yet; train for at least one epoch")
        return found[-1]

    def prune_best(self, keep: str) -> None:
        for path in self.folder.glob("best-epoch-*"):
            if path.name != keep:
                shutil.rmtree(path, ignore_errors=True)

    def load(self, path: Path) -> Checkpoint:
        """Read and verify.

        Raises:
            RunError: a file is missing, was cut short or edited, or belongs to another
                configuration or data.
        """
        try:
            facts = json.loads((path / "checkpoint.json").read_text(encoding="utf-8"))
            identity = dict(facts["identity"])
            contents = {file: (path / file).read_bytes() for file in facts["files"]}
            damaged = [
                f
                for f, content in contents.items()
                if hashlib.sha256(content).hexdigest() != facts["files"][f]
            ]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise RunError(f"{path}: not a complete checkpoint{self._older(path)}") from None
        if damaged:
            raise RunError(
                f"{path / damaged[0]}: cut short or edited since it was written{self._older(path)}"
            )
        self._compare(path, identity)
        try:
            state = (
                torch.load(io.BytesIO(contents["state.pt"]), weights_only=True)
                if "state.pt" in contents
                else {}
            )
            return Checkpoint(
                path,
                load(contents["model.safetensors"]),
                load(contents["method.safetensors"]),
                state,
            )
        except UnpicklingError:
            raise RunError(
                f"{path / 'state.pt'}: holds more than tensors and plain values, and is not read"
            ) from None
        except (SafetensorError, RuntimeError, KeyError) as error:
            raise RunError(
                f"{path}: unreadable ({' '.join(str(error).split())}){self._older(path)}"
            ) from None

    def _older(self, path: Path) -> str:
        older = [p for p in self.resumable() if p.name < path.name]
        if not older:
            return "; there is no earlier one, train again in a new folder"
        return f"; to go on from the previous one ({older[0].name}) add --checkpoint previous"

    def _compare(self, path: Path, identity: Mapping[str, Any]) -> None:
        found = changes({k: identity.get(k) for k in self.identity}, self.identity)
        if found:
            setting, (was, now) = next(iter(found.items()))
            raise RunError(
                f"{path}: made with another configuration, {setting} was {was!r} and is {now!r} now; resume with the "
                "settings of the run, or train in a new folder"
            )


def finished_weights(run: Path) -> dict[str, Tensor]:
    """A finished run's model at its best epoch.

    Args:
        run: the run's folder.

    Raises:
        RunError: it holds no finished run, or the weights are damaged.
    """
    if not (run / "result.json").is_file():
        raise RunError(f"{run}: not a folder of a finished run (it has no result.json)")
    checkpoints = Checkpoints(run / "checkpoints", {})
    return dict(checkpoints.load(checkpoints.best()).model)
