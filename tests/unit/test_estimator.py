"""The classifier of scikit-learn: its own checks, and what a user expects of ours."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import equipoise
from equipoise import EquipoiseClassifier
from equipoise.errors import ConfigError
from equipoise.estimator.rows import divide_rows

ADAM = {"optimiser": {"name": "adamw", "lr": 0.02}}
QUICK = {"epochs": 15, "random_state": 0, "settings": ADAM}
FAST = {**QUICK, "epochs": 3}
TWO = {"left": slice(0, 3), "right": [3, 4, 5]}
THREE = {"left": slice(0, 2), "middle": slice(2, 4), "right": slice(4, 6)}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    yield
    left = [path for name in ("runs*", "equipoise-*") for path in tmp_path.glob(name)]
    assert not left, "a classifier leaves no folder behind"


def world(count=120, classes=3, seed=None):
    rng = np.random.default_rng(seed)
    y = np.arange(count) % classes
    return rng.normal(size=(count, 6)) + 2 * y[:, None], y


@parametrize_with_checks([EquipoiseClassifier(**QUICK)])
def test_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([EquipoiseClassifier()])
def test_the_checks_of_scikit_learn_at_the_defaults(estimator, check):
    check(estimator)


@pytest.mark.parametrize("modalities", [TWO, THREE])
@pytest.mark.parametrize(
    "names", [[7, 3, 5], ["b", "c", "a"], np.array(["x", "y"], dtype=object), [True, False]]
)
def test_labels_keep_their_type_and_every_modality_is_trained(modalities, names):
    X, codes = world(classes=len(names))
    y = np.asarray(names)[codes]
    model = EquipoiseClassifier(modalities=modalities, **QUICK).fit(X, y)
    assert list(model.classes_) == sorted(names)
    predicted = model.predict(X)
    assert predicted.dtype == y.dtype
    assert model.score(X, y) > 0.8
    assert list(model.result_["modalities"]) == list(modalities)
    probability = model.predict_proba(X)
    assert np.allclose(probability.sum(axis=1), 1)
    assert (model.classes_[probability.argmax(axis=1)] == predicted).all()
    assert 1 <= model.n_iter_ <= 15


def test_copies_predict_the_same():
    X, y = world()
    model = EquipoiseClassifier("mla", modalities=TWO, **FAST).fit(X, y)
    expected = model.predict_proba(X)
    again = pickle.loads(pickle.dumps(model))
    for other in (copy.deepcopy(model), again, pickle.loads(pickle.dumps(again))):
        assert (other.predict_proba(X) == expected).all()
    assert (clone(model).fit(X, y).predict_proba(X) == expected).all()
    with pytest.raises(NotFittedError):
        clone(model).predict(X)


def test_it_works_where_classifiers_of_scikit_learn_do():
    X, y = world()
    model = EquipoiseClassifier(modalities=TWO, **{**QUICK, "epochs": 5})
    assert cross_val_score(make_pipeline(StandardScaler(), model), X, y, cv=2).min() > 0.4
    grid = {"method": ["joint", "late"], "class_weight": [None, "balanced"]}
    search = GridSearchCV(model, grid, cv=2).fit(X, y)
    assert search.best_estimator_.method == search.best_params_["method"]
    assert CalibratedClassifierCV(model, cv=2).fit(X, y).score(X, y) > 0.4


def frame_of(X, y):
    frame = pd.DataFrame(X, columns=["a_0", "a_1", "b_0", "b_1", "b_2", "c"])
    words = np.array(["the first of all", "a second one here", "and third and last"])[y % 3]
    return frame.assign(words=words)


def test_a_table_of_numbers_and_texts():
    X, y = world()
    frame = frame_of(X, y)
    model = EquipoiseClassifier(**QUICK).fit(frame, y)
    assert set(model.result_["modalities"]) > {"words"}
    assert list(model.feature_names_in_) == list(frame.columns)
    assert model.score(frame, y) > 0.9
    gaps = frame.assign(words=[None, *frame["words"][1:]])
    assert len(model.predict(gaps)) == len(frame)
    again = pickle.loads(pickle.dumps(model))
    assert (again.predict(frame) == model.predict(frame)).all()
    rows = frame.to_dict("records")
    assert (model.predict(rows) == model.predict(frame)).all()
    chosen = {"numbers": ["a_0", "c"], "said": "words"}
    model = EquipoiseClassifier(modalities=chosen, **FAST).fit(frame, y)
    assert list(model.result_["modalities"]) == ["numbers", "said"]


def test_a_table_of_numbers_is_an_array_with_names():
    X, y = world()
    frame = frame_of(X, y).drop(columns="words")
    chosen = {"first": ["a_0", "a_1"], "second": ["b_0", "c"]}
    model = EquipoiseClassifier(modalities=chosen, **FAST).fit(frame, y)
    columns = {"first": [0, 1], "second": [2, 5]}
    other = EquipoiseClassifier(modalities=columns, **FAST).fit(X, y)
    assert (model.predict_proba(frame) == other.predict_proba(X)).all()
    inferred = EquipoiseClassifier(**FAST).fit(frame, y)
    assert list(inferred.result_["modalities"]) == ["a", "b", "table"]
    assert len(inferred.predict(frame.to_numpy())) == 120
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[frame.columns[::-1]])


def test_a_modality_of_nan_is_absent():
    X, y = world(count=150)
    X[::4, :3] = np.nan
    model = EquipoiseClassifier(modalities=TWO, **QUICK).fit(X, y)
    assert model.score(X, y) > 0.8
    counts = model.result_["validation"]
    assert counts["modalities"]["left"]["count"] < counts["modalities"]["right"]["count"]
    for row in (X[:1].copy(), X[1:2].copy()):
        row[:, 4] = np.nan
        with pytest.raises(ValueError, match="contains NaN"):
            model.predict(row)
    with pytest.raises(ValueError, match="NaN in every modality of row 0"):
        model.predict(np.full((1, 6), np.nan))


def test_a_table_may_have_gaps_inside_a_row():
    X, y = world()
    frame = frame_of(X, y).drop(columns="words")
    frame.iloc[::3, 0] = np.nan
    frame.iloc[::5, 4] = np.nan
    chosen = {"first": ["a_0", "a_1"], "second": ["b_0", "b_1"], "third": ["b_2", "c"]}
    for modalities in (chosen, None):
        model = EquipoiseClassifier(modalities=modalities, **QUICK).fit(frame, y)
        assert model.score(frame, y) > 0.8
    model = EquipoiseClassifier(modalities=chosen, **FAST).fit(frame.fillna(0), y)
    with pytest.raises(ValueError, match="contains NaN"):
        model.predict(frame)


def test_a_dict_of_arrays():
    X, y = world()
    rng = np.random.default_rng()
    data = {
        "vector": X,
        "series": rng.normal(size=(120, 7, 2)),
        "picture": rng.normal(size=(120, 1, 8, 8)) + y[:, None, None, None],
    }
    model = EquipoiseClassifier(**FAST).fit(data, y)
    assert list(model.result_["modalities"]) == list(data)
    turned = {name: data[name] for name in reversed(data)}
    assert (model.predict_proba(turned) == model.predict_proba(data)).all()
    assert model.n_features_in_ == 6 + 14 + 64
    for wrong in ({**data, "vector": X[:, :4]}, {"vector": X}, X, csr_array(X)):
        with pytest.raises((ValueError, TypeError), match="X"):
            model.predict(wrong)


def test_a_weight_is_a_number_of_copies():
    X, y = world(count=150)
    weight = np.random.default_rng().integers(0, 4, size=150)
    model = EquipoiseClassifier(modalities=TWO, **FAST)
    weighted = model.fit(X, y, sample_weight=weight).predict_proba(X)
    rows = np.random.default_rng().permutation(np.repeat(np.arange(150), weight))
    repeated = model.fit(X[rows], y[rows]).predict_proba(X)
    assert np.allclose(weighted, repeated, atol=1e-6)
    assert not np.allclose(weighted, model.fit(X, y).predict_proba(X), atol=1e-3)


def test_class_weights_move_the_decision():
    rng = np.random.default_rng(0)
    y = (np.arange(300) < 30).astype(int)
    X = rng.normal(size=(300, 6)) + 0.5 * y[:, None]
    found = [
        EquipoiseClassifier(modalities=TWO, class_weight=weight, **QUICK).fit(X, y).predict(X)
        for weight in (None, "balanced", {0: 1, 1: 1000})
    ]
    counts = [predicted.sum() for predicted in found]
    assert counts[0] < counts[1] < counts[2]
    assert counts[2] > 150


@pytest.mark.parametrize(("count", "classes"), [(2, 2), (3, 3), (4, 2), (12, 12), (30, 15)])
def test_a_handful_of_rows(count, classes):
    X, y = world(count, classes)
    model = EquipoiseClassifier(modalities=TWO, **QUICK).fit(10 * X, y)
    assert model.score(10 * X, y) >= 0.5
    assert len(model.classes_) == classes


def test_a_class_of_one_row_is_trained_on():
    X, y = world(count=200)
    y[17] = 9
    model = EquipoiseClassifier(modalities=TWO, **FAST)
    for seed in range(5):
        model.set_params(random_state=seed).fit(X, y)
        assert list(model.classes_) == [0, 1, 2, 9]


def test_rows_are_kept_back_in_proportion():
    codes = np.random.default_rng().permutation(np.repeat([0, 1, 2, 3], [500, 300, 199, 1]))
    rows = np.arange(1000)
    train, validation = divide_rows(rows, codes, np.ones(1000), 0.2, 3, searched=False)
    assert sorted([*train, *validation]) == list(rows)
    assert np.abs(np.bincount(codes[validation], minlength=4) - [100, 60, 40, 0]).max() <= 1
    assert set(codes[train]) == {0, 1, 2, 3}
    every = divide_rows(rows, rows, np.ones(1000), 0.2, 3, searched=False)
    assert list(every[0]) == list(every[1]) == list(rows), "no class has a row to spare"
    train, validation = divide_rows(rows[:40], codes, np.ones(1000), 0.2, 3, searched=False)
    assert list(train) == list(validation) == list(rows[:40])


@pytest.mark.parametrize("weighted", [False, True])
def test_a_search_is_a_classifier_too(weighted, tmp_path):
    X, y = world(count=90)
    names = np.array(["p", "q", "r"])[y]
    X[::6, :3] = np.nan
    weight = np.random.default_rng().integers(1, 4, size=90) if weighted else None
    model = EquipoiseClassifier(modalities=TWO, time_limit=4, epochs=2, random_state=0)
    model.fit(X, names, sample_weight=weight)
    assert model.score(X, names) > 0.8
    again = pickle.loads(pickle.dumps(model))
    assert (again.predict_proba(X) == model.predict_proba(X)).all()
    assert len(model.result_["members"]) > 1
    run = model.save(tmp_path / "kept" / "run")
    assert run.result["modalities"] == list(TWO)
    with pytest.raises(ValueError, match="leave out 'method'"):
        clone(model).set_params(method="mla").fit(X, names)
    with pytest.raises(ValueError, match="too few for a search"):
        model.fit(X[:5], names[:5])


def test_a_saved_classifier_is_a_run(tmp_path):
    X, y = world()
    frame = frame_of(X, y).drop(columns="words")
    names = np.array(["p", "q", "r"])[y]
    model = EquipoiseClassifier(**FAST).fit(frame, names)
    run = model.save(tmp_path / "kept" / "run")
    assert run.result == model.result_
    assert len(run.history) == 3
    predicted = run.predict(frame)
    assert (predicted["prediction"].to_numpy() == model.predict(frame)).all()
    measured = equipoise.evaluate(run, frame.assign(label=names))
    assert measured["fused"]["accuracy"] == pytest.approx(model.score(frame, names))
    with pytest.raises(FileExistsError):
        model.save(tmp_path / "kept" / "run")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"modalities": {"a": [9]}}, "no column 9"),
        ({"modalities": {"a": "x"}}, "no column 'x'"),
        ({"modalities": {}}, "at least one"),
        ({"modalities": {"a": slice(6, 9)}}, "at least one"),
        ({"modalities": {"fused": slice(0, 3)}}, "cannot name a modality"),
        ({"validation_fraction": 1.5}, "validation_fraction"),
        ({"validation_fraction": "all"}, "validation_fraction"),
        ({"modalities": ["a"]}, "must be a dict"),
        ({"method": "mlaa"}, "did you mean 'mla'"),
        ({"settings": {"epocs": 3}}, "did you mean 'epochs'"),
        ({"class_weight": "equal"}, "class_weight"),
    ],
)
def test_wrong_parameters_are_refused(options, said):
    X, y = world(30)
    with pytest.raises((ValueError, ConfigError), match=said):
        EquipoiseClassifier(**{**FAST, **options}).fit(X, y)


def test_data_that_cannot_be_learned_from_are_refused():
    X, y = world(30)
    model = EquipoiseClassifier(**FAST)
    with pytest.raises(ValueError, match="1 class"):
        model.fit(X, np.ones(30))
    with pytest.raises(ValueError, match="1 class"):
        model.fit(X, y, sample_weight=(y == 1).astype(float))
    with pytest.raises(TypeError, match="Sparse"):
        model.fit(csr_array(X), y)
    with pytest.raises(ValueError, match="two columns of the name 'a'"):
        model.fit(pd.DataFrame(X, columns=list("abcaef")), y)
    with pytest.raises(ValueError, match="leave out 'modalities'"):
        clone(model).set_params(modalities=TWO).fit({"a": X}, y)
    with pytest.raises(ValueError, match="inconsistent"):
        model.fit({"a": X, "b": X[:20]}, y)


def test_progress_is_shown_where_it_is_wanted(capsys):
    X, y = world(30)
    EquipoiseClassifier(**FAST).fit(X, y)
    assert capsys.readouterr() == ("", "")
    EquipoiseClassifier(verbose=1, **FAST).fit(X, y)
    assert "epoch 3/3" in capsys.readouterr().err
