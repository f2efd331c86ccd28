"""The strength of each modality alone: a known order, measured on validation rows only."""

import numpy as np
import pytest
import torch

from equipoise.diagnosis.advice import COMPARE, on_strengths
from equipoise.diagnosis.strength import SIDE, pool
from equipoise.methods import METHODS


def weaken(frame, modality, rng):
    columns = [c for c in frame.columns if c.startswith(modality)]
    frame[columns] = rng.normal(size=(len(frame), len(columns)))


def test_the_stronger_modality_leads(clean, doctor, told, modalities, rng):
    weaken(clean, modalities[-1], rng)
    report = doctor(clean)
    strength = report["strength"]
    assert strength[modalities[0]]["accuracy"] > 0.95
    assert strength[modalities[-1]]["accuracy"] < 0.7
    assert strength[modalities[0]]["majority"] == pytest.approx(1 / 3)
    assert (strength[modalities[0]]["trained_on"], strength[modalities[0]]["measured_on"]) == (
        180,
        60,
    )
    [text] = told(report, "strength", "warning")
    assert f"{modalities[0]} alone" in text or f"{modalities[1]} alone" in text
    assert f"neglect {modalities[-1]}" in text


@pytest.mark.parametrize(("weak", "behind"), [(0.64, True), (0.72, False)])
def test_a_lead_over_the_majority_class_counts(weak, behind):
    """With uneven classes 0.64 is far behind 0.76: guessing the larger class scores 0.6."""
    facts = {"majority": 0.6, "measured_on": 2000}
    found = {"strength": {"a": {"accuracy": 0.76, **facts}, "b": {"accuracy": weak, **facts}}}
    [finding] = on_strengths(found)
    assert ("neglect b" in finding["text"]) == behind
    assert ("equally strong" in finding["text"]) != behind


def test_equal_modalities_are_called_so(clean, doctor, told):
    report = doctor(clean)
    assert told(report, "strength", "warning") == []
    [text] = told(report, "strength")
    assert "about equally strong" in text


def test_what_tells_nothing_is_told(clean, doctor, told, modalities):
    clean[f"{modalities[-1]}0"] = 1.0
    clean[[f"{modalities[-1]}1", f"{modalities[-1]}2"]] = 0.0
    notes = told(doctor(clean), "strength", "note")
    assert any(f"{modalities[-1]} alone is hardly better" in text for text in notes)
    assert not any(f"{modalities[0]} alone is hardly better" in text for text in notes)


def test_nothing_is_compared_where_nothing_is_told(clean, doctor, told, modalities):
    numbers = [c for c in clean.columns if c.startswith(modalities)]
    clean[numbers] = 1.0
    notes = told(doctor(clean), "strength")
    assert len(notes) == len(modalities)
    assert all("hardly better" in text for text in notes)


def test_a_handful_of_rows_is_no_measure(clean, doctor, told, modalities, rng):
    """A modality that only a few validation rows have, all of one class, is not called strong."""
    columns = [c for c in clean.columns if c.startswith(modalities[0])]
    weaken(clean, modalities[1], rng)
    validation = clean["split"] == "validation"
    clean.loc[validation & ((clean["label"] != "ant") | (clean.index > 200)), columns] = np.nan
    report = doctor(clean)
    assert 0 < report["strength"][modalities[0]]["measured_on"] < 20
    assert not any(f"{modalities[0]} alone" in text for text in told(report, "strength"))


def test_the_methods_to_compare_exist():
    named = COMPARE.rpartition("--methods ")[2].split(",")
    assert set(named) <= set(METHODS.names())


def test_test_rows_are_not_read(clean, doctor, rng):
    before = doctor(clean)["strength"]
    test = clean["split"] == "test"
    numbers = [c for c in clean.columns if c not in ("id", "label", "split")]
    clean.loc[test, numbers] = rng.normal(size=(test.sum(), len(numbers)))
    clean.loc[test, "label"] = rng.permutation(clean.loc[test, "label"].to_numpy())
    assert doctor(clean)["strength"] == before


def test_absent_rows_do_not_count(clean, doctor, modalities):
    columns = [c for c in clean.columns if c.startswith(modalities[0])]
    clean.loc[[0, 1, 2, 200, 201], columns] = np.nan
    found = doctor(clean)["strength"][modalities[0]]
    assert (found["trained_on"], found["measured_on"]) == (177, 58)


def test_words_are_features(clean, doctor, rng):
    words = {"ant": "small and busy", "bee": "yellow with wings", "cat": "soft grey fur"}
    clean["said"] = [f"{words[name]} {rng.integers(1000)}" for name in clean["label"]]
    assert doctor(clean, "said=said:text")["strength"]["said"]["accuracy"] > 0.95


@pytest.mark.parametrize("shape", [(1, 16, 24), (3, 8, 40), (2, 4, 8)])
def test_pictures_shrink_as_by_adaptive_pooling(rng, shape):
    block = rng.normal(size=(5, *shape)).astype(np.float32)
    size = (min(SIDE, shape[1]), min(SIDE, shape[2]))
    expected = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(block), size).flatten(1)
    np.testing.assert_allclose(pool(block, "image"), expected, rtol=1e-4, atol=1e-6)
    clip = np.stack([block, 3 * block], axis=1)
    np.testing.assert_allclose(pool(clip, "video"), 2 * pool(block, "image"), atol=1e-5)


def test_sounds_and_series_by_mean_and_deviation(rng):
    block = rng.normal(size=(4, 1, 9, 30))
    found = pool(block, "audio")
    np.testing.assert_allclose(found, np.concatenate([block[:, 0].mean(2), block[:, 0].std(2)], 1))
    series = rng.normal(size=(4, 30, 5))
    np.testing.assert_allclose(
        pool(series, "array"), np.concatenate([series.mean(1), series.std(1)], 1)
    )
    np.testing.assert_allclose(pool(series[:, ::-1], "array"), pool(series, "array"))


def test_waveforms_by_their_spectrum(rng):
    """Two tones of the same loudness differ; the sign of a wave does not matter."""
    time = np.arange(8000) / 8000
    low, high = (np.sin(2 * np.pi * frequency * time)[None] for frequency in (200, 3000))
    assert pool(low, "audio").shape == (1, 64)
    assert pool(low, "audio").argmax() < pool(high, "audio").argmax()
    np.testing.assert_allclose(pool(-low, "audio"), pool(low, "audio"))
