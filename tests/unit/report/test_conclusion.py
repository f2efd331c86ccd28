"""The conclusion says no more than the numbers and their intervals allow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from equipoise.batch import Predictions
from equipoise.evaluation.metrics import measure
from equipoise.evaluation.predictions import save_predictions
from equipoise.report.conclusion import conclude
from equipoise.report.records import MethodRuns, Record

SAMPLES = 400
LABEL = np.arange(SAMPLES) % 3


def logits(rng: np.random.Generator, right: float) -> np.ndarray:
    """Logits (N, 3) that are right in this fraction of the samples, at random places."""
    wrong = rng.permutation(SAMPLES) >= round(SAMPLES * right)
    return 4 * np.eye(3, dtype=np.float32)[(LABEL + wrong) % 3]


class Comparison:
    """Fabricated runs of several methods.

    Args:
        folder: for the predictions.
        rng: of the samples that are right.
    """

    def __init__(self, folder: Path, rng: np.random.Generator) -> None:
        self.folder = folder
        self.rng = rng
        self.groups: list[MethodRuns] = []

    def add(
        self,
        label: str,
        fused: float,
        alone: Mapping[str, float],
        validation: float | None = None,
        seeds: int = 3,
        labelled: bool = True,
    ) -> Comparison:
        """Add a method with its accuracies on test; on validation it is as good unless told."""
        runs = []
        for seed in range(seeds):
            test, chosen = (
                self._predictions(value, alone, labelled)
                for value in (fused, fused if validation is None else validation)
            )
            folder = self.folder / f"{label}-{seed}"
            (folder / "predictions").mkdir(parents=True)
            save_predictions(test, folder / "predictions" / "test.npz")
            result = {
                "label": label,
                "seed": seed,
                "modalities": list(alone),
                "test": measure(test),
                "validation": measure(chosen),
            }
            runs.append(Record(folder, result, []))
        self.groups.append(MethodRuns(label, runs))
        return self

    def _predictions(self, fused: float, alone: Mapping[str, float], labelled: bool) -> Predictions:
        return Predictions(
            np.arange(SAMPLES),
            LABEL if labelled else np.full(SAMPLES, -1),
            {m: np.ones(SAMPLES, dtype=bool) for m in alone},
            {m: logits(self.rng, right) for m, right in alone.items()},
            logits(self.rng, fused),
            ("x", "y", "z"),
        )

    def conclusion(self) -> str:
        return " ".join(conclude(self.groups))


@pytest.fixture
def comparison(tmp_path: Path, seed: int) -> Comparison:
    return Comparison(tmp_path, np.random.default_rng(seed))


@pytest.mark.parametrize("more", [{}, {"c": 0.5}])
def test_the_neglected_modality_is_named_with_the_method_that_teaches_it(
    comparison: Comparison, more: Mapping[str, float]
) -> None:
    comparison.add("joint", 0.8, {"a": 0.8, "b": 0.3, **more})
    comparison.add("alone", 0.8, {"a": 0.8, "b": 0.7, **more})
    text = comparison.conclusion()
    assert "Training by joint neglects b: by itself it is right in 30.0 % of the samples" in text
    assert "alone brings it to 70.0 % (+40.0 points [" in text


def test_no_modality_is_called_neglected_where_none_learns_more_elsewhere(
    comparison: Comparison,
) -> None:
    comparison.add("joint", 0.8, {"a": 0.7, "b": 0.6}).add("other", 0.8, {"a": 0.7, "b": 0.6})
    text = comparison.conclusion()
    assert "Training by joint neglects no modality for sure" in text
    assert "where" not in text


def test_what_helps_what_harms_and_what_may_do_either_are_told_apart(
    comparison: Comparison,
) -> None:
    alone = {"a": 0.5, "b": 0.5}
    comparison.add("joint", 0.7, alone)
    for label, fused in (("cure", 0.9), ("harm", 0.5), ("same", 0.7)):
        comparison.add(label, fused, alone)
    text = comparison.conclusion()
    assert "above that of joint (70.0 %) with cure (+20.0 points [" in text
    assert "below with harm (−20.0 points [" in text
    assert "either with same (+0.0 points [−" in text


def test_no_cure_is_claimed_where_none_is_sure(comparison: Comparison) -> None:
    alone = {"a": 0.5, "b": 0.5}
    comparison.add("joint", 0.7, alone).add("a-little-better", 0.71, alone)
    text = comparison.conclusion()
    assert "No method is surely above joint (70.0 %)" in text
    assert "may be chance" in text


def test_the_choice_is_by_validation_whatever_the_test_says(comparison: Comparison) -> None:
    alone = {"a": 0.5, "b": 0.5}
    comparison.add("joint", 0.7, alone, validation=0.8)
    comparison.add("lucky", 0.95, alone, validation=0.6)
    text = comparison.conclusion()
    assert "Validation chooses joint, which is right in 70.0 % of the 400 test samples" in text
    assert "the next, lucky (−25.0 points [" in text
    assert "is more than chance" in text


def test_a_single_seed_is_told(comparison: Comparison) -> None:
    alone = {"a": 0.5, "b": 0.5}
    comparison.add("joint", 0.7, alone, seeds=1).add("other", 0.9, alone, seeds=1)
    assert "a single seed" in comparison.conclusion()


def test_many_methods_are_counted(comparison: Comparison) -> None:
    comparison.add("joint", 0.5, {"a": 0.5})
    for k in range(6):
        comparison.add(f"m{k}", 0.9 - 0.01 * k, {"a": 0.5})
    assert "and 3 others" in comparison.conclusion()


def test_a_single_method_is_described(comparison: Comparison) -> None:
    comparison.add("joint", 0.9, {"a": 0.7, "b": 0.4})
    assert comparison.conclusion() == (
        "joint is right in 90.0 % of the samples, and in 70.0 % from a alone and 40.0 % from b "
        "alone."
    )


def test_nothing_is_concluded_without_labels(comparison: Comparison) -> None:
    comparison.add("joint", 0.9, {"a": 0.7}, labelled=False)
    comparison.add("other", 0.9, {"a": 0.7}, labelled=False)
    assert comparison.conclusion() == "No sample has a label: there is nothing to compare."
