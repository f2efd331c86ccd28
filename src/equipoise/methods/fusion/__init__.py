"""Fusion baselines: other heads under joint training, and methods that own their fusion."""

from __future__ import annotations

from equipoise.registry import MethodEntry

CLIPPED = {"optimiser.clip": 1.0}
"""Advice of methods whose losses or factors have no bound, and that diverge unclipped."""

ENTRIES = [
    MethodEntry(
        "tmc",
        "equipoise.methods.fusion.tmc:TMC",
        "an opinion per modality from evidence for the classes, combined by Dempster's rule",
        paper="Han, Zhang, Fu, Zhou. Trusted Multi-View Classification. ICLR 2021",
        year=2021,
        url="https://arxiv.org/abs/2102.02051",
        code="https://github.com/hanmenghan/TMC",
        head="tmc",
    ),
    MethodEntry(
        "etmc",
        "equipoise.methods.fusion.etmc:ETMC",
        "TMC with one more opinion, from the concatenated features",
        paper="Han, Zhang, Fu, Zhou. Trusted Multi-View Classification with Dynamic Evidential "
        "Fusion. IEEE TPAMI 2023",
        year=2023,
        url="https://arxiv.org/abs/2204.11423",
        code="https://github.com/hanmenghan/TMC",
        head="etmc",
    ),
    MethodEntry(
        "qmf",
        "equipoise.methods.fusion.qmf:QMF",
        "logits weighed by confidences that are ranked by how easy a sample has been",
        paper="Zhang, Wu, Zhang, Hu, Fu, Zhou, Peng. Provable Dynamic Fusion for Low-Quality "
        "Multimodal Data. ICML 2023",
        year=2023,
        url="https://arxiv.org/abs/2306.02050",
        code="https://github.com/QingyangZhang/QMF",
        memory="one number per modality and training sample",
        head="qmf",
        advises={"optimiser.name": "adam"},
    ),
    MethodEntry(
        "pdf",
        "equipoise.methods.fusion.pdf:PDF",
        "logits weighed by confidences that learn how probable the true class is",
        paper="Cao, Xia, Ding, Zhang, Hu. Predictive Dynamic Fusion. ICML 2024",
        year=2024,
        url="https://arxiv.org/abs/2406.04802",
        code="https://github.com/Yinan-Xia/PDF",
        head="pdf",
    ),
    MethodEntry(
        "domfn",
        "equipoise.methods.fusion.domfn:DOMFN",
        "fusion of the samples whose modalities agree, separate training of the others",
        paper="Yang, Zhang, Gao, Gao, Zhu. DOMFN: A Divergence-Orientated Multi-Modal Fusion "
        "Network for Resume Assessment. ACM Multimedia 2022",
        year=2022,
        url="https://doi.org/10.1145/3503161.3548203",
        code="https://github.com/njustkmg/MM22_DOMFN",
        head="domfn",
        advises=CLIPPED,
    ),
    MethodEntry(
        "film",
        "equipoise.methods.baselines.joint:Joint",
        "one modality scales and shifts the features of the others",
        paper="Perez, Strub, de Vries, Dumoulin, Courville. FiLM: Visual Reasoning with a General "
        "Conditioning Layer. AAAI 2018",
        year=2018,
        url="https://arxiv.org/abs/1709.07871",
        head="film",
        advises=CLIPPED,
        code="https://github.com/ethanjperez/film",
        ordered=True,
    ),
    MethodEntry(
        "affine",
        "equipoise.methods.baselines.joint:Joint",
        "the same as film, under the name of LFM's tables",
        paper="Perez, Strub, de Vries, Dumoulin, Courville. FiLM: Visual Reasoning with a General "
        "Conditioning Layer. AAAI 2018",
        year=2018,
        url="https://arxiv.org/abs/1709.07871",
        head="affine",
        advises=CLIPPED,
        ordered=True,
        left_out="equal to film",
    ),
    MethodEntry(
        "bigated",
        "equipoise.methods.baselines.joint:Joint",
        "one modality gates the hidden features of the others",
        paper="Kiela, Grave, Joulin, Mikolov. Efficient Large-Scale Multi-Modal Classification. "
        "AAAI 2018",
        year=2018,
        url="https://arxiv.org/abs/1802.02892",
        head="bigated",
        ordered=True,
    ),
    MethodEntry(
        "channel",
        "equipoise.methods.fusion.channel:Channel",
        "modalities recalibrate each other's features through gates (MMTM)",
        paper="Vaezi Joze, Shaban, Iuzzolino, Koishida. MMTM: Multimodal Transfer Module for CNN "
        "Fusion. CVPR 2020",
        year=2020,
        url="https://arxiv.org/abs/1911.08670",
        head="channel",
        memory="a mean feature per modality",
        code="https://github.com/haamoon/mmtm",
    ),
    MethodEntry(
        "ml-lstm",
        "equipoise.methods.baselines.joint:Joint",
        "a multilayer LSTM reads the modalities as steps",
        paper="Nie, Yan, Song, Wang. Multi-modal feature fusion based on multi-layers LSTM for "
        "video emotion recognition. Multimedia Tools and Applications 2021",
        year=2021,
        url="https://doi.org/10.1007/s11042-020-08796-8",
        head="ml-lstm",
        ordered=True,
    ),
    MethodEntry(
        "weight",
        "equipoise.methods.fusion.weight:Weight",
        "predictions weighed sample by sample, own and fused losses together",
        paper="Yang, Wang, Zhan, Xiong, Jiang. Comprehensive Semi-Supervised Multi-Modal Learning. "
        "IJCAI 2019",
        year=2019,
        url="https://doi.org/10.24963/ijcai.2019/568",
        head="weight",
        code="https://github.com/njustkmg/IJCAI19_CMML",
    ),
    MethodEntry(
        "attention",
        "equipoise.methods.baselines.joint:Joint",
        "self-attention over one token per modality, masked where absent",
        head="attention",
    ),
]
