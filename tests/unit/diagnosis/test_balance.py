"""Counts of classes, and the advice on skewed ones."""

import numpy as np
import pandas as pd
import pytest


def test_counts(clean, doctor, rng):
    clean["label"] = rng.permutation(clean["label"].to_numpy())
    clean.loc[clean.index[clean["split"] == "train"][:80], "label"] = (
        "bee"  # the most frequent one, come what may
    )
    facts = doctor(clean)["balance"]
    expected = pd.crosstab(clean["label"], clean["split"])
    for name, of in facts["classes"].items():
        assert of == {"all": expected.loc[name].sum(), **expected.loc[name].to_dict()}
    assert facts["samples"] == clean["split"].value_counts().to_dict()
    assert facts["largest"] == {
        "class": "bee",
        "share": pytest.approx((clean["label"] == "bee").mean()),
    }
    for split, found in facts["majority_accuracy"].items():
        assert found == pytest.approx((clean.loc[clean["split"] == split, "label"] == "bee").mean())


def test_skew_is_told(clean, doctor, told):
    kept = clean[(clean["label"] != "bee") | (np.arange(300) % 12 == 1)].reset_index(
        drop=True
    )  # 25 bees
    assert told(doctor(kept), "balance") == []
    kept = clean[(clean["label"] != "bee") | (np.arange(300) % 45 == 1)].reset_index(
        drop=True
    )  # 7 bees
    report = doctor(kept)
    assert report["balance"]["few"] == ["bee"]
    texts = told(report, "balance", "warning")
    assert any("--select macro_f1" in text and "'bee'" in text for text in texts)
    assert any("fewer than 10 samples" in text for text in texts)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_class_that_a_split_lacks_is_told(clean, doctor, told, split):
    kept = clean[(clean["label"] != "cat") | (clean["split"] != split)].reset_index(drop=True)
    report = doctor(kept)
    assert report["balance"]["not_in"][split] == ["cat"]
    [text] = told(report, "balance", "warning")
    assert f"no sample of 'cat' in {split}" in text


@pytest.mark.parametrize("written", ["nan", "NaN", "NA", "null", "N/A"])
def test_a_class_that_is_a_missing_label_is_told(clean, doctor, told, written):
    def suspected(report):
        return [
            text
            for text in told(report, "balance", "warning")
            if "probably a missing label" in text
        ]

    assert suspected(doctor(clean)) == []
    clean.loc[clean["label"] == "bee", "label"] = written
    assert [f"the class {written!r} (100 rows)" in text for text in suspected(doctor(clean))] == [
        True
    ]
