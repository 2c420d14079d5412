"""Classification: from folders of classes to top-1 accuracy, record and report, and on from a checkpoint."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from command_line import Done, runner
from omnireid import Embedder, Ranking, evaluate
from omnireid.core.card import InputSpec, ModelRef
from omnireid.core.errors import InputError
from omnireid.core.images import load_crop, normalise
from omnireid.core.options import Protocol
from omnireid.core.types import Embeddings, Sample, Split
from omnireid.data.combine import combine_sources
from omnireid.data.datasets import read_dataset
from omnireid.evaluation.ranking import evaluate_embeddings
from omnireid.experiment.classes import class_items
from omnireid.experiment.run import main_job
from omnireid.models.weights import load_weights
from omnireid.training.recipe import load_recipe

NAMES = ("ant", "bee", "cat", "dog", "elk", "fox")
TINY = {
    "model_options": "{stem_stride: 1, channels: [16, 16, 16, 16], blocks: [1, 1, 1]}",
    "model": "osnet_x0_25",
    "input": "{height: 16, width: 16}",
    "sampler.batch_size": 12,
    "optimiser.lr": 0.05,
    "evaluation.every": 1,
    "seed": 3,
}


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six colours with much noise: hard enough that not all are told apart."""
    root = tmp_path_factory.mktemp("classes")
    for number, name in enumerate(NAMES):
        generator = np.random.default_rng(number)
        colour = generator.integers(60, 196, 3)
        for split, count in (("train", 8), ("test", 4)):
            (root / split / name).mkdir(parents=True)
            for index in range(count):
                pixels = np.clip(colour + generator.normal(0, 60, (16, 16, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{index}.png")
    return root


def trained(run: Any, root: Path, out: Path, epochs: int, *more: str) -> Done:
    settings = [
        word for item in {**TINY, "epochs": epochs}.items() for word in ("--set", "=".join(map(str, item)))
    ]
    words = ("--data", "class-folders", "--root", root, "--recipe", "cifar10", "--out", out)
    return run("run", *words, *settings, *more)


def naive_ranks(out: Path, root: Path) -> list[int]:
    """Rank of the true class for each test picture, by the saved weights, one picture at a time."""
    network, card = load_weights(out / "model.safetensors")
    state = torch.load(out / "checkpoint.pt", weights_only=True)["model"]
    weight, bias = state["classifier.weight"].numpy(), state["classifier.bias"].numpy()
    ranks = []
    for label, name in enumerate(NAMES):
        for path in sorted((root / "test" / name).iterdir()):
            crop = load_crop(path, InputSpec(height=16, width=16))
            with torch.no_grad():
                embedding = network.eval()(torch.from_numpy(normalise(crop[None], card.input)))[0].numpy()
            logits = [float(row @ embedding + shift) for row, shift in zip(weight, bias, strict=True)]
            ranks.append(1 + sum(logit > logits[label] for logit in logits))
    return ranks


def test_run_trains_and_scores_classes_and_resume_goes_on(
    classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = runner(monkeypatch, capsys), tmp_path / "run"
    done = trained(run, classes, out, 2)
    assert done.code == 0, done.err
    assert "classes in the order of the classifier's logits" in done.out
    assert "gallery:" not in done.out
    for epochs in (2, 3):
        record = json.loads((out / "result.json").read_text())
        ranks = np.array(naive_ranks(out, classes))
        assert record["metrics"]["rank1"] == np.mean(ranks == 1)
        assert record["metrics"]["rank5"] == np.mean(ranks <= 5)
        assert record["metrics"]["mAP"] is None
        assert (record["protocol"]["name"], record["protocol"]["num_gallery"]) == ("classes", 6)
        assert record["training"]["history"][-1]["rank1"] == record["metrics"]["rank1"]
        assert record["training"]["best"]["metric"] == "rank1"
        assert len(record["training"]["history"]) == epochs
        report = (out / "report.html").read_text()
        assert "top-1 accuracy (class-folders, 24 pictures of 6 classes)" in report
        assert '<th class="n">classes</th></tr>' in report
        if epochs == 2:
            done = trained(run, classes, out, 3, "--resume")
            assert done.code == 0, done.err
    assert 0 < np.mean(ranks == 1) < 1
    assert sorted(path.name for path in out.glob("*.parquet")) == []
    with pytest.raises(
        InputError, match="class-folders: scored by a classifier, which only 'omnireid run' has"
    ):
        evaluate(out / "model.safetensors", "class-folders", classes)


def test_a_classifier_is_asked_for_what_it_learned(classes: Path, tmp_path: Path) -> None:
    """As many classes of other names, and several sources, would be scored without a meaning."""
    shutil.copytree(classes, tmp_path / "data")
    for split in ("train", "test"):
        (tmp_path / "data" / split / "bee").rename(tmp_path / "data" / split / "bat")
    learned, other = (read_dataset("class-folders", root) for root in (classes, tmp_path / "data"))
    small = {"height": 16, "width": 16}
    recipe = load_recipe("quickstart", {"epochs": 1, "input": small, "sampler.batch_size": 12})
    for dataset, target in ((learned, other), (combine_sources([learned, other]), learned)):
        with pytest.raises(InputError, match=f"not the classes of {re.escape(dataset.name)}"):
            main_job(recipe, dataset, tmp_path / "run", targets=[target])
    assert not (tmp_path / "run").exists()


def test_a_ranking_of_unit_vectors_is_the_order_of_logits() -> None:
    generator = np.random.default_rng(4)
    logits = generator.normal(0, 3, (300, 7)).astype(np.float32)
    labels = generator.integers(0, 7, 300)
    model = ModelRef("logits", None, 7)
    query = Embeddings(
        logits, [Sample(f"{row}.png", int(label) + 1, 0) for row, label in enumerate(labels)], model, False
    )

    class Logits:
        dim, ref, normalise = 7, model, False

    gallery = class_items(
        Logits(), Split("gallery", tuple(Sample(f"c{pid}.png", pid, 0) for pid in range(1, 8)))
    )  # type: ignore[arg-type]
    better = (logits > logits[np.arange(300), labels][:, None]).sum(axis=1)
    for distance in ("cosine", "euclidean", "sq_euclidean"):
        ranking = evaluate_embeddings(query, gallery, Ranking(distance), protocol=Protocol.CLASSES)
        assert ranking.first_match_rank.tolist() == (better + 1).tolist()
        assert ranking.rank(5) == np.mean(better < 5)
        assert ranking.mAP is None


def test_classes_meet_in_one_camera_and_people_do_not(classes: Path) -> None:
    data = read_dataset("class-folders", classes)
    assert data.protocol is Protocol.CLASSES
    assert not data.protocol.uses_cameras
    with pytest.raises(InputError, match="meet their person only in their own camera"):
        evaluate(Embedder.open(), read_dataset("class-folders", classes, protocol=Protocol.MARKET1501))
