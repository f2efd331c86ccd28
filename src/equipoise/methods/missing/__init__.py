"""Methods for missing modalities."""

from __future__ import annotations

from equipoise.registry import MethodEntry

LATE_CLASSIFIER = {"optimiser.name": "adamw", "optimiser.lr": 0.01}
"""Advice of methods whose classifier begins to learn in the second stage."""

PUBLISHED_WITH_ADAM = {"optimiser.name": "adam"}
"""Advice of methods that SGD moves slowly: networks of many layers restore the absent features."""

ENTRIES: list[MethodEntry] = [
    MethodEntry(
        "cca",
        "equipoise.methods.missing.cca:CCA",
        "a linear classifier on the directions in which the modalities correlate most",
        paper="Hotelling. Relations Between Two Sets of Variates. Biometrika 1936",
        year=1936,
        url="https://doi.org/10.1093/biomet/28.3-4.321",
        code="https://github.com/zeroQiaoba/GCNet",
        head="cca",
        backward_passes=0.5,
        memory="the features of the training table, while the directions are fitted",
        advises=LATE_CLASSIFIER,
    ),
    MethodEntry(
        "dcca",
        "equipoise.methods.missing.dcca:DCCA",
        "CCA of representations that a network per modality learns for correlation",
        paper="Andrew, Arora, Bilmes, Livescu. Deep Canonical Correlation Analysis. ICML 2013",
        year=2013,
        url="https://proceedings.mlr.press/v28/andrew13.html",
        code="https://github.com/zeroQiaoba/GCNet",
        head="dcca",
        backward_passes=0.5,
        memory="the features of the training table and a copy of the head, while the networks "
        "learn",
        advises=LATE_CLASSIFIER,
    ),
    MethodEntry(
        "dccae",
        "equipoise.methods.missing.dccae:DCCAE",
        "DCCA whose networks must also reconstruct their features",
        paper="Wang, Arora, Livescu, Bilmes. On Deep Multi-View Representation Learning. ICML 2015",
        year=2015,
        url="https://proceedings.mlr.press/v37/wangb15.html",
        code="https://github.com/zeroQiaoba/GCNet",
        head="dccae",
        backward_passes=0.5,
        neutral={"weight": 0.0},
        neutral_of="dcca",
        memory="the features of the training table and a copy of the head, while the networks "
        "learn",
        advises=LATE_CLASSIFIER,
    ),
    MethodEntry(
        "ae",
        "equipoise.methods.missing.ae:AE",
        "an autoencoder restores absent features, what it restores is classified",
        paper="Bengio, Lamblin, Popovici, Larochelle. Greedy Layer-Wise Training of Deep "
        "Networks. NIPS 2006",
        year=2006,
        url="https://proceedings.neurips.cc/paper/2006/hash/5da713a690c067105aeb2fae32403405-Abstract.html",
        code="https://github.com/zeroQiaoba/GCNet",
        head="ae",
        forward_passes=None,  # a second one where content is hidden
        neutral={"weight": 0.0, "hide": 0.0, "clip": 0.0},
        advises=PUBLISHED_WITH_ADAM,
    ),
    MethodEntry(
        "cra",
        "equipoise.methods.missing.cra:CRA",
        "a cascade of residual autoencoders restores absent features, what it restores is "
        "classified",
        paper="Tran, Liu, Zhou, Jin. Missing Modalities Imputation via Cascaded Residual "
        "Autoencoder. CVPR 2017",
        year=2017,
        url="https://doi.org/10.1109/CVPR.2017.528",
        code="https://github.com/tranluan/CRA",
        head="cra",
        forward_passes=None,  # a second one where content is hidden
        neutral={"weight": 0.0, "hide": 0.0, "clip": 0.0},
        advises=PUBLISHED_WITH_ADAM,
    ),
    MethodEntry(
        "mmin",
        "equipoise.methods.missing.mmin:MMIN",
        "absent features are imagined like those of a teacher that saw them, and imagined back",
        paper="Zhao, Li, Jin. Missing Modality Imagination Network for Emotion Recognition with "
        "Uncertain Missing Modalities. ACL-IJCNLP 2021",
        year=2021,
        url="https://aclanthology.org/2021.acl-long.203",
        code="https://github.com/AIM3-RUC/MMIN",
        head="mmin",
        forward_passes=1.5,
        memory="a copy of the network",
        advises=PUBLISHED_WITH_ADAM,
    ),
    MethodEntry(
        "if-mmin",
        "equipoise.methods.missing.if_mmin:IFMMIN",
        "MMIN whose imagination is led by features that have one distribution in all modalities",
        paper="Zuo, Liu, Zhao, Gao, Li. Exploiting Modality-Invariant Feature for Robust "
        "Multimodal Emotion Recognition with Missing Modalities. 2022",
        year=2022,
        url="https://arxiv.org/abs/2210.15359",
        code="https://github.com/ZhuoYulang/IF-MMIN",
        head="if-mmin",
        forward_passes=1.5,
        memory="a copy of the network",
        advises=PUBLISHED_WITH_ADAM,
    ),
    MethodEntry(
        "cpm-net",
        "equipoise.methods.missing.cpm_net:CPMNet",
        "a latent vector per sample that decodes into the modalities it has and clusters by class",
        paper="Zhang, Han, Cui, Fu, Zhou, Hu. CPM-Nets: Cross Partial Multi-View Networks. "
        "NeurIPS 2019",
        year=2019,
        url="https://proceedings.neurips.cc/paper/2019/hash/11b9842e0a271ff252c1903e7132cd68-Abstract.html",
        code="https://github.com/hanmenghan/CPM_Nets",
        head="cpm-net",
        backward_passes=0.5,
        memory="three vectors of the latent's width per training sample",
    ),
    MethodEntry(
        "tate",
        "equipoise.methods.missing.tate:TATE",
        "a transformer reads a tag of what is missing, and follows a teacher that has seen it",
        paper="Zeng, Liu, Zhou. Tag-assisted Multimodal Sentiment Analysis under Uncertain "
        "Missing Modalities. SIGIR 2022",
        year=2022,
        url="https://arxiv.org/abs/2204.13707",
        code="https://github.com/JaydenZeng/TATE",
        head="tate",
        forward_passes=1.5,
        memory="a copy of the network",
        advises=PUBLISHED_WITH_ADAM,
    ),
]
