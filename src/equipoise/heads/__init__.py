"""Fusion heads, by name."""

from __future__ import annotations

from equipoise.registry import Entry, Registry

HEADS = Registry(
    "head",
    [
        Entry("concat", "equipoise.heads.concat:Concat", "one linear classifier on the concatenated features"),
        Entry(
            "auxiliary",
            "equipoise.heads.auxiliary:Auxiliary",
            "as concat, and beside it a linear classifier per modality that the fused prediction does not use",
        ),
        Entry("sum", "equipoise.heads.linear:Sum", "sum of one linear classifier per modality"),
        Entry(
            "late",
            "equipoise.heads.linear:Late",
            "mean of the probabilities of one linear classifier per modality",
            paper="Gunes, Piccardi. Affect recognition from face and body: early vs. late fusion. IEEE SMC 2005",
            year=2005,
        ),
        Entry(
            "shared",
            "equipoise.heads.shared:Shared",
            "one linear classifier for all modalities, fused by entropy",
            paper="Zhang et al. Multimodal Representation Learning by Alternating Unimodal Adaptation. CVPR 2024",
            year=2024,
            url="https://arxiv.org/abs/2311.10707",
        ),
        Entry(
            "per-modality",
            "equipoise.heads.per_modality:PerModality",
            "a three-layer classifier per modality, probabilities averaged",
            paper="Jiang et al. Modal-aware Interactive Enhancement. 2024",
            year=2024,
        ),
    ],
)
