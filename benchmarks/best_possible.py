"""The best possible accuracy on `synthetic` data with missing cells: no method can be better.

    python benchmarks/best_possible.py --strengths 2.5,1.5,2.0 --missing 0.0:0.7:0.1

It is the mean of the best accuracy with the present modalities alone, over the patterns of present
modalities that the missing mask draws.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np

from equipoise.comparison.rates import read_rates
from equipoise.data.datasets.synthetic import Sensor, best_accuracies
from equipoise.data.table.missing import hide_cells

SAMPLES = 200_000  # the mean's standard error is below 0.05 percent


def best_possible(strengths: list[float], classes: int, rate: float) -> float:
    """The best possible accuracy at a missing rate, in percent."""
    everything = np.ones((SAMPLES, len(strengths)), dtype=bool)
    # A rate that would leave samples without any modality is lowered, with a warning.
    with warnings.catch_warnings(action="ignore"):
        kept = hide_cells(everything, rate, np.random.default_rng(0))
    patterns, counts = np.unique(kept, axis=0, return_counts=True)
    best = [
        best_accuracies({str(k): Sensor(strengths[k]) for k in np.flatnonzero(pattern)}, classes)
        for pattern in patterns
    ]
    return 100 * float(np.average([accuracy["fused"] for accuracy in best], weights=counts))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--strengths", default="2.5,1.5,2.0", help="of the modalities")
    parser.add_argument("--classes", type=int, default=4)
    parser.add_argument("--missing", default="0.0:0.7:0.1", help="first:last:step, or a list")
    args = parser.parse_args()
    strengths = [float(s) for s in args.strengths.split(",")]
    for rate in read_rates(args.missing):
        print(f"{rate:g}: {best_possible(strengths, args.classes, rate):.1f}")


if __name__ == "__main__":
    main()
