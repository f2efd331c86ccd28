"""Decoders against the numbers that were written, and one line for every kind of broken file."""

import struct
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile
from PIL import Image

from equipoise.data.manifest.file_part import FilePart
from equipoise.data.media import read_array, read_audio, read_image
from equipoise.errors import DataError
from sounds import write_mp3

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.fixture
def rng():
    return np.random.default_rng()


READERS = {
    "a.wav": lambda path: read_audio(FilePart(path), 8000),
    "a.flac": lambda path: read_audio(FilePart(path), 8000),
    "a.mp3": lambda path: read_audio(FilePart(path), 8000),
    "a.png": lambda path: read_image(path, (8, 8), 3),
    "a.jpg": lambda path: read_image(path, (8, 8), 3),
    "a.bmp": lambda path: read_image(path, (8, 8), 3),
    "a.npy": lambda path: read_array(FilePart(path)),
}


def write(path, rng):
    """A sound file of that ending, a picture or an array."""
    if path.suffix == ".npy":
        np.save(path, rng.normal(size=2000))
    elif path.suffix in (".png", ".jpg", ".bmp"):
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(path)
    else:
        soundfile.write(path, rng.uniform(-0.5, 0.5, 16000), 8000)


def refused(read, path, word):
    """One line that names the file and the reason."""
    with pytest.raises(DataError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert word in message
    assert "\n" not in message


def test_channels_are_averaged(tmp_path, rng):
    stereo = rng.integers(-20000, 20000, (900, 2)).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", stereo, 8000, subtype="PCM_16")
    wave = read_audio(FilePart(tmp_path / "a.wav"), 8000)
    assert wave.dtype == np.float32
    np.testing.assert_allclose(wave, stereo.astype(float).mean(1) / 32768, atol=1e-6)


@pytest.mark.parametrize("native", [4000, 16000, 44100])
def test_resampling_keeps_pitch_and_length(tmp_path, rng, native):
    pitch = rng.uniform(200, 1500)
    tone = 0.5 * np.sin(2 * np.pi * pitch * np.arange(native) / native)
    soundfile.write(tmp_path / "a.wav", tone, native, subtype="FLOAT")
    wave = read_audio(FilePart(tmp_path / "a.wav"), 8000)
    assert abs(len(wave) - 8000) <= 1
    expected = 0.5 * np.sin(2 * np.pi * pitch * np.arange(len(wave)) / 8000)
    np.testing.assert_allclose(wave[500:-500], expected[500:-500], atol=5e-3)


def test_pixels_are_shares_of_white(tmp_path, rng):
    pixels = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    read = read_image(tmp_path / "a.png", (5, 7), 3)
    np.testing.assert_array_equal(read, pixels.transpose(2, 0, 1))
    assert read_image(tmp_path / "a.png", (10, 4), 1).shape == (1, 10, 4)


def test_sixteen_bit_grey_is_divided_not_clipped(tmp_path, rng):
    pixels = rng.integers(0, 65536, (6, 6)).astype(np.uint16)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    read = read_image(tmp_path / "a.png", (6, 6), 1)
    np.testing.assert_allclose(read[0] / 255, pixels / 65535, atol=1 / 255)


def test_arrays_keep_their_axes_and_a_row_can_be_picked(tmp_path, rng):
    array = rng.normal(size=(3, 4))
    np.save(tmp_path / "a.npy", array)
    np.testing.assert_array_equal(
        read_array(FilePart(tmp_path / "a.npy")), array.astype(np.float32)
    )
    np.testing.assert_array_equal(
        read_array(FilePart.parse(str(tmp_path / "a.npy#2"))), array[2].astype(np.float32)
    )
    with pytest.raises(
        DataError, match=r"a\.npy#3: there is no row 3 in an array of shape \(3, 4\)"
    ):
        read_array(FilePart.parse(str(tmp_path / "a.npy#3")))


@pytest.mark.parametrize("name", READERS)
def test_whatever_is_wrong_with_a_file(tmp_path, rng, name):
    path, read = tmp_path / name, READERS[name]
    refused(read, path, "not found")
    path.write_bytes(b"")
    refused(read, path, "0 bytes")
    path.write_bytes(POINTER)
    refused(read, path, "git lfs pull")
    path.write_bytes(rng.bytes(3000))
    refused(read, path, "not ")
    write(path, rng)
    read(path)  # whole, it is fine
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    refused(read, path, "")
    path.unlink()
    path.mkdir()
    refused(read, path, "cannot be read")


def test_another_format_under_the_name(tmp_path, rng):
    write(tmp_path / "a.png", rng)
    write(tmp_path / "b.wav", rng)
    refused(
        READERS["a.wav"], (tmp_path / "a.png").rename(tmp_path / "a.wav"), "not readable as audio"
    )
    refused(
        READERS["a.png"],
        (tmp_path / "b.wav").rename(tmp_path / "b.png"),
        "not readable as an image",
    )


def test_a_header_that_promises_more_than_there_is(tmp_path, rng):
    path = tmp_path / "a.wav"
    soundfile.write(path, rng.uniform(-0.5, 0.5, 1000), 8000, subtype="PCM_16")
    content = bytearray(path.read_bytes())
    place = content.index(b"data") + 4
    content[place : place + 4] = struct.pack("<I", 2 * 1000 + 200)
    path.write_bytes(bytes(content))
    refused(READERS["a.wav"], path, "truncated")


def test_a_length_unknown_when_it_was_written_is_no_truncation(tmp_path, rng):
    path = tmp_path / "a.wav"
    soundfile.write(path, rng.uniform(-0.5, 0.5, 1000), 8000, subtype="PCM_16")
    content = bytearray(path.read_bytes())
    place = content.index(b"data") + 4
    content[place : place + 4] = b"\xff" * 4
    path.write_bytes(bytes(content))
    assert len(read_audio(FilePart(path), 8000)) == 1000


@pytest.mark.parametrize("rate", [16000, 44100])
@pytest.mark.parametrize("quiet", [slice(0), slice(2), slice(2, None)])
@pytest.mark.parametrize(
    "settings", [{"b": "64000"}, {"global_quality": "472", "flags": "+qscale"}]
)
def test_mp3_files_that_do_not_count_their_frames(tmp_path, rng, rate, quiet, settings):
    """The bit rate is constant or varies, and the first frame says little about the others."""
    path, parts = tmp_path / "a.mp3", rng.normal(0, 0.2, (4, rate))
    parts[quiet] = 0
    write_mp3(path, parts.ravel(), rate, **settings)
    wave = read_audio(FilePart(path), rate)
    assert 0 <= len(wave) - 4 * rate < 2 * 1152 + 1105  # what the encoder put before and behind
    loudness = [np.sqrt((part**2).mean()) for part in np.array_split(wave, 4)]
    np.testing.assert_allclose(loudness, parts.std(axis=1), atol=0.06)


def test_mp3_files_that_count_their_frames_are_exact_and_held_to_it(tmp_path, rng):
    path = tmp_path / "a.mp3"
    write_mp3(path, rng.normal(0, 0.2, 40000), 16000, tag="1", b="64000")
    assert len(read_audio(FilePart(path), 16000)) == 40000
    path.write_bytes(path.read_bytes()[:9000])
    refused(READERS["a.mp3"], path, "truncated")


def test_sounds_without_usable_samples(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(0), 8000)
    refused(READERS["a.wav"], tmp_path / "a.wav", "no samples")
    soundfile.write(tmp_path / "b.wav", np.array([0.0, np.nan, 0.1]), 8000, subtype="FLOAT")
    refused(READERS["a.wav"], tmp_path / "b.wav", "NaN")


def test_arrays_that_are_none(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.array([{"code": "never run"}], dtype=object), allow_pickle=True)
    refused(READERS["a.npy"], path, "not a .npy array")
    np.save(path, np.array(["one", "two"]))
    refused(READERS["a.npy"], path, "not a .npy array")
    np.save(path, np.array([1.0, np.inf]))
    refused(READERS["a.npy"], path, "infinite")
    np.savez(tmp_path / "a.npz", np.ones(3))
    refused(READERS["a.npy"], (tmp_path / "a.npz").replace(path), "several arrays")


def test_pixels_without_a_range_are_refused(tmp_path, rng):
    Image.fromarray(rng.normal(size=(4, 4)).astype(np.float32)).save(tmp_path / "a.tiff")
    refused(READERS["a.png"], tmp_path / "a.tiff", "no known range")


def test_headers_of_arrays_are_parsed_by_one_thread_at_a_time(tmp_path, monkeypatch):
    """Python's parser is not thread-safe before 3.12.4; it killed one decoding in a thousand."""
    np.save(tmp_path / "a.npy", np.ones((3, 4), np.float32))
    inside, most, load = [], [], np.load

    def watched(*args, **options):
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.002)
        inside.pop()
        return load(*args, **options)

    monkeypatch.setattr(np, "load", watched)
    with ThreadPoolExecutor(8) as pool:
        arrays = list(pool.map(read_array, [FilePart(tmp_path / "a.npy")] * 16))
    assert all((array == 1).all() for array in arrays)
    assert max(most) == 1
