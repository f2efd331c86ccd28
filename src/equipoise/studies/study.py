"""The files of a study: which data sets, trainings and numbers a table of a paper is made of.

The tables of a paper share data sets and trainings, so these stand once, in `paper.yaml`:

    paper: authors, title, venue
    url: where it is
    data:
      crema-d:                              # key, used by the tables
        title: CREMA-D                      # as the paper writes it
        set: crema-d                        # folder that `prepare` made; the key by default
        preset: crema-d-mla
        modalities: [audio, video]          # those that the paper uses
        settings: {}                        # over the preset
    trainings:
      mla:
        settings: {method: mla, head: shared}
        on: {food-101: {}}                  # more settings for one data set
        smoke: {}                           # more settings for the miniature

A table names some of them, and holds the published numbers:

    title: Table 1
    caption: in plain words
    source: where the numbers stand
    seeds: 3
    rows: [data, measure]                   # axes of the paper's own layout
    columns: [variant]
    data: [crema-d]
    measures: {crema-d: {Audio: audio.accuracy, Multi: fused.accuracy}}
    variants:
      MLA (Ours): mla                       # a training
      no DF: {training: mla, fusion: mean}  # the same training, fused otherwise at test
    published:                              # data, variant, a number for each measure
      crema-d: {MLA (Ours): [59.27, 79.70 ± 0.87]}
    notes: what a reader must know
    x: data                                 # of a figure: the axis drawn from left to right
    analysis: {kind: gap, options: {}}      # of a figure: a look into the trained runs

A measure is `part.metric`. A part is `fused`, a modality, or `gap`: the largest difference between
two modalities. Numbers are in percent; `null` where the paper prints none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml

from equipoise.analysis import ANALYSES
from equipoise.comparison.plan_input import MOST_SEEDS
from equipoise.configuration.layers import nest
from equipoise.configuration.presets import preset_names
from equipoise.errors import ConfigError, shown, suggest
from equipoise.settings import require_trust
from equipoise.yaml_text import parse_yaml

FOLDER = files("equipoise.studies")
PAPER = "paper.yaml"
SUFFIX = ".yaml"
AXES = ("data", "variant", "measure")
METRICS = ("accuracy", "macro_f1", "mean_average_precision")
FUSED = "fused"
GAP = "gap"
"""The part that is the largest difference between two modalities."""


@dataclass(frozen=True)
class Number:
    """A number of a table, in percent.

    Attributes:
        mean: over seeds.
        deviation: standard deviation over seeds; None where there is none.
    """

    mean: float
    deviation: float | None = None

    def text(self) -> str:
        """As "79.70 ± 0.87"."""
        spread = "" if self.deviation is None else f" ± {self.deviation:.2f}"
        return f"{self.mean:.2f}{spread}"


@dataclass(frozen=True)
class Measure:
    """A number that is read from a finished training.

    Attributes:
        title: heading of the paper.
        part: "fused", a modality, or "gap".
        metric: one of `METRICS`.
    """

    title: str
    part: str
    metric: str


@dataclass(frozen=True)
class StudyData:
    """A data set as a paper uses it.

    Attributes:
        key: name in the files of the study.
        title: heading of the paper.
        set: folder that `equipoise prepare` made.
        modalities: those that the paper uses.
        preset: of inputs and encoders; None for none.
        settings: nested, over the preset.
    """

    key: str
    title: str
    set: str
    modalities: tuple[str, ...]
    preset: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Training:
    """A way to train, the same in all tables of a paper.

    Attributes:
        key: name in the files of the study, and of its folder.
        settings: nested.
        on: {data: more nested settings}.
        smoke: more nested settings for a miniature.
    """

    key: str
    settings: Mapping[str, Any]
    on: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    smoke: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Variant:
    """A method of a table.

    Attributes:
        title: as the paper writes it.
        training: key of the training that it is read from.
        fusion: rule that fuses its modalities at test; None for that of the training.
    """

    title: str
    training: str
    fusion: str | None = None


@dataclass(frozen=True)
class Look:
    """An analysis of the first seed of every variant, on each data set.

    Attributes:
        kind: name of the analysis.
        options: of it.
        smoke: more options for a miniature.
    """

    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    smoke: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """A table of a paper.

    Attributes:
        name: such as "mla/table-1".
        paper: the reference.
        url: of the paper.
        title: such as "Table 1".
        caption: what it compares.
        source: where the numbers stand.
        seeds: number of trainings behind a number.
        rows: axes that the rows run over, from the outermost.
        columns: axes that the columns run over.
        data: the data sets.
        trainings: {key: training} of the variants.
        variants: the methods.
        measures: {data: numbers that are read}.
        published: {(data, variant title, measure title): number}.
        notes: for the reader of the page.
        x: axis of a figure that is drawn from left to right; None for any other.
        look: analysis of a figure; None for any other.
    """

    name: str
    paper: str
    url: str
    title: str
    caption: str
    source: str
    seeds: int
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    data: tuple[StudyData, ...]
    trainings: Mapping[str, Training]
    variants: tuple[Variant, ...]
    measures: Mapping[str, tuple[Measure, ...]]
    published: Mapping[tuple[str, str, str], Number]
    notes: tuple[str, ...] = ()
    x: str | None = None
    look: Look | None = None

    def wanted(self, data: str, variant: Variant) -> bool:
        """True if the paper prints a number of this variant on this data set."""
        keys = ((data, variant.title, measure.title) for measure in self.measures[data])
        return not self.published or any(key in self.published for key in keys)

    def trainings_on(self, data: str) -> list[Training]:
        """The trainings that the numbers of a data set need, each once."""
        keys = (v.training for v in self.variants if self.wanted(data, v))
        return [self.trainings[key] for key in dict.fromkeys(keys)]


def study_names() -> list[str]:
    """All studies of the package, by paper, tables in their order."""
    found = [
        f"{folder.name}/{file.name.removesuffix(SUFFIX)}"
        for folder in FOLDER.iterdir()
        if (folder / PAPER).is_file()
        for file in folder.iterdir()
        if file.name.endswith(SUFFIX) and file.name != PAPER
    ]
    return sorted(found)


def read_study(name: str, *, trust: bool = False) -> Study:
    """Read a study of the package, or a file of your own that lies beside a `paper.yaml`.

    Args:
        name: such as "mla/table-1", or the path of a YAML file.
        trust: settings in a file of your own may import code.

    Raises:
        ConfigError: no such study, or a file that is wrong, with the key.
    """
    if name.endswith(SUFFIX):
        path = Path(name)
        place: Traversable = path.parent
        if not path.is_file():
            raise ConfigError(f"{name}: no such file; equipoise reproduce --list names the studies")
        own = f"{path.resolve().parent.name}/{path.stem}"
        file: Traversable = path
    elif name in study_names():
        paper, _, table = name.partition("/")
        place = FOLDER / paper
        own = name
        file = place / f"{table}{SUFFIX}"
    else:
        raise ConfigError(f"unknown study {name!r}{suggest(name, study_names())}")
    shared = _Part(_read(place / PAPER), f"{place.name or '.'}/{PAPER}")
    values = _Part(_read(file), own if not name.endswith(SUFFIX) else name)
    if name.endswith(SUFFIX):
        for part in (shared, values):
            require_trust(part.values, part.where, trust)
    return _study(own, shared, values)


def _read(file: Traversable) -> dict[str, Any]:
    try:
        values = parse_yaml(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{file}: no valid YAML ({reason})") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{file}: must be a mapping, found {shown(values)}")
    return values


class _Part:
    """A mapping of a file; what is wrong in it is told with the key.

    Args:
        values: the mapping.
        where: file and key, for messages.
    """

    def __init__(self, values: Any, where: str) -> None:
        if not isinstance(values, dict):
            raise ConfigError(f"{where}: must be a mapping, found {shown(values)}")
        self.values = values
        self.where = where

    def known(self, *names: str) -> None:
        """Refuse a key that means nothing."""
        for key in self.values:
            if key not in names:
                raise ConfigError(f"{self.where}: unknown key {key!r}{suggest(key, names)}")

    def wrong(self, key: str, expectation: str) -> ConfigError:
        found = shown(self.values.get(key))
        return ConfigError(f"{self.where}: {key!r} must be {expectation}, found {found}")

    def text(self, key: str, default: str | None = None) -> str:
        value = self.values.get(key, default)
        if not isinstance(value, str) or not value:
            raise self.wrong(key, "a text")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.values.get(key)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.wrong(key, "a list of texts")
        return tuple(value)

    def part(self, key: str, default: Any = None) -> _Part:
        return _Part(self.values.get(key, default), f"{self.where}: {key}")

    def settings(self, key: str) -> dict[str, Any]:
        return nest(self.part(key, {}).values)

    def one_of(self, key: str, names: Iterable[str]) -> str:
        value = self.values.get(key)
        names = list(names)
        if value not in names:
            raise ConfigError(f"{self.where}: unknown {key} {value!r}{suggest(value, names)}")
        return str(value)


def _study(name: str, shared: _Part, own: _Part) -> Study:
    shared.known("paper", "url", "data", "trainings")
    own.known(
        "title",
        "caption",
        "source",
        "seeds",
        "rows",
        "columns",
        "data",
        "measures",
        "variants",
        "published",
        "notes",
        "x",
        "analysis",
    )
    data_sets = {key: _data(key, shared.part("data")) for key in shared.part("data").values}
    trainings = {
        key: _training(key, shared.part("trainings"), data_sets)
        for key in shared.part("trainings").values
    }
    data = tuple(data_sets[key] for key in _listed(own, "data", data_sets))
    variants = tuple(
        _variant(title, own.part("variants"), trainings) for title in own.part("variants").values
    )
    measures = {each.key: _measures(own.part("measures"), each) for each in data}
    rows, columns = _axes(own)
    seeds = own.values.get("seeds", 3)
    if isinstance(seeds, bool) or not isinstance(seeds, int) or not 0 < seeds <= MOST_SEEDS:
        raise own.wrong("seeds", "a number of seeds")
    notes = own.texts("notes") if "notes" in own.values else ()
    return Study(
        name=name,
        paper=shared.text("paper"),
        url=shared.text("url"),
        title=own.text("title"),
        caption=own.text("caption"),
        source=own.text("source"),
        seeds=seeds,
        rows=rows,
        columns=columns,
        data=data,
        trainings={variant.training: trainings[variant.training] for variant in variants},
        variants=variants,
        measures=measures,
        published=_published(own.part("published", {}), variants, measures),
        notes=notes,
        x=own.one_of("x", AXES) if "x" in own.values else None,
        look=_look(own.part("analysis")) if "analysis" in own.values else None,
    )


def _data(key: str, of: _Part) -> StudyData:
    own = of.part(key)
    own.known("title", "set", "preset", "modalities", "settings")
    preset = own.one_of("preset", preset_names()) if "preset" in own.values else None
    return StudyData(
        key,
        own.text("title"),
        own.text("set", key),
        own.texts("modalities"),
        preset,
        own.settings("settings"),
    )


def _training(key: str, of: _Part, data: Iterable[str]) -> Training:
    own = of.part(key)
    own.known("settings", "on", "smoke")
    on = own.part("on", {})
    on.known(*data)
    return Training(
        key,
        own.settings("settings"),
        {name: on.settings(name) for name in on.values},
        own.settings("smoke"),
    )


def _variant(title: str, of: _Part, trainings: Iterable[str]) -> Variant:
    if isinstance(of.values[title], str):
        own = _Part({"training": of.values[title]}, f"{of.where}: {title}")
    else:
        own = of.part(title)
    own.known("training", "fusion")
    fusion = own.text("fusion") if "fusion" in own.values else None
    return Variant(title, own.one_of("training", trainings), fusion)


def _look(own: _Part) -> Look:
    own.known("kind", "options", "smoke")
    kind = own.one_of("kind", ANALYSES.names())
    options, smoke = own.part("options", {}), own.part("smoke", {})
    for part in (options, smoke):
        part.known(*ANALYSES[kind].parameters())
    return Look(kind, options.values, smoke.values)


def _measures(own: _Part, data: StudyData) -> tuple[Measure, ...]:
    """The measures of a data set; a single mapping serves all data sets."""
    single = all(isinstance(value, str) for value in own.values.values())
    of = own if single else own.part(data.key)
    parts = (FUSED, GAP, *data.modalities)
    found = []
    for title in of.values:
        part, _, metric = of.text(title).partition(".")
        if part not in parts or metric not in METRICS:
            raise of.wrong(title, f"part.metric, of {', '.join(parts)} and {', '.join(METRICS)}")
        found.append(Measure(title, part, metric))
    return tuple(found)


def _listed(own: _Part, key: str, known: Iterable[str]) -> tuple[str, ...]:
    names = own.texts(key)
    for name in names:
        if name not in known:
            raise ConfigError(f"{own.where}: unknown {key} {name!r}{suggest(name, known)}")
    if not names or len(set(names)) < len(names):
        raise own.wrong(key, "different names")
    return names


def _axes(own: _Part) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The axes of rows and columns; each axis stands once."""
    rows, columns = own.texts("rows"), own.texts("columns")
    if sorted((*rows, *columns)) != sorted(AXES) or not rows or not columns:
        raise ConfigError(
            f"{own.where}: 'rows' and 'columns' must share out {', '.join(AXES)}, found {rows} and "
            f"{columns}"
        )
    return rows, columns


_NUMBER = re.compile(r"(-?\d+(?:\.\d+)?)(?: ± (\d+(?:\.\d+)?))?")


def _published(
    own: _Part, variants: Sequence[Variant], measures: Mapping[str, Sequence[Measure]]
) -> dict[tuple[str, str, str], Number]:
    """{(data, variant, measure): number}, without what the paper does not print."""
    own.known(*measures)
    found = {}
    for data in own.values:
        of_data = own.part(data)
        of_data.known(*(variant.title for variant in variants))
        for title, numbers in of_data.values.items():
            count = len(measures[data])
            if not isinstance(numbers, list) or len(numbers) != count:
                raise of_data.wrong(title, f"a list of {count} numbers, one for each measure")
            for measure, number in zip(measures[data], numbers, strict=True):
                if number is None:
                    continue
                match = _NUMBER.fullmatch(str(number))
                if match is None or isinstance(number, bool):
                    raise of_data.wrong(title, "numbers in percent, such as 79.7 or 79.70 ± 0.87")
                deviation = None if match[2] is None else float(match[2])
                found[data, title, measure.title] = Number(float(match[1]), deviation)
    return found
