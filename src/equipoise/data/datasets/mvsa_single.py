"""`mvsa-single`: MVSA-Single, the sentiment of tweets with a picture, in three classes.

Niu et al. Sentiment Analysis on Multi-View Social Data. MMM 2016. The text and the picture of a
tweet were labelled separately.

## Download

`MVSA_Single` from the page of MCRLab (University of Ottawa): 4,869 numbered tweets with a picture
each. MVSA-Multiple, labelled by three people, is a different data set.

## Licence

None is stated; for research. The tweets belong to their authors.

## Expected files

```text
MVSA_Single/
    labelResultAll.txt
    data/<id>.jpg
    data/<id>.txt
```

```bash
equipoise prepare mvsa-single --root MVSA_Single
equipoise prepare mvsa-single --root MVSA_Single --split paper --splits LISTS
```

## Splits

There is no official split, and two rules say which tweets count at all. Results under different
rules are results on different data sets.

* `--rule agreement` (default): only tweets whose text and picture have the same label. These are
  2,592 tweets: 1,398 positive, 470 neutral and 724 negative. QMF, MLA and the papers that follow
  them use this rule.
* `--rule customary` (Xu and Mao 2017): a neutral label gives way to the other label, and tweets
  with a positive and a negative label are left out. These are 4,511 tweets: 2,683 positive, 470
  neutral and 1,358 negative.

The split is independent of the rule:

* `--split random` (default): 8 : 1 : 1, drawn by class with `--seed`.
* `--split paper`: the lists in the folder `--splits`, which exist for the tweets of the rule
  `agreement`. QMF's `train.jsonl`, `dev.jsonl` and `test.jsonl` have 1,555 / 518 / 519 tweets.
  MLA's `my_train_mvsa.txt` and `my_test_mvsa.txt` have the same training tweets, but 32 of their
  519 test tweets are validation tweets in QMF's lists. MLA has no validation split, so a tenth of
  its training tweets is drawn for validation, by class.

## Known problems

* Not all texts are UTF-8. Those that are not are read as GB 18030, whose bytes for `’` QMF's lists
  show as `¡¯`, and failing that as Latin-1. Pictograms were lost before publication and are `?`.
* Texts and pictures may occur more than once, because tweets were retweeted; `prepare` counts them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from equipoise.data.datasets.preparing.counting import Total
from equipoise.data.datasets.preparing.lists import (
    bad_line,
    numbered_lines,
    published_lists,
    published_splits,
)
from equipoise.data.datasets.preparing.writing import (
    Collection,
    Row,
    carve_validation,
    draw_splits,
    need_folder,
    write,
)
from equipoise.errors import DataError, invalid

CLASSES = ("negative", "neutral", "positive")
TWEETS = {"agreement": 2_592, "customary": 4_511}
"""{rule: tweets that count under it}"""
HELD_OUT = 0.1
"""Fraction of the tweets for validation, and the same fraction for testing."""


def _agreement(text: str, image: str) -> str | None:
    return text if text == image else None


def _customary(text: str, image: str) -> str | None:
    polar = {text, image} - {"neutral"}
    if len(polar) == 2:
        return None
    return polar.pop() if polar else "neutral"


RULES: dict[str, tuple[Callable[[str, str], str | None], str]] = {
    "agreement": (_agreement, "text and picture have different labels"),
    "customary": (_customary, "one of text and picture is positive, the other negative"),
}
"""{rule: ((label of the text, label of the picture) → label or None, why a tweet is left out)}"""


def prepare(
    out: Path,
    *,
    root: str | Path,
    splits: str | Path | None = None,
    split: str = "random",
    rule: str = "agreement",
    seed: int = 0,
) -> dict[str, Any]:
    """Write `manifest.csv` and `dataset.json` into an existing empty folder.

    Args:
        out: the folder.
        root: folder of the download.
        splits: folder of the published lists that `split="paper"` reads; null for any other split.
        split: "random" (drawn) or "paper" (published lists).
        rule: which tweets count, "agreement" or "customary".
        seed: of the draw.

    Returns:
        Facts about what was found, see `writing.write`.

    Raises:
        ConfigError: no such split policy or rule, "paper" without lists, or lists without "paper".
        DataError: a file is missing, or a line cannot be read.
    """
    published_at = published_lists("mvsa-single", split, ("random", "paper"), splits)
    if rule not in RULES:
        raise invalid("mvsa-single", "rule", "'agreement' or 'customary'", rule)
    folder = need_folder(
        root, "labelResultAll.txt and the folder 'data' of MVSA_Single belong there"
    )
    rows, left_out = _read(folder, rule)
    published: Mapping[str, int] = {}
    total = None
    if published_at is None:
        draw_splits(rows, validation=HELD_OUT, test=HELD_OUT, seed=seed)
        total = Total(
            TWEETS[rule], hint="lines of labelResultAll.txt or files of 'data' may be missing"
        )
    else:
        lists = published_splits(published_at, "mvsa")
        published = Counter(lists.values())
        left_out += _apply(lists, rows)
        if "validation" not in published:
            carve_validation(rows, HELD_OUT, seed)
    modalities = ["image=image:image", "text=text:text"]
    collection = Collection(
        "mvsa-single", modalities, rows, folder, published=published, total=total, left_out=left_out
    )
    return write(out, collection)


def _read(folder: Path, rule: str) -> tuple[list[Row], list[tuple[str, str]]]:
    """The tweets that count, without a split, and (id, reason) of the others."""
    rows: list[Row] = []
    left_out = []
    decide, reason = RULES[rule]
    for identity, of_text, of_image in _labels(folder / "labelResultAll.txt"):
        label = decide(of_text, of_image)
        text = folder / "data" / f"{identity}.txt"
        if label is None:
            left_out.append((identity, reason))
        elif not text.exists():
            left_out.append((identity, "text file not found"))
        else:
            cells = {
                "image": f"data/{identity}.jpg",
                "text": " ".join(decode_text(text.read_bytes()).split()),
            }
            rows.append({"id": identity, **cells, "label": label, "split": ""})
    if not rows:
        raise DataError(
            f"{folder / 'data'}: none of the {len(left_out)} labelled tweets is here, as <id>.txt"
        )
    return rows, left_out


def _labels(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield (id, label of the text, label of the picture); the first line is a header."""
    for number, line in numbered_lines(path, "it comes with MVSA_Single"):
        if number == 1:
            continue
        identity, _, labels = line.partition("\t")
        text, _, image = labels.strip().partition(",")
        if text not in CLASSES or image not in CLASSES or not identity.isdecimal():
            expected = "<id><TAB><label of the text>,<label of the picture>"
            raise bad_line(path, number, line, expected)
        yield identity, text, image


def _apply(lists: dict[str, str], rows: list[Row]) -> list[tuple[str, str]]:
    """Give the listed rows their split and remove the others, in place.

    Returns:
        (id, reason) of the removed rows, and of the listed tweets without a row.
    """
    split = {Path(image).stem: split for image, split in lists.items()}
    here = {row["id"] for row in rows}
    rows[:] = [{**row, "split": split[row["id"]]} for row in rows if row["id"] in split]
    unlisted = [
        (identity, "not in the published lists") for identity in sorted(here - split.keys())
    ]
    return unlisted + [
        (identity, "listed, but not in the download") for identity in split if identity not in here
    ]


def decode_text(content: bytes) -> str:
    """Decode a text of unknown encoding. Latin-1 knows every byte, so this never fails."""
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return content.decode("latin-1")
