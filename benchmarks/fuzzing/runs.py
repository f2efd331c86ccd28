"""Run folders whose files were edited, cut, exchanged or removed."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from fuzzing.case import Answer, Case, run_command
from fuzzing.mutations import change_bytes, change_value
from fuzzing.part import PARTS, Part, Room
from fuzzing.tables import DECLARED, as_csv, make_rows, read_csv

TRAIN = ["--epochs", "3", "--width", "8", "--batch_size", "8", "--optimiser.lr", "0.1"]
STRUCTURED = ("data.json", "config.yaml", "result.json", "metrics.jsonl", "environment.json")


def prepare(room: Room) -> None:
    """Train two runs, predict with the first, and keep a copy of it that stopped early."""
    folder = room / "runs"
    folder.mkdir()
    (folder / "rows.csv").write_text(as_csv(make_rows()), encoding="utf-8")
    (folder / "new.csv").write_text(as_csv(make_rows(12, seed=1)), encoding="utf-8")
    line = ["train", "--data", str(folder / "rows.csv"), *DECLARED, *TRAIN]
    commands = [
        [*line, "--out", str(folder / "run")],
        [*line, "--method", "mla", "--seed", "1", "--out", str(folder / "other")],
        ["predict", str(folder / "run"), "--data", str(folder / "new.csv"), "--out"],
        ["evaluate", str(folder / "run"), "--json"],
    ]
    commands[2].append(str(folder / "expected.csv"))
    for command in commands:
        answer = run_command(command)
        if answer.code:
            raise SystemExit(f"fuzz: {command[0]} of runs failed: {answer.err}")
    (folder / "evaluated.json").write_text(answer.out, encoding="utf-8")
    _stop_early(folder / "run", folder / "stopped")


def _stop_early(run: Path, stopped: Path) -> None:
    """A copy of a run without its result and its last checkpoint, as after a kill."""
    shutil.copytree(run, stopped)
    (stopped / "result.json").unlink()
    shutil.rmtree(stopped / "predictions")
    checkpoints = sorted((stopped / "checkpoints").glob("epoch-*"))
    if len(checkpoints) > 1:
        shutil.rmtree(checkpoints[-1])


def make(rng: random.Random, room: Room, number: int) -> Case:
    kind = rng.choices(["predict", "evaluate", "report", "resume"], [5, 2, 2, 2])[0]
    shutil.copytree(room / ("runs/stopped" if kind == "resume" else "runs/run"), "run")
    text = _change(rng, Path("run"), room / "runs/other") if number else "unchanged"
    accepted = number == 0
    if kind == "predict":
        line = ["predict", "run", "--data", str(room / "runs/new.csv"), "--out", "out.csv"]
        oracle = _same_predictions(room / "runs/expected.csv")
        return Case(
            f"predict: {text}", [line], oracle, must_not_exist=("out.csv",), accepted=accepted
        )
    if kind == "evaluate":
        oracle = _same_metrics(room / "runs/evaluated.json")
        return Case(f"evaluate: {text}", [["evaluate", "run", "--json"]], oracle, accepted=accepted)
    if kind == "report":
        line = ["report", "run", str(room / "runs/other"), "--out", "page"]
        return Case(f"report: {text}", [line], must_not_exist=("page/index.html",))
    oracle = _same_end(room / "runs/run")
    return Case(f"resume: {text}", [["train", "--resume", "run"]], oracle, accepted=accepted)


def _change(rng: random.Random, run: Path, other: Path) -> str:
    files = sorted(path for path in run.rglob("*") if path.is_file() and path.name != ".lock")
    structured = [path for path in files if path.name in STRUCTURED or path.suffix == ".json"]
    kind = rng.choices(
        ["edit", "bytes", "remove", "exchange", "empty", "folder", "classes", "extra"],
        [50, 20, 5, 8, 4, 2, 6, 3],
    )[0]
    path = rng.choice(structured if kind == "edit" else files)
    if kind == "edit":
        return f"{path}: {_edit(rng, path)}"
    if kind == "bytes":
        content, how = change_bytes(rng, path.read_bytes())
        path.write_bytes(content)
        return f"{path}: {how}"
    if kind == "classes":
        return _swap_classes(rng, run)
    if kind == "extra":
        name = rng.choice(["checkpoints/epoch-99999", "checkpoints/x", "checkpoints/best-epoch-x"])
        (run / name).mkdir()
        return f"{name} is an empty folder"
    path.unlink()
    if kind == "exchange":
        theirs = sorted(p for p in other.rglob(path.name) if p.is_file())
        if theirs:
            shutil.copy(rng.choice(theirs), path)
        return f"{path} is that of another run"
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "folder":
        path.mkdir()
    return f"{path}: {kind}"


def _edit(rng: random.Random, path: Path) -> str:
    """Change one value of a file of JSON, JSON lines or YAML."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".yaml":
        value, how = change_value(rng, yaml.safe_load(text))
        path.write_text(_dump(value), encoding="utf-8")
    elif path.suffix == ".jsonl":
        lines = text.splitlines()
        at = rng.randrange(len(lines))
        value, how = change_value(rng, json.loads(lines[at]))
        lines[at] = json.dumps(value)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    else:
        value, how = change_value(rng, json.loads(text))
        path.write_text(json.dumps(value), encoding="utf-8")
    return how


def _dump(value: Any) -> str:
    try:
        return yaml.safe_dump(value, sort_keys=False)
    except (yaml.YAMLError, ValueError):
        return json.dumps(value)


def _swap_classes(rng: random.Random, run: Path) -> str:
    """Edits that keep every type: only a digest notices them."""
    path = run / "data.json"
    facts = json.loads(path.read_text(encoding="utf-8"))
    kind = rng.choice(["classes", "learned", "columns"])
    if kind == "classes":
        facts["classes"] = facts["classes"][::-1]
    elif kind == "learned":
        learned = facts["preprocessing"]["learned"]
        facts["preprocessing"]["learned"] = _nudged(learned)
    else:
        columns = facts["preprocessing"]["modalities"][0]["columns"]
        facts["preprocessing"]["modalities"][0]["columns"] = columns[::-1]
    path.write_text(json.dumps(facts, indent=1), encoding="utf-8")
    return f"data.json: other {kind}"


def _nudged(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _nudged(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_nudged(item) for item in value]
    return value + 1 if isinstance(value, float) else value


def _same_predictions(expected: Path) -> Callable[[Sequence[Answer]], str]:
    def oracle(answers: Sequence[Answer]) -> str:
        found = read_csv(Path("out.csv").read_bytes()) or [[]]
        wanted = read_csv(expected.read_bytes()) or [[]]
        if [row[1:] for row in found] == [row[1:] for row in wanted]:
            return ""
        return f"other predictions than the untouched run: {found[:2]} instead of {wanted[:2]}"

    return oracle


def _same_metrics(expected: Path) -> Callable[[Sequence[Answer]], str]:
    def oracle(answers: Sequence[Answer]) -> str:
        same = json.loads(answers[-1].out) == json.loads(expected.read_text(encoding="utf-8"))
        return "" if same else "other metrics than the untouched run"

    return oracle


def _same_end(run: Path) -> Callable[[Sequence[Answer]], str]:
    def oracle(answers: Sequence[Answer]) -> str:
        found = json.loads(Path("run/result.json").read_text(encoding="utf-8"))
        wanted = json.loads((run / "result.json").read_text(encoding="utf-8"))
        for key in ("classes", "best_epoch", "validation", "test"):
            if found[key] != wanted[key]:
                return f"resumed to another {key} than the uninterrupted run"
        return ""

    return oracle


PARTS["runs"] = Part(prepare, make, 11)
