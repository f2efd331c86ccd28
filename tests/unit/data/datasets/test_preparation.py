"""Preparing a data set: a folder that is whole or not there, and one line for what is wrong."""

import pytest

from equipoise import data
from equipoise.data.datasets import synthetic
from equipoise.errors import ConfigError, DataError, RunError
from equipoise.settings import DataSettings


def test_a_prepared_folder_is_loaded(tmp_path):
    facts = data.prepare("synthetic", tmp_path / "new/files", samples=60, classes=3)
    assert set(facts) == {"sound", "picture", "fused"}
    parts = data.load(DataSettings(tmp_path / "new/files", cache=str(tmp_path / "cache")))
    assert sum(map(len, (parts.train, parts.validation, parts.test))) == 60


def test_an_existing_folder_is_left_alone(tmp_path):
    (tmp_path / "mine").write_text("kept")
    with pytest.raises(RunError, match="mine: exists already"):
        data.prepare("synthetic", tmp_path / "mine")
    assert (tmp_path / "mine").read_text() == "kept"


@pytest.mark.parametrize(
    "error", [RuntimeError("stopped"), OSError(28, "No space left on device"), KeyboardInterrupt()]
)
def test_what_fails_on_the_way_leaves_nothing(tmp_path, monkeypatch, error):
    def half(out, *, samples=3):
        (out / "first.wav").write_bytes(b"half")
        raise error

    monkeypatch.setattr(synthetic, "prepare", half)
    with pytest.raises(RunError if isinstance(error, OSError) else type(error)):
        data.prepare("synthetic", tmp_path / "files")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_command_left_is_replaced(tmp_path):
    (tmp_path / ".files.tmp/sound").mkdir(parents=True)
    (tmp_path / ".files.tmp/sound/half.wav").write_bytes(b"half")
    data.prepare("synthetic", tmp_path / "files", samples=60)
    data.prepare("synthetic", tmp_path / "again", samples=60)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "files"]
    names = [
        sorted(path.relative_to(tmp_path / name) for path in (tmp_path / name).rglob("*"))
        for name in ("files", "again")
    ]
    assert names[0] == names[1]


def test_two_commands_do_not_prepare_one_folder(tmp_path, monkeypatch):
    def inside(out, *, samples=3):
        (out / "first.wav").write_bytes(b"whole")
        with pytest.raises(RunError, match="another process prepares this data set"):
            data.prepare("av-digits", tmp_path / "files", fsdd="nowhere")
        return {}

    monkeypatch.setattr(synthetic, "prepare", inside)
    data.prepare("synthetic", tmp_path / "files")
    assert [path.name for path in (tmp_path / "files").iterdir()] == ["first.wav"]


def test_a_folder_below_a_file_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be prepared"):
        data.prepare("synthetic", tmp_path / "file/files")


def test_options_and_names_that_cannot_be(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'samples'"):
        data.prepare("synthetic", tmp_path / "x", sampels=3)
    with pytest.raises(ConfigError, match="needs --fsdd"):
        data.prepare("av-digits", tmp_path / "x")
    with pytest.raises(ConfigError, match="needs no preparation"):
        data.prepare("digits", tmp_path / "x")
    with pytest.raises(ConfigError, match="did you mean 'synthetic'"):
        data.prepare("sinthetic", tmp_path / "x")
    with pytest.raises(DataError, match="no such folder"):
        data.prepare("av-digits", tmp_path / "x", fsdd=tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []
