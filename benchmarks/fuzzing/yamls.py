"""Settings: YAML files and flags of every shape."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from equipoise.settings import Settings
from fuzzing.case import Answer, Case, run_command
from fuzzing.mutations import ODD_TEXTS, ODD_VALUES, change_bytes, change_value
from fuzzing.part import PARTS, Part, Room

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{n}: &{n} [{','.join([f'*{m}'] * 9)}]\n"
    for m, n in zip("abcdefghij", "bcdefghijk", strict=True)
)
REFUSED = [
    "",
    "# only a comment\n",
    "- a\n- b\n",
    "epochs\n",
    "null\n",
    "3\n",
    "epochs: 1:30\n",
    "epochs: 1\nepochs: 2\n",
    "optimiser: {lr: 0.1, lr: 0.2}\n",
    "data: {source: digits}\ndata: {label: x}\n",
    "epochs: 0x\n",
    "epochs: !!python/object/apply:os.system ['true']\n",
    "epochs: !!timestamp 2020-01-01\n",
    "epochs: 2020-01-01\n",
    "--- \nepochs: 1\n---\nepochs: 2\n",
    "1: 2\n",
    "null: 1\n",
    "? [a, b]\n: 1\n",
    "{epochs: 1\n",
    "epochs: *nowhere\n",
    "\tepochs: 1\n",
    "epochs: " + "9" * 5000 + "\n",
    "seed: " + str(2**64) + "\n",
    "method: [mla]\n",
    "method: {name: [mla]}\n",
    "encoder: [mlp]\n",
    "encoder: {easy: [mlp]}\n",
    "head: 3\n",
    "data: {options: [1]}\n",
    "data: {modality: [3]}\n",
    "data: {modality: [[a]]}\n",
    "optimiser: sgd\n",
    "optimiser: [1]\n",
    "width: " + "1" * 400 + "\n",
    "data: {seed: -1}\n",
    "seed: 1.5\n",
    "seed: true\n",
    "epochs: .inf\n",
    "optimiser: {lr: .nan}\n",
    "optimiser: {lr: .inf}\n",
    "preset: [a]\n",
    "preset: {a: 1}\n",
    "preset: 3\n",
    BOMB,
    "epochs: " + "[" * 3000 + "]" * 3000 + "\n",
    "epochs: " + "{a: " * 3000 + "1" + "}" * 3000 + "\n",
    "data: &d\n  options: *d\n",
    "method: &m {name: mla, x: *m}\n",
    "\x00\n",
    'epochs: "\x1b[31m"\n',
    'method: "\x1b[31mmla"\n',
    '"\x1b[31m": 1\n',
    "epochs: 'a\n\n  b'\n",
]
"""Files that must be refused in one line before anything is done."""

REFUSED_LATER = [
    "method: {name: mla, 3: 4}\n",
    "encoder: {3: mlp}\n",
    "data: {options: {m: 3}}\n",
    "data: {modality: a}\n",
    "data: {source: [a]}\n",
    "data: {source: {a: 1}}\n",
    "data: {modality: [3]}\n",
    "data: {root: nowhere}\n",
    "method: {name: mla, alpha: [1]}\n",
    "head: {name: [1]}\n",
]
"""Files that must be refused in one line by a training."""


def prepare(room: Room) -> None:
    """Warm up: the first command imports what others need."""
    run_command(["train", "--print_config"])


def make(rng: random.Random, room: Room, number: int) -> Case:
    if number < len(REFUSED):
        text = REFUSED[number]
        Path("a.yaml").write_text(text, encoding="utf-8")
        return Case(f"{text!r:.80}", [_print("a.yaml")], refused=True)
    if number < len(REFUSED) + len(REFUSED_LATER):
        text = REFUSED_LATER[number - len(REFUSED)]
        Path("a.yaml").write_text(text, encoding="utf-8")
        line = ["train", "--config", "a.yaml", "--epochs", "1", "--out", "out"]
        return Case(f"train: {text!r:.80}", [line], refused=True, must_not_exist=("out",))
    kind = rng.choice(["value", "value", "value", "bytes", "flag", "flag", "raw"])
    if kind == "flag":
        return _flag(rng)
    settings = _settings(rng)
    if kind == "value":
        text = ""
        for _ in range(rng.choice([1, 1, 2])):
            settings, how = change_value(rng, settings)
            text = f"{text} {how};"
        content = _dump(rng, settings).encode("utf-8", "surrogatepass")
    elif kind == "bytes":
        content, text = change_bytes(rng, _dump(rng, settings).encode())
    else:
        lines = _dump(rng, settings).splitlines()
        at = rng.randrange(len(lines))
        lines[at] += rng.choice(
            [" x", ":", " #", " &a", " *a", " |", " >", " !!set", ' "', " {", "\t"]
        )
        content = "\n".join(lines).encode()
        text = f"line {at}: {lines[at]}"
    Path("a.yaml").write_bytes(content)
    return _both_ways(rng, text)


def _both_ways(rng: random.Random, text: str) -> Case:
    """What is printed must read back to the same settings."""

    def oracle(answers: Sequence[Answer]) -> str:
        Path("b.yaml").write_text(answers[-1].out, encoding="utf-8")
        again = run_command(_print("b.yaml"))
        if again.code:
            return f"the printed settings are refused: {again.err}"
        return "" if again.out == answers[-1].out else "the printed settings read back differ"

    return Case(text, [_print("a.yaml")], oracle)


def _print(name: str) -> list[str]:
    return ["train", "--config", name, "--print_config"]


def _settings(rng: random.Random) -> Any:
    """Settings with a bit of everything."""
    settings = Settings().to_dict()
    settings["data"]["modality"] = ["a=x:audio", "b=y,z:vector"]
    settings["data"]["options"] = {"a": {"seconds": 2.0, "transform": "log-mel"}}
    settings["method"] = rng.choice([{"name": "mla"}, {"name": "mie", "rho": 0.1}, "joint"])
    settings["encoder"] = {"a": {"name": "small_cnn", "width": 16}, "b": "mlp"}
    return settings


def _dump(rng: random.Random, settings: Any) -> str:
    if rng.random() < 0.2:
        return json.dumps(settings, default=str)
    try:
        return yaml.safe_dump(settings, sort_keys=False, default_flow_style=rng.random() < 0.2)
    except (yaml.YAMLError, ValueError):
        return json.dumps(settings, default=str)


def _flag(rng: random.Random) -> Case:
    """One odd value on the command line."""
    names = ["epochs", "seed", "width", "batch_size", "optimiser.lr", "optimiser.clip", "method"]
    names += ["head", "encoder", "encoder.a", "encoder.a.width", "data", "data.validation", "label"]
    names += [
        "missing",
        "data.seed",
        "precision",
        "device",
        "select",
        "patience",
        "preset",
        "data.",
    ]
    names += ["data.options.a.seconds", "method.alpha", "method.", ".", "", "modality", "config"]
    names += ["devices", "epochs.x", "optimiser", "data.options", "compile", "lr", "a b", "\x1b[1m"]
    name = rng.choice(names)
    value = rng.choice(ODD_VALUES)
    text = json.dumps(value) if rng.random() < 0.6 else rng.choice(ODD_TEXTS)
    text = rng.choice([text, text, "1:30", "[" * 3000, "*a", "&a 1", "!!python/name:os.system"])
    text = text.replace("\0", "")
    word = rng.choice([[f"--{name}={text}"], [f"--{name}", text], [f"--{name}"]])
    line = ["train", *word, "--print_config"]

    def oracle(answers: Sequence[Answer]) -> str:
        if not answers[-1].out or name == "":
            return ""
        Path("a.yaml").write_text(answers[-1].out, encoding="utf-8")
        again = run_command(_print("a.yaml"))
        if again.code:
            return f"the printed settings are refused: {again.err}"
        return "" if again.out == answers[-1].out else "the printed settings read back differ"

    return Case(f"{' '.join(word)!r:.120}", [line], oracle)


PARTS["yaml"] = Part(prepare, make, 17)
