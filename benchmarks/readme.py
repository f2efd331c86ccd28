"""Make the table of the README from the comparison of `equipoise demo`.

equipoise demo --out runs/demo
python benchmarks/readme.py runs/demo
"""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

from equipoise.report.conclusion import conclude
from equipoise.report.records import read_board, read_runs

README = Path(__file__).resolve().parents[1] / "README.md"
MARKS = ("<!-- demo: begin -->\n", "<!-- demo: end -->")
WIDTH = 100
TITLES = {
    "joint": "joint training",
    "unimodal": "each modality alone, then averaged",
    "mla": "MLA",
    "lfm": "LFM",
    "mie": "MIE",
    "balanced": "Balanced, our own",
}


def table(folder: Path) -> str:
    """Accuracy of each modality and of all together; the best of each column is bold."""
    board = read_board([folder])
    parts = (*board.modalities, "fused")
    best = {part: max(board.score(m, part).mean or 0.0 for m in board.methods) for part in parts}
    lines = [["method", *parts], ["---"] * (len(parts) + 1)]
    for method in board.methods:
        scores = {part: board.score(method, part) for part in parts}
        cells = [
            f"**{score.text()}**" if score.mean == best[part] else score.text()
            for part, score in scores.items()
        ]
        lines.append([TITLES.get(method, method), *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="folder of the demo")
    folder = parser.parse_args().folder
    found = textwrap.fill(" ".join(conclude(read_runs([folder])[0])), WIDTH)
    text = README.read_text(encoding="utf-8")
    head, rest = text.split(MARKS[0])
    tail = rest.split(MARKS[1])[1]
    made = f"{head}{MARKS[0]}{table(folder)}\n\n{found}\n{MARKS[1]}{tail}"
    README.write_text(made, encoding="utf-8")


if __name__ == "__main__":
    main()
