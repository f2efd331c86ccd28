"""The order and the clock of a search, in a world where time passes as the test says."""

import numpy as np
import pytest

from equipoise.portfolio.choosing import choose
from equipoise.portfolio.clock import Clock
from equipoise.portfolio.material import gather
from equipoise.portfolio.members import NETWORK, Member
from equipoise.portfolio.search import Search
from equipoise.portfolio.trials import Finding
from equipoise.settings import Settings
from equipoise.testing.world import fresh_seed, small_splits

LINEAR = {"scaling": "columns", "C": 10.0}


class Time:
    """Seconds that pass only when a trial takes them."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Crew:
    """Stands for the workers: trials take as long as `seconds` says, and guess at random."""

    def __init__(self, time, material, seconds, good=(), misled=()):
        self.time = time
        self.material = material
        self.seconds = seconds
        self.good = good
        self.misled = misled
        self.done = []

    def run(self, propose, ended, folder, left=lambda: float("inf")):
        while left() > 0:
            trial = propose()
            if trial is None:
                return
            took = min(self.seconds(trial.member), trial.seconds)
            self.time.now += took
            label = self.material.rows.label[self.material.held(trial.fold)]
            sure = 3.0 if trial.member.name in self.good else 0.1
            sure = 10.0 if trial.member.name in self.misled and trial.fold else sure
            rng = np.random.default_rng(len(self.done))
            logits = sure * np.eye(3)[label] + rng.normal(size=(len(label), 3))
            self.done.append((trial.member.name, trial.fold))
            ended(trial, Finding(trial.member.name, trial.fold, took, logits=logits))


def members(modalities):
    """Two cheap waves of scikit-learn, networks, and a member that takes long."""
    views = tuple(modalities)
    single = [
        Member(f"linear-of-{k}", "linear", (m,), LINEAR, "late-linear") for k, m in enumerate(views)
    ]
    return [
        *single,
        Member("linear", "linear", views, LINEAR),
        Member("network-a", NETWORK, views, {}, wave=1),
        Member("network-b", NETWORK, views, {}, wave=1),
        Member("trees", "extra_trees", views, {}, wave=2),
        Member("slow", "boosting", views, {}, wave=2),
    ]


def searched(limit, seconds, count=2, good=(), misled=()):
    splits = small_splits(count, fresh_seed())
    material = gather(Settings.from_dict({"data": "synthetic"}), splits)
    time = Time()
    crew = Crew(time, material, seconds, good, misled)
    found = Search(material, members(splits.train.modalities), Clock(limit, now=time))
    found.run(crew, None, lambda: None)
    return found, crew


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("scale", [0.01, 0.3, 2.0])
def test_time_is_left_for_the_last_fits_however_long_a_trial_takes(count, scale):
    cost = {"linear": 0.3, NETWORK: 1e9, "extra_trees": 2.0, "boosting": 15.0}
    found, _ = searched(100.0, lambda member: scale * cost[member.family], count)
    chosen = choose(found, found.clock.left)
    refits = sum(found.refit_seconds(m.name) for m in chosen.recipe.members)
    assert found.clock.spent + refits <= 100


def test_the_clock_counts_from_the_start_and_what_was_spent_before_an_interruption():
    time = Time()
    time.now = 50.0
    clock = Clock(100.0, spent=20.0, now=time, started=45.0)
    assert (clock.spent, clock.left) == (25.0, 75.0)
    time.now += 80
    assert clock.left == -5


def test_cheap_members_predict_every_fold_before_later_waves_begin():
    found, crew = searched(1000.0, lambda member: 0.1)
    late = next(k for k, (name, _) in enumerate(crew.done) if name.startswith("network"))
    folds = range(found.material.folds)
    every = {(m, k) for m in ("linear-of-0", "linear-of-1", "linear") for k in folds}
    assert set(crew.done[:late]) == every
    assert {name for name, _ in crew.done} == set(found.members)


def test_a_member_that_cannot_end_in_time_is_not_begun():
    """The machine is slow: the first wave takes longer than the whole was planned to take."""
    found, crew = searched(10.0, lambda member: 1.0)
    assert ("slow", 0) not in crew.done
    assert found.clock.spent <= 10


def test_every_modality_is_read_however_short_the_time_is():
    found, crew = searched(0.5, lambda member: 1.0, 3)
    assert {name for name, _ in crew.done} == {"linear-of-0", "linear-of-1", "linear-of-2"}
    choose(found, 0.0)


def test_candidates_for_which_the_last_fits_have_no_time_weigh_nothing():
    found, _ = searched(1000.0, lambda member: 1.0, good=("linear", "trees"))
    whole = choose(found).recipe
    assert {line.name for line in whole.board if line.weight} > {"linear", "trees"}
    short = choose(found, 0.5).recipe
    weighed = [line for line in short.board if line.weight]
    fitted = [line.name for line in weighed if not line.name.startswith("network")]
    assert len(fitted) == 1
    assert sum(line.weight for line in weighed) == pytest.approx(1)


def test_validation_rows_that_are_harder_than_others_are_judged_by_alone():
    """As other speakers are: some members know the training rows, but not those."""
    misled = ("linear-of-0", "linear-of-1", "linear", "slow")
    found, _ = searched(1000.0, lambda member: 1.0, good=("trees",), misled=misled)
    chosen = choose(found)
    assert chosen.folds == [0]
    assert chosen.apart
    assert {line.name: line.weight for line in chosen.recipe.board}["trees"] > 0.5
    even = choose(searched(1000.0, lambda member: 1.0, good=("trees",))[0])
    assert len(even.folds) > 1
    assert not even.apart
