"""The file of a cell and its window: parsed once, written as the user wrote it."""

from pathlib import Path

import pytest

from equipoise.data.manifest.file_part import FilePart, Window
from equipoise.data.manifest.kinds import KINDS
from equipoise.data.transforms.kinds import TRANSFORMS


@pytest.mark.parametrize(
    ("cell", "path", "window"),
    [
        ("clips/a.wav", "clips/a.wav", Window()),
        ("a.avi#138:218", "a.avi", Window(first=138, last=218)),
        ("a.wav#t=6.290,8", "a.wav", Window(start=6.29, end=8.0)),
        ("all.npy#17", "all.npy", Window(row=17)),
        ("take #3 of 4.wav", "take #3 of 4.wav", Window()),
        ("flow/{u,v}/clip#0:8", "flow/{u,v}/clip", Window(first=0, last=8)),
    ],
)
def test_a_cell_is_a_file_and_a_window(cell, path, window):
    part = FilePart.parse(cell, Path("base"))
    assert (part.path, part.window) == (Path("base") / path, window)
    assert str(part) == f"base/{cell}"


def test_two_spellings_of_a_window_are_the_same_part():
    assert FilePart.parse("a.wav#t=1,2.50") == FilePart.parse("a.wav#t=1.0,2.5")
    assert FilePart.parse("a.wav#t=1,2") != FilePart.parse("a.wav#t=1,3")


@pytest.mark.parametrize(
    ("cell", "empty"),
    [("a#5:3", True), ("a#t=2,2", True), ("a#0:1", False), ("a#0", False), ("a", False)],
)
def test_a_window_that_ends_before_it_begins_is_empty(cell, empty):
    assert FilePart.parse(cell).window.is_empty == empty


def test_a_pair_of_folders_has_two_sides():
    part = FilePart.parse("flow/{u,v}/clip#0:8")
    assert [str(side) for side in part.sides()] == ["flow/u/clip#0:8", "flow/v/clip#0:8"]
    whole = FilePart.parse("clip.avi")
    assert whole.sides() == (whole,)


def test_every_kind_has_transforms():
    assert tuple(TRANSFORMS) == KINDS
