"""What C libraries print is not seen, and what Python prints is."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import pytest
import soundfile
from PIL import Image

from equipoise.data.manifest.file_part import FilePart
from equipoise.data.media import read_audio, read_image
from equipoise.errors import DataError
from equipoise.quiet import muffled


def test_the_descriptor_is_silent_and_python_is_not(capfd):
    with muffled:
        os.write(2, b"noise\n")
        print("said meanwhile", file=sys.stderr)
        with muffled:
            os.write(2, b"noise\n")
        os.write(2, b"noise\n")
    os.write(2, b"raw afterwards\n")
    print("said afterwards", file=sys.stderr)
    said = capfd.readouterr().err
    assert said.splitlines() == ["said meanwhile", "raw afterwards", "said afterwards"]


def test_threads_share_the_silence(capfd):
    before = sys.stderr

    def work(_):
        for _ in range(50):
            with muffled:
                os.write(2, b"noise\n")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert sys.stderr is before
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "afterwards\n"


def test_a_stream_that_replaced_ours_meanwhile_stays(capfd, monkeypatch):
    other = open(os.devnull, "w")  # noqa: SIM115
    with muffled:
        monkeypatch.setattr(sys, "stderr", other)
    assert sys.stderr is other
    monkeypatch.undo()
    other.close()


def test_an_error_ends_the_silence(capfd):
    with pytest.raises(ValueError, match="mine"), muffled:
        raise ValueError("mine")
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "afterwards\n"


def spoil(path):
    content = bytearray(path.read_bytes())
    for place in range(600, len(content) - 600, 97):
        content[place] ^= 0x5A
    path.write_bytes(bytes(content))


def test_damaged_files_make_no_noise(tmp_path, capfd):
    rng = np.random.default_rng()
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        path = tmp_path / f"{compression}.tiff"
        pixels = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path, compression=compression)
        spoil(path)
        with suppress(DataError):
            read_image(path, (8, 8), 3)
    for ending in ("mp3", "ogg", "flac", "wav"):
        path = tmp_path / f"a.{ending}"
        soundfile.write(path, rng.normal(0, 0.2, 32000), 16000)
        spoil(path)
        with suppress(DataError):
            read_audio(FilePart(path), 16000)
    Image.new("RGB", (40, 40), (1, 2, 3)).save(tmp_path / "b.webp")
    with pytest.raises(DataError):
        read_audio(FilePart((tmp_path / "b.webp").rename(tmp_path / "b.mp3")), 16000)
    assert capfd.readouterr() == ("", "")
