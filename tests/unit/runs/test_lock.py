import subprocess
import sys
from dataclasses import dataclass

import pytest

from equipoise.errors import RunError
from equipoise.runs import run
from equipoise.runs.lock import hold_folder
from equipoise.training.runtime import Runtime

BUSY = "another process trains in this folder"
HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "a")
fcntl.flock(file, fcntl.LOCK_EX)
print(flush=True)
input()
"""


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_that_trains_elsewhere_is_not_resumed(settings, stopped, whole, final):
    before = contents(stopped)
    with hold_folder(stopped), pytest.raises(RunError, match=BUSY) as caught:
        run.train(settings, stopped, resume=True)
    assert "\n" not in str(caught.value)
    assert contents(stopped) == before
    run.train(settings, stopped, resume=True)
    ours, theirs = final(stopped), final(whole)
    assert all((ours[name] == theirs[name]).all() for name in theirs)


@pytest.mark.parametrize("resume", [False, True])
def test_a_run_holds_its_folder_until_it_ends_however_it_ends(settings, stopped, tmp_path, resume):
    folder, refused = stopped if resume else tmp_path / "new", []

    class Stop(BaseException):
        pass

    def report(line):
        with pytest.raises(RunError, match=BUSY), hold_folder(folder):
            pass
        refused.append(line["epoch"])
        raise Stop

    with pytest.raises(Stop):
        run.train(settings, folder, resume=resume, callbacks=[report])
    assert refused
    with hold_folder(folder):
        pass


def test_the_lock_goes_with_the_process_that_held_it(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / ".lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        holder.stdout.readline()
        with pytest.raises(RunError, match=BUSY), hold_folder(tmp_path):
            pass
        holder.kill()
        holder.wait()
        with hold_folder(tmp_path):
            pass


@dataclass(frozen=True)
class Rank(Runtime):
    """One of two ranks; the other says `elsewhere`."""

    world: int = 2
    elsewhere: bool = False

    def any(self, flag):
        return flag or self.elsewhere


def test_of_several_ranks_the_first_holds_the_lock_and_all_are_refused(tmp_path):
    with hold_folder(tmp_path / "run", Rank(rank=0)), hold_folder(tmp_path / "run", Rank(rank=1)):
        for rank in (Rank(rank=0), Rank(rank=1, elsewhere=True)):
            with pytest.raises(RunError, match=BUSY), hold_folder(tmp_path / "run", rank):
                pass


def test_a_folder_that_cannot_be_made_is_refused_in_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot be written"), hold_folder(tmp_path / "file/run"):
        pass
