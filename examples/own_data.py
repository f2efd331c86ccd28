"""Your own table: a row per sample, columns of numbers for two modalities, and empty cells for
absent modalities."""

from __future__ import annotations

import numpy as np
import pandas as pd

import equipoise


def measurements(rows: int = 600, seed: int = 0) -> pd.DataFrame:
    """Two sensors that depend on the class, one more strongly; a tenth of each is missing."""
    draw = np.random.default_rng(seed)
    label = draw.integers(0, 3, rows)
    centre = np.eye(3)[label]
    loud = 3.0 * centre + draw.normal(size=(rows, 3))
    quiet = 1.5 * centre + draw.normal(size=(rows, 3))
    absent = draw.random(rows)
    loud[absent < 0.1] = np.nan
    quiet[absent > 0.9] = np.nan
    table = pd.DataFrame(
        np.hstack([loud, quiet]), columns=[f"{s}_{i}" for s in ("loud", "quiet") for i in range(3)]
    )
    return table.assign(label=[("low", "middle", "high")[k] for k in label])


def main() -> None:
    sensors = ["loud=loud_*:vector", "quiet=quiet_*:vector"]
    run = equipoise.fit(measurements(), method="mla", modality=sensors, epochs=5)
    test = run.result["test"]
    print(
        "fused",
        test["fused"]["accuracy"],
        {m: v["accuracy"] for m, v in test["modalities"].items()},
    )
    print(equipoise.predict(run, measurements(5, seed=1).drop(columns="label")))


if __name__ == "__main__":
    main()
