"""Metrics against torchmetrics, scikit-learn and definitions written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    precision_recall_fscore_support,
    roc_auc_score,
)
from sklearn.metrics import log_loss as sklearn_log_loss
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_auroc,
    multiclass_average_precision,
    multiclass_calibration_error,
    multiclass_f1_score,
)

from equipoise.batch import Predictions
from equipoise.evaluation import metrics


@pytest.fixture
def rng() -> np.random.Generator:
    seed = int(np.random.SeedSequence().generate_state(1)[0])
    print(f"seed {seed}")
    return np.random.default_rng(seed)


def draw(rng: np.random.Generator, classes: int, rows: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are right more often than not, and labels in which every class occurs."""
    label = rng.permutation(np.arange(rows) % classes)
    logits = rng.standard_normal((rows, classes)) + 1.5 * np.eye(classes)[label] * rng.random(
        (rows, 1)
    )
    return (4 * logits).astype(np.float32), label


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_agrees_with_torchmetrics(rng: np.random.Generator, classes: int) -> None:
    logits, label = draw(rng, classes)
    probability, target = torch.from_numpy(metrics.softmax(logits)), torch.from_numpy(label)
    options = {"preds": probability, "target": target, "num_classes": classes}
    expected = {
        "accuracy": multiclass_accuracy(**options, average="micro"),
        "balanced_accuracy": multiclass_accuracy(**options, average="macro"),
        "auroc": multiclass_auroc(**options, average="macro"),
        "log_loss": -np.log(metrics.softmax(logits)[np.arange(len(label)), label]).mean(),
        "macro_f1": multiclass_f1_score(**options, average="macro"),
        "mean_average_precision": multiclass_average_precision(**options, average="macro"),
        "calibration_error": multiclass_calibration_error(**options, n_bins=15, norm="l1"),
    }
    found = metrics.score(logits, label)
    assert found == {
        name: pytest.approx(float(value), abs=1e-5) for name, value in expected.items()
    }


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.parametrize("ties", ["none", "some", "many"])
@pytest.mark.parametrize("classes", [2, 3, 9])
def test_agrees_with_scikit_learn(rng: np.random.Generator, classes: int, ties: str) -> None:
    logits, label = draw(rng, classes, rows=150)
    probability = metrics.softmax(logits)
    if ties != "none":
        steps = 20 if ties == "some" else 4
        probability = np.round(probability * steps + 0.2) + 0.1
        probability /= probability.sum(1, keepdims=True)
    absent = rng.random() < 0.5 and classes > 2
    if absent:
        label[label == classes - 1] = 0
    occur = np.unique(label)
    predicted = probability.argmax(1)
    one_hot = [(label == k, probability[:, k]) for k in occur]
    precisions = [average_precision_score(*pair) for pair in one_hot]
    areas = [roc_auc_score(*pair) for pair in one_hot]
    close = {"rel": 0, "abs": 1e-12}
    assert metrics.balanced_accuracy(probability, label) == pytest.approx(
        balanced_accuracy_score(label, predicted), **close
    )
    expected = f1_score(label, predicted, average="macro", zero_division=0)
    assert metrics.macro_f1(probability, label) == pytest.approx(expected, **close)
    expected = sklearn_log_loss(label, probability, labels=range(classes))
    assert metrics.log_loss(probability, label) == pytest.approx(expected, **close)
    for found, wanted in (
        (metrics.class_average_precision(probability, label), precisions),
        (metrics.class_auroc(probability, label), areas),
    ):
        np.testing.assert_allclose(found[occur], wanted, rtol=0, atol=1e-12)
        assert np.isnan(np.delete(found, occur)).all()
    assert metrics.mean_average_precision(probability, label) == pytest.approx(
        np.mean(precisions), **close
    )
    assert metrics.auroc(probability, label) == pytest.approx(np.mean(areas), **close)
    if not absent and classes > 2:
        macro = roc_auc_score(label, probability, multi_class="ovr", average="macro")
        assert metrics.auroc(probability, label) == pytest.approx(macro, **close)
    counts = metrics.Counts.of(probability, label)
    found = (counts.precision, counts.recall, counts.f1)
    wanted = precision_recall_fscore_support(
        label, predicted, labels=range(classes), zero_division=np.nan
    )
    for ours, theirs in zip(found, wanted[:3], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(counts.true, wanted[3])


def test_a_certain_mistake_has_a_finite_loss() -> None:
    probability = np.array([[1.0, 0.0], [0.5, 0.5]])
    found = metrics.sample_log_loss(probability, np.array([1, 1]))
    np.testing.assert_allclose(found, [-np.log(np.finfo(np.float64).eps), np.log(2)])


def test_labels_of_a_single_class_have_no_auroc(rng: np.random.Generator) -> None:
    logits, _ = draw(rng, 3)
    found = metrics.score(logits, np.ones(len(logits), dtype=int))
    assert found.pop("auroc") is None
    assert np.isfinite(list(found.values())).all()


@pytest.mark.parametrize("metric", metrics.ALL_METRICS)
def test_worth_is_larger_for_the_better_of_two_predictions(metric: str) -> None:
    label = np.arange(40) % 4
    good, bad = (margin * np.eye(4)[label] for margin in (2.0, -2.0))
    better, worse = (metrics.worth(metric, metrics.score(u, label)[metric]) for u in (good, bad))
    assert better > worse


def test_classes_that_do_not_occur_do_not_count(rng: np.random.Generator) -> None:
    logits, label = draw(rng, 5)
    label[label == 4] = 0
    predicted = logits.argmax(1)
    found = metrics.score(logits, label)
    one_by_one = [
        f1_score(label == k, predicted == k) for k in range(5) if k in label or k in predicted
    ]
    assert found["macro_f1"] == pytest.approx(np.mean(one_by_one))
    precisions = [
        average_precision_score(label == k, metrics.softmax(logits)[:, k]) for k in range(4)
    ]
    assert found["mean_average_precision"] == pytest.approx(np.mean(precisions))


def test_calibration_error_is_the_weighted_gap_of_each_bin(rng: np.random.Generator) -> None:
    logits, label = draw(rng, 4)
    probability = metrics.softmax(logits)
    confidence, right = probability.max(1), probability.argmax(1) == label
    expected = 0.0
    for low in range(15):
        inside = (confidence > low / 15) & (confidence <= (low + 1) / 15)
        if inside.any():
            expected += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    assert metrics.calibration_error(probability, label) == pytest.approx(expected)


def test_neighbouring_bins_are_told_apart() -> None:
    probability = np.array(
        [[0.95, 0.05], [0.9, 0.1]]
    )  # on both sides of 14/15: one too sure, one not enough
    assert metrics.calibration_error(probability, np.array([1, 0])) == pytest.approx(
        (0.95 + 0.1) / 2
    )


def test_a_bin_holds_its_upper_edge_and_not_its_lower_one() -> None:
    probability = np.array([[0.5, 0.5], [0.6, 0.4]])  # of two bins: the first right, half sure
    label = np.array([0, 1])
    found = metrics.calibration_error(probability, label, bins=2)
    assert found == pytest.approx((0.5 + 0.6) / 2)


def test_a_perfect_and_certain_prediction() -> None:
    label = np.arange(6) % 3
    found = metrics.score(200 * np.eye(3, dtype=np.float32)[label], label)
    assert found == {
        "accuracy": 1,
        "balanced_accuracy": 1,
        "macro_f1": 1,
        "auroc": 1,
        "log_loss": pytest.approx(0),
        "mean_average_precision": 1,
        "calibration_error": pytest.approx(0),
    }


def test_order_of_samples_and_offset_of_logits_do_not_matter(rng: np.random.Generator) -> None:
    logits, label = draw(rng, 4)
    order = rng.permutation(len(label))
    expected = {
        name: pytest.approx(value, abs=1e-9) for name, value in metrics.score(logits, label).items()
    }
    assert metrics.score(logits[order], label[order]) == expected
    assert metrics.score(logits.astype(np.float64) + 1e4, label) == {
        name: pytest.approx(value, abs=1e-6)
        for name, value in metrics.score(logits.astype(np.float64), label).items()
    }


def test_softmax_does_not_overflow(rng: np.random.Generator) -> None:
    probability = metrics.softmax(np.array([[1e4, 0.0], [-1e4, 1e4]], dtype=np.float32))
    np.testing.assert_array_equal(probability, [[1, 0], [0, 1]])


@pytest.mark.parametrize("names", [("a", "b"), ("a", "b", "c")])
def test_each_modality_is_measured_where_it_is_present_and_labelled(
    rng: np.random.Generator, names: tuple[str, ...]
) -> None:
    fused, label = draw(rng, 3, 60)
    known = rng.random(60) < 0.8
    label = np.where(known, label, -1)
    present = {m: rng.random(60) < 0.5 for m in names}
    present["b"][:] = False
    logits = {m: draw(rng, 3, 60)[0] for m in names}
    predictions = Predictions(np.arange(60), label, present, logits, fused, ("x", "y", "z"))
    found = metrics.measure(predictions)
    assert found["count"] == known.sum()
    assert found["fused"] == metrics.score(fused[known], label[known])
    assert list(found["modalities"]) == list(names)
    rows = known & present["a"]
    expected = metrics.score(logits["a"][rows], label[rows])
    assert found["modalities"]["a"] == {**expected, "count": rows.sum()}
    assert found["modalities"]["b"] == {**dict.fromkeys(expected), "count": 0}
