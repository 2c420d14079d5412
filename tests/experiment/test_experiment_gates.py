"""Gates are read from the network that a report is about, whatever engine ranked with it."""

from __future__ import annotations

import html
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from command_line import Run
from omnireid.core.card import InputSpec
from omnireid.core.errors import InputError, UnknownNameError
from omnireid.core.images import load_crop, normalise
from omnireid.data.datasets import read_dataset
from omnireid.experiment import gates as reading
from omnireid.experiment.gates import GateReader
from omnireid.experiment.measure import evaluate
from omnireid.experiment.options import EvaluationOptions, Gates
from omnireid.inference.embedder import Embedder
from omnireid.models.cards import model_card
from omnireid.models.registry import build_model
from omnireid.models.weights import load_weights, save_weights

SMALL = InputSpec(height=64, width=32)


def weights(path: Path, **options: object) -> Path:
    network = build_model("osnet_x0_25", **options)
    network.initialise(torch.Generator().manual_seed(3))
    save_weights(path, network, model_card("osnet_x0_25").model_copy(update={"input": SMALL}))
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return weights(tmp_path_factory.mktemp("gates") / "model.safetensors", blocks=(1, 1, 2))


def test_gates_are_those_of_the_block_for_each_picture(
    model: Path, toy_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(
        reading, "cluster_gates", lambda gates, paths, *rest, **more: seen.append((gates, paths))
    )
    dataset = read_dataset("market-layout", toy_root)
    embedder = Embedder.open(model, batch_size=4)
    GateReader(embedder, Gates(2, "conv3.0", max_pictures=10)).clusters(dataset, seed=1)
    (gates, paths), network = seen[0], load_weights(model)[0].eval()
    assert gates.shape == (10, 4, 24)
    assert len(set(paths)) == 10
    block = network.get_submodule("conv3.0")
    with torch.no_grad():
        crops = np.stack([load_crop(path, SMALL) for path in paths])
        images = torch.from_numpy(normalise(crops, SMALL))
        x = block.conv1(network.pool2(network.conv2(network.stem(images))))
        for number, stream in enumerate(block.streams()):
            pooled = stream(x).mean((2, 3))
            gate = block.gate
            hidden = torch.relu(pooled @ gate.fc1.weight[:, :, 0, 0].T + gate.fc1.bias)
            expected = torch.sigmoid(hidden @ gate.fc2.weight[:, :, 0, 0].T + gate.fc2.bias)
            np.testing.assert_allclose(gates[:, number], expected, rtol=1e-4, atol=1e-5)


def test_a_report_shows_the_clusters(omnireid: Run, model: Path, toy_root: Path, tmp_path: Path) -> None:
    words = ["evaluate", "--model", model, "--data", "market-layout", "--root", toy_root, "--no-analysis"]
    done = omnireid(*words, "--gate-clusters", 3, "--out", tmp_path / "with")
    assert done.code == 0, done.err
    page = html.unescape((tmp_path / "with" / "report.html").read_text())
    assert "18 test pictures in 3 clusters by what the gates of block conv4.1 let through" in page
    sizes = [int(size) for size in re.findall(r"Cluster \d+ <span[^>]*>(\d+) pictures</span>", page)]
    assert len(sizes) == 3
    assert sum(sizes) == 18
    sheets = re.findall(r'<div class="sheet">(.*?)</div>', page, re.DOTALL)
    assert [sheet.count("<img") for sheet in sheets] == [min(size, 15) for size in sizes]
    assert omnireid(*words, "--out", tmp_path / "without").code == 0
    assert "Gate clusters" not in (tmp_path / "without" / "report.html").read_text()
    done = omnireid(*words, "--gate-block", "conv3.0", "--out", tmp_path / "without")
    assert "no effect without --gate-clusters" in done.err


def test_what_cannot_be_shown_is_refused_before_anything_is_evaluated(
    model: Path, toy_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omnireid.experiment.measure.evaluate_model", None)
    dataset = read_dataset("market-layout", toy_root)
    with pytest.raises(InputError, match="18 pictures have fewer than 99 different gate vectors"):
        evaluate(str(model), dataset, out=tmp_path, options=EvaluationOptions(gates=Gates(99)))
    with pytest.raises(InputError, match="shown in a report"):
        evaluate(str(model), dataset, options=EvaluationOptions(gates=Gates()))
    with pytest.raises(UnknownNameError, match=r"conv4\.1"):
        evaluate(str(model), dataset, out=tmp_path, options=EvaluationOptions(gates=Gates(2, "conv4.2")))
    plain = weights(tmp_path / "plain.safetensors", blocks=(1, 1, 1), fusion="addition")
    with pytest.raises(InputError, match="no aggregation gates"):
        evaluate(str(plain), dataset, out=tmp_path, options=EvaluationOptions(gates=Gates()))
    with pytest.raises(InputError, match="at least 2"):
        Gates(1)
    assert not (tmp_path / "result.json").exists()
