"""Options of every registered method, head, encoder and transform, with odd values."""

from __future__ import annotations

import dataclasses
import json
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import yaml
from PIL import Image

from equipoise.data.transforms.kinds import TRANSFORMS
from equipoise.encoders import ENCODERS
from equipoise.heads import HEADS
from equipoise.methods import METHODS
from fuzzing.case import Answer, Case, run_command
from fuzzing.mutations import ODD_VALUES
from fuzzing.part import PARTS, Part, Room
from fuzzing.tables import SMALL

ROWS = 16
BATCH = ["--batch_size", "8"]
SYNTHETIC = ["--data", "synthetic", "--data.options.samples", "48"]
COLUMNS = {
    "audio": "sound",
    "image": "picture",
    "text": "words",
    "vector": "x0,x1",
    "array": "series",
}
FAST = {"audio": {"seconds": 0.2}, "image": {"size": 32}, "video": {"size": 16}}


def prepare(room: Room) -> None:
    """Write a manifest with a column of each kind."""
    folder = room / "options"
    folder.mkdir()
    rng = np.random.default_rng(0)
    lines = ["sound,picture,words,x0,x1,series,label"]
    for row in range(ROWS):
        soundfile.write(folder / f"{row}.wav", 0.1 * rng.normal(size=2000), 8000)
        pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{row}.png")
        np.save(folder / f"{row}.npy", rng.normal(size=(6, 3)).astype(np.float32))
        cells = [f"{row}.wav", f"{row}.png", "yes no", f"{rng.normal():.3f}", "1", f"{row}.npy"]
        lines.append(",".join([*cells, "ab"[row % 2]]))
    (folder / "rows.csv").write_text("\n".join(lines), encoding="utf-8")
    run_command(["train", *SYNTHETIC, *SMALL, "--out", str(folder / "run")])


def make(rng: random.Random, room: Room, number: int) -> Case:
    kind = rng.choice(["method", "method", "head", "encoder", "transform"])
    value = rng.choice(ODD_VALUES)
    text = _written(value)
    if kind == "method":
        name, option = _option(rng, METHODS)
        words = [f"--method={name}", f"--method.{option}={text}"]
        return _train([*SYNTHETIC, *words], ("method", option), value)
    if kind == "head":
        name, option = _option(rng, HEADS)
        words = [f"--head={name}", f"--head.{option}={text}"]
        return _train([*SYNTHETIC, *words], ("head", option), value)
    if kind == "encoder":
        return _encoder(rng, room, value)
    return _transform(rng, room, value)


def _written(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return {"nan": ".nan", "inf": ".inf"}[str(value)]
    return json.dumps(value)


def _option(rng: random.Random, registry: Any) -> tuple[str, str]:
    """A component that has options, and one of them, or rarely one that it does not have."""
    while True:
        name = rng.choice(registry.names())
        entry = registry[name]
        try:
            given = {"modalities", "classes", "widths", "width", "shape", "vocabulary", "spec"}
            options = [option for option in entry.parameters() if option not in given]
        except ImportError:
            continue
        if rng.random() < 0.03:
            return name, rng.choice(["nothing", "name2", "self", "__class__"])
        if options:
            return name, rng.choice(options)


def _train(words: list[str], place: tuple[str, ...], value: Any) -> Case:
    line = ["train", *words, *SMALL, *BATCH, "--out", "out"]

    def oracle(answers: Sequence[Answer]) -> str:
        config: Any = yaml.safe_load(Path("out/config.yaml").read_text(encoding="utf-8"))
        for key in place:
            config = config[key]
        same = config == value or (config != config and value != value)
        if not same:
            return f"the option is kept as {config!r:.80}"
        result = json.loads(Path("out/result.json").read_text(encoding="utf-8"))
        numbers = [*result["validation"]["fused"].values(), *result["test"]["fused"].values()]
        return "" if all(map(math.isfinite, numbers)) else f"a metric is not finite: {numbers}"

    return Case(" ".join(words[4:])[:160], [line], oracle)


def _media(room: Room, kind: str, *more: str) -> list[str]:
    """Data with one modality of this kind and one of numbers."""
    column = "picture" if kind == "video" else COLUMNS[kind]
    words = ["--data", str(room / "options/rows.csv"), "--modality", f"m={column}:{kind}"]
    fast = [f"--data.options.m.{k}={v}" for k, v in FAST.get(kind, {}).items()]
    names = {word.partition("=")[0] for word in more}
    return [*words, *[f for f in fast if f.partition("=")[0] not in names], *more]


def _encoder(rng: random.Random, room: Room, value: Any) -> Case:
    name, option = _option(rng, ENCODERS)
    entry = ENCODERS[name]
    kinds = [kind for kind in entry.kinds if kind in COLUMNS]
    if not kinds:
        kinds = ["vector"]
    words = [f"--encoder.m={name}", f"--encoder.m.{option}={_written(value)}"]
    return _train(_media(room, rng.choice(kinds), *words), ("encoder", "m", option), value)


def _transform(rng: random.Random, room: Room, value: Any) -> Case:
    kind = rng.choice([kind for kind in TRANSFORMS if kind in COLUMNS or kind == "video"])
    name = rng.choice(list(TRANSFORMS[kind]))
    target, _ = TRANSFORMS[kind][name]
    option = rng.choice([f.name for f in dataclasses.fields(target)] or ["size"])
    words = [f"--data.options.m.transform={name}", f"--data.options.m.{option}={_written(value)}"]
    data = _media(room, kind, *words)
    line = ["prepare", data[1], *data[2:]]
    return Case(f"{kind} {' '.join(words)}"[:160], [line])


PARTS["options"] = Part(prepare, make, 8)
