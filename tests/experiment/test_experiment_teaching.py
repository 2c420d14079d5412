from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from command_line import Run
from omnireid.core.errors import ConfigError, InputError, ShapeError
from omnireid.core.types import Split
from omnireid.data.datasets import read_dataset
from omnireid.experiment import teaching
from omnireid.experiment.teaching import teacher_embeddings
from omnireid.inference.embedder import Embedder
from omnireid.training.loop import train
from omnireid.training.parts import taught_by
from omnireid.training.recipe import Recipe, load_recipe
from toy_people import stripes_onnx

TINY = {
    "input": {"height": 32, "width": 16},
    "model_options": {"blocks": [1, 1, 1], "stream_depths": [1]},
    "sampler.batch_size": 12,
    "schedule.warmup_epochs": 0,
    "augmentation": [],
    "optimiser.lr": 0.02,
    "epochs": 8,
}


def recipe(**loss: Any) -> Recipe:
    return load_recipe(
        "quickstart", {**TINY, "teacher": "t.onnx", **{f"loss.{k}": v for k, v in loss.items()}}
    )


@pytest.fixture
def samples(toy_root: Path) -> Split:
    return read_dataset("market-layout", toy_root).train


def test_embeddings_are_made_once_and_again_for_others(
    samples: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = str(stripes_onnx(tmp_path / "t.onnx", 1.0))
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    first = teacher_embeddings(model, samples, run_dir)
    np.testing.assert_allclose(first, Embedder.open(model).embed_samples(samples.samples).vectors)
    made = []
    embed = Embedder.embed_samples
    monkeypatch.setattr(
        teaching.Embedder, "embed_samples", lambda *given, **more: made.append(1) or embed(*given, **more)
    )
    np.testing.assert_array_equal(teacher_embeddings(model, samples, run_dir), first)
    assert made == []
    fewer = Split("train", samples.samples[3:])
    assert len(teacher_embeddings(model, fewer, run_dir)) == len(first) - 3
    other = str(stripes_onnx(tmp_path / "other.onnx", 2.0))
    teacher_embeddings(other, fewer, run_dir)
    assert made == [1, 1]
    (run_dir / "teacher.npz").write_bytes(b"PK\x03\x04half a file")
    teacher_embeddings(other, fewer, run_dir, writes=False)
    assert made == [1, 1, 1]
    assert (run_dir / "teacher.npz").read_bytes() == b"PK\x03\x04half a file"


@pytest.mark.parametrize(
    "weights",
    [{"teacher_features": 1.0, "teacher_distances": 10.0, "teacher_angles": 5.0}, {"teacher_logits": 1.0}],
)
def test_a_student_comes_nearer_to_its_teacher(
    samples: Split, tmp_path: Path, weights: dict[str, float]
) -> None:
    # Junk has a row, too, and takes none from the others.
    several = Split("train", (replace(samples.samples[0], pid=-1), *samples.samples))
    model = str(stripes_onnx(tmp_path / "t.onnx", 1.0))
    (tmp_path / "run").mkdir()
    embeddings = teacher_embeddings(model, several, tmp_path / "run")
    taught = recipe(cross_entropy=0.0, **weights)
    history = train(taught, several, tmp_path / "run", teacher=embeddings).record.history
    for name in weights:
        assert history[-1][name] < 0.8 * history[0][name]


def test_what_learns_from_a_teacher_does_not_go_without(samples: Split, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"loss\.teacher_angles learns from a teacher: give its embeddings"):
        train(recipe(teacher_angles=1.0), samples, tmp_path / "run")


def test_a_run_is_resumed_with_the_teacher_it_began_with(
    omnireid: Run, toy_root: Path, tmp_path: Path
) -> None:
    model = stripes_onnx(tmp_path / "t.onnx", 1.0)
    given = {**TINY, "epochs": 1, "loss.teacher_distances": 10, "loss.teacher_features": 1}
    command = [
        "train", "--data", "market-layout", "--root", toy_root, "--recipe", "quickstart", "--out",
        tmp_path / "run", "--teacher", model,
        *(word for key, value in given.items() for word in ("--set", f"{key}={json.dumps(value)}")),
    ]  # fmt: skip
    code, _, err = omnireid(*command)
    assert code == 0, err
    assert "the teacher t embeds 36 pictures" in err
    code, _, err = omnireid(*command, "--set", "epochs=2", "--resume")
    assert code == 0, err
    assert "embeds" not in err
    history = (tmp_path / "run" / "history.jsonl").read_text().splitlines()
    assert ["teacher_features" in json.loads(line) for line in history] == [True, True]
    stripes_onnx(model, 2.0)
    code, _, err = omnireid(*command, "--set", "epochs=3", "--resume")
    assert code != 0
    assert "another teacher or other pictures" in err


def test_prototypes_are_means() -> None:
    embeddings = np.eye(3, dtype=np.float32)[[0, 1, 2, 2]]
    taught = taught_by(embeddings, torch.tensor([0, 0, 1, 1]), torch.device("cpu"))
    assert taught.embeddings.tolist() == embeddings.tolist()
    half = 0.5**0.5
    torch.testing.assert_close(taught.prototypes, torch.tensor([[half, half, 0], [0, 0, 1]]))
    with pytest.raises(ShapeError, match="teacher"):
        taught_by(embeddings, torch.tensor([0, 1]), torch.device("cpu"))


def test_a_teacher_and_what_learns_from_it_belong_together(
    omnireid: Run, toy_root: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        ConfigError, match=r"loss\.teacher_angles learns from a teacher: give --teacher MODEL"
    ):
        load_recipe("quickstart", {"loss.teacher_angles": 1.0})
    code, _, err = omnireid(
        "train", "--data", "market-layout", "--root", toy_root, "--recipe", "quickstart", "--out",
        tmp_path / "run", "--teacher", "t.onnx",
    )  # fmt: skip
    assert code == 2
    assert "no loss learns from it; give a weight to loss.teacher_features or" in err
