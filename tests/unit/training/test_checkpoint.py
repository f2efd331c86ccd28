"""Checkpoints are whole or refused, with one line that says how to go on."""

import errno
import random
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
import torch

from equipoise.cli import main
from equipoise.errors import RunError
from equipoise.runs import run
from equipoise.settings import OptimiserSettings
from equipoise.testing.world import differing
from equipoise.training import checkpoint
from equipoise.training.checkpoint import Checkpoints

FILES = ("model.safetensors", "method.safetensors", "state.pt", "checkpoint.json")
IDENTITY = {"settings": {"optimiser": {"lr": 0.1}, "epochs": 3}, "data": "abc", "devices": 1}


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "checkpoints", IDENTITY)


def random_tensors():
    return {
        "weight": torch.randn(5, 3),
        "transposed": torch.randn(4, 6).T,
        "double": torch.randn(3, dtype=torch.float64),
        "half": torch.randn(3).bfloat16(),
        "count": torch.randint(9, ()),
        "flag": torch.rand(7) > 0.5,
        "empty": torch.zeros(0, 2),
    }


def save(checkpoints, step):
    state = {"step": step, "momentum": torch.randn(4)}
    return checkpoints.save(
        f"epoch-00000-step-{step:08d}", random_tensors(), random_tensors(), state
    )


def cut_short(path):
    content = path.read_bytes()
    path.write_bytes(content[: random.randrange(len(content))])


def edit(path):
    content = bytearray(path.read_bytes())
    content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    path.write_bytes(content)


def remove(path):
    path.unlink()


def test_what_was_saved_comes_back_bit_by_bit(checkpoints, seed):
    model, method = random_tensors(), random_tensors()
    state = {"position": {"step": 3}, "momentum": [torch.randn(4)], "best": 0.25}
    read = checkpoints.load(checkpoints.save("epoch-00000-step-00000003", model, method, state))
    assert not differing(model, read.model)
    assert not differing(method, read.method)
    assert all(read.model[name].dtype == tensor.dtype for name, tensor in model.items())
    assert torch.equal(read.state["momentum"][0], state["momentum"][0])
    assert (read.state["position"], read.state["best"]) == (state["position"], state["best"])


@pytest.mark.parametrize("damage", [cut_short, edit, remove])
@pytest.mark.parametrize("file", FILES[:3])
def test_a_damaged_file_is_refused(checkpoints, damage, file, seed):
    for _ in range(5):
        path = save(checkpoints, 1)
        damage(path / file)
        with pytest.raises(RunError) as caught:
            checkpoints.load(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
        assert "train again in a new folder" in str(caught.value), (
            "there is no earlier one to offer"
        )


@pytest.mark.parametrize("damage", [cut_short, remove])
def test_a_damaged_description_is_refused(checkpoints, damage, seed):
    path = save(checkpoints, 1)
    damage(path / "checkpoint.json")
    with pytest.raises(RunError, match="not a complete checkpoint"):
        checkpoints.load(path)


def test_an_edited_description_is_refused_or_means_the_same(checkpoints, seed):
    path = save(checkpoints, 1)
    before, content = checkpoints.load(path).model, (path / "checkpoint.json").read_bytes()
    for _ in range(300):
        edit(path / "checkpoint.json")
        with suppress(RunError):
            assert not differing(before, checkpoints.load(path).model)
        (path / "checkpoint.json").write_bytes(content)


def test_an_object_is_never_unpickled(checkpoints):
    path = checkpoints.save("epoch-00000-step-00000001", {}, {}, {"surprise": Checkpoints})
    with pytest.raises(RunError, match="more than tensors"):
        checkpoints.load(path)


@pytest.mark.parametrize(
    ("identity", "words"),
    [
        (
            {**IDENTITY, "settings": {"optimiser": {"lr": 0.2}, "epochs": 3}},
            ("optimiser.lr", "0.1", "0.2"),
        ),
        ({**IDENTITY, "data": "abd"}, ("data", "'abc'", "'abd'")),
        ({**IDENTITY, "devices": 2}, ("devices", "1", "2")),
    ],
)
def test_another_configuration_is_named(checkpoints, identity, words):
    path = save(checkpoints, 1)
    with pytest.raises(RunError) as caught:
        Checkpoints(checkpoints.folder, identity).load(path)
    assert all(word in str(caught.value) for word in words), caught.value


def test_a_setting_that_a_later_version_added_does_not_lock_the_weights_up(checkpoints):
    """The weights mean what they did; a training would go on under a setting it did not have."""
    resumable = save(checkpoints, 1)
    best = checkpoints.save("best-epoch-00000", random_tensors())
    added = {"lr": 0.1, "plateau_on": OptimiserSettings().plateau_on}

    def reader(**optimiser):
        settings = {**IDENTITY["settings"], "optimiser": optimiser}
        return Checkpoints(checkpoints.folder, {**IDENTITY, "settings": settings})

    reader(**added).load(best)
    with pytest.raises(RunError, match="made by a version of equipoise without"):
        reader(**added).load(resumable)
    for other in ({**added, "plateau_on": "metric"}, {**added, "unknown": 1}, {"lr": 0.2}):
        with pytest.raises(RunError, match="made with another configuration"):
            reader(**other).load(best)


def test_two_checkpoints_and_the_best_weights_are_kept(checkpoints):
    checkpoints.save("best-epoch-00001", random_tensors())
    paths = []
    for step in range(1, 6):
        paths.append(save(checkpoints, step))
        checkpoints.prune()
        assert checkpoints.resumable() == paths[:-3:-1]
    assert checkpoints.best().name == "best-epoch-00001"
    checkpoints.save("best-epoch-00004", random_tensors())
    assert checkpoints.best().name == "best-epoch-00004"
    checkpoints.prune_best("best-epoch-00004")
    assert sorted(p.name for p in checkpoints.folder.glob("best-*")) == ["best-epoch-00004"]


def test_no_best_weights_yet(checkpoints):
    with pytest.raises(RunError, match="at least one epoch"):
        checkpoints.best()


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "occupied").write_text("a file")
    with pytest.raises(RunError, match="cannot write the checkpoint"):
        save(Checkpoints(tmp_path / "occupied", IDENTITY), 1)
    assert (tmp_path / "occupied").read_text() == "a file"


@pytest.mark.parametrize("written", range(4))
def test_a_full_disk_leaves_what_stood_there(checkpoints, monkeypatch, written, seed):
    path = save(checkpoints, 1)
    before = checkpoints.load(path)
    remaining, write = [None] * written, checkpoint.write_file

    def full(*given):
        if not remaining:
            raise OSError(errno.ENOSPC, "No space left on device")
        remaining.pop()
        write(*given)

    monkeypatch.setattr(checkpoint, "write_file", full)
    for step in (1, 2):
        with pytest.raises(RunError, match="No space left on device"):
            save(checkpoints, step)
    assert [p.name for p in checkpoints.folder.iterdir()] == [path.name]
    assert not differing(before.model, checkpoints.load(path).model)


def test_a_stopped_run_ends_like_an_uninterrupted_one(settings, stopped, whole, final):
    run.train(settings, stopped, resume=True)
    assert not differing(final(whole), final(stopped))


@pytest.mark.parametrize("damage", [cut_short, edit, remove])
def test_the_previous_checkpoint_is_taken_on_request(
    damage, settings, stopped, whole, final, newest, seed
):
    damage(newest(stopped) / random.choice(FILES[:3]))
    with pytest.raises(RunError, match="add --checkpoint previous"):
        run.train(settings, stopped, resume=True)
    run.train(settings, stopped, resume=True, checkpoint="previous")
    assert not differing(final(whole), final(stopped))


def test_the_command_line_offers_the_previous_checkpoint(
    stopped, whole, final, newest, capsys, seed
):
    cut_short(newest(stopped) / "model.safetensors")
    assert main(["train", "--resume", str(stopped)]) == 1
    said = capsys.readouterr().err
    assert "--checkpoint previous" in said
    assert said.count("\n") == 1
    assert main(["train", "--resume", str(stopped), "--checkpoint", "previous"]) == 0
    assert not differing(final(whole), final(stopped))


def test_other_settings_and_other_data_are_refused(settings, stopped):
    slower = replace(settings, optimiser=replace(settings.optimiser, lr=0.5))
    with pytest.raises(RunError, match=r"optimiser\.lr was 0\.01 and is 0\.5"):
        run.train(slower, stopped, resume=True)
    splits = run.load_splits(settings, run.build_method(settings))
    for part in ("train", "validation"):
        shorter = getattr(splits, part).take(np.arange(1, len(getattr(splits, part))))
        with pytest.raises(RunError, match="data was"):
            run.train(settings, stopped, splits=replace(splits, **{part: shorter}), resume=True)


def test_only_a_run_can_be_resumed(settings, stopped, tmp_path):
    with pytest.raises(RunError, match="no run to resume"):
        run.train(settings, tmp_path, resume=True)
    with pytest.raises(RunError, match="exists already"):
        run.train(settings, stopped)
