"""Sine-cosine position tables, against their closed form."""

import math

import pytest
import torch

from equipoise.encoders.parts.positions import sine_cosine_1d, sine_cosine_2d


def encoded(place, width):
    half = width // 2
    angles = [place / 10_000 ** (k / half) for k in range(half)]
    return [math.sin(a) for a in angles] + [math.cos(a) for a in angles]


@pytest.mark.parametrize(("length", "width"), [(1, 2), (7, 12), (300, 32)])
def test_a_row_of_places_has_sines_then_cosines(length, width):
    expected = torch.tensor([encoded(place, width) for place in range(length)])
    torch.testing.assert_close(sine_cosine_1d(length, width), expected)


@pytest.mark.parametrize(("rows", "columns"), [(3, 5), (8, 2), (1, 1)])
def test_a_grid_encodes_the_column_before_the_row(rows, columns):
    expected = [encoded(c, 8) + encoded(r, 8) for r in range(rows) for c in range(columns)]
    torch.testing.assert_close(sine_cosine_2d(rows, columns, 16), torch.tensor(expected))
