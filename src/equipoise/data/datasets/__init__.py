"""Data sets, by name. A new one is one file and one entry here.

Listing the entries imports neither a data set nor torch.
"""

from __future__ import annotations

from equipoise.registry import Entry, Registry

DATASETS = Registry(
    "dataset",
    [
        Entry(
            "synthetic",
            "equipoise.data.datasets.synthetic:load",
            "any number of modalities of known best accuracy",
        ),
        Entry(
            "digits",
            "equipoise.data.datasets.digits:load",
            "real handwritten digits, several views of each image",
            paper="Alpaydin, Kaynak. Optical Recognition of Handwritten Digits. UCI 1998 (bundled "
            "with scikit-learn)",
            year=1998,
            licence="CC BY 4.0",
        ),
        Entry(
            "spoken-digits",
            "equipoise.data.datasets.spoken_digits:load",
            "real spoken digits, each with the upper half of a written one; comes with the package",
            paper="Jackson et al. Free Spoken Digit Dataset; digit images as in `digits`",
            year=2018,
            url="https://github.com/Jakobovski/free-spoken-digit-dataset",
            licence="CC BY-SA 4.0",
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
            "food-101",
            "equipoise.data.datasets.food101:prepare",
            "101 dishes: a picture and the title of the web page it comes from",
            paper="Wang et al. Recipe Recognition with Large Multimodal Food Dataset. ICME "
            "Workshops 2015",
            year=2015,
            url="https://doi.org/10.1109/ICMEW.2015.7169757",
            licence="for research",
        ),
        Entry(
            "mvsa-single",
            "equipoise.data.datasets.mvsa_single:prepare",
            "sentiment of tweets with a picture, three classes",
            paper="Niu et al. Sentiment Analysis on Multi-View Social Data. MMM 2016",
            year=2016,
            url="https://doi.org/10.1007/978-3-319-27674-8_2",
            licence="for research",
        ),
        Entry(
            "sarcasm",
            "equipoise.data.datasets.sarcasm:prepare",
            "sarcasm in tweets: text, picture, and five words that describe the picture",
            paper="Cai et al. Multi-Modal Sarcasm Detection in Twitter with Hierarchical Fusion "
            "Model. ACL 2019",
            year=2019,
            url="https://aclanthology.org/P19-1239/",
            licence="none stated",
        ),
        Entry(
            "twitter2015",
            "equipoise.data.datasets.twitter2015:prepare",
            "sentiment towards a target in a tweet with a picture, three classes",
            paper="Yu, Jiang. Adapting BERT for Target-Oriented Multimodal Sentiment "
            "Classification. IJCAI 2019",
            year=2019,
            url="https://doi.org/10.24963/ijcai.2019/751",
            licence="none stated",
        ),
        Entry(
            "cmu-mosei",
            "equipoise.data.datasets.mosei:prepare",
            "sentiment of people speaking: text, audio and visual feature sequences",
            paper="Zadeh et al. Multimodal Language Analysis in the Wild: CMU-MOSEI Dataset. ACL "
            "2018",
            year=2018,
            url="https://aclanthology.org/P18-1208/",
            licence="terms of the CMU Multimodal SDK",
        ),
        Entry(
            "fsdd",
            "equipoise.data.datasets.fsdd:prepare",
            "spoken digits of six speakers",
            paper="Jackson et al. Free Spoken Digit Dataset",
            year=2018,
            url="https://github.com/Jakobovski/free-spoken-digit-dataset",
            licence="CC BY-SA 4.0",
        ),
        Entry(
            "multiple-features",
            "equipoise.data.datasets.multiple_features:prepare",
            "2,000 handwritten digits in six views of 6 to 240 features",
            paper="Duin. Multiple Features. UCI Machine Learning Repository 1998",
            year=1998,
            url="https://doi.org/10.24432/C5HC70",
            licence="CC BY 4.0",
        ),
        Entry(
            "crema-d",
            "equipoise.data.datasets.crema_d:prepare",
            "acted emotions, sound and face; 91 actors held apart, or the published lists",
            paper="Cao et al. CREMA-D: Crowd-sourced Emotional Multimodal Actors Dataset. IEEE TAC "
            "2014",
            year=2014,
            url="https://doi.org/10.1109/TAFFC.2014.2336244",
            licence="ODbL 1.0 (contents: DbCL 1.0)",
        ),
        Entry(
            "kinetics-sounds",
            "equipoise.data.datasets.kinetics_sounds:prepare",
            "31 classes of Kinetics-400 that can be seen and heard; the official split, or "
            "published lists",
            paper="Arandjelović, Zisserman. Look, Listen and Learn. ICCV 2017",
            year=2017,
            url="https://arxiv.org/abs/1705.08168",
            licence="the uploaders' own (annotation: CC BY 4.0)",
        ),
        Entry(
            "vggsound",
            "equipoise.data.datasets.vggsound:prepare",
            "309 classes of sounds whose source is in the picture; the official split",
            paper="Chen et al. VGGSound: A Large-scale Audio-Visual Dataset. ICASSP 2020",
            year=2020,
            url="https://arxiv.org/abs/2004.14368",
            licence="the owners' own (annotation: CC BY 4.0)",
        ),
        Entry(
            "iemocap",
            "equipoise.data.datasets.iemocap:prepare",
            "emotions in dialogue, four classes: sound, video and transcript; a session held out",
            paper="Busso et al. IEMOCAP: Interactive Emotional Dyadic Motion Capture Database. LRE "
            "2008",
            year=2008,
            url="https://doi.org/10.1007/s10579-008-9076-6",
            licence="by signed request to USC SAIL, research",
        ),
        Entry(
            "nvgesture",
            "equipoise.data.datasets.nvgesture:prepare",
            "25 hand gestures in a car: colour, depth and optical flow; subjects held apart",
            paper="Molchanov et al. Online Detection and Classification of Dynamic Hand Gestures. "
            "CVPR 2016",
            year=2016,
            url="https://doi.org/10.1109/CVPR.2016.456",
            licence="NVIDIA's, non-commercial",
        ),
        Entry(
            "ucf-101",
            "equipoise.data.datasets.ucf101:prepare",
            "101 human actions: frames and optical flow; the three official folds",
            paper="Soomro et al. UCF101: A Dataset of 101 Human Actions Classes From Videos in The "
            "Wild. 2012",
            year=2012,
            url="https://arxiv.org/abs/1212.0402",
            licence="for research",
        ),
    ],
)
"""The entries of all data sets, known before any data set is imported."""
