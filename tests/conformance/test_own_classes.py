"""The suites take any class, and say in one line when other processes cannot import it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from equipoise.errors import ConfigError
from equipoise.heads import HEADS
from equipoise.heads.concat import Concat
from equipoise.methods import METHODS
from equipoise.methods.baselines.joint import Joint
from equipoise.registry import Entry, MethodEntry
from equipoise.testing import CHECKS, check_head, check_method

FILE = '''"""A method in a file that the library does not know."""
from equipoise.methods.baselines.joint import Joint
from equipoise.testing import check_method


class Mine(Joint):
    pass


'''


@pytest.fixture(autouse=True)
def registries(monkeypatch):
    """Remove the entries of a test when it has ended."""
    for registry in (METHODS, HEADS):
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))


def test_a_script_that_is_not_guarded_is_told_so(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(FILE + "check_method(Mine, modalities=[2])", encoding="utf-8")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=240)
    assert done.returncode == 1
    assert done.stderr.count("Traceback") == 1, done.stderr
    assert "check a method there under if __name__ == '__main__':" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("check", [check_method, check_head])
def test_a_class_that_others_cannot_import_is_refused(check):
    class Local(Joint if check is check_method else Concat):
        pass

    with pytest.raises(
        ConfigError, match="Local: other processes import it by its name, so define it at the top"
    ):
        check(Local)


def test_an_entry_of_another_kind_is_refused():
    with pytest.raises(ConfigError, match="'entry' must be a MethodEntry"):
        check_method(Entry("mine", "equipoise.methods.baselines.joint:Joint", "no method entry"))
    with pytest.raises(ConfigError, match="'entry' must be a MethodEntry, found <class"):
        METHODS.add(Joint)


def test_a_failure_names_method_check_count_and_seed():
    wrong = MethodEntry(
        "mine", "equipoise.methods.baselines.joint:Joint", "", forward_passes=1.0
    )  # no summary
    (position,) = [k for k, check in enumerate(CHECKS) if check.__name__ == "check_entry"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("equipoise.testing.methods.CHECKS", CHECKS[position:])
        with pytest.raises(
            AssertionError, match="mine, check_entry, 3 modalities, seed 7: no summary"
        ):
            check_method(wrong, modalities=[3], seed=7)


@pytest.mark.parametrize("modalities", [2, 3])
def test_a_head_is_taken_by_class_or_entry(modalities):
    check_head(Concat, modalities=modalities)
    assert HEADS["Concat"].load() is Concat
    check_head(Entry("mine", "equipoise.heads.concat:Concat", "a head"), modalities=modalities)
    assert HEADS["mine"].load() is Concat
