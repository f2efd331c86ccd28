"""The plan of the phases: which epochs may be chosen, and how long patience has waited."""

import pytest

from equipoise.methods.parts.stages import stages, turns
from equipoise.training.phase import Phase, Plan

BOTH = ("a", "b")
FIRST = ("a",)
SECOND = ("b",)


def plan(*phases, modalities=BOTH):
    return Plan(tuple(phases), modalities)


def choices(found):
    """The numbers of epochs after which an epoch may be chosen."""
    whole = sum(phase.epochs for phase in found.phases)
    return [epochs for epochs in range(whole + 2) if found.selectable(epochs)]


def test_every_epoch_may_be_chosen_where_all_train_together():
    assert choices(plan(Phase(3))) == [1, 2, 3, 4]


@pytest.mark.parametrize("count", [2, 3])
def test_no_epoch_may_be_chosen_before_the_last_modality_has_begun(count):
    names = BOTH if count == 2 else (*BOTH, "c")
    found = plan(*turns(6, names, 3), modalities=names)
    assert choices(found)[0] == 2 * (count - 1) + 1
    assert found.untrained(0) == list(names)
    assert found.untrained(2) == list(names[1:])
    assert found.untrained(2 * count) == []


def test_a_modality_that_never_trains_is_not_waited_for():
    for never in (plan(Phase(2, FIRST)), plan(Phase(2, FIRST), Phase(0, SECOND), Phase(0))):
        assert choices(never)[0] == 1
        assert never.trained(2) == {"a": 2}
        assert never.waited(1, 2) in (0, 1)


def test_all_train_in_the_first_phase_that_names_none():
    found = Plan(tuple(stages(8, BOTH, 2, 1)), BOTH)
    together = next(k for k, phase in enumerate(found.phases) if phase.modalities is None)
    assert choices(found)[0] == sum(phase.epochs for phase in found.phases[:together]) + 1


def test_no_epoch_of_a_phase_that_prepares_may_be_chosen():
    assert choices(plan(Phase(2, selectable=False), Phase(2)))[0] == 3
    assert choices(plan(Phase(0, selectable=False), Phase(2)))[0] == 1
    assert choices(plan(Phase(2, FIRST, selectable=False), Phase(2, SECOND)))[0] == 3


def test_patience_waits_until_every_modality_has_trained_that_long():
    found = plan(*turns(24, BOTH, 3))  # eight epochs of each at a time
    best = 9  # the first epoch of b
    assert [found.waited(best, best + k) for k in range(8)] == [0] * 8, "a has not gone on"
    assert [found.waited(best, 16 + k) for k in range(1, 8)] == list(range(1, 8))
    assert found.waited(best, 24 + 1) == 8


def test_patience_counts_epochs_where_all_train_together():
    found = plan(Phase(9))
    assert [found.waited(2, epochs) for epochs in range(2, 8)] == [0, 1, 2, 3, 4, 5]


def test_a_modality_whose_phases_are_over_does_not_hold_patience_up():
    found = plan(Phase(5, FIRST), Phase(2, SECOND), Phase(20, FIRST))
    assert [found.waited(6, 7 + k) for k in range(1, 6)] == [1, 2, 3, 4, 5]
