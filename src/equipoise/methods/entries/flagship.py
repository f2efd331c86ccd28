"""Joint training and its opposite, MLA, LFM, MIE, and OGM."""

from __future__ import annotations

from equipoise.registry import MethodEntry

LFM = (
    "Yang, Wan, Jiang, Xu. Facilitating Multimodal Classification via Dynamically Learning Modality Gap. NeurIPS 2024"
)

LFM_URL = (
    "https://proceedings.neurips.cc/paper_files/paper/2024/hash/"
    "71b17f00017da0d73823ccf7fbce2d4f-Abstract-Conference.html"
)

ENTRIES = [
    MethodEntry("joint", "equipoise.methods.joint:Joint", "one loss on the fused prediction", neutral={}),
    MethodEntry(
        "mla",
        "equipoise.methods.mla:MLA",
        "modalities in turn through one shared head, its gradient orthogonal to what the others taught",
        paper="Zhang, Yoon, Bansal, Yao. Multimodal Representation Learning by Alternating Unimodal Adaptation. "
        "CVPR 2024",
        year=2024,
        url="https://arxiv.org/abs/2311.10707",
        code="https://github.com/Cecile-hi/Multimodal-Learning-with-Alternating-Unimodal-Adaptation",
        head="shared",
        ordered=True,
        memory="a matrix of the feature's width squared",
    ),
    MethodEntry(
        "ogm",
        "equipoise.methods.ogm:OGM",
        "joint training with the leading modality's encoder gradient shrunk",
        paper="Peng, Wei, Deng, Wang, Hu. Balanced Multimodal Learning via On-the-fly Gradient Modulation. CVPR 2022",
        year=2022,
        url="https://arxiv.org/abs/2203.15332",
        code="https://github.com/GeWu-Lab/OGM-GE_CVPR2022",
        licence="MIT",
        needs_decomposable=True,
        neutral={"alpha": 0.0},
    ),
    MethodEntry(
        "ogm-ge",
        "equipoise.methods.ogm:OGMGE",
        "OGM with Gaussian noise on the encoders' gradients (generalisation enhancement)",
        paper="Peng, Wei, Deng, Wang, Hu. Balanced Multimodal Learning via On-the-fly Gradient Modulation. CVPR 2022",
        year=2022,
        url="https://arxiv.org/abs/2203.15332",
        code="https://github.com/GeWu-Lab/OGM-GE_CVPR2022",
        licence="MIT",
        needs_decomposable=True,
        neutral={"alpha": 0.0, "noise": False},
    ),
    MethodEntry(
        "lfm",
        "equipoise.methods.lfm:LFM",
        "joint training with a contrastive loss between the modalities whose weight falls over the epochs",
        paper=LFM,
        year=2024,
        url=LFM_URL,
        code="https://github.com/njustkmg/NeurIPS24-LFM",
        neutral={"alpha": "constant", "alpha_value": 0.0},
    ),
    MethodEntry(
        "lfm-lb",
        "equipoise.methods.lfm_learned:LFMLearned",
        "LFM whose weight is learned on held-out samples by bilevel optimisation",
        paper=LFM,
        year=2024,
        url=LFM_URL,
        code="https://github.com/njustkmg/NeurIPS24-LFM",
        needs_holdout=True,
        memory="the graph of two derivatives, once an epoch",
    ),
    MethodEntry(
        "mie",
        "equipoise.methods.mie:MIE",
        "modalities in turn, sharpness-aware, head gradients along directions flat for the one before",
        paper="Jiang, Chi, Yang. Multimodal Classification via Modal-Aware Interactive Enhancement. 2024 "
        "(IJCAI 2025 as IGM)",
        year=2024,
        url="https://arxiv.org/abs/2407.04587",
        code="https://github.com/njustkmg/IJCAI25-IGM",
        head="per-modality",
        forward_passes=2.0,
        backward_passes=2.0,
        ordered=True,
        memory="a matrix of its input's width squared per layer of every modality's head; a copy of the weights and "
        "gradients within a step",
    ),
    MethodEntry(
        "late",
        "equipoise.methods.late:Late",
        "independent networks, one per modality, that meet at prediction only",
        paper="Gunes, Piccardi. Affect recognition from face and body: early fusion vs. late fusion. IEEE SMC 2005",
        year=2005,
        url="https://doi.org/10.1109/ICSMC.2005.1571679",
        head="late",
        neutral={},
        neutral_of="unimodal",
    ),
    MethodEntry(
        "unimodal",
        "equipoise.methods.unimodal:Unimodal",
        "one modality alone, or each on its own",
        head="late",
        neutral={},
        neutral_of="late",
    ),
    MethodEntry(
        "compose",
        "equipoise.methods.compose:Compose",
        "any schedule, head projection, flatness and alignment: MLA, LFM, MIE and what lies between",
        neutral={},
    ),
]
