"""Copies of files, texts and numbers are found, and only those."""

import numpy as np
import pytest

FILES = "clip=clip:image"


def numbers_of(frame, modality):
    return [c for c in frame.columns if c.startswith(modality)]


@pytest.fixture
def pictures(clean, rng, tmp_path):
    """`clean` with a picture of noise for every row."""
    from PIL import Image

    for row in range(len(clean)):
        Image.fromarray(rng.integers(0, 256, (6, 6), dtype=np.uint8)).save(tmp_path / f"{row}.png")
    clean["clip"] = [str(tmp_path / f"{row}.png") for row in range(len(clean))]
    return clean


def test_numbers_copied_across_splits(clean, doctor, told, modalities):
    columns = numbers_of(clean, modalities[-1])
    clean.loc[[240, 243], columns] = clean.loc[
        [0, 0], columns
    ].to_numpy()  # 0, 240 and 243 are ants
    report = doctor(clean)
    assert report["duplicates"] == {
        modalities[-1]: {
            "samples": 3,
            "across_splits": 3,
            "other_label": 0,
            "examples": [["s000", "s240", "s243"]],
        }
    }
    [text] = told(report, "duplicates", "warning")
    assert "3 samples with a copy" in text
    assert "s000 = s240" in text


def test_copies_within_a_split_are_a_note(clean, doctor, told, modalities):
    columns = numbers_of(clean, modalities[0])
    clean.loc[3, columns] = clean.loc[0, columns].to_numpy()
    report = doctor(clean)
    assert told(report, "duplicates", "warning") == []
    assert len(told(report, "duplicates", "note")) == 1


def test_copies_of_another_label(clean, doctor, told, modalities):
    columns = numbers_of(clean, modalities[0])
    clean.loc[1, columns] = clean.loc[0, columns].to_numpy()
    report = doctor(clean)
    assert report["duplicates"][modalities[0]]["other_label"] == 2
    assert any("another label" in text for text in told(report, "duplicates", "warning"))


def test_copied_files_under_other_names(pictures, doctor, tmp_path):
    assert doctor(pictures, FILES)["duplicates"] == {}
    (tmp_path / "299.png").write_bytes((tmp_path / "2.png").read_bytes())
    found = doctor(pictures, FILES)["duplicates"]
    assert found == {
        "clip": {
            "samples": 2,
            "across_splits": 2,
            "other_label": 0,
            "examples": [["s002", "s299"]],
        },
    }


def test_files_that_cannot_be_read_are_no_copies(pictures, doctor, told, tmp_path):
    for row in (0, 299):
        (tmp_path / f"{row}.png").write_bytes(b"")
    report = doctor(pictures, FILES)
    assert report["duplicates"] == {}
    assert [(p["id"], p["modality"]) for p in report["problems"]] == [
        ("s000", "clip"),
        ("s299", "clip"),
    ]
    assert "2 bad cells" in told(report, "problems", "warning")[0]
    assert report["presence"]["missing"]["clip"] == pytest.approx(2 / 300)


def test_texts_alike_but_for_case_and_space(clean, doctor):
    clean["said"] = [f"sentence number {k}" for k in range(len(clean))]
    assert doctor(clean, "said=said:text")["duplicates"] == {}
    clean.loc[[4, 250], "said"] = ["It  is so", "it is SO"]
    assert doctor(clean, "said=said:text")["duplicates"]["said"]["across_splits"] == 2


def test_words_that_repeat_by_nature_are_no_copies(clean, doctor, rng):
    clean["said"] = rng.choice(["yes it is", "no it is not"], len(clean))
    assert doctor(clean, "said=said:text")["duplicates"] == {}
