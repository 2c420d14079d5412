"""Cards: what they state, and that none of it needs torch."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from omnireid.core.errors import UnknownNameError
from omnireid.models.cards import hub_file, list_architectures, list_models, model_card
from omnireid.models.osnet_config import ARCHITECTURES
from omnireid.models.registry import build_model
from omnireid.models.shipped import list_shipped


def test_architectures_come_first_and_claim_no_results():
    assert list_models()[:10] == list_architectures() == (*ARCHITECTURES, "resnet50")
    for name in list_architectures():
        card = model_card(name)
        assert card.name == card.architecture == name
        assert card.metrics == ()
        assert card.num_parameters == sum(parameter.numel() for parameter in build_model(name).parameters())


def test_every_card_of_published_weights_names_origin_and_data():
    for name in set(list_models()[10:]) - set(list_shipped()):
        card = model_card(name)
        assert card.architecture in list_architectures()
        assert name.startswith(card.architecture)
        hosts = r"huggingface\.co|drive\.google\.com|download\.pytorch\.org"
        assert re.fullmatch(rf"https://({hosts})/\S+", card.origin)
        assert card.training_data
        assert "research only" in card.licence
        assert (card.input.height, card.input.width) == (256, 128)
        assert card.embedding_size == (512 if card.architecture in ARCHITECTURES else 2048)
        for metric in card.metrics:
            assert "no re-ranking" in metric.protocol
            assert "MODEL_ZOO" in metric.source


@pytest.mark.parametrize(
    ("name", "tested_on", "rank1", "mean_ap", "distance"),
    [
        ("osnet_x1_0_market1501", "market1501", 0.942, 0.826, "euclidean"),
        ("osnet_x0_25_msmt17", "msmt17", 0.614, 0.295, "euclidean"),
        ("osnet_ibn_x1_0_market1501", "dukemtmcreid", 0.485, 0.267, "euclidean"),
        ("osnet_ain_x1_0_dukemtmcreid", "market1501", 0.610, 0.306, "cosine"),
        # These two were printed the wrong way round in the paper's first version and the zoo of 2019.
        ("osnet_ain_x1_0_msmt17_combineall", "market1501", 0.701, 0.433, "cosine"),
        ("osnet_ain_x1_0_msmt17_combineall", "dukemtmcreid", 0.711, 0.527, "cosine"),
        ("osnet_x1_0_d_m_c", "msmt17", 0.332, 0.126, "cosine"),
    ],
)
def test_published_figures(name: str, tested_on: str, rank1: float, mean_ap: float, distance: str):
    (metric,) = (metric for metric in model_card(name).metrics if metric.dataset == tested_on)
    assert (metric.rank1, metric.mAP) == (rank1, mean_ap)
    assert f"{distance} distance" in metric.protocol


def test_pins_are_whole():
    files = [file for name in list_models() if (file := hub_file(name))]
    assert len(files) == 6
    for file in files:
        assert re.fullmatch("[0-9a-f]{40}", file.revision)
        assert file.sha256 is None or re.fullmatch("[0-9a-f]{64}", file.sha256)


def test_unknown_names_get_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'osnet_x0_25_msmt17'"):
        model_card("osnet_x025_msmt17")


def test_cards_headers_and_pulling_need_no_torch():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import omnireid.models, omnireid.models.pull, omnireid.models.weight_file\n"
        "from omnireid import list_models, model_card\n"
        "print(len([model_card(name) for name in list_models()]))\n"
        "assert 'huggingface_hub' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"{len(list_models())}\n"
    assert done.stderr == ""
