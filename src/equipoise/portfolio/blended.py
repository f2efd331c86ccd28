"""The members of a finished search and their weights: stored, read back, and asked together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load

from equipoise.batch import Predictions
from equipoise.data.manifest.labels import Label
from equipoise.data.modality import ModalitySpec
from equipoise.data.table.table import Table
from equipoise.errors import RunError
from equipoise.evaluation.predict import predict
from equipoise.files import replace_file
from equipoise.model import Model
from equipoise.portfolio.classical import Classical
from equipoise.portfolio.ensemble import LEAST, average, log_softmax
from equipoise.portfolio.features import Features, Reader
from equipoise.portfolio.joined import Stack, late_average, stack_inputs
from equipoise.portfolio.members import NETWORK, Member
from equipoise.portfolio.networks import network_settings
from equipoise.runs.build import build_model
from equipoise.runs.folder import digest
from equipoise.settings import Settings
from equipoise.training.runtime import pick_device

MEMBERS = "members.json"
"""The file by which the folder of a search is known."""


@dataclass(frozen=True)
class Ranked:
    """A line of the leaderboard.

    Attributes:
        name: of the member, or of an average of members over the modalities.
        parts: the members that are fitted: itself, or those that are averaged.
        temperatures: of the parts, before they are averaged.
        temperature: of the whole.
        weight: in the ensemble.
        log_loss: on the held-out rows, tempered.
        accuracy: on the held-out rows.
        seconds: that all its trials took.
        stacked: the parts are joined by a stack, and not averaged.
    """

    name: str
    parts: Sequence[str]
    temperatures: Sequence[float]
    temperature: float
    weight: float
    log_loss: float
    accuracy: float
    seconds: float
    stacked: bool = False


@dataclass(frozen=True)
class Recipe:
    """Everything but the fitted members themselves; the content of `members.json`.

    Attributes:
        board: the leaderboard, the best first.
        members: that are stored.
        folds: {network: the folds whose weights are stored}; their probabilities are averaged.
        opinions: {modality: (member that reads it alone, its temperature)}.
        prior: (C,) probabilities for rows of which no member has an opinion.
        rows: training rows of the networks.
    """

    board: Sequence[Ranked]
    members: Sequence[Member]
    folds: Mapping[str, Sequence[int]]
    opinions: Mapping[str, tuple[str, float]]
    prior: Sequence[float]
    rows: int

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Read plain values again."""
        return cls(
            [Ranked(**line) for line in values["board"]],
            [Member(**{**line, "views": tuple(line["views"])}) for line in values["members"]],
            {name: list(folds) for name, folds in values["folds"].items()},
            {m: (name, float(t)) for m, (name, t) in values["opinions"].items()},
            [float(p) for p in values["prior"]],
            int(values["rows"]),
        )


def save_recipe(folder: Path, recipe: Recipe, facts: Mapping[str, str]) -> None:
    """Write `members.json`, with a digest of every file of the members and of the data's facts.

    Args:
        folder: of the run, which holds the members already.
        recipe: to write.
        facts: digests of `data.json`.
    """
    files = sorted(p for p in (folder / "members").rglob("*") if p.is_file())
    content: dict[str, Any] = {
        "format": 1,
        **asdict(recipe),
        "facts": dict(facts),
        "files": {p.relative_to(folder).as_posix(): _digest(p) for p in files},
    }
    content = json.loads(json.dumps(content))
    content["digest"] = digest(content)
    replace_file(folder / MEMBERS, json.dumps(content, indent=1).encode())


def read_recipe(folder: Path) -> tuple[Recipe, Mapping[str, str], Mapping[str, str]]:
    """Read `members.json`.

    Returns:
        The recipe, the digests of the data's facts, and those of the members' files.

    Raises:
        RunError: it was edited or cut.
    """
    path = folder / MEMBERS
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("digest") != digest(content):
            raise ValueError
        return Recipe.from_dict(content), content["facts"], content["files"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise RunError(
            f"{path}: edited or cut since it was written; restore the file, or search again in a "
            "new folder"
        ) from None


def save_stacks(stacks: Mapping[str, Stack], folder: Path) -> None:
    """Write stacks into the folder of the members."""
    arrays = {}
    for name, stack in stacks.items():
        arrays[f"{name}/weights"] = stack.weights
        arrays[f"{name}/bias"] = stack.bias
    np.savez(folder / "stacks.npz", **arrays)  # type: ignore[arg-type]


def _read_stacks(folder: Path) -> dict[str, Stack]:
    with np.load(folder / "stacks.npz", allow_pickle=False) as arrays:
        names = {key.rpartition("/")[0] for key in arrays.files}
        return {name: Stack(arrays[f"{name}/weights"], arrays[f"{name}/bias"]) for name in names}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Blended:
    """The members of a search, asked together.

    Args:
        recipe: weights and temperatures.
        reader: reads features of tables.
        fitted: {member: fitted by scikit-learn}.
        networks: {member: the networks whose probabilities are averaged}.
        stacks: {line of the leaderboard: what joins its parts}.
    """

    def __init__(
        self,
        recipe: Recipe,
        reader: Reader,
        fitted: Mapping[str, Classical],
        networks: Mapping[str, Sequence[Model]],
        stacks: Mapping[str, Stack],
    ) -> None:
        self.recipe = recipe
        self.reader = reader
        self.fitted = fitted
        self.networks = networks
        self.stacks = stacks
        self.members = {member.name: member for member in recipe.members}

    @classmethod
    def load(
        cls,
        folder: Path,
        settings: Settings,
        specs: Mapping[str, ModalitySpec],
        classes: Sequence[Label],
    ) -> Blended:
        """Read the members of a finished search.

        Args:
            folder: of the run.
            settings: of the run.
            specs: modalities of its data.
            classes: of its data.

        Raises:
            RunError: a file is missing or damaged.
        """
        recipe, _, files = read_recipe(folder)
        for name, expected in files.items():
            path = folder / name
            if not path.is_file() or _digest(path) != expected:
                raise RunError(
                    f"{path}: missing, cut short or edited since it was written; restore the file, "
                    "or search again in a new folder"
                )
        stored = folder / "members"
        with np.load(stored / "features.npz", allow_pickle=False) as arrays:
            reader = Reader({name: arrays[name] for name in arrays.files})
        fitted = {}
        networks = {}
        for member in recipe.members:
            if member.family != NETWORK:
                fitted[member.name] = Classical.load(stored / member.name)
                continue
            own = network_settings(settings, member.options, recipe.rows)
            networks[member.name] = [
                _network(stored / member.name / f"fold-{fold}.safetensors", own, specs, classes)
                for fold in recipe.folds[member.name]
            ]
        return cls(recipe, reader, fitted, networks, _read_stacks(stored))

    def probabilities(self, table: Table, only: Iterable[str] | None = None) -> np.ndarray:
        """The ensemble's probabilities of every row, float64 (N, C).

        Args:
            table: rows.
            only: predict as if no other modality existed.
        """
        return self.opened(table).probabilities(only)

    def predict(self, table: Table) -> Predictions:
        """The logarithms of the probabilities of every row, of the ensemble and per modality."""
        return self.opened(table).predictions()

    def opened(self, table: Table) -> Asked:
        """A table whose features are read once for all questions about it."""
        return Asked(self, table)


class Asked:
    """The opinions of the members about the rows of a table, each computed when first asked for.

    Args:
        blended: the members.
        table: the rows.
    """

    def __init__(self, blended: Blended, table: Table) -> None:
        self.blended = blended
        self.table = table
        self.features = blended.reader(table)
        # By member and the modalities shown to it: many questions differ in the others only.
        self._known: dict[tuple[str, tuple[str, ...]], np.ndarray] = {}

    def probabilities(self, only: Iterable[str] | None = None) -> np.ndarray:
        """The ensemble's probabilities, float64 (N, C), as if no modality but `only` existed."""
        chosen = tuple(self.table.modalities if only is None else only)
        shown = self.features.only(chosen)
        found = []
        available = []
        weights = []
        for line in self.blended.recipe.board:
            if not line.weight:
                continue
            seen = [self.blended.members[part].sees(shown.present) for part in line.parts]
            parts = [self._logits(part, chosen, shown) for part in line.parts]
            if len(parts) == 1:
                whole = parts[0]
            elif line.stacked:
                inputs = stack_inputs(parts, seen, line.temperatures)
                whole = self.blended.stacks[line.name](inputs)
            else:
                whole = late_average(parts, seen, line.temperatures)
            found.append(np.exp(log_softmax(whole / line.temperature)))
            available.append(np.any(seen, axis=0))
            weights.append(line.weight)
        prior = np.array(self.blended.recipe.prior)
        return average(np.stack(found), np.stack(available), np.array(weights), prior)

    def predictions(self) -> Predictions:
        """See `Blended.predict`.

        A modality alone is judged by the best of the members that read nothing else.
        """
        table = self.table
        logits = {}
        for modality, here in table.present.items():
            name, temperature = self.blended.recipe.opinions[modality]
            raw = self._logits(name, tuple(table.modalities), self.features)
            alone = log_softmax(raw / temperature)
            logits[modality] = np.where(here[:, None], alone, 0).astype(np.float32)
        return Predictions(
            index=np.arange(len(table)),
            label=np.asarray(table.label),
            present={m: np.asarray(here) for m, here in table.present.items()},
            logits=logits,
            fused=np.log(np.maximum(self.probabilities(), LEAST)).astype(np.float32),
            classes=tuple(table.classes),
        )

    def _logits(self, name: str, chosen: tuple[str, ...], shown: Features) -> np.ndarray:
        views = tuple(m for m in self.blended.members[name].views if m in chosen)
        key = (name, views)
        if key not in self._known:
            self._known[key] = self._ask(name, views, shown)
        return self._known[key]

    def _ask(self, name: str, views: tuple[str, ...], shown: Features) -> np.ndarray:
        if name in self.blended.fitted:
            return self.blended.fitted[name].logits(shown)
        models = self.blended.networks[name]
        tables = [predict(model, self.table, only=views).fused for model in models]
        mean = np.mean([np.exp(log_softmax(x)) for x in tables], axis=0)
        return tables[0] if len(tables) == 1 else np.log(np.maximum(mean, LEAST))


def _network(
    path: Path, settings: Settings, specs: Mapping[str, ModalitySpec], classes: Sequence[Label]
) -> Model:
    # The weights drawn here are replaced at once; the caller's random state must not change.
    with torch.random.fork_rng():
        model = build_model(settings, specs, classes)
    try:
        model.load_state_dict(load(path.read_bytes()))
    except (SafetensorError, RuntimeError, KeyError) as error:
        raise RunError(
            f"{path}: unreadable ({type(error).__name__}); restore the file, or search again"
        ) from None
    return model.to(pick_device(settings.device)).eval()
