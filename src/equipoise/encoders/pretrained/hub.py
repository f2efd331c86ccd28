"""Networks of the transformers library: from a configuration, a local folder or the hub.

Whatever goes wrong in the library becomes an error of one line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from logging import ERROR
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers.utils import logging

from equipoise.errors import ConfigError, EquipoiseError, suggest
from equipoise.quiet import quiet


@contextmanager
def one_line(owner: str, doing: str) -> Iterator[None]:
    """Turn any error of transformers or peft inside the block into a `ConfigError`.

    Args:
        owner: the encoder.
        doing: the attempted action.

    Raises:
        ConfigError: anything in the block failed.
    """
    try:
        yield
    except EquipoiseError:
        raise
    except Exception as error:  # the libraries raise a dozen types without a common base
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ConfigError(f"{owner}: {doing} failed ({reason})") from None


def check_folder(owner: str, weights: str) -> None:
    """Refuse a path that is not a folder, because the hub would be asked for it.

    Raises:
        ConfigError: `weights` looks like a path, and no folder is there.
    """
    is_path = weights.startswith((".", "/", "~")) or weights.count("/") > 1
    if is_path and not Path(weights).is_dir():
        raise ConfigError(
            f"{owner}: 'weights' must be a hub name or a local folder; "
            f"there is no folder {weights!r}"
        )


def load_configuration(
    owner: str,
    start: Callable[[], Any],
    fitted: Mapping[str, object] | None,
    changes: Mapping[str, object],
) -> Any:
    """Load a configuration and change it.

    Args:
        owner: the encoder, for messages.
        start: returns the defaults of a kind of network, or the configuration of weights.
        fitted: values of a random network that follow from the data; None where weights are
            loaded.
        changes: from the user.

    Raises:
        ConfigError: the configuration cannot be loaded, refuses a value, or has no value of a name
            that the user gave.
    """
    with one_line(owner, "loading the configuration"), _quiet():
        configuration = start()
    values = configuration.to_dict()
    for name in changes:
        if name not in values:
            raise ConfigError(f"{owner}: 'config' has no value {name!r}{suggest(name, values)}")
    # The defaults of a kind are not repeated: some are derived from others, and would not follow
    # the changes.
    kept = values if fitted is None else fitted
    with one_line(owner, "changing the configuration"), _quiet():
        return type(configuration).from_dict({**kept, **changes})


def load_network(
    owner: str, kind: Any, configuration: Any, weights: str | None, given: Mapping[str, object]
) -> Any:
    """Load a network in float32, or build a random one.

    Args:
        owner: the encoder, for messages.
        kind: a network class of transformers, or AutoModel.
        configuration: of the network.
        weights: hub name or folder; None for a random network.
        given: further arguments for the constructor.

    Raises:
        ConfigError: no such weights, or they do not fill the whole network.
    """
    if weights is None:
        with one_line(owner, "building the network"):
            # AutoModel has a function for this, and a network class is called itself.
            make = getattr(kind, "from_config", kind)
            return make(configuration, **given)
    with one_line(owner, f"loading weights {weights!r}"), _quiet():
        network, report = kind.from_pretrained(
            weights,
            config=configuration,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # `_check_filled` refuses them with a clearer message
            **given,
        )
    _check_filled(owner, weights, report)
    return network


def _check_filled(owner: str, weights: str, report: Mapping[str, Any]) -> None:
    """Refuse weights that left a part of the network random, other than a pooler."""
    missing = sorted(name for name in report["missing_keys"] if "pooler." not in name)
    if missing:
        raise ConfigError(
            f"{owner}: weights {weights!r} belong to another network; they lack {missing[0]!r}"
        )
    for name, held, wanted in sorted(report["mismatched_keys"]):
        raise ConfigError(
            f"{owner}: weights {weights!r} belong to another network; "
            f"{name!r} is {tuple(held)} for {tuple(wanted)}"
        )


def drop_pooler(network: nn.Module) -> None:
    """Remove a pooler that has weights.

    It is not used, so it must not be trained, and ranks must not wait for its gradient.
    """
    pooler = getattr(network, "pooler", None)
    if isinstance(pooler, nn.Module) and any(True for _ in pooler.parameters()):
        network.pooler = None  # type: ignore[assignment]


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the table of unused weights and the remarks on special tokens.

    Whatever matters in them is raised as an error.
    """
    verbosity = logging.get_verbosity()
    logging.set_verbosity(ERROR)
    try:
        with quiet("huggingface_hub"):
            yield
    finally:
        logging.set_verbosity(verbosity)
