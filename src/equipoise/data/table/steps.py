"""What happens to a modality between its store and a batch: finishing, scaling, token ids.

A step is made from the user's settings, may learn from the training rows, and is applied as rows
are read. What it learned is plain values, so that new data are read alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from equipoise.data.modality import ModalitySpec
from equipoise.data.table.table import Splits, Table
from equipoise.data.transforms.base import Draws, Transform
from equipoise.data.transforms.scale import Scale, fit_scale, spread
from equipoise.data.transforms.text import Pieces, PieceTokens, Words, WordTokens


class Arrays:
    """Numbers, sounds, pictures: the transform's finish, then the scale.

    Args:
        transform: None for number columns, which are finished as they are.
    """

    def __init__(self, transform: Transform | None) -> None:
        self.transform = transform

    def fit(self, table: Table, modality: str) -> tuple[FinishedArrays, dict[str, Any]]:
        if self.transform is not None and getattr(self.transform, "normalise", None) != "fit":
            return FinishedArrays(self.transform, None), {}
        store = table.arrays[modality]
        plain = FinishedArrays(self.transform, None)
        axis, padded = (
            (0, False) if self.transform is None else (self.transform.axis, self.transform.padded)
        )
        shape = table.specs[modality].shape
        rows = table.store_rows[table.present[modality]]
        scale = fit_scale(
            lambda chosen: plain(store[chosen], None),
            rows if len(shape) == 1 else spread(rows),
            shape[axis],
            axis,
            padded,
        )
        return FinishedArrays(self.transform, scale), {"scale": asdict(scale)}

    def restore(self, learned: Mapping[str, Any]) -> FinishedArrays:
        return FinishedArrays(
            self.transform, Scale(**learned["scale"]) if "scale" in learned else None
        )


class FinishedArrays:
    """See `Arrays`."""

    def __init__(self, transform: Transform | None, scale: Scale | None) -> None:
        self.transform = transform
        self.scale = scale
        self.random = transform is not None and transform.random

    def __call__(self, block: np.ndarray, draws: Draws | None) -> np.ndarray:
        if self.transform is not None:
            block = self.transform.finish(block, draws)
        return block if self.scale is None else self.scale.apply(block)

    def spec(self, before: ModalitySpec) -> ModalitySpec:
        return before


class Texts:
    """Text into token ids.

    Args:
        transform: with a vocabulary of its own, or to be learned.
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
    """See `Texts`. A text is split once, however many epochs read it."""

    random = False

    def __init__(self, tokens: WordTokens | PieceTokens) -> None:
        self.tokens = tokens
        self._known: dict[str, np.ndarray] = {}

    def __call__(self, block: np.ndarray, draws: Draws | None) -> np.ndarray:
        texts = block.tolist()
        unknown = [text for text in dict.fromkeys(texts) if text not in self._known]
        if unknown:
            self._known.update(zip(unknown, self.tokens(unknown), strict=True))
        return np.stack([self._known[text] for text in texts])

    def spec(self, before: ModalitySpec) -> ModalitySpec:
        return replace(before, vocabulary=self.tokens.size)


class Absent:
    """Of a modality that new data do not have: nothing is ever read."""

    random = False

    def __call__(self, block: np.ndarray, draws: Draws | None) -> np.ndarray:
        return block

    def spec(self, before: ModalitySpec) -> ModalitySpec:
        return before


def fit_steps(parts: Splits, seed: int) -> Splits:
    """Let the steps of `parts.fitting` learn from what training sees, once holdout and hidden cells
    are gone from it.

    They are applied to all splits, training rows are augmented, and what was learned goes into
    `preprocessing`.
    """
    if not parts.fitting:
        return parts
    ready = {}
    learned = {}
    for modality, step in parts.fitting.items():
        ready[modality], learned[modality] = step.fit(parts.train, modality)
    return replace(
        parts,
        train=parts.train.stepped(ready).augmented(seed),
        validation=parts.validation.stepped(ready),
        test=parts.test.stepped(ready),
        holdout=parts.holdout and parts.holdout.stepped(ready),
        preprocessing={**parts.preprocessing, "learned": learned},
        fitting={},
    )
