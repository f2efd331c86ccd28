"""The cache of decoded arrays: its journals, rows and locks, edited, cut or removed."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from fuzzing.case import Answer, Case, run_command
from fuzzing.mutations import ODD_VALUES, change_bytes, change_value
from fuzzing.part import PARTS, Part, Room
from fuzzing.tables import SMALL, read_csv

ROWS = 24
DECLARED = ["--modality", "sound=sound:audio", "--modality", "picture=picture:image"]
OPTIONS = ["--data.options.sound.seconds", "0.2", "--data.options.picture.size", "16"]


def prepare(room: Room) -> None:
    """Train on sounds and pictures, decoded into a cache, and predict."""
    folder = room / "caches"
    folder.mkdir()
    rng = np.random.default_rng(0)
    lines = ["sound,picture,label"]
    for row in range(ROWS):
        soundfile.write(folder / f"{row}.wav", 0.1 * rng.normal(size=2000), 8000)
        pixels = rng.integers(0, 128 + 127 * (row % 2), (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{row}.png")
        lines.append(f"{row}.wav,{row}.png,{'ab'[row % 2]}")
    (folder / "rows.csv").write_text("\n".join(lines), encoding="utf-8")
    data = ["--data", str(folder / "rows.csv"), *DECLARED, *OPTIONS, "--cache", "cache"]
    answer = run_command(
        ["train", *data, *SMALL, "--batch_size", "8", "--out", str(folder / "run")]
    )
    shutil.move("cache", folder / "cache")
    if answer.code:
        raise SystemExit(f"fuzz: the run of caches failed: {answer.err}")
    shutil.copytree(folder / "cache", "cache")
    run_command([*_predict(room)[:-1], str(folder / "expected.csv")])
    shutil.rmtree("cache")


def _predict(room: Room) -> list[str]:
    data = str(room / "caches/rows.csv")
    return ["predict", str(room / "caches/run"), "--data", data, "--out", "out.csv"]


def make(rng: random.Random, room: Room, number: int) -> Case:
    """The cache of the run is the folder `cache` below the current one."""
    shutil.copytree(room / "caches/cache", "cache")
    text = _change(rng) if number else "unchanged"

    def oracle(answers: Sequence[Answer]) -> str:
        found = read_csv(Path("out.csv").read_bytes())
        wanted = read_csv((room / "caches/expected.csv").read_bytes())
        return "" if found == wanted else "other predictions than with an untouched cache"

    case = Case(text, [_predict(room)], oracle, must_not_exist=("out.csv",))
    case.accepted = number == 0
    return case


def _change(rng: random.Random) -> str:
    files = sorted(path for path in Path("cache").iterdir() if path.is_file())
    journals = [path for path in files if path.suffix == ".jsonl"]
    kind = rng.choices(
        ["bytes", "line", "remove", "folder", "swap", "empty", "add", "link"],
        [25, 30, 8, 5, 8, 6, 10, 3],
    )[0]
    path = rng.choice(journals if kind in ("line", "add") and journals else files)
    if kind == "bytes":
        content, how = change_bytes(rng, path.read_bytes())
        path.write_bytes(content)
        return f"{path}: {how}"
    if kind == "line":
        return f"{path}: {_change_line(rng, path)}"
    if kind == "add":
        line = rng.choice(["[]", "3", "null", '"x"', "{", "[" * 100_000, '{"a": {"b": 1}}', "\x00"])
        path.write_text(line + "\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
        return f"{path}: first line {line[:20]}"
    if kind == "swap":
        others = [other for other in files if other.suffix == path.suffix]
        shutil.copy(rng.choice(files), Path("kept"))
        shutil.move("kept", rng.choice(others))
        return f"{path.suffix} exchanged"
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "link":
        path.symlink_to("/dev/null")
    return f"{path}: {kind}"


def _change_line(rng: random.Random, path: Path) -> str:
    # A line is JSON, a tab and a checksum, which stays that of the line before the edit.
    lines = [line.partition("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    filled = [number for number, (text, *_) in enumerate(lines) if json.loads(text)]
    at = rng.choice(filled)
    text, tab, checksum = lines[at]
    entries = json.loads(text)
    if rng.random() < 0.5:
        entries, how = change_value(rng, entries)
    else:
        key = rng.choice(list(entries))
        value = rng.choice([*ODD_VALUES, *range(-3, ROWS + 3)])
        entries[key] = value
        how = f"{key[:8]} := {value!r:.60}"
    lines[at] = (json.dumps(entries), tab, checksum)
    path.write_text("".join(f"{''.join(line)}\n" for line in lines), encoding="utf-8")
    return how


PARTS["caches"] = Part(prepare, make, 4)
