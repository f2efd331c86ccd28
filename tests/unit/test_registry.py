"""Names find components, and a wrong name or option is answered with the nearest right one."""

import re
from importlib.metadata import EntryPoint
from types import SimpleNamespace
from typing import ClassVar

import pytest

from equipoise import registry
from equipoise.errors import ConfigError, invalid
from equipoise.methods import METHODS
from equipoise.registry import (
    GIVEN,
    NULL,
    POSITIVE,
    Effect,
    Entry,
    MethodEntry,
    Registry,
    refuse_without_effect,
)


class Thing:
    """A component with one option of the library's and two of the user's."""

    def __init__(self, given: int, size: int = 3, colour: str = "red", **rest: object) -> None:
        if size < 1:
            raise invalid("Thing", "size", "at least 1", size)
        self.given, self.size, self.colour = given, size + 0, colour


def entry(name, **facts):
    return Entry(name, f"{__name__}:Thing", "a thing", **facts)


@pytest.fixture
def things(monkeypatch):
    """A registry without third parties, whose targets are found in this file."""
    monkeypatch.setattr(registry, "entry_points", lambda group: [])
    monkeypatch.setattr(Entry, "load", lambda self: Thing)
    return Registry("thing", [entry("alpha"), entry("beta"), entry("alpha-2")])


def test_a_target_is_imported_when_asked_for():
    assert Entry("x", "collections.abc:Mapping", "").load().__name__ == "Mapping"
    with pytest.raises(ModuleNotFoundError):
        Entry("x", "no_such_package.part:Class", "").load()


def test_entries_are_listed_in_order_and_by_pattern(things):
    assert [e.name for e in things] == ["alpha", "beta", "alpha-2"]
    assert things.names("alpha*") == ["alpha", "alpha-2"]
    assert things.names("gamma*") == []
    assert "beta" in things
    assert "gamma" not in things


def test_a_component_is_built_from_given_and_user_options(things):
    built = things.build("beta", {"size": 5}, given=7)
    assert (built.given, built.size, built.colour) == (7, 5, "red")


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("alfa", {}, ("unknown thing 'alfa'", "did you mean", "'alpha'")),
        ("zzz", {}, ("unknown thing 'zzz'", "known: alpha, alpha-2, beta")),
        ("beta", {"colur": "blue"}, ("no option 'colur'", "did you mean 'colour'?")),
        ("beta", {"given": 1}, ("no option 'given'",)),
        ("beta", {"rest": 1}, ("no option 'rest'",)),
        ("beta", {"size": 0}, ("Thing", "'size' must be at least 1", "found 0")),
        ("beta", {"size": "large"}, ("'beta'", "wrong type")),
    ],
)
def test_a_mistake_is_answered_in_one_line(things, name, options, words):
    with pytest.raises(ConfigError) as caught:
        things.build(name, options, given=1)
    assert all(word in str(caught.value) for word in words), caught.value
    assert "\n" not in str(caught.value)


class Tuned:
    """A component some of whose options have an effect only beside others."""

    effect: ClassVar[Effect] = {
        "rho": ("sam", {"head", "full"}),
        "steps": ("sam", {"full"}),
        "again": ("count", POSITIVE),
        "seed": ("weights", NULL),
        "layers": ("weights", GIVEN),
        "slow": ("exact", {True}),
    }

    def __init__(
        self,
        sam: str = "none",
        rho: float = 0.05,
        steps: int = 1,
        count: float = 0,
        again: bool = False,
        weights: str | None = None,
        seed: int = 0,
        layers: int = 2,
        exact: bool = False,
        slow: int = 0,
    ) -> None: ...


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sam": "head", "rho": 0.05},
        {"sam": "full", "rho": 0.1, "steps": 2},
        {"count": 0.5, "again": True},
        {"again": False},  # a flag given as false asks for nothing
        {"seed": 3},  # weights are null by default
        {"weights": None, "seed": 3},
        {"weights": "file", "layers": 1},
        {"exact": True, "slow": 1},
    ],
)
def test_options_that_have_an_effect_are_accepted(options):
    refuse_without_effect(Tuned, options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rho": 0.05}, "'rho' must be left out unless 'sam' is full or head, found 0.05"),
        ({"rho": 0, "sam": "none"}, "'rho' must be left out unless 'sam' is full or head, found 0"),
        ({"sam": "head", "steps": 2}, "'steps' must be left out unless 'sam' is full, found 2"),
        ({"again": True}, "'again' must be left out unless 'count' is positive, found True"),
        ({"again": True, "count": "many"}, "'again' must be left out unless 'count' is positive"),
        ({"weights": "file", "seed": 1}, "'seed' must be left out unless 'weights' is null"),
        ({"layers": 2}, "'layers' must be left out unless 'weights' is given, found 2"),
        ({"slow": 1}, "'slow' must be left out unless 'exact' is true, found 1"),
    ],
)
def test_an_option_without_effect_beside_the_others_is_refused(options, words):
    with pytest.raises(ConfigError, match=f"^Tuned: {re.escape(words)}"):
        refuse_without_effect(Tuned, options)


def test_a_class_without_a_table_of_effects_takes_all_options():
    refuse_without_effect(Thing, {"size": 3, "colour": "blue"})


def test_a_registry_judges_effects_before_it_builds(things, monkeypatch):
    monkeypatch.setattr(Entry, "load", lambda self: Tuned)
    assert isinstance(things.build("beta", {"sam": "full", "rho": 0.1}), Tuned)
    with pytest.raises(ConfigError, match="'rho' must be left out unless 'sam'"):
        things.build("beta", {"rho": 0.1})


def test_a_component_of_a_script_is_added(things):
    things.add(entry("mine", year=2030))
    assert things["mine"].year == 2030
    assert things.build("mine", given=2).given == 2


def test_other_packages_add_theirs_and_a_replacement_is_announced(monkeypatch):
    here = __name__
    theirs = {"gamma": entry("gamma"), "alpha": entry("alpha", year=2031)}
    points = [EntryPoint(name, f"{here}:{name}", "equipoise.things") for name in theirs]
    monkeypatch.setattr(EntryPoint, "load", lambda self: theirs[self.name])
    monkeypatch.setattr(
        registry, "entry_points", lambda group: points if group == "equipoise.things" else []
    )
    things = Registry("thing", [entry("alpha")])
    with pytest.warns(UserWarning, match="thing 'alpha' is replaced by"):
        assert [e.name for e in things] == ["alpha", "gamma"]
    assert things["alpha"].year == 2031


def method(name):
    return MethodEntry(name, f"{__name__}:Thing", "a method")


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (
            ModuleNotFoundError("No module named 'theirs'"),
            "cannot be loaded (ModuleNotFoundError: No module named 'theirs'); "
            "repair or uninstall their-package",
        ),
        (RuntimeError("two\nlines"), "cannot be loaded (RuntimeError: two lines)"),
        (Thing, "must lead to an object of MethodEntry, and leads to the class Thing"),
        (entry("mine"), "must lead to an object of MethodEntry, and leads to an object of Entry"),
        (method("other"), "leads to an entry that is named 'other'; give both the same name"),
    ],
)
def test_a_broken_entry_point_is_told_of_and_left_out(monkeypatch, found, words):
    def load(self):
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(EntryPoint, "dist", SimpleNamespace(name="their-package"))
    monkeypatch.setattr(EntryPoint, "load", load)
    monkeypatch.setattr(
        registry, "entry_points", lambda group: [EntryPoint("mine", "theirs:entry", group)]
    )
    methods = Registry("method", [method("alpha")], entry=MethodEntry)
    with pytest.warns(UserWarning, match="; it is left out$") as warned:
        assert methods.names() == ["alpha"]
    with pytest.raises(ConfigError) as refused:
        methods["mine"]
    (warning,) = warned
    for message in (str(warning.message), str(refused.value)):
        assert message.startswith("method 'mine' of their-package (entry point theirs:entry) ")
        assert words in message
        assert "\n" not in message
    with pytest.raises(ConfigError, match=r"^unknown method 'alfa'; did you mean 'alpha'\?$"):
        methods["alfa"]


def test_a_class_that_cannot_be_imported_is_named():
    for target, words in {
        "no_such_package:Thing": "No module named",
        "math:Thing": "no attribute 'Thing'",
    }.items():
        with pytest.raises(
            ConfigError, match=f"^thing 'mine': {target} cannot be imported .*{words}"
        ):
            Registry("thing", [Entry("mine", target, "")]).build("mine")


@pytest.mark.parametrize("value", [2**63, -(2**64), 10**400])
def test_an_integer_that_no_tensor_takes_is_refused(value):
    with pytest.raises(ConfigError, match=r"'alpha' must be an integer below 2\*\*63 in size"):
        METHODS.build("dgl", {"alpha": value})


@pytest.mark.parametrize("name", [["mla"], {"mla": 1}, None, 3])
def test_what_is_no_text_names_nothing(name):
    assert name not in METHODS
