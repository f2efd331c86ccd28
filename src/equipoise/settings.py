"""Every setting of a run: what `config.yaml` holds, the command line takes and `equipoise.fit`
accepts as keywords.

This file imports nothing heavy, since `--help` is made from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from numbers import Integral
from pathlib import Path
from typing import Any

from equipoise.errors import ConfigError, invalid, shown, suggest
from equipoise.values import AUTO, READERS, plain
from equipoise.yaml_text import dump_yaml, read_yaml


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


LAST = "last"
"""The last epoch, among those whose weights are kept."""


def _is_auto_or_from(least: int, value: int | str) -> bool:
    return value == AUTO if isinstance(value, str) else value >= least


def settled(value: int | str) -> int:
    """The number of a setting that may be `auto`, once it is known; see `runs.lengths`."""
    assert isinstance(value, int), "a setting was left at 'auto'"
    return value


POLICIES = ("error", "drop", "absent")
"""Effects of a bad file: it stops everything, drops its row, or makes its modality absent."""

Component = dict[str, Any]
"""A registered component: {"name": …, option: value, …}. Users may write the bare name instead."""

DEFAULT_METHOD = "balanced"
"""How a network is trained where nobody says it."""

EVERY = "*"
"""The key among the encoders of one that serves every modality that it can read, except those that
are named behind it."""

MOST_SEED = 2**63 - 1
"""The largest seed. The generators of PyTorch take 64 bits, and some draws add to the seed."""

_SEEDS = "an integer from 0 to 2**63 - 1"


def _is_seed(value: object) -> bool:
    """True for an integer of any library in the range of a seed; booleans are none."""
    return (
        isinstance(value, Integral) and not isinstance(value, bool) and 0 <= int(value) <= MOST_SEED
    )


def component(value: object, kind: str) -> Component:
    """Make a component from a bare name or a mapping with a `name`.

    Raises:
        ConfigError: neither of the two.
    """
    if isinstance(value, str):
        return {"name": value}
    if isinstance(value, Mapping) and isinstance(value.get("name"), str):
        made: Component = plain(value, kind)
        return made
    raise ConfigError(f"{kind} must be a name or a mapping with a 'name', found {shown(value)}")


IMPORT = "import:"
"""The beginning of an encoder's name that is the import path of a class."""


def imports(values: object) -> set[str]:
    """The values, however deep, that name code to import."""
    found: set[str] = set()
    waiting = [values]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str) and value.startswith(IMPORT):
            found.add(value)
        elif isinstance(value, Mapping):
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value
    return found


def require_trust(values: object, place: object, trust: bool, own: object = None) -> None:
    """Refuse settings from a file that import code, unless the user trusts whoever wrote it.

    Args:
        values: the settings.
        place: the file or folder that they are from, for the message.
        trust: the user's word.
        own: settings that the user gave; code that these import too is the user's own choice.

    Raises:
        ConfigError: the settings import code, and the user did not say that they may.
    """
    found = imports(values) - imports(own)
    if found and not trust:
        raise ConfigError(
            f"{place}: imports code ({min(found)}); if you trust "
            "whoever wrote it, add --trust (in Python: trust=True)"
        )


def _are_betas(values: Sequence[float]) -> bool:
    return len(values) == 2 and all(0 <= value < 1 for value in values)


def _ascend(values: Sequence[int]) -> bool:
    return list(values) == sorted({*values}) and min(values, default=1) >= 1


@dataclass(frozen=True)
class OptimiserSettings:
    """The optimiser, the schedule of its learning rate, and the average of the weights.

    Attributes:
        name: sgd, adam or adamw.
        lr: learning rate; 0.01 under sgd.
        momentum: momentum of SGD.
        betas: decay rates of the two moments of Adam and AdamW.
        weight_decay: L2 penalty (decoupled under adamw); 0.0001 under sgd, 0 under adam.
        warmup: fraction of the epochs over which the learning rate of a modality rises, step by
            step, to what the schedule gives; 0 for none.
        warmup_from: fraction of the learning rate from which it rises.
        schedule: none, step (times gamma every step_size epochs), milestones (times gamma after
            each of these epochs), cosine (to zero) or plateau (times gamma after step_size epochs
            without a better value of plateau_on). All of them count the epochs in which a modality
            trains; shared parameters follow the modality that trains.
        milestones: numbers of epochs, ascending, see schedule.
        plateau_on: value that plateau watches: loss (of training, as in the papers of LFM and MIE)
            or metric (of validation, see select).
        step_size: number of epochs, see schedule.
        gamma: factor, see schedule.
        clip: largest gradient norm of the groups that step together; 0 for no limit.
        average: decay of an exponential moving average of the weights, which is validated, chosen
            and kept in place of the weights themselves; 0 for none.
    """

    name: str = "adamw"
    lr: float = 0.001
    momentum: float = 0.9
    betas: list[float] = field(default_factory=lambda: [0.9, 0.999])
    weight_decay: float = 0.01
    warmup: float = 0.05
    warmup_from: float = 0.0
    schedule: str = "cosine"
    milestones: list[int] = field(default_factory=list)
    plateau_on: str = "loss"
    step_size: int = 30
    gamma: float = 0.1
    clip: float = 5.0
    average: float = 0.99

    def __post_init__(self) -> None:
        schedules = ("none", "step", "milestones", "cosine", "plateau")
        checks = [
            ("name", self.name in ("sgd", "adam", "adamw"), "sgd, adam or adamw"),
            ("lr", self.lr > 0, "positive"),
            ("momentum", 0 <= self.momentum < 1, "in [0, 1)"),
            ("betas", _are_betas(self.betas), "two numbers in [0, 1)"),
            ("weight_decay", self.weight_decay >= 0, "at least 0"),
            ("warmup", 0 <= self.warmup <= 1, "in [0, 1]"),
            ("warmup_from", 0 <= self.warmup_from <= 1, "in [0, 1]"),
            ("schedule", self.schedule in schedules, "one of " + ", ".join(schedules)),
            (
                "milestones",
                bool(self.milestones) or self.schedule != "milestones",
                "given under the schedule milestones",
            ),
            ("milestones", _ascend(self.milestones), "ascending numbers of epochs, from 1"),
            ("plateau_on", self.plateau_on in ("loss", "metric"), "loss or metric"),
            ("step_size", self.step_size >= 1, "at least 1"),
            ("gamma", 0 < self.gamma <= 1, "in (0, 1]"),
            ("clip", self.clip >= 0, "at least 0"),
            ("average", 0 <= self.average < 1, "in [0, 1)"),
        ]
        _check("optimiser", self, checks)


SUITED: Mapping[object, Mapping[str, Any]] = {
    "sgd": {"lr": 0.01, "weight_decay": 1e-4},
    "adam": {"weight_decay": 0.0},
}
"""{optimiser: what it needs otherwise than the default one}"""


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
        weight: column of numbers that say how much each training sample counts in the loss; a
            sample of weight 2 counts as two equal samples. Metrics count every sample once.
        root: folder that relative paths start from; the manifest's own by default.
        validation: fraction of the samples for validation where no split is given.
        test: fraction of the samples for testing where no split is given.
        folds: number of parts for cross-validation, each of which is the test split once, drawn by
            class and group; 0 draws the test split by its fraction.
        fold: number of the part that is the test split, from 0; `bench --folds` trains with each.
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
    weight: str | None = None
    root: str | None = None
    validation: float = 0.15
    test: float = 0.15
    folds: int = 0
    fold: int = 0
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
            ("folds", self.folds == 0 or self.folds >= 2, "0, or at least 2"),
            (
                "folds",
                self.folds == 0 or self.split is None,
                "left out beside a split column",
            ),
            (
                "folds",
                self.folds == 0 or self.validation + 1 / self.folds < 1,
                "more, so that samples are left to train on",
            ),
            ("fold", 0 <= self.fold < max(self.folds, 1), "from 0 to below the number of folds"),
            ("holdout", 0 <= self.holdout < 1, "in [0, 1)"),
            ("missing", 0 <= self.missing < 1, "in [0, 1)"),
            ("missing_test", self.missing_test is None or 0 <= self.missing_test < 1, "in [0, 1)"),
            (
                "missing_regime",
                self.missing_regime in ("strict", "simulated"),
                "strict or simulated",
            ),
            ("problems", self.problems in POLICIES, "error, drop or absent"),
            ("seed", _is_seed(self.seed), _SEEDS),
        ]
        _check("data", self, checks)


IN_MEMORY = "<DataFrame>"
"""The source in `config.yaml` of data that are neither a name nor a path."""

METRICS = (
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "mean_average_precision",
    "auroc",
    "log_loss",
)
"""The metrics that can choose an epoch, or settings of a search."""

SMALLER_IS_BETTER = frozenset({"log_loss", "calibration_error"})
"""The metrics of which a smaller value is better; of all others, a larger one is."""


@dataclass(frozen=True)
class Settings:
    """All settings of a run.

    Attributes:
        data: which data are used.
        method: how the network is trained; see `equipoise list methods`.
        head: how the modalities are fused; `auto` takes the method's own head.
        encoder: an encoder for every modality that it can read, or {modality: encoder}; a modality
            left out takes the default of its kind.
        width: feature width of every encoder that has no width of its own; null for each encoder's
            default. Where these differ, encoders that nobody named take the width of the named
            ones, or the smallest.
        optimiser: how parameters are updated.
        epochs: how often every modality sees the training samples; auto follows their number.
        batch_size: samples per step, over all devices; auto follows the number of training samples.
        seed: seed of initialisation, order and every random draw.
        select: fused validation metric that chooses the epoch: accuracy, balanced_accuracy,
            macro_f1, mean_average_precision, auroc or log_loss. Of epochs that are equal, the one
            with the lower log-loss is chosen.
        loss: loss of a sample: cross-entropy, or focal, in which samples that are predicted well
            count less.
        focal_gamma: exponent of the focal loss, (1 − p)^gamma times the cross-entropy.
        label_smoothing: fraction of every label that is spread evenly over all classes; with 1,
            labels say nothing of the class.
        class_weight: weight of each class in the loss: none (all alike), balanced (in inverse
            proportion to the number of its training samples) or {class: weight}, where a class left
            out weighs 1.
        sampling: rows that an epoch draws: uniform (each once) or balanced (as many rows, evenly
            from all classes).
        calibration: none, or temperature: logits are divided by a number of at least 1 that is
            fitted on validation, so that probabilities are not too sure. Epochs are judged by the
            log-loss that they have so, because training makes a network too sure long before it
            stops learning. auto calibrates where `select` is log_loss.
        patience: stop when every modality has trained for this many epochs since the best one; 0
            trains to the end, auto waits for a fraction of the epochs. No epoch is chosen before
            all modalities have trained.
        device: auto, cpu or cuda.
        precision: float32 or bfloat16.
        compile: compile every encoder.
        channels_last: memory format of the encoders' weights.
        checkpoint_every: also checkpoint after this many steps; 0 for the ends of epochs only.
        keep_epochs: epochs whose weights are kept beside the best ones, counted from 1, such as
            [1, 7, last]; analyses can look at them.
    """

    data: DataSettings = field(default_factory=DataSettings)
    method: Component = field(default_factory=lambda: {"name": DEFAULT_METHOD})
    head: Component = field(default_factory=lambda: {"name": "auto"})
    encoder: dict[str, Any] = field(default_factory=dict)
    width: int | None = None
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)
    epochs: int | str = "auto"
    batch_size: int | str = "auto"
    seed: int = 0
    select: str = "log_loss"
    loss: str = "cross-entropy"
    focal_gamma: float = 2.0
    label_smoothing: float = 0.0
    class_weight: str | dict[str, Any] = "none"
    sampling: str = "uniform"
    calibration: str = AUTO
    patience: int | str = "auto"
    device: str = "auto"
    precision: str = "float32"
    compile: bool = False
    channels_last: bool = False
    checkpoint_every: int = 0
    keep_epochs: list[int | str] = field(default_factory=list)

    def __post_init__(self) -> None:
        checks = [
            ("width", self.width is None or self.width >= 1, "at least 1, or null"),
            ("epochs", _is_auto_or_from(1, self.epochs), "at least 1, or auto"),
            ("batch_size", _is_auto_or_from(2, self.batch_size), "at least 2, or auto"),
            ("seed", _is_seed(self.seed), _SEEDS),
            ("select", self.select in METRICS, "one of " + ", ".join(METRICS)),
            ("loss", self.loss in ("cross-entropy", "focal"), "cross-entropy or focal"),
            ("focal_gamma", self.focal_gamma >= 0, "at least 0"),
            (
                "focal_gamma",
                self.loss == "focal" or self.focal_gamma == Settings.focal_gamma,
                "left out unless the loss is focal",
            ),
            ("label_smoothing", 0 <= self.label_smoothing <= 1, "in [0, 1]"),
            (
                "class_weight",
                isinstance(self.class_weight, dict) or self.class_weight in ("none", "balanced"),
                "none, balanced or {class: weight}",
            ),
            (
                "calibration",
                self.calibration in (AUTO, "none", "temperature"),
                "auto, none or temperature",
            ),
            ("sampling", self.sampling in ("uniform", "balanced"), "uniform or balanced"),
            ("patience", _is_auto_or_from(0, self.patience), "at least 0, or auto"),
            ("device", self.device in ("auto", "cpu", "cuda"), "auto, cpu or cuda"),
            ("precision", self.precision in ("float32", "bfloat16"), self._precisions()),
            ("checkpoint_every", self.checkpoint_every >= 0, "at least 0"),
            (
                "keep_epochs",
                all(e == LAST if isinstance(e, str) else e >= 1 for e in self.keep_epochs),
                f"a list of epochs from 1 on, and {LAST} for the last one",
            ),
        ]
        _check("settings", self, checks)

    @property
    def calibrates(self) -> bool:
        """True where logits are divided by temperatures that validation gives."""
        if self.calibration == AUTO:
            return self.select == "log_loss"
        return self.calibration == "temperature"

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
        unknown = [key for key in values if not isinstance(key, str)]
        if unknown:
            raise ConfigError(f"the name of a setting must be a text, found {shown(unknown[0])}")
        given = {
            "data": _nested(DataSettings, "data", _source(values.pop("data", {}))),
            "optimiser": _nested(OptimiserSettings, "optimiser", values.pop("optimiser", {})),
            "method": component(values.pop("method", DEFAULT_METHOD), "method"),
            "head": component(values.pop("head", "auto"), "head"),
            "encoder": _encoders(values.pop("encoder", None)),
        }
        settings: Settings = _nested(cls, "", {**values, **given})
        return settings

    def to_yaml(self) -> str:
        """The text of a complete `config.yaml`, which `load` reads again."""
        return dump_yaml(self.to_dict())

    def save(self, path: Path) -> None:
        path.write_text(self.to_yaml(), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Settings:
        """Read a file that `save` or a user wrote.

        Raises:
            ConfigError: no such file, not YAML, or wrong values.
        """
        return cls.from_dict(read_yaml(path))


def _source(value: Any) -> dict[str, Any]:
    """The settings of the data, for which a user may write the bare source."""
    return dict(value) if isinstance(value, Mapping) else {"source": value}


def _encoders(value: Any) -> dict[str, Component]:
    """{modality: encoder}; a bare name stands for every modality that it can read."""
    if value is None:
        return {}
    if isinstance(value, str):
        value = {EVERY: value}
    if not isinstance(value, Mapping):
        raise ConfigError(
            "'encoder' must be the name of an encoder, or {modality: encoder}, "
            f"found {shown(value)}"
        )
    for modality in value:
        if not isinstance(modality, str):
            raise ConfigError(f"'encoder': the modality {shown(modality)} must be a text; quote it")
    return {m: component(v, f"encoder.{m}") for m, v in value.items()}


def _nested(cls: Any, prefix: str, values: object) -> Any:
    if not isinstance(values, Mapping):
        raise ConfigError(f"{prefix!r} must be a mapping of settings, found {shown(values)}")
    known = {f.name: f for f in fields(cls)}
    dotted = f"{prefix}." if prefix else ""
    converted = {}
    for name, value in values.items():
        if name not in known:
            whole = f"{dotted}{name}"
            hint = suggest(str(name), known if prefix else ALL_NAMES, None if prefix else USUAL)
            raise ConfigError(f"unknown option {whole!r}{hint}")
        declared = str(known[name].type)
        read = READERS.get(declared.removesuffix(" | None"))
        if read and not (value is None and declared.endswith(" | None")):
            value = read(dotted + name, value)
        converted[name] = value
    return cls(**converted)


ALL_NAMES = (
    *(f.name for f in fields(Settings)),
    *(f"optimiser.{f.name}" for f in fields(OptimiserSettings)),
    *(f"data.{f.name}" for f in fields(DataSettings)),
)
"""The dotted name of every setting."""

USUAL = {
    **{f"data_{f.name}": f"data.{f.name}" for f in fields(DataSettings)},
    **{f.name: f"data.{f.name}" for f in fields(DataSettings) if f.name not in ALL_NAMES},
    **{f.name: f"optimiser.{f.name}" for f in fields(OptimiserSettings)},
    "learning_rate": "optimiser.lr",
    "optimizer": "optimiser.name",
    "optimiser_name": "optimiser.name",
    "wd": "optimiser.weight_decay",
    "decay": "optimiser.weight_decay",
    "lr_schedule": "optimiser.schedule",
    "scheduler": "optimiser.schedule",
    "lr_scheduler": "optimiser.schedule",
    "clip_grad": "optimiser.clip",
    "grad_clip": "optimiser.clip",
    "gradient_clip": "optimiser.clip",
    "ema": "optimiser.average",
    "ema_decay": "optimiser.average",
    "warmup_ratio": "optimiser.warmup",
    "epoch": "epochs",
    "n_epochs": "epochs",
    "num_epochs": "epochs",
    "max_epochs": "epochs",
    "bs": "batch_size",
    "batch": "batch_size",
    "batch_size": "batch_size",
    "batchsize": "batch_size",
    "random_state": "seed",
    "random_seed": "seed",
    "gpu": "device",
    "cuda": "device",
    "dtype": "precision",
    "amp": "precision",
    "bf16": "precision",
    "metric": "select",
    "monitor": "select",
    "early_stopping": "patience",
    "criterion": "loss",
    "gamma_focal": "focal_gamma",
    "smoothing": "label_smoothing",
    "class_weights": "class_weight",
    "sampler": "sampling",
    "temperature": "calibration",
    "temperature_scaling": "calibration",
    "model": "method",
    "algorithm": "method",
    "fusion": "head",
    "backbone": "encoder",
    "encoders": "encoder",
    "hidden": "width",
    "dim": "width",
    "dataset": "data.source",
    "modalities": "data.modality",
    "target": "data.label",
    "labels": "data.label",
    "label_column": "data.label",
    "groups": "data.group",
    "weights": "data.weight",
    "sample_weight": "data.weight",
    "val": "data.validation",
    "valid": "data.validation",
    "val_fraction": "data.validation",
    "test_size": "data.test",
    "missing_rate": "data.missing",
}
"""{usual or short name: dotted name}, for suggestions."""


def _check(owner: str, settings: object, checks: list[tuple[str, bool, str]]) -> None:
    for name, good, expectation in checks:
        if not good:
            raise invalid(owner, name, expectation, getattr(settings, name))
