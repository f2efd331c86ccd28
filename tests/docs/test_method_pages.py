"""Pages of methods: parts of a header, equations as mathematics, and examples that run."""

from __future__ import annotations

import inspect
import re
import sys
import warnings

import pytest

from equipoise.methods import METHODS

HEADER = r"""A method.

Somebody. Something. 2024.

Idea:
    It learns.

    It goes on.

Equations:
    $$L = a$$

Where published code departs:
    one thing                 `option: 1`
    another thing, which
    takes two lines           not offered, since
                              nobody wants it
    a `b`  of $c | d$         `e`
"""
UNDERSTOOD = (
    r"\begin{cases} a & x > 0 \\ b & \text{otherwise} \end{cases}",
    r"\begin{aligned} a &= b \\ c &= \operatorname*{max}_{d} \dots \end{aligned}",
    r"\Bigl\{ \lVert \hat{x}_m \rVert_2^2 \Bigr\} \in \mathbb{R}^{B \times C}",
    r"\left( \frac{\exp(z_m / \tau)}{\sum_{k=1}^M \exp(z_k / \tau)} \right)",
    r"\mathrm{KL}(p \,\|\, q) = \boldsymbol{\theta}^\top \nabla_\theta \mathcal{L}",
)


def test_parts_of_a_header(catalogue):
    from catalogue.header import departures, read_header

    header = read_header(inspect.cleandoc(HEADER))
    assert header.opening == "A method.\n\nSomebody. Something. 2024."
    assert header.parts["Idea"] == "It learns.\n\nIt goes on."
    assert header.parts["Equations"] == "$$L = a$$"
    assert not header.missing
    assert departures(header.parts["Where published code departs"]) == [
        ("one thing", "`option: 1`"),
        ("another thing, which takes two lines", "not offered, since nobody wants it"),
        ("a `b`", "of $c | d$         `e`"),
    ]


def test_a_header_without_its_parts(catalogue):
    from catalogue.header import read_header, shown_departures

    header = read_header("A method.\n\nIdea:\n    It learns.\n")
    assert header.missing == ["Equations", "Where published code departs"]
    assert shown_departures("No code is published.") == "No code is published."
    with pytest.raises(ValueError, match="no option beside 'a second'"):
        shown_departures("a first   `a`\na second")


@pytest.mark.parametrize("entry", list(METHODS), ids=lambda entry: entry.name)
def test_the_header_of_a_method_has_all_parts(entry, catalogue):
    from catalogue.header import PARTS, read_header, shown_departures
    from catalogue.markdown import module_of

    header = read_header(inspect.getdoc(module_of(entry)))
    assert not header.missing
    assert "$$" in header.parts["Equations"]
    assert shown_departures(header.parts[PARTS[2]])  # refuses a difference without an option


def equations(page: str) -> list[tuple[str, bool]]:
    """(LaTeX, whether on a line of its own) of a page."""
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", page, flags=re.DOTALL)
    blocks = re.findall(r"\$\$(.*?)\$\$", prose, re.DOTALL)
    inline = re.findall(r"\$([^$]+)\$", re.sub(r"\$\$.*?\$\$", "", prose, flags=re.DOTALL))
    return [*((source, True) for source in blocks), *((source, False) for source in inline)]


@pytest.mark.parametrize("source", UNDERSTOOD)
def test_latex_is_understood(source, catalogue):
    from mathml import mathml

    assert mathml(source, block=True).startswith("<math")


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (r"\hat z_m", "<msub><mover><mi>z</mi><mo>ˆ</mo></mover><mi>m</mi></msub>"),
        (
            r"\bar{z}_m^2",
            "<msubsup><mover><mi>z</mi><mo>ˉ</mo></mover><mi>m</mi><mn>2</mn></msubsup>",
        ),
        (r"\sum_m x", "<munder><mo>∑</mo><mi>m</mi></munder><mi>x</mi>"),
    ],
)
def test_indices_are_beside_accented_letters(source, found, catalogue):
    from mathml import mathml

    assert found in re.sub(r"\s+", "", re.sub(r"(<\w+)[^>]*", r"\1", mathml(source)))


def test_bars_are_brackets_or_relations(catalogue):
    from mathml import mathml

    def forms(source: str) -> list[str]:
        return re.findall(r'form="(\w+)"', mathml(source))

    assert forms(r"a - |S|! + \|x\|_2") == 2 * ["prefix", "postfix"]
    assert forms(r"\lVert \lvert x \rvert - 1 \rVert") == ["prefix", "prefix", "postfix", "postfix"]
    assert not forms(r"p(y|x) + \mathrm{KL}(p \Vert q)")


def test_all_equations_are_understood(pages):
    from mathml import mathml

    found = {name: equations(text) for name, text in pages.items()}
    assert any(block for _, block in found["method-mie.md"])
    for name in found:
        for source, block in found[name]:
            assert "\n\n" not in source, f"{name}: a dollar is not closed before {source[:80]!r}"
            assert mathml(source, block).startswith("<math"), name


def test_equations_show_without_a_network(tmp_path, catalogue):
    """A page of HTML has the equations in itself, and one that is wrong fails a build with -W."""
    from docutils.utils.math import MathError
    from mathml import mathml
    from sphinx.application import Sphinx

    (tmp_path / "conf.py").write_text(
        "extensions = ['mathml', 'myst_parser']\n"
        "html_math_renderer = 'mathml'\n"
        "myst_enable_extensions = ['dollarmath']\n"
    )
    (tmp_path / "index.md").write_text("# Page\n\nThe weight $w_m$ of\n\n$$L = \\frac{a}{b}$$\n")
    out = tmp_path / "html"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Sphinx and its extensions
        Sphinx(tmp_path, tmp_path, out, out, "html", status=None, warning=sys.stderr).build()
    page = (out / "index.html").read_text(encoding="utf-8")
    assert page.count("<math") == 2
    assert "<mfrac>" in page
    assert not re.search(r"<script[^>]*src=.https?:", page)
    with pytest.raises(MathError):
        mathml(r"\nosuchcommand")


FIRST = {entry.load().__module__.split(".")[2]: entry.name for entry in reversed(list(METHODS))}
"""{family: its first method}"""


@pytest.mark.parametrize(
    "name",
    [
        name if name in FIRST.values() else pytest.param(name, marks=pytest.mark.slow)
        for name in METHODS.names()
    ],
)
def test_the_example_of_a_method_runs(name, pages, tmp_path, monkeypatch, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", pages[f"method-{name}.md"], re.DOTALL)
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # a method that says why it does not act trains all the same
        exec(compile(code, f"method-{name}.md", "exec"), {})
    assert 0.2 < float(capsys.readouterr().out) <= 1
