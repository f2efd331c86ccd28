"""The lengths of a training follow from its rows, and the run writes down what they became."""

import json
import random
import warnings
from dataclasses import replace

import pytest

from equipoise.api import compare
from equipoise.configuration.layers import make_settings, nest
from equipoise.errors import RunError
from equipoise.methods.baselines.joint import Joint
from equipoise.runs import run
from equipoise.runs.callbacks import Callback
from equipoise.runs.lengths import Lengths, describe_lengths, lengths_of, settle
from equipoise.runs.trained import Trained
from equipoise.settings import Settings

QUICK = {"data": {"source": "synthetic", "options": {"samples": 40}}, "width": 8, "device": "cpu"}


class Started(Callback):
    """Keeps what is said before the first epoch."""

    def on_start(self, facts):
        self.facts = facts


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (1, Lengths(100, 16, 20)),
        (126, Lengths(100, 16, 20)),  # 8 batches
        (1_260, Lengths(100, 64, 20)),  # 20 batches: 2,000 steps
        (10_000, Lengths(13, 64, 5)),
        (1_000_000, Lengths(10, 256, 5)),
    ],
)
def test_they_follow_from_the_number_of_rows(rows, expected):
    assert lengths_of(Settings(), rows) == expected


def test_more_rows_never_mean_more_epochs_or_smaller_batches():
    rows = sorted(random.sample(range(1, 2_000_000), 200))
    found = [lengths_of(Settings(), count) for count in rows]
    assert [f.epochs for f in found] == sorted((f.epochs for f in found), reverse=True)
    assert [f.batch_size for f in found] == sorted(f.batch_size for f in found)
    assert all(f.patience < f.epochs for f in found)


def test_what_the_user_gives_stays():
    given = Settings(epochs=7, batch_size=5, patience=0)
    assert settle(given, 1000) == given
    # The others still fit it: patience to the epochs, epochs to the batches.
    assert lengths_of(Settings(epochs=50), 1000).patience == 10
    assert lengths_of(Settings(batch_size=500), 10_000).epochs == 100


def test_the_run_writes_them_down_and_goes_on_with_them(tmp_path):
    settings = make_settings([QUICK])
    started = Started()
    done = run.train(settings, tmp_path / "run", callbacks=[started])
    rows = len(run.load_splits(settings, Joint()).train)
    written = Settings.load(done.folder / "config.yaml")
    assert written == replace(settle(settings, rows), data=written.data)
    assert written.epochs == 100
    said = started.facts["training"]
    assert said == describe_lengths(written, rows)
    assert "up to 100 epochs of 2 batches of 16, until 20 are no better" in said
    # The checkpoint belongs to the numbers, and not to the word.
    assert Trained(done.folder).evaluate()["count"] > 0
    assert run.train(settings, done.folder, resume=True).result == done.result


def test_a_comparison_knows_its_cells_again(tmp_path):
    """What is written is a number where the plan has `auto`."""
    compare("synthetic", ["joint"], seeds=[0], out=tmp_path, **flattened(QUICK))
    result = tmp_path / "cells/joint/seed-0/result.json"
    before = result.stat().st_mtime_ns
    compare("synthetic", ["joint"], seeds=[0, 1], out=tmp_path, **flattened(QUICK))
    assert result.stat().st_mtime_ns == before
    with pytest.raises(RunError, match="epochs"):
        compare("synthetic", ["joint"], seeds=[0], out=tmp_path, epochs=3, **flattened(QUICK))


def flattened(values):
    return {"data.options.samples": 40, **{k: v for k, v in values.items() if k != "data"}}


def test_a_training_that_was_still_improving_says_so(tmp_path):
    slow = {"optimiser.schedule": "none", "optimiser.lr": 0.003, "optimiser.average": 0.0}
    slow |= {"epochs": 6, "patience": 0}
    settings = make_settings([QUICK, nest(slow)])
    with pytest.warns(RuntimeWarning, match="still falling .* --epochs 12") as caught:
        done = run.train(settings, tmp_path / "slow")
    assert done.result["best_epoch"] == 5
    assert len(caught) == 1


@pytest.mark.parametrize("changes", [{"epochs": 2}, {"epochs": 30, "optimiser.lr": 1e-9}])
def test_a_first_look_and_one_that_stands_still_say_nothing(changes, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        run.train(make_settings([QUICK, nest(changes)]), tmp_path / "run")


def test_a_method_may_rely_on_an_optimiser(tmp_path):
    settings = make_settings([QUICK, nest({"method": "ogm"})])
    assert (settings.optimiser.name, settings.optimiser.lr) == ("sgd", 0.03)
    assert "as the method advises: optimiser.name sgd, optimiser.lr 0.03" in describe_lengths(
        settle(settings, 100), 100
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # under Adam it warns that it does nothing
        run.train(replace(settings, epochs=2), tmp_path / "run")
    assert json.loads((tmp_path / "run/result.json").read_text())["command"].count("optimiser") == 0
