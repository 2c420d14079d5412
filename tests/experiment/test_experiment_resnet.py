"""A second family goes all the way: trained from a published file, evaluated, embedded, exported, shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from toy_people import write_toy_people

torch = pytest.importorskip("torch")

from omnireid.core.errors import WeightsError  # noqa: E402
from omnireid.data.datasets import read_dataset  # noqa: E402
from omnireid.experiment.evaluation import evaluate_model  # noqa: E402
from omnireid.experiment.training import train_on  # noqa: E402
from omnireid.inference.embedder import Embedder  # noqa: E402
from omnireid.inference.export.exporter import export_onnx  # noqa: E402
from omnireid.models.registry import build_model  # noqa: E402
from omnireid.models.weights import load_weights  # noqa: E402
from omnireid.report.activation import activation_map  # noqa: E402
from omnireid.training.options import RunOptions  # noqa: E402
from omnireid.training.recipe import load_recipe  # noqa: E402


@pytest.mark.slow
def test_resnet_50_trains_evaluates_embeds_exports_and_shows_where_it_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(3)
    published = build_model("resnet50").state_dict()
    torch.save(published | {"fc.weight": torch.zeros(1000, 2048)}, tmp_path / "resnet50-0676ba61.pth")
    recipe = load_recipe(
        "resnet50",
        {
            "initial_weights": str(tmp_path / "resnet50-0676ba61.pth"),
            "input": {"height": 32, "width": 16},
            "sampler.batch_size": 8,
            "schedule.milestones": [],
            "schedule.warmup_epochs": 0,
            "epochs": 1,
        },
    )
    dataset = read_dataset("market-layout", write_toy_people(tmp_path / "people"))
    trained = train_on(recipe, dataset, tmp_path / "run", RunOptions(device="cpu"))
    assert trained.card.architecture == "resnet50"
    assert not torch.equal(trained.model.state_dict()["conv1.weight"], published["conv1.weight"])

    embedder = Embedder.open(trained.weights, device="cpu")
    assert (embedder.backend.name, embedder.dim) == ("torch", 2048)
    evaluation = evaluate_model(embedder, dataset)
    assert evaluation.record.metrics.mAP is not None
    with pytest.raises(WeightsError, match=r"fast forms exist for OSNets only"):
        Embedder.open(trained.weights, backend="native")

    network, card = load_weights(trained.weights)
    monkeypatch.setattr("omnireid.inference.export.exporter.MIN_CROPS", 40)
    proof = export_onnx(network, card, tmp_path / "resnet.onnx", num_crops=40)
    assert (proof.form, proof.architecture) == ("readable", "resnet50")
    crops = np.random.default_rng(0).integers(0, 256, (3, 32, 16, 3), np.uint8)
    exported = Embedder.open(tmp_path / "resnet.onnx", threads=1)
    assert (exported.embed(crops) * embedder.embed(crops)).sum(axis=1).min() > 0.99999
    maps = exported.feature_maps(crops)
    assert maps is not None
    assert activation_map(maps).shape == (3, 2, 1)
