"""What the pages on adding components show works in a folder of its own: checked, tested, listed and trained."""

from __future__ import annotations

TRAIN = ("train", "--device", "cpu", "--epochs", "1", "--out", "run")


def test_the_method_passes_the_suite_as_a_class(project):
    """With two and three modalities, as the page runs it."""
    project("adding-a-method.md").python("-m", "mine.joint_auxiliary")


def test_the_method_is_tested_listed_and_trained(project):
    mine = project("adding-a-method.md")
    mine.python("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist")
    assert "joint-auxiliary" in mine.equipoise("list", "methods", "joint-*").stdout
    mine.equipoise(*TRAIN, "--data", "digits", "--method", "joint-auxiliary", "--method.weight", "0.1")
    assert (mine.folder / "run" / "result.json").exists()


def test_broken_packages_beside_it_break_nothing(project):
    """The class in place of its entry, a package that is gone, and another name: a line each, where it matters."""
    mine = project("adding-a-method.md")
    points = {
        "unpacked": "mine.joint_auxiliary:JointAuxiliary",
        "vanished": "no_such_package:ENTRY",
        "misnamed": "mine.entries:JOINT_AUXILIARY",
    }
    mine.install("broken", {"equipoise.methods": points})
    listed = mine.equipoise("list", "methods", "joint*")
    assert "joint-auxiliary" in listed.stdout
    warned = {line.split("'")[1]: line for line in listed.stderr.splitlines()}
    assert warned.keys() == points.keys()
    for name, line in warned.items():
        assert line.startswith(f"equipoise: warning: method '{name}' of broken (entry point {points[name]}) ")
    assert not mine.equipoise("list", "heads").stderr
    refused = mine.equipoise("train", "--data", "synthetic", "--method", "vanished", code=2)
    assert refused.stderr.splitlines()[-1].startswith("equipoise: method 'vanished' of broken (entry point no_such_")
