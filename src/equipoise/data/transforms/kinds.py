"""The named transforms of each kind of modality. A new one is a class and an entry here.

A name stands for a class and settings: `log-stft` is the transform in the text of the papers,
`ogm-ge` the one in OGM-GE's code. The user's own settings replace those of the name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, cast

from equipoise.data.manifest.file_part import FilePart
from equipoise.data.manifest.kinds import check_kind
from equipoise.data.media import read_array
from equipoise.data.transforms.array import Numbers, Series
from equipoise.data.transforms.audio import Fbank, LogMel, LogPower, LogStft, Waveform
from equipoise.data.transforms.base import Transform
from equipoise.data.transforms.flow import Flow
from equipoise.data.transforms.image import Picture
from equipoise.data.transforms.text import Pieces, Words
from equipoise.data.transforms.video import Frames
from equipoise.errors import ConfigError, DataError, suggest, unknown

NamedTransform = tuple[type, Mapping[str, Any]]
"""(class, settings that differ from its defaults)"""

_CROP = {"crop": (0.08, 1.0), "flip": True, "normalise": "imagenet"}
"""A random resized crop, a mirror and ImageNet's statistics: OGM-GE, MLA with ResNets, LFM,
BalanceMM."""

_I3D = {
    "frames": 64,
    "candidates": 80,
    "sampling": "dense",
    "view": "centre",
    "crop": ((224 / 256) ** 2, (224 / 256) ** 2),
    "ratio": (1.0, 1.0),
}
"""64 of 80 frames, a window of 224 in 256: IGM on NVGesture."""

_CENTRED = {"hop": 353, "centre": True, "short": "tile"}
"""The short-time transform of librosa, of a sound that is repeated until it is long enough."""

TRANSFORMS: dict[str, dict[str, NamedTransform]] = {
    "audio": {
        "log-mel": (LogMel, {}),
        "log-stft": (LogStft, {}),  # 257×299, as LFM's text says
        "log-stft-10s": (LogStft, {"seconds": 10.0}),  # 257×1004, as LFM's text says
        "ogm-ge": (LogStft, {**_CENTRED, "rate": 22050}),  # 257×188; IGM too
        "lfm-release": (LogStft, {**_CENTRED, "rate": 22050, "seconds": 20.0}),  # 257×1250
        "igm-kinetics": (LogStft, {**_CENTRED, "rate": 35400, "seconds": 10.0}),  # 257×1003
        # 129×626
        "ogm-ge-vggsound": (LogStft, {**_CENTRED, "seconds": 5.0, "window": 256, "hop": 128}),
        "vggsound": (LogPower, {"seconds": 10.0, "short": "tile"}),  # 257×1004; hche11/VGGSound
        "fbank": (Fbank, {}),  # 128×1024; MLA, which does not normalise
        "cav-mae": (Fbank, {"normalise": "cav-mae"}),
        "ast": (Fbank, {"normalise": "ast"}),
        "ogm-ge-kinetics": (Fbank, {"normalise": "ogm-ge"}),
        "waveform": (Waveform, {}),
    },
    "image": {
        "picture": (Picture, {}),
        "ogm-ge": (Picture, _CROP),
        "clip": (Picture, {"fit": "crop", "resample": "bicubic", "normalise": "clip"}),
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
        "cav-mae": (Picture, {"fit": "crop", "resample": "bicubic"}),
        "igm": (
            Picture,
            {"resample": "bicubic", "normalise": "clip", "crop": (0.5, 1.0), "flip": True},
        ),
        "mmbt": (Picture, {"fit": "crop", "normalise": "mmbt", "view": "centre"}),  # 224 of 256
    },
    "video": {
        "frames": (Frames, {}),
        "ogm-ge": (Frames, {**_CROP, "candidates": 10}),
        "mla": (Frames, _CROP),  # always the same three frames
        "lfm": (Frames, {**_CROP, "candidates": 10}),
        "i3d": (Frames, _I3D),
    },
    "flow": {"flow": (Flow, {}), "i3d": (Flow, _I3D)},
    "text": {
        "words": (Words, {}),
        "pieces": (Pieces, {}),
        "mla": (Pieces, {"length": 256, "special": False}),
    },
    "vector": {"vector": (Numbers, {})},
    "array": {"array": (Series, {})},
}
"""{kind: {name: transform}}; the first of a kind is its default."""


def make_transform(
    modality: str, kind: str, options: Mapping[str, Any], files: Sequence[FilePart | None]
) -> Transform:
    """Make the transform of a modality of files.

    Args:
        modality: its name, for messages.
        kind: of the modality.
        options: `transform`, a name from `TRANSFORMS`, and settings of it.
        files: of the modality; arrays get the size of the first readable one.

    Raises:
        ConfigError: unknown kind, transform or setting, or a value that a setting cannot take.
        DataError: no array file is readable.
    """
    target, settings = choose(modality, kind, options)
    if target is Numbers and "length" not in settings:
        settings["length"] = _first_array(modality, files)[0]
    elif target is Series and "rest" not in settings:
        shape = _first_array(modality, files, flat=False)
        settings = {"length": shape[0], "rest": shape[1:], **settings}
    return cast(Transform, _made(modality, target, settings))


def make_text(modality: str, options: Mapping[str, Any]) -> Words | Pieces:
    """Make the transform of a modality of text.

    Args:
        modality: its name, for messages.
        options: `transform` and settings of it; naming a `tokenizer` chooses word pieces.

    Raises:
        ConfigError: unknown transform or setting, or a value that a setting cannot take.
    """
    if "tokenizer" in options and "transform" not in options:
        options = {"transform": "pieces", **options}
    return cast(Words | Pieces, _made(modality, *choose(modality, "text", options)))


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


def _first_array(
    modality: str, files: Sequence[FilePart | None], flat: bool = True
) -> tuple[int, ...]:
    """The shape of the first readable array, or its number of numbers.

    Raises:
        DataError: none is readable.
    """
    reason = "no file is given"
    for part in files:
        try:
            if part is not None:
                array = read_array(part)
                return (array.size,) if flat else array.shape
        except DataError as error:
            reason = str(error)
    raise DataError(f"modality {modality!r}: no readable array file ({reason})")
