"""Analyses of finished runs: each a function of runs that returns a record.

A record has its numbers as a table and its picture for a page or a paper, see `record.Record`.
"""

from __future__ import annotations

from equipoise.registry import Entry, Registry

ANALYSES = Registry(
    "analysis",
    [
        Entry(
            "gap",
            "equipoise.analysis.gap:gap",
            "distance between the features of two modalities, with their picture",
            paper="Liang et al. Mind the Gap. NeurIPS 2022",
            year=2022,
        ),
        Entry(
            "landscape",
            "equipoise.analysis.landscape:landscape",
            "the loss around trained weights, its worst value nearby and its Hessian",
            paper="Li et al. Visualizing the Loss Landscape of Neural Nets. NeurIPS 2018",
            year=2018,
        ),
        Entry(
            "spectrum",
            "equipoise.analysis.spectrum:spectrum",
            "eigenvalues of the inputs of the heads, and of MLA's projection",
            paper="Jiang, Chi, Yang. Modal-Aware Interactive Enhancement. 2024",
            year=2024,
        ),
        Entry(
            "alpha",
            "equipoise.analysis.course:alpha",
            "the weight α of an alignment loss over the training",
            paper="Yang et al. Dynamically Learning Modality Gap. NeurIPS 2024",
            year=2024,
        ),
        Entry(
            "phases",
            "equipoise.analysis.course:phases",
            "accuracy on validation after every epoch, with the phases of the training",
        ),
        Entry(
            "sensitivity",
            "equipoise.analysis.sensitivity:sensitivity",
            "trainings over a list of values of one setting and several seeds",
        ),
        Entry(
            "shapley",
            "equipoise.analysis.contribution:shapley",
            "what each modality contributes to the fused accuracy, with intervals",
            paper="Shapley. A Value for n-Person Games. 1953",
            year=1953,
        ),
        Entry(
            "confusion-difference",
            "equipoise.analysis.confusion:confusion_difference",
            "confusions of a run minus those of another",
        ),
        Entry(
            "disagreement",
            "equipoise.analysis.disagreement:disagreement",
            "samples on which the modalities predict different classes",
        ),
        Entry(
            "gradcam",
            "equipoise.analysis.gradcam:gradcam",
            "the parts of pictures, films and spectrograms that speak for a class",
            paper="Selvaraju et al. Grad-CAM. ICCV 2017",
            year=2017,
        ),
    ],
    plural="analyses",
)
