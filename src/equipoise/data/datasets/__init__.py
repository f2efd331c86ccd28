"""Data sets, by name. Listing them imports nothing heavy."""

from __future__ import annotations

from equipoise.registry import Entry, Registry

DATASETS = Registry(
    "dataset",
    [
        Entry(
            "synthetic", "equipoise.data.datasets.synthetic:load", "any number of modalities of known best accuracy"
        ),
        Entry(
            "digits",
            "equipoise.data.datasets.digits:load",
            "real handwritten digits, several views of each image",
            paper="Alpaydin, Kaynak. Optical Recognition of Handwritten Digits. UCI 1998 (bundled with scikit-learn)",
            year=1998,
            licence="CC BY 4.0",
        ),
        Entry(
            "av-digits",
            "equipoise.data.datasets.av_digits:prepare",
            "a spoken digit with a handwritten one of the same class; speakers held out",
            paper="Jackson et al. Free Spoken Digit Dataset; digit images as in `digits`",
            year=2018,
            url="https://github.com/Jakobovski/free-spoken-digit-dataset",
            licence="CC BY-SA 4.0",
        ),
        Entry(
            "crema-d",
            "equipoise.data.datasets.crema_d:prepare",
            "acted emotions, sound and face; 91 actors held apart, or the published lists",
            paper="Cao et al. CREMA-D: Crowd-sourced Emotional Multimodal Actors Dataset. IEEE TAC 2014",
            year=2014,
            url="https://doi.org/10.1109/TAFFC.2014.2336244",
            licence="ODbL 1.0 (contents: DbCL 1.0)",
        ),
    ],
)
