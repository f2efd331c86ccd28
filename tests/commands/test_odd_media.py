"""Odd files under every command: the right result or one line, without noise or waiting."""

import csv
import os

import numpy as np
import pytest
import soundfile
from PIL import Image

from videos import write_video

ROWS = 16


def gsm(path):
    soundfile.write(path, np.zeros(8000), 8000, subtype="GSM610")


def opposed(path):
    wave = np.random.default_rng().normal(0, 0.1, 8000)
    soundfile.write(path, np.stack([wave, -wave], axis=1), 8000)


def twelve_bits(path):
    pixels = np.random.default_rng().integers(0, 4096, (16, 16)).astype(np.uint16)
    Image.fromarray(pixels).save(path)


def damaged_header(path):
    path.write_bytes(b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'shape': (((,\0\n" + bytes(90))


GOOD = {
    "audio": ("wav", lambda path: soundfile.write(path, np.random.rand(8000) - 0.5, 8000)),
    "image": ("png", lambda path: Image.new("L", (16, 16), 90).save(path)),
    "vector": ("npy", lambda path: np.save(path, np.random.rand(4))),
    "video": ("mp4", lambda path: write_video(path, frames=4, size=(32, 32))),
}
ODD = {
    "audio": {"a.wav": gsm, "b.wav": opposed, "c.wav": os.mkfifo, f"0.wav#t=0,{'9' * 400}": None},
    "image": {"a.tiff": twelve_bits, "b.png": os.mkfifo, "c.png": None},
    "vector": {"a.npy": damaged_header, "b.npy": os.mkfifo, f"0.npy#{'9' * 5000}": None},
    "video": {"a.mp4": os.mkfifo, f"0.mp4#1:{'9' * 5000}": None},
}
PROBLEMS = {"audio": 1, "image": 2, "vector": 3, "video": 1}
REMARKS = {"audio": "opposite phase", "image": "12 bits"}


@pytest.mark.filterwarnings("always")
@pytest.mark.parametrize("kind", GOOD)
def test_every_command_goes_on(command, tmp_path, kind, recwarn):
    ending, write = GOOD[kind]
    cells = []
    for number in range(ROWS):
        write(tmp_path / f"{number}.{ending}")
        cells.append(f"{number}.{ending}")
    for place, (name, make) in enumerate(ODD[kind].items(), 1):
        if make is not None:
            make(tmp_path / name)
        cells[place] = name
    (tmp_path / "c.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")
    with (tmp_path / "clips.csv").open("w", newline="", encoding="utf-8") as file:
        rows = [[cell, k, "ab"[k % 2]] for k, cell in enumerate(cells)]
        csv.writer(file).writerows([["x", "n", "label"], *rows])
    declared = f"--modality x=x:{kind} --modality n=n:vector --label label --cache cache"
    size = {"image": " --data.options.x.size 16", "video": " --data.options.x.size 16"}
    declared += size.get(kind, "")
    for line, code in (
        ("doctor clips.csv", 0),
        ("prepare clips.csv", 1),
        ("prepare clips.csv --problems absent", 0),
        ("train --data clips.csv --problems drop --epochs 1 --out run", 0),
    ):
        answer = command(f"{line} {declared}")
        assert answer.code == code, (line, answer)
        assert "Traceback" not in answer.err
        assert answer.err.count("\n") <= 4, answer.err
        if kind in REMARKS:
            warned = " ".join(str(warning.message) for warning in recwarn.list)
            recwarn.clear()
            said = answer.out if "doctor" in line else warned
            assert f"1 of {ROWS} files" in said, (line, said)
            assert REMARKS[kind] in said
    found = list(csv.DictReader((tmp_path / "run" / "problems.csv").open(encoding="utf-8")))
    assert len(found) == PROBLEMS[kind], found
