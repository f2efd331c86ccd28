"""Cross-validation: every labelled row is tested once, by class and by group."""

import numpy as np
import pandas as pd
import pytest

import equipoise
from equipoise import data
from equipoise.comparison.plan_input import plan_from
from equipoise.comparison.run import run_comparison
from equipoise.errors import ConfigError, DataError, RunError
from equipoise.evaluation.statistics import mean_and_std
from equipoise.report.records import difference, read_board, read_runs
from equipoise.settings import DataSettings, Settings


@pytest.fixture
def frame():
    rng = np.random.default_rng()
    label = np.arange(90) % 3
    return pd.DataFrame(
        {
            "x": rng.normal(size=90) + 2 * label,
            "y": rng.normal(size=90) - label,
            "who": [f"p{k // 3}" for k in range(90)],
            "label": label,
        }
    )


def loaded(frame, **options):
    given = {"modality": ["a=x", "b=y"], "folds": 5, **options}
    return [data.load(DataSettings(source=frame, fold=k, **given)) for k in range(5)]


@pytest.mark.parametrize("group", [None, "who"])
def test_every_row_is_tested_once(frame, group):
    parts = loaded(frame, group=group, validation=0.2)
    tested = [i for splits in parts for i in splits.test.ids]
    assert sorted(tested, key=int) == [str(k) for k in range(90)]
    for splits in parts:
        assert list(np.bincount(splits.test.label)) == [6, 6, 6]
        assert len(splits.validation) == 18
        rows = [set(getattr(splits, part).ids) for part in ("train", "validation", "test")]
        assert sum(map(len, rows)) == len(set.union(*rows)) == 90
        if group:
            people = [{frame["who"][int(i)] for i in ids} for ids in rows]
            assert sum(map(len, people)) == len(set.union(*people)) == 30


def test_the_seed_of_the_data_decides(frame):
    first, again, other = (loaded(frame, seed=seed)[2] for seed in (1, 1, 2))
    assert first.test.ids == again.test.ids != other.test.ids
    assert first.validation.ids == again.validation.ids


def test_what_cannot_be_folded_is_refused(frame):
    with pytest.raises(DataError, match="too few samples of each class for 5 folds"):
        loaded(frame[:12].assign(label=[0] * 9 + [1] * 3))
    with pytest.raises(DataError, match="4 groups cannot be divided into 5 folds"):
        loaded(frame.assign(who=np.arange(90) % 4), group="who")
    with pytest.raises(ConfigError, match="built-in data set draws its own splits"):
        data.load(DataSettings(source="synthetic", folds=5))
    for wrong in ({"folds": 1}, {"folds": 5, "fold": 5}, {"folds": 5, "split": "part"}):
        with pytest.raises(ConfigError, match="'fold"):
            Settings.from_dict({"data": wrong})
    with pytest.raises(ConfigError, match="folds: a grid would choose"):
        plan_from({"methods": "joint", "grid": {"width": [4, 8]}, "folds": 3}).check()
    with pytest.raises(ConfigError, match="synthetic: a built-in data set draws its own splits"):
        plan_from({"data": "synthetic", "methods": "joint", "folds": 3}).check()
    with pytest.raises(ConfigError, match="folds must be"):
        plan_from({"methods": "joint", "folds": 1})


def test_a_prepared_split_is_not_drawn_anew(frame, tmp_path):
    frame.assign(part=["train", "val", "test"] * 30).to_csv(tmp_path / "m.csv")
    (tmp_path / "dataset.json").write_text(
        '{"manifest": "m.csv", "modalities": ["a=x", "b=y"], "split": "part"}'
    )
    with pytest.raises(ConfigError, match="'part' names the splits"):
        data.load(DataSettings(source=str(tmp_path), folds=5))


def test_a_comparison_over_folds_goes_on_and_is_compared_in_pairs(frame, tmp_path):
    frame.to_csv(tmp_path / "m.csv", index=False)
    shared = {
        "data": {"source": str(tmp_path / "m.csv"), "modality": ["a=x", "b=y"]},
        "epochs": 2,
        "width": 8,
        "folds": 3,
    }
    folder = tmp_path / "out"
    first = run_comparison(plan_from({**shared, "methods": "joint", "seeds": [0]}), folder)
    assert [o.status for o in first] == ["done"] * 3
    both = plan_from({**shared, "methods": "joint,late", "seeds": [0, 1]})
    outcomes = run_comparison(both, folder)
    assert sorted(o.status for o in outcomes) == ["done"] * 9 + ["skipped"] * 3
    assert {o.cell.folder.name for o in outcomes} == {
        f"seed-{s}-fold-{k}" for s in (0, 1) for k in range(3)
    }
    board = read_board([folder])
    assert (board.seeds("joint"), board.repeats) == (2, "3 folds and all seeds")
    scores = [o.result["test"]["fused"]["accuracy"] for o in outcomes if o.cell.label == "late"]
    found = board.score("late")
    assert (found.mean, found.deviation) == pytest.approx(mean_and_std(scores))
    groups, _ = read_runs([folder])
    paired = difference(groups[1], groups[0])
    means = [np.mean([r.measured["fused"]["accuracy"] for r in g.runs]) for g in groups]
    assert paired.difference == pytest.approx(means[1] - means[0])
    with pytest.raises(RunError, match="over 3 folds already"):
        run_comparison(plan_from({**shared, "methods": "joint", "folds": 4}), folder)


def test_in_python(frame, tmp_path):
    options = {"modality": ["a=x", "b=y"], "epochs": 1, "width": 4, "verbose": 0}
    found = equipoise.compare(frame, ["joint"], seeds=1, folds=3, out=tmp_path / "cv", **options)
    assert not found.errors
    assert len(list((tmp_path / "cv/cells/joint").glob("seed-0-fold-*/result.json"))) == 3
    assert found.report.is_file()
