"""Our CPU engine against the readable module in float64, in every precision this processor has."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omnireid.core.card import InputSpec, ModelCard
from omnireid.core.errors import InputError, ShapeError, UnknownNameError, WeightsError
from omnireid.core.images import normalise
from omnireid.core.machine import cores_to_run_on
from omnireid.core.seeds import numpy_generator
from omnireid.inference.backends.native import NativeBackend
from omnireid.inference.fused.fold import fold
from omnireid.inference.native.precision import missing_for
from omnireid.models.osnet_config import ARCHITECTURES

torch = pytest.importorskip("torch")

# How far embeddings may lie from float64: the largest difference over the largest value, and the cosine.
LIMITS = {"fp32": (5e-6, 0.9999999), "bf16x3": (3e-5, 0.999999), "bf16": (1e-2, 0.9999)}
THREADS = min(2, cores_to_run_on())


def uneven(name: str, **overrides: Any) -> Any:
    from omnireid.models.registry import build_model

    generator = torch.Generator().manual_seed(7)
    network = build_model(name, **overrides)
    network.initialise(generator)
    with torch.no_grad():
        for key, values in network.state_dict().items():
            if key.endswith(("running_var", "bn.weight", "IN.weight", "fc.1.weight")):
                values.copy_(torch.rand(values.shape, generator=generator) + 0.5)
            elif key.endswith(("running_mean", "bn.bias", "IN.bias", "fc.1.bias")):
                values.copy_(torch.randn(values.shape, generator=generator) * 0.2)
    return network.eval()


def folded(network: Any) -> Any:
    return fold({key: value.numpy() for key, value in network.state_dict().items()}, network.config)


def card(height: int, width: int, **values: Any) -> ModelCard:
    return ModelCard(name="test", architecture="osnet", input=InputSpec(height=height, width=width, **values))


def native(network: Any, size: tuple[int, int], **options: Any) -> NativeBackend:
    return NativeBackend(folded(network), card(*size), **options)


def crops(count: int, size: tuple[int, int]) -> np.ndarray:
    return numpy_generator(3, "native crops").integers(0, 256, (count, *size, 3), dtype=np.uint8)


def expected(network: Any, batch: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    exact = network.double()
    with torch.no_grad():
        images = torch.from_numpy(normalise(batch, card(*size).input)).double()
        return exact(images).numpy(), exact.feature_maps(images).numpy()


def available(precision: str) -> None:
    if missing := missing_for(precision):  # type: ignore[arg-type]
        pytest.skip(f"this processor has no {missing}")


@pytest.mark.parametrize("precision", LIMITS)
@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_every_architecture_is_the_module(name: str, precision: str) -> None:
    available(precision)
    network, size = uneven(name), (64, 48)
    batch = crops(3, size)
    backend = native(network, size, precision=precision)
    embeddings, maps = backend.embed(batch), backend.feature_maps(batch)
    wanted, wanted_maps = expected(network, batch, size)
    largest, smallest_cosine = LIMITS[precision]
    cosines = (embeddings * wanted).sum(1) / (
        np.linalg.norm(embeddings, axis=1) * np.linalg.norm(wanted, axis=1)
    )
    assert embeddings.dtype == np.float32
    assert np.abs(embeddings - wanted).max() < largest * np.abs(wanted).max()
    assert cosines.min() > smallest_cosine
    assert maps.shape == wanted_maps.shape
    assert np.abs(maps - wanted_maps).max() < 10 * largest * np.abs(wanted_maps).max()


@pytest.mark.parametrize("size", [(32, 16), (33, 17), (50, 34), (97, 45), (61, 128), (256, 128)])
@pytest.mark.parametrize("precision", LIMITS)
def test_any_input_size(size: tuple[int, int], precision: str) -> None:
    available(precision)
    network = uneven("osnet_ain_x0_5")
    batch = crops(2, size)
    embeddings = native(network, size, precision=precision).embed(batch)
    wanted, _ = expected(network, batch, size)
    assert np.abs(embeddings - wanted).max() < LIMITS[precision][0] * np.abs(wanted).max()


@pytest.mark.parametrize("depths", [(1,), (4,), (2, 2), (3, 1, 2), (4, 3, 2, 1), (2, 2, 2, 2)])
def test_any_streams(depths: tuple[int, ...]) -> None:
    network, size = uneven("osnet_x0_25", stream_depths=depths), (48, 32)
    batch = crops(2, size)
    embeddings = native(network, size, threads=THREADS).embed(batch)
    wanted, _ = expected(network, batch, size)
    assert np.abs(embeddings - wanted).max() < 5e-6 * np.abs(wanted).max()


@pytest.mark.parametrize("precision", LIMITS)
def test_batches_and_threads_change_no_bit(precision: str) -> None:
    available(precision)
    network, size = uneven("osnet_ibn_x1_0", channels=(16, 64, 96, 128)), (64, 32)
    batch = crops(19, size)
    alone = native(network, size, threads=1, precision=precision)
    together = native(network, size, threads=THREADS, precision=precision)
    whole = together.embed(batch)
    assert np.array_equal(whole, alone.embed(batch))
    assert np.array_equal(whole, np.concatenate([together.embed(batch[i : i + 1]) for i in range(19)]))
    assert np.array_equal(whole[:3], together.embed(batch[:3]))
    assert np.array_equal(together.feature_maps(batch), alone.feature_maps(batch))
    assert together.embed(batch[:0]).shape == (0, 512)
    assert together.feature_maps(batch[:0]).shape[0] == 0


def test_many_threads_share_one_backend() -> None:
    network, size = uneven("osnet_x0_25"), (64, 32)
    backend, batch = native(network, size, threads=THREADS), crops(12, size)
    wanted = backend.embed(batch)
    results: dict[int, np.ndarray] = {}

    def work(index: int) -> None:
        for _ in range(5):
            # Some keep to a thread, others take what is left.
            most = 1 if index % 2 else None
            results[index] = np.concatenate(
                [backend.embed(batch[:1], threads=most), backend.embed(batch[1:])]
            )

    threads = [threading.Thread(target=work, args=(index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 6
    assert all(np.array_equal(result, wanted) for result in results.values())


def test_a_call_uses_no_more_threads_than_it_may_or_others_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    network, size = uneven("osnet_x0_25"), (64, 32)
    backend, batch = native(network, size, threads=THREADS), crops(1, size)
    engine, used = backend._engine, []
    in_parts = engine._in_parts

    def noted(pictures: Any, threads: int) -> None:
        used.append(threads)
        if len(used) == 3:
            backend.embed(batch)
        in_parts(pictures, threads)

    monkeypatch.setattr(engine, "_in_parts", noted)
    backend.embed(batch)
    backend.embed(batch, threads=1)
    backend.embed(batch)
    # The fourth came while the third had them all.
    assert used == [THREADS, 1, THREADS, 1]


def test_strange_memory_orders_and_wrong_crops() -> None:
    network, size = uneven("osnet_x0_25"), (48, 32)
    backend, batch = native(network, size), crops(4, size)
    wanted = backend.embed(batch)
    assert np.array_equal(backend.embed(np.asfortranarray(batch)), wanted)
    assert np.array_equal(backend.embed(batch[::-1]), wanted[::-1])
    with pytest.raises(ShapeError):
        backend.embed(batch[:, :-1])
    with pytest.raises(InputError):
        backend.embed(batch.astype(np.float32))


def test_normalisation_comes_from_the_card() -> None:
    network, size = uneven("osnet_x0_25"), (48, 32)
    spec = {"mean": (0.1, 0.9, 0.3), "std": (0.5, 0.1, 1.0)}
    batch = crops(2, size)
    embeddings = NativeBackend(folded(network), card(*size, **spec)).embed(batch)
    with torch.no_grad():
        images = torch.from_numpy(normalise(batch, card(*size, **spec).input)).double()
        wanted = network.double()(images).numpy()
    assert np.abs(embeddings - wanted).max() < 5e-6 * np.abs(wanted).max()


def test_weights_that_are_too_small_to_matter_are_zero() -> None:
    network, size = uneven("osnet_x0_25"), (48, 32)
    with torch.no_grad():
        network.conv3[0].conv2a.conv1.weight.fill_(1e-38)
    engine = native(network, size)._engine
    values = engine._program.panels.view(np.float32)
    assert np.abs(values[values != 0]).min() > 1e-20


def test_files_without_torch(tmp_path: Path) -> None:
    from omnireid import save_weights

    network, size = uneven("osnet_x0_25"), (48, 32)
    path = tmp_path / "model.safetensors"
    save_weights(path, network, card(*size).model_copy(update={"architecture": "osnet_x0_25"}))
    backend = NativeBackend.open(path)
    batch = crops(2, size)
    assert np.array_equal(backend.embed(batch), native(network, size).embed(batch))
    assert backend.card.sha256 is not None

    damaged = bytearray(path.read_bytes())
    damaged[-5] ^= 0xFF
    path.write_bytes(bytes(damaged))
    with pytest.raises(WeightsError, match="damaged"):
        NativeBackend.open(path)
    path.write_bytes(bytes(damaged[: len(damaged) // 2]))
    with pytest.raises(WeightsError, match="truncated"):
        NativeBackend.open(path)


def test_ablations_are_refused(tmp_path: Path) -> None:
    from omnireid import save_weights

    path = tmp_path / "model.safetensors"
    network = uneven("osnet_x0_25", fusion="addition")
    save_weights(path, network, card(48, 32))
    with pytest.raises(WeightsError, match="run this network in torch"):
        NativeBackend.open(path)


@pytest.mark.skipif(THREADS < 2, reason="one core: there are no parts")
def test_ctrl_c_before_the_first_part_leaves_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    network, size = uneven("osnet_x0_25"), (48, 32)
    backend, batch = native(network, size, threads=THREADS), crops(1, size)
    wanted = backend.embed(batch)
    run = backend._engine._run

    def interrupted(pictures: Any, workspace: Any, part: Any, sync: Any) -> None:
        if part.number == 0:
            raise KeyboardInterrupt
        run(pictures, workspace, part, sync)

    monkeypatch.setattr(backend._engine, "_run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        backend.embed(batch)
    monkeypatch.undo()
    assert np.array_equal(backend.embed(batch), wanted)


def test_a_sandbox_without_amx_still_has_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    from omnireid.inference.native import matrix_tiles

    if not matrix_tiles.HAS_MATRIX_TILES:
        pytest.skip("this processor has no AMX")
    monkeypatch.setattr(matrix_tiles, "matrix_tiles_are_allowed", lambda: False)
    network, size = uneven("osnet_x0_25"), (48, 32)
    assert len(native(network, size)._engine._tiles) == 0
    with pytest.raises(InputError, match="permission from the system"):
        native(network, size, precision="bf16")


def test_bad_options_name_the_next_step() -> None:
    network, size = uneven("osnet_x0_25"), (48, 32)
    with pytest.raises(UnknownNameError, match="bf16"):
        native(network, size, precision="bf61")
    with pytest.raises(InputError, match="threads: expected 1 to"):
        native(network, size, threads=0)
    with pytest.raises(InputError, match="threads: expected 1 to"):
        native(network, size, threads=cores_to_run_on() + 1)
    with pytest.raises(InputError, match="16×16"):
        native(network, (12, 40))


OTHER_PROCESSOR = """
import sys
import numpy as np
from omnireid import InputSpec, ModelCard
from omnireid.inference.backends.native import NativeBackend
from omnireid.inference.native import vectors

backend = NativeBackend.open(sys.argv[1], precision=sys.argv[2], threads=1)
crops = np.load(sys.argv[3])
np.save(sys.argv[4], backend.embed(crops))
print(vectors.LANES, vectors.HAS_MATRIX_TILES)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "features", "precision", "printed"),
    [
        ("haswell", "+avx,+avx2,+fma,+f16c,+sse4.2", "fp32", "8 False"),
        ("cooperlake", None, "bf16", "16 False"),
    ],
    ids=["avx2", "avx512-bf16"],
)
def test_other_processors(
    tmp_path: Path, name: str, features: str | None, precision: str, printed: str
) -> None:
    """Code for a lesser processor runs on this one too."""
    from numba.core.codegen import get_host_cpu_features

    from omnireid import save_weights

    mine = [feature for feature in get_host_cpu_features().split(",") if feature.startswith("+")]
    wanted = "+avx512bf16" if precision == "bf16" else "+avx2"
    if wanted not in mine:
        pytest.skip(f"this processor has no {wanted[1:]}")
    if features is None:
        without_tiles = [feature for feature in mine if not feature.startswith("+amx")]
        features = ",".join([*without_tiles, "-amx-tile", "-amx-bf16", "-amx-int8"])
    network, size = uneven("osnet_x0_25"), (48, 32)
    batch = crops(3, size)
    save_weights(tmp_path / "model.safetensors", network, card(*size))
    np.save(tmp_path / "crops.npy", batch)
    environment = os.environ | {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features}
    arguments = [str(tmp_path / file) for file in ("model.safetensors", "crops.npy", "embeddings.npy")]
    arguments.insert(1, precision)
    ran = subprocess.run(
        [sys.executable, "-c", OTHER_PROCESSOR, *arguments], env=environment, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == printed
    embeddings = np.load(tmp_path / "embeddings.npy")
    exact, _ = expected(network, batch, size)
    assert np.abs(embeddings - exact).max() < LIMITS[precision][0] * np.abs(exact).max()


def test_another_precision_is_named_only_where_the_processor_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    network = uneven("osnet_x0_25")
    lacking = {"fp32": "", "bf16": "bfloat16 products"}
    monkeypatch.setattr(
        "omnireid.inference.backends.native.missing_for", lambda precision: lacking[precision]
    )
    with pytest.raises(InputError, match="use another precision, or ONNX Runtime"):
        native(network, (64, 32), precision="bf16")
    lacking["fp32"] = "AVX2 with FMA"
    for precision in ("fp32", "bf16"):
        with pytest.raises(InputError, match="use ONNX Runtime"):
            native(network, (64, 32), precision=precision)
