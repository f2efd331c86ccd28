"""The gap between the modalities, and their metrics, on a board."""

import math

import pytest

from equipoise.report.board import Board, gap_of
from equipoise.report.tables import to_csv


def result(label, seed, *accuracies):
    metrics = {"macro_f1": 0.5, "mean_average_precision": 0.25}
    modalities = {
        name: {"accuracy": value, "count": 9, **metrics}
        for name, value in zip("abc", accuracies, strict=False)
    }
    test = {"fused": {"accuracy": 0.9, **metrics}, "modalities": modalities, "count": 9}
    named = {"label": label, "seed": seed, "modalities": list(modalities)}
    return {**named, "test": test, "validation": test}


def test_the_gap_is_the_largest_difference():
    measured = result("x", 0, 0.5, 0.8, 0.6)["test"]
    assert gap_of(measured) == pytest.approx(0.3)
    measured["modalities"]["b"]["accuracy"] = None
    assert gap_of(measured) == pytest.approx(0.1)
    assert gap_of(result("x", 0, 0.5)["test"]) is None


def test_the_smallest_gap_is_the_best():
    results = [result("x", 0, 0.2, 0.8), result("x", 1, 0.4, 0.8), result("y", 0, 0.7, 0.8)]
    board = Board(results)
    titles = [column.title for column in board.columns()]
    places = {method: scores[titles.index("GAP")].place for method, scores in board.rows().items()}
    assert places == {"x": 2, "y": 1}
    assert {"a accuracy", "a macro-F1", "a mAP", "b mAP"} <= set(titles)
    frame = board.to_frame()
    assert frame.loc["x", ("GAP", "mean")] == pytest.approx(0.5)
    assert frame.loc["x", ("GAP", "std")] == pytest.approx(math.sqrt(0.02))
    assert frame.loc["y", ("b mAP", "mean")] == 0.25
    assert "GAP mean" in to_csv(board).splitlines()[0]
    assert "GAP" not in [column.title for column in Board([result("x", 0, 0.5)]).columns()]
