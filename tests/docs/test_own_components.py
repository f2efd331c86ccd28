"""What the pages on adding components show works in a folder of its own: checked, tested, listed and trained."""

from __future__ import annotations

TRAIN = (
    "-m",
    "equipoise",
    "train",
    "--device",
    "cpu",
    "--epochs",
    "1",
    "--data.options.samples",
    "120",
    "--out",
    "run",
)


def test_the_method_passes_the_suite_as_a_class(project):
    """With two and three modalities, as the page runs it."""
    project("adding-a-method.md").python("-m", "mine.joint_auxiliary")


def test_the_method_is_tested_listed_and_trained(project):
    mine = project("adding-a-method.md")
    mine.python("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist")
    assert "joint-auxiliary" in mine.python("-m", "equipoise", "list", "methods", "joint-*").stdout
    mine.python(*TRAIN, "--data", "synthetic", "--method", "joint-auxiliary", "--method.weight", "0.1")
    assert (mine.folder / "run" / "result.json").exists()
