"""Members of scikit-learn: what is stored or computed otherwise agrees with scikit-learn itself."""

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from equipoise.errors import RunError
from equipoise.portfolio.classical import Classical, fit_rotated
from equipoise.portfolio.features import Features
from equipoise.portfolio.forest import Forest
from equipoise.portfolio.members import Member
from equipoise.testing.world import fresh_seed


@pytest.mark.parametrize("kind", [ExtraTreesClassifier, RandomForestClassifier])
@pytest.mark.parametrize("classes", [2, 5])
def test_a_forest_of_arrays_predicts_as_that_of_scikit_learn(kind, classes):
    rng = np.random.default_rng(fresh_seed())
    rows = rng.normal(size=(150, 6)).astype(np.float32)
    label = rng.integers(classes, size=150)
    fitted = kind(20, random_state=0).fit(rows, label, sample_weight=rng.random(150))
    new = rng.normal(size=(60, 6)).astype(np.float32)
    forest = Forest(**Forest.of(fitted).arrays())
    np.testing.assert_allclose(forest.predict_proba(new), fitted.predict_proba(new), atol=1e-6)


@pytest.mark.parametrize("change", [("low", -1), ("low", 10**6), ("roots", 10**6)])
def test_arrays_that_are_no_trees_are_refused(change):
    rng = np.random.default_rng(fresh_seed())
    fitted = ExtraTreesClassifier(3).fit(rng.normal(size=(40, 3)), rng.integers(3, size=40))
    arrays = Forest.of(fitted).arrays()
    name, value = change
    arrays[name][0] = value
    with pytest.raises(ValueError, match="no forest"):
        Forest(**arrays)


def test_a_walk_through_damaged_trees_would_not_end_and_is_refused():
    rng = np.random.default_rng(fresh_seed())
    fitted = ExtraTreesClassifier(3).fit(rng.normal(size=(40, 3)), rng.integers(3, size=40))
    arrays = Forest.of(fitted).arrays()
    inner = np.flatnonzero(arrays["column"] >= 0)[-1]
    arrays["low"][inner] = inner
    with pytest.raises(ValueError, match="no forest"):
        Forest(**arrays)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_linear_model_of_more_columns_than_rows_is_that_of_scikit_learn(classes):
    rng = np.random.default_rng(fresh_seed())
    rows = rng.normal(size=(40, 200)) / np.sqrt(200)
    label = np.arange(40) % classes
    weight = rng.random(40) + 0.5
    ours = LogisticRegression(C=10.0, tol=1e-8, max_iter=2000)
    fit_rotated(ours, rows, label, weight)
    theirs = LogisticRegression(C=10.0, tol=1e-8, max_iter=2000).fit(rows, label, weight)
    new = rng.normal(size=(30, 200)) / np.sqrt(200)
    np.testing.assert_allclose(ours.predict_proba(new), theirs.predict_proba(new), atol=1e-3)


@pytest.mark.parametrize("family", ["linear", "kernel", "extra_trees", "boosting"])
@pytest.mark.parametrize("unseen", [0, 2])
def test_a_stored_member_predicts_as_before_and_gives_an_unseen_class_no_chance(
    tmp_path, family, unseen
):
    rng = np.random.default_rng(fresh_seed())
    label = np.array([k for k in range(4) if k != unseen])[rng.integers(3, size=90)]
    features = Features(
        {"a": (np.eye(4)[label] + rng.normal(size=(90, 4))).astype(np.float32)},
        {},
        {"a": np.ones(90, dtype=bool)},
    )
    scaling = "columns" if family in ("linear", "kernel") else "none"
    member = Member("one", family, ("a",), {"scaling": scaling})
    fitted = Classical.fit(member, features, label, 4, seed=0)
    fitted.save(tmp_path)
    logits = Classical.load(tmp_path).logits(features)
    np.testing.assert_allclose(logits, fitted.logits(features), atol=1e-5)
    assert (logits.argmax(1) != unseen).all()


def test_a_damaged_forest_is_refused_in_one_line(tmp_path):
    rng = np.random.default_rng(fresh_seed())
    features = Features(
        {"a": rng.normal(size=(30, 2)).astype(np.float32)}, {}, {"a": np.ones(30, dtype=bool)}
    )
    member = Member("one", "extra_trees", ("a",), {"scaling": "none", "n_estimators": 3})
    Classical.fit(member, features, np.arange(30) % 2, 2, seed=0).save(tmp_path)
    path = tmp_path / "forest.npz"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(RunError, match="damaged member"):
        Classical.load(tmp_path)
