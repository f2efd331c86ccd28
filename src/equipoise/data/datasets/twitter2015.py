"""`twitter2015`: the sentiment towards a target in a tweet with a picture, in three classes.

Yu, Jiang. Adapting BERT for Target-Oriented Multimodal Sentiment Classification. IJCAI 2019. A
target is a person, a place or a thing.

## Download

The repository `jefferyYu/TomBERT` on GitHub: `absa_data/twitter2015` with `train.tsv`, `dev.tsv`
and `test.tsv` (0.6 MB). The folder `absa_data/twitter` beside it is another data set, Twitter-2017.
The pictures are in an archive linked from the README, in the folder `twitter2015_images`.

## Licence

None is stated. The tweets come from earlier corpora of named entities and belong to their authors.

## Expected files

```text
TomBERT/absa_data/twitter2015/
    train.tsv  dev.tsv  test.tsv
twitter2015_images/<image id>.jpg        optional
```

```bash
equipoise prepare twitter2015 --root TomBERT/absa_data/twitter2015 --images twitter2015_images
```

Without `images` the text is the only modality.

## Splits

Those of the authors: 3,179 / 1,122 / 1,037 targets of 2,101 / 727 / 674 tweets. No picture is in
two splits. The picture is the `group`, so the targets of a tweet stay together if a part of the
training split is cut off later.

## Known problems

* The sentiment is that of a target, for which the text has the mark `$T$`. A tweet with several
  targets may have several labels: 277, 119 and 104 tweets do. By default the mark stays and the
  target is named behind the text. `--target substitute` gives the tweet as it was written, which no
  longer shows the target, so no model can exceed 90.6 / 89.0 / 89.6 % accuracy. `--target ignore`
  drops mark and target, which comes nearest to the loaders of some papers on imbalance: they keep
  the letter T of the mark, and up to 50 words of the tweet, letters only and in lower case.
* The header of `test.tsv` names four of its five columns. Fields may begin with a quotation mark
  that has no meaning.
* One tweet is in the training split twice, with two pictures and two labels (`train-660`,
  `train-2221`).
* Some pictures are tiny, and some are broken. TomBERT replaces a picture that it cannot read or
  crop by one fixed picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from equipoise.data.datasets.preparing.lists import bad_line, numbered_lines
from equipoise.data.datasets.preparing.writing import Collection, need_folder, write
from equipoise.errors import invalid

FILES = {"train": "train.tsv", "validation": "dev.tsv", "test": "test.tsv"}
PUBLISHED = {"train": 3_179, "validation": 1_122, "test": 1_037}
CLASSES = {"0": "negative", "1": "neutral", "2": "positive"}
MARK = "$T$"
TARGETS: dict[str, Callable[[str, str], str]] = {
    "substitute": lambda text, target: text.replace(MARK, target),
    "pair": lambda text, target: f"{text} [SEP] {target}",
    "ignore": lambda text, target: " ".join(text.replace(MARK, " ").split()),
}
"""{option: (text with the mark, target) → text}"""
NOTES = {
    "substitute": ["targets of one tweet share one text; --target pair tells them apart"],
    "pair": [],
    "ignore": ["the target is left out of the text"],
}


def prepare(
    out: Path, *, root: str | Path, images: str | Path | None = None, target: str = "pair"
) -> dict[str, Any]:
    """Write `manifest.csv` and `dataset.json` into an existing empty folder.

    Args:
        out: the folder.
        root: folder of the three tables.
        images: folder of the pictures; null for no modality of pictures.
        target: "pair" keeps the mark in the text and names the target after a `[SEP]`, "substitute"
            puts the target back into the text, "ignore" leaves it out.

    Returns:
        Facts about what was found, see `writing.write`.

    Raises:
        ConfigError: no such way to treat the target.
        DataError: a file is missing, or a row cannot be read.
    """
    if target not in TARGETS:
        raise invalid("twitter2015", "target", "'substitute', 'pair' or 'ignore'", target)
    folder = need_folder(root, "the tables of absa_data/twitter2015 of TomBERT belong there")
    pictures = (
        need_folder(images, "the pictures of Twitter2015 belong there")
        if images is not None
        else None
    )
    rows = [
        {
            "id": f"{split}-{index}",
            "text": TARGETS[target](text, phrase),
            **({"image": image} if pictures else {}),
            "label": CLASSES[polarity],
            "split": split,
            "group": image,
        }
        for split, file in FILES.items()
        for index, polarity, image, text, phrase in _read(folder / file)
    ]
    modalities = ["text=text:text", *(["image=image:image"] if pictures else [])]
    return write(
        out,
        Collection(
            "twitter2015", modalities, rows, pictures, published=PUBLISHED, notes=NOTES[target]
        ),
    )


def _read(path: Path) -> Iterator[list[str]]:
    """Yield index, label, image, text and target of every row, without the header.

    The header is not checked, because that of the test table is wrong.
    """
    for number, line in numbered_lines(path, "it comes with TomBERT, in absa_data/twitter2015"):
        if number == 1:
            continue
        cells = line.split("\t")
        if len(cells) != 5 or cells[1] not in CLASSES or cells[3].count(MARK) != 1:
            expected = (
                f"an index, a label (0, 1 or 2), an image, a text with one {MARK} and a target, "
                "tab-separated"
            )
            raise bad_line(path, number, line, expected)
        yield cells
