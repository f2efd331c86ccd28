"""`crema-d`: 7,442 clips of 91 actors who speak twelve sentences in one of six emotions.

The modalities are audio and video.

## Download

The repository `CheyneyComputerScience/CREMA-D` on GitHub. Only its folders `AudioWAV` (7,442 files,
0.6 GB, 16 kHz mono) and `VideoFlash` (7,442 files, 2.4 GB, FLV) are read. The files are kept in Git
LFS: clone the repository with `git lfs` installed. The zip that the site offers, and a clone
without LFS, hold pointer files of 130 bytes instead; `prepare` refuses them.

## Licence

Open Database Licence 1.0 for the database, Database Contents Licence 1.0 for the contents. The
authors ask users to fill in a form.

## Expected files

```text
CREMA-D/
  AudioWAV/1001_DFA_ANG_XX.wav …
  VideoFlash/1001_DFA_ANG_XX.flv …
```

```bash
equipoise prepare crema-d --root CREMA-D --out data/crema-d
equipoise prepare crema-d --root CREMA-D --split paper --splits OGM-GE/data/CREMAD \\
    --out data/crema-d-paper
```

A clip is named `<actor>_<sentence>_<emotion>_<level>`. The label is the *intended* emotion, as in
all the papers, and not what the raters heard or saw.

## Splits

* `group` (default): actors are drawn, a fifth for testing and a tenth for validation. No actor is
  in two splits.
* `random`: clips are drawn by class, a tenth for testing and a tenth for validation.
* `paper`: a published list in `--splits`, either that of OGM-GE (`train.csv` and `test.csv`, lines
  `clip,EMO`) or that of MLA (`my_train_cre.txt` and `my_test_cre.txt`, lines `clip.flv Name`). Both
  have 6,698 clips for training and 744 for testing. They are two different random splits, which
  have 71 test clips in common. Neither has a validation list, so a tenth of the training list is
  drawn for validation, by class. LFM and MIE report the same counts, but did not publish their
  lists.

In the published lists all 91 actors are in training and in testing, so results on them say nothing
about new speakers.

## Known problems

Ten clips are left out under `group` and `random`. Under `paper` they stay, as in the papers' own
runs:

* The video of `1076_MTI_NEU_XX` is very short and has no sound (its wav is fine),
  `1076_MTI_SAD_XX` has no sound in any format and its video is an error picture, the video of
  `1064_TIE_SAD_XX` has no duration, and the video of `1064_IEO_DIS_MD` is a one-minute recording
  of all emotions. All four are in the *training* part of both published lists. Training reports a
  file that cannot be decoded; `--problems drop` goes on without it.
* Three pairs of wav files are identical although they are labelled with different emotions:
  `1006_TIE` HAP and NEU, `1013_WSI` DIS and SAD, `1017_IWW` ANG and FEA. The videos of each pair
  differ.

The wav of `1040_ITH_SAD_XX` is named `1040_ITH_SAD_X.wav`; `prepare` finds it. Clips last 1.3 to
5 s, 2.5 s on average. 877 are shorter than 2 s, so a sampler of one frame per second finds at most
two frames in them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from equipoise.data.datasets.preparing.counting import Total
from equipoise.data.datasets.preparing.lists import bad_line, numbered_lines, published_lists
from equipoise.data.datasets.preparing.writing import (
    Collection,
    Row,
    carve_validation,
    draw_splits,
    need_folder,
    write,
)
from equipoise.errors import DataError

EMOTIONS = {
    "ANG": "anger",
    "DIS": "disgust",
    "FEA": "fear",
    "HAP": "happy",
    "NEU": "neutral",
    "SAD": "sad",
}
FRACTIONS = {"group": {"validation": 0.1, "test": 0.2}, "random": {"validation": 0.1, "test": 0.1}}
VALIDATION = 0.1
"""Fraction of the published training list that is drawn for validation."""
CLIPS = 7_442
PUBLISHED = {"train": 6698, "test": 744}
LISTS = [
    {"train": "train.csv", "test": "test.csv"},  # OGM-GE
    {"train": "my_train_cre.txt", "test": "my_test_cre.txt"},  # MLA
]
NOTES = [
    "all actors occur in training and in testing: the published split says nothing of new speakers",
    f"validation is drawn from the published training list of {PUBLISHED['train']} clips",
]
TWINS = "wav is the same as that of another emotion"
UNFIT = {
    "1076_MTI_NEU_XX": "video is cut short and silent",
    "1076_MTI_SAD_XX": "no sound, video is an error picture",
    "1064_TIE_SAD_XX": "video has no duration",
    "1064_IEO_DIS_MD": "video is a recording of all emotions",
    **dict.fromkeys(
        ("1006_TIE_HAP_XX", "1006_TIE_NEU_XX", "1013_WSI_DIS_XX", "1013_WSI_SAD_XX"), TWINS
    ),
    **dict.fromkeys(("1017_IWW_ANG_XX", "1017_IWW_FEA_XX"), TWINS),
}
"""{clip: why it is left out}, unless the split is `paper`."""
_CLIP = re.compile(
    rf"(?P<actor>1\d{{3}})_[A-Z]{{3}}_(?P<emotion>{'|'.join(EMOTIONS)})_(?:XX?|LO|MD|HI)"
)
_LINE = re.compile(r"(?P<clip>\w+?)(?:\.flv)?[, ](?P<emotion>\w+)")

Files = dict[str, dict[str, str]]
"""{modality: {clip: path}}"""


def prepare(
    out: Path,
    *,
    root: str | Path,
    splits: str | Path | None = None,
    split: str = "group",
    seed: int = 0,
) -> dict[str, Any]:
    """Write `manifest.csv` and `dataset.json` into an existing empty folder.

    Args:
        out: the folder.
        root: the download, with `AudioWAV` and `VideoFlash`.
        splits: folder of the published list that `split="paper"` reads; null for any other split.
        split: "group" (actors held out), "random" (clips held out) or "paper" (a published list).
        seed: of the actors or clips that are drawn.

    Returns:
        Facts about what was found, see `writing.write`.

    Raises:
        ConfigError: no such split policy, "paper" without lists, or lists without "paper".
        DataError: the download or a list is not as described above.
    """
    lists = published_lists("crema-d", split, ("group", "random", "paper"), splits)
    base = need_folder(root, "give the CREMA-D download with --root")
    files = {
        "audio": _index(base / "AudioWAV", ".wav"),
        "video": _index(base / "VideoFlash", ".flv"),
    }
    modalities = ["audio=audio:audio", "video=video:video"]
    if lists is not None:
        rows = _published(lists, files)
        carve_validation(rows, VALIDATION, seed)
        return write(
            out, Collection("crema-d", modalities, rows, base, published=PUBLISHED, notes=NOTES)
        )
    rows, left_out = _all(files, by_actor=split == "group")
    draw_splits(rows, **FRACTIONS[split], seed=seed)
    total = Total(CLIPS, len(UNFIT), f"AudioWAV and VideoFlash should hold {CLIPS:,} files each")
    return write(out, Collection("crema-d", modalities, rows, base, total=total, left_out=left_out))


def _index(folder: Path, ending: str) -> dict[str, str]:
    """Find the clips of a folder, as {clip: path relative to the download}."""
    need_folder(folder, "it comes with the CREMA-D download")
    stems = sorted(path.stem for path in folder.glob(f"*{ending}") if _CLIP.fullmatch(path.stem))
    if not stems:
        raise DataError(f"{folder}: no file is named <actor>_<sentence>_<emotion>_<level>{ending}")
    return {_full_name(stem): f"{folder.name}/{stem}{ending}" for stem in stems}


def _full_name(clip: str) -> str:
    """Complete the level of the one file that is named `_X` and belongs to the clip `_XX`."""
    return clip + "X" if clip.endswith("_X") else clip


def _row(clip: str, files: Files, split: str) -> Row:
    return {
        "id": clip,
        "audio": files["audio"].get(clip, f"AudioWAV/{clip}.wav"),
        "video": files["video"].get(clip, f"VideoFlash/{clip}.flv"),
        "label": EMOTIONS[clip.split("_")[2]],
        "split": split,
    }


def _all(files: Files, by_actor: bool) -> tuple[list[Row], list[tuple[str, str]]]:
    """Every clip that is fit for use, without a split, and the others with the reason."""
    clips = sorted({*files["audio"], *files["video"]})
    rows = [_row(clip, files, "") for clip in clips if clip not in UNFIT]
    if by_actor:
        rows = [{**row, "group": row["id"].partition("_")[0]} for row in rows]
    return rows, [(clip, UNFIT[clip]) for clip in clips if clip in UNFIT]


def _published(folder: Path, files: Files) -> list[Row]:
    """The clips of a published list."""
    need_folder(folder, "give the folder of the published list with --splits")
    names = next((names for names in LISTS if (folder / names["train"]).exists()), None)
    if names is None:
        raise DataError(
            f"{folder}: neither {' nor '.join(names['train'] for names in LISTS)} is here"
        )
    rows = []
    for split, name in names.items():
        for number, line in numbered_lines(folder / name, f"it belongs to {names['train']}"):
            rows.append(_row(_listed(folder / name, number, line), files, split))
    return rows


def _listed(path: Path, number: int, line: str) -> str:
    """The clip of a line of a list.

    Raises:
        DataError: the line cannot be read, or its emotion is not that of the clip's name.
    """
    match = _LINE.fullmatch(line.strip())
    clip = _CLIP.fullmatch(_full_name(match["clip"])) if match else None
    if match is None or clip is None:
        raise bad_line(path, number, line, "'clip,EMO' or 'clip.flv Name'")
    if EMOTIONS.get(match["emotion"], match["emotion"].lower()) != EMOTIONS[clip["emotion"]]:
        raise bad_line(path, number, line, f"{EMOTIONS[clip['emotion']]}, as the clip's name says")
    return clip[0]
