"""A board as CSV, Markdown and LaTeX; the best of each column is bold, the second underlined."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape

from equipoise import spreadsheet
from equipoise.errors import printable
from equipoise.report.board import Board


def to_csv(board: Board) -> str:
    """Means and standard deviations as fractions, a column each."""
    titles = [column.title for column in board.columns()]
    rows: list[list[object]] = [
        ["method", "seeds", *(f"{t} {s}" for t in titles for s in ("mean", "std"))]
    ]
    for method, scores in board.rows().items():
        numbers = [_digits(value) for score in scores for value in (score.mean, score.deviation)]
        rows.append([method, board.seeds(method), *numbers])
    return spreadsheet.write(rows)


def _digits(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"


def to_markdown(board: Board) -> str:
    """A table in percent."""
    rows = _rows(board, _escape_markdown, "**{}**", "<u>{}</u>")
    rows.insert(1, ["---"] * len(rows[0]))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def to_latex(board: Board) -> str:
    """A booktabs table in percent."""
    head, *body = _rows(board, escape_latex, r"\textbf{{}}", r"\underline{{}}")
    lines = [
        rf"\begin{{tabular}}{{l{'c' * (len(head) - 1)}}}",
        r"\toprule",
        " & ".join(head) + r" \\",
        r"\midrule",
    ]
    lines += [" & ".join(row) + r" \\" for row in body]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _rows(
    board: Board, escaped: Callable[[str], str], bold: str, underline: str
) -> list[list[str]]:
    """Header and body; `bold` and `underline` hold {} where the text goes."""
    frames = {1: bold, 2: underline}
    rows = [["method", *(escaped(column.title) for column in board.columns())]]
    for method, scores in board.rows().items():
        # `replace` and not `format`: LaTeX has braces of its own.
        cells = [frames.get(s.place, "{}").replace("{}", escaped(s.text())) for s in scores]
        rows.append([escaped(method), *cells])
    return rows


def _escape_markdown(text: str) -> str:
    """A text that stays one cell and no HTML, link, emphasis or code in Markdown."""
    plain = escape(printable(" ".join(text.split())), quote=False)
    # An underscore inside a word, as in a column's name, is no emphasis and stays readable.
    return re.sub(r"[\\|`*\[\]~]|(?<!\w)_|_(?!\w)", r"\\\g<0>", plain)


def escape_latex(text: str) -> str:
    """A text in which LaTeX sees no command."""
    special = {
        "\\": r"\textbackslash{}",
        "±": r"$\pm$",
        "–": "--",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
    }
    return "".join(special.get(c, "\\" + c if c in "&%$#_{}" else c) for c in printable(text))
