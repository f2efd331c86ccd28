"""Sphinx configuration. The catalogue pages are written from the registries before the build."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import catalogue

import equipoise

project = "Equipoise"
author = "The Equipoise developers"
release = equipoise.__version__
extensions = [
    "mathml",
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
html_math_renderer = "mathml"
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 2
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 120
html_theme = "furo"
html_title = "Equipoise"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
exclude_patterns = ["_build", "_ext", "jupyter_execute"]
autodoc_typehints = "description"
nitpicky = False

catalogue.write(Path(__file__).parent / "generated")
