from __future__ import annotations

import errno
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from omnireid.core.errors import DatasetError, ImageError, InputError, StorageError, TrainingError
from omnireid.core.types import Split
from omnireid.data import augmentation
from omnireid.data.datasets import read_dataset
from omnireid.losses import CrossEntropyLabelSmooth, jensen_shannon
from omnireid.models.weights import load_weights
from omnireid.training import loop
from omnireid.training.checkpoint import load_checkpoint
from omnireid.training.loop import train
from omnireid.training.recipe import Recipe, load_recipe

TINY = {
    "input": {"height": 64, "width": 32},
    "sampler.batch_size": 12,
    "epochs": 3,
    "optimiser.lr": 0.002,
    "schedule.warmup_epochs": 0,
}


def tiny_recipe(**overrides: Any) -> Recipe:
    return load_recipe(
        "quickstart", {**TINY, **{key.replace("__", "."): value for key, value in overrides.items()}}
    )


@pytest.fixture
def samples(toy_root: Path) -> Split:
    return read_dataset("market-layout", toy_root).train


def weights_of(run_dir: Path) -> dict[str, torch.Tensor]:
    return load_weights(run_dir / "model.safetensors")[0].state_dict()


def assert_same_weights(one: Path, other: Path) -> None:
    first, second = weights_of(one), weights_of(other)
    assert first.keys() == second.keys()
    assert [key for key in first if not torch.equal(first[key], second[key])] == []


class StoppedError(Exception):
    pass


def stop_after(epochs: int) -> Any:
    def evaluate(_: object, epochs_done: int) -> dict[str, float]:
        if epochs_done > epochs:
            raise StoppedError
        return {}

    return evaluate


def test_training_learns_and_leaves_everything_a_user_needs(samples: Split, tmp_path: Path) -> None:
    trained = train(tiny_recipe(epochs=8), samples, tmp_path, training_data="toy people")
    assert trained.record.history[-1]["loss"] < trained.record.history[0]["loss"]
    assert trained.card.training_pids == 6
    assert trained.card.input.height == 64
    lines = (tmp_path / "history.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == list(range(1, 9))
    assert list((tmp_path / "tensorboard").iterdir())
    assert weights_of(tmp_path).keys() == trained.model.state_dict().keys()


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(samples: Split, tmp_path: Path) -> None:
    train(tiny_recipe(epochs=1), samples, tmp_path / "a", threads=1)
    train(tiny_recipe(epochs=1), samples, tmp_path / "b", threads=3, cache_bytes=0)
    train(tiny_recipe(epochs=1, seed=2), samples, tmp_path / "c")
    assert_same_weights(tmp_path / "a", tmp_path / "b")
    assert not torch.equal(
        weights_of(tmp_path / "a")["conv1.conv.weight"], weights_of(tmp_path / "c")["conv1.conv.weight"]
    )


@pytest.mark.parametrize(
    "overrides",
    [
        {
            "augmentation": ["flip", "random_crop", "random_patch", "color_jitter", "random_erase"],
            "epochs": 4,
        },
        {"optimiser__name": "sgd", "frozen_epochs": 1},
        {"sampler__name": "pk", "loss__triplet": 1.0, "loss__cross_entropy": 0.5},
        {
            "augmentation": ["flip", "random_patch", "soft_erase", "patch_mix", "augmix"],
            "loss__consistency": 12.0,
        },
    ],
    ids=["all-augmentations", "sgd-frozen", "triplet-pk", "three-views"],
)
def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(
    overrides: dict[str, Any], samples: Split, tmp_path: Path
) -> None:
    recipe = tiny_recipe(**overrides, evaluation__every=1)
    train(recipe, samples, tmp_path / "whole")
    for epochs in (1, 2):
        with pytest.raises(StoppedError):
            train(recipe, samples, tmp_path / "parts", evaluate=stop_after(epochs), resume=epochs > 1)
        assert load_checkpoint(tmp_path / "parts" / "checkpoint.pt").epochs_done == epochs
    train(recipe, samples, tmp_path / "parts", resume=True)
    assert_same_weights(tmp_path / "whole", tmp_path / "parts")
    assert len((tmp_path / "parts" / "history.jsonl").read_text().splitlines()) == recipe.epochs


def test_training_with_consistency_learns_to_recognise_and_to_agree(samples: Split, tmp_path: Path) -> None:
    recipe = tiny_recipe(epochs=8, augmentation=["soft_erase", "patch_mix", "augmix"], loss__consistency=12.0)
    history = train(recipe, samples, tmp_path).record.history
    first, last = history[0], history[-1]
    assert last["loss"] < first["loss"]
    assert last["cross_entropy"] < first["cross_entropy"]
    assert last["loss"] == pytest.approx(last["cross_entropy"] + 12 * last["consistency"], rel=1e-5)
    assert 0 < last["consistency"] < math.log(3)
    assert last["images"] == 36


def test_identities_are_learned_from_the_crops_and_consistency_from_all_views(
    samples: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned: list[torch.Tensor] = []
    compared: list[torch.Tensor] = []

    class Watching(CrossEntropyLabelSmooth):
        def forward(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            learned.append(logits)
            return super().forward(logits, labels)

    def watching(logits: torch.Tensor) -> torch.Tensor:
        compared.append(logits)
        return jensen_shannon(logits)

    monkeypatch.setattr(loop, "CrossEntropyLabelSmooth", Watching)
    monkeypatch.setattr(loop, "jensen_shannon", watching)
    recipe = tiny_recipe(epochs=1, augmentation=["augmix"], loss__consistency=12.0)
    train(recipe, samples, tmp_path)
    assert len(learned) == len(compared) == 3
    for crops, views in zip(learned, compared, strict=True):
        assert views.shape == (3, 12, 6)
        assert torch.equal(views[0], crops)
        assert not torch.equal(views[1], crops)


def test_views_that_do_not_differ_are_consistent(
    samples: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(augmentation, "augmix", lambda crops, mixture: crops)
    recipe = tiny_recipe(epochs=1, augmentation=["soft_erase", "augmix"], loss__consistency=12.0)
    assert train(recipe, samples, tmp_path).record.history[0]["consistency"] == pytest.approx(0, abs=1e-5)


def test_kill_9_loses_at_most_the_epoch_it_interrupts(toy_root: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(epochs=4)
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe.model_dump(mode="json")))
    command = [sys.executable, "-m", "omnireid", "train", "--data", "market-layout", "--root", str(toy_root)]
    command += ["--recipe", str(tmp_path / "recipe.yaml"), "--out", str(tmp_path / "killed")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    checkpoint = tmp_path / "killed" / "checkpoint.pt"
    deadline = time.monotonic() + 120
    while not checkpoint.is_file() and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert load_checkpoint(checkpoint).epochs_done >= 1
    subprocess.run([*command, "--resume"], check=True, capture_output=True)
    # A process of its own too: another number of threads may add in another order.
    subprocess.run([*command[:-1], str(tmp_path / "whole")], check=True, capture_output=True)
    assert_same_weights(tmp_path / "whole", tmp_path / "killed")


def test_frozen_epochs_leave_the_base_alone(samples: Split, tmp_path: Path) -> None:
    states: list[dict[str, torch.Tensor]] = []

    def keep(network: nn.Module, _: int) -> dict[str, float]:
        states.append({key: value.clone() for key, value in network.state_dict().items()})
        return {}

    train(tiny_recipe(frozen_epochs=2, evaluation__every=1), samples, tmp_path, evaluate=keep)
    first, second, third = states
    assert [key for key in first if not torch.equal(first[key], second[key])] == []
    changed = [key for key in second if not torch.equal(second[key], third[key])]
    assert "conv1.conv.weight" in changed
    assert "conv1.bn.running_mean" in changed


def test_a_loss_that_is_not_finite_stops_with_the_batch_named(
    samples: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    class Poisoned(nn.Module):
        def __init__(self, *_: object, **__: object) -> None:
            super().__init__()

        def forward(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            calls.append(labels)
            return logits.sum() * (float("nan") if len(calls) == 5 else 0.0)

    monkeypatch.setattr(loop, "CrossEntropyLabelSmooth", Poisoned)
    with pytest.raises(TrainingError, match=r"nan in epoch 2, step 2, on a batch that begins with .*\.jpg"):
        train(tiny_recipe(), samples, tmp_path)
    report = json.loads((tmp_path / "bad_batch.json").read_text())
    assert len(report["files"]) == 12
    assert load_checkpoint(tmp_path / "checkpoint.pt").epochs_done == 1


def test_resume_refuses_another_recipe_other_data_or_a_damaged_checkpoint(
    samples: Split, tmp_path: Path
) -> None:
    train(tiny_recipe(epochs=1), samples, tmp_path)
    with pytest.raises(TrainingError, match="another epochs, seed"):
        train(tiny_recipe(epochs=2, seed=7), samples, tmp_path, resume=True)
    fewer = Split("train", samples.samples[:-1])
    with pytest.raises(TrainingError, match="training samples are not the ones"):
        train(tiny_recipe(epochs=1), fewer, tmp_path, resume=True)
    checkpoint = tmp_path / "checkpoint.pt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(TrainingError, match="damaged or not a checkpoint"):
        train(tiny_recipe(epochs=1), samples, tmp_path, resume=True)
    with pytest.raises(TrainingError, match="no checkpoint to resume from"):
        train(tiny_recipe(epochs=1), samples, tmp_path / "empty", resume=True)


def test_a_full_disk_keeps_the_last_checkpoint(
    samples: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_the_disk(_: object, epochs_done: int) -> dict[str, float]:
        if epochs_done == 2:
            monkeypatch.setattr(os, "fsync", full)
        return {}

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageError, match=r"checkpoint\.pt: the disk is full"):
        train(tiny_recipe(evaluation__every=1), samples, tmp_path, evaluate=fill_the_disk)
    assert load_checkpoint(tmp_path / "checkpoint.pt").epochs_done == 1
    assert not list(tmp_path.glob("*.tmp"))


def test_a_device_that_is_not_there_is_named(samples: Split, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cuda:99"):
        train(tiny_recipe(), samples, tmp_path, device="cuda:99")


def test_two_runs_cannot_share_a_folder(samples: Split, tmp_path: Path) -> None:
    def second_run(_: object, __: int) -> dict[str, float]:
        with pytest.raises(TrainingError, match="another process trains in this folder"):
            train(tiny_recipe(), samples, tmp_path)
        return {}

    train(tiny_recipe(epochs=1, evaluation__every=1), samples, tmp_path, evaluate=second_run)


def test_a_bad_picture_stops_or_is_skipped_as_asked(toy_root: Path, tmp_path: Path) -> None:
    samples = read_dataset("market-layout", toy_root).train
    broken = tmp_path / "0001_c1s1_000000_00.jpg"
    broken.write_bytes(Path(samples.samples[0].path).read_bytes()[:300])
    bad = type(samples.samples[0])(str(broken), pid=1, camid=0)
    with_bad = Split("train", (bad, *samples.samples[1:]))
    with pytest.raises(ImageError, match=r"0001_c1s1_000000_00\.jpg"):
        train(tiny_recipe(epochs=1), with_bad, tmp_path / "stops")
    trained = train(tiny_recipe(epochs=1), with_bad, tmp_path / "skips", on_bad="skip")
    assert trained.record.history[0]["images"] == 36
    assert trained.skipped == (f"{broken}: {trained.skipped[0].split(': ', 1)[1]}",)


def test_data_that_cannot_train_is_refused(samples: Split, tmp_path: Path) -> None:
    one_person = Split("train", tuple(sample for sample in samples if sample.pid == 1))
    with pytest.raises(DatasetError, match="has 1 person"):
        train(tiny_recipe(), one_person, tmp_path)


def test_bf16_and_ablations_train_too(samples: Split, tmp_path: Path) -> None:
    recipe = tiny_recipe(
        epochs=1, precision="bf16-mixed", model_options={"fusion": "concatenation", "stream_depths": [1, 2]}
    )
    train(recipe, samples, tmp_path)
    network, _ = load_weights(tmp_path / "model.safetensors")
    assert network.config.fusion == "concatenation"
