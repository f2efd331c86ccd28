"""Sounds that a simple loader reads wrongly: joined, in opposite phase, long, of telephones."""

import math
import tracemalloc

import numpy as np
import pytest
import soundfile

from equipoise.data.manifest.file_part import FilePart
from equipoise.data.media import read_audio
from equipoise.data.media.remarks import collect_remarks
from equipoise.errors import DataError
from sounds import write_mp3
from videos import tone, write_video


@pytest.fixture
def rng():
    return np.random.default_rng()


def read(cell, rate=16000):
    """The samples of a cell, and what was remarked."""
    with collect_remarks() as remarks:
        wave = read_audio(FilePart.parse(str(cell)), rate)
    return wave, remarks


def joined(path, first, second):
    path.write_bytes(first.read_bytes() + second.read_bytes())
    return path


@pytest.mark.parametrize("tag", ["0", "1"])
def test_joined_mp3_files_are_read_to_the_end(tmp_path, rng, tag):
    parts = [tmp_path / "a.mp3", tmp_path / "b.mp3"]
    write_mp3(parts[0], rng.normal(0, 0.1, 32000), 16000, tag=tag, b="64000")
    write_mp3(parts[1], rng.normal(0, 0.3, 48000), 16000, tag=tag, b="64000")
    path = joined(tmp_path / "joined.mp3", *parts)
    wave, _ = read(path)
    assert 0 <= len(wave) - 80000 < 4000
    assert wave[:30000].std() < 0.12 < 0.2 < wave[-40000:-4000].std()
    window, _ = read(f"{path}#t=3,4")
    np.testing.assert_array_equal(window, wave[48000:64000])


def test_an_mp3_with_a_tag_behind_it_is_not_joined(tmp_path, rng):
    path = tmp_path / "a.mp3"
    write_mp3(path, rng.normal(0, 0.1, 32000), 16000, tag="1", b="64000")
    path.write_bytes(path.read_bytes() + b"TAG" + bytes(125))
    assert len(read(path)[0]) == 32000


def test_mp3_files_of_different_rates_cannot_be_joined(tmp_path, rng):
    parts = [tmp_path / "a.mp3", tmp_path / "b.mp3"]
    write_mp3(parts[0], rng.normal(0, 0.1, 32000), 16000, tag="1", b="64000")
    write_mp3(parts[1], rng.normal(0, 0.1, 96000), 48000, tag="1", b="64000")
    with pytest.raises(DataError, match="changes from 16000 to 48000 Hz"):
        read(joined(tmp_path / "joined.mp3", *parts))


@pytest.mark.parametrize("codec", ["VORBIS", "OPUS"])
def test_joined_ogg_files_are_read_to_the_end(tmp_path, rng, codec):
    parts = [tmp_path / "a.ogg", tmp_path / "b.ogg"]
    for part, seconds in zip(parts, (2, 3), strict=True):
        wave = rng.normal(0, 0.1, 16000 * seconds)
        soundfile.write(part, wave, 16000, format="OGG", subtype=codec)
    assert abs(len(read(joined(tmp_path / "joined.ogg", *parts))[0]) - 80000) < 1000


@pytest.mark.parametrize("ending", ["wav", "flac", "aiff"])
def test_joined_files_of_which_players_play_the_first_are_refused(tmp_path, rng, ending):
    path = tmp_path / f"a.{ending}"
    soundfile.write(path, rng.normal(0, 0.1, 16001), 16000, subtype="PCM_16")
    assert len(read(path)[0]) == 16001
    path.write_bytes(2 * path.read_bytes())
    with pytest.raises(
        DataError, match="several files joined" if ending == "flac" else "RIFF|FORM"
    ):
        read(path)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.ogg"])
def test_channels_that_cancel_each_other_are_not_averaged(tmp_path, rng, name):
    wave = 0.5 * np.sin(np.arange(16000) * rng.uniform(0.1, 0.3))
    soundfile.write(tmp_path / name, np.stack([wave, -wave], axis=1), 16000)
    found, remarks = read(tmp_path / name)
    assert abs(found.std() - wave.std()) < 0.01
    assert "opposite phase" in remarks[0]
    window, remarks = read(f"{tmp_path / name}#t=0.25,0.5")
    np.testing.assert_allclose(window, found[4000:8000], atol=0.002)
    assert len(remarks) == 1


def test_the_channels_of_a_film_that_cancel_each_other(tmp_path):
    path = write_video(tmp_path / "a.mp4", sound=np.stack([tone()[0], -tone()[0]]))
    found, remarks = read(path)
    assert abs(found[4000:-4000].std() - 0.4 / np.sqrt(2)) < 0.02
    assert "opposite phase" in remarks[0]


def test_other_channels_are_averaged_without_a_remark(tmp_path, rng):
    wave = rng.normal(0, 0.2, 16000)
    for sound in (
        np.stack([wave, 0 * wave], axis=1),
        rng.normal(0, 0.1, (16000, 6)),
        np.stack([wave, -0.5 * wave], axis=1),
        np.zeros((16000, 2)),
    ):
        soundfile.write(tmp_path / "a.wav", sound, 16000, subtype="FLOAT")
        found, remarks = read(tmp_path / "a.wav")
        np.testing.assert_allclose(found, sound.astype(np.float32).mean(1), atol=1e-6)
        assert not remarks


def test_telephone_speech_that_cannot_be_searched(tmp_path, rng):
    path = tmp_path / "a.wav"
    soundfile.write(path, rng.normal(0, 0.1, 8000), 8000, subtype="GSM610")
    wave, _ = read(path, 8000)
    assert 8000 <= len(wave) < 8320 + 1
    np.testing.assert_array_equal(read(f"{path}#t=0.5,0.7", 8000)[0], wave[4000:5600])


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.aiff", "a.ogg", "a.mp3", "a.mp4", "a.mkv"])
def test_a_window_is_that_part_of_the_whole(tmp_path, rng, name):
    path = tmp_path / name
    if path.suffix in (".mp4", ".mkv"):
        write_video(path, frames=90, sound=np.repeat(rng.normal(0, 0.2, (1, 6 * 48000)), 2, 0))
        rate = 48000
    else:
        rate = 16000
        soundfile.write(path, rng.normal(0, 0.2, (6 * rate, 2)), rate)
    whole, _ = read(path, rate)
    for start, end in ((0, 0.3), (2.5, 2.8), (5.5, 9)):
        window, _ = read(f"{path}#t={start},{end}", rate)
        np.testing.assert_array_equal(window, whole[round(start * rate) : round(end * rate)])
    with pytest.raises(DataError, match="no samples in the window"):
        read(f"{path}#t=50,60", rate)
    with pytest.raises(DataError, match="no samples in the window"):
        read(f"{path}#t={'8' * 300},{'9' * 300}", rate)
    with pytest.raises(DataError, match=r"#t=8888.*…9999.*: the window is empty"):
        read(f"{path}#t={'8' * 400},{'9' * 400}", rate)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
def test_a_window_of_a_long_file_takes_little_memory(tmp_path, rng, name):
    path = tmp_path / name
    with soundfile.SoundFile(path, "w", 16000, 2) as file:
        second = rng.normal(0, 0.2, (16000, 2))
        for _ in range(180):  # libsndfile crashes on long blocks of Vorbis
            file.write(second)
    read(f"{path}#t=0,0.1")  # libraries are loaded
    tracemalloc.start()
    try:
        wave, _ = read(f"{path}#t=170,170.3")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(wave) == 4800
    assert peak < 4e6  # all of it takes 23 MB and more


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
def test_the_beginning_of_a_long_file_takes_little_memory(tmp_path, rng, name):
    path = tmp_path / name
    with soundfile.SoundFile(path, "w", 16000, 2) as file:
        second = rng.normal(0, 0.2, (16000, 2))
        for _ in range(180):
            file.write(second)
    read_audio(FilePart(path), 8000, 0.1)  # libraries are loaded
    tracemalloc.start()
    try:
        wave = read_audio(FilePart(path), 8000, 0.3)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(wave) == 2400
    assert peak < 4e6


@pytest.mark.parametrize("most", [0.1, 1.3, 2.0, 60.0])
@pytest.mark.parametrize("rate", [16000, 11025])
def test_the_beginning_is_that_of_the_whole(tmp_path, rng, rate, most):
    files = [tmp_path / name for name in ("a.wav", "a.ogg", "a.mp3")]
    for path in files:
        soundfile.write(path, rng.normal(0, 0.1, (50000, 2)), 16000)
    films = [write_video(tmp_path / f"b.{ending}", sound=tone()) for ending in ("mp4", "mkv")]
    for path in [*files, *films, f"{files[0]}#t=0.5,2.9"]:
        part = FilePart.parse(str(path))
        whole = read_audio(part, rate)[: math.ceil(most * rate)]
        np.testing.assert_array_equal(read_audio(part, rate, most), whole)


def test_damage_behind_what_is_wanted_is_noticed(tmp_path, rng):
    wave = rng.normal(0, 0.1, 100_000).astype(np.float32)
    wave[-1] = np.nan
    soundfile.write(tmp_path / "a.wav", wave, 16000, subtype="FLOAT")
    with pytest.raises(DataError, match="NaN"):
        read_audio(FilePart(tmp_path / "a.wav"), 16000, 0.5)
    (tmp_path / "a.wav").write_bytes((tmp_path / "a.wav").read_bytes()[:-1000])
    with pytest.raises(DataError, match="truncated"):
        read_audio(FilePart(tmp_path / "a.wav"), 16000, 0.5)
