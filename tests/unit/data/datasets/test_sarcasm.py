"""Sarcasm: list literals, the word filter, two labels, attributes and pictures."""

import csv
import json

import pytest

from equipoise.data.datasets import sarcasm
from equipoise.errors import ConfigError, DataError

TRAIN = [
    ["910308516510011393", "more # humor # lol ... <url> …", 1],
    ["840006160660983809", "<user> thanks for showing up today . ", 1],
    ["840006160660983810", "it 's  a \u2028 nice day", 0],
    ["840006160660983811", "humorous , but not filtered", 0],
    ["840006160660983812", "that # irony", 0],
]
VALID = [
    ["915657464401580032", "whew ... extra <num> miles", 1, 0],
    ["915657464401580033", "dad 's work", 0, 1],
]
TEST = [["862902619928506372", 'netflix is " so awesome " . ', 1, 1]]
WORDS = [[post[0], "cat", "red", "like", "color", "couch"] for post in TRAIN[1:] + VALID]


def lines(records):
    return "".join(f"{record!r}\r\n".replace("\\u2028", "\u2028") for record in records).encode()


@pytest.fixture(params=["repository", "flat"])
def root(tmp_path, request):
    text, extract = ("text", "extract") if request.param == "repository" else (".", ".")
    for name, records in (
        (f"{text}/train.txt", TRAIN),
        (f"{text}/valid2.txt", VALID),
        (f"{text}/test2.txt", TEST),
    ):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_bytes(lines(records))
    (tmp_path / "data" / extract).mkdir(exist_ok=True)
    (tmp_path / "data" / extract / "extract_all").write_bytes(lines(WORDS))
    (tmp_path / "out").mkdir()
    return tmp_path


def prepare(root, **options):
    facts = sarcasm.prepare(root / "out", root=root / "data", **options)
    with (root / "out/manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return facts, rows, json.loads((root / "out/dataset.json").read_text())["modalities"]


def test_posts_that_give_themselves_away_are_left_out(root):
    facts, rows, modalities = prepare(root)
    assert [row["id"] for row in rows] == [
        post[0] for post in (TRAIN[1], TRAIN[2], TRAIN[3], *VALID, *TEST)
    ]
    assert [row["text"] for row in rows[:2]] == [TRAIN[1][1], TRAIN[2][1]]
    assert facts["left_out"] == {"the text gives the label away": 2}
    assert facts["splits"]["train"]["published"] == 19_816
    assert modalities == ["text=text:text", "attributes=attributes:text"]
    assert [row["attributes"] for row in rows] == ["cat red like color couch"] * 5 + [""]


@pytest.mark.parametrize(("label", "validation"), [("human", (0, 1)), ("hashtag", (1, 0))])
def test_the_label_of_a_reader_or_of_the_hashtag(root, label, validation):
    _, rows, _ = prepare(root, label=label)
    names = ("not sarcastic", "sarcastic")
    assert [row["label"] for row in rows] == [names[k] for k in (1, 0, 0, *validation, 1)]


def test_pictures_and_no_attributes(root):
    (root / "data/dataset_image").mkdir()
    for post in (TRAIN[1], TRAIN[3], *VALID):
        (root / f"data/dataset_image/{post[0]}.jpg").write_bytes(post[0].encode())
    facts, rows, modalities = prepare(root, attributes=False)
    assert modalities == ["text=text:text", "image=image:image"]
    assert "attributes" not in rows[0]
    assert rows[0]["image"] == f"{TRAIN[1][0]}.jpg"
    assert facts["left_out"]["image file not found"] == 2


def test_pictures_elsewhere(root):
    (root / "pictures").mkdir()
    for post in TRAIN[1:] + VALID + TEST:
        (root / f"pictures/{post[0]}.jpg").write_bytes(post[0].encode())
    _, rows, modalities = prepare(root, images=root / "pictures")
    assert len(rows) == 6
    assert modalities[-1] == "image=image:image"


@pytest.mark.parametrize(
    "line",
    [
        "['1', 'text'",
        "__import__('os').getcwd()",
        "['1', 'text', 1, 0]",
        "['1', 'text', 2]",
        "['1', 'text', 1.0]",
        "('1', 'text', 1)",
    ],
)
def test_a_damaged_line_is_named(root, line):
    path = next((root / "data").rglob("train.txt"))
    path.write_bytes(path.read_bytes() + b"\r\n" + line.encode())
    with pytest.raises(
        DataError, match=r"train\.txt line 7: expected .*\[id, text, label\]"
    ) as caught:
        prepare(root)
    assert "\n" not in str(caught.value)


def test_what_is_not_there(root):
    with pytest.raises(ConfigError, match="'human' or 'hashtag', found 'both'"):
        prepare(root, label="both")
    with pytest.raises(DataError, match="the pictures belong there"):
        prepare(root, images=root / "nowhere")
    next((root / "data").rglob("extract_all")).unlink()
    with pytest.raises(DataError, match="without it say --attributes false"):
        prepare(root)
    assert prepare(root, attributes=False)[2] == ["text=text:text"]
