"""Missing shares, patterns, and whether absence tells the label or the split."""

import numpy as np
import pytest


def hide(frame, modality, rows):
    frame.loc[rows, [c for c in frame.columns if c.startswith(modality)]] = np.nan


def test_shares_and_patterns(clean, doctor, modalities, rng):
    first, last = modalities[0], modalities[-1]
    gone = rng.random((len(clean), 2)) < 0.3
    gone[gone.all(axis=1), 1] = False
    hide(clean, first, gone[:, 0])
    hide(clean, last, gone[:, 1])
    facts = doctor(clean)["presence"]
    assert facts["missing"][first] == pytest.approx(gone[:, 0].mean())
    assert facts["by_split"]["test"][last] == pytest.approx(gone[240:, 1].mean())
    assert facts["patterns"][" + ".join(modalities)] == (~gone.any(axis=1)).sum()
    assert facts["patterns"][" + ".join(modalities[1:])] == gone[:, 0].sum()
    assert sum(facts["patterns"].values()) == len(clean)
    assert facts["nothing"] == 0


def test_rows_of_nothing_are_a_finding(clean, doctor, modalities, told):
    for modality in modalities:
        hide(clean, modality, [5, 77])
    report = doctor(clean)
    assert report["presence"]["nothing"] == 2
    assert any(
        "2 rows with no readable modality" in text for text in told(report, "presence", "warning")
    )


def test_absence_by_label_is_found_with_its_strength(clean, doctor, modalities, told):
    """Cramér's V of two values against k is √(χ²/N), χ² = Σ (observed − expected)²/expected."""
    number = np.arange(len(clean)) // 3
    hide(clean, modalities[0], (clean["label"] == "bee") & (number % 2 == 0))
    report = doctor(clean)
    [found] = report["presence"]["depends"]
    assert (found["modality"], found["on"]) == (modalities[0], "label")
    assert found["missing"] == {"ant": 0, "bee": 0.5, "cat": 0}
    absent, expected = np.array([0, 50, 0]), 50 / 3
    squares = (absent - expected) ** 2
    statistic = (squares / expected + squares / (100 - expected)).sum()
    assert found["cramers_v"] == pytest.approx(np.sqrt(statistic / 300))
    assert any(
        f"{modalities[0]} is missing by label" in text
        for text in told(report, "presence", "warning")
    )


def test_absence_by_split_is_found(clean, doctor, modalities):
    hide(clean, modalities[-1], (clean["split"] == "test") & (np.arange(len(clean)) // 3 % 2 == 0))
    assert [(d["modality"], d["on"]) for d in doctor(clean)["presence"]["depends"]] == [
        (modalities[-1], "split")
    ]


def test_even_absence_is_no_finding(clean, doctor, modalities, told):
    hide(clean, modalities[0], np.arange(len(clean)) // 3 % 4 == 0)
    report = doctor(clean)
    assert report["presence"]["depends"] == []
    assert told(report, "presence", "warning") == []
    assert any("25.0%" in text for text in told(report, "presence", "note"))


def test_a_few_gaps_are_too_few_to_tell(clean, doctor, modalities):
    """Eight, all of one class: p < 0.001, were the approximation valid."""
    hide(clean, modalities[0], clean.index[clean["label"] == "bee"][:8])
    assert doctor(clean)["presence"]["depends"] == []
