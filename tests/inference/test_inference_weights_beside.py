"""ONNX files with weights in others beside them: all of it is the model, whatever runs it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omnireid import Embedder
from omnireid.core.errors import WeightsError
from omnireid.inference.backends.onnx_runtime import OnnxBackend
from toy_people import add_card

onnx = pytest.importorskip("onnx")

CROPS = np.random.default_rng(0).integers(0, 255, (5, 32, 16, 3), np.uint8)


def network(seed: int, tiny: float = 0.0) -> Any:
    """Two weights: a convolution's, and in a constant node a factor for each value of the embedding."""
    helper, arrays = onnx.helper, onnx.numpy_helper
    generator = np.random.default_rng(seed)
    weights = generator.normal(size=(24, 3, 8, 8)).astype(np.float32)
    weights[0, 0, 0, :4] = tiny
    factors = arrays.from_array(generator.uniform(1, 2, size=(1, 24)).astype(np.float32), "factors")
    nodes = [
        helper.make_node("Conv", ["images", "weights"], ["maps"], strides=[8, 8]),
        helper.make_node("Relu", ["maps"], ["positive"]),
        helper.make_node("GlobalAveragePool", ["positive"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Constant", [], ["factors"], value=factors),
        helper.make_node("Mul", ["flat", "factors"], ["embedding"]),
    ]
    image = helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, ["n", 3, 32, 16])
    output = helper.make_tensor_value_info("embedding", onnx.TensorProto.FLOAT, ["n", 24])
    graph = helper.make_graph(nodes, "net", [image], [output], [arrays.from_array(weights, "weights")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    add_card(model, "net", (32, 16), 24)
    return model


def write(folder: Path, seed: int = 1, tiny: float = 0.0, location: str = "net.onnx.data") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "net.onnx"
    onnx.save_model(
        network(seed, tiny),
        str(path),
        save_as_external_data=True,
        location=location,
        size_threshold=0,
        convert_attribute=True,
    )
    return path


def with_entry(path: Path, **entry: str) -> Path:
    """The same file with something else in its entries."""
    model = onnx.load(str(path), load_external_data=False)
    for tensor in model.graph.initializer:
        for pair in tensor.external_data:
            pair.value = entry.get(pair.key, pair.value)
    onnx.save(model, str(path))
    return path


BACKENDS = ["onnx", "openvino"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_other_weights_beside_the_same_graph_are_another_model(tmp_path: Path, backend: Any) -> None:
    if backend == "openvino":
        pytest.importorskip("openvino")
    first, second = write(tmp_path / "first", 1), write(tmp_path / "second", 2)
    assert first.read_bytes() == second.read_bytes()
    one, other = (Embedder.open(path, backend=backend, threads=1) for path in (first, second))
    assert one.sha256 != other.sha256
    assert one.ref.short != other.ref.short
    # The same weights in one file, as the oracle of what is computed.
    whole = tmp_path / "whole.onnx"
    onnx.save(network(1), str(whole))
    np.testing.assert_allclose(one.embed(CROPS), Embedder.open(whole, threads=1).embed(CROPS), atol=1e-6)
    # Moved as a whole it stays the same model, and every engine gives it the same name.
    shutil.copytree(first.parent, tmp_path / "moved")
    assert OnnxBackend(tmp_path / "moved" / "net.onnx").card.sha256 == one.sha256


def test_a_model_in_one_file_keeps_the_hash_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(network(1), str(path))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert Embedder.open(path, threads=1).sha256 == sha256
    assert OnnxBackend(path.read_bytes()).card.sha256 == sha256


def test_every_file_beside_it_counts(tmp_path: Path) -> None:
    def one_for_each(seed: int) -> Path:
        path = tmp_path / str(seed) / "net.onnx"
        path.parent.mkdir()
        model = network(1)
        onnx.save_model(
            model, str(path), save_as_external_data=True, all_tensors_to_one_file=False, size_threshold=0,
            convert_attribute=True,
        )  # fmt: skip
        return path

    path, other = one_for_each(1), one_for_each(2)
    files = sorted(file for file in other.parent.iterdir() if file != other)
    assert len(files) == 2
    sha256 = OnnxBackend(path).card.sha256
    assert OnnxBackend(other).card.sha256 == sha256
    for file in files:
        content = bytearray(file.read_bytes())
        content[-3] ^= 1
        file.write_bytes(bytes(content))
        assert OnnxBackend(other).card.sha256 != sha256
        content[-3] ^= 1
        file.write_bytes(bytes(content))


def test_a_folder_of_its_own_for_weights_is_found(tmp_path: Path) -> None:
    (tmp_path / "net" / "weights").mkdir(parents=True)
    path = write(tmp_path / "net", location="weights/all.bin")
    assert OnnxBackend(path).embed(CROPS).shape == (5, 24)
    # As downloads of Hugging Face lie: links with the names of the files.
    (tmp_path / "snapshot" / "weights").mkdir(parents=True)
    for name in ("net.onnx", "weights/all.bin"):
        (tmp_path / "blobs").mkdir(exist_ok=True)
        shutil.copy(tmp_path / "net" / name, tmp_path / "blobs" / name.replace("/", "-"))
        (tmp_path / "snapshot" / name).symlink_to(tmp_path / "blobs" / name.replace("/", "-"))
    assert OnnxBackend(tmp_path / "snapshot" / "net.onnx").card.sha256 == OnnxBackend(path).card.sha256


def test_tiny_weights_beside_the_file_become_zero(tmp_path: Path) -> None:
    tiny = OnnxBackend(write(tmp_path / "tiny", tiny=1e-39))
    weights = {
        tensor.name: onnx.numpy_helper.to_array(tensor)
        for tensor in onnx.load_from_string(tiny._content).graph.initializer
    }["weights"]
    np.testing.assert_array_equal(weights[0, 0, 0, :4], 0)
    assert np.abs(weights[weights != 0]).min() > 1e-20
    zero = OnnxBackend(write(tmp_path / "zero", tiny=0.0))
    np.testing.assert_array_equal(tiny.embed(CROPS), zero.embed(CROPS))
    assert tiny.card.sha256 != zero.card.sha256


def test_files_that_change_while_it_is_open_change_nothing(tmp_path: Path) -> None:
    backend = OnnxBackend(write(tmp_path / "net", 1), threads=2)
    expected = backend.embed(CROPS[:1])
    write(tmp_path / "net", 2)
    np.testing.assert_allclose(backend.embed(CROPS)[:1], expected, atol=1e-6)


def cut_off(path: Path) -> None:
    data = path.with_name("net.onnx.data")
    data.write_bytes(data.read_bytes()[:-100])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda path: path.with_name("net.onnx.data").unlink(),
            "lie in net.onnx.data .* that file is missing",
        ),
        (lambda path: path.with_name("net.onnx.data").write_bytes(b""), "net.onnx.data: the file is empty"),
        (cut_off, "net.onnx.data beside it, which is cut off or of another model"),
        (lambda path: with_entry(path, location="../net.onnx.data"), "refused: .* outside of its folder"),
        (lambda path: with_entry(path, location="/etc/hostname"), "refused: .* outside of its folder"),
        (lambda path: with_entry(path, location="a/../../b"), "refused: .* outside of its folder"),
        (lambda path: with_entry(path, location="C:\\\\b"), "refused: .* outside of its folder"),
        (lambda path: with_entry(path, location=""), "refused: .* outside of its folder"),
        (lambda path: with_entry(path, location="."), "that file is missing"),
        (lambda path: with_entry(path, offset="many"), "damaged"),
        (lambda path: with_entry(path, offset="-4"), "cut off"),
        (lambda path: with_entry(path, length="999999999"), "cut off"),
    ],
)
def test_weights_that_are_not_beside_it_are_named(
    tmp_path: Path, spoil: Callable[[Path], object], message: str, backend: Any
) -> None:
    if backend == "openvino":
        pytest.importorskip("openvino")
    path = write(tmp_path / "net")
    spoil(path)
    with pytest.raises(WeightsError, match=message):
        Embedder.open(path, backend=backend, threads=1)


def test_bytes_without_their_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="keeps weights in net"):
        OnnxBackend(write(tmp_path / "net").read_bytes())
