"""The code on the pages about adding components works as a package: checked, listed and trained."""

from __future__ import annotations

import pytest

from equipoise.methods import METHODS
from equipoise.testing.methods import check_cost, check_entry, check_neutral


@pytest.mark.slow
def test_the_method_passes_the_suite_as_a_class(project):
    """The page runs the suite with two and three modalities."""
    project("adding-a-method.md").python("-m", "mine.joint_auxiliary")


def test_the_method_is_tested_and_trained(project):
    mine = project("adding-a-method.md")
    mine.test_and_train("--data", "digits", "--method", "joint-auxiliary", "--method.weight", "0.1")


def test_the_facts_of_its_entry_hold(project, seed):
    def check():
        entry = METHODS["joint-auxiliary"]
        for fact in (check_cost, check_entry, check_neutral):
            fact(entry, 3, seed % 1000)

    project("adding-a-method.md").inside(check)


def test_the_head_is_tested_and_trained(project):
    mine = project("adding-a-head.md")
    mine.test_and_train("--data", "digits", "--head", "margin", "--head.temperature", "2")


def test_the_encoder_is_tested_and_trained(project):
    mine = project("adding-an-encoder.md")
    rows = [
        f"{said},{pulse},{mood}"
        for said, pulse, mood in 20 * (("so good", 60, "glad"), ("too bad", 80, "sad"))
    ]
    (mine.folder / "notes.csv").write_text("\n".join(["said,pulse,mood", *rows]))
    modalities = (
        "--modality",
        "said=said:text",
        "--modality",
        "pulse=pulse:vector",
        "--label",
        "mood",
    )
    mine.test_and_train(
        "--data", "notes.csv", *modalities, "--encoder.said", "word-mean", "--width", "6"
    )


def test_the_data_sets_are_tested_listed_and_trained_on(project):
    mine = project("adding-a-data-set.md")
    assert mine.equipoise("list", "datasets", "wine").stdout.count("178 wines") == 1
    mine.test_and_train("--data", "wine")


def test_broken_packages_beside_it_break_nothing(project):
    """A class instead of its entry, a package that is gone, and a wrong name: one warning each."""
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
        assert line.startswith(
            f"equipoise: warning: method '{name}' of broken (entry point {points[name]}) "
        )
    assert not mine.equipoise("list", "heads").stderr
    refused = mine.equipoise("train", "--data", "synthetic", "--method", "vanished", code=2)
    assert refused.stderr.splitlines()[-1].startswith(
        "equipoise: method 'vanished' of broken (entry point no_such_"
    )
