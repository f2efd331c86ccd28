"""Groups on both sides, labels in words and names, and numbers that equal the label."""

from itertools import chain

import numpy as np
import pytest

import equipoise


def groups_of(report):
    return {one["column"]: one for one in report["leakage"]["groups"]}


@pytest.fixture
def speakers(clean):
    """`clean` with 20 rows of each speaker, so that none has rows in two splits."""
    clean["speaker"] = [f"p{k // 20:02d}" for k in range(len(clean))]
    return clean


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "guessed"])
def test_groups_on_both_sides(speakers, doctor, told, declared):
    group = "speaker" if declared else None
    clean = doctor(speakers, group=group)
    assert groups_of(clean)["speaker"]["samples"] == 0
    assert told(clean, "leakage") == []
    speakers.loc[[200, 201, 299], "speaker"] = ["p00", "p00", "p03"]
    report = doctor(speakers, group=group)
    found = groups_of(report)["speaker"]
    assert found == {
        "column": "speaker",
        "windows": False,
        "values": 15,
        "shared": 2,
        "samples": 3,
        "of": 120,
    }
    [text] = told(report, "leakage", "warning")
    assert "3 of 120" in text


def test_drawn_splits_share_speakers_until_they_are_named(speakers, doctor, told):
    frame = speakers.drop(columns="split")
    assert "--group speaker" in told(doctor(frame, split=None), "leakage", "warning")[0]
    assert told(doctor(frame, split=None, group="speaker"), "leakage") == []


def test_a_group_is_named_as_a_shell_takes_it(speakers, doctor, told):
    frame = speakers.drop(columns="split").rename(columns={"speaker": "patient id"})
    assert any(
        "--group 'patient id'" in text for text in told(doctor(frame, split=None), "leakage")
    )


@pytest.mark.parametrize("groups", [2, 3])
def test_no_three_splits_keep_two_groups_together(clean, doctor, told, groups):
    clean["site"] = [f"p{k % groups}" for k in range(len(clean))]
    [text] = told(doctor(clean.drop(columns="split"), split=None), "leakage", "warning")
    assert ("--group" in text) == (groups == 3)
    assert ("no three splits keep each together" in text) == (groups == 2)


def test_columns_of_other_names_are_let_be(clean, doctor):
    clean["shift"] = np.resize(["day", "night"], len(clean))
    clean["subject"] = clean["id"]  # a value for every row keeps nothing together
    assert groups_of(doctor(clean)) == {}


def test_windows_of_one_recording(clean, doctor, told, tmp_path):
    """Rows of an array file are unrelated samples; windows in time of a sound are not."""
    import soundfile

    rng = np.random.default_rng()
    for name in "ab":
        soundfile.write(tmp_path / f"{name}.wav", rng.uniform(-0.5, 0.5, 200 * 8000 // 10), 8000)
    np.save(tmp_path / "all.npy", rng.normal(size=(len(clean), 4)))
    clean["row"] = [f"{tmp_path}/all.npy#{k}" for k in range(len(clean))]
    of = np.where(clean["split"] == "test", "b", "a")
    start = np.arange(len(clean)) % 190 / 10
    clean["wav"] = [
        f"{tmp_path}/{f}.wav#t={s:.1f},{s + 0.5:.1f}" for f, s in zip(of, start, strict=True)
    ]
    settings = {"data.options": {"wav": {"rate": 8000, "seconds": 0.5}}}
    report = doctor(clean, "row=row:vector", "wav=wav:audio", **settings)
    assert list(groups_of(report)) == ["file of wav"]
    assert (
        groups_of(report)["file of wav"]["samples"] == 60
    )  # validation; the test split has a file of its own
    assert any("windows" in text for text in told(report, "leakage", "warning"))


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_labels_in_texts(clean, doctor, told, rng, share):
    names = np.where(rng.permutation(300) < 300 * share, clean["label"], "thing")
    clean["said"] = [f"look, this {name.upper()}: no. {k}" for k, name in enumerate(names)]
    report = doctor(clean, "said=said:text")
    found = {one["modality"]: one for one in report["leakage"]["label_in"]}
    if share == 1:
        assert found == {
            "said": {"modality": "said", "where": "text", "share": 1.0, "precision": 1.0}
        }
        assert any("names the label" in text for text in told(report, "leakage", "warning"))
    else:
        assert found == {}


def test_class_names_that_say_nothing(clean, doctor, rng):
    """Named at random, or as parts of other words."""
    clean["said"] = [
        f"a {name} passed by, number {k}" for k, name in enumerate(rng.permutation(clean["label"]))
    ]
    assert doctor(clean, "said=said:text")["leakage"]["label_in"] == []
    mostly = np.where(
        np.arange(300) % 10 < 7, clean["label"], np.roll(clean["label"], 1)
    )  # 7 of 10 are right
    clean["said"] = [f"a {name} passed by, number {k}" for k, name in enumerate(mostly)]
    assert doctor(clean, "said=said:text")["leakage"]["label_in"] == []
    for word in ("{}alogue", "con{}"):
        clean["said"] = [
            f"the {word.format(name)} of number {k}" for k, name in enumerate(clean["label"])
        ]
        assert doctor(clean, "said=said:text")["leakage"]["label_in"] == []


def test_labels_in_paths_are_a_note(clean, doctor, told, rng, tmp_path):
    for row, name in enumerate(clean["label"]):
        np.save(tmp_path / f"{row}_{name}.npy", rng.normal(size=3))
    clean["file"] = [f"{tmp_path}/{row}_{name}.npy" for row, name in enumerate(clean["label"])]
    report = doctor(clean, "file=file:vector")
    assert [one["where"] for one in report["leakage"]["label_in"]] == ["path"]
    assert told(report, "leakage", "warning") == []
    assert any("paths of file name the label" in text for text in told(report, "leakage", "note"))


def test_all_numbers_that_are_the_label_are_told(clean, doctor, told, modalities, rng):
    code = clean["label"].map({"cat": 0, "ant": 1, "bee": 2})
    telling = {m: [f"{m}0", f"{m}2"] for m in modalities[:2]}
    for name in chain(*telling.values()):
        clean[name] = code * rng.uniform(1, 9) + rng.uniform(0, 0.5, len(clean))
    report = doctor(clean)
    assert report["leakage"]["numbers"] == [
        {"modality": m, "column": c} for m, cs in telling.items() for c in cs
    ]
    texts = told(report, "leakage", "warning")
    assert len(texts) == 2
    for text, (modality, names) in zip(texts, telling.items(), strict=True):
        assert f"{names[0]!r}, {names[1]!r} of {modality} alone give every label" in text


def test_a_number_that_is_the_label(clean, doctor, told, modalities, rng):
    assert doctor(clean)["leakage"]["numbers"] == []
    code = clean["label"].map({"cat": 0, "ant": 1, "bee": 2})
    clean[f"{modalities[0]}1"] = 7.5 * code + rng.uniform(0, 1, len(clean))
    report = doctor(clean)
    assert report["leakage"]["numbers"] == [
        {"modality": modalities[0], "column": f"{modalities[0]}1"}
    ]
    assert any(f"{modalities[0]}1" in text for text in told(report, "leakage", "warning"))


def test_built_in_data_name_no_group():
    assert (
        equipoise.doctor("synthetic", **{"data.options": {"samples": 90}})["leakage"]["groups"]
        == []
    )
