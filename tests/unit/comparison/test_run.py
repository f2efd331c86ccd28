import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
import yaml

from equipoise.comparison import cell as cells_module
from equipoise.comparison.plan_input import plan_from
from equipoise.comparison.run import run_comparison
from equipoise.data.table.table import Table
from equipoise.errors import Interrupted, RunError, TrainingError
from equipoise.evaluation.predictions import load_predictions

SHARED = {
    "data": {"source": "synthetic", "options": {"samples": 120}},
    "epochs": 1,
    "select": "accuracy",
    "width": 8,
}


def test_cells_are_run_once_and_more_can_be_added(tmp_path):
    first = run_comparison(
        plan_from({**SHARED, "methods": {"joint": None}, "seeds": [0, 1]}), tmp_path
    )
    assert [outcome.status for outcome in first] == ["done", "done"]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("cells/**/*.*")}
    plan = plan_from(
        {
            **SHARED,
            "methods": {"joint": None, "sum": {"method": "joint", "head": "sum"}},
            "seeds": [0, 1],
        }
    )
    second = run_comparison(plan, tmp_path)
    assert [outcome.status for outcome in second] == ["skipped", "done"] * 2
    assert [outcome.result for outcome in second[::2]] == [outcome.result for outcome in first]
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    run_comparison(
        plan_from(
            {**SHARED, "methods": {"late": {"method": "joint", "head": "late"}}, "seeds": [1]}
        ),
        tmp_path,
    )
    recorded = plan_from(yaml.safe_load((tmp_path / "bench.yaml").read_text()))
    assert set(recorded.methods) == {"joint", "sum", "late"}
    assert recorded.seeds == (0, 1)


def test_other_settings_are_not_mixed_in(tmp_path):
    run_comparison(plan_from({**SHARED, "methods": {"joint": None}, "seeds": [0]}), tmp_path)
    before = (tmp_path / "bench.yaml").read_text()
    with pytest.raises(RunError, match="epochs"):
        run_comparison(
            plan_from({**SHARED, "epochs": 2, "methods": {"joint": None}, "seeds": [0]}), tmp_path
        )
    assert (tmp_path / "bench.yaml").read_text() == before


def test_a_failed_cell_is_recorded_tried_again_and_costs_no_other(tmp_path, monkeypatch):
    train = cells_module.run.train

    def broken(settings, folder, **options):
        if settings.seed == 0:
            raise ZeroDivisionError("a defect\nin two lines")
        return train(settings, folder, **options)

    plan = plan_from({**SHARED, "methods": {"joint": None}, "seeds": [0, 1]})
    monkeypatch.setattr(cells_module.run, "train", broken)
    outcomes = run_comparison(plan, tmp_path)
    assert [outcome.status for outcome in outcomes] == ["failed", "done"]
    assert outcomes[0].error == "ZeroDivisionError: a defect in two lines"
    written = (tmp_path / "cells/joint/seed-0/error.txt").read_text()
    assert written.splitlines()[0] == outcomes[0].error
    assert "Traceback" in written
    monkeypatch.setattr(cells_module.run, "train", train)
    assert [outcome.status for outcome in run_comparison(plan, tmp_path)] == ["done", "skipped"]
    assert not (tmp_path / "cells/joint/seed-0/error.txt").exists()


def ending(error):
    """A training that ends with this error after its first epoch, which it has checkpointed."""
    train = cells_module.run.train

    def report(line):
        raise error

    return lambda settings, folder, **options: train(
        settings, folder, **{**options, "callbacks": [report]}
    )


def test_a_cell_that_failed_is_begun_anew_under_other_settings(tmp_path, monkeypatch):
    folder = tmp_path / "cells/joint/seed-0"
    with monkeypatch.context() as broken:
        broken.setattr(cells_module.run, "train", ending(TrainingError("the loss is nan")))
        assert run_comparison(
            plan_from({**SHARED, "methods": {"joint": None}, "seeds": [0]}), tmp_path
        )[0].error
    assert list((folder / "checkpoints").glob("epoch-*"))
    plan = plan_from(
        {**SHARED, "optimiser": {"lr": 0.02}, "methods": {"joint": None}, "seeds": [0]}
    )
    assert [outcome.status for outcome in run_comparison(plan, tmp_path)] == ["done"]
    anew = run_comparison(plan, tmp_path / "elsewhere")[0].result
    assert cells_module.run.Run.open(folder).result["test"] == anew["test"]
    assert cells_module.run.Run.open(folder).settings.optimiser.lr == 0.02
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 1
    assert not (folder / "error.txt").exists()


def test_a_cell_that_never_came_to_a_checkpoint_is_begun_anew_under_other_settings(
    tmp_path, monkeypatch
):
    def killed(*given):
        raise Interrupted("in its first epoch")

    plan = plan_from({**SHARED, "methods": {"joint": None}, "seeds": [0]})
    with monkeypatch.context() as broken:
        broken.setattr(cells_module.run, "fit", killed)
        with pytest.raises(Interrupted):
            run_comparison(plan, tmp_path)
    folder = tmp_path / "cells/joint/seed-0"
    assert cells_module.run.Run(folder, {}).settings.epochs == 1
    outcomes = run_comparison(
        plan_from({**SHARED, "epochs": 2, "methods": {"joint": None}, "seeds": [0]}), tmp_path
    )
    assert outcomes[0].result["epochs"] == 2


def test_a_cell_that_can_be_gone_on_with_is_kept(tmp_path, monkeypatch):
    plan = plan_from({**SHARED, "methods": {"joint": None}, "seeds": [0]})
    with monkeypatch.context() as broken:
        broken.setattr(cells_module.run, "train", ending(Interrupted("by a signal")))
        with pytest.raises(Interrupted):
            run_comparison(plan, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(
        RunError, match=r"seed-0: made with another epochs \(1, now 2\); choose another --out"
    ):
        run_comparison(
            plan_from({**SHARED, "epochs": 2, "methods": {"joint": None}, "seeds": [0]}), tmp_path
        )
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert [outcome.status for outcome in run_comparison(plan, tmp_path)] == ["done"]


def test_the_grid_is_chosen_on_the_mean_validation_metric(tmp_path, monkeypatch):
    """The first seed alone would choose otherwise."""
    train = cells_module.run.train
    scores = {
        (0.1, 0): 0.9,
        (0.1, 1): 0.1,
        (0.5, 0): 0.6,
        (0.5, 1): 0.6,
        (1.0, 0): 0.0,
        (1.0, 1): 0.7,
    }

    def rigged(settings, folder, **options):
        done = train(settings, folder, **options)
        done.result["validation"]["fused"]["accuracy"] = scores[
            settings.optimiser.lr, settings.seed
        ]
        return done

    monkeypatch.setattr(cells_module.run, "train", rigged)
    plan = plan_from(
        {
            **SHARED,
            "methods": {"joint": None},
            "seeds": [0, 1],
            "grid": {"optimiser.lr": [0.1, 0.5, 1.0]},
        }
    )
    outcomes = run_comparison(plan, tmp_path)
    assert {outcome.cell.settings.optimiser.lr for outcome in outcomes} == {0.5}
    assert yaml.safe_load((tmp_path / "bench.yaml").read_text())["chosen"] == {
        "joint": {"optimiser.lr": 0.5}
    }
    assert len(list(tmp_path.glob("search/joint/choice-*/seed-*"))) == 6


@pytest.mark.parametrize(
    ("select", "values", "expected"),
    [
        ("log_loss", {0.1: (0.9, 0.8), 0.5: (0.6, 0.4), 1.0: (0.7, 0.7)}, 0.5),
        ("accuracy", {0.1: (0.6, 0.8), 0.5: (0.9, 0.9), 1.0: (0.9, 0.4)}, 1.0),
    ],
)
def test_the_better_choice_is_the_smaller_loss_also_of_equals(
    tmp_path, monkeypatch, select, values, expected
):
    """{rate: (accuracy, log-loss)}"""
    train = cells_module.run.train

    def rigged(settings, folder, **options):
        done = train(settings, folder, **options)
        accuracy, log_loss = values[settings.optimiser.lr]
        done.result["validation"]["fused"] |= {"accuracy": accuracy, "log_loss": log_loss}
        return done

    monkeypatch.setattr(cells_module.run, "train", rigged)
    plan = plan_from(
        {
            **SHARED,
            "select": select,
            "methods": {"joint": None},
            "seeds": [0],
            "grid": {"optimiser.lr": list(values)},
        }
    )
    outcomes = run_comparison(plan, tmp_path)
    assert {outcome.cell.settings.optimiser.lr for outcome in outcomes} == {expected}


@pytest.fixture
def reads(monkeypatch):
    """The batches of the test split that were read so far."""
    batches, load = [], cells_module.run.load_splits

    class Watched(Table):
        def rows(self, indices, epoch=0):
            batches.append(len(indices))
            return super().rows(indices, epoch)

    def watched(*given):
        splits = load(*given)
        values = {f.name: getattr(splits.test, f.name) for f in fields(Table) if f.init}
        return replace(splits, test=Watched(**values))

    monkeypatch.setattr(cells_module.run, "load_splits", watched)
    return batches


def test_a_search_never_reads_the_test_split(tmp_path, reads):
    """Its choice does, when it becomes a cell: as often, and with the same result, as a run."""
    seen = []
    values = {**SHARED, "methods": {"joint": None, "mla": None}, "seeds": [0, 1]}
    searched = run_comparison(
        plan_from({**values, "grid": {"optimiser.lr": [0.01, 0.1], "head": ["sum", "shared"]}}),
        tmp_path / "searched",
        watch=lambda done, total, outcome: seen.append((outcome.cell.choice is None, len(reads))),
    )
    assert [count for cell, count in seen if not cell] == [0] * 16
    assert [count for cell, count in seen if cell][-1] == len(reads)
    assert not [path for path in tmp_path.glob("searched/search/**/*") if "test" in path.name]
    assert all(
        "test" not in json.loads(path.read_text())
        for path in tmp_path.glob("searched/search/**/result.json")
    )
    count = len(reads)
    for outcome in searched:
        cell = outcome.cell
        alone = cells_module.run.train(
            cell.settings, tmp_path / f"{cell.label}-{cell.seed}", label=cell.label
        )
        written = cells_module.run.Run.open(cell.folder).result
        assert written == outcome.result
        assert list(written["test"]) == list(alone.result["test"])
        assert {**written, "cost": 0} == {**alone.result, "cost": 0}
        for split in ("validation", "test"):
            ours, theirs = (
                load_predictions(f / f"predictions/{split}.npz")
                for f in (cell.folder, alone.folder)
            )
            assert (ours.fused == theirs.fused).all()
    assert len(reads) == 2 * count
    again = plan_from(yaml.safe_load((tmp_path / "searched/bench.yaml").read_text()))
    assert {outcome.status for outcome in run_comparison(again, tmp_path / "searched")} == {
        "skipped"
    }
    assert len(reads) == 2 * count


def test_a_choice_is_adopted_whole_or_not_at_all(tmp_path, monkeypatch):
    plan = plan_from(
        {**SHARED, "methods": {"joint": None}, "seeds": [0], "grid": {"width": [4, 8]}}
    )
    with monkeypatch.context() as broken:
        broken.setattr("equipoise.comparison.trials.read_splits", lambda *given, **named: 1 / 0)
        assert "ZeroDivisionError" in run_comparison(plan, tmp_path)[0].error
    assert not (tmp_path / "cells/joint/seed-0/config.yaml").exists()
    monkeypatch.setattr(cells_module.run, "train", None)  # it has been trained
    outcome = run_comparison(plan, tmp_path)[0]
    assert outcome.status == "done"
    assert "test" in cells_module.run.Run.open(outcome.cell.folder).result
    assert [path.name for path in (tmp_path / "cells/joint").iterdir()] == ["seed-0"]


def test_an_interrupted_comparison_goes_on_where_it_stopped(tmp_path, monkeypatch):
    train = cells_module.run.train

    def stopped(settings, folder, **options):
        if settings.seed == 1:
            raise Interrupted("by a signal")
        return train(settings, folder, **options)

    plan = plan_from({**SHARED, "methods": {"joint": None}, "seeds": [0, 1, 2]})
    monkeypatch.setattr(cells_module.run, "train", stopped)
    with pytest.raises(Interrupted, match=r"bench\.yaml"):
        run_comparison(plan, tmp_path)
    assert not Path(tmp_path / "cells/joint/seed-2").exists()
    monkeypatch.setattr(cells_module.run, "train", train)
    assert [outcome.status for outcome in run_comparison(plan, tmp_path)] == [
        "skipped",
        "done",
        "done",
    ]


def test_data_are_read_once_for_all_cells(tmp_path, monkeypatch):
    read = []
    load = cells_module.run.load_splits
    monkeypatch.setattr(
        cells_module.run, "load_splits", lambda *given: read.append(given) or load(*given)
    )
    run_comparison(
        plan_from({**SHARED, "methods": {"a": "joint", "b": "joint"}, "seeds": [0, 1]}), tmp_path
    )
    assert len(read) == 1


@pytest.mark.slow
def test_worker_processes_give_the_same_results(tmp_path):
    values = {
        **SHARED,
        "methods": {"joint": None, "sum": {"method": "joint", "head": "sum"}},
        "seeds": [0],
    }
    alone = run_comparison(plan_from(values), tmp_path / "alone")
    together = run_comparison(plan_from(values), tmp_path / "together", jobs=2)
    for one, other in zip(alone, together, strict=True):
        assert one.result["test"] == other.result["test"]


def test_an_error_of_the_run_is_recorded_as_its_one_line(tmp_path, monkeypatch):
    def diverged(*given, **options):
        raise TrainingError("the loss is nan")

    monkeypatch.setattr(cells_module.run, "train", diverged)
    outcomes = run_comparison(
        plan_from({**SHARED, "methods": {"joint": None}, "seeds": [0]}), tmp_path
    )
    assert (tmp_path / "cells/joint/seed-0/error.txt").read_text() == "the loss is nan\n"
    assert outcomes[0].status == "failed"
