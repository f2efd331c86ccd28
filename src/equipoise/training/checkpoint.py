"""Checkpoints that are either whole or absent.

A checkpoint is a folder: weights in safetensors, training state readable with `weights_only=True`,
and a `checkpoint.json` with the digest of each file and the settings that made them. It is written
under another name in the same folder, forced to disk, and renamed.
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
from equipoise.files import force, write_file
from equipoise.settings import Settings, changes, flat

Tensors = Mapping[str, Tensor]

KEPT = "kept-epoch-"
"""The beginning of the names of folders that `keep_epochs` asks for."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read and verified.

    Attributes:
        path: its folder.
        model: `state_dict` of the model.
        method: `state_dict` of the method.
        state: training state; empty for best weights, from which no training is resumed.
        identity: what the run was made of, as its `Checkpoints` were told.
    """

    path: Path
    model: dict[str, Tensor]
    method: dict[str, Tensor]
    state: dict[str, Any]
    identity: dict[str, Any]


def _encode(tensors: Tensors) -> bytes:
    return save({name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()})


def _force(folder: Path) -> None:
    """Write the folder's list of files to disk; without it a rename may be lost in a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        force(descriptor)
    finally:
        os.close(descriptor)


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: created with the first checkpoint.
        identity: plain values that must agree for a checkpoint to fit: the settings, and a digest
            of the data.
        keep: number of resumable checkpoints to keep; the best weights are kept beside them.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any], keep: int = 2) -> None:
        self.folder = folder
        # As it will be read back, tuples turned into lists, so that equal identities compare equal.
        self.identity = json.loads(json.dumps(identity))
        self.keep = keep

    def save(
        self, name: str, model: Tensors, method: Tensors | None = None, state: Any = None
    ) -> Path:
        """Write a checkpoint.

        Args:
            name: of its folder.
            model: `state_dict` of the model.
            method: `state_dict` of the method.
            state: training state; with it the checkpoint can be resumed from.

        Returns:
            The checkpoint's folder.

        Raises:
            RunError: it cannot be written; earlier checkpoints are still whole.
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
            # It exists if it was written before a kill, and the training was resumed from an
            # older checkpoint and has come here again.
            if target.exists():
                shutil.rmtree(target)
            os.replace(temporary, target)
            _force(self.folder)
        except OSError as error:
            shutil.rmtree(temporary, ignore_errors=True)
            raise RunError(
                f"{target}: cannot write the checkpoint ({error.strerror}); "
                "make room or mend the permissions"
            ) from None
        return target

    def resumable(self) -> list[Path]:
        """Checkpoints with training state, newest first."""
        return sorted(self.folder.glob("epoch-*-step-*"), reverse=True)

    def prune(self) -> None:
        """Delete all resumable checkpoints but the newest `keep`."""
        for path in self.resumable()[self.keep :]:
            shutil.rmtree(path, ignore_errors=True)

    def best(self) -> Path:
        """The folder of the best weights.

        Raises:
            RunError: none were written yet.
        """
        found = sorted(self.folder.glob("best-epoch-*"))
        if not found:
            raise RunError(f"{self.folder}: no best weights yet; train for at least one epoch")
        return found[-1]

    def keep_epoch(self, epoch: int, model: Tensors) -> None:
        """Write the weights after an epoch, counted from 1, which are never deleted."""
        self.save(self._kept_name(epoch), model)

    def kept(self, epoch: int) -> Path:
        """The folder of the weights after an epoch, counted from 1.

        Raises:
            RunError: they were not kept.
        """
        path = self.folder / self._kept_name(epoch)
        if not path.is_dir():
            known = ", ".join(map(str, self.kept_epochs())) or "none"
            raise RunError(
                f"{path}: the weights after epoch {epoch} were not kept (kept: {known}); train "
                f"again with --keep_epochs '[{epoch}]'"
            )
        return path

    def kept_epochs(self) -> list[int]:
        """The epochs, counted from 1, whose weights are kept."""
        return sorted(int(path.name[len(KEPT) :]) for path in self.folder.glob(f"{KEPT}*"))

    @staticmethod
    def _kept_name(epoch: int) -> str:
        return f"{KEPT}{epoch:05d}"

    def prune_best(self, keep: str) -> None:
        """Delete all best weights but those in the folder named `keep`."""
        for path in self.folder.glob("best-epoch-*"):
            if path.name != keep:
                shutil.rmtree(path, ignore_errors=True)

    def load(self, path: Path) -> Checkpoint:
        """Read and verify a checkpoint.

        Raises:
            RunError: a file is missing, was cut short or edited, or belongs to another
                configuration or other data.
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
        self._compare(path, identity, resumed="state.pt" in contents)
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
                identity,
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
        """The end of a message: how to go on without this checkpoint."""
        older = [p for p in self.resumable() if p.name < path.name]
        if not older:
            return "; there is no earlier one, train again in a new folder"
        return f"; to go on from the previous one ({older[0].name}) add --checkpoint previous"

    def _compare(self, path: Path, identity: Mapping[str, Any], resumed: bool) -> None:
        """Refuse a checkpoint of other settings or data.

        Args:
            path: of the checkpoint.
            identity: found there.
            resumed: True if a training goes on from it; False if only its weights are used, which
                a setting that a later version has added does not change.

        Raises:
            RunError: it differs; the message names the first difference.
        """
        # Keys that only the checkpoint has do not matter: reading weights asks for no identity.
        found = changes({k: identity.get(k) for k in self.identity}, self.identity)
        known = flat(identity)
        defaults = flat({"settings": Settings().to_dict()})
        for setting, (was, now) in found.items():
            added = setting not in known and setting in defaults
            if added and now == defaults[setting]:
                if not resumed:
                    continue
                raise RunError(
                    f"{path}: made by a version of equipoise without the setting "
                    f"{setting.removeprefix('settings.')!r}, and cannot be gone on with; "
                    "resume with that version, or train in a new folder"
                )
            raise RunError(
                f"{path}: made with another configuration, {setting} was {was!r} and is {now!r} "
                "now; resume with the settings of the run, or train in a new folder"
            )


def finished_weights(run: Path) -> dict[str, Tensor]:
    """The model of a finished run at its best epoch, as a `state_dict`.

    Args:
        run: the run's folder.

    Raises:
        RunError: the folder holds no finished run, or the weights are damaged.
    """
    if not (run / "result.json").is_file():
        raise RunError(f"{run}: not a folder of a finished run (it has no result.json)")
    checkpoints = Checkpoints(run / "checkpoints", {})
    return dict(checkpoints.load(checkpoints.best()).model)
