"""Twitter2015: tables with a wrong header, targets put back, named or left out, picture groups."""

import csv
import json

import pytest

from equipoise.data.datasets import twitter2015
from equipoise.errors import ConfigError, DataError

HEADER = "index\t#1 Label\t#2 ImageID\t#3 String\t#3 String\n"
TEST_HEADER = "index\t#1 ImageID\t#2 String\t#2 String\n"
TRAIN = """1\t2\t1860693.jpg\tRT @ ltsChuckBass : $T$ is everything # MCM\tChuck Bass
2\t1\t1860693.jpg\tRT @ ltsChuckBass : Chuck Bass is everything $T$\t# MCM
3\t0\t195984.jpg\t" September 7 , shut down $T$\tNew York City
"""


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "twitter2015"
    folder.mkdir()
    (folder / "train.tsv").write_text(HEADER + TRAIN)
    (folder / "dev.tsv").write_text(HEADER + "1\t1\t975807.jpg\t$T$ went\tTyga\n")
    (folder / "test.tsv").write_text(
        TEST_HEADER + "1\t1\t74960.jpg\tthe official $T$ football page !\tOklahoma\n"
    )
    (tmp_path / "out").mkdir()
    return tmp_path


def prepare(root, **options):
    facts = twitter2015.prepare(root / "out", root=root / "twitter2015", **options)
    with (root / "out/manifest.csv").open(newline="") as file:
        return facts, list(csv.DictReader(file))


def test_every_row_after_the_header_is_read(root):
    facts, rows = prepare(root)
    assert [row["id"] for row in rows] == [
        "train-1",
        "train-2",
        "train-3",
        "validation-1",
        "test-1",
    ]
    assert [row["label"] for row in rows] == [
        "positive",
        "neutral",
        "negative",
        "neutral",
        "neutral",
    ]
    assert [row["group"] for row in rows[:3]] == ["1860693.jpg", "1860693.jpg", "195984.jpg"]
    assert [found["published"] for found in facts["splits"].values()] == [3_179, 1_122, 1_037]
    assert json.loads((root / "out/dataset.json").read_text())["modalities"] == ["text=text:text"]


@pytest.mark.parametrize(
    ("target", "texts"),
    [
        ("substitute", ["RT @ ltsChuckBass : Chuck Bass is everything # MCM"] * 2),
        (
            "pair",
            [
                "RT @ ltsChuckBass : $T$ is everything # MCM [SEP] Chuck Bass",
                "RT @ ltsChuckBass : Chuck Bass is everything $T$ [SEP] # MCM",
            ],
        ),
        (
            "ignore",
            [
                "RT @ ltsChuckBass : is everything # MCM",
                "RT @ ltsChuckBass : Chuck Bass is everything",
            ],
        ),
    ],
)
def test_the_target(root, target, texts):
    facts, rows = prepare(root, target=target)
    assert [row["text"] for row in rows[:2]] == texts
    assert rows[2]["text"].startswith('" September')
    assert facts["duplicates"].get("text", {}).get("other_label", 0) == (
        2 if target == "substitute" else 0
    )


def test_pictures(root):
    (root / "images").mkdir()
    for name in ("1860693", "975807", "74960"):
        (root / f"images/{name}.jpg").write_bytes(name.encode())
    facts, rows = prepare(root, images=root / "images")
    assert [row["image"] for row in rows] == [
        "1860693.jpg",
        "1860693.jpg",
        "975807.jpg",
        "74960.jpg",
    ]
    assert facts["left_out"] == {"image file not found": 1}


@pytest.mark.parametrize(
    "line",
    [
        "4\t3\t1.jpg\t$T$ x\ty",
        "4\t1\t1.jpg\tno mark\ty",
        "4\t1\t1.jpg\t$T$ x",
        "4\t1\t1.jpg\t$T$ $T$\ty",
    ],
)
def test_a_damaged_row_is_named(root, line):
    with (root / "twitter2015/train.tsv").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(
        DataError, match=r"train\.tsv line 5: expected an index, a label \(0, 1 or 2\)"
    ):
        prepare(root)


def test_what_cannot_be(root):
    with pytest.raises(ConfigError, match="'substitute', 'pair' or 'ignore', found 'mask'"):
        prepare(root, target="mask")
    (root / "twitter2015/dev.tsv").unlink()
    with pytest.raises(DataError, match=r"dev\.tsv: file not found; it comes with TomBERT"):
        prepare(root)
