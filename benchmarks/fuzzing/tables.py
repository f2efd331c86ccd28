"""Rows that inputs start from, and the settings that read them."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Mapping, Sequence
from typing import Any

ROWS = 40
NUMBERS = ["--modality", "num=x0,x1,x2:vector"]
WORDS = ["--modality", "words=words:text"]
DECLARED = [*NUMBERS, *WORDS, "--id", "id", "--label", "label"]
SMALL = ["--epochs", "1", "--width", "8"]
CLASSES = ("calm", "happy")

Row = dict[str, Any]


def make_rows(count: int = ROWS, seed: int = 0) -> list[Row]:
    """Rows of three numbers, words and a label of two classes."""
    rng = random.Random(seed)
    rows: list[Row] = []
    for number in range(count):
        kind = number % 2
        rows.append(
            {
                "id": f"row {number}",
                "x0": round(rng.gauss(kind, 0.5), 4),
                "x1": round(rng.gauss(-kind, 0.5), 4),
                "x2": round(rng.gauss(0, 1), 4),
                "words": rng.choice(["yes it is", "so it is", "é yes"][kind:]),
                "label": CLASSES[kind],
            }
        )
    return rows


def as_csv(rows: Sequence[Mapping[str, Any]], mark: str = ",", **options: Any) -> str:
    """Rows as the text of a CSV file."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=mark, lineterminator="\n", **options)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def read_csv(content: bytes, mark: str = ",") -> list[list[str]] | None:
    """The cells of a CSV file, header first, read independently; None where it is not readable."""
    limit = csv.field_size_limit(2**31 - 1)
    try:
        text = content.decode("utf-8-sig")
        return [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=mark) if row]
    except (UnicodeDecodeError, csv.Error):
        return None
    finally:
        csv.field_size_limit(limit)
