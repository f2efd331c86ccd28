"""The named transforms of each kind of modality. A new one is a class and an entry here.

A name stands for a class and settings: `log-stft` is the transform in the text of the papers,
`ogm-ge` the one in OGM-GE's code. The user's own settings replace those of the name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, cast

from equipoise.data.manifest.kinds import check_kind
from equipoise.data.transforms.array import Numbers, Series
from equipoise.data.transforms.audio import Fbank, LogMel, LogPower, LogStft, Waveform
from equipoise.data.transforms.base import Transform
from equipoise.data.transforms.flow import Flow
from equipoise.data.transforms.image import Picture
from equipoise.data.transforms.sizes import NOTHING, Measured, follow
from equipoise.data.transforms.tabular import Tabular
from equipoise.data.transforms.text import Pieces, Words
from equipoise.data.transforms.video import Frames
from equipoise.errors import ConfigError, suggest, unknown

NamedTransform = tuple[type, Mapping[str, Any]]
"""(class, settings that differ from its defaults)"""

AUTO = "auto"
"""A setting of this value follows the training rows, as one that is left out."""

_CROP = {"size": 224, "crop": (0.08, 1.0), "flip": True, "normalise": "imagenet"}
"""A random resized crop, a mirror and ImageNet's statistics: OGM-GE, MLA with ResNets, LFM,
BalanceMM."""

_I3D = {
    "size": 224,
    "frames": 64,
    "candidates": 80,
    "sampling": "dense",
    "view": "centre",
    "crop": ((224 / 256) ** 2, (224 / 256) ** 2),
    "ratio": (1.0, 1.0),
}
"""64 of 80 frames, a window of 224 in 256: IGM on NVGesture."""

_CENTRED = {"seconds": 3.0, "hop": 353, "centre": True, "short": "tile"}
"""The short-time transform of librosa, of a sound that is repeated until it is long enough."""

TRANSFORMS: dict[str, dict[str, NamedTransform]] = {
    "audio": {
        "log-mel": (LogMel, {}),
        # 257×299 and 257×1004, as LFM's text says
        "log-stft": (LogStft, {"rate": 16000, "seconds": 3.0}),
        "log-stft-10s": (LogStft, {"rate": 16000, "seconds": 10.0}),
        "ogm-ge": (LogStft, {**_CENTRED, "rate": 22050}),  # 257×188; IGM too
        "lfm-release": (LogStft, {**_CENTRED, "rate": 22050, "seconds": 20.0}),  # 257×1250
        "igm-kinetics": (LogStft, {**_CENTRED, "rate": 35400, "seconds": 10.0}),  # 257×1003
        # 129×626
        "ogm-ge-vggsound": (
            LogStft,
            {**_CENTRED, "rate": 16000, "seconds": 5.0, "window": 256, "hop": 128},
        ),
        # 257×1004; hche11/VGGSound
        "vggsound": (LogPower, {"rate": 16000, "seconds": 10.0, "short": "tile"}),
        "fbank": (Fbank, {}),  # 128×1024; MLA, which does not normalise
        "cav-mae": (Fbank, {"normalise": "cav-mae"}),
        "ast": (Fbank, {"normalise": "ast"}),
        "ogm-ge-kinetics": (Fbank, {"normalise": "ogm-ge"}),
        "waveform": (Waveform, {}),
    },
    "image": {
        "picture": (Picture, {}),
        "ogm-ge": (Picture, _CROP),
        "clip": (Picture, {"size": 224, "fit": "crop", "resample": "bicubic", "normalise": "clip"}),
        # MLA's runs with M3AE, which use ImageNet's statistics
        "m3ae": (
            Picture,
            {
                "size": 256,
                "fit": "crop",
                "resample": "bicubic",
                "crop": (0.08, 1.0),
                "flip": True,
                "jitter": 1.0,
            },
        ),
        "cav-mae": (Picture, {"size": 224, "fit": "crop", "resample": "bicubic"}),
        "igm": (
            Picture,
            {
                "size": 224,
                "resample": "bicubic",
                "normalise": "clip",
                "crop": (0.5, 1.0),
                "flip": True,
            },
        ),
        "mmbt": (
            Picture,
            {"size": 224, "fit": "crop", "normalise": "mmbt", "view": "centre"},
        ),  # 224 of 256
    },
    "video": {
        "frames": (Frames, {}),
        "ogm-ge": (Frames, {**_CROP, "frames": 3, "candidates": 10}),
        "mla": (Frames, {**_CROP, "frames": 3}),  # always the same three frames
        "lfm": (Frames, {**_CROP, "frames": 3, "candidates": 10}),
        "i3d": (Frames, _I3D),
    },
    "flow": {"flow": (Flow, {}), "i3d": (Flow, _I3D)},
    "text": {
        "words": (Words, {}),
        "pieces": (Pieces, {}),
        "mla": (Pieces, {"length": 256, "special": False}),
    },
    "vector": {"vector": (Numbers, {})},
    "tabular": {"tabular": (Tabular, {})},
    "array": {"array": (Series, {})},
}
"""{kind: {name: transform}}; the first of a kind is its default."""


def make_transform(
    modality: str, kind: str, options: Mapping[str, Any], measured: Measured = NOTHING
) -> Transform:
    """Make the transform of a modality of files.

    Args:
        modality: its name, for messages.
        kind: of the modality.
        options: `transform`, a name from `TRANSFORMS`, and settings of it.
        measured: sizes of the training files, which settle what the options leave open.

    Raises:
        ConfigError: unknown kind, transform or setting, a value that a setting cannot take, or a
            setting that is needed and was neither given nor measured.
    """
    target, settings = choose(modality, kind, options)
    return cast(Transform, _made(modality, target, follow(target, settings, measured)))


def make_text(
    modality: str, options: Mapping[str, Any], measured: Measured = NOTHING
) -> Words | Pieces:
    """Make the transform of a modality of text.

    Args:
        modality: its name, for messages.
        options: `transform` and settings of it; naming a `tokenizer` chooses word pieces.
        measured: sizes of the training texts, which settle what the options leave open.

    Raises:
        ConfigError: unknown transform or setting, or a value that a setting cannot take.
    """
    if "tokenizer" in options and "transform" not in options:
        options = {"transform": "pieces", **options}
    target, settings = choose(modality, "text", options)
    return cast(Words | Pieces, _made(modality, target, follow(target, settings, measured)))


def make_tabular(modality: str, options: Mapping[str, Any]) -> Tabular:
    """Make the transform of a tabular modality.

    Args:
        modality: its name, for messages.
        options: `transform` and settings of it.

    Raises:
        ConfigError: unknown transform or setting, or a value that a setting cannot take.
    """
    target, settings = choose(modality, "tabular", options)
    return cast(Tabular, _made(modality, target, settings))


def name_of(kind: str, options: Mapping[str, Any]) -> str:
    """Name of the transform that options choose."""
    default = (
        "pieces" if kind == "text" and "tokenizer" in options else next(iter(TRANSFORMS[kind]))
    )
    return str(options.get("transform", default))


def choose(modality: str, kind: str, options: Mapping[str, Any]) -> tuple[type, dict[str, Any]]:
    """Choose the class of a transform, and its settings.

    Args:
        modality: its name, for messages.
        kind: of the modality.
        options: `transform` and settings of it, which replace those of the named transform.

    Raises:
        ConfigError: unknown kind, transform or setting.
    """
    choices = TRANSFORMS[check_kind(kind)]
    name = options.get("transform", next(iter(choices)))
    if name not in choices:
        raise unknown(
            f"transform of {kind} (data.options.{modality}.transform)", str(name), choices
        )
    target, settings = choices[name]
    given = {option: value for option, value in options.items() if option != "transform"}
    known = [f.name for f in fields(target)]
    for option in given:
        if option not in known:
            raise ConfigError(
                f"data.options.{modality}: {kind} has no setting {option!r}{suggest(option, known)}"
            )
    follows: frozenset[str] = getattr(target, "follows", frozenset())
    given = {k: v for k, v in given.items() if not (v == AUTO and k in follows)}
    return target, {**settings, **given}


def _made(modality: str, target: type, settings: Mapping[str, Any]) -> Any:
    """Construct a transform.

    Raises:
        ConfigError: a required setting is missing.
    """
    try:
        return target(**settings)
    except TypeError as error:
        raise ConfigError(f"data.options.{modality}: {error}") from None
