"""The rules that options of all components go by."""

from __future__ import annotations

import inspect
import math
import random
from functools import partial

import pytest

from equipoise import checks
from equipoise.errors import ConfigError
from equipoise.methods import METHODS
from equipoise.registry import Entry, Registry
from equipoise.testing.options import check_refusals

NO_NUMBERS = (math.inf, -math.inf, math.nan, 10**400, True, False, "1", None, [1.0])


def holds(rule: checks.Rule) -> bool:
    return rule[1]


@pytest.mark.parametrize("wrong", NO_NUMBERS)
def test_every_rule_of_a_number_refuses_what_is_no_finite_number(wrong):
    for rule in (
        checks.positive("x", wrong),
        checks.not_negative("x", wrong),
        checks.inside("x", wrong, "[0, 1]"),
    ):
        assert not holds(rule)
        with pytest.raises(ConfigError, match="Owner: 'x' must be"):
            checks.require("Owner", rule)


def test_infinity_is_a_number_where_it_is_said():
    assert holds(checks.not_negative("x", math.inf, infinite=True))
    for wrong in (-math.inf, math.nan, True, "inf", -random.random()):
        assert not holds(checks.not_negative("x", wrong, infinite=True))


def test_rules_of_signs_differ_in_zero_alone():
    number = random.uniform(1e-6, 1e6)
    assert holds(checks.positive("x", number))
    assert holds(checks.not_negative("x", number))
    assert not holds(checks.positive("x", -number))
    assert not holds(checks.not_negative("x", -number))
    assert not holds(checks.positive("x", 0))
    assert holds(checks.not_negative("x", 0))


@pytest.mark.parametrize("lower", "[(")
@pytest.mark.parametrize("upper", "])")
def test_round_brackets_leave_bounds_out(lower, upper):
    low = random.randint(-9, 9)
    high = low + random.randint(1, 9)
    interval = f"{lower}{low}, {high}{upper}"
    assert holds(checks.inside("x", low, interval)) is (lower == "[")
    assert holds(checks.inside("x", float(high), interval)) is (upper == "]")
    assert holds(checks.inside("x", random.uniform(low + 0.01, high - 0.01), interval))
    assert not holds(checks.inside("x", low - 0.5, interval))
    assert not holds(checks.inside("x", high + 0.5, interval))


@pytest.mark.parametrize(
    "wrong", [[0.5, 2.5], [0, True], [3, 2], [-1, 2], [1], [1, 2, 3], "12", 5, None]
)
def test_epochs_are_two_ascending_whole_numbers(wrong):
    assert not holds(checks.epochs("window", wrong))
    start = random.randint(0, 9)
    assert holds(checks.epochs("window", [start, start]))
    assert holds(checks.epochs("window", (start, start + 3)))


@pytest.mark.parametrize("wrong", [[], (0,), [0], [1, 2.0], [True], "11", 3])
def test_rows_of_counts(wrong):
    assert not holds(checks.integer_list("n", wrong))
    assert holds(checks.integer_list("n", [1, random.randint(1, 9)]))
    assert holds(checks.integer_list("n", wrong, empty=True)) is (wrong == [])


@pytest.mark.parametrize("wrong", ["no", "none", "false", "", 0, 1, 2, None])
def test_switches_take_no_words_and_no_numbers(wrong):
    assert not holds(checks.flag("x", wrong))
    assert holds(checks.flag("x", True))
    assert holds(checks.flag("x", False))


@pytest.mark.parametrize("wrong", ["c", ["a"], {"a": 1}, None])
def test_choices_of_any_type_are_refused_in_one_sentence(wrong):
    with pytest.raises(ConfigError, match="'x' must be one of a, b, found"):
        checks.require("Owner", checks.choice("x", wrong, {"a": 1, "b": 2}))


UNBOUNDED = {
    ("agm", "cap"),
    ("greedy", "tolerance"),
    ("lfm-lb", "alpha_reach"),
    ("mla", "alpha"),
    ("mses", "patience"),
}
"""Options whose infinity means something, and is documented."""


@pytest.mark.parametrize("name", METHODS.names())
def test_no_number_of_a_method_is_infinite_unless_documented(name):
    for option, parameter in METHODS[name].parameters().items():
        number = isinstance(parameter.default, int | float) and not isinstance(
            parameter.default, bool
        )
        if (name, option) in UNBOUNDED:
            METHODS.build(name, {option: math.inf})
            assert (
                "inf"
                in (inspect.getdoc(METHODS[name].load()) or "")
                .split(f"{option}: ")[1]
                .split(": ")[0]
            )
        elif number:
            with pytest.raises(ConfigError, match=option):
                METHODS.build(name, {option: math.inf})


def careless(fast: bool = True, rate: float = 1.0) -> None:
    checks.require("Careless", checks.positive("rate", rate))


def careful(fast: bool = True, rate: float = 1.0) -> None:
    checks.require("Careful", checks.flag("fast", fast), checks.positive("rate", rate))


def test_the_suites_find_a_switch_that_takes_words():
    entries = [Entry(f.__name__, f"{__name__}:{f.__name__}", "") for f in (careless, careful)]
    registry = Registry("thing", entries)
    check_refusals(partial(registry.build, "careful"), inspect.signature(careful).parameters)
    with pytest.raises(AssertionError, match="option 'fast' takes 'no' without complaint"):
        check_refusals(partial(registry.build, "careless"), inspect.signature(careless).parameters)


@pytest.mark.parametrize("name", ["ogm", "ogm-ge", "agm"])
@pytest.mark.parametrize("wrong", [[0.5, 2.5], [0, True], 5])
def test_windows_are_epochs_in_every_method(name, wrong):
    with pytest.raises(ConfigError, match="'window' must be the first and the last epoch"):
        METHODS.build(name, {"window": wrong})
