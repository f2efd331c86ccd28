"""The weight of the alignment over the epochs, number by number."""

from __future__ import annotations

import math

import pytest

from equipoise.methods.parts.schedules import SCHEDULES, schedule


def test_heuristic_is_the_papers_sequence() -> None:
    alpha = schedule("heuristic", 0.5)
    assert [round(alpha(t, 100), 3) for t in (1, 2, 3)] == [0.632, 0.393, 0.283]
    assert all(alpha(t, 100) == pytest.approx(1 - math.exp(-1 / t)) for t in range(1, 101))


@pytest.mark.parametrize(("epochs", "first"), [(10, 5), (7, 3), (1, 0)])
def test_stepwise_changes_after_the_first_half(epochs: int, first: int) -> None:
    alpha = schedule("stepwise", 0.9)
    assert [alpha(t, epochs) for t in range(1, epochs + 1)] == pytest.approx(
        [0.9] * first + [0.1] * (epochs - first)
    )


def test_the_printed_polynomial_is_the_reported_fit_clipped() -> None:
    alpha = schedule("polynomial-printed", 0.5)
    assert alpha(1, 40) == 1  # 1.0257 before clipping
    assert alpha(10, 40) == pytest.approx(0.15 - 0.65 + 0.32 + 1)
    assert alpha(20, 40) == pytest.approx(1.2 - 2.6 + 0.64 + 1)
    assert alpha(25, 40) == pytest.approx(1.5e-4 * 15625 - 6.5e-3 * 625 + 0.8 + 1)
    assert all(0 <= alpha(t, 200) <= 1 for t in range(1, 201))
    assert alpha(37, 200) < 1
    assert {alpha(t, 200) for t in range(38, 201)} == {1.0}


@pytest.mark.parametrize("epochs", [5, 26, 200])
def test_the_polynomial_falls_over_the_whole_run(epochs: int) -> None:
    alpha = schedule("polynomial", 0.5)
    course = [alpha(t, epochs) for t in range(1, epochs + 1)]
    assert course == sorted(course, reverse=True)
    assert course[-1] == pytest.approx(0.0742, abs=1e-4)
    # In a run as long as the fall of the printed one it is the printed one.
    assert alpha(13, 26) == pytest.approx(schedule("polynomial-printed", 0.5)(13, 26), abs=0.01)


def test_the_released_polynomial_is_that_of_the_code() -> None:
    alpha = schedule("released", 0.5)
    found = [round(alpha(e + 1, 200), 3) for e in (0, 50, 100, 199)]
    assert found == [0.795, 0.563, 0.461, 0.084]
    assert alpha(11, 20) == pytest.approx(alpha(101, 200))


def test_constant_is_constant() -> None:
    assert {schedule("constant", 0.3)(t, 9) for t in range(1, 10)} == {0.3}


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("value", [0, 1, 0.25])
def test_every_schedule_gives_floats(name: str, value: float) -> None:
    assert all(isinstance(schedule(name, value)(t, 4), float) for t in range(1, 5))
