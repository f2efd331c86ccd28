"""Bootstrap intervals against repeated rows, and their coverage."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, confusion_matrix, roc_auc_score

from equipoise.batch import Predictions
from equipoise.evaluation import metrics
from equipoise.evaluation.assessment import assess
from equipoise.evaluation.intervals import draw_counts, interval, resampled


@pytest.fixture
def rng() -> np.random.Generator:
    seed = int(np.random.SeedSequence().generate_state(1)[0])
    print(f"seed {seed}")
    return np.random.default_rng(seed)


def draw(
    rng: np.random.Generator, classes: int, rows: int, ties: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    label = rng.integers(classes, size=rows)
    logits = rng.standard_normal((rows, classes)) + 1.2 * np.eye(classes)[label]
    probability = metrics.softmax(logits)
    if ties:
        probability = np.round(probability * 5) + 0.1
        probability /= probability.sum(1, keepdims=True)
    return probability, label


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("classes", [2, 3, 6])
def test_a_draw_is_the_metric_of_its_rows(
    rng: np.random.Generator, classes: int, ties: bool
) -> None:
    probability, label = draw(rng, classes, 40, ties)
    counts = draw_counts(40, 25, seed=int(rng.integers(1000)))
    found = resampled(probability, label, counts)
    for number in range(25):
        rows = np.repeat(np.arange(40), counts[:, number])
        assert len(rows) == 40
        p, y = probability[rows], label[rows]
        for name, values in found.overall.items():
            expected = metrics._METRICS[name](p, y)
            assert expected is not None
            assert values[number] == pytest.approx(expected, rel=0, abs=1e-12), name
        of_class = metrics.Counts.of(p, y)
        for name in ("precision", "recall", "f1"):
            np.testing.assert_allclose(
                found.by_class[name][:, number], getattr(of_class, name), atol=1e-12
            )
        for k in np.unique(y):
            for name, score in (
                ("average_precision", average_precision_score),
                ("auroc", roc_auc_score),
            ):
                expected = score(y == k, p[:, k])
                assert found.by_class[name][k, number] == pytest.approx(expected, rel=0, abs=1e-12)


def test_draws_are_those_of_a_seed_and_take_every_sample_alike(rng: np.random.Generator) -> None:
    counts = draw_counts(30, 2000, seed=4)
    assert (counts.sum(0) == 30).all()
    np.testing.assert_allclose(counts.mean(1), 1, atol=0.15)
    assert counts.var() == pytest.approx(29 / 30, abs=0.05)
    np.testing.assert_array_equal(counts, draw_counts(30, 2000, seed=4))
    assert (counts != draw_counts(30, 2000, seed=5)).any()


def test_the_interval_is_central_and_leaves_out_what_is_not_defined() -> None:
    values = np.arange(1001) / 1000
    assert interval(values) == [pytest.approx(0.025), pytest.approx(0.975)]
    assert interval(np.r_[values, np.nan]) == interval(values)
    assert interval(values, 0.5) == [pytest.approx(0.25), pytest.approx(0.75)]
    assert interval(np.full(3, np.nan)) is None


def test_it_covers_the_true_accuracy_in_95_of_100_test_sets(rng: np.random.Generator) -> None:
    """An interval of 90 % covers 90 of 100, and 540 of 600 is 5 standard deviations below."""
    rows, true, trials = 150, 0.7, 600
    covered = 0
    counts = draw_counts(rows, 400, seed=int(rng.integers(1000))).astype(np.int64)
    for _ in range(trials):
        right = rng.random(rows) < true
        found = interval(right @ counts / rows)
        assert found is not None
        covered += found[0] <= true <= found[1]
    assert 0.92 < covered / trials < 0.98


def predictions(
    rng: np.random.Generator, classes: tuple[int | str, ...], rows: int = 60
) -> Predictions:
    probability, label = draw(rng, len(classes), rows)
    label[rng.random(rows) < 0.1] = -1
    logits = np.log(probability).astype(np.float32)
    return Predictions(
        np.arange(rows),
        label,
        {"a": rng.random(rows) < 0.8},
        {"a": logits[::-1].copy()},
        logits,
        classes,
    )


@pytest.mark.parametrize("classes", [("x", "y"), (3, 5, 8)])
def test_an_assessment_holds_every_class_and_survives_json(
    rng: np.random.Generator, classes: tuple[int | str, ...]
) -> None:
    seen = predictions(rng, classes)
    found = assess(seen)
    alone = found["modalities"]["a"]["intervals"]
    measured = metrics.measure(seen)
    measured["modalities"]["a"]["intervals"] = alone
    assert {name: found[name] for name in measured} == measured
    for metric in alone.keys() - {"calibration_error"}:
        low, high = alone[metric]
        assert low <= found["modalities"]["a"][metric] <= high
    hidden = np.where(seen.present["a"], seen.label, -1)
    assert assess(replace(seen, label=hidden, fused=seen.logits["a"]))["intervals"] == alone
    assert [entry["class"] for entry in found["classes"]] == list(classes)
    known = seen.label >= 0
    label, predicted = seen.label[known], seen.fused[known].argmax(1)
    expected = confusion_matrix(label, predicted, labels=range(len(classes)))
    np.testing.assert_array_equal(found["confusion"], expected)
    assert sum(entry["support"] for entry in found["classes"]) == found["count"] == known.sum()
    for metric in ("precision", "recall", "f1", "average_precision", "auroc", "log_loss"):
        for entry in found["classes"]:
            low, high = entry["intervals"][metric]
            assert low <= entry[metric] <= high
    assert np.mean([entry["auroc"] for entry in found["classes"]]) == pytest.approx(
        found["fused"]["auroc"]
    )
    assert found["intervals"].keys() == found["fused"].keys()
    for metric, (low, high) in found["intervals"].items():
        # A calibration error is never negative, and that of a draw is larger on average.
        assert metric == "calibration_error" or low <= found["fused"][metric] <= high
    assert json.loads(json.dumps(found)) == found
    assert assess(seen) == found


def test_a_class_without_samples_has_no_numbers(rng: np.random.Generator) -> None:
    seen = predictions(rng, ("x", "y", "z"))
    seen.label[seen.label == 1] = 0
    seen.fused[:, 1] = -50
    found = assess(seen)["classes"][1]
    assert found["support"] == 0
    assert {found[m] for m in ("precision", "recall", "f1", "auroc", "log_loss")} == {None}
    assert set(found["intervals"].values()) == {None}


def test_without_labels_there_is_nothing_to_assess(rng: np.random.Generator) -> None:
    seen = predictions(rng, ("x", "y"))
    seen.label[:] = -1
    found = assess(seen)
    assert (found["count"], found["intervals"], found["classes"]) == (0, {}, [])
