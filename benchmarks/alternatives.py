"""What a user could do instead: our methods beside scikit-learn, on feature views of real data.

    python benchmarks/alternatives.py --data shared/data/multiview --results runs/alternatives.jsonl

A set is a file `NAME.npz`: views v0 … vk (N, d), labels `y` (N,) and `splits` (S, N), 0 for train,
1 for validation, 2 for test. Each is measured whole and under conditions: `missing` hides 60 % of
the cells in every split, `noise` adds a view without information, `few` keeps a fifth of the
training and validation rows, `imbalanced` keeps 1 to 0.1 of them, class by class in geometric
steps.

Ours get a DataFrame and no settings, except for the method. The alternatives get standardised
features, concatenated or view by view, and zeros where a view is absent. All choose their settings
on the validation rows; nobody trains on these, and test rows are read once. Every fit is a line of
`--results`; fits that it has are not repeated, so the table can be made in parts.

The exit status is 1 if `auto` is behind the alternative that validation would have chosen, cell by
cell, by more than the 95 % interval of the mean difference over the splits.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

import numpy as np

SETS = "msrc,cub,landuse,bbcsport,rosmap,webkb"
CONDITIONS = "whole,missing,noise,few,imbalanced"
OURS = "default,joint,late,mla,lfm,mie,balanced,auto"
HIDDEN = 0.6
NOISE_WIDTH = 100
KEPT = 0.2
THINNEST = 0.1
STUDENT = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78}
"""97.5 % quantile of Student's t for a mean of so many values."""

Cell = tuple[str, str, int]
"""(set, condition, split)"""


@dataclass
class Task:
    """The rows of one set, condition and split.

    Attributes:
        views: {name: float32 (N, d)}.
        present: {name: bool (N,)}.
        label: int (N,).
        part: int (N,), 0 train, 1 validation, 2 test, −1 left out.
    """

    views: dict[str, np.ndarray]
    present: dict[str, np.ndarray]
    label: np.ndarray
    part: np.ndarray

    def rows(self, part: int) -> np.ndarray:
        return np.flatnonzero(self.part == part)

    def scaled(self, name: str) -> np.ndarray:
        """A view, standardised by its training cells; zeros where it is absent."""
        here = self.present[name]
        known = self.views[name][here & (self.part == 0)]
        if not len(known):
            return np.zeros_like(self.views[name])
        deviation = known.std(0)
        deviation[deviation <= 1e-6 * np.abs(known.mean(0))] = 1
        scaled = (self.views[name] - known.mean(0)) / deviation
        return np.where(here[:, None], scaled, 0).astype(np.float32)


def read(folder: Path, cell: Cell) -> Task:
    """Read a set and put it under its condition."""
    name, condition, split = cell
    with np.load(folder / f"{name}.npz") as stored:
        count = sum(key[0] == "v" and key[1:].isdigit() for key in stored.files)
        names = [str(view) for view in stored["names"]]
        views = {names[k]: stored[f"v{k}"].astype(np.float32) for k in range(count)}
        label = stored["y"].astype(int)
        part = stored["splits"][split].astype(int)
    rng = np.random.default_rng([split, *name.encode()])
    if condition == "noise":
        views["noise"] = rng.normal(size=(len(label), NOISE_WIDTH)).astype(np.float32)
    shown = np.ones((len(label), len(views)), dtype=bool)
    if condition == "missing":
        shown = rng.random(shown.shape) >= HIDDEN
        lost = np.flatnonzero(~shown.any(1))
        shown[lost, rng.integers(len(views), size=len(lost))] = True
    classes = label.max() + 1
    for k, of in product(range(classes), (0, 1)):
        rows = np.flatnonzero((part == of) & (label == k))
        fraction = {"few": KEPT, "imbalanced": THINNEST ** (k / max(classes - 1, 1))}
        kept = max(1, round(len(rows) * fraction.get(condition, 1.0)))
        part[rng.permutation(rows)[kept:]] = -1
    return Task(views, dict(zip(views, shown.T, strict=True)), label, part)


# --- ours ---


def fit_ours(task: Task, name: str, time_limit: float, folder: Path) -> dict[str, float]:
    """Train through the front door, on a DataFrame with a column for each number."""
    import pandas as pd

    import equipoise

    columns: dict[str, Any] = {}
    for view, values in task.views.items():
        cells = np.where(task.present[view][:, None], values, np.nan)
        columns |= {f"{view}_{k}": cells[:, k] for k in range(cells.shape[1])}
    kept = task.part >= 0
    words = np.array(["train", "validation", "test"])
    frame = pd.DataFrame(columns).loc[kept]
    frame["class"] = [f"c{k}" for k in task.label[kept]]
    frame["split"] = words[task.part[kept]]
    given: dict[str, Any] = {
        "modality": [f"{view}={view}_*:vector" for view in task.views],
        "label": "class",
        "split": "split",
        "out": folder / name,
        "verbose": 0,
    }
    if name == "auto":
        run = equipoise.auto(frame, time_limit=time_limit, workers=1, **given)
    elif name == "default":
        run = equipoise.fit(frame, **given)
    else:
        run = equipoise.fit(frame, method=name, **given)
    fused = {part: run.result[part]["fused"] for part in ("validation", "test")}
    return {
        "validation": fused["validation"]["accuracy"],
        "validation_log_loss": fused["validation"]["log_loss"],
        "test": fused["test"]["accuracy"],
    }


# --- the alternatives ---

Model = Any
Scores = np.ndarray
"""(N, C), the larger the more probable; rows sum to one."""


def probabilities(model: Model, rows: np.ndarray) -> Scores:
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(rows))
    values = model.decision_function(rows)
    if values.ndim == 1:
        values = np.stack([-values, values], 1)
    values = np.exp(values - values.max(1, keepdims=True))
    return np.asarray(values / values.sum(1, keepdims=True))


def grids() -> dict[str, list[Callable[[], Model]]]:
    """{name: classifiers among which validation chooses}"""
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import SVC

    def logistic(strength: float) -> Callable[[], Model]:
        return lambda: LogisticRegression(C=strength, max_iter=300)

    def support(strength: float) -> Callable[[], Model]:
        return lambda: SVC(C=strength)

    return {
        "logistic": [logistic(c) for c in (0.001, 0.01, 0.1, 1.0)],
        "svc": [support(c) for c in (0.3, 1.0, 3.0, 10.0)],
        "forest": [lambda: RandomForestClassifier(300, random_state=0)],
        "boosting": [
            lambda: HistGradientBoostingClassifier(
                max_iter=50, max_features=0.2, early_stopping=False, random_state=0
            )
        ],
    }


def accuracy(scores: Scores, label: np.ndarray) -> float:
    return float((scores.argmax(1) == label).mean())


def log_loss(scores: Scores, label: np.ndarray) -> float:
    return float(-np.log(scores[np.arange(len(label)), label].clip(1e-12)).mean())


def judged(task: Task, candidates: Iterable[Scores]) -> dict[str, float]:
    """Results of the scores (N, C) that are best on validation, by accuracy and then log-loss."""
    rows, test = task.rows(1), task.rows(2)

    def merit(scores: Scores) -> tuple[float, float]:
        label = task.label[rows]
        return accuracy(scores[rows], label), -log_loss(scores[rows], label)

    best = max(candidates, key=merit)
    return {
        "validation": merit(best)[0],
        "validation_log_loss": -merit(best)[1],
        "test": accuracy(best[test], task.label[test]),
    }


def concatenated(task: Task, grid: list[Callable[[], Model]]) -> dict[str, float]:
    """One classifier of all views side by side."""
    inputs = np.concatenate([task.scaled(view) for view in task.views], 1)
    train = task.rows(0)
    fitted = (make().fit(inputs[train], task.label[train]) for make in grid)
    return judged(task, [probabilities(model, inputs) for model in fitted])


def view_scores(task: Task, view: str, make: Callable[[], Model]) -> Scores | None:
    """Scores (N, C) of one view; None where its training cells lack a class."""
    inputs = task.scaled(view)
    train = np.flatnonzero((task.part == 0) & task.present[view])
    classes = np.unique(task.label[train])
    if len(classes) < 2:
        return None
    found = probabilities(make().fit(inputs[train], task.label[train]), inputs)
    scores = np.full((len(inputs), task.label.max() + 1), 1e-6)
    scores[:, classes] += found
    return np.asarray(scores / scores.sum(1, keepdims=True))


def averaged(task: Task, grid: list[Callable[[], Model]]) -> dict[str, float]:
    """Mean over the present views of a classifier for each of them."""
    candidates = []
    for make in grid:
        total = np.zeros((len(task.label), task.label.max() + 1))
        for view in task.views:
            scores = view_scores(task, view, make)
            if scores is not None:
                total += scores * task.present[view][:, None]
        candidates.append((total + 1e-9) / (total + 1e-9).sum(1, keepdims=True))
    return judged(task, candidates)


def stacked(task: Task, grid: list[Callable[[], Model]]) -> dict[str, float]:
    """A logistic regression on the log-probabilities of each view, from folds of training rows."""
    from sklearn.linear_model import LogisticRegression

    train = task.rows(0)
    fold = np.random.default_rng(0).permutation(len(train)) % 5
    candidates = []
    for make in grid:
        level: list[np.ndarray] = []
        for view in task.views:
            whole = view_scores(task, view, make)
            if whole is None:
                continue
            for k in range(5):
                part = task.part.copy()
                part[train[fold == k]] = -1
                inner = view_scores(Task(task.views, task.present, task.label, part), view, make)
                if inner is not None:
                    whole[train[fold == k]] = inner[train[fold == k]]
            level.append(np.log(whole) * task.present[view][:, None])
        inputs = np.concatenate(level, 1)
        for strength in (0.01, 0.1, 1.0):
            top = LogisticRegression(C=strength, max_iter=300)
            candidates.append(probabilities(top.fit(inputs[train], task.label[train]), inputs))
    return judged(task, candidates)


def plain_mlp(task: Task) -> dict[str, float]:
    """Two hidden layers on the concatenated features, AdamW, the epoch of least log-loss."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    inputs = torch.tensor(np.concatenate([task.scaled(view) for view in task.views], 1))
    label = torch.tensor(task.label)
    classes = int(label.max()) + 1
    net = nn.Sequential(
        nn.Linear(inputs.shape[1], 256),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(256, 128),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(128, classes),
    )
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.01)
    train = torch.tensor(task.rows(0))
    rows = task.rows(1)
    best: tuple[float, int, np.ndarray] | None = None
    for epoch in range(100):
        net.train()
        for chosen in train[torch.randperm(len(train))].split(32):
            if len(chosen) > 1:
                optimiser.zero_grad()
                nn.functional.cross_entropy(net(inputs[chosen]), label[chosen]).backward()
                optimiser.step()
        net.eval()
        with torch.no_grad():
            scores = net(inputs).double().softmax(1).numpy()
        loss = log_loss(scores[rows], task.label[rows])
        if best is None or loss < best[0]:
            best = (loss, epoch, scores)
        elif epoch - best[1] >= 20:
            break
    assert best is not None
    return judged(task, [best[2]])


def alternatives() -> dict[str, Callable[[Task], dict[str, float]]]:
    """{name: function that fits it}"""
    found: dict[str, Callable[[Task], dict[str, float]]] = {}
    for name, grid in grids().items():
        found[name] = lambda task, grid=grid: concatenated(task, grid)
        found[f"late {name}"] = lambda task, grid=grid: averaged(task, grid)
    found["stacking"] = lambda task: stacked(task, grids()["logistic"])
    found["mlp"] = plain_mlp
    return found


# --- the run and its table ---


def run(args: argparse.Namespace, cells: list[Cell]) -> None:
    """Fit what the results lack."""
    import torch

    torch.set_num_threads(1)
    known = {(*cell_of(line), line["who"]) for line in lines(args.results)}
    theirs = {who: fit for who, fit in alternatives().items() if who in args.theirs}
    for cell in cells:
        wanted = [who for who in (*args.ours, *theirs) if (*cell, who) not in known]
        if not wanted:
            continue
        task = read(args.data, cell)
        for who in wanted:
            begin = time.perf_counter()
            with warnings.catch_warnings(), tempfile.TemporaryDirectory() as scratch:
                warnings.simplefilter("ignore")
                if who in theirs:
                    found = theirs[who](task)
                else:
                    found = fit_ours(task, who, args.time_limit, Path(scratch))
            seconds = round(time.perf_counter() - begin, 2)
            line = {
                **dict(zip(("set", "condition", "split"), cell, strict=True)),
                "who": who,
                "ours": who not in theirs,
                **found,
                "seconds": seconds,
            }
            args.results.parent.mkdir(parents=True, exist_ok=True)
            with args.results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            shown = f"{100 * found['validation']:5.1f} / {100 * found['test']:5.1f}"
            print(*cell, f"{who:14} {shown}  {seconds:6.1f} s", file=sys.stderr, flush=True)


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """The fits so far; the last line of an interrupted run may be cut."""
    for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            yield json.loads(text)
        except json.JSONDecodeError:
            print(f"{path}: a line is no JSON and left out", file=sys.stderr)


def cell_of(line: dict[str, Any]) -> Cell:
    return line["set"], line["condition"], line["split"]


def interval(values: list[float]) -> tuple[float, float]:
    """Mean, and half the width of its 95 % interval; infinite for a single value."""
    if len(values) < 2:
        return fmean(values), math.inf
    quantile = STUDENT.get(len(values), 2.0 + 3.0 / len(values))
    return fmean(values), quantile * stdev(values) / math.sqrt(len(values))


def by_split(cells: dict[Cell, float]) -> list[float]:
    """The mean over sets and conditions, for each split."""
    splits = sorted({split for _, _, split in cells})
    return [fmean(v for cell, v in cells.items() if cell[2] == s) for s in splits]


def show(args: argparse.Namespace, cells: list[Cell]) -> int:
    """Print the tables; 1 if `auto` is behind what validation would have chosen."""
    found: dict[str, dict[Cell, dict[str, Any]]] = {}
    for line in lines(args.results):
        if cell_of(line) in cells:
            found.setdefault(line["who"], {})[cell_of(line)] = line
    theirs = {who: of for who, of in found.items() if not next(iter(of.values()))["ours"]}
    complete = [c for c in cells if all(c in of for of in found.values())]
    if not complete:
        print("no cell has been measured for everybody yet")
        return 0
    test = {who: {cell: 100 * of[cell]["test"] for cell in complete} for who, of in found.items()}
    if theirs:

        def merit(who: str, cell: Cell) -> tuple[float, float]:
            line = theirs[who][cell]
            return line["validation"], -line["validation_log_loss"]

        chosen = {c: max(theirs, key=lambda who, c=c: merit(who, c)) for c in complete}
        test["validation's choice"] = {c: test[who][c] for c, who in chosen.items()}
        test["oracle on test"] = {c: max(test[who][c] for who in theirs) for c in complete}
    ranks = {
        who: fmean(
            1
            + sum(test[other][c] > test[who][c] for other in found)
            + sum(test[other][c] == test[who][c] for other in found if other != who) / 2
            for c in complete
        )
        for who in found
    }
    conditions = [k for k in args.conditions if any(c[1] == k for c in complete)]
    for condition in conditions:
        part = [c for c in complete if c[1] == condition]
        sets = [s for s in args.sets if any(c[0] == s for c in part)]
        print(f"\n{condition}, {len({c[2] for c in part})} splits; test accuracy in percent\n")
        print(heading(["", *sets, "mean"]))
        for who, of in sorted(test.items(), key=lambda item: -fmean(item[1][c] for c in part)):
            means = [fmean(of[c] for c in part if c[0] == s) for s in sets]
            print(row([who, *(f"{m:.1f}" for m in (*means, fmean(means)))]))
    print(f"\nall, {len(complete)} cells\n")
    print(heading(["", "mean", "± 95 %", "rank", "seconds (median)"]))
    for who, of in sorted(test.items(), key=lambda item: -fmean(item[1].values())):
        mean, width = interval(by_split(of))
        seconds = [found[who][c]["seconds"] for c in complete] if who in found else []
        print(
            row(
                [
                    who,
                    f"{mean:.2f}",
                    f"{width:.2f}" if math.isfinite(width) else "–",
                    f"{ranks[who]:.1f}" if who in ranks else "–",
                    f"{median(seconds):.1f}" if seconds else "–",
                ]
            )
        )
    status = 0
    if theirs:
        print("\ndifference to validation's choice, mean over splits\n")
        choice = test["validation's choice"]
        for who in (*(w for w in found if w not in theirs), "oracle on test"):
            mean, width = interval(by_split({c: test[who][c] - choice[c] for c in complete}))
            print(f"{who}: {mean:+.2f} ± {width:.2f}")
            if who == "auto" and mean + width < 0:
                status = 1
    return status


def heading(names: list[str]) -> str:
    """The head of a Markdown table."""
    return f"{row(names)}\n|{'---|' * len(names)}"


def row(values: list[str]) -> str:
    return f"| {' | '.join(values)} |"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )

    def names(text: str) -> list[str]:
        return [name for name in text.split(",") if name]

    def numbers(text: str) -> list[int]:
        first, _, last = text.partition("-")
        return list(range(int(first), int(last) + 1)) if last else [int(n) for n in names(text)]

    parser.add_argument("--data", type=Path, required=True, help="folder of the .npz files")
    parser.add_argument("--results", type=Path, default=Path("runs/alternatives.jsonl"))
    parser.add_argument("--sets", type=names, default=names(SETS))
    parser.add_argument("--conditions", type=names, default=names(CONDITIONS))
    parser.add_argument("--splits", type=numbers, default=[0, 1, 2, 3, 4], help="0-4, or 0,2")
    parser.add_argument("--ours", type=names, default=names(OURS), help="'' for none")
    parser.add_argument("--theirs", type=names, default=[*alternatives()], help="'' for none")
    parser.add_argument("--time-limit", type=float, default=60, help="of auto, in seconds")
    parser.add_argument("--show", action="store_true", help="fit nothing, print the tables")
    args = parser.parse_args()
    for condition in args.conditions:
        if condition not in CONDITIONS.split(","):
            parser.error(f"no condition {condition!r}; there are {CONDITIONS}")
    for who in args.theirs:
        if who not in alternatives():
            parser.error(f"no alternative {who!r}; there are {', '.join(alternatives())}")
    cells = [(s, c, k) for k, c, s in product(args.splits, args.conditions, args.sets)]
    if not args.show:
        run(args, cells)
    return show(args, cells)


if __name__ == "__main__":
    sys.exit(main())
