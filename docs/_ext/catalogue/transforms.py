"""The page of transforms: the named ones of every kind of modality, and their settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from equipoise.data.manifest.kinds import KIND_BY_ENDING, KINDS
from equipoise.data.transforms.kinds import TRANSFORMS
from equipoise.encoders import default_encoder

from .markdown import bash, explained, page, prose, shown, table

WHOSE = {
    "audio": {
        "log-mel": "small and quick, for speech and first tries",
        "log-stft": "LFM, as printed",
        "log-stft-10s": "LFM, as printed",
        "ogm-ge": "OGM-GE's release on CREMA-D; IGM",
        "lfm-release": "LFM's release",
        "igm-kinetics": "IGM on Kinetics-Sounds",
        "ogm-ge-vggsound": "OGM-GE's release on VGGSound",
        "vggsound": "VGGSound's own code",
        "fbank": "MLA, which does not normalise",
        "cav-mae": "CAV-MAE's weights",
        "ast": "AST's weights",
        "ogm-ge-kinetics": "OGM-GE's release on Kinetics-Sounds",
        "waveform": "networks that read sound itself, such as wav2vec 2.0",
    },
    "image": {
        "picture": "nothing random",
        "ogm-ge": "OGM-GE, LFM, MLA with ResNets, BalanceMM",
        "clip": "CLIP's weights",
        "m3ae": "MLA's runs with M3AE",
        "cav-mae": "CAV-MAE's weights",
        "igm": "IGM",
        "mmbt": "MMBT and QMF",
    },
    "video": {
        "frames": "nothing random",
        "ogm-ge": "OGM-GE",
        "mla": "MLA: always the same frames",
        "lfm": "LFM",
        "i3d": "IGM on NVGesture",
    },
    "flow": {"flow": "nothing random", "i3d": "IGM on NVGesture"},
    "text": {
        "words": "words learned from the training rows",
        "pieces": "BERT and other pretrained networks",
        "mla": "MLA with M3AE",
    },
    "vector": {"vector": "files of numbers; columns of numbers have `normalise` alone"},
    "tabular": {"tabular": "columns of numbers, booleans, categories and dates"},
    "array": {"array": "series of measurements, and maps"},
}
"""{kind: {transform: the published inputs that it gives, or its purpose}}"""
FOLLOWS = "follows the training rows"
DEFAULT_ENCODERS = {"image": (3, 224, 224), "audio": (1, 64, 501), "video": (10, 3, 112, 112)}
"""{kind: a usual shape, for the default encoder of a kind whose sizes follow the files}"""


def pages() -> dict[str, str]:
    """{file: Markdown}"""
    return {
        "transforms.md": page(*_introduction(), *(block for kind in KINDS for block in _kind(kind)))
    }


def _introduction() -> list[str]:
    return [
        "# Transforms",
        "A transform turns a cell of a modality into an array of one shape. Every kind of modality "
        "has several named transforms, of which the first is the default. Each setting can be "
        "changed in addition:",
        bash(
            "equipoise train --data data/crema-d --data.options.audio.transform ogm-ge "
            "--data.options.video.frames 8 --method mla"
        ),
        "Sizes that **follow the training rows** cover 95 % of them: sound is read at the rate of "
        "the files, up to 16 kHz, and for up to 30 seconds; pictures are not enlarged, and at most "
        "224 pixels high and wide, frames of videos 112; a video is read as two frames per second, "
        "4 to 16 in all, spread over its whole length; texts have up to 512 tokens and series up "
        "to 4,096 steps. A value of your own always counts, whatever its size. Named transforms of "
        "papers keep the sizes of their papers. `equipoise doctor` and `equipoise train` print for "
        "each modality what is read of it.",
        "Decoded files are [kept in a cache](../own-data.md#the-cache). Changing a setting marked "
        "*before the cache*, or the size of the decoded arrays, decodes every file again. All "
        "other settings act behind the cache, where random choices are drawn again in every epoch.",
    ]


def _kind(kind: str) -> list[str]:
    choices = TRANSFORMS[kind]
    rows = [
        (
            f"`{name}`",
            WHOSE[kind].get(name, "–"),
            _settings(settings) or "–",
            _shape(target, settings) or "follows the training rows",
        )
        for name, (target, settings) in choices.items()
    ]
    first: dict[type, str] = {}
    for name, (target, _) in choices.items():
        first.setdefault(target, name)
    endings = ", ".join(f"`{ending}`" for ending, owner in KIND_BY_ENDING.items() if owner == kind)
    encoder = _encoder(kind)
    return [
        f"## {kind}",
        f"Recognised by the endings {endings}." if endings else "",
        f"The default encoder is `{encoder}`." if encoder else "",
        table(["transform", "source or purpose", "settings", "one sample"], rows),
        *(f"**`{name}`**: {prose(target)}" for target, name in first.items()),
        f"### Settings of {kind}",
        table(["setting", "of", "default", "meaning"], _meanings(first)),
    ]


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"`{name}` {shown(value)}" for name, value in settings.items())


def _shape(target: type, settings: Mapping[str, Any]) -> tuple[int, ...] | None:
    """The shape of one sample; None where the training rows decide."""
    follows = getattr(target, "follows", frozenset())
    if follows - set(settings):
        return None
    transform = target(**settings)
    return transform.shape if hasattr(transform, "shape") else (transform.length,)


def _encoder(kind: str) -> str:
    target, settings = next(iter(TRANSFORMS[kind].values()))
    shape = _shape(target, settings) or DEFAULT_ENCODERS.get(kind)
    return default_encoder(kind, shape) if shape else ""


def _meanings(classes: Mapping[type, str]) -> list[tuple[str, str, str, str]]:
    """A row per setting and meaning, shared by the transforms whose setting has this meaning."""
    shared: dict[tuple[str, str, bool], dict[str, str]] = {}
    for target, name in classes.items():
        texts = explained(target, "Attributes")
        for field in fields(target):
            early = hasattr(target, "late") and field.name not in target.late
            follows = field.name in getattr(target, "follows", frozenset())
            default = FOLLOWS if follows else shown(field.default)
            shared.setdefault((field.name, texts[field.name], early), {})[name] = default
    return [
        (
            f"`{setting}`",
            _owners(owners, classes),
            _defaults(owners),
            text + " *(before the cache)*" * early,
        )
        for (setting, text, early), owners in shared.items()
    ]


def _owners(owners: Mapping[str, str], classes: Mapping[type, str]) -> str:
    return "all" if len(owners) == len(classes) else ", ".join(f"`{name}`" for name in owners)


def _defaults(owners: Mapping[str, str]) -> str:
    """One value where all transforms agree, otherwise each value with its transforms."""
    values = dict.fromkeys(owners.values())
    if len(values) == 1:
        return next(iter(values))
    return "; ".join(
        f"{v} ({', '.join(name for name, own in owners.items() if own == v)})" for v in values
    )
