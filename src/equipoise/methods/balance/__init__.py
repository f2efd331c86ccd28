"""Methods that balance the modalities of one network.

MLA, LFM, MIE, and the methods that they are compared with.
"""

from __future__ import annotations

import math

from equipoise.registry import MethodEntry

LFM_PAPER = (
    "Yang, Wan, Jiang, Xu. Facilitating Multimodal Classification via Dynamically Learning "
    "Modality Gap. NeurIPS 2024"
)
LFM_URL = (
    "https://proceedings.neurips.cc/paper_files/paper/2024/hash/"
    "71b17f00017da0d73823ccf7fbce2d4f-Abstract-Conference.html"
)
AMSS_PAPER = (
    "Yang, Pan, Jiang, Xu, Tang. Learning to Rebalance Multi-Modal Optimization by Adaptively "
    "Masking Subnetworks. IEEE TPAMI 2025"
)
OGM_PAPER = (
    "Peng, Wei, Deng, Wang, Hu. Balanced Multimodal Learning via On-the-fly Gradient Modulation. "
    "CVPR 2022"
)
SCALES_GRADIENTS = {"optimiser.name": "sgd", "optimiser.lr": 0.03}
"""Advice of methods that make gradients smaller or larger, which Adam would divide out again. They
were published with SGD, CGGM on one of its data sets."""

ENTRIES: list[MethodEntry] = [
    MethodEntry(
        "balanced",
        "equipoise.methods.balance.balanced:Balanced",
        "losses of two fused predictions and of every modality, under modality dropout",
        head="balanced",
    ),
    MethodEntry(
        "mla",
        "equipoise.methods.balance.mla:MLA",
        "modalities in turn through one head, whose gradient is orthogonal to what it has seen",
        paper="Zhang, Yoon, Bansal, Yao. Multimodal Representation Learning by Alternating "
        "Unimodal Adaptation. CVPR 2024",
        year=2024,
        url="https://arxiv.org/abs/2311.10707",
        code="https://github.com/Cecile-hi/Multimodal-Learning-with-Alternating-Unimodal-Adaptation",
        head="shared",
        ordered=True,
        memory="a matrix of the feature's width squared",
    ),
    MethodEntry(
        "ogm",
        "equipoise.methods.balance.ogm:OGM",
        "joint training in which the gradient of a leading modality's encoder is made smaller",
        paper=OGM_PAPER,
        year=2022,
        url="https://arxiv.org/abs/2203.15332",
        code="https://github.com/GeWu-Lab/OGM-GE_CVPR2022",
        licence="MIT",
        neutral={"alpha": 0.0},
        advises=SCALES_GRADIENTS,
    ),
    MethodEntry(
        "ogm-ge",
        "equipoise.methods.balance.ogm:OGMGE",
        "OGM with Gaussian noise on the encoders' gradients (generalisation enhancement)",
        paper=OGM_PAPER,
        year=2022,
        url="https://arxiv.org/abs/2203.15332",
        code="https://github.com/GeWu-Lab/OGM-GE_CVPR2022",
        licence="MIT",
        neutral={"alpha": 0.0, "noise": False},
        advises=SCALES_GRADIENTS,
    ),
    MethodEntry(
        "lfm",
        "equipoise.methods.balance.lfm:LFM",
        "joint training with a contrastive loss between modalities, of falling weight",
        paper=LFM_PAPER,
        year=2024,
        url=LFM_URL,
        code="https://github.com/njustkmg/NeurIPS24-LFM",
        neutral={"alpha": "constant", "alpha_value": 0.0},
    ),
    MethodEntry(
        "lfm-lb",
        "equipoise.methods.balance.lfm_learned:LFMLearned",
        "LFM whose weight is learned on held-out samples, by bilevel optimisation",
        paper=LFM_PAPER,
        year=2024,
        url=LFM_URL,
        code="https://github.com/njustkmg/NeurIPS24-LFM",
        needs_holdout=True,
        memory="the graph of two derivatives, once an epoch",
    ),
    MethodEntry(
        "mie",
        "equipoise.methods.balance.mie:MIE",
        "modalities in turn, sharpness-aware, in directions of the head that others do not use",
        paper="Jiang, Chi, Yang. Multimodal Classification via Modal-Aware Interactive "
        "Enhancement. 2024 (IJCAI 2025 as IGM)",
        year=2024,
        url="https://arxiv.org/abs/2407.04587",
        code="https://github.com/njustkmg/IJCAI25-IGM",
        head="per-modality",
        forward_passes=2.0,
        backward_passes=2.0,
        ordered=True,
        memory="a matrix of its input's width squared for each layer of every modality's head; a "
        "copy of the weights and gradients within a step",
    ),
    MethodEntry(
        "igm",
        "equipoise.methods.balance.mie:IGM",
        "MIE as its authors' code runs it: mixup, and only the head is perturbed, hardly at all",
        paper="Jiang, Chi, Yang. Interactive Multimodal Learning via Flat Gradient Modification. "
        "IJCAI 2025",
        year=2025,
        url="https://www.ijcai.org/proceedings/2025/611",
        code="https://github.com/njustkmg/IJCAI25-IGM",
        head="per-modality",
        backward_passes=2.0,
        ordered=True,
        memory="a matrix of its input's width squared for each layer of every modality's head",
    ),
    MethodEntry(
        "smv-sample",
        "equipoise.methods.balance.smv:SampleValuation",
        "each sample is added alone in the modalities whose Shapley value on it is low",
        paper="Wei, Feng, Wang, Hu. Enhancing Multimodal Cooperation via Sample-level Modality "
        "Valuation. CVPR 2024",
        year=2024,
        url="https://arxiv.org/abs/2309.06255",
        code="https://github.com/GeWu-Lab/Valuate-and-Enhance-Multimodal-Cooperation",
        neutral={"copies": [0, 0, 0]},
    ),
    MethodEntry(
        "smv-modality",
        "equipoise.methods.balance.smv:ModalityValuation",
        "samples are added alone in the modality whose mean Shapley value is lowest",
        paper="Wei, Feng, Wang, Hu. Enhancing Multimodal Cooperation via Sample-level Modality "
        "Valuation. CVPR 2024",
        year=2024,
        url="https://arxiv.org/abs/2309.06255",
        code="https://github.com/GeWu-Lab/Valuate-and-Enhance-Multimodal-Cooperation",
        neutral={"alpha": 0.0},
    ),
    MethodEntry(
        "mbsd",
        "equipoise.methods.balance.mbsd:MBSD",
        "the modality that knows a sample better teaches the other one its logits",
        paper="Liu, Li, Song, Yang, Zeng. Multimodal Pre-Training with Self-Distillation for "
        "Product Understanding in E-Commerce. WSDM 2023",
        year=2023,
        url="https://doi.org/10.1145/3539597.3570423",
        neutral={"unimodal_weight": 0.0, "distillation_weight": 0.0},
    ),
    MethodEntry(
        "relearning",
        "equipoise.methods.balance.relearning:Relearning",
        "Diagnosing & Re-learning: encoders softly re-initialised, the more the worse their "
        "features carry over",
        paper="Wei, Li, Feng, Hu. Diagnosing and Re-learning for Balanced Multimodal Learning. "
        "ECCV 2024",
        year=2024,
        url="https://arxiv.org/abs/2407.09705",
        code="https://github.com/GeWu-Lab/Diagnosing_Relearning_ECCV2024",
        memory="the encoders' initial weights",
        needs_holdout=True,
        neutral={"strength": 0.0},
    ),
    MethodEntry(
        "reconboost",
        "equipoise.methods.balance.reconboost:ReconBoost",
        "modalities in turn, each on what the others get wrong, with epochs of all together in "
        "between",
        paper="Hua, Xu, Bao, Yang, Huang. ReconBoost: Boosting Can Achieve Modality Reconcilement. "
        "ICML 2024",
        year=2024,
        url="https://arxiv.org/abs/2405.09321",
        code="https://github.com/huacong/ReconBoost",
        head="boosted-sum",
        forward_passes=None,
        ordered=True,
        advises={"optimiser.clip": 1.0},
    ),
    MethodEntry(
        "mmpareto",
        "equipoise.methods.balance.mmpareto:MMPareto",
        "unimodal losses beside the fused one, their gradients combined without harm to either",
        paper="Wei, Hu. MMPareto: Boosting Multimodal Learning with Innocent Unimodal Assistance. "
        "ICML 2024",
        year=2024,
        url="https://arxiv.org/abs/2405.17730",
        code="https://github.com/GeWu-Lab/MMPareto_ICML2024",
        head="auxiliary",
        backward_passes=2.0,
        memory="a second gradient of every encoder",
    ),
    MethodEntry(
        "mmcosine",
        "equipoise.methods.balance.mmcosine:MMCosine",
        "joint training on cosine logits, in which the length of features and weights does not "
        "count",
        paper="Xu, Feng, Zhang, Hu. MMCosine: Multi-Modal Cosine Loss Towards Balanced "
        "Audio-Visual Fine-Grained Learning. ICASSP 2023",
        year=2023,
        url="https://arxiv.org/abs/2303.05338",
        code="https://github.com/GeWu-Lab/MMCosine_ICASSP23",
        head="cosine",
        neutral={},
    ),
    MethodEntry(
        "opm",
        "equipoise.methods.balance.opm:OPM",
        "joint training with the leading modality's features dropped at random",
        paper="Wei, Hu, Du, Wen. On-the-fly Modulation for Balanced Multimodal Learning. IEEE "
        "TPAMI 2024",
        year=2024,
        url="https://arxiv.org/abs/2410.11582",
        code="https://github.com/GeWu-Lab/BML_TPAMI2024",
        neutral={"probability": 0.0},
    ),
    MethodEntry(
        "cml",
        "equipoise.methods.balance.cml:CML",
        "classification by fewer and fewer modalities, whose confidence must not grow",
        paper="Ma, Zhang, Zhang, Wu, Fu, Zhou, Hu. Calibrating Multimodal Learning. ICML 2023",
        year=2023,
        url="https://arxiv.org/abs/2306.01265",
        code="https://github.com/QingyangZhang/CML",
    ),
    MethodEntry(
        "amco",
        "equipoise.methods.balance.amco:AMCo",
        "class scores of the modality on which the prediction depends are masked",
        paper="Zhou, Liang, Zheng, Xuan, Kumada. Adaptive Mask Co-optimization for Modal "
        "Dependence in Multimodal Learning. ICASSP 2023",
        year=2023,
        url="https://doi.org/10.1109/ICASSP49357.2023.10096641",
        head="mixed-sum",
    ),
    MethodEntry(
        "mses",
        "equipoise.methods.balance.mses:MSES",
        "a modality whose own classifier overfits goes back to its best epoch and stops",
        paper="Fujimori, Endo, Kawai, Mochizuki. Modality-Specific Learning Rate Control for "
        "Multimodal Classification. ACPR 2019",
        year=2019,
        url="https://doi.org/10.1007/978-3-030-41299-9_32",
        memory="a copy of the encoders and of their classifiers",
        head="auxiliary",
        needs_holdout=True,
        neutral={"weight": 0.0, "patience": math.inf},
    ),
    MethodEntry(
        "mslr",
        "equipoise.methods.balance.mslr:MSLR",
        "a learning rate per modality: constant, or raised while its accuracy improves",
        paper="Yao, Mihalcea. Modality-specific Learning Rates for Effective Multimodal Additive "
        "Late-fusion. Findings of ACL 2022",
        year=2022,
        url="https://aclanthology.org/2022.findings-acl.143/",
        head="sum",
        needs_holdout=True,
        neutral={"strategy": "keep", "rates": {}},
    ),
    MethodEntry(
        "g-blend",
        "equipoise.methods.balance.g_blend:GBlend",
        "losses of all classifiers, weighed by how much these generalise and overfit",
        paper="Wang, Tran, Feiszli. What Makes Training Multi-Modal Classification Networks "
        "Hard? CVPR 2020",
        year=2020,
        url="https://arxiv.org/abs/1905.12681",
        code="https://github.com/facebookresearch/VMZ",
        memory="a copy of the model and of its optimisers, while it estimates",
        licence="Apache-2.0",
        head="auxiliary",
        needs_holdout=True,
        neutral={"weights": {"fused": 1.0}},
    ),
    MethodEntry(
        "pmr",
        "equipoise.methods.balance.pmr:PMR",
        "a lagging modality is pulled towards its class means, a leading one is kept uncertain at "
        "first",
        paper="Fan, Xu, Wang, Wang, Guo. PMR: Prototypical Modal Rebalance for Multimodal "
        "Learning. CVPR 2023",
        year=2023,
        url="https://arxiv.org/abs/2211.07089",
        code="https://github.com/fanyunfeng-bit/Modal-Imbalance-PMR",
        memory="a mean feature per modality and class",
        neutral={"alpha": 0.0, "mu": 0.0},
    ),
    MethodEntry(
        "agm",
        "equipoise.methods.balance.agm:AGM",
        "the gradient of each modality's Shapley value is scaled by how its lead changes",
        paper="Li, Li, Hu, Lei, Li, Zhou. Boosting Multi-modal Model Performance with Adaptive "
        "Gradient Modulation. ICCV 2023",
        year=2023,
        url="https://arxiv.org/abs/2308.07686",
        code="https://github.com/lihong2303/AGM_ICCV2023",
        memory="the head's graph for every set of modalities, where its logits are no sum",
        forward_passes=2.0,
        backward_passes=2.0,
        neutral={"alpha": 0.0, "clip": 0.0},
        advises=SCALES_GRADIENTS,
    ),
    MethodEntry(
        "umt",
        "equipoise.methods.balance.umt:UMT",
        "encoders trained alone first teach those of the network their features",
        paper="Du, Teng, Li, Liu, Yuan, Wang, Yuan, Zhao. On Uni-Modal Feature Learning in "
        "Supervised Multi-Modal Learning. ICML 2023",
        year=2023,
        url="https://arxiv.org/abs/2305.01233",
        memory="a copy of the encoders, and while they train their optimisers",
        forward_passes=2.0,
        neutral={"weight": 0.0},
    ),
    MethodEntry(
        "dgl",
        "equipoise.methods.balance.dgl:DGL",
        "encoders learn from the unimodal losses only, the head from the fused one only",
        paper="Wei, Luo, Luo. Boosting Multimodal Learning via Disentangled Gradient Learning. "
        "ICCV 2025",
        year=2025,
        url="https://arxiv.org/abs/2507.10213",
        code="https://github.com/shicaiwei123/ICCV2025-GDL",
    ),
    MethodEntry(
        "inforeg",
        "equipoise.methods.balance.inforeg:InfoReg",
        "the encoder that is ahead is held near its start of the epoch while its Fisher "
        "information grows",
        paper="Huang, Wei, Yang, Hu. Adaptive Unimodal Regulation for Balanced Multimodal "
        "Information Acquisition. CVPR 2025",
        year=2025,
        url="https://arxiv.org/abs/2503.18595",
        code="https://github.com/GeWu-Lab/InfoReg_CVPR2025",
        memory="a copy of the encoders",
        neutral={"strength": 0.0, "unimodal_weight": 0.0},
        advises=SCALES_GRADIENTS,
    ),
    MethodEntry(
        "bss",
        "equipoise.methods.balance.bss:BSS",
        "samples come in the order of difficulty: those on which the modalities agree come first",
        paper="Guan, Jiang, Yang. Balance-aware Sequence Sampling Makes Multi-modal Learning "
        "Better. IJCAI 2025",
        year=2025,
        url="https://arxiv.org/abs/2501.01470",
        code="https://github.com/njustkmg/IJCAI25-BSS",
        head="vote",
    ),
    MethodEntry(
        "aug",
        "equipoise.methods.balance.aug:AUG",
        "a modality that lags behind gets another classifier, which learns what others leave",
        paper="Jiang, Huang, Yang. Rethinking Multimodal Learning from the Perspective of "
        "Mitigating Classification Ability Disproportion. NeurIPS 2025",
        year=2025,
        url="https://arxiv.org/abs/2502.20120",
        code="https://github.com/njustkmg/NeurIPS25-AUG",
        memory="each modality's classifiers that are not in use yet",
        head="sustained",
        advises={"optimiser.clip": 1.0},
    ),
    MethodEntry(
        "greedy",
        "equipoise.methods.balance.greedy:Greedy",
        "branches that gate each other; the one that learns mainly from the others is cut off from "
        "them for a while",
        paper="Wu, Jastrzębski, Cho, Geras. Characterizing and Overcoming the Greedy Nature of "
        "Learning in Multi-modal Deep Neural Networks. ICML 2022",
        year=2022,
        url="https://arxiv.org/abs/2202.05306",
        code="https://github.com/nyukat/greedy_multimodal_learning",
        memory="a mean gate and a mean feature per modality",
        head="channel",
    ),
    MethodEntry(
        "midas",
        "equipoise.methods.balance.midas:MIDAS",
        "features of samples of different classes are combined, and both labels predicted",
        paper="Hwang, Choi, Whang. MIDAS: Misalignment-based Data Augmentation Strategy for "
        "Imbalanced Multimodal Learning. NeurIPS 2025",
        year=2025,
        url="https://arxiv.org/abs/2509.25831",
        head="auxiliary",
        neutral={"weight": 0.0, "unimodal_weight": 0.0, "warm_up": 0.0},
    ),
    MethodEntry(
        "mlb",
        "equipoise.methods.balance.mlb:MLB",
        "unimodal losses, and a learning rate of each modality that follows its lag",
        paper="Kontras, Chatzichristos, Blaschko, De Vos. Improving Multimodal Learning with "
        "Multi-Loss Gradient Modulation. BMVC 2024",
        year=2024,
        url="https://arxiv.org/abs/2405.07930",
        code="https://github.com/kkontras/MLB",
        head="auxiliary",
        neutral={"alpha": 0.0},
        neutral_of="joint-uniform",
    ),
    MethodEntry(
        "data-remixing",
        "equipoise.methods.balance.data_remixing:DataRemixing",
        "every sample trains the one modality that is least certain of it",
        paper="Ma, Chen, Deng. Improving Multimodal Learning Balance and Sufficiency through Data "
        "Remixing. ICML 2025",
        year=2025,
        url="https://arxiv.org/abs/2506.11550",
        code="https://github.com/MatthewMaxy/Remix_ICML2025",
        head="auxiliary",
        neutral={"warm_up": 1.0, "unimodal_weight": 0.0},
    ),
    MethodEntry(
        "g2d",
        "equipoise.methods.balance.g2d:G2D",
        "distillation from unimodal teachers; modalities first train in turn, the weakest first",
        paper="Rakib, Bagavathi. G2D: Boosting Multimodal Learning with Gradient-Guided "
        "Distillation. ICCV 2025",
        year=2025,
        url="https://arxiv.org/abs/2506.21514",
        code="https://github.com/rAIson-Lab/G2D",
        memory="a copy of the encoders, and while they train their optimisers",
        forward_passes=None,
        head="sum",
        neutral={"weight": 0.0, "feature_weight": 0.0, "turns": 0.0},
    ),
    MethodEntry(
        "mcr",
        "equipoise.methods.balance.mcr:MCR",
        "a game in which each modality raises the dependence on itself and lowers that on others",
        paper="Kontras, Strypsteen, Chatzichristos, Liang, Blaschko, De Vos. Balancing Multimodal "
        "Training Through Game-Theoretic Regularization. NeurIPS 2025",
        year=2025,
        url="https://arxiv.org/abs/2411.07335",
        code="https://github.com/kkontras/MCR",
        head="auxiliary",
        neutral={"weight": 0.0, "unimodal_weight": 0.0, "contrast": 0.0},
    ),
    MethodEntry(
        "arl",
        "equipoise.methods.balance.arl:ARL",
        "unimodal losses, and a larger gradient for the encoder of the more certain modality",
        paper="Wei, Luo, Luo. Improving Multimodal Learning via Imbalanced Learning. ICCV 2025",
        year=2025,
        url="https://arxiv.org/abs/2507.10203",
        code="https://github.com/shicaiwei123/ICCV2025-ARL",
        neutral={"gamma": 0.0, "weights": "none", "warm_up": 0.0},
        advises=SCALES_GRADIENTS,
    ),
    MethodEntry(
        "di-mml",
        "equipoise.methods.balance.di_mml:DIMML",
        "encoders learn apart and teach each other, then a classifier of all features is fitted",
        paper="Fan, Xu, Wang, Liu, Guo. Detached and Interactive Multimodal Learning. ACM "
        "Multimedia 2024",
        year=2024,
        url="https://arxiv.org/abs/2407.19514",
        code="https://github.com/fanyunfeng-bit/DI-MML",
        head="di-mml",
        backward_passes=0.5,  # where both stages are of one length
    ),
    MethodEntry(
        "cggm",
        "equipoise.methods.balance.cggm:CGGM",
        "gradients of encoders are scaled by how fast the other modalities' classifiers improve",
        paper="Guo, Jin, Chen, Zhao. Classifier-guided Gradient Modulation for Enhanced Multimodal "
        "Learning. NeurIPS 2024",
        year=2024,
        url="https://arxiv.org/abs/2411.01409",
        code="https://github.com/zrguo/CGGM",
        head="auxiliary",
        neutral={"rho": 0.0, "direction": 0.0},
        advises=SCALES_GRADIENTS,
    ),
    MethodEntry(
        "amss",
        "equipoise.methods.balance.amss:AMSS",
        "only some units of each encoder are updated, fewer in the stronger modality",
        paper=AMSS_PAPER,
        year=2025,
        url="https://arxiv.org/abs/2404.08347",
        code="https://github.com/njustkmg/TPAMI-AMSS",
        neutral={"bounds": [1.0, 1.0]},
        advises=SCALES_GRADIENTS,
    ),
    MethodEntry(
        "amss-plus",
        "equipoise.methods.balance.amss:AMSSPlus",
        "AMSS whose gradients are unbiased (AMSS+)",
        paper=AMSS_PAPER,
        year=2025,
        url="https://arxiv.org/abs/2404.08347",
        code="https://github.com/njustkmg/TPAMI-AMSS",
        neutral={"bounds": [1.0, 1.0]},
        advises=SCALES_GRADIENTS,
    ),
    MethodEntry(
        "compose",
        "equipoise.methods.balance.compose:Compose",
        "any combination of the ingredients of MLA, LFM and MIE",
        neutral={},
        left_out="equal to joint until ingredients are chosen",
    ),
]
