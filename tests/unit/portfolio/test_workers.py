"""Workers whose processes are killed: trials are tried again, and the culprit is left out."""

from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool

import pytest

from equipoise.portfolio import workers
from equipoise.portfolio.members import Member
from equipoise.portfolio.trials import Finding, Trial
from equipoise.portfolio.workers import Workers


class Processes:
    """Stands for a pool of processes, which is broken from the first trial of `deadly` on."""

    def __init__(self, deadly):
        self.deadly = deadly
        self.waiting = []
        self.ended = False

    def submit(self, work, trial, folder):
        assert not self.ended, "a trial was given to processes that had been ended"
        future = Future()
        self.waiting.append((trial, future))
        if len(self.waiting) == 2 or trial.member.name == self.deadly:
            self.settle()
        return future

    def settle(self):
        killed = any(trial.member.name == self.deadly for trial, _ in self.waiting)
        for trial, future in self.waiting:
            if killed:
                future.set_exception(BrokenProcessPool())
            else:
                future.set_result(Finding(trial.member.name, trial.fold, 0.0))
        self.waiting = []

    def shutdown(self, **_):
        self.ended = True


@pytest.mark.parametrize("deadly", [1, 4])
def test_a_killed_process_costs_the_search_the_one_member_that_was_at_fault(monkeypatch, deadly):
    pools = []

    def start(self):
        pools.append(Processes(f"m{deadly}"))
        self._others = pools[-1]

    ran_here = []

    def here(trial, **_):
        ran_here.append(trial.member.name)
        return Finding(trial.member.name, trial.fold, 0.0)

    monkeypatch.setattr(Workers, "_start", start)
    monkeypatch.setattr(workers, "run_trial", here)
    waiting = [Trial(Member(f"m{k}", "linear", ("a",)), 0) for k in range(8)]
    found = {}

    def ended(trial, finding):
        assert trial.member.name not in found
        found[trial.member.name] = finding.error
        for pool in pools:
            pool.settle()

    with Workers(None, 3, lambda: False) as crew:
        crew.run(lambda: waiting.pop(0) if waiting else None, ended, None)
    assert set(found) == {f"m{k}" for k in range(8)}
    at_fault = [f"m{deadly}"] if f"m{deadly}" not in ran_here else []
    assert [name for name, error in found.items() if error] == at_fault
    assert all(pool.ended for pool in pools)
