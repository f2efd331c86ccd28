"""Fusion heads, by name."""

from __future__ import annotations

from equipoise.registry import Entry, Registry

HEADS = Registry(
    "head",
    [
        Entry(
            "concat",
            "equipoise.heads.concat:Concat",
            "one linear classifier on the concatenated features",
        ),
        Entry(
            "auxiliary",
            "equipoise.heads.auxiliary:Auxiliary",
            "concat with a linear classifier per modality that the fused prediction does not use",
        ),
        Entry("sum", "equipoise.heads.linear:Sum", "sum of one linear classifier per modality"),
        Entry(
            "late",
            "equipoise.heads.linear:Late",
            "mean of the probabilities of one linear classifier per modality",
            paper="Gunes, Piccardi. Affect recognition from face and body: early vs. late fusion. "
            "IEEE SMC 2005",
            year=2005,
        ),
        Entry(
            "stacked",
            "equipoise.heads.stacked:Stacked",
            "log-probabilities of one linear classifier per modality, added with fitted weights",
            paper="Wolpert. Stacked Generalization. Neural Networks 1992",
            year=1992,
            url="https://doi.org/10.1016/S0893-6080(05)80023-1",
        ),
        Entry(
            "shared",
            "equipoise.heads.shared:Shared",
            "one linear classifier for all modalities, fused by entropy",
            paper="Zhang et al. Multimodal Representation Learning by Alternating Unimodal "
            "Adaptation. CVPR 2024",
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
        Entry(
            "tmc",
            "equipoise.heads.evidential:TMC",
            "an opinion per modality from evidence for the classes, combined by Dempster's rule",
            paper="Han et al. Trusted Multi-View Classification. ICLR 2021",
            year=2021,
            url="https://arxiv.org/abs/2102.02051",
        ),
        Entry(
            "etmc",
            "equipoise.heads.evidential:ETMC",
            "tmc with one more opinion, from the concatenated features",
            paper="Han et al. Trusted Multi-View Classification with Dynamic Evidential Fusion. "
            "IEEE TPAMI 2023",
            year=2023,
            url="https://arxiv.org/abs/2204.11423",
        ),
        Entry(
            "qmf",
            "equipoise.heads.qmf:QMF",
            "a linear classifier per modality, logits weighed by an energy-based confidence",
            paper="Zhang et al. Provable Dynamic Fusion for Low-Quality Multimodal Data. ICML 2023",
            year=2023,
            url="https://arxiv.org/abs/2306.02050",
        ),
        Entry(
            "pdf",
            "equipoise.heads.pdf:PDF",
            "a linear classifier per modality, logits weighed by predicted confidences",
            paper="Cao et al. Predictive Dynamic Fusion. ICML 2024",
            year=2024,
            url="https://arxiv.org/abs/2406.04802",
        ),
        Entry(
            "domfn",
            "equipoise.heads.domfn:DOMFN",
            "a fused predictor where the modalities agree, the surest of them where they do not",
            paper="Yang et al. DOMFN: A Divergence-Orientated Multi-Modal Fusion Network. ACM "
            "Multimedia 2022",
            year=2022,
            url="https://doi.org/10.1145/3503161.3548203",
        ),
        Entry(
            "film",
            "equipoise.heads.film:FiLM",
            "one modality scales and shifts the features of the others",
            paper="Perez et al. FiLM: Visual Reasoning with a General Conditioning Layer. AAAI "
            "2018",
            year=2018,
            url="https://arxiv.org/abs/1709.07871",
        ),
        Entry(
            "affine",
            "equipoise.heads.film:FiLM",
            "film under its name in the tables of LFM",
            paper="Perez et al. FiLM: Visual Reasoning with a General Conditioning Layer. AAAI "
            "2018",
            year=2018,
            url="https://arxiv.org/abs/1709.07871",
        ),
        Entry(
            "bigated",
            "equipoise.heads.bigated:BiGated",
            "one modality gates the hidden features of the others",
            paper="Kiela et al. Efficient Large-Scale Multi-Modal Classification. AAAI 2018",
            year=2018,
            url="https://arxiv.org/abs/1802.02892",
        ),
        Entry(
            "channel",
            "equipoise.heads.channel:Channel",
            "modalities recalibrate each other's features, branch predictions averaged",
            paper="Vaezi Joze et al. MMTM: Multimodal Transfer Module for CNN Fusion. CVPR 2020",
            year=2020,
            url="https://arxiv.org/abs/1911.08670",
        ),
        Entry(
            "ml-lstm",
            "equipoise.heads.ml_lstm:MLLSTM",
            "a multilayer LSTM reads the modalities as steps",
            paper="Nie et al. Multi-modal feature fusion based on multi-layers LSTM. Multimed. "
            "Tools Appl. 2021",
            year=2021,
            url="https://doi.org/10.1007/s11042-020-08796-8",
        ),
        Entry(
            "weight",
            "equipoise.heads.weight:Weight",
            "a linear classifier per modality, predictions weighed by a learned score",
            paper="Yang et al. Comprehensive Semi-Supervised Multi-Modal Learning. IJCAI 2019",
            year=2019,
            url="https://doi.org/10.24963/ijcai.2019/568",
        ),
        Entry(
            "weight-hidden",
            "equipoise.heads.weight_hidden:WeightHidden",
            "hidden features weighed by a learned score, one linear classifier",
            paper="Yang et al. Comprehensive Semi-Supervised Multi-Modal Learning. IJCAI 2019",
            year=2019,
            url="https://doi.org/10.24963/ijcai.2019/568",
        ),
        Entry(
            "weight-elementwise",
            "equipoise.heads.weight_elementwise:WeightElementwise",
            "features weighed per dimension by their softmax, one linear classifier",
        ),
        Entry(
            "attention",
            "equipoise.heads.attention:Attention",
            "self-attention over one token per modality, masked where absent",
            paper="Vaswani et al. Attention Is All You Need. NeurIPS 2017",
            year=2017,
            url="https://arxiv.org/abs/1706.03762",
        ),
        Entry(
            "cosine",
            "equipoise.heads.cosine:Cosine",
            "sum over the modalities of scaled cosines between feature and class weight",
            paper="Xu et al. MMCosine: Multi-Modal Cosine Loss Towards Balanced Audio-Visual "
            "Fine-Grained Learning. ICASSP 2023",
            year=2023,
            url="https://arxiv.org/abs/2303.05338",
        ),
        Entry(
            "mixed-sum",
            "equipoise.heads.mixed_sum:MixedSum",
            "sum of one linear classifier per modality, then a linear layer over the classes",
        ),
        Entry(
            "boosted-sum",
            "equipoise.heads.boosted_sum:BoostedSum",
            "one two-layer classifier for all modalities, its outputs summed and scaled",
            paper="Hua et al. ReconBoost: Boosting Can Achieve Modality Reconcilement. ICML 2024",
            year=2024,
            url="https://arxiv.org/abs/2405.09321",
        ),
        Entry(
            "vote",
            "equipoise.heads.vote:Vote",
            "sum of one linear classifier per modality, and one of all features that trains but "
            "has no vote",
            paper="Guan, Jiang, Yang. Balance-aware Sequence Sampling Makes Multi-modal Learning "
            "Better. IJCAI 2025",
            year=2025,
            url="https://arxiv.org/abs/2501.01470",
        ),
        Entry(
            "balanced",
            "equipoise.heads.balanced:Balanced",
            "mean of the probabilities of a tempered sum of own classifiers and of one classifier "
            "of all features",
        ),
        Entry(
            "sustained",
            "equipoise.heads.sustained:Sustained",
            "several two-layer classifiers per modality, added one by one, with one output layer "
            "for all",
            paper="Jiang, Huang, Yang. Rethinking Multimodal Learning from the Perspective of "
            "Mitigating Classification Ability Disproportion. NeurIPS 2025",
            year=2025,
            url="https://arxiv.org/abs/2502.20120",
        ),
        Entry(
            "di-mml",
            "equipoise.heads.di_mml:DIMML",
            "own classifiers and one of all features, each weighed by how sure it is",
            paper="Fan et al. Detached and Interactive Multimodal Learning. ACM Multimedia 2024",
            year=2024,
            url="https://arxiv.org/abs/2407.19514",
        ),
        Entry(
            "ae",
            "equipoise.heads.ae:AE",
            "an autoencoder restores the joint vector, a multilayer classifier reads it",
        ),
        Entry(
            "cra",
            "equipoise.heads.cra:CRA",
            "a cascade of residual autoencoders restores the joint vector, a multilayer "
            "classifier reads it",
            paper="Tran et al. Missing Modalities Imputation via Cascaded Residual Autoencoder. "
            "CVPR 2017",
            year=2017,
            url="https://doi.org/10.1109/CVPR.2017.528",
        ),
        Entry(
            "mmin",
            "equipoise.heads.mmin:MMIN",
            "a cascade of residual autoencoders imagines what is absent, its codes are classified",
            paper="Zhao et al. Missing Modality Imagination Network. ACL-IJCNLP 2021",
            year=2021,
            url="https://aclanthology.org/2021.acl-long.203",
        ),
        Entry(
            "if-mmin",
            "equipoise.heads.if_mmin:IFMMIN",
            "as mmin, with features that all modalities share fed into every block",
            paper="Zuo et al. Exploiting Modality-Invariant Feature for Robust Multimodal Emotion "
            "Recognition with Missing Modalities. 2022",
            year=2022,
            url="https://arxiv.org/abs/2210.15359",
        ),
        Entry(
            "cpm-net",
            "equipoise.heads.cpm_net:CPMNet",
            "a latent vector fitted to the present modalities, compared with the class means",
            paper="Zhang et al. CPM-Nets: Cross Partial Multi-View Networks. NeurIPS 2019",
            year=2019,
            url="https://proceedings.neurips.cc/paper/2019/hash/11b9842e0a271ff252c1903e7132cd68-Abstract.html",
        ),
        Entry(
            "tate",
            "equipoise.heads.tate:TATE",
            "a transformer encoder over one token per modality, each tagged with what is missing",
            paper="Zeng et al. Tag-assisted Multimodal Sentiment Analysis under Uncertain Missing "
            "Modalities. SIGIR 2022",
            year=2022,
            url="https://arxiv.org/abs/2204.13707",
        ),
        Entry(
            "cca",
            "equipoise.heads.cca:CCA",
            "a linear classifier on canonical projections of the features",
            paper="Hotelling. Relations Between Two Sets of Variates. Biometrika 1936",
            year=1936,
            url="https://doi.org/10.1093/biomet/28.3-4.321",
        ),
        Entry(
            "dcca",
            "equipoise.heads.dcca:DCCA",
            "a linear classifier on canonical projections of representations that a network learns",
            paper="Andrew et al. Deep Canonical Correlation Analysis. ICML 2013",
            year=2013,
            url="https://proceedings.mlr.press/v28/andrew13.html",
        ),
        Entry(
            "dccae",
            "equipoise.heads.dcca:DCCAE",
            "as dcca, with decoders back to the features",
            paper="Wang et al. On Deep Multi-View Representation Learning. ICML 2015",
            year=2015,
            url="https://proceedings.mlr.press/v37/wangb15.html",
        ),
    ],
)
