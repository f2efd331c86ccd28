"""The embedded recordings and images: their splits, and that both show the digit of the label."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from equipoise import data
from equipoise.data.datasets import spoken_digits
from equipoise.data.table.table import Splits, Table
from equipoise.errors import ConfigError
from equipoise.settings import DataSettings


@pytest.fixture(scope="module")
def whole_images() -> Splits:
    return spoken_digits.load(rows=8)


def tables(parts: Splits) -> list[Table]:
    return [parts.train, parts.validation, parts.test]


def images(table: Table) -> list[bytes]:
    """Every image of a split, in the grey levels 0 to 16."""
    stored = table.arrays["image"][table.store_rows]
    return [np.rint(image * 16).astype(np.uint8).tobytes() for image in stored]


def test_every_speaker_and_digit_is_in_every_split_and_no_take_in_two(whole_images: Splits):
    named = [[tuple(str(name).split("_")) for name in table.ids] for table in tables(whole_images)]
    takes = [{int(take) for _, _, take in of_split} for of_split in named]
    assert [len(of_split) for of_split in named] == [1260, 300, 540]
    assert sum(map(len, takes)) == len(set.union(*takes))
    assert all(len({(digit, who) for digit, who, _ in of_split}) == 60 for of_split in named)


def test_the_label_is_the_digit_that_is_said_and_written(whole_images: Splits):
    written = load_digits()
    digit_of = {
        image.astype(np.uint8).tobytes(): digit
        for image, digit in zip(written.images, written.target, strict=True)
    }
    for table in tables(whole_images):
        said = [int(str(name).split("_")[0]) for name in table.ids]
        assert said == table.label.tolist()
        assert [digit_of[image] for image in images(table)] == said


def test_no_image_is_in_two_splits(whole_images: Splits):
    seen = [set(images(table)) for table in tables(whole_images)]
    assert sum(map(len, seen)) == len(set.union(*seen))


@pytest.mark.parametrize("rows", [1, 4, 8])
def test_the_upper_rows_of_the_images_are_seen(whole_images: Splits, rows: int):
    seen = spoken_digits.load(rows=rows).test.arrays["image"]
    assert np.array_equal(seen, whole_images.test.arrays["image"][:, :, :rows])


def test_both_modalities_are_standardised_by_the_training_rows():
    parts = data.load(DataSettings("spoken-digits"))
    for values in parts.train.rows(np.arange(len(parts.train.label))).inputs.values():
        assert abs(values.mean()) < 1e-3
        assert abs(values.std() - 1) < 1e-3


def test_fractions_count_takes():
    parts = spoken_digits.load(validation=0.2, test=0.4)
    assert [len(table.label) for table in tables(parts)] == [14 * 60, 7 * 60, 14 * 60]


@pytest.mark.parametrize("rows", [0, 9, 2.5, "four"])
def test_a_bad_number_of_rows_is_refused(rows: object):
    with pytest.raises(ConfigError, match="rows"):
        spoken_digits.load(rows=rows)
