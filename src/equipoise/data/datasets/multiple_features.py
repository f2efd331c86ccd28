"""`multiple-features`: 2,000 handwritten digits from Dutch utility maps, in six sets of features.

| view | features | meaning |
|---|---|---|
| `pix` | 240 | pixel averages of 2 × 3 windows, 15 × 16 |
| `fou` | 76 | Fourier coefficients of the shape |
| `fac` | 216 | profile correlations |
| `zer` | 47 | Zernike moments |
| `kar` | 64 | Karhunen-Loève coefficients |
| `mor` | 6 | morphological |

## Download

Either *Multiple Features* from the UCI Machine Learning Repository, or `handwritten_6views.mat`
(3.5 MB) from `hanmenghan/TMC` on GitHub, which holds the same digits with a split into training and
test.

## Licence

CC BY 4.0.

## Expected files

```text
mfeat/
    mfeat-pix  mfeat-fou  mfeat-fac  mfeat-zer  mfeat-kar  mfeat-mor
```

or, instead of the folder, the other file:

```bash
equipoise prepare multiple-features --root mfeat
equipoise prepare multiple-features --root handwritten_6views.mat --split official
```

Each view becomes one array file of shape (2,000, features). A cell such as `pix.npy#17` picks a row
of it.

## Splits

* `random` (default): 70 % for training, 10 % for validation and 20 % for testing, drawn by class
  with `--seed`.
* `official`: the split of `handwritten_6views.mat`, 1,600 digits for training and 400 for testing.
  A tenth of the training digits is drawn for validation, by class.

## Known problems

* The views have very different ranges. Equipoise standardises vectors by the training rows; the
  code of TMC scales training and test data separately.
* In `handwritten_6views.mat` the classes are numbered from 1 to 10 and stand for the digits 0 to 9.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from equipoise.data.datasets.preparing.counting import Total
from equipoise.data.datasets.preparing.lists import bad_line, numbered_lines
from equipoise.data.datasets.preparing.writing import (
    Collection,
    carve_validation,
    draw_splits,
    need_file,
    need_folder,
    write,
)
from equipoise.errors import ConfigError, DataError, invalid

VIEWS = {"pix": 240, "fou": 76, "fac": 216, "zer": 47, "kar": 64, "mor": 6}
"""{view: features}, in the order of the .mat file."""
PER_CLASS = 200


def prepare(out: Path, *, root: str | Path, split: str = "random", seed: int = 0) -> dict[str, Any]:
    """Write `manifest.csv`, `dataset.json` and an array file per view into an existing empty
    folder.

    Args:
        out: the folder.
        root: folder of the `mfeat-*` files, or `handwritten_6views.mat`.
        split: "random" (drawn) or "official" (that of the .mat file).
        seed: of the draw.

    Returns:
        Facts about what was found, see `writing.write`.

    Raises:
        ConfigError: no such split policy, or "official" without the .mat file.
        DataError: a file is missing or cannot be read.
    """
    if split not in ("random", "official"):
        raise invalid("multiple-features", "split", "'random' or 'official'", split)
    path = Path(root)
    from_matlab = path.suffix == ".mat"
    if split == "official" and not from_matlab:
        raise ConfigError(
            "multiple-features: --split official needs --root handwritten_6views.mat, "
            "whose split it is"
        )
    views, digits, splits = _read_matlab(path) if from_matlab else _read_folder(path)
    for view, array in views.items():
        np.save(out / f"{view}.npy", array.astype(np.float32))
    rows = [
        {
            "id": str(k),
            **{view: f"{view}.npy#{k}" for view in VIEWS},
            "label": str(digit),
            "split": given,
        }
        for k, (digit, given) in enumerate(zip(digits, splits, strict=True))
    ]
    if split == "official":
        carve_validation(rows, 0.1, seed)
    else:
        draw_splits(rows, validation=0.1, test=0.2, seed=seed)
    published = {"train": 1_600, "test": 400} if split == "official" else {}
    modalities = [f"{view}={view}:vector" for view in VIEWS]
    total = Total(10 * PER_CLASS)
    return write(
        out, Collection("multiple-features", modalities, rows, published=published, total=total)
    )


def _read_folder(path: Path) -> tuple[dict[str, np.ndarray], list[int], list[str]]:
    """Views, digits and empty splits. Every file has the same order, 200 rows of each digit."""
    folder = need_folder(
        path, "the files mfeat-pix to mfeat-mor, or handwritten_6views.mat, belong there"
    )
    views = {
        view: _read_text(folder / f"mfeat-{view}", features) for view, features in VIEWS.items()
    }
    return views, [k // PER_CLASS for k in range(10 * PER_CLASS)], [""] * (10 * PER_CLASS)


def _read_text(path: Path, features: int) -> np.ndarray:
    """A view from a text file, (2,000, features)."""
    rows = []
    for number, line in numbered_lines(
        path, "it comes with Multiple Features of the UCI repository"
    ):
        try:
            row = [float(word) for word in line.split()]
        except ValueError:
            row = []
        if len(row) != features or not np.isfinite(row).all():
            raise bad_line(path, number, line.strip(), f"{features} numbers")
        rows.append(row)
    if len(rows) != 10 * PER_CLASS:
        raise DataError(
            f"{path}: expected {10 * PER_CLASS} lines, {PER_CLASS} of each digit, found {len(rows)}"
        )
    return np.array(rows)


def _read_matlab(path: Path) -> tuple[dict[str, np.ndarray], list[int], list[str]]:
    """Views, digits and splits.

    The file has the views `x1_train` to `x6_test` and the classes `gt_train` and `gt_test`, from 1
    to 10.
    """
    from scipy.io import loadmat

    need_file(path, "it comes with hanmenghan/TMC")
    try:
        found = loadmat(path)
    except Exception as error:  # damaged bytes can raise anything
        raise DataError(
            f"{path}: not readable as a MATLAB file ({' '.join(str(error).split())})"
        ) from None
    parts = {part: _matlab_part(found, part, path) for part in ("train", "test")}
    views = {view: np.concatenate([p[view] for p in parts.values()]) for view in VIEWS}
    digits = [int(code) - 1 for p in parts.values() for code in p["digit"]]
    return views, digits, [part for part, p in parts.items() for _ in p["digit"]]


def _matlab_part(found: dict[str, Any], part: str, path: Path) -> dict[str, np.ndarray]:
    """The views of one split, and its classes under the key "digit"."""
    codes = np.asarray(found.get(f"gt_{part}", [])).ravel()
    if not len(codes) or not np.isin(codes, range(1, 11)).all():
        raise DataError(
            f"{path}: 'gt_{part}' should hold the classes 1 to 10; is this handwritten_6views.mat?"
        )
    views: dict[str, np.ndarray] = {"digit": codes}
    for k, (view, features) in enumerate(VIEWS.items(), 1):
        array: np.ndarray = np.asarray(found.get(f"x{k}_{part}", []))
        if (
            array.shape != (len(codes), features)
            or array.dtype.kind not in "fiu"
            or not np.isfinite(array).all()
        ):
            raise DataError(
                f"{path}: 'x{k}_{part}' should hold {len(codes)} × {features} finite numbers "
                f"({view})"
            )
        views[view] = array
    return views
