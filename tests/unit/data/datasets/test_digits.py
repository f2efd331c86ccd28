"""The two data sets of digits: views, and no speaker or image in two splits."""

import csv
import json

import numpy as np
import pytest
import soundfile

from equipoise import data
from equipoise.data.datasets import av_digits, digits
from equipoise.data.media import read_image
from equipoise.errors import ConfigError, DataError
from equipoise.settings import DataSettings
from equipoise.testing.world import fresh_seed


def test_views_come_from_the_same_image():
    parts = digits.load(views=["left", "right", "whole"])
    batch = parts.test.rows(np.arange(20))
    assert (batch.inputs["whole"][:, :, :, 4:] == batch.inputs["right"]).all()
    assert parts.train.specs["left"].shape == (32,)


@pytest.mark.parametrize(
    "given", [{}, {"missing": 0.4}, {"holdout": 0.3}, {"missing": 0.4, "holdout": 0.3}]
)
def test_vectors_are_standardised_by_the_cells_that_training_sees(given):
    parts = data.load(
        DataSettings(
            "digits", seed=fresh_seed(), options={"views": ["left", "right", "spectrum"]}, **given
        )
    )
    for view in ("left", "spectrum"):
        seen = parts.train.rows(np.flatnonzero(parts.train.present[view])).inputs[view]
        assert seen.mean(0).abs().max() < 1e-4
        deviation = seen.std(0, correction=0)
        assert ((deviation - 1).abs() < 1e-3)[
            deviation > 0
        ].all()  # a pixel that is always blank stays zero
        for table in (parts.validation, parts.test, *filter(None, [parts.holdout])):
            assert (
                table.rows(np.flatnonzero(table.present[view])).inputs[view].mean(0).abs().max()
                > 1e-3
            )
    right = parts.train.rows(np.flatnonzero(parts.train.present["right"])).inputs["right"]
    assert right.min() == 0
    assert right.max() == 1


def test_unknown_view_is_refused():
    with pytest.raises(ConfigError, match="did you mean 'left'"):
        digits.load(views=["lefft", "right"])


@pytest.mark.parametrize("views", [[], "left", ["left", "left"], 3, [["left"], ["left"]]])
def test_views_are_a_list_of_different_ones(views):
    with pytest.raises(ConfigError, match="'views' must be a list of different views, found"):
        digits.load(views=views)


@pytest.fixture
def recordings(tmp_path):
    folder = tmp_path / "fsdd" / "recordings"
    folder.mkdir(parents=True)
    rng = np.random.default_rng()
    for speaker in ("ann", "ben", "cem", "dan", "eve", "fay"):
        for digit in range(10):
            for take in range(3):
                wave = rng.uniform(-0.1, 0.1, 800)
                soundfile.write(
                    folder / f"{digit}_{speaker}_{take}.wav", wave, 8000, subtype="PCM_16"
                )
    return tmp_path / "fsdd"


def test_av_digits_holds_speakers_and_images_apart(recordings, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    facts = av_digits.prepare(
        out, fsdd=recordings, seed=int(np.random.default_rng().integers(1000))
    )
    rows = list(csv.DictReader((out / "manifest.csv").open()))
    counts = {split: found["samples"] for split, found in facts["splits"].items()}
    assert counts == {"train": 90, "validation": 30, "test": 60}
    assert facts["all"] == {"samples": 180, "published": 3000}
    for column in ("speaker", "image"):
        seen = {name: {r[column] for r in rows if r["split"] == name} for name in counts}
        assert not seen["train"] & seen["test"]
        assert not seen["train"] & seen["validation"]
        assert not seen["validation"] & seen["test"]
    assert all((out / r["image"]).is_file() for r in rows)
    assert json.loads((out / "dataset.json").read_text())["label"] == "label"


def test_av_digits_pairs_by_class(recordings, tmp_path):
    from sklearn.datasets import load_digits

    out = tmp_path / "out"
    out.mkdir()
    av_digits.prepare(out, fsdd=recordings)
    target = load_digits().target
    for row in csv.DictReader((out / "manifest.csv").open()):
        assert target[int(row["image"][len("images/") : -len(".png")])] == int(row["label"])


def test_av_digits_keeps_every_grey_level(tmp_path):
    from sklearn.datasets import load_digits

    av_digits.save_images(tmp_path / "images")
    images = load_digits().images  # 0 to 16
    for number in np.random.default_rng().integers(0, len(images), 50):
        read = read_image(tmp_path / f"images/{number:04d}.png", (8, 8), 1)
        np.testing.assert_allclose(read[0] / 15, images[number], atol=1e-4)


def test_av_digits_without_recordings_says_what_is_wanted(tmp_path):
    with pytest.raises(DataError, match=r"<digit>_<speaker>_<take>\.wav"):
        av_digits.find_recordings(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        av_digits.find_recordings(tmp_path / "nowhere")
