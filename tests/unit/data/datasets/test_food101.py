"""UPMC Food-101: titles with and without header, folders or published lists, drawn validation."""

import csv
import json
from collections import Counter

import numpy as np
import pytest

from equipoise.data.datasets import food101
from equipoise.errors import ConfigError, DataError

CLASSES = ("apple_pie", "club_sandwich")
NUMBERS = {"train": (*range(18), -3, "4-2"), "test": range(100, 106)}
NAMES = {
    split: [f"{c}_{n}.jpg" for c in CLASSES for n in numbers] for split, numbers in NUMBERS.items()
}


def class_of(name):
    return name.rpartition("_")[0]


def titles(root, split, names, header=""):
    with (root / f"food/texts/{split}_titles.csv").open("w", newline="", encoding="utf-8") as file:
        file.write(header)
        csv.writer(file).writerows([name, f'Crème, "{name}"', class_of(name)] for name in names)


@pytest.fixture
def root(tmp_path):
    (tmp_path / "food/texts").mkdir(parents=True)
    for split, names in NAMES.items():
        for name in names:
            path = tmp_path / "food/images" / split / class_of(name) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name.encode())
    titles(tmp_path, "train", NAMES["train"])
    titles(tmp_path, "test", NAMES["test"], header="Image_path,text,label\n")
    (tmp_path / "out").mkdir()
    (tmp_path / "lists").mkdir()
    return tmp_path


def prepare(root, **options):
    facts = food101.prepare(root / "out", root=root / "food", **options)
    with (root / "out/manifest.csv").open(newline="", encoding="utf-8") as file:
        return facts, list(csv.DictReader(file))


def names_of(rows, split):
    return {row["image"].rpartition("/")[2] for row in rows if row["split"] == split}


def test_validation_is_carved_out_of_the_training_folder_by_class(root):
    seed, count = (
        int(np.random.default_rng().integers(1000)),
        2 * int(np.random.default_rng().integers(1, 8)),
    )
    facts, rows = prepare(root, validation=count, seed=seed)
    assert names_of(rows, "test") == set(NAMES["test"])
    assert names_of(rows, "train") | names_of(rows, "validation") == set(NAMES["train"])
    assert facts["splits"]["validation"]["classes"] == dict.fromkeys(CLASSES, count // 2)
    assert rows[0]["text"] == 'Crème, "apple_pie_0.jpg"'
    assert all(row["label"] == class_of(row["id"]) for row in rows)
    assert all((root / "food" / row["image"]).exists() for row in rows)
    modalities = json.loads((root / "out/dataset.json").read_text())["modalities"]
    assert modalities == ["image=image:image", "text=text:text"]


def test_the_lists_of_mmbt(root):
    given = {
        "train": NAMES["train"][:9],
        "dev": NAMES["train"][20:25],
        "test": [*NAMES["test"][1:], "apple_pie_9999.jpg"],
    }
    for name, images in given.items():
        records = [
            {
                "id": f"{class_of(i)}_{i}",
                "label": class_of(i),
                "text": "t",
                "img": f"images/x/{class_of(i)}/{i}",
            }
            for i in images
        ]
        (root / f"lists/{name}.jsonl").write_text("\n".join(map(json.dumps, records)))
    facts, rows = prepare(root, split="paper", splits=root / "lists")
    assert names_of(rows, "train") == set(given["train"])
    assert names_of(rows, "validation") == set(given["dev"])
    assert names_of(rows, "test") == set(given["test"][:-1])
    assert [found["published"] for found in facts["splits"].values()] == [9, 5, 12]
    assert facts["left_out"] == {
        "not in the published lists": len(NAMES["train"]) - 14 + 1,
        "listed, but without a title": 1,
    }


def test_the_lists_of_mla_have_no_validation(root):
    for split in ("train", "test"):
        (root / f"lists/my_{split}_food.txt").write_text(
            "".join(f"{n} {class_of(n)}\n" for n in NAMES[split])
        )
    facts, rows = prepare(root, split="paper", splits=root / "lists", validation=6)
    assert Counter(row["split"] for row in rows) == {"train": 34, "validation": 6, "test": 12}
    assert facts["splits"]["train"]["published"] == 40


def test_an_image_in_two_lists_is_named(root):
    for split in ("train", "test"):
        (root / f"lists/my_{split}_food.txt").write_text("\napple_pie_3.jpg apple_pie\n")
    with pytest.raises(
        DataError, match=r"my_test_food\.txt line 2: apple_pie_3\.jpg is in the train list too"
    ):
        prepare(root, split="paper", splits=root / "lists")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (
            "train.jsonl",
            '{"img": "a.jpg"}\n{"image": "b.jpg"}\n',
            r"train\.jsonl line 2: expected a JSON object",
        ),
        (
            "train.jsonl",
            '{"img": "a.jpg"}\n["img"]\n',
            r"train\.jsonl line 2: expected a JSON object",
        ),
        (
            "my_train_food.txt",
            "a.jpg apple pie\n",
            r"my_train_food\.txt line 1: expected an image and its class",
        ),
        (
            "other.txt",
            "",
            r"my_train_food\.txt: file not found; "
            r"the lists are train\.jsonl, dev\.jsonl, test\.jsonl",
        ),
    ],
)
def test_damaged_lists_are_named(root, file, content, message):
    (root / "lists" / file).write_text(content)
    with pytest.raises(DataError, match=message):
        prepare(root, split="paper", splits=root / "lists")


@pytest.mark.parametrize(
    "row",
    ["apple_pie_1.jpg,title", "apple_pie_1.jpg,a title, unquoted,apple_pie", ",title,apple_pie"],
)
def test_a_damaged_title_is_named(root, row):
    with (root / "food/texts/train_titles.csv").open("a") as file:
        file.write(row + "\n")
    with pytest.raises(
        DataError, match=r"train_titles\.csv line 41: expected a picture, its title and its class"
    ):
        prepare(root, validation=4)


def test_titles_that_are_no_text_are_named(root):
    (root / "food/texts/train_titles.csv").write_bytes(
        "apple_pie_0.jpg,crème,apple_pie\n".encode("latin-1")
    )
    with pytest.raises(DataError, match=r"train_titles\.csv line 1: not readable as UTF-8 CSV"):
        prepare(root)


def test_a_title_that_stands_twice_counts_once(root):
    titles(root, "train", [*NAMES["train"], "apple_pie_0.jpg"])
    facts, rows = prepare(root, validation=4)
    assert facts["left_out"] == {"has a title already": 1}
    assert len({row["id"] for row in rows}) == len(rows) == 52


@pytest.mark.parametrize(
    "options",
    [
        {"split": "random"},
        {"split": "paper"},
        {"splits": "x"},
        {"validation": 0},
        {"validation": 0.1},
    ],
)
def test_options_that_cannot_be(root, options):
    with pytest.raises(ConfigError, match="food-101: "):
        prepare(root, **options)


@pytest.mark.parametrize("options", [{}, {"validation": 39}, {"validation": 1}])
def test_a_validation_split_that_the_pictures_do_not_allow(root, options):
    expected = "'validation' must be from 2 to 38, as there are 40 training pictures of 2 classes"
    with pytest.raises(
        ConfigError,
        match=rf"{expected} \(give --validation\), found {options.get('validation', 5000)}",
    ):
        prepare(root, **options)


@pytest.mark.parametrize("count", [2, 38])
def test_the_smallest_and_the_largest_validation_split(root, count):
    facts, _ = prepare(root, validation=count)
    assert facts["splits"]["validation"]["samples"] == count
    assert (
        set(facts["splits"]["train"]["classes"])
        == set(facts["splits"]["validation"]["classes"])
        == set(CLASSES)
    )


@pytest.mark.parametrize("names", [NAMES["train"][:1], []])
def test_too_few_pictures_for_any_validation_split(root, names):
    titles(root, "train", names, header="Image_path,text,label\n")
    with pytest.raises(
        DataError, match=f"food: {len(names)} training pictures .* too few to take some for"
    ):
        prepare(root)
