"""Make docs/results.md: train every method on two real data sets.

    python benchmarks/results.py --data DOWNLOADS --out runs/results --jobs 2

DOWNLOADS holds `fsdd/recordings` (wav files of the Free Spoken Digit Dataset) and `sarcasm` (the
text files of data-of-multimodal-sarcasm-detection). Each method is trained with the optimiser that
it advises, at its default learning rate, a third and three times of it, with seed 0. The rate with
the best validation accuracy is then trained with the other seeds. The page is written after each
data set, from whatever has finished. The same command goes on after an interruption; `--write`
trains nothing, and writes the page from what there is.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

from equipoise.comparison.plan_input import plan_from, read_methods
from equipoise.comparison.progress import ComparisonProgress
from equipoise.comparison.run import run_comparison
from equipoise.configuration.layers import defaults
from equipoise.errors import EquipoiseError
from equipoise.settings import Settings

Results = list[dict[str, Any]]
"""The results of a method, one for each seed."""

ROOT = Path(__file__).resolve().parents[1]
SEEDS = (0, 1, 2)
YARDSTICK = "joint-uniform"
FACTORS = (1 / 3, 1.0, 3.0)
"""Learning rates that are tried, as multiples of the one that a method has by default."""

SARCASM_METHODS = "joint,joint-uniform,late,balanced,mla,mie,lfm,lfm-lb,ogm-ge,qmf"

BEFORE = {
    "cml": "69.6 ± 8.8",
    "amco": "diverged",
    "agm": "92.9 ± 4.5, one of three diverged",
    "domfn": "diverged",
    "film": "96.0, two of three diverged",
    "reconboost": "57.3 ± 39.6",
    "inforeg": "97.2 ± 1.0",
    "lfm-lb": "98.0 ± 0.3",
    "ae": "96.4 ± 1.7",
    "cra": "96.8 ± 0.7",
    "tmc": "97.4 ± 0.5",
    "aug": "98.8 ± 0.6",
    "relearning": "97.6 ± 1.2",
    "smv-sample": "97.6 ± 0.8",
    "opm": "97.8 ± 0.8",
    "mses": "98.4 ± 0.3",
}
"""Fused accuracy on av-digits of version 0.1: 15 epochs, SGD with 0.03, three seeds."""


@dataclass(frozen=True)
class DataSet:
    """A data set of the page.

    Attributes:
        title: heading of its section.
        prepare: flags of `equipoise prepare`, in which {data} stands for the folder of downloads.
        preset: name of the preset.
        settings: what is changed of it.
        methods: as `--methods` takes them.
        text: first paragraph of its section.
    """

    title: str
    prepare: str
    preset: str
    settings: dict[str, Any]
    methods: str
    text: str


SETS = {
    "av-digits": DataSet(
        title="Spoken and written digits",
        prepare="av-digits --fsdd {data}/fsdd/recordings",
        preset="av-digits",
        settings={"epochs": 6, "channels_last": True},
        methods="all",
        text="`av-digits`: 3,000 spoken digits with images of handwritten digits of the same "
        "class. Speakers of the test split do not occur in training. A slow, hard modality is "
        "beside a quick, easy one. The encoders have a few convolutions.",
    ),
    "sarcasm": DataSet(
        title="Sarcasm, text and attributes",
        prepare="sarcasm --root {data}/sarcasm",
        preset="sarcasm-words",
        settings={"epochs": 2},
        methods=SARCASM_METHODS,
        text="24,635 posts, and five words that describe the picture of each post. The pictures "
        "themselves are not used. A strong and a weak modality of a data set of the papers, in the "
        "published split (376 posts have a copy of their text in another split, as `prepare` "
        "reports). The encoders are convolutions over words. The numbers of the papers are with "
        "pictures and BERT, whose settings are in `recipes/`.",
    ),
}


def rates_of(method: str) -> tuple[float, ...]:
    """The learning rates that are tried for a method, rounded to one digit."""
    rate = defaults(method)["optimiser"]["lr"]
    return tuple(float(f"{rate * factor:.1g}") for factor in FACTORS)


def train(name: str, folder: Path, data: Path, methods: str | None, jobs: int) -> None:
    """Train what is not done yet of a data set.

    Args:
        name: of the data set.
        folder: of all results of it.
        data: of the prepared data.
        methods: to train; None for those of the page.
        jobs: trainings at a time.
    """
    chosen = SETS[name]
    shared = {"data": {"source": str(data)}, "preset": chosen.preset, **chosen.settings}
    groups: dict[tuple[float, ...], list[str]] = {}
    for method in read_methods(methods or chosen.methods):
        groups.setdefault(rates_of(method), []).append(method)
    # All searches come first, so that an interrupted page has every method with one seed.
    for seeds in (SEEDS[:1], SEEDS):
        for rates, names in groups.items():
            where = folder / f"from-{rates[0]:g}"
            grid = {"optimiser.lr": list(rates)}
            left = [m for m in names if len(seeds) == 1 or _any_result(where, m)]
            if not left:
                continue
            plan = plan_from(shared, methods=left, seeds=seeds, grid=grid)
            print(f"{name}, seeds {seeds}, rates {rates}: {', '.join(left)}", flush=True)
            with ComparisonProgress() as progress:
                outcomes = run_comparison(plan, where, jobs=jobs, watch=progress)
            for outcome in outcomes:
                if outcome.error:
                    print(f"{outcome.cell.folder}: {outcome.error}", flush=True)


def _any_result(where: Path, method: str) -> bool:
    return any(where.glob(f"cells/{method}/seed-*/result.json"))


def prepare(name: str, downloads: Path, out: Path) -> None:
    """Prepare a data set from the downloads, unless it is there already."""
    if (out / "dataset.json").is_file():
        return
    flags = [word.format(data=downloads) for word in SETS[name].prepare.split()]
    command = [sys.executable, "-m", "equipoise", "prepare", *flags, "--out", str(out)]
    subprocess.run(command, check=True)


def read(folder: Path) -> dict[str, Results]:
    """The results of a data set, {method: results of its seeds}."""
    found: dict[str, Results] = {}
    for path in sorted(folder.glob("from-*/cells/*/seed-*/result.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        result["rate"] = _rate(path.parent)
        found.setdefault(path.parts[-3], []).append(result)
    return found


def _rate(run: Path) -> float:
    return Settings.load(run / "config.yaml").optimiser.lr


def failures(folder: Path) -> dict[str, str]:
    """{method: reason} of the methods of which a training failed."""
    return {
        path.parts[-3]: path.read_text(encoding="utf-8").splitlines()[0]
        for path in sorted(folder.glob("from-*/cells/*/seed-*/error.txt"))
    }


def values(results: Results, part: str, metric: str) -> list[float]:
    """A metric of the test split in percent, a value per seed; a part is "fused" or a modality."""
    test = [r["test"] for r in results]
    return [100 * (t["fused"] if part == "fused" else t["modalities"][part])[metric] for t in test]


def shown(numbers: Sequence[float]) -> str:
    """Mean ± sample standard deviation, as text."""
    return f"{fmean(numbers):.1f}" + (f" ± {stdev(numbers):.1f}" if len(numbers) > 1 else "")


def mark(numbers: Sequence[float], yardstick: Sequence[float]) -> str:
    """+ or − for a difference to the yardstick that is larger than its standard error, else ""."""
    if min(len(numbers), len(yardstick)) < 3:
        return ""
    difference = fmean(numbers) - fmean(yardstick)
    error = math.sqrt(stdev(numbers) ** 2 / len(numbers) + stdev(yardstick) ** 2 / len(yardstick))
    if difference > error:
        return "+"
    return "−" if difference < -error else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)]
    return "\n".join(lines)


def comparison(groups: dict[str, Results]) -> str:
    """The table of a data set, methods ordered by fused accuracy."""
    modalities = list(next(iter(groups.values()))[0]["modalities"])
    yardstick = values(groups.get(YARDSTICK, []), "fused", "accuracy")
    rows = []
    for label in sorted(groups, key=lambda name: -fmean(values(groups[name], "fused", "accuracy"))):
        results = groups[label]
        seeds = "" if len(results) == len(SEEDS) else f" ({len(results)} of {len(SEEDS)} seeds)"
        fused = values(results, "fused", "accuracy")
        rows.append(
            [
                label + seeds,
                shown(fused),
                mark(fused, yardstick),
                shown(values(results, "fused", "macro_f1")),
                *(shown(values(results, m, "accuracy")) for m in modalities),
                f"{results[0]['rate']:g}",
                f"{median(r['cost']['seconds'] for r in results):.0f}",
                f"{median(r['cost']['peak_memory_mb'] for r in results):.0f}",
            ]
        )
    return table(["method", "fused", "", "macro-F1", *modalities, "rate", "s", "MB"], rows)


def verdict(groups: dict[str, Results], failed: dict[str, str]) -> str:
    """Sentences on the table: the methods above and below the yardstick, and those that failed."""
    yardstick = values(groups.get(YARDSTICK, []), "fused", "accuracy")
    marks = {m: mark(values(r, "fused", "accuracy"), yardstick) for m, r in groups.items()}
    above = [m for m, sign in marks.items() if sign == "+"]
    below = [m for m, sign in marks.items() if sign == "−"]
    same = len(marks) - len(above) - len(below) - (YARDSTICK in marks)
    text = [
        f"Above {YARDSTICK} by more than the standard error: {listed(above)}.",
        f"Below it: {listed(below)}. The other {same} are not told apart from it by three seeds.",
        f"No training failed or diverged: {len(groups)} methods have a row."
        if not failed
        else "Trainings failed: " + "; ".join(f"{m} ({why})" for m, why in failed.items()) + ".",
    ]
    return wrapped(" ".join(text))


def listed(names: Sequence[str]) -> str:
    """Names as text."""
    return ", ".join(sorted(names)) or "none"


def wrapped(text: str, bullet: str = "") -> str:
    """Text in lines of at most 100 characters."""
    return textwrap.fill(
        bullet + text,
        100,
        subsequent_indent=" " * len(bullet),
        break_on_hyphens=False,
        break_long_words=False,
    )


INTRODUCTION = (
    "All methods on data that anybody can get and a laptop can train on, from one commit. They do "
    "not replace the large data sets of the papers, whose settings are in `recipes/`."
)
REMARKS = (
    "Each method has its defaults, and the optimiser that it advises (`equipoise list methods`). "
    "The learning rate is chosen on validation with one seed, among the default one, a third and "
    "three times of it. The epoch is chosen on validation, too. The test split is read once.",
    "Numbers are test accuracies in percent, mean ± sample standard deviation of three seeds. The "
    "splits are the same for all seeds, so the standard deviation is that of initialisation and "
    "order.",
    f"The yardstick is `{YARDSTICK}`, joint training with unimodal losses of one weight. A + marks "
    "a method whose fused accuracy is above it by more than the standard error of the difference, "
    "a − one below it. With three seeds, some of so many rows have their mark by chance.",
    "Seconds (s) are of one training on one core. MB are the peak of the process within an epoch, "
    "of which about 500 are PyTorch and the data.",
    "Nothing was tuned by hand on these data, and methods that are worse than joint training are "
    "shown. Rows that equal another one by construction are left out, as `--methods all` says.",
)
SCRIPT = (
    "`python benchmarks/results.py --data DOWNLOADS` trains everything on this page, and writes it."
)


def section(name: str, folder: Path) -> str:
    """The section of a data set; "" if it has no results."""
    groups = read(folder)
    if not groups:
        return ""
    chosen = SETS[name]
    text = chosen.text
    methods = chosen.methods
    if methods != "all":
        methods = ",".join(method for method in methods.split(",") if method in groups)
        text += " Only some of the methods are trained on these data."
    changes = " ".join(f"--{key} {value}".lower() for key, value in chosen.settings.items())
    commands = (
        f"```bash\nequipoise prepare {chosen.prepare.format(data='DOWNLOADS')} --out data/{name}\n"
        f"equipoise bench --data data/{name} --preset {chosen.preset} {changes} \\\n"
        f"    --methods {methods} --seeds 0,1,2 --out runs/{name}\n```"
    )
    parts = [
        f"## {chosen.title}",
        wrapped(text),
        commands,
        comparison(groups),
        verdict(groups, failures(folder)),
    ]
    if name == "av-digits":
        parts += ["### Before and after", before(groups)]
    return "\n\n".join(parts) + "\n"


def before(groups: dict[str, Results]) -> str:
    """The rows whose defaults were mended since version 0.1."""
    rows = [
        [m, was, shown(values(groups[m], "fused", "accuracy"))]
        for m, was in BEFORE.items()
        if m in groups
    ]
    text = (
        "Methods whose defaults have changed since version 0.1, which trained all of them with SGD "
        "and a learning rate of 0.03 for 15 epochs. Fused test accuracy:"
    )
    return wrapped(text) + "\n\n" + table(["method", "version 0.1", "now"], rows)


def write(out: Path, page: Path) -> None:
    """Write the page."""
    sections = [text for name in SETS if (text := section(name, out / name))]
    remarks = "\n".join(wrapped(remark, "- ") for remark in REMARKS)
    head = f"# Results\n\n{wrapped(INTRODUCTION)}\n\n{remarks}\n\n{wrapped(SCRIPT)}\n"
    page.write_text("\n".join([head, *sections]), encoding="utf-8")
    print(f"wrote {page}")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder that holds fsdd/ and sarcasm/")
    parser.add_argument("--out", type=Path, default=Path("runs/results"), help="[runs/results]")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="[all cores]")
    parser.add_argument("--sets", default=",".join(SETS), help=f"data sets [{','.join(SETS)}]")
    parser.add_argument("--methods", help="other methods than those of the page")
    parser.add_argument("--page", type=Path, default=ROOT / "docs/results.md")
    parser.add_argument("--write", action="store_true", help="write the page, train nothing")
    given = parser.parse_args()
    if not given.write and given.data is None:
        parser.error("--data is needed, except with --write")
    try:
        for name in [] if given.write else given.sets.split(","):
            prepare(name, given.data, given.out / "data" / name)
            train(name, given.out / name, given.out / "data" / name, given.methods, given.jobs)
            write(given.out, given.page)
    except EquipoiseError as error:
        print(f"{error}\n(this script goes on where it stopped; --write writes the page)")
        return 1
    if given.write:
        write(given.out, given.page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
