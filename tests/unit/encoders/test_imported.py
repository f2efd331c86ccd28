"""Encoders of the user's own, by import path."""

import pytest
import torch

from equipoise.encoders import build_encoder
from equipoise.errors import ConfigError
from equipoise.testing import check_encoder

SOURCE = '''
import torch
from torch import nn

class Told(nn.Module):
    """Takes all that the library gives, and tells its width."""
    def __init__(self, shape, vocabulary=None, width=6):
        super().__init__()
        self.shape, self.vocabulary, self.width = shape, vocabulary, width
        self.layer = nn.Linear(shape[-1], width)
    def forward(self, inputs):
        return self.layer(inputs)

class Plain(nn.Sequential):
    """Knows nothing of the library."""
    def __init__(self, inputs=4, hidden=3):
        super().__init__(nn.Linear(inputs, hidden), nn.BatchNorm1d(hidden), nn.Dropout(0.5))
        self[1].eval()

class Words(nn.Module):
    def __init__(self, vocabulary):
        super().__init__()
        self.table = nn.EmbeddingBag(vocabulary, 5)
    def forward(self, ids):
        return self.table(ids)

class Loose(nn.Linear):
    def __init__(self, **options):
        super().__init__(options["inputs"], 2)

class Maps(nn.Identity):
    def __init__(self):
        super().__init__()
    def forward(self, inputs):
        return inputs.unsqueeze(-1)

class Pair(Maps):
    def forward(self, inputs):
        return inputs, inputs

class Picky(Maps):
    def __init__(self, size):
        if size < 3:
            raise ValueError("size is too small:\\n choose another")
        super().__init__()

class Broken(Maps):
    def forward(self, inputs):
        raise RuntimeError("mat1 and mat2\\n do not fit")

def function(shape):
    return None
'''


@pytest.fixture
def module(tmp_path, monkeypatch):
    """An importable name of its own for every test."""
    name = f"own_{tmp_path.name}".replace("[", "_").replace("]", "_").replace("-", "_")
    package = tmp_path / name
    package.mkdir()
    (package / "__init__.py").write_text("from .nets import Told\n")
    (package / "nets.py").write_text(SOURCE)
    (package / "needy.py").write_text("import a_package_nobody_has\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


@pytest.mark.parametrize("path", ["{}.nets.Told", "{}.Told"])
def test_it_gets_what_its_constructor_takes(module, path):
    encoder = build_encoder(f"import:{path.format(module)}", {"width": 3}, (2, 4), 9)
    assert (encoder.shape, encoder.vocabulary, encoder.width) == ((2, 4), 9, 3)


def test_its_width_is_found_without_a_trace(module):
    encoder = build_encoder(f"import:{module}.nets.Plain", {"hidden": 7}, (4,))
    assert encoder.width == 7
    assert [part.training for part in encoder] == [True, False, True]
    assert encoder[1].num_batches_tracked == 0
    assert not encoder[1].running_mean.any()


def test_a_texts_width_is_found_on_ids(module):
    assert build_encoder(f"import:{module}.nets.Words", {}, (3,), 9).width == 5


def test_a_constructor_of_any_options_gets_them_all(module):
    assert build_encoder(f"import:{module}.nets.Loose", {"inputs": 4, "other": 1}, (4,)).width == 2


def test_it_passes_the_conformance_suite(module):
    check_encoder(f"import:{module}.Told", (4,), options={"width": 3})


def test_a_class_of_pytorch_itself():
    encoder = build_encoder("import:torch.nn.Linear", {"in_features": 4, "out_features": 6}, (4,))
    assert encoder(torch.randn(2, 4)).shape == (2, encoder.width) == (2, 6)


@pytest.mark.parametrize(
    ("path", "options", "message"),
    [
        ("Told", {}, "must be written import:package.module.Class"),
        (
            "nowhere_at_all.Net",
            {},
            "No module named 'nowhere_at_all'; is the folder it lies in on PYTHONPATH",
        ),
        ("{}.absent.Net", {}, "No module named '.*absent'"),
        ("{}.needy.Net", {}, "No module named 'a_package_nobody_has'"),
        ("{}.nets.Tod", {}, "has no 'Tod'; did you mean 'Told'"),
        ("{}.nets.function", {}, "function is not a class of nn.Module"),
        ("{}.nets.torch", {}, "torch is not a class of nn.Module"),
        ("{}.nets.Plain", {"hiden": 3}, "has no option 'hiden'; did you mean 'hidden'"),
        ("{}.nets.Told", {"shape": 3}, "has no option 'shape'"),
        ("{}.nets.Plain", {"hidden": "x"}, "refuses its options"),
        (
            "{}.nets.Picky",
            {},
            "refuses its options .*missing 1 required positional argument: 'size'",
        ),
        (
            "{}.nets.Picky",
            {"size": 1},
            r"refuses its options \(size is too small: choose another\)",
        ),
        ("{}.nets.Maps", {}, r"must make features \(B, d\), and makes \(2, 4, 1\) of two samples"),
        ("{}.nets.Pair", {}, r"must make a tensor \(B, d\), and makes a tuple"),
        ("{}.nets.Broken", {}, r"cannot read samples of shape \(4,\) \(mat1 and mat2 do not fit\)"),
        ("{}.nets.Plain", {"inputs": 5}, r"cannot read samples of shape \(4,\)"),
    ],
)
def test_what_goes_wrong_is_one_clear_line(module, path, options, message):
    with pytest.raises(ConfigError, match=message) as caught:
        build_encoder(f"import:{path.format(module)}", options, (4,))
    assert "\n" not in str(caught.value)
