"""The nine networks against the reference implementation's float64 results, within the stated tolerances.

All weights follow from their key names, so no weight file is needed; see the manifest's `weight_fill_rule`.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from omnireid.losses.cross_entropy import smoothed_cross_entropy
from omnireid.models.classifier import IdentityClassifier
from omnireid.models.osnet import OSNet
from omnireid.models.osnet_config import ARCHITECTURES
from omnireid.models.registry import build_model

NUM_CLASSES = 751
TRAIN_LABELS = {"train2": [3, 700], "train8": [3, 700, 3, 12, 50, 700, 0, 750]}

# `suggested_tolerances` of the manifest.
FEATURES = 1e-5
LOGITS = {"train2": 2e-3, "train8": 5e-4}
LOSS = {"train2": 1e-3, "train8": 2e-4}
GRADIENT_MEDIAN = {"train2": 0.05, "train8": 0.01}
GRADIENT_MAX = {"train2": np.inf, "train8": 0.08}
# Not in the manifest: the reference itself is within 1e-5 of its float64 run.
RUNNING = 1e-4


def _drawn(key: str, shape: tuple[int, ...]) -> np.ndarray:
    generator = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode())))
    return generator.standard_normal(shape).astype(np.float32)


def _filled(key: str, shape: tuple[int, ...]) -> np.ndarray:
    leaf = key.rpartition(".")[2]
    if leaf == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    drawn = _drawn(key, shape)
    if leaf == "running_mean":
        return np.float32(0.1) * drawn
    if leaf == "running_var":
        return np.float32(1) + np.float32(0.1) * np.abs(drawn)
    if len(shape) >= 2:
        return np.float32(np.sqrt(1.2 / np.prod(shape[1:]))) * drawn
    return np.float32(1) + np.float32(0.1) * drawn if leaf == "weight" else np.float32(0.1) * drawn


def _inputs() -> dict[str, torch.Tensor]:
    def normal(seed: int, shape: tuple[int, ...]) -> np.ndarray:
        return np.random.Generator(np.random.PCG64(seed)).standard_normal(shape).astype(np.float32)

    noise = normal(20190502, (2, 3, 256, 128))
    block = normal(20190503, (2, 3, 8, 4)).repeat(32, axis=2).repeat(32, axis=3)
    train8 = normal(20190504, (8, 3, 8, 4)).repeat(16, axis=2).repeat(16, axis=3)
    arrays = {"noise": noise, "block": block, "train2": noise, "train8": train8}
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _network(name: str) -> IdentityClassifier:
    network = IdentityClassifier(build_model(name), NUM_CLASSES)
    state = network.published_state_dict()
    network.load_published_state_dict(
        {key: torch.from_numpy(np.asarray(_filled(key, tuple(value.shape)))) for key, value in state.items()}
    )
    return network


def _stage_statistics(backbone: OSNet, images: torch.Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Embeddings, and per stage and image the mean and deviation of conv1 … conv5."""
    outputs: list[torch.Tensor] = []
    hooks = [
        backbone.get_submodule(stage).register_forward_hook(lambda _m, _i, out: outputs.append(out.clone()))
        for stage in ("conv1", "conv2", "conv3", "conv4", "conv5")
    ]
    with torch.no_grad():
        embeddings = backbone(images)
    for hook in hooks:
        hook.remove()
    flat = [out.double().flatten(1) for out in outputs]
    means = torch.stack([values.mean(dim=1) for values in flat])
    deviations = torch.stack([values.std(dim=1, correction=0) for values in flat])
    return embeddings.numpy(), means.numpy(), deviations.numpy()


def _worst(actual: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(actual - expected).max() / np.abs(expected).max())


@pytest.fixture(scope="module")
def inputs() -> dict[str, torch.Tensor]:
    return _inputs()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_embeddings_and_stages(name: str, golden_dir: Path, inputs: dict[str, torch.Tensor]):
    golden = np.load(golden_dir / f"{name}.npz")
    backbone = _network(name).backbone.eval()
    for kind in ("noise", "block"):
        embeddings, means, deviations = _stage_statistics(backbone, inputs[kind])
        assert _worst(embeddings, golden[f"feat_{kind}_f64"]) <= FEATURES
        assert _worst(means, golden[f"stage_mean_{kind}_f64"]) <= FEATURES
        assert _worst(deviations, golden[f"stage_std_{kind}_f64"]) <= FEATURES


@pytest.mark.parametrize("run", ["train2", "train8"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_training_step(name: str, run: str, golden_dir: Path, inputs: dict[str, torch.Tensor]):
    golden = np.load(golden_dir / f"{name}.npz")
    network = _network(name).train()
    output = network(inputs[run])
    loss = smoothed_cross_entropy(output.logits, torch.tensor(TRAIN_LABELS[run]), 0.1)
    loss.backward()

    logits = output.logits.detach().numpy()
    assert np.abs(logits - golden[f"{run}_logits_f64"]).max() <= LOGITS[run]
    assert abs(loss.item() - float(golden[f"{run}_loss_f64"])) <= LOSS[run]

    state = network.published_state_dict()
    running = {"fc1_running_mean": "fc.1.running_mean", "fc1_running_var": "fc.1.running_var"}
    running["conv5_running_var"] = "conv5.bn.running_var"
    for array, key in running.items():
        assert _worst(state[key].numpy(), golden[f"{run}_{array}_f64"]) <= RUNNING, key

    bias_gradient = network.classifier.bias.grad.numpy()
    assert _worst(bias_gradient, golden[f"{run}_classifier_bias_grad_f64"]) <= RUNNING

    gradients = {key.removeprefix("backbone."): p.grad.norm().item() for key, p in network.named_parameters()}
    names = golden["gradnorm_names"].tolist()
    assert sorted(gradients) == names
    manifest = json.loads((golden_dir / "manifest.json").read_text())["models"][name]
    zero = set(manifest["params_with_mathematically_zero_grad"])
    expected = dict(zip(names, golden[f"{run}_gradnorm_f64"].tolist(), strict=True))
    relative = [abs(gradients[key] - expected[key]) / expected[key] for key in names if key not in zero]
    assert np.median(relative) <= GRADIENT_MEDIAN[run]
    assert max(relative) <= GRADIENT_MAX[run]


@pytest.mark.parametrize("name", ["osnet_ibn_x1_0", "osnet_ain_x0_25"])
def test_float64_equals_the_stored_float64(name: str, golden_dir: Path, inputs: dict[str, torch.Tensor]):
    """Free of float32 noise, the step agrees to the digits that float32 storage keeps."""
    golden = np.load(golden_dir / f"{name}.npz")
    network = _network(name).double().train()
    output = network(inputs["train8"].double())
    loss = smoothed_cross_entropy(output.logits, torch.tensor(TRAIN_LABELS["train8"]), 0.1)
    loss.backward()
    assert _worst(output.logits.detach().numpy(), golden["train8_logits_f64"]) <= 1e-6
    names = golden["gradnorm_names"].tolist()
    gradients = {key.removeprefix("backbone."): p.grad.norm().item() for key, p in network.named_parameters()}
    expected = golden["train8_gradnorm_f64"]
    np.testing.assert_allclose([gradients[key] for key in names], expected, rtol=1e-6, atol=1e-9)
