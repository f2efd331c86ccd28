"""The scikit-learn front door: a classifier that trains a run and keeps it in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import (
    assert_all_finite,
    check_array,
    check_consistent_length,
    check_random_state,
    column_or_1d,
    compute_class_weight,
)
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from equipoise.checks import is_number
from equipoise.configuration.layers import make_settings, nest
from equipoise.data.arrays import array_splits, array_table, restored_steps
from equipoise.data.manifest.declaration import Declaration
from equipoise.data.sources import complete, load
from equipoise.data.table.table import Splits
from equipoise.errors import Interrupted
from equipoise.estimator.columns import (
    as_table,
    column_numbers,
    free_name,
    has_partial_gaps,
    inferred,
    is_numeric,
    is_table,
    plain_classes,
)
from equipoise.estimator.rows import Arrays, check_weights, differ, divide_rows, merge
from equipoise.evaluation.metrics import softmax
from equipoise.files import hastily
from equipoise.portfolio.opened import open_run
from equipoise.portfolio.progress import SearchProgress
from equipoise.portfolio.run import search
from equipoise.progress import silence
from equipoise.runs.build import build_method
from equipoise.runs.progress import TrainingProgress
from equipoise.runs.run import train
from equipoise.runs.trained import Finished
from equipoise.settings import IN_MEMORY, Settings

if TYPE_CHECKING:
    from equipoise.api import Run


class EquipoiseClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A balanced multimodal classifier with the interface of scikit-learn.

    `X` is one of these:

    * a DataFrame with a row per sample, or a list with a dict for each row. Its columns may hold
      numbers, categories, dates, texts and files; an empty cell is an absent modality.
    * an array (N, d) of numbers, whose columns are divided among the modalities.
    * a dict with an array for each modality: vectors (N, d), series (N, length, columns) or
      pictures (N, channels, height, width).

    In arrays, a modality whose numbers are all NaN is absent in that row. A part of the rows is
    kept back for validation, which chooses the epoch. Where it would be fewer than 10 rows, all
    rows are trained on, and validated on.

    Rows of numbers that are alike, and have the same label, count as one with the sum of their
    weights. So a sample of weight 2 is the same as two samples, and no copy of a training row is
    validated on.

    Args:
        method: "auto" for the default method of `equipoise.fit`, or for a search where there is a
            `time_limit`; else a name of `equipoise list methods`, or {"name": …, option: value}.
        modalities: {name: columns}. Columns are names (of a DataFrame), a slice or a list of
            numbers (of an array). By default the columns of a DataFrame are taken as `equipoise
            doctor` suggests, and those of an array are one modality.
        epochs: "auto" for the default of `equipoise.fit`, or how often every modality sees the
            training samples.
        time_limit: seconds of a search for the best ensemble of many models, see `equipoise.auto`;
            None to train one network.
        class_weight: None, "balanced" or {class: weight}.
        validation_fraction: fraction of the rows for validation.
        settings: further settings of `equipoise.fit`, such as `{"lr": 0.1, "width": 64}`.
        random_state: seed, or a generator to draw it from; it decides initialisation, order and
            validation rows.
        verbose: 1 shows progress on stderr or in the notebook, 0 shows nothing.

    Attributes:
        classes_: (C,) the classes, in the type of the labels.
        n_features_in_: number of columns.
        feature_names_in_: names of the columns of a DataFrame.
        n_iter_: number of epochs trained.
        result_: measurements on validation and the cost, see `equipoise.Run`.

    Example:
        >>> import numpy as np
        >>> from equipoise import EquipoiseClassifier
        >>> rng = np.random.default_rng(0)
        >>> y = np.repeat(["cat", "dog"], 50)
        >>> X = rng.normal(size=(100, 6)) + 3 * (y == "dog")[:, None]
        >>> halves = {"left": slice(0, 3), "right": slice(3, 6)}
        >>> model = EquipoiseClassifier(modalities=halves, epochs=10, random_state=0).fit(X, y)
        >>> print(*model.predict(X[:2]), *model.predict(X[-2:]))
        cat cat dog dog
    """

    def __init__(
        self,
        method: Any = "auto",
        *,
        modalities: Any = None,
        epochs: Any = "auto",
        time_limit: float | None = None,
        class_weight: Any = None,
        validation_fraction: float = 0.15,
        settings: Any = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.method = method
        self.modalities = modalities
        self.epochs = epochs
        self.time_limit = time_limit
        self.class_weight = class_weight
        self.validation_fraction = validation_fraction
        self.settings = settings
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> EquipoiseClassifier:
        """Train.

        Args:
            X: see the class.
            y: (N,) labels: integers, texts or booleans.
            sample_weight: (N,), how much each row counts; at least 0.

        Returns:
            The classifier itself.

        Raises:
            ValueError: the data or a parameter cannot be used.
            EquipoiseError: the same, found by the library.
        """
        fraction = self.validation_fraction
        if not (is_number(fraction) and 0 < fraction < 1):
            raise ValueError(f"validation_fraction must be a number in (0, 1), found {fraction!r}")
        if self.time_limit is not None and self.method != "auto":
            raise ValueError("a search with a time_limit tries several methods; leave out 'method'")
        X, y = self._read_training(X, y)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        weight = check_weights(sample_weight, len(codes))
        if len(np.unique(codes[weight > 0])) < 2:
            counted = "" if sample_weight is None else " of rows with a weight"
            raise ValueError(
                f"the labels{counted} hold 1 class; a classifier needs at least 2 classes"
            )
        factors = compute_class_weight(self.class_weight, classes=self.classes_, y=y)
        weight = weight * factors[codes]
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        with silence(not self.verbose):
            chosen = self._settings(seed)
            self._columns, declared = self._divide_columns(X)
            if declared is None:
                chosen, splits = self._array_splits(self._arrays(X), codes, weight, chosen)
            else:
                chosen, splits = self._frame_splits(X, declared, codes, weight, chosen)
            self._train(chosen, splits)
        names = list(splits.train.classes)
        self._order = [names.index(label) for label in plain_classes(self.classes_)]
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Predict the probability of every class, float32 (N, C), in the order of `classes_`."""
        check_is_fitted(self)
        trained = self._loaded()
        X = self._read(X)
        if isinstance(X, pd.DataFrame) and self._columns is None:
            with silence(not self.verbose):
                table = trained.read(X, labelled=False)
            if len(table) < len(X):
                raise ValueError(f"{len(X) - len(table)} rows of X have files that cannot be used")
        else:
            arrays = self._arrays(X)
            steps = restored_steps(arrays, trained.preprocessing["learned"])
            table = array_table(arrays, trained.classes).stepped(steps)
        fused = trained.predict(table).fused[:, self._order]
        return softmax(fused).astype(np.float32)

    def predict(self, X: Any) -> np.ndarray:
        """Predict the class of every row, (N,) in the type of the labels."""
        best = self.predict_proba(X).argmax(axis=1)
        return cast(np.ndarray, self.classes_[best])

    def save(self, folder: str | Path) -> Run:
        """Write the run into a new folder, and open it as `equipoise.load` does.

        Raises:
            FileExistsError: the folder exists.
        """
        from equipoise import api

        check_is_fitted(self)
        _write(self._files, Path(folder))
        return api.load(folder, trust=True)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = False  # only a whole modality of a row may be NaN
        return tags

    def __getstate__(self) -> dict[str, Any]:
        # The network is built again from the files of the run, in which nothing is pickled.
        state: dict[str, Any] = super().__getstate__()
        return {**state, "_trained": None} if "_trained" in state else state

    def _read_training(self, X: Any, y: Any) -> tuple[Any, np.ndarray]:
        """Check `X` and `y` in scikit-learn's words.

        Returns:
            `X` as a DataFrame, a float32 array or {modality: float32 array}; and y (N,).
        """
        X = as_table(X)
        if not is_table(X):
            X, y = validate_data(
                self, X, y, dtype=np.float32, ensure_all_finite="allow-nan", ensure_min_samples=1
            )
            return X, y
        if y is None:
            raise ValueError(
                "EquipoiseClassifier requires y to be passed, but the target y is None"
            )
        y = column_or_1d(y, warn=True)
        assert_all_finite(y, input_name="y")
        if isinstance(X, pd.DataFrame):
            validate_data(self, X, skip_check_array=True)
            check_consistent_length(X, y)
            return X, y
        X = self._read_dict(X)
        self.n_features_in_ = sum(array[0].size for array in X.values())
        self.__dict__.pop("feature_names_in_", None)  # of an earlier fit
        check_consistent_length(*X.values(), y)
        return X, y

    def _read(self, X: Any) -> Any:
        """Check new data; they are returned as `_read_training` does."""
        X = as_table(X)
        if self._shapes is not None:
            if not isinstance(X, Mapping) or issparse(X):
                raise ValueError("X must be a dict of arrays, as it was in training")
            X = self._read_dict(X)
            found = {name: array.shape[1:] for name, array in X.items()}
            if found != self._shapes:
                raise ValueError(f"X has the shapes {found}, in training it had {self._shapes}")
            return {name: X[name] for name in self._shapes}
        if isinstance(X, Mapping) and not issparse(X):
            raise ValueError("X must be a table or an array, as it was in training")
        if self._columns is None or isinstance(X, pd.DataFrame):
            validate_data(self, X, skip_check_array=True, reset=False)
            if isinstance(X, pd.DataFrame):
                return X
            return pd.DataFrame(X, columns=self.feature_names_in_)
        return validate_data(self, X, dtype=np.float32, ensure_all_finite="allow-nan", reset=False)

    def _read_dict(self, X: Mapping[str, Any]) -> Arrays:
        """Check the arrays of a dict."""
        if not X:
            raise ValueError("X holds no modality")
        return {
            name: check_array(
                array,
                dtype=np.float32,
                ensure_2d=False,
                allow_nd=True,
                ensure_all_finite="allow-nan",
                estimator=self,
                input_name=f"X[{name!r}]",
            )
            for name, array in X.items()
        }

    def _divide_columns(
        self, X: Any
    ) -> tuple[dict[str, list[int]] | None, list[Declaration] | None]:
        """Divide the columns among the modalities.

        Returns:
            {modality: numbers of its columns} where all are numbers, else None; and the
            declarations of other DataFrames, else None.
        """
        self._shapes = None
        if isinstance(X, Mapping):
            if self.modalities is not None:
                raise ValueError("a dict of arrays names the modalities; leave out 'modalities'")
            self._shapes = {name: array.shape[1:] for name, array in X.items()}
            return None, None
        names = [str(name) for name in X.columns] if isinstance(X, pd.DataFrame) else None
        if self.modalities is not None and not isinstance(self.modalities, Mapping):
            raise ValueError(
                f"modalities must be a dict {{name: columns}}, found {self.modalities!r}"
            )
        if self.modalities is not None:
            columns = {
                str(modality): column_numbers(modality, chosen, X.shape[1], names)
                for modality, chosen in self.modalities.items()
            }
            if not columns or not all(columns.values()):
                raise ValueError("'modalities' must name at least one modality, each with a column")
        elif names is None:
            return {"all": list(range(X.shape[1]))}, None
        else:
            declared = inferred(X)
            if not all(d.kind == "vector" for d in declared):
                return None, declared
            columns = {d.name: [names.index(column) for column in d.columns] for d in declared}
        if names is None:
            return columns, None
        used = sorted({number for chosen in columns.values() for number in chosen})
        # A gap inside a row is a value of a tabular modality, and of no vector.
        tabular = [m for m, ks in columns.items() if is_numeric(X, ks) and has_partial_gaps(X, ks)]
        if is_numeric(X, used) and not tabular:
            return columns, None
        return None, [
            Declaration(m, [names[k] for k in ks], "tabular" if m in tabular else None)
            for m, ks in columns.items()
        ]

    def _arrays(self, X: Any) -> Arrays:
        """The arrays of the modalities; refuse gaps inside a modality, and rows without any."""
        if self._columns is None:
            arrays = dict(X)
        else:
            used = sorted({number for chosen in self._columns.values() for number in chosen})
            if isinstance(X, pd.DataFrame):
                X = X.iloc[:, used]
                values = check_array(
                    X, dtype=np.float32, ensure_all_finite="allow-nan", estimator=self
                )
            else:
                values = X[:, used]
            place = {number: k for k, number in enumerate(used)}
            arrays = {m: values[:, [place[k] for k in ks]] for m, ks in self._columns.items()}
        absent = []
        for array in arrays.values():
            gaps = np.isnan(array.reshape(len(array), -1))
            absent.append(gaps.all(axis=1))
            if (gaps.any(axis=1) & ~absent[-1]).any():
                assert_all_finite(array, input_name="X", estimator_name=type(self).__name__)
        nothing = np.all(absent, axis=0)
        if nothing.any():
            if len(arrays) == 1:
                assert_all_finite(array, input_name="X", estimator_name=type(self).__name__)
            raise ValueError(f"Input X contains NaN in every modality of row {nothing.argmax()}")
        return arrays

    def _settings(self, seed: int) -> Settings:
        values: dict[str, Any] = {"data": IN_MEMORY, "seed": seed, "data.seed": seed}
        for name in ("method", "epochs"):
            if getattr(self, name) != "auto":
                values[name] = getattr(self, name)
        return make_settings([nest({**values, **(self.settings or {})})])

    def _array_splits(
        self, arrays: Arrays, codes: np.ndarray, weight: np.ndarray, settings: Settings
    ) -> tuple[Settings, Splits]:
        """The splits of arrays, and the settings that belong to them."""
        method = build_method(settings)
        rows = np.flatnonzero(weight > 0)
        if method.takes_weight:
            rows, weight = merge(arrays, codes, weight)
        train_rows, validation = self._divide(rows, codes, weight, settings.seed)
        names = None
        if self._columns is not None:
            known = getattr(self, "feature_names_in_", None)
            named = [f"x{k}" for k in range(self.n_features_in_)] if known is None else known
            names = {m: [str(named[k]) for k in ks] for m, ks in self._columns.items()}
        parts = array_splits(
            arrays,
            codes,
            plain_classes(self.classes_),
            train=train_rows,
            validation=validation,
            columns=names,
        )
        if differ(weight[train_rows]):
            settings = replace(settings, data=replace(settings.data, weight="sample_weight"))
            # The mean is 1, so that a learning rate means the same with weights and without.
            scaled = weight / weight[train_rows].mean()
            parts = replace(
                parts,
                train=replace(parts.train, weight=scaled[train_rows]),
                validation=replace(parts.validation, weight=scaled[validation]),
            )
            build_method(settings)  # refuses weights where the method has no use for them
        default = 0.15 if method.needs_holdout else 0.0
        data = replace(settings.data, holdout=settings.data.holdout or default)
        return settings, complete(parts, data)

    def _frame_splits(
        self,
        X: pd.DataFrame,
        declared: Sequence[Declaration],
        codes: np.ndarray,
        weight: np.ndarray,
        settings: Settings,
    ) -> tuple[Settings, Splits]:
        """The splits of a DataFrame, and the settings that belong to them."""
        rows = np.flatnonzero(weight > 0)
        train_rows, validation = self._divide(rows, codes, weight, settings.seed)
        taken = np.concatenate([train_rows, validation])
        frame = X.rename(columns=str).iloc[taken].reset_index(drop=True)
        label, split, name = (
            free_name(name, frame) for name in ("label", "split", "sample_weight")
        )
        frame[label] = [plain_classes(self.classes_)[code] for code in codes[taken]]
        frame[split] = ["train"] * len(train_rows) + ["validation"] * len(validation)
        modality = [str(declaration) for declaration in declared]
        data = replace(settings.data, source=frame, modality=modality, label=label, split=split)
        if differ(weight[train_rows]):
            frame[name] = weight[taken] / weight[train_rows].mean()
            data = replace(data, weight=name)
        settings = replace(settings, data=data)
        method = build_method(settings)
        default = 0.15 if method.needs_holdout else 0.0
        splits: Splits = load(data, data.holdout or default)
        return settings, splits

    def _divide(
        self, rows: np.ndarray, codes: np.ndarray, weight: np.ndarray, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        fraction = self.validation_fraction
        return divide_rows(
            rows, codes, weight, fraction, seed, searched=self.time_limit is not None
        )

    def _train(self, settings: Settings, splits: Splits) -> None:
        with hastily(), tempfile.TemporaryDirectory(prefix="equipoise-") as scratch:
            folder = Path(scratch) / "run"
            try:
                if self.time_limit is None:
                    with TrainingProgress() as training:
                        run = train(settings, folder, splits=splits, callbacks=[training])
                else:
                    with SearchProgress() as searching:
                        run = search(
                            settings,
                            folder,
                            time_limit=self.time_limit,
                            watch=searching,
                            splits=splits,
                        )
            except Interrupted:  # its message names a folder that is gone
                raise KeyboardInterrupt from None
            self._files = _contents(folder)
            self._trained: Finished | None = open_run(folder, trust=True)
        self.result_ = run.result
        self.n_iter_ = run.result["epochs"]

    def _loaded(self) -> Finished:
        """The trained network; built again after the classifier was unpickled or copied."""
        if self._trained is None:
            with hastily(), tempfile.TemporaryDirectory(prefix="equipoise-") as scratch:
                _write(self._files, Path(scratch) / "run")
                self._trained = open_run(Path(scratch) / "run", trust=True)
        return self._trained


def _contents(folder: Path) -> dict[str, bytes]:
    """{relative path: content} of the files of a finished run that it is used with."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    names = {path: path.relative_to(folder).as_posix() for path in files}
    resumable = "checkpoints/epoch-"
    return {
        name: path.read_bytes()
        for path, name in names.items()
        if not name.startswith((resumable, ".lock"))
    }


def _write(files: Mapping[str, bytes], folder: Path) -> None:
    """Write the files of a run into a new folder."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
