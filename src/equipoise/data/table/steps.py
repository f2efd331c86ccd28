"""The steps between a modality's store and a batch: finishing, scaling, token ids.

A step is made from the user's settings, may learn from the training rows, and is applied each time
rows are read. What it learned is kept as plain values, so that new data are read in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from equipoise.data.modality import ModalitySpec
from equipoise.data.table.table import Block, Splits, Table, UnfittedStep
from equipoise.data.transforms.array import Series
from equipoise.data.transforms.base import Draws, Transform
from equipoise.data.transforms.scale import Scale, fit_scale, sample_rows
from equipoise.data.transforms.tabular import Inputs, Tabular
from equipoise.data.transforms.text import Pieces, PieceTokens, Words, WordTokens


class Arrays:
    """Unfitted step of numbers, sounds and pictures: the transform's finish, then the scale.

    Args:
        transform: None for number columns without settings, which need no finish.
        robust: cut what is far from the mean, and recognise counts.
    """

    def __init__(self, transform: Transform | None, robust: bool = False) -> None:
        self.transform = transform
        self.robust = robust

    def fit(self, table: Table, modality: str) -> tuple[FinishedArrays, dict[str, Any]]:
        if self.transform is not None and getattr(self.transform, "normalise", None) not in (
            "fit",
            "auto",
        ):
            return FinishedArrays(self.transform, None), {}
        store = table.arrays[modality]
        plain = FinishedArrays(self.transform, None)
        axis = 0 if self.transform is None else self.transform.axis
        padded = self.transform is not None and self.transform.padded
        shape = table.specs[modality].shape
        rows = table.store_rows[table.present[modality]]
        scale = fit_scale(
            lambda chosen: plain.steps(store[chosen]),
            rows if len(shape) == 1 else sample_rows(rows),
            shape[axis],
            axis,
            padded,
            self.robust,
        )
        return FinishedArrays(self.transform, scale), {"scale": asdict(scale)}

    def restore(self, learned: Mapping[str, Any]) -> FinishedArrays:
        return FinishedArrays(
            self.transform, Scale(**learned["scale"]) if "scale" in learned else None
        )


class FinishedArrays:
    """The fitted step of `Arrays`.

    Args:
        transform: as of `Arrays`.
        scale: None where nothing is scaled by training rows.
    """

    def __init__(self, transform: Transform | None, scale: Scale | None) -> None:
        self.transform = transform
        self.scale = scale
        self.random = transform is not None and transform.random

    def __call__(self, block: np.ndarray, draws: Draws | None) -> Block:
        if self.transform is not None:
            block = self.transform.finish(block, draws)
        if self.scale is not None:
            block = self.scale.apply(block)
        if not self.masked:
            return block
        mask = ~np.isnan(block).any(axis=-1)
        return {"values": np.where(mask[..., None], block, np.float32(0)), "mask": mask}

    @property
    def masked(self) -> bool:
        return isinstance(self.transform, Series) and self.transform.mask

    def steps(self, block: np.ndarray) -> np.ndarray:
        """Finished samples; those with a mask as single steps (n, 1, d), without any padding."""
        if self.transform is not None:
            block = self.transform.finish(block, None)
        return block[~np.isnan(block).any(axis=-1)][:, None] if self.masked else block

    def spec(self, before: ModalitySpec) -> ModalitySpec:
        return replace(before, masked=self.masked)


class Texts:
    """Unfitted step that turns text into token ids.

    Args:
        transform: has a vocabulary of its own, or learns one from the training rows.
    """

    def __init__(self, transform: Words | Pieces) -> None:
        self.transform = transform

    def fit(self, table: Table, modality: str) -> tuple[TokenIds, dict[str, Any]]:
        vocabulary: list[str] = []
        if isinstance(self.transform, Words):
            vocabulary = self.transform.learn(
                table.arrays[modality][table.store_rows[table.present[modality]]]
            )
        return TokenIds(self.transform.tokens(vocabulary)), {"vocabulary": vocabulary}

    def restore(self, learned: Mapping[str, Any]) -> TokenIds:
        return TokenIds(self.transform.tokens(learned["vocabulary"]))


class TokenIds:
    """The fitted step of `Texts`.

    Args:
        tokens: text to ids.
    """

    random = False

    def __init__(self, tokens: WordTokens | PieceTokens) -> None:
        self.tokens = tokens
        # Every epoch reads the same texts, so each is split into tokens once. It grows to the
        # number of different texts and no further.
        self._known: dict[str, np.ndarray] = {}

    def __call__(self, block: np.ndarray, draws: Draws | None) -> np.ndarray:
        texts = block.tolist()
        unknown = [text for text in dict.fromkeys(texts) if text not in self._known]
        if unknown:
            self._known.update(zip(unknown, self.tokens(unknown), strict=True))
        return np.stack([self._known[text] for text in texts])

    def spec(self, before: ModalitySpec) -> ModalitySpec:
        return replace(before, vocabulary=self.tokens.size)


class Rows:
    """Unfitted step that turns rows of numbers, dates and categories into vectors.

    Args:
        transform: with the type of every column.
    """

    def __init__(self, transform: Tabular) -> None:
        self.transform = transform

    def fit(self, table: Table, modality: str) -> tuple[Vectors, dict[str, Any]]:
        rows = table.store_rows[table.present[modality]]
        learned = self.transform.learn(table.arrays[modality][rows])
        return self.restore(learned), learned

    def restore(self, learned: Mapping[str, Any]) -> Vectors:
        return Vectors(Inputs(self.transform.types, learned))


class Vectors:
    """The fitted step of `Rows`.

    Args:
        inputs: rows to vectors.
    """

    random = False

    def __init__(self, inputs: Inputs) -> None:
        self.inputs = inputs

    def __call__(self, block: np.ndarray, draws: Draws | None) -> np.ndarray:
        return self.inputs(block)

    def spec(self, before: ModalitySpec) -> ModalitySpec:
        return replace(before, shape=(self.inputs.width,))


class Absent:
    """The step of a modality that new data do not have, of which no row is ever read."""

    random = False

    def __call__(self, block: np.ndarray, draws: Draws | None) -> np.ndarray:
        return block

    def spec(self, before: ModalitySpec) -> ModalitySpec:
        return before


def unfitted_step(transform: Transform | Words | Pieces | Tabular | None) -> UnfittedStep:
    """The step that finishes what a transform decoded; None of number columns."""
    if isinstance(transform, Words | Pieces):
        return Texts(transform)
    if isinstance(transform, Tabular):
        return Rows(transform)
    robust = transform is None or getattr(transform, "normalise", None) == "auto"
    return Arrays(transform, robust)


def fit_steps(parts: Splits, seed: int) -> Splits:
    """Fit the steps of `parts.fitting` and apply them to every split.

    They see the training rows and cells only, so this comes after the holdout is cut and cells are
    hidden. Training rows are augmented, and what was learned goes into `preprocessing`.

    Args:
        parts: the splits.
        seed: of the augmentation.
    """
    if not parts.fitting:
        return parts
    steps = {}
    learned = {}
    for modality, unfitted in parts.fitting.items():
        steps[modality], learned[modality] = unfitted.fit(parts.train, modality)
    ready = parts.map(lambda table: table.stepped(steps))
    preprocessing = {**parts.preprocessing, "learned": learned}
    reading = dict(preprocessing.get("reading", {}))
    for modality in reading:
        if learned.get(modality, {}).get("scale", {}).get("counts"):
            reading[modality] += " as counts"
        step = parts.fitting.get(modality)
        if isinstance(step, Rows):
            remarks = step.transform.remarks(learned[modality])
            reading[modality] = "; ".join([reading[modality], *remarks])
    if reading:
        preprocessing["reading"] = reading
    return replace(
        ready,
        train=replace(ready.train, augment=seed),
        preprocessing=preprocessing,
        fitting={},
    )
