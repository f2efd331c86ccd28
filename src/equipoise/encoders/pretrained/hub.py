"""Networks of the transformers library, from a configuration, a local folder or the hub, with errors of one line."""

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
    """Whatever transformers or peft raise inside, as a `ConfigError`."""
    try:
        yield
    except EquipoiseError:
        raise
    except Exception as error:  # a dozen types without a common base, all for what a user asked for
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ConfigError(f"{owner}: {doing} failed ({reason})") from None


def check_folder(owner: str, weights: str) -> None:
    """What looks like a path must be a folder; else the hub would be asked for it.

    Raises:
        ConfigError: it is none.
    """
    looks = weights.startswith((".", "/", "~")) or weights.count("/") > 1
    if looks and not Path(weights).is_dir():
        raise ConfigError(
            f"{owner}: 'weights' must be a hub name or a local folder; there is no folder {weights!r}"
        )


def changed(
    owner: str,
    start: Callable[[], Any],
    fitted: Mapping[str, object] | None,
    changes: Mapping[str, object],
) -> Any:
    """The configuration that `start` gives, with changes.

    Args:
        owner: of the error messages.
        start: gives a kind's defaults, or what belongs to weights.
        fitted: values of a random network that follow from the data; null for the configuration of
            weights.
        changes: the user's.

    Raises:
        ConfigError: it cannot be had, refuses a value, or does not have one of the user's.
    """
    with one_line(owner, "loading the configuration"), _quiet():
        configuration = start()
    values = configuration.to_dict()
    for name in changes:
        if name not in values:
            raise ConfigError(f"{owner}: 'config' has no value {name!r}{suggest(name, values)}")
    kept = (
        values if fitted is None else fitted
    )  # a kind's defaults include what it derives from others: left to it
    with one_line(owner, "changing the configuration"), _quiet():
        return type(configuration).from_dict({**kept, **changes})


def load_network(
    owner: str, kind: Any, configuration: Any, weights: str | None, given: Mapping[str, object]
) -> Any:
    """A network in float32, of a class of transformers or of the kind that AutoModel chooses;
    random if no weights.

    Raises:
        ConfigError: no such weights, or they do not fill the whole network.
    """
    if weights is None:
        with one_line(owner, "building the network"):
            make = getattr(kind, "from_config", kind)  # AutoModel's; a class is called
            return make(configuration, **given)
    with one_line(owner, f"loading weights {weights!r}"), _quiet():
        network, report = kind.from_pretrained(
            weights,
            config=configuration,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # told below
            **given,
        )
    _check_filled(owner, weights, report)
    return network


def _check_filled(owner: str, weights: str, report: Mapping[str, Any]) -> None:
    missing = sorted(name for name in report["missing_keys"] if "pooler." not in name)
    if missing:
        raise ConfigError(
            f"{owner}: weights {weights!r} belong to another network; they lack {missing[0]!r}"
        )
    for name, held, wanted in sorted(report["mismatched_keys"]):
        raise ConfigError(
            f"{owner}: weights {weights!r} belong to another network; {name!r} is {tuple(held)} for {tuple(wanted)}"
        )


def drop_pooler(network: nn.Module) -> None:
    """Leave out a pooler with weights: what is not used must not be trained, nor make ranks wait for its gradient."""
    pooler = getattr(network, "pooler", None)
    if isinstance(pooler, nn.Module) and any(True for _ in pooler.parameters()):
        network.pooler = None  # type: ignore[assignment]


@contextmanager
def _quiet() -> Iterator[None]:
    """No table of unused weights and no remarks on special tokens: what matters is raised."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(ERROR)
    try:
        with quiet("huggingface_hub"):
            yield
    finally:
        logging.set_verbosity(verbosity)
