"""A split as a table of arrays, and the four splits of a run."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch

from equipoise.batch import Batch, Input
from equipoise.data.modality import ModalitySpec
from equipoise.data.transforms.base import Draws


def fingerprint(store: Any) -> bytes:
    """Short bytes that change with the values of a store.

    It is computed at every start of a training, so it is cheap: a checksum for arrays in memory (it
    notices changes, it does not withstand forgery), size and time of change for mapped files, and
    for rows of the cache the identity of transform and files that the cache knows them by. Of a
    store of another make nothing is known: no bytes.

    Args:
        store: an array (K, …), of texts (K,), or what a table reads in place of one.
    """
    identity = getattr(store, "identity", None)
    if isinstance(identity, str):
        return identity.encode()
    if not isinstance(store, np.ndarray):
        return b""
    facts: tuple[Any, ...] = (store.shape, store.dtype.str)
    if isinstance(store, np.memmap) and store.filename is not None:
        file = os.stat(store.filename)
        facts = (*facts, store.offset, file.st_size, file.st_mtime_ns)
    elif store.dtype == object:
        facts = (
            *facts,
            zlib.crc32("\0".join(map(str, store.ravel())).encode("utf-8", "surrogatepass")),
        )
    else:
        facts = (*facts, zlib.crc32(np.ascontiguousarray(store).reshape(-1).view(np.uint8).data))
    return repr(facts).encode()


class Store(Protocol):
    """What reads like an array (K, …): an array, or rows of a cache."""

    def __getitem__(self, rows: np.ndarray, /) -> np.ndarray: ...

    def __len__(self) -> int: ...


class Step(Protocol):
    """What happens to a modality between its store and a batch, see `steps.py`."""

    random: bool

    def __call__(self, block: np.ndarray, draws: Draws | None) -> np.ndarray: ...

    def spec(self, before: ModalitySpec) -> ModalitySpec: ...


class Fitting(Protocol):
    """A step that is still to learn."""

    def fit(self, table: Table, modality: str) -> tuple[Step, dict[str, Any]]:
        """The step, and what was learned in plain values."""

    def restore(self, learned: Mapping[str, Any]) -> Step:
        """The same step from what `fit` learned."""


class Table:
    """One split; rows are read from (memory-mapped) arrays.

    Args:
        specs: {modality: spec}, in the order of declaration.
        arrays: {modality: (K, …)} store of decoded samples; of texts, (K,).
        rows: (N,) row of the store that each sample of this split reads.
        label: int64 (N,); −1 where unknown.
        present: {modality: bool (N,)}.
        classes: class names; a label is an index into them.
        ids: (N,) unique sample ids.
        raw: {modality: original cells}, for reports.
        steps: {modality: step}, applied to present rows as they are read.
        group: (N,) what stays together where the table is cut (speaker, subject, session); None
            where each sample stands for itself.
        augment: seed of the random part of the steps; None for none of it.
        existing: {modality: bool (N,)}, the cells whose content may be revealed to a method though
            it is hidden from the network; the present ones by default.
        features: {modality: (K, d)} what a frozen encoder makes of each row of the store; its
            samples are then {"feature": (B, d)}, and nothing else of the modality is read.
    """

    def __init__(
        self,
        specs: Mapping[str, ModalitySpec],
        arrays: Mapping[str, Store],
        rows: np.ndarray,
        label: np.ndarray,
        present: Mapping[str, np.ndarray],
        classes: Sequence[str],
        ids: Sequence[str],
        raw: Mapping[str, Sequence[Any]] | None = None,
        steps: Mapping[str, Step] | None = None,
        group: np.ndarray | None = None,
        augment: int | None = None,
        features: Mapping[str, np.ndarray] | None = None,
        existing: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        self.specs = dict(specs)
        self.arrays = dict(arrays)
        self.store_rows = np.asarray(rows, dtype=np.int64)
        self.label = np.asarray(label, dtype=np.int64)
        self.present = {m: np.asarray(present[m], dtype=bool) for m in specs}
        self.existing = {m: np.asarray((existing or present)[m], dtype=bool) for m in specs}
        self.classes = tuple(classes)
        self.ids = list(ids)
        self.raw = dict(raw or {})
        self.steps = dict(steps or {})
        self.group = group
        self.augment = augment
        self.features = dict(features or {})
        self._hides = any((self.existing[m] & ~self.present[m]).any() for m in specs)

    @property
    def modalities(self) -> tuple[str, ...]:
        return tuple(self.specs)

    def __len__(self) -> int:
        return len(self.label)

    def rows(self, indices: np.ndarray, epoch: int = 0) -> Batch:
        """The samples of these rows as a batch; content of absent cells is zeros, whatever the store holds."""
        whole = self._rows(self.existing, indices, epoch)
        if not self._hides:
            return whole
        return whole.hide({m: torch.from_numpy(self.present[m][indices]) for m in self.specs})

    def _rows(self, shown: Mapping[str, np.ndarray], indices: np.ndarray, epoch: int) -> Batch:
        inputs: dict[str, Input] = {}
        present = {}
        for modality, spec in self.specs.items():
            here = shown[modality][indices]
            present[modality] = torch.from_numpy(here)
            if modality in self.features:
                known = self.features[modality][self.store_rows[indices]] * here[:, None]
                inputs[modality] = {"feature": torch.from_numpy(known)}
                continue
            if here.all() and len(here):
                block = self._read(modality, self.store_rows[indices], epoch)
            else:
                block = np.zeros(
                    (len(indices), *spec.shape), np.float32 if spec.vocabulary is None else np.int64
                )
                if here.any():
                    block[here] = self._read(modality, self.store_rows[indices[here]], epoch)
            inputs[modality] = torch.from_numpy(block)
        label = torch.from_numpy(self.label[indices])
        return Batch(inputs, present, label, torch.from_numpy(np.asarray(indices, dtype=np.int64)))

    def _read(self, modality: str, store_rows: np.ndarray, epoch: int) -> np.ndarray:
        block = self.arrays[modality][store_rows]
        step = self.steps.get(modality)
        if step is None:
            return block
        draws = None
        if (
            self.augment is not None and step.random
        ):  # the same draws for every modality of a sample
            draws = [np.random.default_rng((self.augment, epoch, int(row))) for row in store_rows]
        return step(block, draws)

    def original(self, modality: str, row: int) -> Any:
        """The cell this sample was read from (a path, text or numbers), or None where it is not known."""
        cells = self.raw.get(modality)
        return None if cells is None else cells[int(self.store_rows[row])]

    def take(self, rows: np.ndarray) -> Table:
        """Some rows of this table, over the same store."""
        return self._like(
            rows=self.store_rows[rows],
            label=self.label[rows],
            present={m: p[rows] for m, p in self.present.items()},
            existing={m: e[rows] for m, e in self.existing.items()},
            ids=[self.ids[int(r)] for r in rows],
            group=None if self.group is None else self.group[rows],
        )

    def with_present(self, present: Mapping[str, np.ndarray], *, existing: bool = False) -> Table:
        """The same samples with other cells present; with `existing` the content of the others can be revealed."""
        return self._like(present=present, existing=self.existing if existing else present)

    def stepped(self, steps: Mapping[str, Step]) -> Table:
        """The same samples, with steps applied as they are read; a modality without one is read as it is."""
        specs = {m: steps[m].spec(spec) if m in steps else spec for m, spec in self.specs.items()}
        return self._like(steps=steps, specs=specs)

    def augmented(self, seed: int | None) -> Table:
        """The same samples with the random part of the steps; None for none of it."""
        return self._like(augment=seed)

    def with_features(self, modality: str, features: np.ndarray) -> Table:
        """The same samples, of which one modality was encoded before."""
        return self._like(features={**self.features, modality: features})

    def only(self, modalities: Sequence[str]) -> Table:
        """The same samples with some of the modalities."""
        return self._like(specs={m: self.specs[m] for m in modalities})

    def _like(self, **changes: Any) -> Table:
        same = {
            "specs": self.specs,
            "arrays": self.arrays,
            "rows": self.store_rows,
            "label": self.label,
            "present": self.present,
            "classes": self.classes,
            "ids": self.ids,
            "raw": self.raw,
            "steps": self.steps,
            "group": self.group,
            "augment": self.augment,
            "features": self.features,
            "existing": self.existing,
        }
        return Table(**{**same, **changes})


@dataclass(frozen=True)
class Splits:
    """What a run reads.

    Attributes:
        train: moves parameters.
        validation: chooses the epoch and the settings.
        test: is read once, at the end.
        holdout: cut from train, for methods that estimate on data; None where nobody asked for it.
        name: of the data set.
        problems: rows that were dropped or lost a modality, with the reason.
        preprocessing: plain values from which the same transforms are made for new data.
        fitting: {modality: step} still to learn, see `steps.fit_steps`; `equipoise.data.load`
            returns none.
    """

    train: Table
    validation: Table
    test: Table
    holdout: Table | None = None
    name: str = "data"
    problems: Sequence[Mapping[str, Any]] = ()
    preprocessing: Mapping[str, Any] = field(default_factory=dict)
    fitting: Mapping[str, Fitting] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """A short digest of what training reads (ids, labels, presence, values): other data, other digest."""
        hashed = hashlib.sha256()
        known: dict[int, bytes] = {}  # the splits share their stores as a rule
        for table in filter(None, (self.train, self.validation, self.holdout)):
            hashed.update("\n".join(table.ids).encode() + table.label.tobytes())
            for modality, present in table.present.items():
                store = table.arrays[modality]
                known[id(store)] = known.get(id(store)) or fingerprint(store)
                hashed.update(
                    modality.encode()
                    + present.tobytes()
                    + known[id(store)]
                    + table.store_rows.tobytes()
                )
        return hashed.hexdigest()[:16]

    def only(self, modalities: Sequence[str]) -> Splits:
        """The same splits with some of the modalities."""
        holdout = self.holdout and self.holdout.only(modalities)
        train, validation, test = (
            t.only(modalities) for t in (self.train, self.validation, self.test)
        )
        return Splits(
            train, validation, test, holdout, self.name, self.problems, self.preprocessing
        )
