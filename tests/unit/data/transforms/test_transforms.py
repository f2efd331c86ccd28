"""Transforms against direct computations, and scaling by what the training rows show."""

import json
import math
from dataclasses import asdict, fields

import numpy as np
import pandas as pd
import pytest
import soundfile
from PIL import Image

from equipoise.data.decoding.decoded import decode_modality
from equipoise.data.manifest.declaration import Columns, Declaration
from equipoise.data.manifest.file_part import FilePart
from equipoise.data.manifest.manifest import read_manifest
from equipoise.data.modality import ModalitySpec
from equipoise.data.table.steps import Arrays, fit_steps, unfitted_step
from equipoise.data.table.table import Splits, Table
from equipoise.data.transforms.audio import LogMel
from equipoise.data.transforms.image import Picture
from equipoise.data.transforms.kinds import TRANSFORMS, make_transform
from equipoise.data.transforms.scale import fit_scale
from equipoise.data.transforms.sizes import measure_files
from equipoise.errors import ConfigError, DataError
from equipoise.testing.options import wrong_values


@pytest.fixture
def rng():
    return np.random.default_rng()


def spectrogram(wave, rate, mels, window, hop, floor):
    """Log-mel power sample by sample: the Fourier sum written out, triangles by interpolation."""
    turns = np.outer(np.arange(window // 2 + 1), np.arange(window)) / window
    fourier = np.exp(-2j * np.pi * turns) * np.sin(np.pi * np.arange(window) / window) ** 2
    hertz = np.arange(window // 2 + 1) * rate / window
    edges = 700 * (np.exp(np.linspace(0, np.log(1 + rate / 1400), mels + 2)) - 1)
    filters = np.stack([np.interp(hertz, edges[k : k + 3], [0, 1, 0]) for k in range(mels)])
    starts = range(0, len(wave) - window + 1, hop)
    power = np.stack([np.abs(fourier @ wave[s : s + window]) ** 2 for s in starts], axis=1)
    return np.log(np.maximum(filters @ power, floor))


@pytest.mark.parametrize(
    ("rate", "mels", "window", "hop"), [(8000, 40, 256, 128), (16000, 23, 400, 170)]
)
def test_log_mel_is_the_direct_sum(rng, rate, mels, window, hop):
    transform = LogMel(rate=rate, seconds=0.2, mels=mels, window=window, hop=hop, floor=1e-5)
    wave = rng.normal(scale=0.3, size=transform.samples).astype(np.float32)
    found = transform.spectrogram(wave)
    assert found.dtype == np.float32
    assert found.shape == transform.shape
    np.testing.assert_allclose(
        found[0], spectrogram(wave, rate, mels, window, hop, 1e-5), atol=1e-4
    )


def test_log_mel_is_loudest_at_the_tone(rng):
    transform = LogMel()
    pitch = rng.uniform(300, 3000)
    tone = np.sin(2 * np.pi * pitch * np.arange(8000) / 8000)
    loudest = int(transform.spectrogram(tone)[0].mean(1).argmax())
    centres = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 4000 / 700), 42)[1:-1] / 2595) - 1)
    assert abs(loudest - int(np.abs(centres - pitch).argmin())) <= 1


def test_silence_is_the_floor_and_fills_what_is_short(rng):
    transform = LogMel(seconds=0.5, floor=1e-4)
    assert np.allclose(transform.spectrogram(np.zeros(4000)), np.log(1e-4))
    wave = rng.normal(size=6000).astype(np.float32)
    np.testing.assert_array_equal(transform.fitted(wave), wave[:4000])
    short = transform.spectrogram(transform.fitted(wave[:1000]))
    assert short.shape == transform.shape
    assert np.allclose(short[..., 8:], np.log(1e-4))
    assert not np.allclose(short[..., :7], np.log(1e-4))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [6, [6], [6, 9]])
def test_pictures_have_the_shape_asked_for(tmp_path, rng, channels, size):
    Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    transform = Picture(size, channels)
    stored = transform.decode(FilePart(tmp_path / "a.png"))
    assert stored.dtype == np.uint8
    assert stored.shape == transform.shape == (channels, 6, 9 if size == [6, 9] else 6)
    plain = Picture(size, channels, normalise="none").finish(stored[None], None)
    np.testing.assert_allclose(plain[0], stored / np.float32(255))


NAMES = [
    (k, name)
    for k in ("audio", "image", "video", "flow", "vector", "array")
    for name in TRANSFORMS[k]
]


@pytest.mark.parametrize(("kind", "name"), NAMES)
def test_every_transform_holds_what_it_says_and_its_settings_survive_json(
    tmp_path, rng, kind, name
):
    files = {
        "audio": "a.wav",
        "image": "a.png",
        "vector": "a.npy",
        "array": "a.npy",
        "video": "a",
        "flow": "f.npy",
    }
    path = tmp_path / files[kind]
    soundfile.write(tmp_path / "a.wav", rng.uniform(-1, 1, 5000), 8000)
    Image.fromarray(rng.integers(0, 256, (9, 9), dtype=np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "a").mkdir()
    for number in range(5):
        Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)).save(
            tmp_path / f"a/{number}.jpg"
        )
    np.save(tmp_path / "a.npy", rng.normal(size=(7, 3)))
    np.save(tmp_path / "f.npy", rng.normal(size=(9, 8, 2, 5)))
    small = {"size": 14, "stored_size": 16} if kind in ("image", "video", "flow") else {}
    small |= {"frames": 2, "candidates": 3} if kind in ("video", "flow") else {}
    measured = measure_files(kind, [None, FilePart(path)])
    first = make_transform("m", kind, {"transform": name, **small}, measured)
    settings = {"transform": name, **asdict(first)}
    again = make_transform("m", kind, json.loads(json.dumps(settings)))
    stored = first.decode(FilePart(path))
    np.testing.assert_array_equal(stored, again.decode(FilePart(path)))
    assert stored.shape == first.stored
    assert stored.dtype == first.dtype
    for draws in (None, [np.random.default_rng(k) for k in range(2)]):
        finished = first.finish(np.stack([stored, stored]), draws)
        assert finished.shape == (2, *first.shape)
        assert finished.dtype == np.float32
        assert np.isfinite(finished).all()


@pytest.mark.parametrize(
    ("kind", "options", "word"),
    [
        ("audio", {"secnds": 1}, "did you mean 'seconds'"),
        ("audio", {"rate": "fast"}, "'fast'"),
        ("audio", {"mels": 0}, "'mels'"),
        ("audio", {"hop": 12.5}, "12.5"),
        ("audio", {"seconds": 0.001}, "one window"),
        ("audio", {"floor": None}, "'floor'"),
        ("image", {"channels": 2}, "one of 1, 3"),
        ("image", {"size": 0}, "'size'"),
        ("image", {"size": [3, 4, 5]}, "'size'"),
        ("image", {"size": "32"}, "'32'"),
        ("image", {"crop": [0.5]}, "'crop'"),
        ("image", {"crop": [0.5, 1.5]}, "'crop'"),
        ("image", {"fit": "squeeze"}, "stretch, crop"),
        ("image", {"view": "middle"}, "whole, centre"),
        ("image", {"view": "centre", "stored_size": [300, 200]}, "at least size (224)"),
        ("image", {"normalise": "imagnet"}, "'imagnet'"),
        ("image", {"jitter": 2}, "'jitter'"),
        ("image", {"transform": "clp"}, "did you mean 'clip'"),
        ("audio", {"transform": "waveform", "normalise": "fit"}, "'normalise'"),
        ("audio", {"short": "loop"}, "pad, tile"),
        ("audio", {"normalise": [0, 0]}, "'normalise'"),
        ("video", {"frames": 0}, "'frames'"),
        ("video", {"candidates": 2}, "at least as many as frames (3)"),
        ("video", {"sampling": "random"}, "segments, dense"),
        ("flow", {"channels": 3}, "'channels' must be one of 2"),
        ("flow", {"bound": 0}, "'bound'"),
        ("vector", {"length": -1}, "'length'"),
        ("adio", {}, "did you mean 'audio'"),
    ],
)
def test_settings_that_cannot_be(kind, options, word):
    with pytest.raises(ConfigError) as caught:
        make_transform("m", kind, options)
    assert word in str(caught.value)


CLASSES = {target for choices in TRANSFORMS.values() for target, _ in choices.values()}
REQUIRED = {"length": 3, "rest": (2,)}


def simple_settings():
    """(class, setting, default) of all switches and numbers of all transforms."""
    for target in sorted(CLASSES, key=lambda target: target.__name__):
        for field in fields(target):
            if isinstance(field.default, bool | int | float):
                yield pytest.param(
                    target, field.name, field.default, id=f"{target.__name__}-{field.name}"
                )


@pytest.mark.parametrize(("target", "setting", "default"), list(simple_settings()))
def test_switches_and_numbers_are_no_words_and_finite(target, setting, default):
    given = {field.name: REQUIRED[field.name] for field in fields(target) if field.name in REQUIRED}
    target(**{**given, setting: default})
    for wrong in [*wrong_values(default), math.inf]:
        with pytest.raises(ConfigError, match=f"'{setting}' must be"):
            target(**{**given, setting: wrong})


def test_a_vector_without_a_readable_file(tmp_path):
    frame = pd.DataFrame({"x": ["gone.npy", "gone.npy"], "label": ["a", "b"]})
    manifest = read_manifest(frame, Columns([Declaration("m", ["x"])]), str(tmp_path))
    with pytest.raises(DataError, match=r"'m'.*training rows.*gone\.npy"):
        decode_modality(manifest, manifest.declarations[0], {}, tmp_path / "cache")


def table(arrays, present, rows=None):
    count = len(next(iter(arrays.values())))
    rows = np.arange(count) if rows is None else rows
    specs = {m: ModalitySpec(m, "vector", array.shape[1:]) for m, array in arrays.items()}
    ids = [str(row) for row in rows]
    return Table(
        specs,
        arrays,
        rows,
        np.zeros(len(rows)),
        {m: p[rows] for m, p in present.items()},
        "ab",
        ids,
    )


@pytest.mark.parametrize("modalities", [2, 3])
def test_training_rows_that_are_present_decide_the_scale(rng, modalities):
    shapes = [(700, 4), (700, 3, 5, 6), (700, 1, 8)][:modalities]
    arrays = {
        f"m{k}": rng.normal(rng.normal(), 3, shape).astype(np.float32)
        for k, shape in enumerate(shapes)
    }
    present = {m: rng.random(700) < 0.7 for m in arrays}
    parts = [np.arange(600), np.arange(600, 650), np.arange(650, 700)]
    train, validation, test = (table(arrays, present, rows) for rows in parts)
    fitting = {m: Arrays(None) for m in arrays}
    scaled = fit_steps(
        Splits(train, validation, test, preprocessing={"kept": 1}, fitting=fitting), 0
    )
    for m, array in arrays.items():
        seen = array[:600][present[m][:600]].astype(np.float64)
        axes = (0, *range(2, array.ndim))
        expected = (array - seen.mean(axes, keepdims=True)) / seen.std(axes, keepdims=True)
        for part, rows in zip((scaled.train, scaled.validation, scaled.test), parts, strict=True):
            found = part.rows(np.arange(len(rows))).inputs[m].numpy()
            np.testing.assert_allclose(
                found[present[m][rows]], expected[rows][present[m][rows]], atol=1e-4
            )
            assert not found[~present[m][rows]].any()
    assert scaled.preprocessing["kept"] == 1
    assert (
        json.loads(json.dumps(scaled.preprocessing["learned"])) == scaled.preprocessing["learned"]
    )


def fitted(array, rows, axis=0, padded=False):
    return fit_scale(lambda chosen: array[chosen], rows, array.shape[axis + 1], axis, padded)


def test_scales_of_any_size_are_removed_and_constants_left(rng):
    noise = rng.normal(size=(2000, 6))
    columns = noise * [1e-12, 1e9, 3e3, 0, 0, 1] + [0, 0, 1.7e9, 0.1, -4e7, 12]
    store = columns.astype(np.float32)
    found = fitted(store, np.arange(2000)).apply(store)
    np.testing.assert_allclose(found.std(0), [1, 1, 1, 0, 0, 1], atol=1e-2)
    assert np.abs(found.mean(0)).max() < 0.1


def robust(array, rows):
    return fit_scale(lambda chosen: array[chosen], rows, array.shape[1], 0, False, robust=True)


def test_robust_scaling_cuts_outliers_and_leaves_the_rest(rng):
    array = rng.normal(3, 2, (300, 4)).astype(np.float32)
    array[7, 2] = 1e9
    array[:, 3] = 5
    rows = np.arange(300)
    found = robust(array, rows).apply(array)
    plain = fitted(array, rows).apply(array)
    assert found[7, 2] == 8
    assert plain[7, 2] > 17
    others = np.abs(plain) <= 8
    np.testing.assert_array_equal(found[others], plain[others])
    assert not found[:, 3].any()


def test_logarithms_of_counts_are_scaled(rng):
    array = rng.poisson(rng.gamma(0.1, 3, (200, 12))).astype(np.float32)
    scale = robust(array, np.arange(150))
    assert scale.counts
    logarithm = np.log1p(array.astype(np.float64))
    expected = (logarithm - logarithm[:150].mean(0)) / logarithm[:150].std(0)
    np.testing.assert_allclose(scale.apply(array), expected.clip(-8, 8), atol=1e-4)
    assert np.isfinite(scale.apply(-array)).all(), "new data may be negative"


def test_the_line_of_a_modality_says_counts(rng):
    arrays = {
        "words": rng.poisson(rng.gamma(0.1, 3, (60, 12))).astype(np.float32),
        "numbers": rng.normal(size=(60, 12)).astype(np.float32),
    }
    present = {m: np.ones(60, dtype=bool) for m in arrays}
    parts = [table(arrays, present, rows) for rows in np.arange(60).reshape(3, 20)]
    before = {"reading": dict.fromkeys(arrays, "12 numbers, standardised")}
    fitting = {m: unfitted_step(None) for m in arrays}
    found = fit_steps(Splits(*parts, preprocessing=before, fitting=fitting), 0).preprocessing
    assert found["reading"] == {
        "words": "12 numbers, standardised as counts",
        "numbers": "12 numbers, standardised",
    }


@pytest.mark.parametrize(
    "change",
    [
        lambda counts, rng: counts + 0.5,
        lambda counts, rng: counts - 1,
        lambda counts, rng: counts[:, :5],
        lambda counts, rng: np.minimum(counts, 1),
        lambda counts, rng: rng.integers(0, 256, counts.shape).astype(np.float32),
    ],
    ids=["fractions", "negative", "few columns", "flags", "pixels"],
)
def test_other_numbers_are_no_counts(rng, change):
    counts = rng.poisson(rng.gamma(0.1, 3, (200, 12))).astype(np.float32)
    array = change(counts, rng)
    assert not robust(array, np.arange(len(array))).counts


def test_a_scale_of_an_old_run_is_read_as_it_was(rng):
    array = rng.normal(size=(50, 3)).astype(np.float32) * 100
    old = {"mean": [1.0, 2.0, 3.0], "deviation": [2.0, 1.0, 1.0], "axis": 0, "padded": False}
    found = Arrays(None, robust=True).restore({"scale": old})(array, None)
    np.testing.assert_allclose(found, (array - [1, 2, 3]) / [2, 1, 1], rtol=1e-5)
    step = robust(array, np.arange(50))
    learned = json.loads(json.dumps(asdict(step)))
    again = Arrays(None).restore({"scale": learned})(array, None)
    np.testing.assert_array_equal(again, step.apply(array))


def test_a_modality_no_training_row_has(rng):
    array = rng.normal(size=(5, 2)).astype(np.float32)
    np.testing.assert_array_equal(fitted(array, np.arange(0)).apply(array), array)


def test_padding_of_a_series_neither_counts_nor_moves(rng):
    series = rng.normal(5, 3, (50, 9, 4)).astype(np.float32)
    lengths = rng.integers(1, 10, 50)
    real = np.arange(9) < lengths[:, None]
    series[~real] = 0
    scale = fitted(series, np.arange(50), axis=1, padded=True)
    np.testing.assert_allclose(scale.mean, series[real].mean(0), atol=1e-5)
    scaled = scale.apply(series)
    assert not scaled[~real].any()
    np.testing.assert_allclose(scaled[real].std(0), 1, atol=1e-4)
