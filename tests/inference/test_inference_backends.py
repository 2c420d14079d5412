"""Torch and ONNX Runtime against the bare network, and graphs of every accepted and refused form."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omnireid import Embedder
from omnireid.core.card import ModelCard
from omnireid.core.errors import InputError, ShapeError, WeightsError
from omnireid.inference.backends.onnx_runtime import OnnxBackend

IMAGENET_MEAN = np.array([0.485, 0.456, 0.406])
IMAGENET_STD = np.array([0.229, 0.224, 0.225])


def random_crops(count: int, height: int = 32, width: int = 16, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def plain_normalise(crops: np.ndarray) -> np.ndarray:
    """The formula as published, written out in float64: the oracle of every preprocessing here."""
    return np.moveaxis((crops / 255.0 - IMAGENET_MEAN) / IMAGENET_STD, 3, 1)


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


@pytest.mark.parametrize("name", ["osnet_x0_25", "osnet_ibn_x0_25", "osnet_ain_x0_25", "osnet_x1_0"])
def test_engines_give_the_network_s_embeddings(exported: Callable[[str], Any], name: str) -> None:
    import torch

    model = exported(name)
    height, width = model.card.input.height, model.card.input.width
    crops = random_crops(37, height, width)
    with torch.inference_mode():
        expected = model.network(torch.from_numpy(plain_normalise(crops).astype(np.float32))).numpy()
    # Otherwise any two answers would agree, whatever was fed.
    assert cosines(expected, expected[::-1]).min() < 0.9999
    engines = ((model.onnx, "onnx"), (model.safetensors, "torch"), (model.safetensors, "native"))
    for file, backend in engines:
        threads = None if backend == "torch" else 1
        embedder = Embedder.open(file, backend=backend, threads=threads, normalise=False)  # type: ignore[arg-type]
        assert (embedder.backend.name, embedder.backend.device) == (backend, "cpu")
        actual = embedder.embed(crops)
        assert actual.shape == (37, 512)
        assert actual.dtype == np.float32
        assert cosines(actual, expected).min() >= 0.99999
        np.testing.assert_allclose(actual, expected, atol=2e-5 * np.abs(expected).max())
        np.testing.assert_allclose(embedder.embed(crops[5:6]), expected[5:6], atol=2e-5 * expected.max())

        every_other = random_crops(74, height, width * 2)[::2, :, ::2]
        every_other[:] = crops
        assert not every_other.flags.c_contiguous
        np.testing.assert_array_equal(embedder.embed(every_other), actual)
        np.testing.assert_array_equal(embedder.embed(np.asfortranarray(crops)), actual)

        assert embedder.embed(crops[:0]).shape == (0, 512)
        assert embedder.embed([]).shape == (0, 512)


@pytest.mark.parametrize("name", ["osnet_x0_25", "osnet_ain_x0_25"])
def test_feature_maps_are_what_the_pool_takes(exported: Callable[[str], Any], name: str) -> None:
    import torch

    model = exported(name)
    crops = random_crops(3, model.card.input.height, model.card.input.width)
    with torch.inference_mode():
        images = torch.from_numpy(plain_normalise(crops).astype(np.float32))
        expected = model.network.feature_maps(images).numpy()
    for file in (model.onnx, model.safetensors):
        embedder = Embedder.open(file)
        maps = embedder.feature_maps(crops)
        assert maps is not None
        np.testing.assert_allclose(maps, expected, atol=1e-4 * expected.max())
        empty = embedder.feature_maps([])
        assert empty is not None
        assert empty.shape == (0, *expected.shape[1:])


def test_one_embedder_serves_several_threads(exported: Callable[[str], Any]) -> None:
    parts = np.split(random_crops(24, 64, 32), 4) * 2
    for file in (exported("osnet_ain_x0_25").onnx, exported("osnet_ain_x0_25").safetensors):
        embedder = Embedder.open(file, batch_size=3)
        alone = [embedder.embed(part) for part in parts]
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(embedder.embed, parts))
        for one, other in zip(alone, together, strict=True):
            np.testing.assert_allclose(other, one, atol=1e-6)


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"shape": ("N", 32, 16, 3)},
        {"dtype": "FLOAT16"},
        {"dtype": "FLOAT16", "shape": ("N", 32, 16, 3)},
        {"shape": (1, 3, 32, 16)},
        {"shape": (4, 3, 32, 16)},
        {"outputs": ("logits", "embedding")},
    ],
    ids=str,
)
def test_float_graphs_are_fed_normalised(colour_graph: Callable[..., Path], form: dict[str, Any]) -> None:
    backend = OnnxBackend(colour_graph(**form))
    crops = random_crops(6)
    expected = plain_normalise(crops)[:, :, :5, :3].mean(axis=(2, 3))
    np.testing.assert_allclose(backend.embed(crops), expected, atol=2e-3 if "dtype" in form else 1e-5)
    assert (backend.card.input.height, backend.card.input.width) == (32, 16)
    assert backend.card.embedding_size == 3


@pytest.mark.parametrize("shape", [("N", 32, 16, 3), ("N", 3, 32, 16)], ids=str)
def test_uint8_graphs_are_fed_as_they_are(colour_graph: Callable[..., Path], shape: tuple[Any, ...]) -> None:
    backend = OnnxBackend(colour_graph(dtype="UINT8", shape=shape))
    crops = random_crops(3)
    np.testing.assert_allclose(backend.embed(crops), crops[:, :5, :3].mean(axis=(1, 2)), rtol=1e-5)


@pytest.mark.parametrize(
    ("form", "size", "layout"),
    [
        ({"shape": ("N", 3, 32, 16)}, r"\[32, 16\]", "NCHW"),
        ({"shape": ("N", 3, "H", "W")}, r"\[\?, \?\]", "NCHW"),
        ({"shape": ("N", 32, 16, 3), "dtype": "UINT8"}, r"\[32, 16\]", "NHWC"),
    ],
    ids=str,
)
def test_a_graph_without_a_card_is_refused_with_the_card_to_write(
    colour_graph: Callable[..., Path], form: dict[str, Any], size: str, layout: str
) -> None:
    # A file's name makes it no OSNet.
    path = colour_graph("osnet_ain_x1_0_mine.onnx", metadata={}, **form)
    card = rf"{{name: osnet_ain_x1_0_mine, licence: unknown, size: {size}, layout: {layout}, colours: RGB|BGR"
    with pytest.raises(WeightsError, match=rf"osnet_ain_x1_0_mine\.card\.yaml beside it.*{card}"):
        OnnxBackend(path)


@pytest.mark.parametrize(
    ("form", "complaint"),
    [
        ({"extra_input": True}, "'camera' tensor\\(int64\\)"),
        ({"dtype": "DOUBLE"}, "'images' tensor\\(double\\) \\['N', 3, 32, 16\\]"),
        ({"shape": ("N", 1, 32, 16)}, "\\['N', 1, 32, 16\\]: expected shape"),
        ({"shape": ("N", "C", "H", "W")}, "\\['N', 'C', 'H', 'W'\\]: expected shape"),
        ({"outputs": ("a", "b")}, "expected one output of shape \\(N, D\\).*'a'.*'b'"),
        ({"inside_batch": 1}, "cannot embed two crops of 32×16.*export it with a free one"),
    ],
    ids=str,
)
def test_graphs_that_are_no_embedding_network_are_refused(
    colour_graph: Callable[..., Path], form: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(WeightsError, match=complaint):
        OnnxBackend(colour_graph(**form))


def test_files_that_are_no_model_are_refused(exported: Callable[[str], Any], tmp_path: Path) -> None:
    whole = exported("osnet_x0_25").onnx.read_bytes()
    for name, content, complaint in (
        ("empty.onnx", b"", "empty"),
        ("text.onnx", b"<html>404 not found</html>", "not a whole ONNX model"),
        ("half.onnx", whole[: len(whole) // 2], "not a whole ONNX model"),
        ("cut.onnx", whole[:-100], "not a whole ONNX model"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(WeightsError, match=f"{name}: .*{complaint}"):
            Embedder.open(tmp_path / name)
    with pytest.raises(WeightsError, match="no such"):
        OnnxBackend(tmp_path / "absent.onnx")
    with pytest.raises(WeightsError, match="is a folder"):
        OnnxBackend(tmp_path)


def test_a_card_that_contradicts_its_graph_is_refused(colour_graph: Callable[..., Path]) -> None:
    def with_card(**facts: Any) -> Path:
        card = ModelCard(name="x", architecture="x", **facts)
        return colour_graph(metadata={"omnireid.card": card.to_json()})

    size = {"height": 32, "width": 16}
    assert OnnxBackend(with_card(input=size, embedding_size=3)).card.name == "x"
    with pytest.raises(WeightsError, match="embedding size 4, its graph 3"):
        OnnxBackend(with_card(input=size, embedding_size=4))
    with pytest.raises(WeightsError, match="cannot embed two crops of 64×16"):
        OnnxBackend(with_card(input={"height": 64, "width": 16}, embedding_size=3))
    with pytest.raises(WeightsError, match="the model card cannot be used"):
        OnnxBackend(colour_graph(metadata={"omnireid.card": "{}"}))


def test_crops_and_options_are_checked(colour_graph: Callable[..., Path]) -> None:
    path = colour_graph()
    backend = OnnxBackend(path)
    with pytest.raises(ShapeError, match="\\(N, 32, 16, 3\\), got \\(2, 16, 32, 3\\)"):
        backend.embed(random_crops(2, 16, 32))
    with pytest.raises(ShapeError):
        backend.embed(random_crops(2)[0])
    with pytest.raises(InputError, match=r"uint8.*float64"):
        backend.embed(random_crops(2) / 255)
    with pytest.raises(InputError, match="threads"):
        OnnxBackend(path, threads=0)
    with pytest.raises(InputError, match="'tpu'"):
        OnnxBackend(path, device="tpu")
    with pytest.raises(InputError, match="onnxruntime-gpu"):
        OnnxBackend(path, device="cuda")


def test_torch_devices_are_checked(exported: Callable[[str], Any]) -> None:
    import torch

    path = exported("osnet_ain_x0_25").safetensors
    for device in ("nonsense", "meta", f"cuda:{torch.cuda.device_count()}"):
        with pytest.raises(InputError, match="device"):
            Embedder.open(path, device=device)


def test_weights_outside_the_file_are_found(exported: Callable[[str], Any], tmp_path: Path) -> None:
    import onnx

    source = exported("osnet_ain_x0_25").onnx
    onnx.save(
        onnx.load(str(source)),
        str(tmp_path / "split.onnx"),
        save_as_external_data=True,
        location="split.bin",
        size_threshold=256,
    )
    assert (tmp_path / "split.bin").stat().st_size > 100_000
    crops = random_crops(2, 64, 32)
    # From another working folder, as users do.
    here = Path.cwd()
    os.chdir("/")
    try:
        split = OnnxBackend(tmp_path / "split.onnx")
    finally:
        os.chdir(here)
    np.testing.assert_allclose(split.embed(crops), OnnxBackend(source).embed(crops), rtol=1e-6)


def test_feature_maps_of_other_graphs_need_the_onnx_package(
    exported: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnx

    source = exported("osnet_ain_x0_25").onnx
    model = onnx.load(str(source))
    del model.graph.output[1]
    for name in ("with.onnx", "without.onnx"):
        onnx.save(model, str(tmp_path / name))
    crops = random_crops(2, 64, 32)
    expected = OnnxBackend(source).feature_maps(crops)
    actual = OnnxBackend(tmp_path / "with.onnx").feature_maps(crops)
    assert actual is not None
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert OnnxBackend(tmp_path / "without.onnx").feature_maps(crops) is None
    assert OnnxBackend(source).feature_maps(crops) is not None


def test_onnx_needs_no_torch_and_says_nothing(exported: Callable[[str], Any]) -> None:
    model = exported("osnet_x0_25")
    script = f"""
import sys
from importlib import import_module
for blocked in ("torch", "onnx"):
    sys.modules[blocked] = None
import numpy as np
import omnireid
from omnireid.core.errors import MissingExtraError
embedder = omnireid.Embedder.open({str(model.onnx)!r}, threads=1)
rows = embedder.embed(np.zeros((3, 128, 64, 3), np.uint8))
assert rows.shape == (3, 512)
assert embedder.feature_maps(np.zeros((1, 128, 64, 3), np.uint8)).shape == (1, 128, 8, 4)
native = omnireid.Embedder.open({str(model.safetensors)!r}, device="cpu", threads=1)
assert np.allclose(native.embed(np.zeros((3, 128, 64, 3), np.uint8)), rows, atol=1e-5)
for broken in (
    lambda: omnireid.Embedder.open({str(model.safetensors)!r}, backend="torch"),
    lambda: import_module("omnireid.inference.backends.torch_eager"),
    lambda: omnireid.export_model,
):
    try:
        broken()
    except MissingExtraError as error:
        assert "omnireid[train]" in str(error), error
    else:
        raise AssertionError("worked without torch")
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
