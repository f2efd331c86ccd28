"""Sphinx configuration. The catalogue pages are written from the registries before the build."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import catalogue

import equipoise

project = "Equipoise"
author = "The Equipoise developers"
release = equipoise.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
html_theme = "furo"
html_title = "Equipoise"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
exclude_patterns = ["_build", "_ext"]
autodoc_typehints = "description"
nitpicky = False

catalogue.write(Path(__file__).parent / "generated")
