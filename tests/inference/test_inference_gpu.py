"""GpuOSNet and its backend: batches, threads, engines and errors on the CPU, and on a GPU if there is one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest

from omnireid.core.card import InputSpec, ModelCard
from omnireid.core.errors import (
    ConfigError,
    InputError,
    MissingExtraError,
    OmniReIDWarning,
    ShapeError,
    UnknownNameError,
)

torch = pytest.importorskip("torch")

from inference.conftest import uneven_network  # noqa: E402
from omnireid.core.images import normalise  # noqa: E402
from omnireid.inference.backends.gpu import GpuBackend  # noqa: E402
from omnireid.inference.fused import gpu  # noqa: E402
from omnireid.inference.fused.fold import fold  # noqa: E402
from omnireid.inference.fused.gpu import GpuOSNet, choose_engine  # noqa: E402
from omnireid.inference.fused.gpu_plain import PlainOSNet  # noqa: E402

SPEC = InputSpec(height=64, width=32)
ON_CPU: dict[str, Any] = {"device": "cpu", "engine": "eager", "precision": "fp32"}
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")


def folded(network: Any) -> Any:
    return fold({name: values.numpy() for name, values in network.state_dict().items()}, network.config)


def crops(count: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (count, SPEC.height, SPEC.width, 3), dtype=np.uint8)


def readable(network: Any, pictures: Any) -> np.ndarray[Any, Any]:
    with torch.no_grad():
        return np.asarray(network(torch.from_numpy(normalise(pictures, SPEC))).numpy())


@pytest.fixture(scope="module")
def network() -> Any:
    return uneven_network("osnet_x0_25", {"blocks": (1, 1, 1)}, seed=9)


@pytest.mark.parametrize("architecture", ["osnet_x0_25", "osnet_ibn_x1_0", "osnet_ain_x0_25"])
def test_the_plain_form_is_the_readable_network(architecture: str) -> None:
    network = uneven_network(architecture, {"channels": (16, 64, 96, 128)}, seed=1)
    plain = PlainOSNet(folded(network), SPEC, dtype=torch.float64)
    pictures = crops(3)
    # The same normalised pictures, in float64 on both sides.
    scale, shift = (torch.from_numpy(values) for values in SPEC.scale_shift())
    images = (torch.from_numpy(pictures).float() * scale + shift).double().permute(0, 3, 1, 2)
    with torch.no_grad():
        wanted = network.double()(images)
        actual = plain(torch.from_numpy(pictures))
        maps = plain.feature_maps(torch.from_numpy(pictures))
        assert torch.allclose(maps, network.feature_maps(images), atol=1e-10, rtol=0)
    # Embeddings leave as float32.
    assert torch.allclose(actual, wanted.float(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 11])
def test_batches_are_filled_up_and_cut(network: Any, count: int) -> None:
    fast = GpuOSNet(folded(network), SPEC, largest_batch=4, **ON_CPU)
    # A full bucket first: what it leaves behind must not come back.
    fast.embed(crops(4, seed=99))
    pictures = crops(count, seed=count)
    actual = fast.embed(pictures)
    assert (actual.shape, actual.dtype) == ((count, 512), np.float32)
    if count:
        np.testing.assert_allclose(actual, readable(network, pictures), atol=2e-6)
    assert fast.feature_maps(pictures).shape == (count, 128, 4, 2)


def test_a_size_is_prepared_once_and_shared_by_smaller_batches(
    network: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = []
    bucket = gpu._Bucket
    monkeypatch.setattr(gpu, "_Bucket", lambda *args: prepared.append(args[2][0]) or bucket(*args))
    fast = GpuOSNet(folded(network), SPEC, largest_batch=8, **ON_CPU)
    for count in (3, 4, 3, 1, 20, 8):
        fast.embed(crops(count))
    assert prepared == [4, 1, 8]


def test_results_outlive_the_next_batch(network: Any) -> None:
    fast = GpuOSNet(folded(network), SPEC, **ON_CPU)
    first = fast.embed(crops(2, seed=1))
    kept = first.copy()
    fast.embed(crops(2, seed=2))
    np.testing.assert_array_equal(first, kept)


def test_threads_share_one_network(network: Any) -> None:
    fast = GpuOSNet(folded(network), SPEC, largest_batch=4, **ON_CPU)
    batches = [crops(1 + seed % 6, seed) for seed in range(24)]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(fast.embed, batches))
    for pictures, actual in zip(batches, results, strict=True):
        np.testing.assert_allclose(actual, readable(network, pictures), atol=2e-6)


def test_threads_that_meet_have_buffers_of_their_own(network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    meeting, lanes = Barrier(2, timeout=20), set()
    embed = gpu._Lane.embed

    def meet(lane: Any, pictures: Any) -> Any:
        lanes.add(lane)
        meeting.wait()
        return embed(lane, pictures)

    monkeypatch.setattr(gpu._Lane, "embed", meet)
    fast = GpuOSNet(folded(network), SPEC, **ON_CPU)
    for _ in range(2):
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(fast.embed, [crops(1), crops(1)]))
    # The second time both take what the first left.
    assert len(lanes) == 2


def test_crops_in_any_memory_order(network: Any) -> None:
    fast = GpuOSNet(folded(network), SPEC, **ON_CPU)
    pictures = crops(4)
    np.testing.assert_array_equal(
        fast.embed(np.asfortranarray(pictures)[::-1, :, ::-1]),
        fast.embed(pictures[::-1, :, ::-1].copy()),
    )


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"device": "cpu", "engine": "triton"}, InputError, "expected 'cuda'"),
        ({"device": "cpu"}, InputError, "expected 'cuda'"),
        ({"device": "gpu"}, InputError, "expected 'cuda'"),
        ({"device": "cuda:63"}, InputError, "CUDA devices here"),
        ({**ON_CPU, "engine": "fast"}, InputError, "expected 'cuda'"),
        ({**ON_CPU, "precision": "int8"}, UnknownNameError, "bf16"),
        ({**ON_CPU, "largest_batch": 3}, InputError, "power of two"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    network: Any, options: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        GpuOSNet(folded(network), SPEC, **options)


def test_crops_of_another_size_are_refused(network: Any) -> None:
    with pytest.raises(ShapeError, match="64, 32, 3"):
        GpuOSNet(folded(network), SPEC, **ON_CPU).embed(np.zeros((1, 32, 64, 3), np.uint8))


def test_the_engine_is_never_another_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    device = torch.device("cuda")
    monkeypatch.setattr(gpu, "find_spec", lambda name: None)
    with pytest.warns(OmniReIDWarning, match=r"plain torch operations.*omnireid\[gpu\]"):
        assert choose_engine("auto", device) == "eager"
    assert choose_engine("eager", device) == "eager"
    for engine in ("triton", "compile"):
        with pytest.raises(MissingExtraError, match=r"omnireid\[gpu\]"):
            choose_engine(engine, device)
    monkeypatch.setattr(gpu, "find_spec", lambda name: object())
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Old GPU")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    with pytest.warns(OmniReIDWarning, match=r"Old GPU has compute capability 7.5.*'compile'"):
        assert choose_engine("auto", device) == "compile"
    assert choose_engine("triton", device) == "triton"
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    assert choose_engine("auto", device) == "triton"
    with pytest.raises(UnknownNameError, match="triton"):
        choose_engine("tritn", device)


def test_the_backend_opens_a_file_as_the_others_do(network: Any, tmp_path: Path) -> None:
    from omnireid.inference.backends.torch_eager import TorchBackend
    from omnireid.models.weights import save_weights

    card = ModelCard(name="small", architecture="osnet_x0_25", input=SPEC)
    save_weights(tmp_path / "small.safetensors", network, card)
    fast = GpuBackend.open(tmp_path / "small.safetensors", **ON_CPU)
    slow = TorchBackend.open(tmp_path / "small.safetensors", device="cpu")
    assert (fast.name, fast.device, fast.engine) == ("gpu", "cpu", "eager")
    assert fast.card == slow.card
    pictures = crops(3)
    np.testing.assert_allclose(fast.embed(pictures), slow.embed(pictures), atol=2e-6)
    np.testing.assert_allclose(fast.feature_maps(pictures), slow.feature_maps(pictures), atol=2e-5)
    with pytest.raises(InputError, match="uint8"):
        fast.embed(pictures.astype(np.float32))


def test_networks_without_a_fast_form_are_refused() -> None:
    from omnireid.models.registry import build_model

    card = ModelCard(name="ablation", architecture="osnet_x0_25", input=SPEC)
    with pytest.raises(ConfigError, match="fusion"):
        GpuBackend(build_model("osnet_x0_25", fusion="addition"), card, **ON_CPU)


@needs_gpu
@pytest.mark.parametrize("engine", ["triton", "compile", "eager"])
def test_every_engine_on_a_gpu(network: Any, engine: Any) -> None:
    fast = GpuOSNet(folded(network), SPEC, engine=engine, precision="fp16", largest_batch=4)
    for count in (1, 3, 6):
        pictures = crops(count, seed=count)
        wanted = readable(network, pictures)
        for _ in range(2):
            assert np.linalg.norm(fast.embed(pictures) - wanted) / np.linalg.norm(wanted) < 2e-3


@needs_gpu
def test_threads_share_a_gpu(network: Any) -> None:
    fast = GpuOSNet(folded(network), SPEC, precision="fp32", largest_batch=4)
    batches = [crops(1 + seed % 6, seed) for seed in range(24)]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(fast.embed, batches))
    for pictures, actual in zip(batches, results, strict=True):
        np.testing.assert_allclose(actual, readable(network, pictures), atol=5e-5)
