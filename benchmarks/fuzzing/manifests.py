"""Manifests: CSV, TSV, JSONL, Parquet and DataFrames, changed in bytes and in structure."""

from __future__ import annotations

import csv
import datetime
import decimal
import io
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import equipoise
from fuzzing.case import Answer, Case, run_command
from fuzzing.mutations import CONTROLS, ODD_TEXTS, ODD_VALUES, change_bytes
from fuzzing.part import PARTS, Part, Room
from fuzzing.tables import DECLARED, SMALL, Row, as_csv, make_rows, read_csv

ENCODINGS = ["latin-1", "cp1252", "utf-16", "utf-16-le", "utf-32", "mac_roman", "shift_jis"]


def prepare(room: Room) -> None:
    folder = room / "manifests"
    folder.mkdir()
    (folder / "rows.csv").write_text(as_csv(make_rows()), encoding="utf-8")
    line = ["train", "--data", str(folder / "rows.csv"), *DECLARED, *SMALL]
    answer = run_command([*line, "--out", str(folder / "run")])
    if answer.code:
        raise SystemExit(f"fuzz: the run of manifests failed: {answer.err}")


def make(rng: random.Random, room: Room, number: int) -> Case:
    makers: list[Callable[[random.Random, Room], Case]] = [
        *[_changed_bytes] * 5,
        *[_odd_cell] * 5,
        *[_odd_shape] * 5,
        *[_same_content] * 2,
        *[_other_encoding] * 1,
        *[_odd_json] * 3,
        *[_parquet] * 1,
        *[_odd_frame] * 3,
        *[_labels] * 3,
        *[_odd_names] * 2,
        *[_odd_splits] * 1,
        *[_spreadsheet] * 1,
    ]
    return rng.choice(makers)(rng, room)


def _read(rng: random.Random, room: Room, name: str, text: str, **more: Any) -> Case:
    """An input whose manifest is in the current folder already."""
    kind = rng.choices(["prepare", "predict", "doctor", "infer", "train"], [10, 6, 2, 2, 1])[0]
    if kind == "predict":
        run = str(room / "manifests/run")
        line = ["predict", run, "--data", name, "--out", "out.csv"]
        return Case(
            f"predict: {text}",
            [line],
            _predictions(Path(name)),
            must_not_exist=("out.csv",),
            **more,
        )
    lines = {
        "prepare": ["prepare", name, *DECLARED],
        "doctor": ["doctor", name, *DECLARED],
        "infer": ["doctor", name],
        "train": ["train", "--data", name, *DECLARED, *SMALL, "--out", "out"],
    }
    oracle = _rows_are_counted(Path(name)) if kind == "prepare" else _accept
    return Case(f"{kind}: {text}", [lines[kind]], oracle, must_not_exist=("out",), **more)


def _accept(answers: Sequence[Answer]) -> str:
    return ""


def _rows_are_counted(path: Path) -> Callable[[Sequence[Answer]], str]:
    """Every row of a CSV that has a label is in some split."""

    def oracle(answers: Sequence[Answer]) -> str:
        if path.suffix not in (".csv", ".tsv"):
            return ""
        cells = read_csv(path.read_bytes(), "\t" if path.suffix == ".tsv" else ",")
        if cells is None:
            return "accepted, though it is not readable as CSV in UTF-8"
        counts = [int(word) for word in _counts(answers[-1].err)]
        labels = cells[0].index("label") if "label" in cells[0] else -1
        filled = sum(bool(row[labels].strip()) for row in cells[1:])
        if sum(counts) not in (filled, len(cells) - 1):
            return f"{sum(counts)} rows are read of {len(cells) - 1}, {filled} with a label"
        return ""

    return oracle


def _counts(text: str) -> list[str]:
    last = text.splitlines()[-1]
    return [word.rstrip(",;") for word in last.split() if word.rstrip(",;").isdigit()][:3]


def _predictions(path: Path) -> Callable[[Sequence[Answer]], str]:
    """The predictions of a CSV have its ids, in its order, and probabilities that sum to 1."""

    def oracle(answers: Sequence[Answer]) -> str:
        found = read_csv(Path("out.csv").read_bytes())
        if not found:
            return "the predictions are not readable as CSV"
        sums = [sum(float(cell) for cell in row[3:]) for row in found[1:]]
        if any(abs(total - 1) > 1e-3 for total in sums):
            return f"probabilities do not sum to 1: {sums[:3]}"
        if path.suffix not in (".csv", ".tsv"):
            return ""
        cells = read_csv(path.read_bytes(), "\t" if path.suffix == ".tsv" else ",")
        if cells is None:
            return "accepted, though it is not readable as CSV in UTF-8"
        if len(found) != len(cells):
            return f"{len(found) - 1} predictions for {len(cells) - 1} rows"
        at = cells[0].index("id")
        for ours, theirs in zip(found[1:], cells[1:], strict=True):
            if ours[0].removeprefix("'").strip() != theirs[at].removeprefix("'").strip():
                return f"the id {theirs[at]!r} became {ours[0]!r}"
        return ""

    return oracle


def _changed_bytes(rng: random.Random, room: Room) -> Case:
    ending = rng.choice(["csv", "csv", "tsv", "jsonl", "parquet"])
    name = f"rows.{ending}"
    content = _encode(make_rows(), ending)
    text = ""
    for _ in range(rng.choice([1, 1, 1, 3])):
        content, how = change_bytes(rng, content)
        text = f"{text} {how}"
    Path(name).write_bytes(content)
    return _read(rng, room, name, f"{ending} {text}")


def _encode(rows: Sequence[Row], ending: str) -> bytes:
    if ending == "parquet":
        buffer = io.BytesIO()
        pd.DataFrame(rows).to_parquet(buffer)
        return buffer.getvalue()
    if ending == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in rows).encode("utf-8", "surrogatepass")
    text = as_csv(rows, "\t" if ending == "tsv" else ",")
    return text.encode("utf-8", "surrogatepass")


def _odd_cell(rng: random.Random, room: Room) -> Case:
    rows = make_rows()
    column = rng.choice(list(rows[0]))
    value = rng.choice([*ODD_TEXTS, f"a{rng.choice(CONTROLS)}b"])
    chosen = [rng.randrange(len(rows)) for _ in range(rng.choice([1, 1, 5]))]
    for row in chosen:
        rows[row][column] = value
    ending = rng.choice(["csv", "csv", "tsv", "jsonl"])
    Path(f"rows.{ending}").write_bytes(_encode(rows, ending))
    return _read(rng, room, f"rows.{ending}", f"{ending} {column} of {chosen[0]} := {value!r:.80}")


def _odd_shape(rng: random.Random, room: Room) -> Case:
    lines = as_csv(make_rows()).splitlines()
    at = rng.randrange(len(lines))
    kind = rng.choice(
        [
            "ragged",
            "long",
            "no header",
            "header only",
            "empty",
            "blank lines",
            "double column",
            "quote",
            "semicolons",
            "huge cell",
            "many columns",
            "nul",
            "one line",
            "comment",
            "header twice",
            "rows twice",
            "empty column",
            "spaces",
            "carriage returns",
            "few rows",
        ]
    )
    refused = kind in ("ragged", "long", "header only", "empty", "double column", "header twice")
    if kind == "ragged":
        lines[at] = lines[at].rpartition(",")[0]
    elif kind == "long":
        lines[at] += ",more"
    elif kind == "no header":
        lines = lines[1:]
    elif kind == "header only":
        lines = lines[:1]
    elif kind == "empty":
        lines = []
    elif kind == "blank lines":
        lines[at:at] = [""] * rng.randint(1, 5)
    elif kind == "double column":
        lines = [f"{line},{line.split(',')[rng.randrange(2)]}" for line in lines[:1]] + [
            f"{line},1" for line in lines[1:]
        ]
    elif kind == "quote":
        lines[at] = lines[at].replace(",", ',"', 1)
    elif kind == "semicolons":
        lines = [line.replace(",", rng.choice(";|:")) for line in lines]
    elif kind == "huge cell":
        lines[at] = lines[at].replace(lines[at].split(",")[4], "w " * 500_000)
    elif kind == "many columns":
        lines = [line + "," + ",".join(f"c{k}" for k in range(3000)) for line in lines]
    elif kind == "nul":
        lines[at] = lines[at][:5] + "\0" + lines[at][5:]
    elif kind == "one line":
        lines = lines[:2]
    elif kind == "comment":
        lines[0:0] = ["# made by hand"]
    elif kind == "header twice":
        lines[at:at] = lines[:1]
        refused = at > 0
    elif kind == "rows twice":
        lines += lines[1:]
        refused = True  # their ids are the same
    elif kind == "empty column":
        lines = [line.replace(line.split(",")[4], "") for line in lines[1:]]
        lines[0:0] = ["id,x0,x1,x2,words,label"]
    elif kind == "spaces":
        lines = [line.replace(",", ", ") for line in lines]
    elif kind == "few rows":
        lines = lines[: rng.randint(2, 8)]
    end = rng.choice(["\n", "\r\n"]) if kind != "carriage returns" else "\r"
    Path("rows.csv").write_text(end.join(lines), encoding="utf-8", newline="")
    case = _read(rng, room, "rows.csv", f"{kind} at line {at}")
    # The doctor reports what it finds, and ids are read only where they are named.
    case.refused = refused and case.commands[0][:2] != ["doctor", "rows.csv"]
    return case


def _same_content(rng: random.Random, room: Room) -> Case:
    """Another spelling of the same table: it must give the same predictions."""
    rows = make_rows()
    kind = rng.choice(
        ["bom", "quotes", "crlf", "order", "extra", "blank", "tsv", "jsonl", "parquet"]
    )
    name = "rows.csv"
    content = as_csv(rows)
    if kind == "quotes":
        content = as_csv(rows, quoting=csv.QUOTE_ALL)
    elif kind == "crlf":
        content = content.replace("\n", "\r\n")
    elif kind == "order":
        columns = rng.sample(list(rows[0]), len(rows[0]))
        content = as_csv([{c: row[c] for c in columns} for row in rows])
    elif kind == "extra":
        odd = rng.choice(["", "a,b", 'say "no"', "é", "=1"])
        content = as_csv([{**row, f"more {odd}": odd} for row in rows])
    elif kind == "blank":
        content += "\n\n"
    if kind in ("tsv", "jsonl", "parquet"):
        name = f"rows.{kind}"
        Path(name).write_bytes(_encode(rows, kind))
    else:
        Path(name).write_bytes(content.encode("utf-8-sig" if kind == "bom" else "utf-8"))
    run = str(room / "manifests/run")
    line = ["predict", run, "--data", name, "--out", "out.csv"]
    plain = ["predict", run, "--data", str(room / "manifests/rows.csv"), "--out", "plain.csv"]

    def oracle(answers: Sequence[Answer]) -> str:
        same = Path("out.csv").read_bytes() == Path("plain.csv").read_bytes()
        return "" if same else "another spelling of the same table has other predictions"

    return Case(f"same content: {kind}", [plain, line], oracle, accepted=True)


def _other_encoding(rng: random.Random, room: Room) -> Case:
    encoding = rng.choice(ENCODINGS)
    content = as_csv(make_rows()).encode(encoding, "replace")
    Path("rows.csv").write_bytes(content)
    case = _read(rng, room, "rows.csv", f"encoding {encoding}")
    case.refused = encoding in ("utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252")
    return case


def _odd_json(rng: random.Random, room: Room) -> Case:
    rows = make_rows()
    at = rng.randrange(len(rows))
    column = rng.choice(list(rows[0]))
    kind = rng.choice(["value", "value", "value", "missing", "key", "line", "deep", "double"])
    value = rng.choice(ODD_VALUES)
    if kind == "value":
        rows[at][column] = value
    elif kind == "missing":
        del rows[at][column]
    elif kind == "key":
        rows[at][rng.choice(ODD_TEXTS)] = value
    lines = [json.dumps(row) for row in rows]
    if kind == "line":
        lines[at] = rng.choice(["", "null", "[]", "3", "{", '"a"', "NaN", "[" * 100_000])
    elif kind == "deep":
        lines[at] = '{"id": ' + "[" * 50_000 + "]" * 50_000 + "}"
    elif kind == "double":
        lines[at] = lines[at][:-1] + ', "label": "happy", "label": "calm"}'
    Path("rows.jsonl").write_text("\n".join(lines), encoding="utf-8", errors="surrogatepass")
    text = f"jsonl {kind} {column} of {at}: {value!r:.60}"
    return _read(rng, room, "rows.jsonl", text)


def _parquet(rng: random.Random, room: Room) -> Case:
    frame = pd.DataFrame(make_rows())
    column = rng.choice(list(frame.columns))
    kind = rng.choice(["list", "bytes", "date", "category", "null", "bool", "struct"])
    count = len(frame)
    values: dict[str, Any] = {
        "list": [[1, 2]] * count,
        "bytes": [b"happy", b"calm"] * (count // 2),
        "date": [datetime.datetime(2020, 1, 1 + k % 3) for k in range(count)],
        "category": pd.Categorical(["a", "b"] * (count // 2)),
        "null": [None] * count,
        "bool": [True, False] * (count // 2),
        "struct": [{"a": 1}] * count,
    }
    frame[column] = values[kind]
    frame.to_parquet("rows.parquet")
    return _read(rng, room, "rows.parquet", f"parquet {column} of {kind}")


ODD_COLUMNS: list[Any] = [
    [None],
    [float("nan")],
    [float("inf")],
    [pd.NaT],
    [pd.NA],
    [[1, 2]],
    [(1, 2)],
    [{"a": 1}],
    [np.zeros(2)],
    [b"x"],
    [1 + 2j],
    [decimal.Decimal("1.5")],
    [datetime.date(2020, 1, 1)],
    [object],
    [10**400],
    ["a\nb", "\x1b[31m"],
    [True, False],
    [np.int8(1), np.int8(0)],
    ["x" * 100_000],
    ["\ud800"],
]


def _odd_frame(rng: random.Random, room: Room) -> Case:
    """A DataFrame with an odd column, index or set of columns."""
    frame = pd.DataFrame(make_rows())
    kind = rng.choice(["column", "column", "cell", "index", "columns", "double", "shape"])
    values = rng.choice(ODD_COLUMNS)
    column = rng.choice(list(frame.columns))
    if kind == "column":
        repeated = [values[k % len(values)] for k in range(len(frame))]
        frame[column] = pd.Series(repeated, dtype=object)
    elif kind == "cell":
        frame[column] = frame[column].astype(object)
        frame.at[rng.randrange(len(frame)), column] = values[0]
    elif kind == "index":
        frame.index = rng.choice([[0] * len(frame), list("ab") * 20, [None] * len(frame)])
    elif kind == "columns":
        names = [1, None, ("a", "b"), float("nan"), "", "a\x1b[31m"]
        frame = frame.rename(columns={column: rng.choice(names)})
    elif kind == "double":
        frame.insert(0, column, 0, allow_duplicates=True)
    elif kind == "shape":
        frame = rng.choice([frame.iloc[:0], frame.iloc[:1], frame[[column]], pd.DataFrame()])
    text = f"DataFrame {kind} {column} {values!r:.60}"
    if rng.random() < 0.5:
        call = lambda: _predict_frame(room, frame)  # noqa: E731
        return Case(f"predict: {text}", call=call)
    return Case(f"fit: {text}", call=lambda: _fit_frame(frame), must_not_exist=("out",))


def _predict_frame(room: Room, frame: pd.DataFrame) -> str:
    found = equipoise.predict(room / "manifests/run", frame)
    if len(found) != len(frame):
        return f"{len(found)} predictions for {len(frame)} rows"
    probability = found[[c for c in found.columns if str(c).startswith("p_")]].to_numpy()
    return "" if np.isfinite(probability).all() else "a probability is not finite"


def _fit_frame(frame: pd.DataFrame) -> str:
    small = {"epochs": 1, "width": 8, "batch_size": 8}
    modality = ["num=x0,x1,x2:vector", "words=words:text"]
    equipoise.fit(frame, out="out", modality=modality, id="id", **small)
    return ""


_LABELS: dict[str, tuple[Any, Any]] = {
    "int": (0, 1),
    "int from 5": (5, -3),
    "bool": (True, False),
    "text": ("yes", "no"),
    "text numbers": ("1", "0"),
    "leading zeros": ("01", "02"),
    "np.int8": (np.int8(1), np.int8(2)),
    "np.str_": (np.str_("a"), np.str_("b")),
    "control": ("a\x1b[31m", "b"),
    "space": (" a", "a "),
    "formula": ("=1+1", "+b"),
    "empty words": ("nan", "None"),
    "long": ("x" * 3000, "y" * 3000),
    "mixed": (1, "1"),
    "bool and int": (True, 1),
    "case": ("Calm", "calm"),
    "composed": ("caf\u00e9", "cafe\u0301"),
    "float whole": (0.0, 1.0),
    "float": (0.5, 1.5),
    "list": (["a"], ["a", "b"]),
    "tuple": (("a",), ("b",)),
    "bytes": (b"a", b"b"),
    "date": (datetime.date(2020, 1, 1), datetime.date(2020, 1, 2)),
    "decimal": (decimal.Decimal("1"), decimal.Decimal("2")),
    "huge": (2**70, 2**71),
    "none": (None, None),
    "surrogate": ("\ud800", "b"),
}


def _labels(rng: random.Random, room: Room) -> Case:
    """Labels of many types: predictions come back in the type they came in."""
    frame = pd.DataFrame(make_rows())
    name = rng.choice(list(_LABELS))
    pair = _LABELS[name]
    values = [pair[k % 2] for k in range(len(frame))]
    gaps = rng.random() < 0.2 and name not in ("none",)
    for row in range(len(frame)):
        if gaps and rng.random() < 0.1:
            values[row] = None
    form = rng.choice(["plain", "object", "category", "nullable"])
    series = pd.Series(values, dtype=object)  # pandas refuses to guess the type of a surrogate
    if form != "object" and name != "surrogate":
        series = pd.Series(values)
    if form == "category" and name not in ("list",):
        series = series.astype("category")
    elif form == "nullable" and name in ("int", "int from 5", "np.int8"):
        series = series.astype("Int64")
    elif form == "nullable" and name == "bool":
        series = series.astype("boolean")
    frame["label"] = series
    return Case(
        f"labels {name} as {form} ({series.dtype}){' with gaps' if gaps else ''}",
        call=lambda: _labels_come_back(frame, pair),
        must_not_exist=("out",),
    )


def _labels_come_back(frame: pd.DataFrame, pair: tuple[Any, Any]) -> str:
    small = {"epochs": 1, "width": 8, "batch_size": 8}
    modality = ["num=x0,x1,x2:vector", "words=words:text"]
    run = equipoise.fit(frame, out="out", modality=modality, **small)
    found = equipoise.predict(run.folder, frame)
    for value in found["prediction"]:
        if not any(value == own and _kind(value) == _kind(own) for own in pair):
            return f"labels {pair!r:.100} come back as {value!r:.100} ({type(value).__name__})"
    return ""


def _kind(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "bool"
    if isinstance(value, int | np.integer | decimal.Decimal):
        return "int"  # a whole decimal, as databases give, is one too
    if isinstance(value, float | np.floating):
        return "int" if value.is_integer() else "float"  # floats are integers with gaps
    return "text" if isinstance(value, str) else type(value).__name__


def _odd_names(rng: random.Random, room: Room) -> Case:
    """Odd names of columns, in the table and in the declaration."""
    name = rng.choice([*ODD_TEXTS, "a=b", "a:b", "a,b", "*", "[x]", "num", "label", "id", "{u}"])
    role = rng.choice(["x0", "label", "id", "words"])
    rows = [{(name if c == role else c): v for c, v in row.items()} for row in make_rows()]
    Path("rows.csv").write_bytes(_encode(rows, "csv"))
    clean = name.encode("utf-8", "replace").decode().replace("\0", "")
    words = [word.replace(role, clean, 1) if "=" in word else word for word in DECLARED]
    words = [clean if word == role and role in ("label", "id") else word for word in words]
    return Case(f"column {role} named {name!r:.80}", [["prepare", "rows.csv", *words]])


def _odd_splits(rng: random.Random, room: Room) -> Case:
    rows = make_rows()
    names = ["train", "validation", "test", "val", "dev", "Train", "valid", "", "7", "holdout"]
    few = rng.sample(names, 3)
    for row in rows:
        row["fold"] = rng.choice(few)
        row["who"] = rng.choice(["a", "b", "", "\x1b[1m"])
    Path("rows.csv").write_bytes(_encode(rows, "csv"))
    more = rng.choice(
        [["--split", "fold"], ["--group", "who"], ["--split", "fold", "--group", "who"]]
    )
    return Case(f"splits {few} {more}", [["prepare", "rows.csv", *DECLARED, *more]])


def _spreadsheet(rng: random.Random, room: Room) -> Case:
    """Ids that a spreadsheet would run: written so that it does not, and read back as they were."""
    rows = make_rows()
    mark = rng.choice("=+-@\t'")
    for row in rows:
        row["id"] = f"{mark}cmd|{row['id']}"
    Path("rows.csv").write_bytes(_encode(rows, "csv"))
    run = str(room / "manifests/run")

    def oracle(answers: Sequence[Answer]) -> str:
        found = read_csv(Path("out.csv").read_bytes()) or []
        first = found[1][0]
        return f"an id is written as {first!r}" if first[:1] in "=+-@\t" else ""

    line = ["predict", run, "--data", "rows.csv", "--out", "out.csv"]
    return Case(f"ids that begin with {mark!r}", [line], oracle, must_not_exist=("out.csv",))


PARTS["manifests"] = Part(prepare, make, 27)
