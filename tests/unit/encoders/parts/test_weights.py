"""Weights from files: what is read, and what is refused in one line."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from equipoise.encoders.parts.weights import load_strictly, read_weights
from equipoise.errors import ConfigError


@pytest.fixture
def network():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def same(left, right):
    return left.keys() == right.keys() and all(
        torch.equal(left[name], right[name]) for name in left
    )


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".safetensors"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_state_dict_is_read_as_it_was_saved(tmp_path, network, suffix, prefix):
    path = str(tmp_path / f"network{suffix}")
    state = {prefix + name: value for name, value in network.state_dict().items()}
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    assert same(read_weights(path), network.state_dict())


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_a_training_scripts_wrapper_is_opened(tmp_path, network, key):
    path = str(tmp_path / "checkpoint.pt")
    torch.save({"epoch": 3, key: network.state_dict()}, path)
    assert same(read_weights(path), network.state_dict())


def test_a_prefix_that_is_part_of_one_name_only_stays(tmp_path):
    path = str(tmp_path / "network.pt")
    torch.save({"module.weight": torch.ones(1), "bias": torch.ones(1)}, path)
    assert set(read_weights(path)) == {"module.weight", "bias"}


class Attack:
    def __reduce__(self):
        return print, ("executed",)


def test_code_in_a_file_is_not_executed(tmp_path, capsys):
    path = str(tmp_path / "network.pt")
    torch.save({"weight": Attack()}, path)
    with pytest.raises(ConfigError, match="cannot be read as a state dict") as caught:
        read_weights(path)
    assert "executed" not in capsys.readouterr().out
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.pt", None, "no file .*absent.pt"),
        ("weights.bin", b"", "must end in .pt, .pth or .safetensors"),
        ("weights.pt", b"", "cannot be read as a state dict"),
        ("weights.pth", b"no archive", "cannot be read as a state dict"),
        ("weights.safetensors", b"no tensors", "cannot be read as a state dict"),
        ("absent.safetensors", None, "no file .*absent.safetensors"),
    ],
)
def test_an_unusable_file_is_one_line(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        read_weights(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("held", [{}, [torch.ones(1)], {"epoch": 3}])
def test_a_file_without_a_state_dict_is_refused(tmp_path, held):
    path = str(tmp_path / "weights.pt")
    torch.save(held, path)
    with pytest.raises(ConfigError, match="holds no state dict"):
        read_weights(path)


def test_strict_loading_names_what_does_not_fit_and_changes_nothing(network):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = {name: value + 1 for name, value in before.items() if not name.startswith("1.running")}
    state["0.bias"] = torch.zeros(9)
    state |= {f"fc.{k}": torch.zeros(1) for k in range(5)}
    with pytest.raises(ConfigError) as caught:
        load_strictly(network, state, "Network")
    assert str(caught.value) == (
        "Network: the weights do not fit: missing: 1.running_mean, 1.running_var; "
        "unexpected: fc.0, fc.1, fc.2 and 2 more; of another shape: 0.bias (9,) for (4,)"
    )
    assert same(network.state_dict(), before)


def test_strict_loading_loads(network):
    state = {name: torch.rand_like(value.float()) for name, value in network.state_dict().items()}
    state["1.num_batches_tracked"] = torch.tensor(7)
    load_strictly(network, state, "Network")
    assert same(network.state_dict(), state)
