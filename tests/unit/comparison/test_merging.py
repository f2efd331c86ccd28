"""Additions to the folder of a comparison, those allowed and those refused."""

import pytest
import yaml

from equipoise.comparison import cell as cells_module
from equipoise.comparison.plan_input import plan_from
from equipoise.comparison.run import run_comparison
from equipoise.errors import RunError, TrainingError
from equipoise.settings import Settings

DATA = {"source": "synthetic", "options": {"samples": 120}}
GRID = {"optimiser.lr": [0.01, 0.1]}


def bench(folder, methods, seeds=(0,), missing=None, data=DATA, **more):
    """Run a comparison; {(label, seed): status}, or {(label, seed, rate): status} of a sweep."""
    data = data if missing is None else {**data, "missing": missing}
    values = {
        "epochs": 1,
        "select": "accuracy",
        "width": 8,
        "data": data,
        "methods": methods,
        "seeds": list(seeds),
        **more,
    }
    outcomes = run_comparison(plan_from(values), folder)
    rate = [] if missing is None else [o.cell.settings.data.missing for o in outcomes]
    keys = [(o.cell.label, o.cell.seed, *rate[k : k + 1]) for k, o in enumerate(outcomes)]
    return {key: outcome.status for key, outcome in zip(keys, outcomes, strict=True)}


def recorded(folder):
    return yaml.safe_load((folder / "bench.yaml").read_text())


def trained(folder):
    return sorted(folder.rglob("result.json"))


OTHERS = {
    "epochs": {"epochs": 2},
    "lr": {"optimiser": {"lr": 0.2}},
    "samples": {"data": {"source": "synthetic", "options": {"samples": 90}}},
    "data": {"data": "digits"},
}


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize(
    ("methods", "seeds"), [({"joint": None}, [1, 2]), ({"late": None}, [0]), ({"late": None}, [5])]
)
def test_one_table_holds_one_set_of_settings(tmp_path, other, methods, seeds):
    bench(tmp_path, {"joint": None})
    before = recorded(tmp_path), trained(tmp_path)
    with pytest.raises(
        RunError, match=rf"joint/seed-0: made with another .*{other}.*; choose another --out"
    ):
        bench(tmp_path, methods, seeds, **OTHERS[other])
    assert (recorded(tmp_path), trained(tmp_path)) == before


def test_so_does_a_sweep_at_all_its_rates(tmp_path):
    bench(tmp_path, {"joint": None}, missing=[0.1, 0.3])
    with pytest.raises(RunError, match=r"missing-0.1/cells/joint/seed-0: made with another epochs"):
        bench(tmp_path, {"joint": None}, missing=[0.2], epochs=2)
    assert bench(tmp_path, {"joint": None, "late": None}, missing=[0.2, 0.3]) == {
        ("joint", 0, 0.2): "done",
        ("late", 0, 0.2): "done",
        ("joint", 0, 0.3): "skipped",
        ("late", 0, 0.3): "done",
    }


def test_seeds_and_methods_with_options_of_their_own_are_added(tmp_path):
    bench(tmp_path, {"joint": None})
    slow = {"method": "joint", "optimiser": {"lr": 1e-4}}
    assert bench(tmp_path, {"joint": None, "slow": slow}, [0, 1])["joint", 0] == "skipped"
    assert set(bench(tmp_path, {"late": {"head": "sum"}}, [2]).values()) == {"done"}
    assert len(trained(tmp_path)) == 5
    assert set(recorded(tmp_path)["methods"]) == {"joint", "slow", "late"}


def test_what_changes_no_result_may_differ(tmp_path):
    bench(tmp_path, {"joint": None})
    data = {**DATA, "cache": str(tmp_path / "cache")}
    assert bench(
        tmp_path, {"joint": None}, [0, 1], data=data, checkpoint_every=1, device="cpu"
    ) == {
        ("joint", 0): "skipped",
        ("joint", 1): "done",
    }


def test_a_method_that_failed_binds_nobody(tmp_path, monkeypatch):
    train = cells_module.run.train

    def broken(settings, folder, **options):
        train(settings, folder, **options)
        (folder / "result.json").unlink()
        raise TrainingError("the loss is nan")

    with monkeypatch.context() as failing:
        failing.setattr(cells_module.run, "train", broken)
        assert bench(tmp_path, {"joint": None}, grid=GRID) == {("joint", 0): "failed"}
    other = {"optimiser.lr": [0.001, 0.002]}
    assert bench(tmp_path, {"late": None}, epochs=2, grid=other) == {("late", 0): "done"}
    assert recorded(tmp_path)["grid"] == other


def test_a_choice_that_has_results_is_not_exchanged(tmp_path):
    bench(tmp_path, {"joint": None}, grid=GRID)
    (was,) = recorded(tmp_path)["chosen"]["joint"].values()
    other = next(value for value in GRID["optimiser.lr"] if value != was)
    with pytest.raises(RunError, match=r"joint/seed-0: made with another optimiser.lr"):
        bench(tmp_path, {"joint": None}, [1], chosen={"joint": {"optimiser.lr": other}})


def test_what_is_added_to_a_searched_sweep_is_searched_too(tmp_path, monkeypatch):
    bench(tmp_path, {"joint": None, "mla": None}, missing=[0.1, 0.2], grid=GRID)
    assert bench(tmp_path, {"late": None}, missing=[0.1, 0.2]) == {
        ("late", 0, 0.1): "done",
        ("late", 0, 0.2): "done",
    }
    assert recorded(tmp_path)["grid"] == GRID
    for rate in (0.1, 0.2):
        place = tmp_path / f"missing-{rate}"
        chosen = recorded(place)["chosen"]
        assert set(chosen) == {"joint", "mla", "late"}
        assert recorded(place)["grid"] == GRID
        for label, choice in chosen.items():
            settings = Settings.load(place / "cells" / label / "seed-0/config.yaml")
            assert {"optimiser.lr": settings.optimiser.lr} == choice
    before = trained(tmp_path)
    monkeypatch.setattr(cells_module.run, "train", None)  # nothing is left to train
    assert set(run_again(tmp_path).values()) == {"skipped"}
    assert trained(tmp_path) == before


def run_again(folder):
    """As `equipoise bench --config <folder>/bench.yaml --out <folder>` does."""
    return {o.cell.folder: o.status for o in run_comparison(plan_from(recorded(folder)), folder)}


@pytest.mark.parametrize("missing", [None, [0.1]])
@pytest.mark.parametrize("first", [{}, {"grid": GRID}])
def test_searches_over_different_grids_are_not_compared(tmp_path, missing, first):
    bench(tmp_path, {"joint": None}, missing=missing, **first)
    before = recorded(tmp_path), trained(tmp_path)
    with pytest.raises(
        RunError, match=r"made (over the grid|without a search).*; choose another --out"
    ):
        bench(tmp_path, {"late": None}, missing=missing, grid={"optimiser.lr": [0.01, 0.2]})
    assert (recorded(tmp_path), trained(tmp_path)) == before


def test_seeds_that_are_added_train_under_what_was_chosen(tmp_path, monkeypatch):
    """The new seed alone would choose otherwise."""
    scored = cells_module.run.train

    def rigged(settings, folder, **options):
        done = scored(settings, folder, **options)
        best = 0.01 if settings.seed == 0 else 0.1
        done.result["validation"]["fused"]["accuracy"] = float(settings.optimiser.lr == best)
        return done

    monkeypatch.setattr(cells_module.run, "train", rigged)
    bench(tmp_path, {"joint": None}, [0], grid=GRID)
    assert bench(tmp_path, {"joint": None}, [0, 1], grid=GRID) == {
        ("joint", 0): "skipped",
        ("joint", 1): "done",
    }
    assert recorded(tmp_path)["chosen"] == {"joint": {"optimiser.lr": 0.01}}
    assert Settings.load(tmp_path / "cells/joint/seed-1/config.yaml").optimiser.lr == 0.01
    assert set(run_again(tmp_path).values()) == {"skipped"}
