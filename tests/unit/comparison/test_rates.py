from itertools import pairwise

import pytest
import yaml

from equipoise.comparison import cell as cells_module
from equipoise.comparison.plan_input import plan_from
from equipoise.comparison.rates import find_rates, rate_folder, read_rates
from equipoise.comparison.run import run_comparison
from equipoise.errors import ConfigError, RunError

SHARED = {
    "data": {"source": "synthetic", "options": {"samples": 120}},
    "epochs": 1,
    "select": "accuracy",
    "width": 8,
    "seeds": [0],
}


def plan(missing, **more):
    values = {**SHARED, "methods": {"joint": None}, **more}
    return plan_from({**values, "data": {**SHARED["data"], "missing": missing}})


@pytest.mark.parametrize(
    ("value", "rates"),
    [
        ("0.1:0.7:0.1", (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)),
        ("0:0.5:0.25", (0, 0.25, 0.5)),
        ("0:0.6:0.25", (0, 0.25, 0.5)),
        ("0.3,0.1", (0.1, 0.3)),
        ([0.5], (0.5,)),
        ((0, 0.2), (0, 0.2)),
    ],
)
def test_rates(value, rates):
    assert read_rates(value) == rates


@pytest.mark.parametrize(
    "value",
    [
        "0.1:0.7",
        "0.1:1.2:0.1",
        "0.7:0.1:0.1",
        "0:0.5:0",
        "a,b",
        "",
        [],
        [0.1, 0.1],
        "0.1,-0.1",
        "::",
        "nan,0.1",
    ],
)
def test_wrong_rates(value):
    with pytest.raises(ConfigError, match="missing must be"):
        read_rates(value)


def test_folders_of_rates_are_found_in_ascending_order(tmp_path):
    for rate in (0.5, 0.05, 0):
        (rate_folder(tmp_path, rate) / "cells").mkdir(parents=True)
    assert list(find_rates(tmp_path)) == [0, 0.05, 0.5]


def test_one_rate_is_no_sweep():
    assert plan(0.3).rates == ()
    assert plan(0.3).settings("joint", 0).data.missing == 0.3


def test_a_sweep_is_a_comparison_at_each_rate_in_all_splits(tmp_path):
    outcomes = run_comparison(plan("0:0.4:0.2", seeds=[0, 1]), tmp_path)
    assert [(o.cell.settings.data.missing, o.cell.seed, o.status) for o in outcomes] == [
        (rate, seed, "done") for rate in (0, 0.2, 0.4) for seed in (0, 1)
    ]
    counts = [o.result["test"]["modalities"] for o in outcomes[::2]]
    assert all(a[m]["count"] > b[m]["count"] for a, b in pairwise(counts) for m in a)
    for rate in (0, 0.2, 0.4):
        level = plan_from(yaml.safe_load((rate_folder(tmp_path, rate) / "bench.yaml").read_text()))
        assert level == plan(rate, seeds=[0, 1])


def test_rate_0_of_a_sweep_is_the_comparison_without_missing_cells(tmp_path):
    swept = run_comparison(plan([0.0, 0.3]), tmp_path / "sweep")
    plain = run_comparison(plan(0.0), tmp_path / "plain")
    assert swept[0].result["test"] == plain[0].result["test"]
    assert swept[1].result["test"] != plain[0].result["test"]


def test_a_sweep_goes_on_with_more_rates_and_keeps_what_is_done(tmp_path):
    run_comparison(plan("0.1,0.2"), tmp_path)
    again = run_comparison(plan("0.2:0.3:0.1"), tmp_path)
    assert [o.status for o in again] == ["skipped", "done"]
    recorded = plan_from(yaml.safe_load((tmp_path / "bench.yaml").read_text()))
    assert recorded.rates == (0.1, 0.2, 0.3)
    assert [o.status for o in run_comparison(recorded, tmp_path)] == ["skipped"] * 3


def test_sweeps_and_comparisons_have_folders_of_their_own(tmp_path):
    run_comparison(plan("0.1,0.2"), tmp_path)
    before = (tmp_path / "bench.yaml").read_text()
    with pytest.raises(RunError, match="holds a sweep over missing rates already"):
        run_comparison(plan(0.1), tmp_path)
    assert (tmp_path / "bench.yaml").read_text() == before
    with pytest.raises(RunError, match="holds a comparison at one missing rate already"):
        run_comparison(plan("0.1,0.2"), tmp_path / "missing-0.1")


def test_each_rate_chooses_for_itself(tmp_path, monkeypatch):
    """The learning rate that is better with little missing must not be taken where much is."""

    train = cells_module.run.train

    def rigged(settings, folder, **options):
        done = train(settings, folder, **options)
        good = (settings.optimiser.lr == 0.5) == (settings.data.missing == 0.1)
        done.result["validation"]["fused"]["accuracy"] = 0.2 + 0.7 * good
        return done

    monkeypatch.setattr(cells_module.run, "train", rigged)
    outcomes = run_comparison(plan("0.1,0.4", grid={"optimiser.lr": [0.1, 0.5]}), tmp_path)
    assert [o.cell.settings.optimiser.lr for o in outcomes] == [0.5, 0.1]
    assert [cells_module.run.Run.open(o.cell.folder).settings.optimiser.lr for o in outcomes] == [
        0.5,
        0.1,
    ]


def test_so_many_rates_are_no_sweep():
    with pytest.raises(ConfigError, match=r"asks for 900,000,001 rates, .* at most 100"):
        read_rates("0:0.9:1e-9")


def test_two_rates_never_share_a_folder(tmp_path):
    rates = read_rates([0.1234567, 0.1234568, 0.1])
    folders = [rate_folder(tmp_path, rate) for rate in rates]
    assert folders[0].name == "missing-0.1"
    for folder in folders:
        (folder / "cells").mkdir(parents=True)
    assert tuple(find_rates(tmp_path)) == rates
