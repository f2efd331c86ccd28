"""The Python front door: the commands as functions, with the same names and options."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from equipoise.configuration.layers import make_settings, nest
from equipoise.errors import ConfigError, RunError
from equipoise.progress import silence
from equipoise.runs import run as runs
from equipoise.settings import DEFAULT_METHOD, Settings, flat

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from equipoise.comparison.cell import Outcome
    from equipoise.comparison.plan import Plan
    from equipoise.model import Model
    from equipoise.runs.module import PlainModule
    from equipoise.runs.trained import Finished, Trained


@dataclass(frozen=True)
class Run(runs.Run):
    """A finished run, as `fit` and `load` return it.

    Attributes:
        folder: the run folder.
        result: content of `result.json`: metrics of validation and test, contributions, cost.
        trusted: True if the code that its settings import may run.

    Example:
        >>> import equipoise
        >>> run = equipoise.fit("synthetic", epochs=2, width=8)
        >>> len(run.history["validation.fused.accuracy"])
        2
        >>> run.model.training
        False
        >>> run.report().name
        'index.html'
        >>> equipoise.load(run.folder).evaluate() == run.evaluate()
        True
        >>> {name: features.shape[1] for name, features in run.features().items()}
        {'easy': 8, 'hard': 8}
    """

    frame: pd.DataFrame | None = field(default=None, repr=False, compare=False)
    """A copy of the DataFrame that it was trained on, in the process that trained it."""

    @property
    def model(self) -> Model:
        """The trained network, an `nn.Module` in evaluation mode on the device of the run."""
        return self._network().model

    @property
    def module(self) -> PlainModule:
        """The trained network for other tools of PyTorch: {modality: tensor} in, logits out."""
        return self._network().module

    def features(self, data: Any = None, *, split: str | None = None) -> dict[str, np.ndarray]:
        """The features that the trained encoders compute.

        Args:
            data: other data, all rows of it; the run's own by default.
            split: of the run's own data; "test" by default.

        Returns:
            {modality: float32 (N, d_m)}, NaN in the rows that lack the modality. Rows are in the
            order of the data.

        Raises:
            DataError: the data cannot be read.
            RunError: the run is a search, which has no single network.
        """
        trained = self._network()
        return trained.features(trained.table(_source(data), split))

    def logits(self, data: Any = None, *, split: str | None = None) -> dict[str, np.ndarray]:
        """The logits of the fused prediction and of each modality alone.

        Args:
            data: other data, all rows of it; the run's own by default.
            split: of the run's own data; "test" by default.

        Returns:
            {"fused" or modality: float32 (N, C)}, NaN in the rows that lack the modality.

        Raises:
            DataError: the data cannot be read.
        """
        import numpy as np

        trained = _trained(self)
        found = trained.predict(trained.table(_source(data), split))
        alone = {
            m: np.where(found.present[m][:, None], logits, np.nan).astype(np.float32)
            for m, logits in found.logits.items()
        }
        return {"fused": found.fused, **alone}

    def embed(self, data: Any = None, *, split: str | None = None) -> pd.DataFrame:
        """The features as one table, for other programs.

        Args:
            data: other data, all rows of it; the run's own by default.
            split: of the run's own data; "test" by default.

        Returns:
            A row per sample with its id as index, `label` (None where it is unknown), and a column
            for each feature of each modality, such as `audio_0`.

        Raises:
            DataError: the data cannot be read.
            RunError: the run is a search, which has no single network.
        """
        import pandas as pd

        trained = self._network()
        table = trained.table(_source(data), split)
        index = pd.Index(table.ids, name="id")
        label = [trained.classes[k] if k >= 0 else None for k in table.label]
        parts = [
            pd.DataFrame(z, index, [f"{modality}_{k}" for k in range(z.shape[1])])
            for modality, z in trained.features(table).items()
        ]
        return pd.concat([pd.DataFrame({"label": label}, index), *parts], axis=1)

    def _network(self) -> Trained:
        from equipoise.runs.trained import Trained

        trained = _trained(self)
        if not isinstance(trained, Trained):
            raise RunError(f"{self.folder}: a search stores many members, and no single network")
        return trained

    @property
    def history(self) -> pd.DataFrame:
        """`metrics.jsonl` as a table: a row per epoch, columns such as `loss`,
        `validation.fused.accuracy` and `validation.modalities.<name>.accuracy`."""
        import pandas as pd

        text = (self.folder / "metrics.jsonl").read_text(encoding="utf-8")
        lines = [json.loads(line) for line in text.splitlines()]
        return pd.DataFrame([flat(line) for line in lines]).set_index("epoch")

    def report(self) -> Path:
        """Write the page about this run into its folder, and return its path."""
        from equipoise.report import write_report

        return write_report([self.folder], self.folder / "report")

    def evaluate(self, data: Any = None, **options: Any) -> dict[str, Any]:
        """Measure the run, see `equipoise.evaluate`."""
        return evaluate(self, data, **options)

    def predict(self, data: Any, **options: Any) -> pd.DataFrame:
        """Predict the classes of new samples, see `equipoise.predict`."""
        return predict(self, data, **options)


def load(folder: str | Path, *, trust: bool = False) -> Run:
    """Open a finished run.

    Args:
        folder: of the run.
        trust: code that its settings import may run.

    Raises:
        RunError: no finished run there.

    Example:
        >>> import equipoise
        >>> trained = equipoise.fit("synthetic", out="runs/first", epochs=2, width=8)
        >>> run = equipoise.load("runs/first")
        >>> run.result == trained.result
        True
    """
    run = Run.open(folder)
    return Run(run.folder, run.result, trusted=trust)


def fit(
    data: Any,
    method: str | Mapping[str, Any] = DEFAULT_METHOD,
    out: str | Path | None = None,
    *,
    callbacks: Iterable[Any] = (),
    verbose: int = 1,
    **settings: Any,
) -> Run:
    """Train one model.

    Args:
        data: a built-in data set, a folder made by `equipoise prepare`, a manifest, a pandas
            DataFrame, or a list with a dict for each row. Where nobody declares the modalities of a
            table, its columns are taken as `doctor` suggests, and shown on stderr.
        method: a name of `equipoise list methods`, or {"name": …, option: value}.
        out: new run folder; the first free runs/<data>-<method>-seed<seed> by default.
        callbacks: called before training, after every epoch and at the end, see `Callback`. A
            function stands for one that is called after every epoch with its line of
            `metrics.jsonl`, and stops the training when it returns True.
        verbose: 1 shows progress on stderr or in the notebook, 0 shows nothing.
        **settings: any setting of `equipoise train`: `epochs=30`, `lr=0.1` (the same as
            `optimiser={"lr": 0.1}`), `label="emotion"`, `encoder={"image": "small_cnn"}`, or
            dotted: `**{"method.alpha": 0.1}`. `preset="crema-d"` puts the settings of a preset
            (`equipoise list presets`) below them.

    Returns:
        The finished run; `run.result["test"]["fused"]["accuracy"]` is its accuracy.

    Raises:
        ConfigError: a name, option or value is wrong.
        DataError: the data are wrong.
        RunError: the folder exists or cannot be written.

    Example:
        >>> import equipoise
        >>> run = equipoise.fit("synthetic", method="mla", epochs=2, width=8)
        >>> run.folder.as_posix()
        'runs/synthetic-mla-seed0'
        >>> 0 <= run.result["test"]["fused"]["accuracy"] <= 1
        True
    """
    from equipoise.diagnosis.inference import take_columns
    from equipoise.runs.progress import TrainingProgress

    chosen = make_settings([nest({"data": _source(data), "method": method, **settings})])
    with silence(not verbose), TrainingProgress() as progress:
        chosen = replace(chosen, data=take_columns(chosen.data))
        folder = Path(out) if out is not None else free_folder(default_folder(chosen))
        done = runs.train(chosen, folder, callbacks=[progress, *callbacks])
    # A copy, since the caller may change the original, and the splits would be others.
    source = chosen.data.source
    frame = None if isinstance(source, str) else source.copy()
    return Run(done.folder, done.result, trusted=True, frame=frame)


def auto(
    data: Any,
    time_limit: float = 600,
    out: str | Path | None = None,
    *,
    workers: int | None = None,
    resume: bool = False,
    trust: bool = False,
    callbacks: Iterable[Any] = (),
    verbose: int = 1,
    **settings: Any,
) -> Run:
    """Find the best model that a time limit allows: an ensemble of networks and simpler models.

    Args:
        data: as for `fit`; None to go on with a search whose data are a file.
        time_limit: seconds, from the start to the result.
        out: new run folder; the first free runs/<data>-auto-seed<seed> by default.
        workers: processes that fit members; by default one for each core, and one where the time
            limit is short. A script needs no guard.
        resume: go on with an interrupted search in `out`, with its own settings and time limit. A
            DataFrame, which the folder does not keep, is given again.
        trust: code that the settings of the folder import may run.
        callbacks: called before the search, after every trial and at the end, see `Callback`.
        verbose: 1 shows progress on stderr or in the notebook, 0 shows nothing.
        **settings: settings of the data, as for `fit`, and settings of the networks, which hold for
            all of them.

    Returns:
        The finished run, which `predict` and `evaluate` take like any other.
        `run.result["members"]` is the leaderboard of the members, and `run.result["estimate"]` says
        how the metrics came about.

    Raises:
        ConfigError: a name, option or value is wrong.
        DataError: the data are wrong, or are not those that the search began with.
        RunError: the folder exists, or (resuming) does not.
        TrainingError: no member could be fitted.

    Example:
        >>> import equipoise
        >>> small = {"data.options": {"samples": 200}, "epochs": 3}
        >>> run = equipoise.auto("synthetic", time_limit=5, verbose=0, **small)
        >>> 0 <= run.result["test"]["fused"]["accuracy"] <= 1
        True
        >>> run.evaluate() == run.result["test"]
        True
    """
    started = time.monotonic()
    from equipoise.diagnosis.inference import take_columns
    from equipoise.portfolio.progress import SearchProgress
    from equipoise.portfolio.run import NAME, resume_settings, search

    with silence(not verbose), SearchProgress() as progress:
        if resume:
            if out is None:
                raise ConfigError("auto: name the folder of the search to resume as 'out'")
            chosen = resume_settings(out, trust=trust)
            if data is not None and not isinstance(data, str | Path):
                chosen = replace(chosen, data=replace(chosen.data, source=_source(data)))
        else:
            chosen = make_settings([nest({"data": _source(data), **settings})])
            chosen = replace(chosen, method={"name": NAME}, data=take_columns(chosen.data))
        folder = Path(out) if out is not None else free_folder(default_folder(chosen))
        done = search(
            chosen,
            folder,
            time_limit=time_limit,
            workers=workers,
            resume=resume,
            watch=progress,
            callbacks=callbacks,
            started=started,
        )
    # A copy, since the caller may change the original, and the splits would be others.
    source = chosen.data.source
    frame = None if isinstance(source, str) else source.copy()
    return Run(done.folder, done.result, trusted=True, frame=frame)


def evaluate(
    run: runs.Run | str | Path,
    data: Any = None,
    *,
    split: str | None = None,
    missing: float | None = None,
    problems: str | None = None,
    allow_absent: bool = False,
    head: str | Mapping[str, Any] | None = None,
    trust: bool = False,
) -> dict[str, Any]:
    """Measure a finished run.

    Args:
        run: a run that `fit` returned, or a run folder.
        data: other data with the same columns; the run's own by default. Of a run that was trained
            on a DataFrame, the folder keeps the predictions for validation and test; in the process
            that trained it, `fit` has kept the DataFrame too, for `split="train"` and `missing`.
        split: "train", "validation" or "test" of the run's own data; "test" by default.
        missing: fraction of the cells to hide at random; as in training by default.
        problems: effect of a bad file of other data: "error", "drop" or "absent"; as in training
            by default.
        allow_absent: other data may lack the columns of some modalities, which are then absent in
            every row.
        head: options of the head that replace those of the run, such as {"fusion": "mean"}, or
            another head of the same parts. Temperatures of the run then do not apply.
        trust: code that the settings of a run folder import may run.

    Returns:
        {"fused": {metric: value}, "modalities": {name: {metric: value, "count": n, "intervals":
        {metric: [low, high]}}}, "count": N, "intervals": {metric: [low, high]}, "classes": a
        dictionary for each class, "confusion": counts (C, C) of true class by predicted class}.
        Intervals are at 95 %; those outside "modalities", classes and confusions are of the fused
        prediction.
        `pandas.DataFrame(found["classes"])` is a table.

    Raises:
        ConfigError: no such split, a split of other data, `problems` or `allow_absent` for the
            run's own data, or the columns of a modality are missing.
        RunError: no finished run there.
        DataError: the data cannot be read, or have no labels.

    Example:
        >>> import equipoise
        >>> run = equipoise.fit("synthetic", epochs=2, width=8)
        >>> equipoise.evaluate(run) == run.result["test"]
        True
        >>> half = equipoise.evaluate(run, missing=0.5)
        >>> half["modalities"]["easy"]["count"] < half["count"]
        True
    """
    return _trained(run, trust, head).evaluate(
        _source(data), split=split, missing=missing, problems=problems, allow_absent=allow_absent
    )


def predict(
    run: runs.Run | str | Path,
    data: Any,
    *,
    problems: str | None = None,
    allow_absent: bool = False,
    trust: bool = False,
) -> pd.DataFrame:
    """Predict the classes of new samples.

    Args:
        run: a run that `fit` returned, or a run folder.
        data: a manifest, a DataFrame, or a list with a dict for each row, with the columns of the
            run's own; labels are not read.
        problems: effect of a bad file: "error", "drop" (drop its row, with a warning) or "absent"
            (treat its modality as absent); as in training by default.
        allow_absent: the data may lack the columns of some modalities, which are then absent in
            every row.
        trust: code that the settings of a run folder import may run.

    Returns:
        A row per sample: `prediction` in the type of the labels (integers, booleans, text or
        categories), `confidence`, and `p_<class>` for every class. The index is the id where the
        run names a column of ids; else that of the DataFrame, or of a manifest the column "id" or
        the position.

    Raises:
        ConfigError: `problems` is none of these, or the columns of a modality are missing.
        RunError: no finished run there.
        DataError: the data cannot be read.

    Example:
        >>> import equipoise
        >>> import pandas as pd
        >>> rows = [{"x": k % 3, "y": k % 2, "label": "abc"[k % 3]} for k in range(60)]
        >>> modalities = ["first=x:vector", "second=y:vector"]
        >>> run = equipoise.fit(pd.DataFrame(rows), modality=modalities, epochs=2, width=8)
        >>> found = equipoise.predict(run, [{"x": 0, "y": 1}, {"x": 1, "y": 0}])
        >>> list(found.columns)
        ['prediction', 'confidence', 'p_a', 'p_b', 'p_c']
        >>> len(found)
        2
    """
    import pandas as pd

    from equipoise.evaluation.metrics import softmax

    data = _source(data)
    trained = _trained(run, trust)
    table = trained.read(data, problems, labelled=False, allow_absent=allow_absent)
    probability = softmax(trained.predict(table).fused)
    index = pd.Index(table.ids, name="id")
    if isinstance(data, pd.DataFrame) and trained.settings.data.id is None:
        index = data.index[table.store_rows]  # without the rows that were dropped
    frame = pd.DataFrame(probability, index=index, columns=[f"p_{c}" for c in trained.classes])
    chosen = [trained.classes[k] for k in probability.argmax(axis=1)]
    frame.insert(0, "prediction", trained.label_type.series(chosen, index))
    frame.insert(1, "confidence", probability.max(axis=1))
    return frame


def doctor(data: Any, **settings: Any) -> dict[str, Any]:
    """Examine data: classes, gaps, bad files, copies, leaks, the strength of each modality, advice.

    Args:
        data: as for `fit`.
        **settings: settings of the data, as for `fit`: `modality=[…]`, `label="emotion"`,
            `group="speaker"`.

    Returns:
        Plain values, as `equipoise doctor --json` prints them; `["advice"]` is a list of {"level",
        "topic", "text"}. Where the settings do not declare the modalities of a manifest, there is
        no advice, and `["suggestion"]` holds declarations that fit its columns.

    Raises:
        ConfigError: a name, option or value is wrong.
        DataError: the table itself cannot be read; bad files are only reported.

    Example:
        >>> import equipoise
        >>> report = equipoise.doctor("synthetic")
        >>> report["rows"] == sum(report["balance"]["samples"].values())
        True
        >>> sorted(report["strength"])
        ['easy', 'hard']
    """
    from equipoise.diagnosis import diagnose

    return diagnose(make_settings([nest({"data": _source(data), **settings})]).data)


@dataclass(frozen=True)
class Comparison:
    """The outcome of `compare`.

    Attributes:
        folder: of the comparison; each cell in it is a run folder. With several missing rates it
            holds a comparison for each, as `missing-<rate>`.
        report: the page; with several rates it links to a page for each.
        table: a row per method, or per method and missing rate where several were given: mean and
            standard deviation of the test accuracy, fused and per modality.
        errors: {(label, seed): reason} of the cells that failed; {(label, rate, seed): reason} with
            several rates. The number of the fold stands behind the seed where there are folds.

    Example:
        >>> import equipoise
        >>> quick = {"epochs": 2, "width": 8}
        >>> found = equipoise.compare("synthetic", ["joint", "late"], seeds=2, **quick)
        >>> mean, deviation = found.table.loc["joint", "fused"]
        >>> 0 <= mean <= 1
        True
        >>> (found.folder / "cells/joint/seed-0/result.json").is_file()
        True
    """

    folder: Path
    report: Path
    table: pd.DataFrame
    errors: Mapping[tuple[Any, ...], str]


def compare(
    data: Any,
    methods: Iterable[str] | Mapping[str, Any] | str,
    seeds: Iterable[int] | int = 3,
    out: str | Path | None = None,
    *,
    grid: Mapping[str, list[Any]] | None = None,
    folds: int = 0,
    jobs: int = 1,
    trust: bool = False,
    callbacks: Iterable[Any] = (),
    verbose: int = 1,
    **settings: Any,
) -> Comparison:
    """Train every method with every seed, and write the report.

    Args:
        data: as for `fit`.
        methods: names, or {label: {"method": …, other settings}}, or "all".
        seeds: a list, or how many.
        out: folder of the comparison, which is continued if it exists; the first free
            runs/<data>-comparison by default.
        grid: {dotted setting: values} to choose from for each method, on the mean validation
            metric.
        folds: number of folds of a cross-validation, each the test split once; 0 for one test
            split.
        jobs: trainings at a time, each in a process of its own; guard a script with `if __name__ ==
            "__main__"`.
        trust: code that settings files, or an earlier comparison in the folder, import may run.
        callbacks: of each training, as for `fit`; with `jobs=1` only.
        verbose: 1 shows progress on stderr or in the notebook, 0 shows nothing.
        **settings: of all cells, as for `fit`; `missing` may be a list of rates, or
            "first:last:step".

    Returns:
        Folder, report, table and errors.

    Raises:
        ConfigError: a name, option or value is wrong.
        RunError: every cell failed, or the folder holds cells made with other settings.

    Example:
        >>> import equipoise
        >>> quick = {"epochs": 2, "width": 8}
        >>> found = equipoise.compare("synthetic", ["joint", "late"], seeds=[0], **quick)
        >>> list(found.table.index)
        ['joint', 'late']
        >>> found.report.as_posix()
        'runs/synthetic-comparison/report/index.html'
    """
    from equipoise.comparison.plan_input import plan_from
    from equipoise.comparison.progress import ComparisonProgress
    from equipoise.comparison.run import run_comparison
    from equipoise.report import write_report

    shared = nest({"data": _source(data), **settings})
    plan = plan_from(shared, methods=methods, seeds=seeds, grid=grid, folds=folds, trust=trust)
    plan.check()
    folder = Path(out) if out is not None else free_folder(f"runs/{_stem(data)}-comparison")
    with silence(not verbose), ComparisonProgress() as progress:
        outcomes = run_comparison(
            plan, folder, jobs=jobs, trust=trust, watch=progress, callbacks=callbacks
        )
    errors = {_key(plan, o): o.error for o in outcomes if o.error}
    if len(errors) == len(outcomes):
        raise RunError(
            f"{folder}: every cell failed, the first one with: {next(iter(errors.values()))}"
        )
    report = write_report([folder], folder / "report")
    return Comparison(folder, report, _table(plan, outcomes), errors)


def _table(plan: Plan, outcomes: Iterable[Outcome]) -> pd.DataFrame:
    """The leaderboard of the cells that this plan has asked for."""
    from equipoise.report.board import Board

    results = [(o.cell.settings.data.missing, o.result) for o in outcomes if o.result is not None]
    if not plan.rates:
        return Board([result for _, result in results]).to_frame()
    levels: dict[float, list[Mapping[str, Any]]] = {}
    for rate, result in results:
        levels.setdefault(rate, []).append(result)
    return Board(levels).to_frame()


def _rate(plan: Plan, outcome: Outcome) -> tuple[float, ...]:
    """The missing rate of a cell, where the plan has several."""
    return (outcome.cell.settings.data.missing,) if plan.rates else ()


def _key(plan: Plan, outcome: Outcome) -> tuple[Any, ...]:
    """The key of a cell among the errors."""
    cell = outcome.cell
    fold = () if cell.fold is None else (cell.fold,)
    return (cell.label, *_rate(plan, outcome), cell.seed, *fold)


def default_folder(settings: Settings) -> str:
    """runs/<data>-<method>-seed<seed>"""
    return f"runs/{_stem(settings.data.source)}-{settings.method['name']}-seed{settings.seed}"


def free_folder(name: str) -> Path:
    """The folder, or the first of name-2, name-3, … that does not exist yet."""
    path = Path(name)
    for number in count(2):
        if not path.exists():
            break
        path = Path(f"{name}-{number}")
    return path


def _source(data: Any) -> Any:
    """Data as the settings take them: a path as text, a list of rows as a DataFrame."""
    import pandas as pd

    if isinstance(data, list | tuple) and all(isinstance(row, Mapping) for row in data):
        # As objects, since a gap would turn a column of integers into floats.
        return pd.DataFrame(list(data), dtype=object)
    return str(data) if isinstance(data, Path) else data


def _stem(source: Any) -> str:
    return Path(source).stem if isinstance(source, str | Path) else "data"


def _trained(
    run: runs.Run | str | Path, trust: bool = False, head: str | Mapping[str, Any] | None = None
) -> Finished:
    """A run in use, which is trusted if the user says so, or trained it in this process."""
    from equipoise.portfolio.opened import open_run

    options = {"name": head} if isinstance(head, str) else head
    if isinstance(run, str | Path):
        return open_run(run, trust=trust, head=options)
    frame = run.frame if isinstance(run, Run) else None
    return open_run(run.folder, trust=trust or run.trusted, frame=frame, head=options)
