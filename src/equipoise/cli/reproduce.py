"""Run a table of a paper again, and show ours beside the published numbers.

Only what is missing is trained: tables of a paper share their trainings, interrupted ones
continue, and the command can be given again at any time. A cell that cannot be run says why.

examples:
  equipoise reproduce --list
  equipoise reproduce mla/table-1 --root data --out runs/reproduce
  equipoise reproduce mla/table-3 --root data --root /mnt/more --seeds 1 --jobs 2
  equipoise reproduce lfm/table-4 --data data/av-digits --preset av-digits
  equipoise reproduce --all --smoke
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from equipoise.cli.options import add_trust

if TYPE_CHECKING:
    from equipoise.studies.study import Study
    from equipoise.studies.table import Table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "studies",
        nargs="*",
        metavar="STUDY",
        help="such as mla/table-1, or a YAML file of your own beside its paper.yaml",
    )
    parser.add_argument("--list", action="store_true", help="name all studies, and end")
    parser.add_argument("--all", action="store_true", help="run all studies")
    parser.add_argument(
        "--root",
        action="append",
        default=[],
        metavar="DATA",
        help="folder that `prepare` made, or a folder of them; repeat for several [data]",
    )
    parser.add_argument(
        "--data",
        metavar="FOLDER",
        help="run the rows of the study on this prepared folder, not on the data of the paper",
    )
    parser.add_argument(
        "--preset", metavar="NAME", help="inputs and encoders for --data [the defaults]"
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="folder of all trainings and pages [runs/reproduce, of a smoke test "
        "runs/reproduce-smoke]",
    )
    parser.add_argument("--seeds", type=int, metavar="N", help="number of seeds [as the paper]")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="trainings at a time [1]")
    parser.add_argument(
        "--smoke",
        action="store_true",
        help="try the studies on miniatures of their data, with tiny encoders; no data are needed",
    )
    parser.add_argument("--json", action="store_true", help="print all numbers as JSON")
    add_trust(parser)


def run(args: argparse.Namespace) -> int:
    from equipoise.cli.output import print_json, print_table
    from equipoise.errors import ConfigError
    from equipoise.studies.study import read_study, study_names

    if args.list:
        studies = [read_study(name) for name in study_names()]
        print_table(("study", "where", "caption"), [(s.name, s.source, s.caption) for s in studies])
        return 0
    if bool(args.studies) == args.all:
        raise ConfigError("name one or more studies, or give --all; --list names them")
    if bool(args.smoke) + bool(args.root) + bool(args.data) > 1:
        raise ConfigError("give one of --root, --data and --smoke, which makes its own data")
    if args.preset and not args.data:
        raise ConfigError("--preset is for --data; on the data of the paper a study has its own")
    if args.seeds is not None and args.seeds < 1:
        raise ConfigError(f"--seeds must be at least 1, found {args.seeds}")
    names = study_names() if args.all else args.studies
    studies = [read_study(name, trust=args.trust) for name in names]
    tables = [_reproduce(study, args) for study in studies]
    if args.json:
        print_json([record | {"study": t.study.name} for t in tables for record in t.to_records()])
    return 1 if any(_failed(table) for table in tables) else 0


def _reproduce(study: Study, args: argparse.Namespace) -> Table:
    """Run one study, write its page and show its table."""
    from equipoise.cli.output import print_table
    from equipoise.comparison.progress import ComparisonProgress
    from equipoise.studies.own_data import on_data
    from equipoise.studies.page import write_page
    from equipoise.studies.reproduce import reproduce

    out = Path(args.out or ("runs/reproduce-smoke" if args.smoke else "runs/reproduce"))
    place = out / study.name
    if args.data:
        study = on_data(study, Path(args.data), args.preset)
        place /= study.data[0].key
    with ComparisonProgress() as progress:
        table = reproduce(
            study,
            [Path(root) for root in args.root or [args.data or "data"]],
            out,
            seeds=args.seeds,
            jobs=args.jobs,
            smoke=args.smoke,
            trust=args.trust,
            watch=progress,
        )
    page = write_page(table, place)
    if not args.json:
        print_table(*_lines(table), title=f"{study.name}: {study.caption} {page}")
    for reason, places in table.reasons().items():
        text = f"equipoise: {study.name}: {reason} ({_some(places)})"
        print(text, file=sys.stderr)
    return table


def _lines(table: Table) -> tuple[list[str], list[list[str]]]:
    """Header and rows for a terminal."""
    study = table.study
    header = [""] * len(study.rows)
    header += [" ".join(table.titles(study.columns, column)) for column in table.columns]
    rows = []
    for row in table.rows:
        cells = [table.cell(row, column) for column in table.columns]
        texts = ["" if cell is None else " | ".join(table.texts(cell)) for cell in cells]
        rows.append([*table.titles(study.rows, row), *texts])
    return header, rows


MOST_PLACES = 4
"""The most places that a line names."""


def _some(places: list[str]) -> str:
    more = len(places) - MOST_PLACES
    return ", ".join(places[:MOST_PLACES]) + (f" and {more} more" if more > 0 else "")


def _failed(table: Table) -> bool:
    """True if a training failed, or there is not a single number."""
    return table.failed or all(cell.ours is None for cell in table.cells.values())
