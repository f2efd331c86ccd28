"""Equations as MathML, written at build time by docutils: they show without a network, and neither
the reader nor the builder needs LaTeX."""

from __future__ import annotations

import re
from html import escape

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

logger = logging.getLogger(__name__)

# Commands that docutils does not know, or does not read as LaTeX does, and what stands for them.
REPLACED = {
    r"\dots": r"\ldots",
    r"\operatorname*": r"\operatorname",
    r"\big": r"\bigl",
    r"\Big": r"\Bigl",
}


def mathml(source: str, block: bool = False) -> str:
    """An equation in LaTeX as a `<math>` element.

    Args:
        source: without the dollars.
        block: on a line of its own.

    Raises:
        MathError: something in it is not understood.
    """
    for command, meaning in REPLACED.items():
        source = re.sub(re.escape(command) + r"(?![A-Za-z])", lambda _, m=meaning: m, source)
    return tex2mathml(source, as_block=block)


def visit_inline(writer: HTML5Translator, node: nodes.math) -> None:
    writer.body.append(_converted(node))
    raise nodes.SkipNode


def visit_block(writer: HTML5Translator, node: nodes.math_block) -> None:
    writer.body.append(f'<div class="equation">{_converted(node, block=True)}</div>\n')
    raise nodes.SkipNode


def _converted(node: nodes.Element, block: bool = False) -> str:
    """The element; a warning, which fails `make docs`, and the source where there is none."""
    source = node.astext()
    try:
        return mathml(source, block)
    except MathError as error:
        logger.warning("equation %r: %s", source, error, location=node)
        return f"<code>{escape(source)}</code>"


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
