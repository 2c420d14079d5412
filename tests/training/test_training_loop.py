from __future__ import annotations

import dataclasses
import errno
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

from folded_networks import folded, trained_network
from omnireid.core.card import InputSpec
from omnireid.core.errors import (
    ConfigError,
    DatasetError,
    ImageError,
    InputError,
    StorageError,
    TrainingError,
    WeightsError,
)
from omnireid.core.images import load_crop, normalise
from omnireid.core.types import Split
from omnireid.data import augmentation
from omnireid.data.datasets import read_dataset
from omnireid.losses import consistency, cross_entropy
from omnireid.losses.consistency import jensen_shannon
from omnireid.losses.cross_entropy import smoothed_cross_entropy
from omnireid.models.classifier import IdentityClassifier
from omnireid.models.weights import load_weights
from omnireid.training import loop
from omnireid.training.checkpoint import load_checkpoint
from omnireid.training.loop import train
from omnireid.training.options import LoopOptions
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
        if epochs_done >= epochs:
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
    train(tiny_recipe(epochs=1), samples, tmp_path / "a", options=LoopOptions(threads=1))
    train(tiny_recipe(epochs=1), samples, tmp_path / "b", options=LoopOptions(threads=3, cache_bytes=0))
    train(tiny_recipe(epochs=1, seed=2), samples, tmp_path / "c")
    assert_same_weights(tmp_path / "a", tmp_path / "b")
    assert not torch.equal(
        weights_of(tmp_path / "a")["conv1.conv.weight"], weights_of(tmp_path / "c")["conv1.conv.weight"]
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [
        {
            "augmentation": ["flip", "random_crop", "random_patch", "color_jitter", "random_erase"],
            "epochs": 4,
        },
        {"optimiser__name": "sgd", "frozen_epochs": 1},
        {
            "sampler__name": "pk",
            "loss__triplet": 1.0,
            "loss__cross_entropy": 0.5,
            "model_options": {"neck": True},
        },
        {
            "augmentation": ["flip", "random_patch", "soft_erase", "patch_mix", "augmix"],
            "loss__consistency": 12.0,
        },
        {"fused": True, "frozen_epochs": 1},
    ],
    ids=["all-augmentations", "sgd-frozen", "triplet-pk", "three-views", "fused"],
)
def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(
    overrides: dict[str, Any], samples: Split, tmp_path: Path
) -> None:
    recipe = tiny_recipe(**overrides, evaluation__every=1)
    train(recipe, samples, tmp_path / "whole")
    for epochs in (1, 2):
        with pytest.raises(StoppedError):
            train(
                recipe,
                samples,
                tmp_path / "parts",
                evaluate=stop_after(epochs),
                options=LoopOptions(resume=epochs > 1),
            )
        assert load_checkpoint(tmp_path / "parts" / "checkpoint.pt").epochs_done == epochs
    train(recipe, samples, tmp_path / "parts", options=LoopOptions(resume=True))
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

    def learning(logits: torch.Tensor, labels: torch.Tensor, smoothing: float) -> torch.Tensor:
        learned.append(logits)
        return smoothed_cross_entropy(logits, labels, smoothing)

    def watching(logits: torch.Tensor) -> torch.Tensor:
        compared.append(logits)
        return jensen_shannon(logits)

    monkeypatch.setattr(cross_entropy, "smoothed_cross_entropy", learning)
    monkeypatch.setattr(consistency, "jensen_shannon", watching)
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


@pytest.mark.slow
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

    def keep(network: IdentityClassifier, _: int) -> dict[str, float]:
        states.append({key: value.clone() for key, value in network.backbone.state_dict().items()})
        return {}

    train(tiny_recipe(frozen_epochs=2, evaluation__every=1), samples, tmp_path, evaluate=keep)
    first, second, third = states
    assert [key for key in first if not torch.equal(first[key], second[key])] == []
    changed = [key for key in second if not torch.equal(second[key], third[key])]
    assert "conv1.conv.weight" in changed
    assert "conv1.bn.running_mean" in changed


def test_initial_weights_with_folded_norms_are_kept_by_training(
    samples: Split, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = InputSpec(height=64, width=32)
    crops = np.stack([load_crop(sample.path, spec) for sample in samples])
    pictures = torch.from_numpy(normalise(crops, spec))
    true = trained_network("osnet_x0_25", pictures)
    with torch.no_grad():
        before = true(pictures)
    # So slow that no weight moves: whatever changes is the statistics' doing.
    recipe = tiny_recipe(optimiser__lr=1e-9, augmentation=[])
    for initial, folder in ((folded(true), tmp_path / "folded"), (true, tmp_path / "true")):
        trained = train(
            recipe, samples, folder, initial=initial, options=LoopOptions(console=Console(width=400))
        )
        with torch.no_grad():
            after = trained.model(pictures)
        assert float(nn.functional.cosine_similarity(before, after).median()) > 0.9, folder.name
        said = capsys.readouterr().out
        assert ("80 batch norms folded" in said) == (folder.name == "folded")


def test_a_loss_that_is_not_finite_stops_with_the_batch_named(
    samples: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def poisoned(logits: torch.Tensor, labels: torch.Tensor, _: float) -> torch.Tensor:
        calls.append(labels)
        return logits.sum() * (float("nan") if len(calls) == 5 else 0.0)

    monkeypatch.setattr(cross_entropy, "smoothed_cross_entropy", poisoned)
    with pytest.raises(TrainingError, match=r"nan in epoch 2, step 2, on a batch that begins with .*\.jpg"):
        train(tiny_recipe(), samples, tmp_path)
    report = json.loads((tmp_path / "bad_batch.json").read_text())
    assert len(report["files"]) == 12
    assert load_checkpoint(tmp_path / "checkpoint.pt").epochs_done == 1


def test_resume_refuses_another_recipe_other_data_or_a_damaged_checkpoint(
    samples: Split, tmp_path: Path
) -> None:
    train(tiny_recipe(epochs=1), samples, tmp_path)
    with pytest.raises(TrainingError, match="another seed"):
        train(tiny_recipe(epochs=2, seed=7), samples, tmp_path, options=LoopOptions(resume=True))
    fewer = Split("train", samples.samples[:-1])
    with pytest.raises(TrainingError, match="training samples are not the ones"):
        train(tiny_recipe(epochs=1), fewer, tmp_path, options=LoopOptions(resume=True))
    checkpoint = tmp_path / "checkpoint.pt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(TrainingError, match="damaged or not a checkpoint"):
        train(tiny_recipe(epochs=1), samples, tmp_path, options=LoopOptions(resume=True))
    with pytest.raises(TrainingError, match="no checkpoint to resume from"):
        train(tiny_recipe(epochs=1), samples, tmp_path / "empty", options=LoopOptions(resume=True))


def test_a_full_disk_keeps_the_last_checkpoint(
    samples: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_the_disk(_: object, epochs_done: int) -> dict[str, float]:
        if epochs_done == 1:
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
        train(tiny_recipe(), samples, tmp_path, options=LoopOptions(device="cuda:99"))


def test_two_runs_cannot_share_a_folder(samples: Split, tmp_path: Path) -> None:
    def second_run(_: object, __: int) -> dict[str, float]:
        for how in ("resume", "overwrite"):
            # In a thread of its own, as in a process of its own.
            with ThreadPoolExecutor(1) as other:
                options = LoopOptions(**{how: True})
                started = other.submit(train, tiny_recipe(), samples, tmp_path, options=options)
                assert isinstance(started.exception(), TrainingError)
                assert "another process trains in this folder" in str(started.exception())
        return {}

    trained = train(tiny_recipe(epochs=1, evaluation__every=1), samples, tmp_path, evaluate=second_run)
    assert len(trained.record.history) == 1


def test_a_run_is_replaced_only_when_that_is_asked_for(samples: Split, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(tiny_recipe(epochs=2), samples, run)
    (run / "notes.md").write_text("which of these was the good one")
    kept = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    assert {"checkpoint.pt", "model.safetensors", "history.jsonl"} <= set(kept)
    with pytest.raises(InputError, match="--resume goes on with it, --overwrite replaces it, another --out"):
        train(tiny_recipe(epochs=1, seed=9), samples, run)
    with pytest.raises(InputError, match="give one of them"):
        train(tiny_recipe(epochs=1, seed=9), samples, run, options=LoopOptions(resume=True, overwrite=True))
    # Nothing is replaced by a run that cannot begin.
    with pytest.raises(ConfigError, match=r"exceeds the 36 samples.*--set sampler\.batch_size=36"):
        train(tiny_recipe(sampler__batch_size=37), samples, run, options=LoopOptions(overwrite=True))
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()} == kept
    # From its own weights, too.
    start, _ = load_weights(run / "model.safetensors")
    replaced = train(
        tiny_recipe(epochs=1, seed=9), samples, run, initial=start, options=LoopOptions(overwrite=True)
    )
    assert len(replaced.record.history) == 1
    assert (run / "notes.md").read_bytes() == kept["notes.md"]
    assert load_checkpoint(run / "checkpoint.pt").recipe["seed"] == 9


def test_a_folder_of_somebody_else_is_left_alone_and_a_failed_attempt_is_in_nobodys_way(
    samples: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    for _ in range(2):
        with pytest.raises(InputError, match="not empty, and not a run of ours"):
            train(tiny_recipe(), samples, tmp_path, options=LoopOptions(overwrite=True))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with monkeypatch.context() as patch:
        patch.setattr(loop, "learning_rate", lambda *_: 1e30)
        with pytest.raises(TrainingError, match="there is no checkpoint: start again with --set optimiser"):
            train(tiny_recipe(epochs=1), samples, tmp_path / "run")
    with pytest.raises(TrainingError, match="no checkpoint to resume from; start without --resume"):
        train(tiny_recipe(epochs=1), samples, tmp_path / "run", options=LoopOptions(resume=True))
    train(tiny_recipe(epochs=1), samples, tmp_path / "run")
    assert not (tmp_path / "run" / "bad_batch.json").exists()


def test_a_folder_that_cannot_be_made_is_named(samples: Split, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot write .*file/run"):
        train(tiny_recipe(), samples, tmp_path / "file" / "run")


def test_an_evaluation_that_fails_does_not_cost_the_epoch_and_resume_gets_past(
    samples: Split, tmp_path: Path
) -> None:
    calls: list[int] = []

    def fails(_: object, epochs_done: int) -> dict[str, float]:
        calls.append(epochs_done)
        raise ImageError("query/0001.jpg", "truncated")

    recipe = tiny_recipe(evaluation__every=1)
    for epoch in (1, 2, 3):
        with pytest.raises(TrainingError, match=rf"0001\.jpg: truncated\. Epoch {epoch} is trained and kept"):
            train(recipe, samples, tmp_path / "run", evaluate=fails, options=LoopOptions(resume=epoch > 1))
        assert load_checkpoint(tmp_path / "run" / "checkpoint.pt").epochs_done == epoch
    assert calls == [1, 2, 3]
    train(recipe, samples, tmp_path / "run", evaluate=fails, options=LoopOptions(resume=True))
    train(tiny_recipe(), samples, tmp_path / "never")
    assert_same_weights(tmp_path / "run", tmp_path / "never")


def test_an_evaluation_that_was_killed_is_made_when_the_run_goes_on(samples: Split, tmp_path: Path) -> None:
    calls: list[int] = []

    def evaluate(_: object, epochs_done: int) -> dict[str, float]:
        calls.append(epochs_done)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return {"mAP": 0.5}

    recipe = tiny_recipe(epochs=2, evaluation__every=1)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, samples, tmp_path, evaluate=evaluate)
    trained = train(recipe, samples, tmp_path, evaluate=evaluate, options=LoopOptions(resume=True))
    assert calls == [1, 1, 2]
    assert [row["mAP"] for row in trained.record.history] == [0.5, 0.5]


@pytest.mark.parametrize("rate", [1e30, float("nan")], ids=["finite-weights", "nan-weights"])
def test_the_last_good_checkpoint_survives_a_step_that_diverges(
    rate: float, samples: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three steps an epoch; the last step of the run is the bad one, so no loss shows it."""
    usual = loop.learning_rate
    with monkeypatch.context() as patch:
        patch.setattr(loop, "learning_rate", lambda recipe, at: rate if at > 1.5 else usual(recipe, at))
        with pytest.raises(TrainingError, match="diverged in the last steps of epoch 2") as stop:
            train(tiny_recipe(epochs=2), samples, tmp_path / "run")
    checkpoint = tmp_path / "run" / "checkpoint.pt"
    assert load_checkpoint(checkpoint).epochs_done == 1
    assert not (tmp_path / "run" / "model.safetensors").exists()
    assert f"--init {checkpoint} --set optimiser.lr=0.0002" in str(stop.value)
    network, card = load_weights(checkpoint)
    assert "epoch 1 of 2" in card.notes
    on = train(tiny_recipe(epochs=1, optimiser__lr=0.0002), samples, tmp_path / "on", initial=network)
    assert math.isfinite(on.record.history[-1]["loss"])


def test_one_flipped_bit_in_a_checkpoint_is_noticed_wherever_it_is(samples: Split, tmp_path: Path) -> None:
    train(tiny_recipe(epochs=1), samples, tmp_path)
    checkpoint = tmp_path / "checkpoint.pt"
    whole = checkpoint.read_bytes()
    # All over the content, its last bytes included; the hash itself is not content.
    for place in [*np.random.default_rng(0).integers(0, len(whole) - 71, 60), len(whole) - 72]:
        damaged = bytearray(whole)
        damaged[place] ^= 0x40
        checkpoint.write_bytes(damaged)
        with pytest.raises(TrainingError, match="damaged"):
            load_checkpoint(checkpoint)
        with pytest.raises(WeightsError, match="damaged"):
            load_weights(checkpoint)
    for size in (0, 10, len(whole) // 2, len(whole) - 80, len(whole) - 68, len(whole) - 10):
        checkpoint.write_bytes(whole[:size])
        with pytest.raises(TrainingError, match=r"damaged|is empty"):
            load_checkpoint(checkpoint)
    torch.save({"state_dict": {}}, checkpoint)
    with pytest.raises(TrainingError, match="not the checkpoint of a training run"):
        load_checkpoint(checkpoint)


def test_a_checkpoint_of_before_the_hash_still_resumes(samples: Split, tmp_path: Path) -> None:
    recipe = tiny_recipe(epochs=2, evaluation__every=1)
    train(recipe, samples, tmp_path / "whole")
    with pytest.raises(StoppedError):
        train(recipe, samples, tmp_path / "old", evaluate=stop_after(1))
    checkpoint = tmp_path / "old" / "checkpoint.pt"
    state = dataclasses.asdict(load_checkpoint(checkpoint))
    for newer in ("training_data", "evaluation_due", "extensions"):
        del state[newer]
    del state["recipe"]["appearance"]  # a key of the recipe that came later
    torch.save({"format": 1, **state}, checkpoint)
    network, card = load_weights(checkpoint)
    assert card.input.height == 64
    assert torch.equal(network.conv1.conv.weight, state["model"]["backbone.conv1.conv.weight"])
    train(recipe, samples, tmp_path / "old", options=LoopOptions(resume=True))
    assert_same_weights(tmp_path / "whole", tmp_path / "old")


def test_the_best_weights_lie_beside_the_last_and_say_what_chose_them(samples: Split, tmp_path: Path) -> None:
    scores = iter([0.2, 0.5, 0.5, 0.3])
    states: list[dict[str, torch.Tensor]] = []

    def evaluate(network: IdentityClassifier, _: int) -> dict[str, float]:
        states.append({key: value.clone() for key, value in network.backbone.state_dict().items()})
        return {"a/mAP": (score := next(scores)) + 0.1, "b/mAP": score - 0.1, "a/rank1": 0.9}

    recipe = tiny_recipe(epochs=4, evaluation__every=1)
    trained = train(
        recipe, samples, tmp_path, evaluate=evaluate, options=LoopOptions(evaluated_on="toy people")
    )
    best = trained.record.best
    assert best is not None
    assert (best.epoch, best.metric, best.evaluated_on) == (2, "mAP", "toy people")
    assert best.value == pytest.approx(0.5)
    assert [row.get("best") for row in trained.record.history] == [1.0, 1.0, None, None]
    assert trained.best_weights == tmp_path / "best.safetensors"
    network, card = load_weights(tmp_path / "best.safetensors")
    assert all(torch.equal(value, states[1][key]) for key, value in network.state_dict().items())
    assert "epoch 2, mAP 0.500 on toy people" in card.notes
    assert all(torch.equal(value, states[3][key]) for key, value in weights_of(tmp_path).items())


def test_without_evaluations_there_are_no_best_weights(samples: Split, tmp_path: Path) -> None:
    trained = train(tiny_recipe(epochs=1), samples, tmp_path)
    assert (trained.record.best, trained.best_weights) == (None, None)
    assert not (tmp_path / "best.safetensors").exists()


def test_a_finished_run_is_extended_as_if_it_had_been_longer_from_the_start(
    samples: Split, tmp_path: Path
) -> None:
    step = {"schedule__name": "step", "schedule__milestones": [1]}
    train(tiny_recipe(epochs=3, **step), samples, tmp_path / "long")
    train(tiny_recipe(epochs=2, **step), samples, tmp_path / "short")
    extended = train(
        tiny_recipe(epochs=3, **step), samples, tmp_path / "short", options=LoopOptions(resume=True)
    )
    assert_same_weights(tmp_path / "long", tmp_path / "short")
    assert extended.record.extensions == ((2, 2),)
    assert "Extended after epoch 2 from 2 epochs to 3." in extended.card.notes
    with pytest.raises(TrainingError, match="another epochs"):
        train(tiny_recipe(epochs=2, **step), samples, tmp_path / "short", options=LoopOptions(resume=True))


def test_a_cosine_goes_on_over_the_new_length_and_the_extended_run_resumes_exactly(
    samples: Split, tmp_path: Path
) -> None:
    def recipe(epochs: int) -> Recipe:
        return tiny_recipe(
            epochs=epochs, schedule__name="cosine", schedule__interval="epoch", evaluation__every=1
        )

    train(recipe(1), samples, tmp_path / "once")
    shutil.copytree(tmp_path / "once", tmp_path / "twice")
    extended = train(recipe(3), samples, tmp_path / "once", options=LoopOptions(resume=True))
    with pytest.raises(StoppedError):
        train(
            recipe(3), samples, tmp_path / "twice", evaluate=stop_after(2), options=LoopOptions(resume=True)
        )
    train(recipe(3), samples, tmp_path / "twice", options=LoopOptions(resume=True))
    assert_same_weights(tmp_path / "once", tmp_path / "twice")
    rates = [row["lr"] for row in extended.record.history]
    assert rates == pytest.approx([0.002, 0.002 * 0.75, 0.002 * 0.25])


def test_how_a_run_is_evaluated_may_change_when_it_goes_on(samples: Split, tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        train(tiny_recipe(evaluation__every=1), samples, tmp_path, evaluate=stop_after(1))
    train(
        tiny_recipe(evaluation__every=0),
        samples,
        tmp_path,
        evaluate=stop_after(1),
        options=LoopOptions(resume=True),
    )
    assert len((tmp_path / "history.jsonl").read_text().splitlines()) == 3


def test_a_bad_picture_stops_or_is_skipped_as_asked(toy_root: Path, tmp_path: Path) -> None:
    samples = read_dataset("market-layout", toy_root).train
    broken = tmp_path / "0001_c1s1_000000_00.jpg"
    broken.write_bytes(Path(samples.samples[0].path).read_bytes()[:300])
    bad = type(samples.samples[0])(str(broken), pid=1, camid=0)
    with_bad = Split("train", (bad, *samples.samples[1:]))
    with pytest.raises(ImageError, match=r"0001_c1s1_000000_00\.jpg"):
        train(tiny_recipe(epochs=1), with_bad, tmp_path / "stops")
    trained = train(tiny_recipe(epochs=1), with_bad, tmp_path / "skips", options=LoopOptions(on_bad="skip"))
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
    for name in ("model.safetensors", "checkpoint.pt"):
        network, _ = load_weights(tmp_path / name)
        assert network.config.fusion == "concatenation"
