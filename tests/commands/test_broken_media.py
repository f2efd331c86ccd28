"""Ten kinds of broken media, each a row of problems.csv, under every policy."""

import csv
import re

import av
import numpy as np
import pytest
import soundfile

from videos import tone, write_video

ROWS = 24
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def spoil_header(path):
    write_video(path.with_suffix(".mp4"))
    content = bytearray(path.with_suffix(".mp4").read_bytes())
    content[:64] = bytes(64)
    path.write_bytes(bytes(content))


def make_directory(path):
    """Unreadable for every user, the superuser included."""
    path.unlink()
    path.mkdir()
    (path / "note.txt").write_text("no frame")


def write_sound(path):
    soundfile.write(path, tone(0.2).T, 48000, format="WAV")


def without_length(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=15)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        container.start_encoding()


BROKEN = {
    "truncated": ("face", truncate, ""),
    "zero bytes": ("face", lambda path: path.write_bytes(b""), "0 bytes"),
    "wrong extension": ("face", write_sound, "no picture track"),
    "no audio track": ("voice", lambda path: write_video(path), "no sound track"),
    "one frame": ("face", lambda path: write_video(path, frames=1), "1 frame only"),
    "LFS pointer": ("face", lambda path: path.write_bytes(POINTER), "git lfs pull"),
    "corrupt header": ("face", spoil_header, ""),
    "no length": ("face", without_length, ""),
    "unreadable": ("face", make_directory, "has no frames"),
    "NUL in text": ("words", None, "NUL byte"),
}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("media")
    write_video(folder / "good.avi", frames=6, sound=tone(0.4), size=(32, 32))
    return folder / "good.avi"


@pytest.fixture
def clips(good, tmp_path):
    """A manifest whose rows 2, 4, 6 … are broken, each in its own way."""
    rng = np.random.default_rng()
    rows, broken = [], {}
    for number in range(ROWS):
        path = tmp_path / f"{number}.avi"
        path.write_bytes(good.read_bytes())
        rows.append(
            {
                "clip": path.name,
                "words": rng.choice(["yes it is", "no it was not"]),
                "label": "ab"[number % 2],
            }
        )
        rows[-1]["voice"] = path.name
    for number, (name, (modality, spoil, reason)) in zip(
        range(0, 20, 2), BROKEN.items(), strict=True
    ):
        path = tmp_path / f"{number}.avi"
        if spoil is None:
            rows[number]["words"] = "yes\0no"
        elif modality == "voice":
            spoil(path.with_name(f"silent{number}.avi"))
            rows[number]["voice"] = f"silent{number}.avi"
        else:
            spoil(path)
            rows[number]["voice"] = f"{number + 1}.avi"
        broken[number + 2] = (modality, reason, name)
    with (tmp_path / "clips.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return broken


LINE = (
    "--modality face=clip:video --modality voice=voice:audio --modality words=words:text "
    "--cache cache --data.options.face.size 16 --data.options.voice.seconds 0.3 "
    "--data.validation 0.2 --data.test 0.2"
)


def check(path, broken):
    found = {int(row["row"]): row for row in csv.DictReader(path.open(encoding="utf-8"))}
    assert found.keys() == broken.keys()
    for row, (modality, reason, name) in broken.items():
        assert found[row]["modality"] == modality, name
        assert reason in found[row]["reason"], (name, found[row]["reason"])
        assert "\n" not in found[row]["reason"], name


def test_they_stop_preparation_in_one_line(command, clips, tmp_path):
    answer = command(f"prepare clips.csv {LINE}")
    assert answer.code == 1
    assert answer.err.count("\n") == 1
    assert "(and 9 more)" in answer.err
    [path] = (tmp_path / "cache").glob("problems-clips-*.csv")
    assert f"listed in cache/{path.name}: " in answer.err
    check(path, clips)


@pytest.mark.parametrize(("policy", "rows"), [("drop", ROWS - 10), ("absent", ROWS)])
def test_they_are_dropped_or_absent(command, clips, tmp_path, policy, rows):
    train = (
        "--epochs 1 --width 8 --encoder.face mlp --encoder.voice mlp --encoder.words gru "
        "--batch_size 8"
    )
    answer = command(f"train --data clips.csv {LINE} {train} --problems {policy} --out run")
    assert answer.code == 0, answer.err
    check(tmp_path / "run/problems.csv", clips)
    answer = command(f"prepare clips.csv {LINE} --problems {policy}")
    assert answer.code == 0
    counts = [int(n) for n in re.findall(r"(?:train|validation|test) (\d+)", answer.err)]
    assert sum(counts) == rows
    assert "10 problems" in answer.err
