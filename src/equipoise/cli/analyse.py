"""Look into finished runs: modality gap, loss landscape, spectra and other pictures of the papers.

The numbers are printed, and written as CSV beside the picture as SVG and PDF. What there is to
look at is listed by: equipoise list analyses. More on one: equipoise analyse KIND --help

examples:
  equipoise analyse gap runs/joint runs/mla
  equipoise analyse landscape runs/joint runs/mie --points 11
  equipoise analyse spectrum runs/joint runs/mie
  equipoise analyse alpha runs/lfm runs/lfm-lb --curves heuristic,polynomial
  equipoise analyse phases runs/mie
  equipoise analyse sensitivity runs/mie --setting method.rho --values 0.01,0.05,0.1
  equipoise analyse shapley runs/comparison
  equipoise analyse confusion-difference runs/joint runs/mla
  equipoise analyse disagreement runs/mla --show 4
  equipoise analyse gradcam runs/lfm --epochs 1,7,30 --ids clip7,clip9
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from equipoise.cli.options import add_trust, read_value
from equipoise.errors import ConfigError, printable

if TYPE_CHECKING:
    import pandas as pd

FILLED = {"runs", "trust"}
"""Parameters of an analysis that are no flags of their own."""
MOST_ROWS = 40
"""The most rows that are printed; the CSV has all of them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", metavar="KIND", help="see equipoise list analyses")
    parser.add_argument(
        "runs", metavar="RUN", nargs="+", help="finished runs, or the folder of a comparison"
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="folder for the files [analysis in the folder of the run; runs/analysis for several]",
    )
    parser.add_argument(
        "--formats",
        metavar="NAMES",
        default="csv,svg,pdf",
        help="some of csv, svg, pdf, png and html, with commas between [csv,svg,pdf]",
    )
    add_trust(parser)
    parser.add_argument("--json", action="store_true", help="print the table as JSON")


def add_kind(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """Add the options of the analysis that a command line names.

    Args:
        parser: of the command.
        words: what follows the command.

    Raises:
        ConfigError: no such analysis.
    """
    kind = next((word for word in words if not word.startswith("-")), None)
    if kind is None:
        return
    from equipoise.analysis import ANALYSES
    from equipoise.cli.component_help import component_options

    entry = ANALYSES[kind]
    group = parser.add_argument_group(f"options of {kind}", entry.summary)
    parameters = entry.parameters()
    for option, default, text in component_options(entry, "analysis"):
        group.add_argument(
            f"--{option}",
            metavar=option.upper(),
            default=argparse.SUPPRESS,
            type=_reader(str(parameters[option].annotation)),
            help=f"{text} [{default}]".replace("%", "%%"),
        )
    options = [name for name in parameters if name not in FILLED]
    known = [*parser.get_default("known"), *(f"--{option}" for option in options)]
    parser.set_defaults(options=options, known=known)


def _reader(annotation: str) -> Any:
    """A function that reads the text of a flag.

    Args:
        annotation: of the parameter; values of a sequence have commas between them.
    """
    if annotation in ("str", "str | None"):
        return str
    if annotation.startswith("Sequence"):
        return _read_values
    return read_value


def _read_values(text: str) -> list[Any]:
    found = read_value(text)
    return found if isinstance(found, list) else [read_value(part) for part in text.split(",")]


def run(args: argparse.Namespace) -> int:
    from equipoise.analysis import ANALYSES
    from equipoise.cli.output import print_json, print_table

    entry = ANALYSES[args.kind]
    options = {name: getattr(args, name) for name in args.options if hasattr(args, name)}
    missing = [
        name
        for name, parameter in entry.parameters().items()
        if parameter.default is parameter.empty and name not in {*FILLED, *options}
    ]
    if missing:
        raise ConfigError(f"{args.prog} {args.kind}: --{missing[0]} must be given; see --help")
    record = entry.load()(args.runs, trust=args.trust, **options)
    table = record.to_frame()
    written = record.save(_folder(args), args.formats.split(","))
    if args.json:
        print_json(table.astype(object).where(table.notna(), None).to_dict("records"))
    else:
        print_table(list(map(str, table.columns)), list(_cells(table)), title=entry.summary)
        if len(table) > MOST_ROWS:
            print(f"{len(table) - MOST_ROWS} more rows are in the CSV")
        for path in written:
            print(printable(str(path)))
    return 0


def _folder(args: argparse.Namespace) -> Path:
    if args.out is not None:
        return Path(args.out)
    return Path(args.runs[0]) / "analysis" if len(args.runs) == 1 else Path("runs/analysis")


def _cells(table: pd.DataFrame) -> Iterator[list[str]]:
    for row in table.head(MOST_ROWS).itertuples(index=False):
        yield [_text(value) for value in row]


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
