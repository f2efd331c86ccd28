"""The record of a run, the choice of its epoch, and its end."""

import json
import random
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from equipoise.data.table.table import Table
from equipoise.errors import Interrupted, RunError
from equipoise.methods.baselines.joint import Joint
from equipoise.runs import run
from equipoise.runs.monitor import Monitor
from equipoise.settings import METRICS
from equipoise.testing.world import differing
from equipoise.training.context import Context
from equipoise.training.phase import Phase


@pytest.fixture
def splits(settings):
    return run.load_splits(settings, Joint())


def history(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def timeless(lines):
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def with_labels(table, label):
    return replace(table, label=label)


@pytest.mark.parametrize("select", METRICS)
def test_the_epoch_that_is_best_on_validation_is_chosen(settings, tmp_path, select):
    done = run.train(replace(settings, select=select, seed=random.randrange(999)), tmp_path / "run")
    lines = history(done.folder)
    metrics = [line["validation"]["fused"][select] for line in lines]
    losses = [line["validation"]["fused"]["log_loss"] for line in lines]
    sign = 1 if select == "log_loss" else -1
    expected = int(np.lexsort((losses, sign * np.array(metrics)))[0])  # of equals, the lower loss
    assert [line["epoch"] for line in lines] == list(range(settings.epochs))
    assert done.result["best_epoch"] == expected
    assert done.result["validation"]["fused"][select] == pytest.approx(metrics[expected])
    assert [p.name for p in (done.folder / "checkpoints").glob("best-*")] == [
        f"best-epoch-{expected:05d}"
    ]


def test_of_equal_epochs_the_lower_log_loss_is_chosen_and_patience_still_runs_out(
    settings, tmp_path
):
    """A rate that lowers the loss and changes no prediction."""
    still = replace(settings, patience=3, epochs=9, optimiser=replace(settings.optimiser, lr=1e-6))
    done = run.train(replace(still, method={"name": "joint"}), tmp_path / "run")
    lines = [line["validation"]["fused"] for line in history(done.folder)]
    assert len({line["accuracy"] for line in lines}) == 1
    assert len(lines) == 4
    losses = [line["log_loss"] for line in lines]
    assert done.result["best_epoch"] == int(np.argmin(losses)) > 0


def test_the_test_split_chooses_nothing(settings, splits, tmp_path):
    """Other test labels, another test result; the same weights and the same epoch."""
    shuffled = with_labels(splits.test, np.roll(splits.test.label, 1))
    runs = [
        run.train(settings, tmp_path / name, splits=replace(splits, test=table))
        for name, table in (("true", splits.test), ("shuffled", shuffled))
    ]
    chosen = [next((r.folder / "checkpoints").glob("best-*")) for r in runs]
    assert chosen[0].name == chosen[1].name
    weights = [load_file(path / "model.safetensors") for path in chosen]
    assert not differing(*weights)
    assert timeless(history(runs[0].folder)) == timeless(history(runs[1].folder))
    assert runs[0].result["test"] != runs[1].result["test"]


def test_the_test_split_is_read_after_training_only(settings, splits, tmp_path):
    reads = []

    class Watched(Table):
        def rows(self, indices, epoch=0):
            reads.append(len(history(tmp_path / "run")))
            return super().rows(indices, epoch)

    values = {f.name: getattr(splits.test, f.name) for f in fields(Table) if f.init}
    table = Watched(**values)
    run.train(settings, tmp_path / "run", splits=replace(splits, test=table))
    assert set(reads) == {settings.epochs}, "it was read before the last epoch was written down"


@pytest.mark.parametrize("patience", [1, 2])
def test_patience(settings, tmp_path, patience):
    """A rate too small to change a prediction: the first epoch stays the best."""
    still = replace(
        settings, patience=patience, epochs=6, optimiser=replace(settings.optimiser, lr=1e-12)
    )
    done = run.train(still, tmp_path / "run")
    assert done.result["best_epoch"] == 0
    assert done.result["epochs"] == len(history(done.folder)) == patience + 1


def test_patience_survives_a_stop(settings, tmp_path, final):
    still = replace(settings, patience=2, epochs=6, optimiser=replace(settings.optimiser, lr=1e-12))
    whole = run.train(still, tmp_path / "whole")

    class Stop(BaseException):
        pass

    for epoch in range(3):
        folder = tmp_path / f"stopped-{epoch}"

        def report(line, at=epoch):
            if line["epoch"] == at:
                raise Stop

        with pytest.raises(Stop):
            run.train(still, folder, callbacks=[report])
        again = run.train(still, folder, resume=True)
        assert again.result["epochs"] == whole.result["epochs"]
        assert not differing(final(whole.folder), final(folder))


def turns(settings, method="mie", **changes):
    """Settings with which no prediction changes, and modalities take turns of four epochs."""
    return replace(
        settings,
        **{
            "method": {"name": method},
            "epochs": 12,
            "patience": 3,
            "optimiser": replace(settings.optimiser, lr=1e-6),
            **changes,
        },
    )


PHASES = {
    "mie": {"name": "mie", "cycles": 3, "rho": 0.0, "tau": 0.0},
    "compose": {"name": "compose", "schedule": "phase", "cycles": 3},
}


@pytest.mark.parametrize("name", PHASES)
def test_patience_waits_for_modalities_that_take_turns(settings, splits, tmp_path, name):
    """A phase of one modality uses up nobody else's patience, and nothing is chosen before."""
    still = turns(settings, method=name)
    done = run.train(replace(still, method=PHASES[name]), tmp_path / "run", splits=splits)
    lines = history(done.folder)
    count = len(splits.train.modalities)
    first = 4 * (count - 1)  # the first epoch of the last modality
    assert [line["selectable"] for line in lines[: first + 1]] == [False] * first + [True]
    assert done.result["best_epoch"] >= first  # of equals, that with the lowest log-loss
    trained = [line["training"] for line in lines]
    for modality in splits.train.modalities:
        assert trained[first + 1 :].count([modality]) >= still.patience
    last = trained[-1]
    assert trained[first + 1 :].count(last) == still.patience
    assert len(lines) < 12 * count


def test_impatience_costs_a_method_in_turns_no_modality(settings, tmp_path):
    """Version 0.1 stopped after four epochs, before the second modality had trained: 0.24."""
    data = replace(settings.data, options={"samples": 600}, missing=0.0)
    options = {"data": data, "seed": 0, "optimiser": settings.optimiser}
    turning = turns(settings, **options)
    done = run.train(turning, tmp_path / "run")
    joint = run.train(replace(turning, method={"name": "joint"}), tmp_path / "joint")
    found, expected = (r.result["validation"]["fused"]["accuracy"] for r in (done, joint))
    assert found > expected - 0.15


def test_a_modality_that_never_trains_is_not_waited_for(settings, splits, tmp_path):
    one = splits.train.modalities[0]
    still = turns(settings, method="unimodal", patience=2)
    still = replace(still, method={"name": "unimodal", "modality": one})
    done = run.train(still, tmp_path / "run", splits=splits)
    assert done.result["epochs"] == 3


def test_a_single_epoch_of_each_of_three_modalities(settings, tmp_path):
    options = {"samples": 120, "modalities": {name: {"strength": 3.0} for name in "abc"}}
    data = replace(settings.data, options=options)
    short = replace(settings, data=data, method={"name": "mie"}, epochs=1, patience=1)
    done = run.train(short, tmp_path / "run")
    assert done.result["epochs"] == 3
    assert done.result["best_epoch"] == 2


def test_a_resumed_run_knows_its_best_epoch_as_before(settings, stopped, monkeypatch):
    """Its log-loss too, by which the next of equals would be chosen."""
    known = []

    def restore(monitor, checkpoint):
        original(monitor, checkpoint)
        known.extend([checkpoint.state["monitor"], monitor.state_dict()])

    original = Monitor.restore
    monkeypatch.setattr(Monitor, "restore", restore)
    run.train(settings, stopped, resume=True)
    assert known[0] == known[1]
    assert np.isfinite([known[0]["best_metric"], known[0]["best_loss"]]).all()
    assert known[0]["best_epoch"] >= known[0]["improved_epoch"] >= 0


def test_patience_in_turns_survives_a_stop(settings, splits, tmp_path, final):
    still = replace(turns(settings, patience=1), method={**PHASES["mie"], "cycles": 6}, epochs=6)
    whole = run.train(still, tmp_path / "whole", splits=splits)

    class Stop(BaseException):
        pass

    for epoch in range(0, whole.result["epochs"], 2):
        folder = tmp_path / f"stopped-{epoch}"

        def report(line, at=epoch):
            if line["epoch"] == at:
                raise Stop

        with pytest.raises(Stop):
            run.train(still, folder, callbacks=[report], splits=splits)
        again = run.train(still, folder, resume=True, splits=splits)
        assert again.result["epochs"] == whole.result["epochs"]
        assert again.result["best_epoch"] == whole.result["best_epoch"]
        assert not differing(final(whole.folder), final(folder))


@pytest.mark.parametrize(
    "method",
    [
        {"name": "cca", "pretrain": 0.5},
        {"name": "cpm-net", "pretrain": 0.5},
        {"name": "mmin", "teacher": 0.5},
        {"name": "cra", "training": "greedy"},
        {"name": "domfn", "pretraining": 0.5},
    ],
    ids=lambda method: method["name"],
)
def test_no_epoch_of_a_first_stage_is_chosen(settings, splits, tmp_path, method):
    """The part of the network that predicts trains in the second stage."""
    staged = replace(turns(settings), method=method, patience=1, epochs=8)
    done = run.train(staged, tmp_path / "run", splits=splits)
    lines = history(done.folder)
    first = next(line["epoch"] for line in lines if line["selectable"])
    assert lines[first]["phase"] > 0
    assert lines[first - 1]["phase"] == lines[first]["phase"] - 1
    assert done.result["best_epoch"] >= first
    assert done.result["epochs"] >= first + 1


def test_a_training_that_allows_no_choice_ends_with_its_last_weights(
    settings, splits, tmp_path, monkeypatch, final
):
    class Prepares(Joint):
        def phases(self, epochs):
            yield Phase(epochs, selectable=False)

    monkeypatch.setattr(run, "build_method", lambda settings: Prepares())
    with pytest.warns(UserWarning, match="before an epoch could be chosen on validation"):
        done = run.train(settings, tmp_path / "run", splits=splits)
    assert done.result["best_epoch"] == settings.epochs - 1
    (best,) = (done.folder / "checkpoints").glob("best-*")
    weights = load_file(best / "model.safetensors")
    assert all(torch.equal(value, final(done.folder)[name]) for name, value in weights.items())


def test_nothing_is_reloaded_before_every_modality_has_trained(
    settings, splits, tmp_path, monkeypatch
):
    found = []

    def look(ctx):
        found.append((ctx.position.phase, ctx.observer.best_weights() is None))

    monkeypatch.setattr(Context, "reload_best", look)
    method = {"name": "mie", "reload_best": True, "cycles": 2}
    run.train(replace(settings, method=method), tmp_path / "run", splits=splits)
    assert len(splits.train.modalities) == 2
    assert found == [(0, True), (1, False), (2, False), (3, False)]


@pytest.mark.parametrize(("method", "said"), [("mie", True), ("unimodal", False)])
def test_a_signal_before_an_epoch_could_be_chosen_is_told_so(
    settings, splits, tmp_path, monkeypatch, method, said
):
    class Asked(run.Interrupt):
        requested = False

        def __init__(self, advice=""):
            self._before = {}

    def signal(line):
        Asked.requested = True

    monkeypatch.setattr(run, "Interrupt", Asked)
    turning = turns(settings, method=method)
    with pytest.raises(Interrupted) as raised:
        run.train(turning, tmp_path / "run", splits=splits, callbacks=[signal])
    assert ("before an epoch could be chosen" in str(raised.value)) is said


def test_a_line_holds_the_learning_rate_of_its_epoch(settings, splits, tmp_path):
    optimiser = replace(settings.optimiser, lr=0.1, schedule="step", step_size=1, gamma=0.5)
    done = run.train(replace(settings, optimiser=optimiser), tmp_path / "run", splits=splits)
    rates = [line["learning_rate"] for line in history(done.folder)]
    assert rates == pytest.approx([0.1 * 0.5**epoch for epoch in range(settings.epochs)])


@pytest.mark.parametrize("tail", ['{"epoch": 3, "loss": 1.0}\n', '{"epoch": 3, "lo'])
def test_lines_after_the_checkpoint_are_written_again(settings, stopped, whole, tail):
    """A kill may fall between a line and its checkpoint, or within a line."""
    with (stopped / "metrics.jsonl").open("a") as file:
        file.write(tail)
    run.train(settings, stopped, resume=True)
    assert timeless(history(stopped)) == timeless(history(whole))


@pytest.mark.parametrize("damage", [b"\xff\xfe\n", b'{"epoch": 0, "lo', b"", b"\0" * 10])
def test_a_damaged_line_does_not_keep_a_run_from_ending(settings, stopped, whole, final, damage):
    """The lines are told again where a checkpoint is read, and are not needed to go on."""
    path = stopped / "metrics.jsonl"
    path.write_bytes(damage)
    run.train(settings, stopped, resume=True)
    assert not differing(final(whole), final(stopped))
    assert run.Run.open(stopped).result["best_epoch"] == run.Run.open(whole).result["best_epoch"]


def test_without_any_checkpoint_it_starts_again(settings, stopped, whole, final):
    for path in (stopped / "checkpoints").iterdir():
        path.rename(stopped / f"lost-{path.name}")
    run.train(settings, stopped, resume=True)
    assert timeless(history(stopped)) == timeless(history(whole))
    assert not differing(final(whole), final(stopped))


def test_the_seconds_of_a_resumed_run_add_up(settings, stopped):
    before = [line["seconds"] for line in history(stopped)]
    run.train(settings, stopped, resume=True)
    after = [line["seconds"] for line in history(stopped)]
    assert after[: len(before)] == before
    assert after == sorted(after)


def test_a_finished_run_is_not_trained_again(settings, whole, final):
    before = final(whole)
    again = run.train(settings, whole, resume=True)
    assert again.result == run.Run.open(whole).result
    assert not differing(before, final(whole))


def test_an_unfinished_run_cannot_be_opened(stopped):
    with pytest.raises(RunError, match="not finished; go on with"):
        run.Run.open(stopped)


def test_checkpoints_fall_inside_epochs_as_asked(settings, splits, tmp_path, monkeypatch):
    every, names = random.randrange(1, 4), []
    save = run.Checkpoints.save
    monkeypatch.setattr(
        run.Checkpoints,
        "save",
        lambda self, name, *rest: names.append(name) or save(self, name, *rest),
    )
    run.train(replace(settings, checkpoint_every=every, epochs=2), tmp_path / "run", splits=splits)
    epoch = -(-len(splits.train) // settings.batch_size)
    expected = {step for step in range(1, 2 * epoch + 1) if step % every == 0 or step % epoch == 0}
    assert {int(name.rpartition("-")[2]) for name in names if name.startswith("epoch-")} == expected


def test_the_journal_is_the_mean_over_steps(settings, splits, tmp_path):
    """The loss of an epoch, recomputed: with a tiny rate every step sees the same weights."""
    still = replace(
        settings,
        method={"name": "joint"},
        encoder={m: {"name": "mlp"} for m in splits.train.modalities},  # no dropout
        epochs=1,
        optimiser=replace(settings.optimiser, lr=1e-12),
    )
    done = run.train(still, tmp_path / "run", splits=splits)
    model = run.build_model(still, splits.train.specs, splits.train.classes)
    loader = run.Loader(splits.train, still.batch_size, seed=still.seed, shuffle=True)
    losses = [
        torch.nn.functional.cross_entropy(model(b).fused, b.label).item() for b in loader.batches(0)
    ]
    assert history(done.folder)[0]["loss"] == pytest.approx(np.mean(losses), rel=1e-4)


def test_the_lines_are_json_whatever_was_logged(settings, splits, tmp_path, monkeypatch):
    """A method may log the mean of nothing: the loss of a modality that the holdout lacks."""

    class Logs(Joint):
        def step(self, batch, ctx):
            super().step(batch, ctx)
            ctx.log(nothing=float("nan"), some=1.0, spectrum=[1.0, float("inf")])

    monkeypatch.setattr(run, "build_method", lambda settings: Logs())
    done = run.train(settings, tmp_path / "run")

    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    for line in (done.folder / "metrics.jsonl").read_text().splitlines():
        found = json.loads(line, parse_constant=refuse)["method"]
        assert found == {"nothing": None, "some": 1.0, "spectrum": [1.0, None]}
