"""Several processes train what one trains, and a run outlives the death of any of them."""

from __future__ import annotations

import multiprocessing
import time
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch

from omnireid.core.errors import ConfigError, TrainingError
from omnireid.core.types import Split
from omnireid.data.datasets import read_dataset
from omnireid.experiment.sharing import SharingEmbedder
from omnireid.experiment.training import train_on
from omnireid.inference.backends.torch_eager import TorchBackend
from omnireid.inference.embedder import Embedder
from omnireid.training import together
from omnireid.training.checkpoint import load_checkpoint
from omnireid.training.loop import train
from omnireid.training.options import LoopOptions, RunOptions
from omnireid.training.processes import Rank, check_devices, launch, refuse_torchrun
from omnireid.training.recipe import Recipe, load_recipe
from omnireid.training.together import Team, synchronise_norms

TINY = {
    "input": {"height": 64, "width": 32},
    "sampler.batch_size": 12,
    "optimiser.name": "sgd",
    # Low: steps of training amplify what rounding makes different, above all where it decides a maximum.
    "optimiser.lr": 0.0002,
    "schedule.warmup_epochs": 0,
    "augmentation": [],
    "epochs": 1,
    "model_options": {"blocks": [1, 1, 1], "stream_depths": [1]},
}
# Everything learns and batch norm sees the whole batch; and only the classifier learns, of frozen statistics.
RECIPES = {
    "synchronised": {
        "sync_batch_norm": True,
        "sampler.name": "pk",
        "sampler.num_instances": 3,
        "loss.triplet": 1.0,
        "teacher": "t.onnx",
        "loss.teacher_features": 1.0,
        "loss.teacher_logits": 0.1,
    },
    "neck": {
        "sync_batch_norm": True,
        "model_options": {"blocks": [1, 1, 1], "stream_depths": [1], "neck": True},
        "peer": "osnet_x0_25",
        "peer_options": {"blocks": [1, 1, 1], "stream_depths": [1]},
        "loss.mutual": 1.0,
    },
    "searched": {
        "sync_batch_norm": True,
        "model_options": {
            "blocks": [1, 1, 1],
            "stream_depths": [1],
            "instance_norm": [["searched"], ["none"], ["none"]],
        },
    },
    "frozen": {"frozen_epochs": 1, "epochs": 2, "sync_batch_norm": True},
}


def recipe(**overrides: Any) -> Recipe:
    return load_recipe("quickstart", {**TINY, **{key.replace("__", "."): v for key, v in overrides.items()}})


def train_each(samples: Split, folder: Path, rank: Rank) -> None:
    torch.set_num_threads(1)
    teacher = np.random.default_rng(1).normal(size=(len(samples), 5)).astype(np.float32)
    teacher /= np.linalg.norm(teacher, axis=1, keepdims=True)
    for name, overrides in RECIPES.items():
        options = LoopOptions(rank=rank, device="cpu")
        trained = train(recipe(**overrides), samples, folder / name, teacher=teacher, options=options)
    if rank.size > 1:
        backend = TorchBackend(trained.model, trained.card, device="cpu")
        alone, shared = (kind(backend).embed_samples(samples.samples) for kind in (Embedder, SharingEmbedder))
        assert shared.paths == alone.paths
        np.testing.assert_allclose(shared.vectors, alone.vectors, atol=1e-5)


# A neck leaves embeddings so near to each other at first that rounding decides which triplets are hardest.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:loss.triplet from scratch")
def test_two_processes_equal_one_with_the_same_batches(toy_root: Path, tmp_path: Path) -> None:
    samples = read_dataset("market-layout", toy_root).train
    (tmp_path / "two").mkdir()
    launch(partial(train_each, samples, tmp_path / "two"), 2)
    train_each(samples, tmp_path / "one", Rank())
    for name in RECIPES:
        one, two = (load_checkpoint(tmp_path / folder / name / "checkpoint.pt") for folder in ("one", "two"))
        assert one.model.keys() == two.model.keys()
        for key in one.model:
            torch.testing.assert_close(two.model[key], one.model[key], rtol=1e-4, atol=1e-4)
        for row, other in zip(one.history, two.history, strict=True):
            assert other["images"] == row["images"]
            assert other["loss"] == pytest.approx(row["loss"], rel=1e-4)


@pytest.mark.slow
def test_a_killed_process_ends_the_run_and_one_device_goes_on(toy_root: Path, tmp_path: Path) -> None:
    dataset = read_dataset("market-layout", toy_root)
    wanted = recipe(epochs=3, evaluation__every=1, augmentation=["flip"])

    def kill_the_second() -> None:
        while not (tmp_path / "checkpoint.pt").is_file():
            time.sleep(0.005)
        # Started one after the other, and the numbers in names have more and more digits.
        second = max(
            multiprocessing.active_children(), key=lambda process: int(process.name.rpartition("-")[2])
        )
        second.kill()

    Thread(target=kill_the_second, daemon=True).start()
    with pytest.raises(TrainingError, match=r"process 2 of 2 was killed by SIGKILL.*--resume"):
        train_on(wanted, dataset, tmp_path, RunOptions(device="cpu", devices=2))
    assert multiprocessing.active_children() == []
    done = train_on(wanted, dataset, tmp_path, RunOptions(device="cpu", resume=True))
    assert [row["epoch"] for row in done.record.history] == [1, 2, 3]


def test_batches_are_shared_out_whole() -> None:
    people = recipe(sampler__name="pk", sampler__num_instances=3)
    batch = torch.arange(12).numpy()
    shares = [Team(Rank(index, 2, 2), people).share(batch).tolist() for index in range(2)]
    assert shares == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
    with pytest.raises(ConfigError, match=r"12 cannot be shared out among 3 devices.*batch_size=9"):
        Team(Rank(0, 3, 3), people)
    with pytest.raises(ConfigError, match=r"12 cannot be shared out among 12 devices.*batch_size=24"):
        Team(Rank(0, 12, 12), recipe())


def test_torchrun_says_which_process_this_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Rank.of_torchrun() == Rank()
    for name, value in {
        "TORCHELASTIC_RUN_ID": "a",
        "RANK": "5",
        "WORLD_SIZE": "8",
        "LOCAL_WORLD_SIZE": "4",
    }.items():
        monkeypatch.setenv(name, value)
    rank = Rank.of_torchrun()
    assert (rank.index, rank.size, rank.local_size, rank.leads) == (5, 8, 4, False)
    check_devices(1, "auto", rank)
    with pytest.raises(ConfigError, match=r"omnireid run starts its processes itself: give --devices"):
        refuse_torchrun("run")
    with pytest.raises(ConfigError, match="torchrun started 4 processes"):
        check_devices(2, "auto", rank)
    with pytest.raises(ConfigError, match="without a number"):
        check_devices(4, "cuda:1", rank)


@pytest.mark.parametrize("affine", [True, False])
def test_a_synchronised_norm_alone_is_torchs_own_also_without_scale(
    affine: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together.dist, "get_world_size", lambda: 1)
    monkeypatch.setattr(together.dist, "all_gather", lambda parts, values: parts[0].copy_(values))
    values = 3 * torch.randn(4, 5, 6, 2, generator=torch.Generator().manual_seed(1)) + 2
    norms = [torch.nn.BatchNorm2d(5, affine=affine) for _ in range(2)]
    if affine:
        for norm in norms:
            norm.weight.data, norm.bias.data = torch.arange(5) - 1.5, torch.arange(5) + 0.5
    synchronise_norms(norms[1])
    torch.testing.assert_close(norms[1](values), norms[0](values))
    torch.testing.assert_close(norms[1].running_var, norms[0].running_var)
