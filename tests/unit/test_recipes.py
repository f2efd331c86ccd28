"""Every recipe is a preset, a method and a head that exist, and quotes what was published."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from equipoise.configuration.layers import make_settings, nest
from equipoise.configuration.presets import read_preset
from equipoise.data.datasets import DATASETS
from equipoise.encoders import ENCODERS
from equipoise.heads import HEADS
from equipoise.methods import METHODS
from equipoise.settings import Settings
from equipoise.yaml_text import read_yaml

FOLDER = Path(__file__).parents[2] / "recipes"
RECIPES = sorted(FOLDER.rglob("*.yaml"))


def settings_of(path: Path) -> Settings:
    return make_settings([nest(read_yaml(path))])


@pytest.fixture(params=RECIPES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def recipe(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_its_parts_take_its_options(recipe, check_inputs):
    settings = settings_of(recipe)
    check_inputs(settings)
    method = {name: value for name, value in settings.method.items() if name != "name"}
    METHODS.build(settings.method["name"], method)
    head = {name: value for name, value in settings.head.items() if name != "name"}
    widths = {
        m: settings.width or ENCODERS[encoder["name"]].width
        for m, encoder in settings.encoder.items()
    }
    HEADS.build(settings.head["name"], head, widths=widths, classes=6)


def test_it_stands_on_a_preset_of_its_data_set(recipe):
    values, folder = read_yaml(recipe), recipe.parent.name
    assert recipe.parent.parent == FOLDER
    assert folder in DATASETS
    assert values["preset"].startswith(folder)
    assert settings_of(recipe).data.source == f"data/{folder}"
    assert set(settings_of(recipe).encoder) == set(read_preset(values["preset"])["encoder"])
    assert not {"encoder", "width", "seed"} & set(values)  # the preset's alone


def test_its_header_says_what_was_published_and_how_to_prepare(recipe):
    header = [
        line for line in recipe.read_text(encoding="utf-8").splitlines() if line.startswith("# ")
    ]
    text = " ".join(line.removeprefix("# ") for line in header)
    assert " % accuracy" in text.partition("Published: ")[2]
    assert "Table" in text
    assert "validation" in text
    command = shlex.split(text.partition("Prepare: ")[2])
    assert command[:3] == ["equipoise", "prepare", recipe.parent.name]
    options = {word.removeprefix("--") for word in command if word.startswith("--")}
    assert options - {"out"} <= set(DATASETS[recipe.parent.name].parameters())
    assert command[-2:] == ["--out", f"data/{recipe.parent.name}"]


def test_phases_make_up_the_epochs(recipe):
    settings = settings_of(recipe)
    phases = settings.method.get("phases")
    if phases:
        modalities = set(settings.encoder) - {"attributes"}  # which the headers prepare without
        assert sum(phases) == settings.epochs * len(modalities)
