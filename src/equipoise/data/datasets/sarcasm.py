"""`sarcasm`: is a tweet with a picture sarcastic? 24,635 posts.

Cai et al. Multi-Modal Sarcasm Detection in Twitter with Hierarchical Fusion Model. ACL 2019. The
modalities are the text, the picture and five words that describe the picture.

## Download

The repository `headacheboy/data-of-multimodal-sarcasm-detection` on GitHub: `text/train.txt`,
`text/valid2.txt`, `text/test2.txt` (4 MB) and `extract/extract_all` (3 MB), five attribute words
that the authors predicted from each picture. The pictures are four archive parts, linked from the
README, which unpack to one folder of `<post id>.jpg`. Without them the data set still has two
modalities, the text and the attribute words.

## Licence

None is stated. The posts belong to their authors.

## Expected files

```text
data-of-multimodal-sarcasm-detection/
    text/train.txt  text/valid2.txt  text/test2.txt     or directly in the folder
    extract/extract_all                                 or directly in the folder
    dataset_image/<post id>.jpg                         optional
```

```bash
equipoise prepare sarcasm --root data-of-multimodal-sarcasm-detection
```

## Splits

Those of the authors: 19,816 posts for training, 2,410 for validation and 2,409 for testing. Like
the authors, `prepare` leaves out posts that give their label away, because their text has one of
the words sarcasm, sarcastic, reposting, `<url>`, joke, jokes, humour, humor, irony, ironic and
exgag. These are 9,224 of the 29,040 training posts, and none for validation or testing. Their
pictures were never published.

## Known problems

* Validation and test posts have two labels: one from the hashtag, and one from a person who read
  the post. The authors use the second, and so does `--label human`, the default. The two disagree
  on 87 validation and 144 test posts. Training posts have the label of the hashtag only.
* 657 posts have the same text as another post, 376 of them as a post of another split, although no
  id is in two splits.
* The text is already in lower case and split into words, with `<user>`, `<num>` and `emoji_123`
  instead of names, numbers and pictograms. Removing the hashtag has left double spaces.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from equipoise.data.datasets.preparing.lists import bad_line, numbered_lines
from equipoise.data.datasets.preparing.writing import Collection, Row, need_folder, write
from equipoise.errors import invalid

FILES = {"train": "train.txt", "validation": "valid2.txt", "test": "test2.txt"}
PUBLISHED = {"train": 19_816, "validation": 2_410, "test": 2_409}
GIVEAWAYS = frozenset(
    [
        "sarcasm",
        "sarcastic",
        "reposting",
        "<url>",
        "joke",
        "jokes",
        "humour",
        "humor",
        "irony",
        "ironic",
        "exgag",
    ]
)
"""Words that give the label away."""
CLASSES = ("not sarcastic", "sarcastic")
LABELS = {"hashtag": 0, "human": -1}
"""{label: its index among the labels of a record}"""


def prepare(
    out: Path,
    *,
    root: str | Path,
    images: str | Path | None = None,
    attributes: bool = True,
    label: str = "human",
) -> dict[str, Any]:
    """Write `manifest.csv` and `dataset.json` into an existing empty folder.

    Args:
        out: the folder.
        root: folder of the download.
        images: folder of the pictures; null for `dataset_image` in `root`, if there is one. Without
            pictures there is no modality of pictures.
        attributes: make the five words per picture a modality.
        label: of validation and test posts, from a reader ("human") or from the "hashtag".

    Returns:
        Facts about what was found, see `writing.write`.

    Raises:
        ConfigError: no such label.
        DataError: a file is missing, or a line is not a record.
    """
    if label not in LABELS:
        raise invalid("sarcasm", "label", "'human' or 'hashtag'", label)
    folder = need_folder(root, "the download of data-of-multimodal-sarcasm-detection belongs there")
    pictures = _pictures(folder, images)
    words = _read_attributes(_beside(folder, "extract", "extract_all")) if attributes else {}
    rows: list[Row] = []
    left_out = []
    for split, file in FILES.items():
        for identity, text, sarcastic in _read_posts(
            _beside(folder, "text", file), split, LABELS[label]
        ):
            if GIVEAWAYS.intersection(text.split()):
                left_out.append((identity, "the text gives the label away"))
                continue
            cells = {"text": text}
            cells |= {"attributes": words.get(identity, "")} if attributes else {}
            cells |= {"image": f"{identity}.jpg"} if pictures else {}
            rows.append({"id": identity, **cells, "label": CLASSES[sarcastic], "split": split})
    modalities = ["text=text:text"]
    modalities += ["attributes=attributes:text"] if attributes else []
    modalities += ["image=image:image"] if pictures else []
    return write(
        out,
        Collection("sarcasm", modalities, rows, pictures, published=PUBLISHED, left_out=left_out),
    )


def _pictures(folder: Path, images: str | Path | None) -> Path | None:
    """The folder of the pictures; None if there is none."""
    if images is not None:
        return need_folder(images, "the pictures belong there, named <post id>.jpg")
    usual = folder / "dataset_image"
    return usual if usual.is_dir() else None


def _beside(folder: Path, below: str, name: str) -> Path:
    """The path of a file, in its folder of the repository or directly in the download."""
    return folder / below / name if (folder / below / name).exists() else folder / name


def _read_posts(path: Path, split: str, which: int) -> Iterator[tuple[str, str, int]]:
    """Yield (id, text, label); a training record has one label, the others have two."""
    fields = 3 if split == "train" else 4
    names = "id, text, label" if split == "train" else "id, text, hashtag label, human label"
    for number, line in numbered_lines(path, "it comes with data-of-multimodal-sarcasm-detection"):
        record = _literal(path, number, line, f"[{names}]")
        labels = record[2:]
        if len(record) != fields or not all(
            isinstance(label, int) and label in (0, 1) for label in labels
        ):
            raise bad_line(path, number, line, f"[{names}], each label 0 or 1")
        yield str(record[0]), str(record[1]), labels[which]


def _read_attributes(path: Path) -> dict[str, str]:
    """Read the words of every picture, as {post id: words}."""
    found = {}
    what = "it comes with data-of-multimodal-sarcasm-detection; without it say --attributes false"
    for number, line in numbered_lines(path, what):
        identity, *words = (
            str(value) for value in _literal(path, number, line, "[id, five words]")
        )
        found[identity] = " ".join(words)
    return found


def _literal(path: Path, number: int, line: str, expected: str) -> list[Any]:
    """Read a Python list literal, without evaluating anything."""
    try:
        record = ast.literal_eval(line)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        record = None
    if not isinstance(record, list) or not record:
        raise bad_line(path, number, line, f"the list {expected}")
    return record
