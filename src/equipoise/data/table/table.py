"""A split as a table of arrays, and the four splits of a run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import torch

from equipoise.batch import Batch, Input
from equipoise.data.decoding.store import Store, fingerprint
from equipoise.data.manifest.labels import Label
from equipoise.data.modality import ModalitySpec
from equipoise.data.transforms.base import Draws

Block = np.ndarray | Mapping[str, np.ndarray]
"""Samples of one modality (B, …), or several named arrays of them."""


class Step(Protocol):
    """The computation between a modality's store and a batch, see `steps.py`."""

    random: bool

    def __call__(self, block: np.ndarray, draws: Draws | None) -> Block: ...

    def spec(self, before: ModalitySpec) -> ModalitySpec: ...


class UnfittedStep(Protocol):
    """A step that has yet to learn from the training rows."""

    def fit(self, table: Table, modality: str) -> tuple[Step, dict[str, Any]]:
        """Learn from the present rows of a table.

        Returns:
            The step, and what was learned as plain values.
        """

    def restore(self, learned: Mapping[str, Any]) -> Step:
        """Make the same step from what `fit` learned."""


@dataclass(frozen=True, eq=False)
class Table:
    """One split; rows are read from (memory-mapped) arrays.

    Attributes:
        specs: {modality: spec}, in the order of declaration.
        arrays: {modality: (K, …)} stores of decoded samples; of texts, (K,).
        store_rows: (N,) row of the store that each sample of this split reads.
        label: int64 (N,); −1 where unknown.
        present: {modality: bool (N,)}.
        classes: the classes in the type of the labels; a label is an index into them.
        ids: (N,) unique sample ids.
        raw: {modality: (K,) original cells}, for reports.
        steps: {modality: step}, applied to present rows as they are read.
        group: (N,) values that stay together where the table is cut (speaker, subject, session);
            None where each sample stands for itself.
        weight: float32 (N,), how much each sample counts in a loss; None if all count alike.
        augment: seed of the random part of the steps; None switches it off.
        features: {modality: (K, d)} features that a frozen encoder computed of each row of the
            store; the samples are then {"feature": (B, d)}, and nothing else of the modality is
            read.
        existing: {modality: bool (N,)} cells whose content may be revealed to a method though it
            is hidden from the network; left out, the present ones.
    """

    specs: Mapping[str, ModalitySpec]
    arrays: Mapping[str, Store]
    store_rows: np.ndarray
    label: np.ndarray
    present: Mapping[str, np.ndarray]
    classes: Sequence[Label]
    ids: Sequence[Any]
    raw: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    steps: Mapping[str, Step] = field(default_factory=dict)
    group: np.ndarray | None = None
    weight: np.ndarray | None = None
    augment: int | None = None
    features: Mapping[str, Store] = field(default_factory=dict)
    existing: Mapping[str, np.ndarray] = field(default_factory=dict)
    _hides: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        present = {m: np.asarray(self.present[m], dtype=bool) for m in self.specs}
        existing = self.existing or self.present
        existing = {m: np.asarray(existing[m], dtype=bool) for m in self.specs}
        values = {
            "store_rows": np.asarray(self.store_rows, dtype=np.int64),
            "label": np.asarray(self.label, dtype=np.int64),
            "present": present,
            "existing": existing,
            "classes": tuple(self.classes),
            "ids": list(self.ids),
            "weight": None if self.weight is None else np.asarray(self.weight, dtype=np.float32),
            # Looked at here, once: every step of a training asks for it.
            "_hides": any((existing[m] & ~present[m]).any() for m in self.specs),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def modalities(self) -> tuple[str, ...]:
        return tuple(self.specs)

    def __len__(self) -> int:
        return len(self.label)

    def rows(self, indices: np.ndarray, epoch: int = 0) -> Batch:
        """Read some rows as a batch.

        `batch.index` holds the row numbers of this table. They are the key of a method's memory of
        single samples, so they must not depend on batch, order or epoch.

        Args:
            indices: (B,) row numbers.
            epoch: the random part of the steps differs between epochs.

        Returns:
            The batch; content of absent cells is zeros, whatever the store holds.
        """
        batch = self._read_existing(indices, epoch)
        if not self._hides:
            return batch
        return batch.hide({m: torch.from_numpy(self.present[m][indices]) for m in self.specs})

    def _read_existing(self, indices: np.ndarray, epoch: int) -> Batch:
        inputs: dict[str, Input] = {}
        present = {}
        store_rows = self.store_rows[indices]
        for modality, spec in self.specs.items():
            here = self.existing[modality][indices]
            present[modality] = torch.from_numpy(here)
            if modality in self.features:
                known = self.features[modality][store_rows] * here[:, None]
                inputs[modality] = {"feature": torch.from_numpy(known)}
                continue
            if here.all() and len(here):
                block = self._read(modality, store_rows, epoch)
            else:
                found = self._read(modality, store_rows[here], epoch) if here.any() else None
                block = _scattered(found, here, spec)
            inputs[modality] = (
                {name: torch.from_numpy(part) for name, part in block.items()}
                if isinstance(block, Mapping)
                else torch.from_numpy(block)
            )
        label = torch.from_numpy(self.label[indices])
        index = torch.from_numpy(np.asarray(indices, dtype=np.int64))
        weight = None if self.weight is None else torch.from_numpy(self.weight[indices])
        return Batch(inputs, present, label, index, weight=weight)

    def _read(self, modality: str, store_rows: np.ndarray, epoch: int) -> Block:
        block = self.arrays[modality][store_rows]
        step = self.steps.get(modality)
        if step is None:
            return block
        draws = None
        if self.augment is not None and step.random:
            # Keyed by the row of the store: every modality of a sample draws the same numbers,
            # and so do workers, ranks and resumed runs.
            draws = [np.random.default_rng((self.augment, epoch, int(row))) for row in store_rows]
        return step(block, draws)

    def original(self, modality: str, row: int) -> Any:
        """The cell that a sample was read from (a path, text or numbers), or None where unknown."""
        cells = self.raw.get(modality)
        return None if cells is None else cells[int(self.store_rows[row])]

    def take(self, rows: np.ndarray) -> Table:
        """Some rows of this table, over the same store."""
        return replace(
            self,
            store_rows=self.store_rows[rows],
            label=self.label[rows],
            present={m: p[rows] for m, p in self.present.items()},
            existing={m: e[rows] for m, e in self.existing.items()},
            ids=[self.ids[int(r)] for r in rows],
            group=None if self.group is None else self.group[rows],
            weight=None if self.weight is None else self.weight[rows],
        )

    def with_present(self, present: Mapping[str, np.ndarray], *, existing: bool = False) -> Table:
        """The same samples with other cells present.

        Args:
            present: {modality: bool (N,)}.
            existing: True where content that is hidden by this can still be revealed to a method;
                otherwise it is gone.
        """
        return replace(self, present=present, existing=self.existing if existing else present)

    def stepped(self, steps: Mapping[str, Step]) -> Table:
        """The same samples with these steps; a modality without one is read as it is stored."""
        specs = {m: steps[m].spec(spec) if m in steps else spec for m, spec in self.specs.items()}
        return replace(self, steps=steps, specs=specs)

    def only(self, modalities: Sequence[str]) -> Table:
        """The same samples with some of the modalities."""
        return replace(self, specs={m: self.specs[m] for m in modalities})


def _scattered(found: Block | None, here: np.ndarray, spec: ModalitySpec) -> Block:
    """The samples of present rows among zeros for the absent ones.

    Args:
        found: of the present rows; None where there is none.
        here: bool (B,).
        spec: of the modality.
    """
    dtype = np.float32 if spec.vocabulary is None else np.int64
    block = np.zeros((len(here), *spec.shape), dtype)
    if not spec.masked:
        if found is not None:
            block[here] = found
        return block
    mask = np.zeros((len(here), spec.shape[0]), dtype=bool)
    if isinstance(found, Mapping):
        block[here] = found["values"]
        mask[here] = found["mask"]
    return {"values": block, "mask": mask}


@dataclass(frozen=True)
class Splits:
    """The data of a run.

    Attributes:
        train: moves parameters.
        validation: chooses the epoch and the settings.
        test: is read once, at the end.
        holdout: cut from train, for methods that estimate on data; None where nobody asked for it.
        name: of the data set.
        problems: rows that were dropped or lost a modality, with the reason.
        preprocessing: plain values from which the same transforms are made for new data.
        fitting: {modality: step} that have yet to learn, see `steps.fit_steps`;
            `equipoise.data.load` returns none.
    """

    train: Table
    validation: Table
    test: Table
    holdout: Table | None = None
    name: str = "data"
    problems: Sequence[Mapping[str, Any]] = ()
    preprocessing: Mapping[str, Any] = field(default_factory=dict)
    fitting: Mapping[str, UnfittedStep] = field(default_factory=dict)

    def map(self, function: Callable[[Table], Table]) -> Splits:
        """Apply a function to each split; a missing holdout stays missing."""
        return replace(
            self,
            train=function(self.train),
            validation=function(self.validation),
            test=function(self.test),
            holdout=None if self.holdout is None else function(self.holdout),
        )

    @property
    def digest(self) -> str:
        """A short digest of what training reads: ids, labels, weights, presence and values."""
        hashed = hashlib.sha256()
        known: dict[int, bytes] = {}  # the splits usually share their stores
        for table in filter(None, (self.train, self.validation, self.holdout)):
            hashed.update("\n".join(map(str, table.ids)).encode() + table.label.tobytes())
            if table.weight is not None:
                hashed.update(table.weight.tobytes())
            for modality, present in table.present.items():
                store = table.arrays[modality]
                known[id(store)] = known.get(id(store)) or fingerprint(store)
                hashed.update(modality.encode())
                hashed.update(present.tobytes())
                hashed.update(known[id(store)])
                hashed.update(table.store_rows.tobytes())
        return hashed.hexdigest()[:16]

    def only(self, modalities: Sequence[str]) -> Splits:
        """The same splits with some of the modalities."""
        return self.map(lambda table: table.only(modalities))
