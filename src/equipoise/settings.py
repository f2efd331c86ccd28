"""Every setting of a run: what `config.yaml` holds, the command line takes and `equipoise.fit`
accepts as keywords.

This file imports nothing heavy, since `--help` is made from it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from numbers import Integral
from pathlib import Path
from typing import Any

import yaml

from equipoise.errors import ConfigError, invalid, suggest


def changes(was: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Compare two nested configurations.

    Returns:
        {"optimiser.lr": (was, now)} for each value that differs, in alphabetical order; None where
        one of them lacks it.
    """
    before = flat(was)
    after = flat(now)
    pairs = {name: (before.get(name), after.get(name)) for name in sorted({*before, *after})}
    return {name: (old, new) for name, (old, new) in pairs.items() if old != new}


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"optimiser.lr": value, …} of a nested configuration."""
    flattened: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        flattened |= flat(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return flattened


POLICIES = ("error", "drop", "absent")
"""Effects of a bad file: it stops everything, drops its row, or makes its modality absent."""

Component = dict[str, Any]
"""A registered component: {"name": …, option: value, …}. Users may write the bare name instead."""


def component(value: object, kind: str) -> Component:
    """Make a component from a bare name or a mapping with a `name`.

    Raises:
        ConfigError: neither of the two.
    """
    if isinstance(value, str):
        return {"name": value}
    if isinstance(value, Mapping) and isinstance(value.get("name"), str):
        return dict(value)
    raise ConfigError(f"{kind} must be a name or a mapping with a 'name', found {value!r}")


@dataclass(frozen=True)
class OptimiserSettings:
    """The optimiser, and the schedule of its learning rate.

    Attributes:
        name: sgd, adam or adamw.
        lr: learning rate.
        momentum: momentum of SGD.
        weight_decay: L2 penalty (decoupled under adamw).
        schedule: none, step (times gamma every step_size epochs), cosine (to zero) or plateau
            (times gamma after step_size epochs without a better value of plateau_on). All three
            count the epochs in which a modality trains; shared parameters follow the modality that
            trains.
        plateau_on: value that plateau watches: loss (of training, as in the papers of LFM and MIE)
            or metric (of validation, see select).
        step_size: number of epochs, see schedule.
        gamma: factor, see schedule.
        clip: largest gradient norm of the groups that step together; 0 for no limit.
    """

    name: str = "sgd"
    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 1e-4
    schedule: str = "none"
    plateau_on: str = "loss"
    step_size: int = 30
    gamma: float = 0.1
    clip: float = 0.0

    def __post_init__(self) -> None:
        schedules = ("none", "step", "cosine", "plateau")
        checks = [
            ("name", self.name in ("sgd", "adam", "adamw"), "sgd, adam or adamw"),
            ("lr", self.lr > 0, "positive"),
            ("momentum", 0 <= self.momentum < 1, "in [0, 1)"),
            ("weight_decay", self.weight_decay >= 0, "at least 0"),
            ("schedule", self.schedule in schedules, "one of " + ", ".join(schedules)),
            ("plateau_on", self.plateau_on in ("loss", "metric"), "loss or metric"),
            ("step_size", self.step_size >= 1, "at least 1"),
            ("gamma", 0 < self.gamma <= 1, "in (0, 1]"),
            ("clip", self.clip >= 0, "at least 0"),
        ]
        _check("optimiser", self, checks)


@dataclass(frozen=True)
class DataSettings:
    """The data, and how they are read, split and hidden.

    Attributes:
        source: a built-in data set, a folder made by `equipoise prepare`, or a manifest (CSV, TSV,
            JSONL, Parquet).
        modality: declarations name=column[,column…][:kind] for a manifest.
        label: label column.
        split: column that holds train, validation or test; without it splits are drawn.
        group: column whose values each stay within one split (speaker, subject, session).
        id: column of unique sample ids.
        root: folder that relative paths start from; the manifest's own by default.
        validation: fraction of the samples for validation where no split is given.
        test: fraction of the samples for testing where no split is given.
        holdout: fraction of the training samples kept back for methods that estimate on data; 0
            lets the method decide.
        missing: fraction of the (sample, modality) cells hidden at random, in every split.
        missing_test: the same for validation and test alone; null for the same fraction.
        missing_modality: hide this modality only, in the fraction `missing` of the samples; null
            for every modality.
        missing_exact: hide that fraction exactly in each split, rounded to whole cells; by default
            each cell is hidden by chance, and small splits lose a little more or less.
        missing_regime: strict (hidden training content is gone) or simulated (hidden from the
            network, but a method may reconstruct it).
        problems: effect of a bad file: error (stop), drop (its row) or absent (its modality).
        cache: folder for decoded arrays.
        seed: seed of the splits and the hidden cells; the same for all seeds of a comparison, so
            that all see the same samples and the same hidden cells.
        options: settings of how a modality's cells are read, --data.options.MODALITY.SETTING VALUE,
            or options of a built-in data set.
    """

    source: Any = "digits"
    modality: list[str] = field(default_factory=list)
    label: str = "label"
    split: str | None = None
    group: str | None = None
    id: str | None = None
    root: str | None = None
    validation: float = 0.15
    test: float = 0.15
    holdout: float = 0.0
    missing: float = 0.0
    missing_test: float | None = None
    missing_modality: str | None = None
    missing_exact: bool = False
    missing_regime: str = "strict"
    problems: str = "error"
    cache: str | None = None
    seed: int = 0
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        checks = [
            ("validation", 0 < self.validation < 1, "in (0, 1)"),
            (
                "test",
                0 <= self.test < 1 - self.validation,
                "at least 0, and less than 1 − validation",
            ),
            ("holdout", 0 <= self.holdout < 1, "in [0, 1)"),
            ("missing", 0 <= self.missing < 1, "in [0, 1)"),
            ("missing_test", self.missing_test is None or 0 <= self.missing_test < 1, "in [0, 1)"),
            (
                "missing_regime",
                self.missing_regime in ("strict", "simulated"),
                "strict or simulated",
            ),
            ("problems", self.problems in POLICIES, "error, drop or absent"),
            ("seed", isinstance(self.seed, Integral) and self.seed >= 0, "an integer, at least 0"),
        ]
        _check("data", self, checks)


IN_MEMORY = "<DataFrame>"
"""The source in `config.yaml` of data that are neither a name nor a path."""

METRICS = ("accuracy", "macro_f1", "mean_average_precision")


@dataclass(frozen=True)
class Settings:
    """All settings of a run.

    Attributes:
        data: which data are used.
        method: how the network is trained; see `equipoise list methods`.
        head: how the modalities are fused; `auto` takes the method's own head.
        encoder: {modality: encoder}; a modality left out takes the default of its kind.
        width: feature width of every encoder that has no width of its own; null for each encoder's
            default. Where these differ, encoders that nobody named take the width of the named
            ones, or the smallest.
        optimiser: how parameters are updated.
        epochs: how often every modality sees the training samples.
        batch_size: samples per step, over all devices.
        seed: seed of initialisation, order and every random draw.
        select: fused validation metric that chooses the epoch: accuracy, macro_f1 or
            mean_average_precision.
        patience: stop when every modality has trained for this many epochs since the best one; 0
            trains to the end. No epoch is chosen before all modalities have trained.
        device: auto, cpu or cuda.
        precision: float32 or bfloat16.
        compile: compile every encoder.
        channels_last: memory format of the encoders' weights.
        checkpoint_every: also checkpoint after this many steps; 0 for the ends of epochs only.
    """

    data: DataSettings = field(default_factory=DataSettings)
    method: Component = field(default_factory=lambda: {"name": "joint"})
    head: Component = field(default_factory=lambda: {"name": "auto"})
    encoder: dict[str, Any] = field(default_factory=dict)
    width: int | None = None
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)
    epochs: int = 15
    batch_size: int = 64
    seed: int = 0
    select: str = "accuracy"
    patience: int = 0
    device: str = "auto"
    precision: str = "float32"
    compile: bool = False
    channels_last: bool = False
    checkpoint_every: int = 0

    def __post_init__(self) -> None:
        checks = [
            ("width", self.width is None or self.width >= 1, "at least 1, or null"),
            ("epochs", self.epochs >= 1, "at least 1"),
            ("batch_size", self.batch_size >= 2, "at least 2"),
            ("seed", self.seed >= 0, "at least 0"),
            ("select", self.select in METRICS, "one of " + ", ".join(METRICS)),
            ("patience", self.patience >= 0, "at least 0"),
            ("device", self.device in ("auto", "cpu", "cuda"), "auto, cpu or cuda"),
            ("precision", self.precision in ("float32", "bfloat16"), self._precisions()),
            ("checkpoint_every", self.checkpoint_every >= 0, "at least 0"),
        ]
        _check("settings", self, checks)

    @staticmethod
    def _precisions() -> str:
        return (
            "float32 or bfloat16 (float16 would need its gradients scaled, "
            "which the methods that read gradients would misread)"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `config.yaml` holds them.

        A DataFrame is not kept: `IN_MEMORY` stands for it.
        """
        if isinstance(self.data.source, str):
            return asdict(self)
        return asdict(replace(self, data=replace(self.data, source=IN_MEMORY)))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Settings:
        """Make settings from plain values; an option left out takes its default.

        Raises:
            ConfigError: an unknown key (with the nearest known ones), a wrong type or value.
        """
        values = dict(values)
        given = {
            "data": _nested(DataSettings, "data", _source(values.pop("data", {}))),
            "optimiser": _nested(OptimiserSettings, "optimiser", values.pop("optimiser", {})),
            "method": component(values.pop("method", "joint"), "method"),
            "head": component(values.pop("head", "auto"), "head"),
            "encoder": {
                m: component(v, f"encoder.{m}")
                for m, v in (values.pop("encoder", None) or {}).items()
            },
        }
        settings: Settings = _nested(cls, "", {**values, **given})
        return settings

    def to_yaml(self) -> str:
        """The text of a complete `config.yaml`, which `load` reads again."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)

    def save(self, path: Path) -> None:
        path.write_text(self.to_yaml(), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Settings:
        """Read a file that `save` or a user wrote.

        Raises:
            ConfigError: no such file, not YAML, or wrong values.
        """
        return cls.from_dict(read_yaml(path))


class _Loader(yaml.SafeLoader):
    """A loader that reads 1e-3 as a number, as YAML 1.2 and JSON do; in YAML 1.1 it is text."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def parse_yaml(text: str) -> Any:
    """Parse a YAML text.

    Raises:
        yaml.YAMLError: it is not YAML.
    """
    return yaml.load(text, _Loader)  # a SafeLoader: builds plain values only


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping from a file.

    Raises:
        ConfigError: no such file, or not a YAML mapping.
    """
    try:
        values = parse_yaml(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the configuration ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected 'option: value' lines, found {type(values).__name__}")
    return values


def _source(value: Any) -> dict[str, Any]:
    """The settings of the data, for which a user may write the bare source."""
    return dict(value) if isinstance(value, Mapping) else {"source": value}


def _nested(cls: Any, prefix: str, values: object) -> Any:
    if not isinstance(values, Mapping):
        raise ConfigError(f"{prefix} must be a mapping of options, found {values!r}")
    known = {f.name: f for f in fields(cls)}
    shown = f"{prefix}." if prefix else ""
    for name, value in values.items():
        if name not in known:
            raise ConfigError(f"unknown option {shown + str(name)!r}{suggest(str(name), known)}")
        _check_type(shown + name, str(known[name].type), value)
    return cls(
        **{name: float(v) if known[name].type == "float" else v for name, v in values.items()}
    )


_TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "bool": (bool,),
    "str | None": (str, type(None)),
    "int | None": (int, type(None)),
    "float | None": (int, float, type(None)),
    "list[str]": (list,),
    "dict[str, Any]": (dict,),
}


def _check_type(name: str, declared: str, value: object) -> None:
    allowed = _TYPES.get(declared)
    wrong = allowed is not None and (
        not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed)
    )
    if wrong:
        raise ConfigError(
            f"{name!r} must be {declared.replace(' | None', ' or null')}, found {value!r}"
        )


def _check(owner: str, settings: object, checks: list[tuple[str, bool, str]]) -> None:
    for name, good, expectation in checks:
        if not good:
            raise invalid(owner, name, expectation, getattr(settings, name))
