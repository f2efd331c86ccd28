"""Training rows alone decide how data are read: kinds, splits and sizes."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from PIL import Image

import equipoise
from equipoise.data import load
from equipoise.data.manifest.file_part import FilePart
from equipoise.data.media.headers import Header, sound_header, video_header
from equipoise.data.transforms.audio import LogMel
from equipoise.data.transforms.image import Picture
from equipoise.data.transforms.kinds import make_transform
from equipoise.data.transforms.sizes import Measured, describe
from equipoise.encoders import default_encoder
from equipoise.runs.trained import Trained
from equipoise.settings import DataSettings
from videos import write_video


def settings(folder: Path, frame: pd.DataFrame, **more) -> DataSettings:
    return DataSettings(frame, cache=str(folder / "cache"), root=str(folder), **more)


def sounds(folder: Path, count: int = 30, seconds: float = 0.5, rate: int = 8000) -> pd.DataFrame:
    """Noises of two loudnesses, a class each."""
    rng = np.random.default_rng(0)
    rows = []
    for row in range(count):
        loud = row % 2
        wave = rng.normal(size=int(rate * seconds)) * (0.2 if loud else 0.01)
        soundfile.write(folder / f"{row}.wav", wave, rate)
        rows.append({"wav": f"{row}.wav", "label": ["soft", "loud"][loud]})
    return pd.DataFrame(rows)


def test_a_bad_file_moves_no_other_row_into_another_split(tmp_path):
    frame = sounds(tmp_path)
    options = {"modality": ["sound=wav:audio"], "problems": "drop"}
    before = load(settings(tmp_path, frame, **options))
    gone = before.test.ids[0]
    (tmp_path / frame.wav[int(gone)]).write_bytes(b"no sound")
    after = load(settings(tmp_path, frame, **options))
    assert after.train.ids == before.train.ids
    assert after.validation.ids == before.validation.ids
    assert after.test.ids == before.test.ids[1:]


@pytest.mark.parametrize("given", [True, False])
def test_a_test_row_does_not_decide_the_kind_of_a_modality(tmp_path, given):
    frame = sounds(tmp_path)
    options = {"modality": ["sound=wav"], "problems": "absent"}
    if given:
        frame["split"] = ["test", "test", "validation", "validation", *["train"] * (len(frame) - 4)]
        options["split"] = "split"
    test_rows = [int(i) for i in load(settings(tmp_path, frame, **options)).test.ids]
    frame["other"] = 1.0
    frame.loc[test_rows, "wav"] = "clip.mp4"
    parts = load(
        settings(
            tmp_path,
            frame,
            modality=["sound=wav", "x=other"],
            **{k: v for k, v in options.items() if k != "modality"},
        )
    )
    assert parts.train.specs["sound"].kind == "audio"
    assert [int(i) for i in parts.test.ids] == test_rows


MODALITIES = ["sound=wav:audio", "look=png:image", "said=text:text", "steps=npy:array"]


def everything(folder: Path, count: int = 32) -> pd.DataFrame:
    """A sound, a picture, a text and a series in every row, and splits."""
    rng = np.random.default_rng(0)
    rows = []
    for row in range(count):
        label = row % 2
        write_row(folder, row, rng, label)
        rows.append(
            {
                "wav": f"{row}.wav",
                "png": f"{row}.png",
                "npy": f"{row}.npy",
                "text": f"it is {'bright' if label else 'dark'} today",
                "label": "ab"[label],
                "split": "test" if row < 6 else "validation" if row < 14 else "train",
            }
        )
    return pd.DataFrame(rows)


def write_row(folder, row, rng, label, rate=8000, seconds=0.4, side=12, steps=9):
    wave = rng.normal(size=int(rate * seconds)) * (0.2 if label else 0.01)
    soundfile.write(folder / f"{row}.wav", wave, rate)
    pixels = rng.integers(0, 128, (side, side + 4, 3)) + 100 * label
    Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{row}.png")
    np.save(folder / f"{row}.npy", rng.normal(size=(steps, 3)) + label)


def poison(folder, frame):
    """Replace all that the test rows hold: longer, larger, at another rate, in other words."""
    rng = np.random.default_rng(9)
    for row in np.flatnonzero(frame.split == "test"):
        write_row(folder, row, rng, 0, rate=16000, seconds=3.0, side=50, steps=70)
    np.save(folder / "0.npy", rng.normal(size=(5, 8)))
    words = " ".join(f"word{k}" for k in range(300))
    return frame.assign(text=frame.text.where(frame.split != "test", words))


def trained(folder, frame, out):
    return equipoise.fit(
        frame,
        out=folder / out,
        epochs=1,
        batch_size=8,
        width=8,
        label="label",
        split="split",
        modality=MODALITIES,
        problems="absent",
        **{"data.root": str(folder), "data.cache": str(folder / "cache")},
    )


def test_nothing_of_a_test_row_changes_what_is_trained(tmp_path):
    frame = everything(tmp_path)
    clean = trained(tmp_path, frame, "clean")
    changed = trained(tmp_path, poison(tmp_path, frame), "poisoned")
    states = [Trained(run.folder).model.state_dict() for run in (clean, changed)]
    assert states[0].keys() == states[1].keys()
    for name, tensor in states[0].items():
        assert torch.equal(tensor, states[1][name]), name
    assert clean.result["validation"] == changed.result["validation"]
    facts = [json.loads((run.folder / "data.json").read_text()) for run in (clean, changed)]
    assert facts[0]["preprocessing"] == facts[1]["preprocessing"]
    assert facts[0]["inputs"] == facts[1]["inputs"]


def test_the_run_keeps_the_sizes_that_were_chosen(tmp_path, capsys):
    frame = everything(tmp_path)
    run = trained(tmp_path, frame, "run")
    facts = json.loads((run.folder / "data.json").read_text())
    kept = facts["preprocessing"]["transforms"]
    assert (kept["sound"]["rate"], kept["sound"]["seconds"]) == (8000, 0.4)
    assert kept["look"]["size"] == [12, 16]
    assert kept["said"]["length"] == 8
    assert (kept["steps"]["length"], kept["steps"]["rest"]) == (9, [3])
    lines = facts["inputs"]
    assert lines["sound"].startswith("0.4 of 0.4 s at 8 kHz → log-mel 40×41 → small_cnn, ")
    assert lines["look"].startswith("16×12 of 16×12 pixels → picture 3×12×16 → small_cnn, ")
    assert lines["said"].startswith("4 of 4 words → words 8, vocabulary of 7 → gru, ")
    assert lines["steps"].startswith("9 of 9 steps of 3 numbers, standardised → array 9×3 → gru, ")
    printed = capsys.readouterr().err
    assert all(f"{m}: {text}" in printed for m, text in lines.items())
    write_row(tmp_path, 0, np.random.default_rng(3), 0, seconds=2.0, steps=20)
    with pytest.warns(UserWarning, match="samples are longer and are cut") as told:
        predictions = equipoise.predict(run, frame.assign(split="test"))
    assert len(predictions) == len(frame)
    assert sum("1 of 32 samples" in str(warning.message) for warning in told) == 2


def test_a_class_that_is_heard_at_the_end_is_learned(tmp_path):
    rng = np.random.default_rng(0)
    rows = []
    for row in range(60):
        wave = rng.normal(size=24000) * 0.02
        wave[20000:] += 0.4 * np.sin(2 * np.pi * [300, 1500][row % 2] * np.arange(4000) / 8000)
        soundfile.write(tmp_path / f"{row}.wav", wave, 8000)
        rows.append({"wav": f"{row}.wav", "pitch": ["low", "high"][row % 2]})
    run = equipoise.fit(
        pd.DataFrame(rows),
        out=tmp_path / "run",
        label="pitch",
        modality=["sound=wav:audio"],
        epochs=12,
        batch_size=16,
        **{"data.root": str(tmp_path), "data.cache": str(tmp_path / "cache")},
    )
    assert run.result["test"]["fused"]["accuracy"] == 1.0


def sound(seconds, rate=16000):
    return Measured([Header(seconds=s, rate=rate) for s in seconds])


def made(kind, measured, **options):
    return make_transform("m", kind, options, measured)


def test_five_seconds_are_read_whole():
    transform = made("audio", sound([5.0] * 20, 44100))
    assert isinstance(transform, LogMel)
    assert (transform.rate, transform.seconds, transform.shape) == (16000, 5.0, (1, 64, 501))
    assert default_encoder("audio", transform.shape) == "small_cnn"
    text = describe("log-mel", transform, sound([5.0] * 20)).text
    assert text == "5.0 of 5.0 s at 16 kHz → log-mel 64×501"


def test_an_outlier_does_not_decide_and_a_podcast_is_limited():
    outlier = made("audio", sound([1.0] * 99 + [312.0]))
    assert outlier.seconds == 1.0
    podcast = made("audio", sound([312.0] * 5))
    assert podcast.seconds == 30.0
    assert podcast.shape[-1] <= 1002
    reading = describe("log-mel", podcast, sound([312.0] * 5))
    assert reading.text.startswith("30.0 of 312.0 s at 16 kHz (cuts 5 of 5 training rows) → ")


def test_lengths_cover_95_percent():
    transform = made("audio", sound([k / 10 for k in range(1, 101)]))
    assert transform.seconds == 9.5


@pytest.mark.parametrize("rate", [100, 1000, 8000, 11025, 16000])
def test_a_spectrogram_follows_the_rate(rate):
    transform = made("audio", sound([0.7] * 3, rate))
    assert transform.rate == rate
    rng = np.random.default_rng(0)
    found = transform.spectrogram(transform.fitted(rng.normal(size=3000).astype(np.float32)))
    assert found.shape == transform.shape
    assert (found.std(axis=2) > 0).all(), "a band hears nothing"


def test_settings_of_the_user_always_win():
    given = made("audio", sound([5.0] * 3), seconds=60.0, rate=22050, mels=30)
    assert (given.seconds, given.rate, given.mels) == (60.0, 22050, 30)
    assert made("audio", sound([5.0] * 3), seconds="auto").seconds == 5.0
    pictures = Measured([Header(sides=(20, 20))])
    assert made("image", pictures, size=300).shape == (3, 300, 300)
    assert made("video", Measured([Header(frames=100, seconds=4.0)]), frames=3).frames == 3


def test_named_transforms_of_papers_keep_their_sizes():
    assert made("audio", sound([9.0]), transform="log-stft").shape == (1, 257, 299)
    assert made("audio", sound([9.0]), transform="fbank").shape == (1, 128, 1024)
    small = Measured([Header(sides=(20, 20), frames=50, seconds=9.0)])
    assert made("image", small, transform="ogm-ge").shape == (3, 224, 224)
    assert made("video", small, transform="mla").shape == (3, 3, 224, 224)


def test_pictures_are_not_enlarged():
    equal = made("image", Measured([Header(sides=(30, 45))] * 9))
    assert isinstance(equal, Picture)
    assert equal.extent == (30, 45)
    photos = made("image", Measured([Header(sides=(480, 640)), Header(sides=(600, 400))]))
    assert photos.extent == (224, 224)


@pytest.mark.parametrize(
    ("seconds", "count", "frames"), [(5.0, 125, 10), (0.5, 12, 4), (60.0, 1500, 16), (0.1, 3, 3)]
)
def test_frames_cover_the_clip(seconds, count, frames):
    header = Header(seconds=seconds, frames=count, sides=(240, 320))
    transform = made("video", Measured([header] * 4))
    assert transform.shape == (frames, 3, 112, 112)
    picked = transform.pick(count)
    assert picked[0] <= count / 4
    assert picked[-1] >= count * 0.6


def test_series_take_the_length_and_columns_of_most_training_rows():
    shapes = [(20 + k % 3, 4) for k in range(40)] + [(500, 4), (7, 9)]
    measured = Measured([Header(shape=shape) for shape in shapes])
    transform = made("array", measured)
    assert transform.stored == (22, 4)
    reading = describe("array", transform, Measured(measured.headers[:-1]))
    assert reading.cut == 1
    assert "(cuts 1 of 41 training rows)" in reading.text


def test_headers_tell_windows_and_leave_out_what_cannot_be_read(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(8000), 4000)
    assert sound_header(FilePart.parse("a.wav", tmp_path)) == Header(seconds=2.0, rate=4000)
    part = FilePart.parse("a.wav#t=0.5,1.25", tmp_path)
    assert sound_header(part) == Header(seconds=0.75, rate=4000)
    (tmp_path / "b.wav").write_bytes(b"RIFF nothing")
    assert sound_header(FilePart.parse("b.wav", tmp_path)) is None
    assert sound_header(FilePart.parse("gone.wav", tmp_path)) is None
    write_video(tmp_path / "c.mp4", frames=30, size=(64, 48), rate=15)
    header = Header(seconds=2.0, frames=30, sides=(48, 64))
    assert video_header(FilePart.parse("c.mp4", tmp_path)) == header
    assert video_header(FilePart.parse("c.mp4#3:9", tmp_path)).frames == 6
