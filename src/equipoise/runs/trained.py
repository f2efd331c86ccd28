"""A finished run in use: its model rebuilt from disk, and its preprocessing applied to new data."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from equipoise import data
from equipoise.batch import Predictions
from equipoise.data.manifest.columns import SPLIT_NAMES
from equipoise.data.manifest.labels import LabelType
from equipoise.data.modality import ModalitySpec
from equipoise.data.table.missing import mask
from equipoise.data.table.table import Splits, Table
from equipoise.encoders import ENOUGH
from equipoise.errors import ConfigError, DataError, EquipoiseError, RunError, invalid
from equipoise.evaluation.assessment import assess
from equipoise.evaluation.calibration import tempered
from equipoise.evaluation.features import features
from equipoise.evaluation.predict import predict
from equipoise.evaluation.predictions import load_predictions
from equipoise.model import Model
from equipoise.runs.build import build_method, build_model, head_of
from equipoise.runs.folder import data_facts, digest, fact_digests, read_facts
from equipoise.runs.module import PlainModule
from equipoise.runs.run import Run, identity_of, load_splits
from equipoise.settings import IN_MEMORY, Settings, require_trust
from equipoise.training.checkpoint import Checkpoints
from equipoise.training.runtime import pick_device

if TYPE_CHECKING:
    import pandas as pd


class Finished(ABC):
    """A finished run of any kind: it reads data as the run did, predicts and measures.

    Args:
        folder: the run folder.
        trust: the settings of the run may import code.
        frame: the DataFrame that the run was trained on, which no run folder holds.

    Raises:
        ConfigError: the settings import code, and are not trusted.
        RunError: no finished run there, or its files are damaged or do not belong together.
    """

    def __init__(
        self, folder: str | Path, *, trust: bool = False, frame: pd.DataFrame | None = None
    ) -> None:
        self.folder = Path(folder)
        self.run = Run.open(self.folder)
        self.settings = self.run.settings
        self.frame = frame
        require_trust(self.settings.to_dict(), self.folder / "config.yaml", trust)
        facts = read_facts(self.folder)
        self._check_facts(facts, self._stored_digests())
        try:
            self.classes = tuple(facts["classes"])
            self.specs = {
                m: ModalitySpec(
                    m, f["kind"], tuple(f["shape"]), f["vocabulary"], f.get("masked", False)
                )
                for m, f in facts["modalities"].items()
            }
            self.preprocessing = facts["preprocessing"]
            # A run of version 0.1 does not say: it took a ResNet for large maps whatever the rows.
            self.rows = facts.get("rows", ENOUGH)
            self.label_type = LabelType.from_dict(self.preprocessing.get("label_type"))
            self._build()
        except EquipoiseError:
            raise
        except (KeyError, TypeError, AttributeError, ValueError, RuntimeError) as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise RunError(
                f"{self.folder / 'data.json'}: does not fit the weights of the run ({reason}); "
                "restore the file, or train again"
            ) from None

    @abstractmethod
    def _stored_digests(self) -> Mapping[str, Any] | None:
        """The digests of `data.json` that are kept with the weights; None if there are none."""

    @abstractmethod
    def _build(self) -> None:
        """Make ready to predict, once classes and modalities are known."""

    @abstractmethod
    def _load_splits(self, settings: Settings) -> Splits:
        """The splits of the run's own data."""

    @abstractmethod
    def predict(self, table: Table) -> Predictions:
        """The logits of every row, fused and per modality."""

    def read(
        self,
        source: Any,
        problems: str | None = None,
        *,
        labelled: bool = True,
        allow_absent: bool = False,
    ) -> Table:
        """Read other data with the preprocessing of the run. A missing label is −1.

        Args:
            source: a manifest, a DataFrame or a prepared folder; all rows are read.
            problems: effect of a bad file: "error", "drop" or "absent"; as in training by default.
            labelled: False to leave the label column unread.
            allow_absent: the data may lack the columns of some modalities.

        Raises:
            ConfigError: `problems` is none of these, or the columns of a modality are missing.
            DataError: a file, column or label does not fit the run, or no row is left.
        """
        settings = replace(self.settings.data, source=source)
        if problems is not None:
            settings = replace(settings, problems=problems)
        table: Table = data.read_table(
            settings,
            specs=self.specs,
            classes=self.classes,
            preprocessing=self.preprocessing,
            labelled=labelled,
            allow_absent=allow_absent,
        )
        return table

    def own(self, split: str = "test", missing: float | None = None) -> Table:
        """A split of the run's own data.

        Args:
            split: "train", "validation" or "test".
            missing: fraction of the cells to hide; as in training by default.

        Raises:
            ConfigError: no such split.
            DataError: the data are gone, or the split is empty.
        """
        if split not in SPLIT_NAMES:
            raise invalid("evaluate", "split", f"one of {', '.join(SPLIT_NAMES)}", split)
        settings = self.settings
        if settings.data.source == IN_MEMORY:
            if self.frame is None:
                raise DataError(
                    f"{self.folder}: trained on a DataFrame, which is not kept in the folder; only "
                    "the predictions of its validation and test split are; give the data to "
                    "evaluate on"
                )
            settings = replace(settings, data=replace(settings.data, source=self.frame))
        if missing is not None:
            settings = replace(settings, data=replace(settings.data, missing_test=missing))
        splits = self._load_splits(settings)
        self._check_own(splits)
        table: Table = getattr(splits, split)
        if not len(table):
            raise DataError(
                f"{settings.data.source}: the {split} split is empty; choose another one"
            )
        return table

    def table(self, source: Any = None, split: str | None = None) -> Table:
        """Other data, all rows of it, or a split of the run's own data.

        Args:
            source: a manifest, a DataFrame or a prepared folder; the run's own data by default.
            split: of the run's own data; the test split by default.

        Raises:
            ConfigError: no such split, or a split of other data.
            DataError: the data cannot be read.
        """
        if source is None:
            return self.own(split or "test")
        if split is not None:
            raise ConfigError(
                f"{split!r} is a split of the run's own data; leave out one of the two"
            )
        return self.read(source)

    def _stored(self, split: str) -> Predictions | None:
        """The predictions that the run kept of a split of a DataFrame, which is kept nowhere."""
        path = self.folder / "predictions" / f"{split}.npz"
        if self.settings.data.source != IN_MEMORY or self.frame is not None or not path.is_file():
            return None
        return load_predictions(path)

    def evaluate(
        self,
        source: Any = None,
        *,
        split: str | None = None,
        missing: float | None = None,
        problems: str | None = None,
        allow_absent: bool = False,
    ) -> dict[str, Any]:
        """Measure the model on a split of the run's own data or on other data.

        Args:
            source: other data, all labelled rows of it; the run's own by default.
            split: of the run's own data; the test split by default.
            missing: fraction of the cells to hide; for the run's own data as in training by
                default, for other data none.
            problems: effect of a bad file of other data; as in training by default.
            allow_absent: other data may lack the columns of some modalities.

        Raises:
            ConfigError: no such split, a split of other data, `problems` or `allow_absent` for the
                run's own data, or the columns of a modality are missing.
            DataError: the data cannot be read, or have no labels.
        """
        if source is None:
            if problems is not None:
                # Dropping a row could change the splits, and so move training rows into the test.
                raise ConfigError(
                    "evaluate: 'problems' is for other data; "
                    "the run's own must be as they were in training"
                )
            if allow_absent:
                raise ConfigError(
                    "evaluate: 'allow_absent' is for other data; the run's own have every column"
                )
            stored = self._stored(split or "test") if missing is None else None
            if stored is not None:
                return assess(stored)
            return assess(self.predict(self.own(split or "test", missing)))
        if split is not None:
            raise ConfigError(
                f"evaluate: {split!r} is a split of the run's own data; leave out one of the two"
            )
        table = self.read(source, problems, allow_absent=allow_absent)
        where = source if isinstance(source, str | Path) else type(source).__name__
        unlabelled = int((table.label < 0).sum())
        if unlabelled == len(table):
            raise DataError(
                f"{where}: no labels in column {self.preprocessing['label']!r}; "
                "nothing to measure against"
            )
        if unlabelled:
            warnings.warn(
                f"{where}: {unlabelled} of {len(table)} rows have no label and are not measured",
                stacklevel=3,
            )
        d = self.settings.data
        hidden = mask(
            table,
            missing or 0.0,
            seed=d.seed,
            split="data",
            exact=d.missing_exact,
            modality=d.missing_modality,
        )
        return assess(self.predict(hidden))

    def _check_facts(self, facts: Mapping[str, Any], stored: Mapping[str, Any] | None) -> None:
        """Refuse a `data.json` that was edited, since it decides what an output means."""
        path = self.folder / "data.json"
        if stored is None:
            warnings.warn(
                f"{path}: not checked, since the run was made by an earlier version that kept no "
                "digest of it",
                stacklevel=3,
            )
            return
        for part, found in fact_digests(facts).items():
            if stored.get(part) != found:
                raise RunError(
                    f"{path}: {part!r} was edited since the run was trained; restore the file, or "
                    "train again in a new folder"
                )

    def _check_own(self, splits: Splits) -> None:
        """Refuse data that have changed in a way that outputs of the model mean something else."""
        now = data_facts(splits)
        was = read_facts(self.folder)
        for part, of in (
            ("classes", itemgetter("classes")),
            ("modalities", itemgetter("modalities")),
            ("vocabulary", _vocabularies),
        ):
            if digest(of(now)) != digest(of(was)):
                raise DataError(
                    f"{self.settings.data.source}: these are not the data that {self.folder} was "
                    f"trained on, since the {part} changed; give them with --data, or train again"
                )


class Trained(Finished):
    """The model of a finished training, with the weights that were best on validation.

    Args:
        folder: the run folder.
        trust: the settings of the run may import code.
        frame: the DataFrame that the run was trained on, which no run folder holds.
        head: options of the head that replace those of the run, such as {"fusion": "mean"}; with a
            `name`, another head of the same parts.
        epoch: one of the run's `keep_epochs`, whose weights are taken; the best one by default.

    Raises:
        ConfigError: the settings import code, and are not trusted, or the trained weights do not
            fit the head.
        RunError: no finished run there, or its files are damaged or do not belong together, or the
            weights of the epoch were not kept.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        trust: bool = False,
        frame: pd.DataFrame | None = None,
        head: Mapping[str, Any] | None = None,
        epoch: int | None = None,
    ) -> None:
        self.exchanged = dict(head or {})
        self.epoch = epoch
        super().__init__(folder, trust=trust, frame=frame)

    def _stored_digests(self) -> Mapping[str, Any] | None:
        checkpoints = Checkpoints(
            self.folder / "checkpoints", {"settings": identity_of(self.settings)}
        )
        path = checkpoints.best() if self.epoch is None else checkpoints.kept(self.epoch)
        self._chosen = checkpoints.load(path)
        found: Mapping[str, Any] | None = self._chosen.identity.get("facts")
        return found

    def _build(self) -> None:
        settings = self.settings
        if self.exchanged:
            own = head_of(settings)
            same = self.exchanged.get("name", own["name"]) == own["name"]
            settings = replace(settings, head={**(own if same else {}), **self.exchanged})
        # The weights drawn here are replaced at once; the caller's random state must not change.
        with torch.random.fork_rng():
            model = build_model(settings, self.specs, self.classes, self.rows)
        if self.exchanged:
            self._require_parts(model)
        model.load_state_dict(self._chosen.model)
        self.model = model.to(pick_device(self.settings.device)).eval()

    def _require_parts(self, model: Model) -> None:
        """Refuse a head whose weights are not those that were trained."""
        shapes = [
            {name: tuple(tensor.shape) for name, tensor in state.items()}
            for state in (self._chosen.model, model.state_dict())
        ]
        if shapes[0] != shapes[1]:
            name = f"{self.exchanged.get('name', head_of(self.settings)['name'])!r}"
            raise ConfigError(
                f"{self.folder}: the trained weights do not fit head {name} with these options; "
                "only how the parts of a head are fused can be exchanged after training"
            )

    @property
    def temperatures(self) -> dict[str, Any] | None:
        """The run's temperatures; None if it has none, or if they were fitted to other logits."""
        if self.exchanged or self.epoch is not None:
            return None
        found: dict[str, Any] | None = self.run.result.get("temperature")
        return found

    def _stored(self, split: str) -> Predictions | None:
        return None if self.exchanged or self.epoch is not None else super()._stored(split)

    def _load_splits(self, settings: Settings) -> Splits:
        return load_splits(settings, build_method(settings))

    def features(self, table: Table) -> dict[str, np.ndarray]:
        """The features {modality: (N, d_m)} of every row, NaN where the modality is absent."""
        return features(self.model, table)

    @property
    def module(self) -> PlainModule:
        """The network with tensors as inputs and fused logits as output."""
        return PlainModule(self.model)

    def predict(self, table: Table) -> Predictions:
        """The logits of every row, fused and per modality, divided by the run's temperatures."""
        return tempered(predict(self.model, table), self.temperatures)


def _vocabularies(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The words that each modality of text learned. Scales are floats, which machines round."""
    learned = facts["preprocessing"].get("learned", {})
    return {modality: found.get("vocabulary") for modality, found in learned.items()}
