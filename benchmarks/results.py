"""The tables of docs/results.md, as Markdown, from folders of `equipoise bench`.

    python benchmarks/results.py runs/av-digits

Test accuracy and macro-F1 of the fused prediction, accuracy of every modality alone, and the median
seconds and MB of a training; mean ± sample standard deviation over seeds. Methods are ordered by
fused accuracy; one whose accuracy is above that of joint training by more than the standard error
of the difference has a +, one below it a −, where there are three seeds. Of sweeps over missing
rates (`--missing` of several) the table has the fused accuracy at each.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

Results = list[dict[str, Any]]


def read(folder: Path) -> dict[str, Results]:
    """Read the results of a comparison: {label: results of its seeds}."""
    found: dict[str, Results] = {}
    for path in sorted(folder.glob("cells/*/seed-*/result.json")):
        found.setdefault(path.parts[-3], []).append(json.loads(path.read_text(encoding="utf-8")))
    return found


def values(results: Results, part: str, metric: str) -> list[float]:
    """A metric of the test split in percent, a value per seed; a part is "fused" or a modality."""
    test = [r["test"] for r in results]
    return [100 * (t["fused"] if part == "fused" else t["modalities"][part])[metric] for t in test]


def shown(numbers: list[float]) -> str:
    """Mean ± standard deviation, as text."""
    return f"{fmean(numbers):.1f}" + (f" ± {stdev(numbers):.1f}" if len(numbers) > 1 else "")


def mark(numbers: list[float], yardstick: list[float]) -> str:
    """The sign of a difference to joint training that is larger than its standard error."""
    if min(len(numbers), len(yardstick)) < 3:
        return ""
    difference = fmean(numbers) - fmean(yardstick)
    error = math.sqrt(stdev(numbers) ** 2 / len(numbers) + stdev(yardstick) ** 2 / len(yardstick))
    if difference > error:
        return "+"
    return "−" if difference < -error else ""


def heading(cells: list[str]) -> str:
    """The head of a Markdown table."""
    return f"| {' | '.join(cells)} |\n|{'---|' * len(cells)}"


def comparison(groups: dict[str, Results]) -> None:
    """Print the table of a comparison."""
    modalities = next(iter(groups.values()))[0]["modalities"]
    most = max(map(len, groups.values()))
    yardstick = values(groups["joint"], "fused", "accuracy") if "joint" in groups else []
    print(heading(["method", "fused", "", "macro-F1", *modalities, "s", "MB"]))
    for label in sorted(groups, key=lambda name: -fmean(values(groups[name], "fused", "accuracy"))):
        results = groups[label]
        fused = values(results, "fused", "accuracy")
        name = label if len(results) == most else f"{label} ({len(results)} of {most} seeds)"
        cells = [
            name,
            shown(fused),
            mark(fused, yardstick),
            shown(values(results, "fused", "macro_f1")),
        ]
        cells += [shown(values(results, modality, "accuracy")) for modality in modalities]
        cells += [
            f"{median(r['cost'][key] for r in results):.0f}"
            for key in ("seconds", "peak_memory_mb")
        ]
        print("| " + " | ".join(cells) + " |")


def sweep(levels: dict[float, dict[str, Results]]) -> None:
    """Print the table of a sweep, methods ordered by their mean over the rates."""
    fused: dict[str, dict[float, list[float]]] = {}
    for rate, groups in levels.items():
        for label, results in groups.items():
            fused.setdefault(label, {})[rate] = values(results, "fused", "accuracy")
    print(heading(["method", *(f"{rate:g}" for rate in sorted(levels))]))
    for label in sorted(fused, key=lambda name: -fmean(map(fmean, fused[name].values()))):
        cells = [
            shown(fused[label][rate]) if rate in fused[label] else "–" for rate in sorted(levels)
        ]
        print(f"| {label} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "folders", type=Path, nargs="+", help="a method's runs in a later one replace earlier ones"
    )
    folders = parser.parse_args().folders
    levels: dict[float, dict[str, Results]] = {}
    for level in (level for folder in folders for level in sorted(folder.glob("missing-*"))):
        levels.setdefault(float(level.name.removeprefix("missing-")), {}).update(read(level))
    if levels:
        sweep(levels)
    else:
        comparison({label: found for folder in folders for label, found in read(folder).items()})


if __name__ == "__main__":
    main()
