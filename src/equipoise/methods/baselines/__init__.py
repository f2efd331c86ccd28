"""Baselines: joint training, its opposites, and the linear probe."""

from __future__ import annotations

from equipoise.registry import MethodEntry

ENTRIES: list[MethodEntry] = [
    MethodEntry(
        "joint",
        "equipoise.methods.baselines.joint:Joint",
        "one loss on the fused prediction",
        neutral={},
    ),
    MethodEntry(
        "concat",
        "equipoise.methods.baselines.joint:Joint",
        "joint training of one linear classifier on the concatenated features",
        neutral={},
        left_out="equal to joint",
    ),
    MethodEntry(
        "sum",
        "equipoise.methods.baselines.joint:Joint",
        "joint training of one linear classifier per modality, whose logits are added",
        head="sum",
        neutral={},
    ),
    MethodEntry(
        "joint-uniform",
        "equipoise.methods.baselines.joint_uniform:JointUniform",
        "joint training with a loss on each modality's own prediction, all of one weight",
        head="auxiliary",
        neutral={"weight": 0.0},
    ),
    MethodEntry(
        "moddrop",
        "equipoise.methods.baselines.moddrop:ModDrop",
        "joint training in which modalities are dropped at random, never all of a sample",
        paper="Neverova, Wolf, Taylor, Nebout. ModDrop: adaptive multi-modal gesture recognition. "
        "IEEE TPAMI 2016",
        year=2016,
        url="https://arxiv.org/abs/1501.00102",
        neutral={"probability": 0.0},
    ),
    MethodEntry(
        "late",
        "equipoise.methods.baselines.late:Late",
        "independent networks, one per modality, that meet at prediction only",
        paper="Gunes, Piccardi. Affect recognition from face and body: early fusion vs. late "
        "fusion. IEEE SMC 2005",
        year=2005,
        url="https://doi.org/10.1109/ICSMC.2005.1571679",
        head="late",
        neutral={},
        neutral_of="unimodal",
    ),
    MethodEntry(
        "late-sum",
        "equipoise.methods.baselines.late:Late",
        "independent networks, one per modality, whose logits are added at prediction",
        head="sum",
        neutral={},
        neutral_of="unimodal",
    ),
    MethodEntry(
        "stacking",
        "equipoise.methods.baselines.stacking:Stacking",
        "late fusion whose weights are fitted on held-out samples, one for each modality",
        paper="Wolpert. Stacked Generalization. Neural Networks 1992",
        year=1992,
        url="https://doi.org/10.1016/S0893-6080(05)80023-1",
        head="stacked",
        needs_holdout=True,
    ),
    MethodEntry(
        "unimodal",
        "equipoise.methods.baselines.unimodal:Unimodal",
        "one modality alone, or each on its own",
        head="late",
        neutral={},
        neutral_of="late",
        left_out="equal to late",
    ),
    MethodEntry(
        "linear-probe",
        "equipoise.methods.baselines.linear_probe:LinearProbe",
        "frozen encoders, and a new linear classifier on their features",
        paper="Alain, Bengio. Understanding intermediate layers using linear classifier probes. "
        "ICLR workshop 2017",
        year=2017,
        url="https://arxiv.org/abs/1610.01644",
        head="auxiliary",
        backward_passes=0.0,
        left_out="a probe of encoders that start at random",
    ),
]
