"""An encoder's weights from a file: PyTorch state dicts (.pt, .pth) and .safetensors."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from equipoise.errors import ConfigError

WRAPPERS = ("state_dict", "model")
"""Keys under which training scripts put the state dict."""
PARALLEL = "module."
"""The prefix that DataParallel and DistributedDataParallel put before every name."""
COUNTER = "num_batches_tracked"
"""The step counter of batch normalisation, which files from before PyTorch 1.0 lack."""
NAMED = 3
"""Number of keys that an error names."""


def read_weights(path: str) -> dict[str, Tensor]:
    """Read the state dict of a file, on the CPU.

    The prefix `module.` of a parallel wrapper is stripped. No code in a .pt or .pth file is
    executed (`weights_only`).

    Raises:
        ConfigError: no such file, another suffix, an unreadable file, or no state dict in it.
    """
    read = _reader(path)
    try:
        found = read(path)
    except FileNotFoundError:
        raise ConfigError(f"weights: no file {path!r}") from None
    except (
        OSError,
        RuntimeError,
        EOFError,
        ValueError,
        pickle.UnpicklingError,
        SafetensorError,
    ) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ConfigError(f"weights: {path!r} cannot be read as a state dict ({reason})") from None
    state = _unwrapped(found)
    if not (
        isinstance(state, Mapping)
        and state
        and all(isinstance(value, Tensor) for value in state.values())
    ):
        raise ConfigError(
            f"weights: {path!r} holds no state dict, that is, no mapping of names to tensors"
        )
    if all(name.startswith(PARALLEL) for name in state):
        return {name.removeprefix(PARALLEL): value for name, value in state.items()}
    return dict(state)


def load_strictly(module: nn.Module, state: Mapping[str, Tensor], owner: str) -> None:
    """Load a state dict that has exactly the names and shapes of a module.

    Only the step counters of batch normalisation may be missing, as they are in older files of
    torchvision.

    Raises:
        ConfigError: a key is missing, unexpected or of another shape; the message names the first
            ones, and the module is unchanged.
    """
    own = module.state_dict()
    faults = [
        _listed(
            "missing", [name for name in own if name not in state and not name.endswith(COUNTER)]
        ),
        _listed("unexpected", [name for name in state if name not in own]),
        _listed(
            "of another shape",
            [
                f"{name} {tuple(state[name].shape)} for {tuple(value.shape)}"
                for name, value in own.items()
                if name in state and state[name].shape != value.shape
            ],
        ),
    ]
    told = "; ".join(fault for fault in faults if fault)
    if told:
        raise ConfigError(f"{owner}: the weights do not fit: {told}")
    module.load_state_dict(state)


def _reader(path: str) -> Callable[[str], object]:
    """The function that reads a file with this ending."""
    suffix = Path(path).suffix
    if suffix == ".safetensors":
        return load_file
    if suffix in (".pt", ".pth"):
        return lambda at: torch.load(at, map_location="cpu", weights_only=True)
    raise ConfigError(f"weights: {path!r} must end in .pt, .pth or .safetensors")


def _unwrapped(found: object) -> object:
    """The state dict inside the dictionary that a training script saved."""
    if isinstance(found, Mapping):
        for key in WRAPPERS:
            if isinstance(found.get(key), Mapping):
                return found[key]
    return found


def _listed(fault: str, names: list[str]) -> str:
    """The first names that have a fault; an empty text where none has."""
    if not names:
        return ""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{fault}: {', '.join(names[:NAMED])}{more}"
