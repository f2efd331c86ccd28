"""Callbacks hear of a training, and stop it as patience does."""

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors.torch import load_file

from equipoise.errors import ConfigError
from equipoise.portfolio.run import search
from equipoise.runs import run
from equipoise.runs.callbacks import Callback, Callbacks
from equipoise.settings import Settings


def timeless(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


class Recorder(Callback):
    def __init__(self, stop_after=None):
        self.heard = []
        self.stop_after = stop_after

    def on_start(self, facts):
        self.heard.append(("start", facts))

    def on_epoch(self, line):
        self.heard.append(("epoch", line["epoch"]))
        return self.stop_after is not None and line["epoch"] + 1 >= self.stop_after

    def on_end(self, result):
        self.heard.append(("end", result))


def test_a_training_tells_its_start_every_epoch_and_its_end(settings, tmp_path):
    recorder = Recorder()
    done = run.train(settings, tmp_path / "run", callbacks=[recorder])
    (first, facts), *middle, (last, result) = recorder.heard
    assert (first, last) == ("start", "end")
    assert middle == [("epoch", k) for k in range(settings.epochs)]
    assert result == done.result
    assert facts["epochs"] == settings.epochs
    assert sum(facts["rows"].values()) == 120
    assert list(facts["inputs"]) == done.result["modalities"]


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_a_callback_stops_after_its_epoch_with_the_best_one_kept(settings, whole, tmp_path, epochs):
    done = run.train(
        settings, tmp_path / "run", callbacks=[Recorder(), Recorder(epochs), lambda line: None]
    )
    lines = timeless(done.folder)
    assert done.result["epochs"] == len(lines) == epochs
    selectable = [line["validation"]["fused"]["accuracy"] for line in lines]
    assert done.result["best_epoch"] == int(np.argmax(selectable))
    assert lines == timeless(whole)[:epochs]


def test_a_stopped_training_that_is_killed_before_its_test_does_not_train_on(settings, tmp_path):
    def stop(line):
        return np.bool_(line["epoch"] == 1)

    done = run.train(settings, tmp_path / "run", callbacks=[stop])
    (done.folder / "result.json").unlink()
    again = run.train(settings, done.folder, resume=True)
    assert again.result["epochs"] == 2
    assert again.result["test"] == done.result["test"]


def test_a_function_returns_what_it_likes_and_only_true_stops(settings, tmp_path):
    seen = []
    done = run.train(
        replace(settings, epochs=2),
        tmp_path / "run",
        callbacks=[seen.append, lambda line: line["epoch"] + 1, lambda line: "text"],
    )
    assert done.result["epochs"] == len(seen) == 2
    newest = sorted((done.folder / "checkpoints").glob("epoch-*"))[-1]
    assert load_file(newest / "model.safetensors")


@pytest.mark.parametrize("wrong", [[3], ["stop"], [Recorder], Recorder(), 5])
def test_what_is_no_callback_is_refused(settings, tmp_path, wrong):
    with pytest.raises(ConfigError, match="callback"):
        run.train(settings, tmp_path / "run", callbacks=wrong)
    assert not (tmp_path / "run").exists()


def test_an_object_may_lack_methods():
    class Quiet:
        def on_end(self, result):
            self.result = result

        def __call__(self, line):
            raise AssertionError("a callback is not called itself")

    quiet = Quiet()
    callbacks = Callbacks([quiet])
    callbacks.on_start({})
    assert callbacks.on_epoch({}) is False
    callbacks.on_end({"test": 1})
    assert quiet.result == {"test": 1}


def test_a_search_tells_its_trials_and_stops(tmp_path):
    heard = []

    class Listener(Callback):
        def on_start(self, facts):
            heard.append(("start", facts["time_limit"]))

        def on_trial(self, line):
            heard.append(("trial", line["trials"]))
            return line["trials"] >= 3

        def on_end(self, result):
            heard.append(("end", result["method"]))

    settings = Settings.from_dict(
        {"data": {"source": "synthetic", "options": {"samples": 150}}, "epochs": 2}
    )
    done = search(settings, tmp_path / "run", time_limit=200, callbacks=[Listener()], workers=1)
    assert heard == [
        ("start", 200),
        *(("trial", k) for k in range(1, len(heard) - 1)),
        ("end", "auto"),
    ]
    assert 3 <= len(heard) - 2 <= 6, "the members that read all modalities are tried in any case"
    assert done.result["cost"]["seconds"] < 100
