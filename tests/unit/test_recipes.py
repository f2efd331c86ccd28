"""Every recipe is a valid configuration of registered parts."""

from __future__ import annotations

from pathlib import Path

import pytest

from equipoise.heads import HEADS
from equipoise.methods import METHODS
from equipoise.settings import Settings

RECIPES = sorted((Path(__file__).parents[2] / "recipes").rglob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_builds_its_method_and_head(path: Path) -> None:
    settings = Settings.load(path)
    method = {name: value for name, value in settings.method.items() if name != "name"}
    METHODS.build(settings.method["name"], method)
    head = {name: value for name, value in settings.head.items() if name != "name"}
    HEADS.build(settings.head["name"], head, widths={"audio": settings.width, "video": settings.width}, classes=6)
