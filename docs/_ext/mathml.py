"""Equations as MathML, written at build time by docutils.

They show without a network, and neither the reader nor the builder needs LaTeX.
"""

from __future__ import annotations

import re
from html import escape, unescape
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

logger = logging.getLogger(__name__)

NAMESPACE = "http://www.w3.org/1998/Math/MathML"
ElementTree.register_namespace("", NAMESPACE)

# Commands that docutils does not know, or does not read as LaTeX does, and their replacements.
REPLACED = {
    r"\dots": r"\ldots",
    r"\operatorname*": r"\operatorname",
    r"\big": r"\bigl",
    r"\Big": r"\Bigl",
}
ACCENTS = set("^ˆˉ˜~¯_→⃗˙¨ˇ˘´`˚")
BARS = set("|‖")
ROWS = ("math", "mrow", "mstyle", "mtd", "msqrt")


def mathml(source: str, block: bool = False) -> str:
    """An equation in LaTeX as a `<math>` element.

    Args:
        source: the equation without the dollars.
        block: True for an equation on a line of its own.

    Raises:
        MathError: a command is not understood.
    """
    for command, meaning in REPLACED.items():
        source = re.sub(re.escape(command) + r"(?![A-Za-z])", lambda _, m=meaning: m, source)
    root = ElementTree.fromstring(_without_entities(tex2mathml(source, as_block=block)))
    _attach_indices(root)
    for row in root.iter():
        if _tag(row) in ROWS:
            _pair_bars(row)
    return ElementTree.tostring(root, encoding="unicode")


def _without_entities(xml: str) -> str:
    """Replace the named characters of HTML, such as &nbsp;, which XML does not know."""
    return re.sub(r"&(?!amp;|lt;|gt;|quot;)\w+;", lambda found: unescape(found[0]), xml)


def _tag(element: Element) -> str:
    return element.tag.removeprefix(f"{{{NAMESPACE}}}")


def _named(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"


def _attach_indices(element: Element) -> None:
    r"""Set the index of an accented letter beside it: docutils sets that of \hat z_m below it."""
    for child in element:
        _attach_indices(child)
    if _tag(element) == "munderover" and (element[2].text or "").strip() in ACCENTS:
        base, index, accent = element
        accented = Element(_named("mover"), {"accent": "true"})
        accented.extend([base, accent])
        element[:] = [accented, index]
        element.tag = _named("msub")
        element.attrib.clear()
    squared = _tag(element) == "msup" and _tag(element[0]) == "msub"
    if squared and _tag(element[0][0]) == "mover":
        element[:] = [*element[0], element[1]]
        element.tag = _named("msubsup")


def _pair_bars(row: Element) -> None:
    r"""Mark the bars of |x| and ‖x‖ as brackets, which have no space around them.

    Bars of \left and \right stand around a row and grow with it; all others keep their size.
    """
    opened = 0
    grows = _tag(row) == "mrow" and len(row) > 0 and row[0].text in BARS and row[-1].text in BARS
    before = ""
    for child in row:
        bar = _core(child)
        if _tag(bar) == "mo" and bar.text in BARS:
            if bar.get("class") == "mathopen" or (not opened and before in ("", "mo", "mspace")):
                bar.set("form", "prefix")
                opened += 1
            elif opened:
                bar.set("form", "postfix")
                opened -= 1
            if not grows:
                bar.set("stretchy", "false")
        closing = _tag(bar) == "mo" and (bar.text in (")", "]", "}") or bar.text in BARS)
        before = "mi" if closing and not opened else _tag(bar)


def _core(element: Element) -> Element:
    """The element itself without its indices."""
    while _tag(element) in ("msub", "msup", "msubsup") and len(element):
        element = element[0]
    return element


def visit_inline(writer: HTML5Translator, node: nodes.math) -> None:
    writer.body.append(_converted(node))
    following = node.next_node(nodes.Text, descend=False, siblings=True)
    if following is not None and re.match(r"[.,;:)]", following.astext()):
        writer.body.append("&#8288;")  # a word joiner: no line begins with a full stop
    raise nodes.SkipNode


def visit_block(writer: HTML5Translator, node: nodes.math_block) -> None:
    writer.body.append(f'<div class="equation">{_converted(node, block=True)}</div>\n')
    raise nodes.SkipNode


def _converted(node: nodes.Element, block: bool = False) -> str:
    """The equation, or its source with a warning (which fails `make docs`) if it is wrong."""
    source = node.astext()
    try:
        return mathml(source, block)
    except MathError as error:
        logger.warning("equation %r: %s", source, error, location=node)
        return f"<code>{escape(source)}</code>"


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
