"""Trials: one member, fitted to some rows and asked about others, kept as files."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from safetensors.torch import save

from equipoise.errors import TrainingError
from equipoise.files import replace_file
from equipoise.portfolio.classical import Classical
from equipoise.portfolio.material import Material
from equipoise.portfolio.members import NETWORK, Member
from equipoise.portfolio.networks import fitting_epochs, network_settings, train_network

LOOK = -2
"""The number of the trial on a sample of the rows."""
REFIT = -1
"""The number of the fit to all rows."""


@dataclass(frozen=True)
class Trial:
    """What is to be done.

    Attributes:
        member: to fit.
        fold: the fold to predict; `LOOK` for the first look at a sample, `REFIT` to fit to all
            rows and predict none.
        seconds: a network takes no longer than this.
        epochs: a network ends after so many; None to choose by the held-out rows.
        planned: length of a network's training, which its schedule follows; None for as long as
            the time allows.
    """

    member: Member
    fold: int
    seconds: float = float("inf")
    epochs: int | None = None
    planned: int | None = None


@dataclass(frozen=True)
class Finding:
    """What a trial found.

    Attributes:
        member: its name.
        fold: as of the trial.
        seconds: that it took.
        epochs: of a network; 0 of other members.
        planned: length of a network's training, of which it may have taken a part.
        error: the reason why it failed; "" if it did not.
        logits: float32 (N, C) of the rows of the fold.
    """

    member: str
    fold: int
    seconds: float
    epochs: int = 0
    planned: int = 0
    error: str = ""
    logits: np.ndarray | None = None


def weights_file(folder: Path, member: str, fold: int) -> Path:
    """The weights of a network that predicts a fold."""
    return folder / member / f"fold-{fold}.safetensors"


def _findings_file(folder: Path, member: str, fold: int) -> Path:
    return folder / member / f"trial{fold}.npz"


def run_trial(
    trial: Trial, material: Material, folder: Path, stop: Callable[[], bool] = lambda: False
) -> Finding:
    """Fit, predict and write down. A member that fails does not stop the others.

    Args:
        trial: what to do.
        material: the rows.
        folder: of all trials.
        stop: asked after each step of a network whether the search ends.

    Raises:
        Stopped: it does.
    """
    since = time.monotonic()
    member = trial.member
    logits: np.ndarray | None
    try:
        if member.family == NETWORK:
            logits, epochs, planned = _network(trial, material, folder, stop)
        else:
            logits, epochs, planned = _classical(trial, material, folder), 0, 0
    except (ArithmeticError, ValueError, RuntimeError, TrainingError, np.linalg.LinAlgError) as bad:
        reason = " ".join(f"{bad}".split())[:200]
        found = Finding(member.name, trial.fold, time.monotonic() - since, error=reason or "failed")
    else:
        found = Finding(
            member.name, trial.fold, time.monotonic() - since, epochs, planned, "", logits
        )
    _write(found, folder)
    return found


def _network(
    trial: Trial, material: Material, folder: Path, stop: Callable[[], bool]
) -> tuple[np.ndarray, int, int]:
    deadline = time.monotonic() + trial.seconds
    trained, held = (
        material.looked_at
        if trial.fold == LOOK
        else (material.trained(trial.fold), material.held(trial.fold))
    )
    settings = network_settings(material.settings, trial.member.options, len(trained))
    train = material.table(trained, train=True)
    rows = material.table(held, train=False)
    planned = trial.planned or fitting_epochs(settings, train, rows, deadline, stop)
    found = train_network(
        replace(settings, epochs=planned),
        train,
        rows,
        deadline=deadline,
        epochs=trial.epochs,
        stop=stop,
    )
    if trial.fold != LOOK:
        path = weights_file(folder, trial.member.name, trial.fold)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Clones, since safetensors refuses tensors that share their memory.
        state = {
            name: value.detach().cpu().contiguous().clone()
            for name, value in found.model.state_dict().items()
        }
        replace_file(path, save(state))
    return found.logits, found.epoch, planned


def _classical(trial: Trial, material: Material, folder: Path) -> np.ndarray | None:
    if trial.fold == LOOK:
        trained, held = material.looked_at
    else:
        trained = material.trained(trial.fold)
        held = material.held(trial.fold) if trial.fold >= 0 else np.arange(0)
    fitted = Classical.fit(
        trial.member,
        material.features.take(trained),
        material.rows.label[trained],
        material.classes,
        material.settings.seed,
        material.weight[trained],
    )
    if trial.fold == REFIT:
        fitted.save(folder / trial.member.name)
        return None
    return fitted.logits(material.features.take(held))


def _write(found: Finding, folder: Path) -> None:
    """Keep a finding, whole or not at all."""
    facts = {k: v for k, v in asdict(found).items() if k != "logits"}
    arrays = {} if found.logits is None else {"logits": found.logits}
    buffer = io.BytesIO()
    np.savez(buffer, facts=np.array(json.dumps(facts)), **arrays)  # type: ignore[arg-type]
    path = _findings_file(folder, found.member, found.fold)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, buffer.getvalue())


def read_findings(folder: Path) -> list[Finding]:
    """Everything that a search has found so far; files that were damaged are left out."""
    found = []
    for path in sorted(folder.glob("*/trial*.npz")):
        try:
            with np.load(path, allow_pickle=False) as stored:
                facts = json.loads(str(stored["facts"]))
                logits = stored["logits"] if "logits" in stored.files else None
            found.append(Finding(**facts, logits=logits))
        except (OSError, ValueError, KeyError, TypeError, EOFError):
            path.unlink(missing_ok=True)
    return found
