"""OSNet's model cards: the nine architectures, and the weights that the authors published. Imports no torch.

Published figures are those of the torchreid model zoo (with its later correction of the OSNet-AIN rows), as
fractions. Distances there are Euclidean on raw embeddings, or cosine; single query, no re-ranking.
"""

from __future__ import annotations

from collections.abc import Iterator

from omnireid.core.card import CardMetric, ModelCard
from omnireid.models.family import HubFile
from omnireid.models.osnet_config import ARCHITECTURES

_ICCV = "Zhou et al., Omni-Scale Feature Learning for Person Re-Identification, ICCV 2019, arXiv:1905.00953"
_TPAMI = (
    "Zhou et al., Learning Generalisable Omni-Scale Representations for Person Re-Identification, "
    "TPAMI 2021, arXiv:1910.06827"
)
_ZOO = "torchreid model zoo, https://kaiyangzhou.github.io/deep-person-reid/MODEL_ZOO"
_DRIVE = "https://drive.google.com/file/d/"
_LICENCE = "MIT; the training data is for research only"

_PARAMETERS = {
    "osnet_x1_0": 2_169_508,
    "osnet_x0_75": 1_285_754,
    "osnet_x0_5": 630_034,
    "osnet_x0_25": 201_864,
    "osnet_ibn_x1_0": 2_170_532,
    "osnet_ain_x1_0": 2_169_508,
    "osnet_ain_x0_75": 1_285_754,
    "osnet_ain_x0_5": 630_034,
    "osnet_ain_x0_25": 201_864,
}


_HUB_REPO = "kaiyangzhou/osnet"
_HUB_REVISION = "a5c5cc037c24235cda3b21085b93ad77c9616224"
_COMBINEALL = (
    "msmt17_combineall_256x128_amsgrad_ep150_stp60_lr0.0015_b64_fb10_softmax_labelsmooth_flip_jitter.pth"
)

# Hashes are listed where independent public projects pin the same one.
_HUB_FILES = {
    "osnet_x1_0_msmt17_combineall": (
        f"osnet_x1_0_{_COMBINEALL}",
        "48df972f72887b95cf3b43b3a07c3a7d2398381aea0f9cae64a7ef11d512b727",
    ),
    "osnet_x0_75_msmt17_combineall": (f"osnet_x0_75_{_COMBINEALL}", None),
    "osnet_x0_5_msmt17_combineall": (f"osnet_x0_5_{_COMBINEALL}", None),
    "osnet_x0_25_msmt17_combineall": (
        f"osnet_x0_25_{_COMBINEALL}",
        "cf55163d78fc44c62c82f85ab62d39f10438679b5abe8c698ae08cfa84aa6e18",
    ),
    "osnet_ibn_x1_0_msmt17_combineall": (f"osnet_ibn_x1_0_{_COMBINEALL}", None),
    "osnet_ain_x1_0_msmt17_combineall": (
        "osnet_ain_x1_0_msmt17_256x128_amsgrad_ep50_lr0.0015_coslr_b64_fb10_softmax_labsmth_flip_jitter.pth",
        "8a07e8da38946f7cee37f4561617bf8b6d2fe8f3a4027852893ea092e46d919f",
    ),
}

# What trained the weights, and how many identities; None where it is not known or they are not persons.
_DATASETS = {
    "imagenet": ("ImageNet-1K (objects, not persons: to start training from)", None),
    "market1501": ("Market-1501, training split", 751),
    "dukemtmcreid": ("DukeMTMC-reID, training split", 702),
    "msmt17": ("MSMT17, training split", 1041),
    "msmt17_combineall": ("MSMT17, all 126,441 images", 4101),
    "ms_d_c": ("MSMT17, DukeMTMC-reID and CUHK03", None),
    "ms_m_c": ("MSMT17, Market-1501 and CUHK03", None),
    "ms_d_m": ("MSMT17, DukeMTMC-reID and Market-1501", None),
    "d_m_c": ("DukeMTMC-reID, Market-1501 and CUHK03", None),
}

_MULTI_SOURCE = ("ms_d_c", "ms_m_c", "ms_d_m", "d_m_c")

# (architecture, training data, Google Drive id, ((tested on, rank-1 %, mAP %), ...))
_Row = tuple[str, str, str, tuple[tuple[str, float, float], ...]]
_PUBLISHED: tuple[_Row, ...] = (
    ("osnet_x1_0", "imagenet", "1LaG1EJpHrxdAxKnSCJ_i0u-nbxSAeiFY", ()),
    ("osnet_x0_75", "imagenet", "1uwA9fElHOk3ZogwbeY5GkLI6QPTX70Hq", ()),
    ("osnet_x0_5", "imagenet", "16DGLbZukvVYgINws8u8deSaOqjybZ83i", ()),
    ("osnet_x0_25", "imagenet", "1rb8UN5ZzPKRc_xvtHlyDh-cSz88YX9hs", ()),
    ("osnet_ibn_x1_0", "imagenet", "1sr90V6irlYYDd4_4ISU2iruoRG8J__6l", ()),
    ("osnet_ain_x1_0", "imagenet", "1-CaioD9NaqbHK_kzSMW8VE4_3KcsRjEo", ()),
    ("osnet_ain_x0_75", "imagenet", "1apy0hpsMypqstfencdH-jKIUEFOW4xoM", ()),
    ("osnet_ain_x0_5", "imagenet", "1KusKvEYyKGDTUBVRxRiz55G31wkihB6l", ()),
    ("osnet_ain_x0_25", "imagenet", "1SxQt2AvmEcgWNhaRb2xC4rP6ZwVDP0Wt", ()),
    ("osnet_x1_0", "market1501", "1vduhq5DpN2q1g4fYEZfPI17MJeh9qyrA", (("market1501", 94.2, 82.6),)),
    ("osnet_x1_0", "dukemtmcreid", "1QZO_4sNf4hdOKKKzKc-TZU9WW1v6zQbq", (("dukemtmcreid", 87.0, 70.2),)),
    ("osnet_x1_0", "msmt17", "112EMUfBPYeYg70w-syK6V6Mx8-Qb9Q1M", (("msmt17", 74.9, 43.8),)),
    ("osnet_x0_75", "market1501", "1ozRaDSQw_EQ8_93OUmjDbvLXw9TnfPer", (("market1501", 93.7, 81.2),)),
    ("osnet_x0_75", "dukemtmcreid", "1IE3KRaTPp4OUa6PGTFL_d5_KQSJbP0Or", (("dukemtmcreid", 85.8, 69.8),)),
    ("osnet_x0_75", "msmt17", "1QEGO6WnJ-BmUzVPd3q9NoaO_GsPNlmWc", (("msmt17", 72.8, 41.4),)),
    ("osnet_x0_5", "market1501", "1PLB9rgqrUM7blWrg4QlprCuPT7ILYGKT", (("market1501", 92.5, 79.8),)),
    ("osnet_x0_5", "dukemtmcreid", "1KoUVqmiST175hnkALg9XuTi1oYpqcyTu", (("dukemtmcreid", 85.1, 67.4),)),
    ("osnet_x0_5", "msmt17", "1UT3AxIaDvS2PdxzZmbkLmjtiqq7AIKCv", (("msmt17", 69.7, 37.5),)),
    ("osnet_x0_25", "market1501", "1z1UghYvOTtjx7kEoRfmqSMu-z62J6MAj", (("market1501", 91.2, 75.0),)),
    ("osnet_x0_25", "dukemtmcreid", "1eumrtiXT4NOspjyEV4j8cHmlOaaCGk5l", (("dukemtmcreid", 82.0, 61.4),)),
    ("osnet_x0_25", "msmt17", "1sSwXSUlj4_tHZequ_iZ8w_Jh0VaRQMqF", (("msmt17", 61.4, 29.5),)),
    ("osnet_ibn_x1_0", "market1501", "1uWW7_z_IcUmRNPqQOrEBdsvic94fWH37", (("dukemtmcreid", 48.5, 26.7),)),
    ("osnet_ain_x1_0", "market1501", "14bNFGm0FhwHEkEpYKqKiDWjLNhXywFAd", (("dukemtmcreid", 52.4, 30.5),)),
    ("osnet_ibn_x1_0", "dukemtmcreid", "1CNxL1IP0BjcE1TSttiVOID1VNipAjiF3", (("market1501", 57.7, 26.1),)),
    ("osnet_ain_x1_0", "dukemtmcreid", "1hypJvq8G04SOby6jvF337GEkg5K_bmCw", (("market1501", 61.0, 30.6),)),
    (
        "osnet_x1_0",
        "msmt17_combineall",
        "1IosIFlLiulGIjwW3H8uMRmx3MzPwf86x",
        (("market1501", 66.6, 37.5), ("dukemtmcreid", 66.0, 45.3)),
    ),
    (
        "osnet_x0_75",
        "msmt17_combineall",
        "1fhjSS_7SUGCioIf2SWXaRGPqIY9j7-uw",
        (("market1501", 63.6, 35.5), ("dukemtmcreid", 65.3, 44.5)),
    ),
    (
        "osnet_x0_5",
        "msmt17_combineall",
        "1DHgmb6XV4fwG3n-CnCM0zdL9nMsZ9_RF",
        (("market1501", 64.3, 34.9), ("dukemtmcreid", 65.2, 43.3)),
    ),
    (
        "osnet_x0_25",
        "msmt17_combineall",
        "1Kkx2zW89jq_NETu4u42CFZTMVD5Hwm6e",
        (("market1501", 59.9, 31.0), ("dukemtmcreid", 61.5, 39.6)),
    ),
    (
        "osnet_ibn_x1_0",
        "msmt17_combineall",
        "1q3Sj2ii34NlfxA4LvmHdWO_75NDRmECJ",
        (("market1501", 66.5, 37.2), ("dukemtmcreid", 67.4, 45.6)),
    ),
    (
        "osnet_ain_x1_0",
        "msmt17_combineall",
        "1SigwBE6mPdqiJMqhuIY4aqC7--5CsMal",
        (("market1501", 70.1, 43.3), ("dukemtmcreid", 71.1, 52.7)),
    ),
    ("osnet_x1_0", "ms_d_c", "1tuYY1vQXReEd8N8_npUkc7npPDDmjNCV", (("market1501", 72.5, 44.2),)),
    ("osnet_x1_0", "ms_m_c", "1UxUI4NsE108UCvcy3O1Ufe73nIVPKCiu", (("dukemtmcreid", 65.2, 47.0),)),
    ("osnet_x1_0", "ms_d_m", "1kAA6qHJvbaJtyh1b39ZyEqWROwUgWIhl", (("cuhk03", 23.9, 23.3),)),
    ("osnet_x1_0", "d_m_c", "1wAHuYVTzj8suOwqCNcEmu6YdbVnHDvA2", (("msmt17", 33.2, 12.6),)),
    ("osnet_ibn_x1_0", "ms_d_c", "14sH6yZwuNHPTElVoEZ26zozOOZIej5Mf", (("market1501", 73.0, 44.9),)),
    ("osnet_ibn_x1_0", "ms_m_c", "1Sk-2SSwKAF8n1Z4p_Lm_pl0E6v2WlIBn", (("dukemtmcreid", 64.6, 45.7),)),
    ("osnet_ibn_x1_0", "ms_d_m", "1actHP7byqWcK4eBE1ojnspSMdo7k2W4G", (("cuhk03", 25.7, 25.4),)),
    ("osnet_ibn_x1_0", "d_m_c", "1BGOSdLdZgqHe2qFafatb-5sPY40JlYfp", (("msmt17", 39.8, 16.2),)),
    ("osnet_ain_x1_0", "ms_d_c", "1nIrszJVYSHf3Ej8-j6DTFdWz8EnO42PB", (("market1501", 73.3, 45.8),)),
    ("osnet_ain_x1_0", "ms_m_c", "1YjJ1ZprCmaKG6MH2P9nScB9FL_Utf9t1", (("dukemtmcreid", 65.6, 47.2),)),
    ("osnet_ain_x1_0", "ms_d_m", "1IxIg5P0cei3KPOJQ9ZRWDE_Mdrz01ha2", (("cuhk03", 27.4, 27.1),)),
    ("osnet_ain_x1_0", "d_m_c", "1KcoUKzLmsUoGHI7B6as_Z2fXL50gzexS", (("msmt17", 40.2, 16.2),)),
)


def cards() -> Iterator[ModelCard]:
    """The nine architectures, then the weights that were published."""
    yield from map(_architecture_card, ARCHITECTURES)
    for row in _PUBLISHED:
        yield _published_card(*row)


def hub_files() -> dict[str, HubFile]:
    """Published weights that are on the Hugging Face Hub."""
    return {
        name: HubFile(_HUB_REPO, filename, _HUB_REVISION, sha256)
        for name, (filename, sha256) in _HUB_FILES.items()
    }


def _architecture_card(name: str) -> ModelCard:
    return ModelCard(
        name=name,
        architecture=name,
        num_parameters=_PARAMETERS[name],
        paper=_TPAMI if "_ain_" in name else _ICCV,
        notes="Architecture without weights: train it, or pull published weights.",
    )


def _published_card(
    architecture: str, data: str, drive_id: str, results: tuple[tuple[str, float, float], ...]
) -> ModelCard:
    name = f"{architecture}_{data}"
    training_data, training_pids = _DATASETS[data]
    on_hub = hub_files().get(name)
    distance = "cosine" if "_ain_" in architecture or data in _MULTI_SOURCE else "euclidean"
    protocol = f"single query, {distance} distance, no re-ranking, input 256×128"
    return _architecture_card(architecture).model_copy(
        update={
            "name": name,
            "licence": _LICENCE,
            "origin": f"https://huggingface.co/{on_hub.repo}" if on_hub else f"{_DRIVE}{drive_id}/view",
            "training_data": training_data,
            "training_pids": training_pids,
            "recipe": f"{_ZOO}, row of {architecture}",
            "metrics": tuple(
                CardMetric(
                    dataset=tested_on,
                    rank1=round(rank1 / 100, 3),
                    mAP=round(mean_ap / 100, 3),
                    protocol=protocol,
                    source=_ZOO,
                )
                for tested_on, rank1, mean_ap in results
            ),
            "sha256": on_hub.sha256 if on_hub else None,
            "notes": "",
        }
    )
