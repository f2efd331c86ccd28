"""Names find components, and a wrong name or option is answered with the nearest right one."""

from importlib.metadata import EntryPoint

import pytest

from equipoise import registry
from equipoise.errors import ConfigError, invalid
from equipoise.registry import Entry, Registry


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


def test_a_component_of_a_script_is_added(things):
    things.add(entry("mine", year=2030))
    assert things["mine"].year == 2030
    assert things.build("mine", given=2).given == 2


def test_other_packages_add_theirs_and_a_replacement_is_announced(monkeypatch):
    here = __name__
    theirs = {"gamma": entry("gamma"), "alpha": entry("alpha", year=2031)}
    points = [EntryPoint(name, f"{here}:{name}", "equipoise.things") for name in theirs]
    monkeypatch.setattr(EntryPoint, "load", lambda self: theirs[self.name])
    monkeypatch.setattr(registry, "entry_points", lambda group: points if group == "equipoise.things" else [])
    things = Registry("thing", [entry("alpha")])
    with pytest.warns(UserWarning, match="thing 'alpha' is replaced by"):
        assert [e.name for e in things] == ["alpha", "gamma"]
    assert things["alpha"].year == 2031
