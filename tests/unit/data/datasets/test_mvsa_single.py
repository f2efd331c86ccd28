"""MVSA-Single: two cleaning rules, several encodings, drawn or published splits."""

import csv
import itertools
import json
from collections import Counter

import numpy as np
import pytest

from equipoise.data.datasets import mvsa_single
from equipoise.errors import ConfigError, DataError

LABELS = ("positive", "neutral", "negative")
PAIRS = [pair for pair in itertools.product(LABELS, LABELS) for _ in range(10)]
TEXTS = {
    1: ("first line\r\n#art caf\u00e9 \u2026", "utf-8"),
    2: ("HILLARY Aren\u2019t Intimidated\u2026", "gb18030"),
    3: ("caf\u00e9 au lait", "latin-1"),
}


@pytest.fixture
def root(tmp_path):
    (tmp_path / "mvsa/data").mkdir(parents=True)
    lines = ["ID\ttext,image"]
    for number, (text, image) in enumerate(PAIRS, 1):
        lines.append(f"{number}\t{text},{image}")
        content, encoding = TEXTS.get(number, (f"tweet {number}", "utf-8"))
        (tmp_path / f"mvsa/data/{number}.txt").write_bytes(content.encode(encoding))
        (tmp_path / f"mvsa/data/{number}.jpg").write_bytes(str(number).encode())
    (tmp_path / "mvsa/labelResultAll.txt").write_bytes("\r\n".join(lines).encode())
    (tmp_path / "out").mkdir()
    (tmp_path / "lists").mkdir()
    return tmp_path


def prepare(root, **options):
    facts = mvsa_single.prepare(root / "out", root=root / "mvsa", **options)
    with (root / "out/manifest.csv").open(newline="", encoding="utf-8") as file:
        return facts, {int(row["id"]): row for row in csv.DictReader(file)}


def agreeing(label):
    return [number for number, pair in enumerate(PAIRS, 1) if pair == (label, label)]


def test_agreeing_tweets_are_drawn_by_class(root):
    facts, rows = prepare(root, seed=int(np.random.default_rng().integers(1000)))
    assert all(PAIRS[number - 1] == (row["label"],) * 2 for number, row in rows.items())
    for split, count in (("train", 8), ("validation", 1), ("test", 1)):
        assert facts["splits"][split]["classes"] == dict.fromkeys(sorted(LABELS), count)
    assert facts["left_out"] == {"text and picture have different labels": 60}
    modalities = json.loads((root / "out/dataset.json").read_text())["modalities"]
    assert modalities == ["image=image:image", "text=text:text"]


def test_the_customary_rule_lets_neutral_give_way(root):
    facts, rows = prepare(root, rule="customary")
    assert Counter(row["label"] for row in rows.values()) == {
        "positive": 30,
        "neutral": 10,
        "negative": 30,
    }
    for number, row in rows.items():
        polar = set(PAIRS[number - 1]) - {"neutral"}
        assert row["label"] == (polar.pop() if polar else "neutral")
    assert list(facts["left_out"].values()) == [20]


@pytest.mark.parametrize(
    ("rule", "here", "published"), [("agreement", 30, 2592), ("customary", 70, 4511)]
)
def test_tweets_are_counted_beside_those_of_their_rule(root, rule, here, published):
    facts, _ = prepare(root, rule=rule)
    assert facts["all"] == {"samples": here, "published": published}
    assert facts["notes"][0].startswith(
        f"{here} of the {published:,} published samples are here: lines of label"
    )


def test_encodings(root):
    _, rows = prepare(root)
    for number, (text, _) in TEXTS.items():
        assert rows[number]["text"] == " ".join(text.split())


def test_no_bytes_are_no_text():
    content = bytes(np.random.default_rng().integers(0, 256, 500).tolist())
    assert mvsa_single.decode_text(content)
    assert mvsa_single.decode_text(b"\x80\xff") == "\x80\xff"


def test_the_lists_of_qmf(root):
    given = {"train": [*range(1, 9), 999], "dev": [9, 10], "test": agreeing("negative")}
    for name, numbers in given.items():
        records = [
            json.dumps({"id": str(n), "label": "x", "text": "t", "img": f"data/{n}.jpg"})
            for n in numbers
        ]
        (root / f"lists/{name}.jsonl").write_text("\n".join(records))
    facts, rows = prepare(root, split="paper", splits=root / "lists")
    assert {n for n, row in rows.items() if row["split"] == "train"} == set(range(1, 9))
    assert {n for n, row in rows.items() if row["split"] == "validation"} == {9, 10}
    assert {n for n, row in rows.items() if row["split"] == "test"} == set(agreeing("negative"))
    assert [found["published"] for found in facts["splits"].values()] == [9, 2, 10]
    assert facts["left_out"]["not in the published lists"] == 10
    assert facts["left_out"]["listed, but not in the download"] == 1


def test_the_lists_of_mla_have_no_validation(root):
    train = agreeing("positive") + agreeing("neutral")
    (root / "lists/my_train_mvsa.txt").write_text("".join(f"{n}.jpg x\n" for n in train))
    (root / "lists/my_test_mvsa.txt").write_text(
        "".join(f"{n}.jpg x\n" for n in agreeing("negative"))
    )
    facts, _ = prepare(root, split="paper", splits=root / "lists")
    assert facts["splits"]["validation"]["classes"] == {"positive": 1, "neutral": 1}
    assert facts["splits"]["train"]["samples"] == 18


def test_files_that_are_missing_are_counted(root):
    (root / "mvsa/data/4.txt").unlink()
    (root / "mvsa/data/5.jpg").unlink()
    facts, rows = prepare(root)
    assert not {4, 5} & rows.keys()
    assert (
        facts["left_out"]["text file not found"] == facts["left_out"]["image file not found"] == 1
    )
    for path in (root / "mvsa/data").glob("*.txt"):
        path.unlink()
    with pytest.raises(DataError, match="none of the 90 labelled tweets is here"):
        prepare(root)


@pytest.mark.parametrize(
    "line", ["91\tpositive", "91\tpositive,happy", "91 positive,positive", "x\tneutral,neutral"]
)
def test_a_damaged_line_is_named(root, line):
    with (root / "mvsa/labelResultAll.txt").open("a") as file:
        file.write("\n" + line)
    with pytest.raises(DataError, match=r"labelResultAll\.txt line 92: expected <id><TAB>"):
        prepare(root)


@pytest.mark.parametrize(
    "options", [{"split": "official"}, {"rule": "any"}, {"split": "paper"}, {"splits": "x"}]
)
def test_options_that_cannot_be(root, options):
    with pytest.raises(ConfigError, match="mvsa-single: "):
        prepare(root, **options)
