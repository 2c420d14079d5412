"""OpenVINO against the bare network and against arithmetic by hand, on every accepted and refused form."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omnireid.core.card import ModelCard
from omnireid.core.errors import InputError, MissingExtraError, ShapeError, WeightsError
from omnireid.inference.backends.openvino import OpenVinoBackend, import_openvino

pytest.importorskip("openvino")

IMAGENET_MEAN = np.array([0.485, 0.456, 0.406])
IMAGENET_STD = np.array([0.229, 0.224, 0.225])


def random_crops(count: int, height: int = 32, width: int = 16, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def plain_normalise(crops: np.ndarray) -> np.ndarray:
    return np.moveaxis((crops / 255.0 - IMAGENET_MEAN) / IMAGENET_STD, 3, 1)


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def as_ir(source: Path, target: Path) -> Path:
    openvino = import_openvino()
    openvino.save_model(openvino.Core().read_model(source), target, compress_to_fp16=False)
    return target


@pytest.mark.parametrize("name", ["osnet_x0_25", "osnet_ain_x0_25"])
@pytest.mark.parametrize("ir", [False, True])
def test_it_gives_the_network_s_embeddings_and_feature_maps(
    exported: Callable[[str], Any], tmp_path: Path, name: str, ir: bool
) -> None:
    import torch

    model = exported(name)
    height, width = model.card.input.height, model.card.input.width
    crops = random_crops(11, height, width)
    images = torch.from_numpy(plain_normalise(crops).astype(np.float32))
    with torch.inference_mode():
        expected, maps = model.network(images).numpy(), model.network.feature_maps(images).numpy()
    # Otherwise any two answers would agree, whatever was fed.
    assert np.abs(expected - expected[::-1]).max() > 1e-3 * np.abs(expected).max()
    backend = OpenVinoBackend(as_ir(model.onnx, tmp_path / "model.xml") if ir else model.onnx, threads=2)
    assert backend.card.name == name
    assert backend.card.sha256 is not None
    # One crop, fewer than a part, a part, parts and a rest.
    for count in (1, 3, 4, 11):
        actual = backend.embed(crops[:count])
        assert actual.dtype == np.float32
        np.testing.assert_allclose(actual, expected[:count], atol=2e-5 * np.abs(expected).max())
    every_other = np.zeros((22, height, 2 * width, 3), np.uint8)[::2, :, ::2]
    every_other[:] = crops
    assert not every_other.flags.c_contiguous
    np.testing.assert_array_equal(backend.embed(every_other), backend.embed(crops))
    assert backend.embed(crops[:0]).shape == (0, 512)
    actual_maps = backend.feature_maps(crops[:3])
    assert actual_maps is not None
    np.testing.assert_allclose(actual_maps, maps[:3], atol=1e-4 * maps.max())


def test_several_threads_and_several_models_share_a_process(exported: Callable[[str], Any]) -> None:
    backends = [OpenVinoBackend(exported("osnet_ain_x0_25").onnx, threads=threads) for threads in (1, 2)]
    parts = np.split(random_crops(36, 64, 32), 4) * 2
    alone = [backends[0].embed(part) for part in parts]
    assert np.abs(alone[0] - alone[1]).max() > 1e-3
    with ThreadPoolExecutor(4) as pool:
        for backend in backends:
            for one, other in zip(alone, pool.map(backend.embed, parts), strict=True):
                np.testing.assert_allclose(other, one, atol=1e-5)


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"dtype": "FLOAT16"},
        {"dtype": "FLOAT16", "shape": ("N", 32, 16, 3)},
        {"shape": (1, 3, 32, 16)},
        {"shape": (4, 3, 32, 16)},
        {"outputs": ("logits", "embedding")},
    ],
    ids=str,
)
def test_float_graphs_are_fed_normalised(colour_graph: Callable[..., Path], form: dict[str, Any]) -> None:
    backend = OpenVinoBackend(colour_graph(**form))
    crops = random_crops(6)
    expected = plain_normalise(crops)[:, :, :5, :3].mean(axis=(2, 3))
    np.testing.assert_allclose(backend.embed(crops), expected, atol=2e-3 if "dtype" in form else 1e-5)
    assert backend.fixed_batch == (form["shape"][0] if "shape" in form and form["shape"][0] != "N" else None)


@pytest.mark.parametrize(
    ("form", "complaint"),
    [
        ({"extra_input": True}, "'camera' tensor"),
        ({"dtype": "DOUBLE"}, "expected uint8, float32 or float16"),
        ({"shape": ("N", 1, 32, 16)}, "expected shape"),
        ({"outputs": ("a", "b")}, "expected one output of shape \\(N, D\\).*'a'.*'b'"),
        ({"inside_batch": 1}, "export it with a free one"),
    ],
    ids=str,
)
def test_graphs_that_are_no_embedding_network_are_refused(
    colour_graph: Callable[..., Path], form: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(WeightsError, match=complaint):
        OpenVinoBackend(colour_graph(**form))


def test_a_batch_that_melts_into_one_row_is_refused(colour_graph: Callable[..., Path]) -> None:
    import onnx
    from onnx import numpy_helper

    path = colour_graph(inside_batch=1)
    model = onnx.load(str(path))
    [fixed] = [tensor for tensor in model.graph.initializer if tensor.name == "fixed"]
    fixed.CopyFrom(numpy_helper.from_array(np.array([1, -1]), "fixed"))
    del model.graph.output[0].type.tensor_type.shape.dim[:]
    for name in ("batch", "size"):
        model.graph.output[0].type.tensor_type.shape.dim.add().dim_param = name
    onnx.save(model, str(path))
    with pytest.raises(WeightsError, match=r"4 crops give an output of shape .*export it with a free one"):
        OpenVinoBackend(path)


def test_files_that_are_no_model_are_refused(exported: Callable[[str], Any], tmp_path: Path) -> None:
    whole = exported("osnet_x0_25").onnx
    for name, content, complaint in (
        ("empty.onnx", b"", "empty"),
        ("text.onnx", b"<html>404 not found</html>", "not a whole model"),
        ("half.onnx", whole.read_bytes()[:400_000], "not a whole model"),
        ("alone.xml", b"<net/>", "alone.bin: no such file"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(WeightsError, match=complaint):
            OpenVinoBackend(tmp_path / name)
    with pytest.raises(WeightsError, match="no such file"):
        OpenVinoBackend(tmp_path / "absent.xml")
    ir = as_ir(whole, tmp_path / "model.xml")
    ir.with_suffix(".bin").write_bytes(ir.with_suffix(".bin").read_bytes()[:10_000])
    with pytest.raises(WeightsError, match="not a whole model"):
        OpenVinoBackend(ir)
    bad_card = tmp_path / "card.xml"
    as_ir(whole, bad_card)
    text = bad_card.read_text()
    place = text.rindex("</rt_info>")
    bad_card.write_text(f'{text[:place]}<omnireid value="no card" />{text[place:]}')
    with pytest.raises(WeightsError, match="the model card cannot be used"):
        OpenVinoBackend(bad_card)


def test_the_card_is_held_against_the_graph(colour_graph: Callable[..., Path]) -> None:
    def with_card(**facts: Any) -> Path:
        card = ModelCard(name="x", architecture="x", **facts)
        return colour_graph(metadata={"omnireid.card": card.to_json()})

    size = {"height": 32, "width": 16}
    assert OpenVinoBackend(with_card(input=size, embedding_size=3)).card.name == "x"
    with pytest.raises(WeightsError, match="embedding size 4, its graph 3"):
        OpenVinoBackend(with_card(input=size, embedding_size=4))


def test_crops_and_options_are_checked(colour_graph: Callable[..., Path]) -> None:
    path = colour_graph()
    with pytest.raises(ShapeError, match="\\(N, 32, 16, 3\\)"):
        OpenVinoBackend(path).embed(random_crops(2, 16, 32))
    with pytest.raises(InputError, match="threads"):
        OpenVinoBackend(path, threads=0)
    with pytest.raises(InputError, match=r"'int4'.*'fp32' and 'bf16'"):
        OpenVinoBackend(path, precision="int4")  # type: ignore[arg-type]


def test_bf16_is_used_where_asked_for_and_refused_where_it_is_not_there(
    exported: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, crops = exported("osnet_x0_25"), random_crops(9, 128, 64)
    core = import_openvino().Core()
    if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        full = OpenVinoBackend(model.onnx).embed(crops)
        half = OpenVinoBackend(model.onnx, precision="bf16").embed(crops)
        # bf16 keeps 8 bits: close, and not the same.
        assert cosines(half, full).min() > 0.999
        assert np.abs(half - full).max() > 1e-3 * np.abs(full).max()

    class WithoutBf16:
        def get_property(self, device: str, name: str) -> list[str]:
            return ["FP32", "INT8"]

    monkeypatch.setattr(import_openvino(), "Core", WithoutBf16)
    with pytest.raises(InputError, match="processor cannot compute in bf16"):
        OpenVinoBackend(model.onnx, precision="bf16")


def test_tiny_weights_are_zeroed(exported: Callable[[str], Any], tmp_path: Path) -> None:
    import onnx
    from onnx import numpy_helper

    model = onnx.load(str(exported("osnet_x0_25").onnx))
    largest = max(model.graph.initializer, key=lambda tensor: np.prod(tensor.dims))
    values = numpy_helper.to_array(largest).copy()
    values.flat[:100] = 1e-30
    largest.CopyFrom(numpy_helper.from_array(values, largest.name))
    onnx.save(model, str(tmp_path / "tiny.onnx"))
    backend = OpenVinoBackend(tmp_path / "tiny.onnx")
    kept = np.concatenate(
        [
            node.data.ravel()
            for node in backend._model.get_ops()
            if node.get_type_name() == "Constant" and node.data.dtype == np.float32
        ]
    )
    assert len(kept) > values.size
    assert np.abs(kept[kept != 0]).min() > 1e-20


def test_weights_outside_the_file_and_feature_maps_of_other_graphs_are_found(
    exported: Callable[[str], Any], tmp_path: Path
) -> None:
    import onnx

    source = exported("osnet_ain_x0_25").onnx
    model = onnx.load(str(source))
    del model.graph.output[1]
    onnx.save(model, str(tmp_path / "split.onnx"), save_as_external_data=True, size_threshold=256)
    crops = random_crops(2, 64, 32)
    whole, split = OpenVinoBackend(source), OpenVinoBackend(tmp_path / "split.onnx")
    np.testing.assert_allclose(split.embed(crops), whole.embed(crops), rtol=1e-5)
    maps, expected = split.feature_maps(crops), whole.feature_maps(crops)
    assert maps is not None
    assert expected is not None
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-5)


def test_compiled_graphs_are_cached(exported: Callable[[str], Any], tmp_path: Path) -> None:
    source, crops = exported("osnet_ain_x0_25").onnx, random_crops(3, 64, 32)
    rows = [OpenVinoBackend(source, cache=tmp_path / "cache").embed(crops) for _ in range(2)]
    assert list((tmp_path / "cache").iterdir())
    np.testing.assert_allclose(rows[1], rows[0], atol=1e-6)


def test_a_file_changed_while_open_changes_nothing(exported: Callable[[str], Any], tmp_path: Path) -> None:
    ir = as_ir(exported("osnet_ain_x0_25").onnx, tmp_path / "model.xml")
    crops = random_crops(5, 64, 32)
    expected = OpenVinoBackend(ir).embed(crops)
    backend = OpenVinoBackend(ir)
    with ir.with_suffix(".bin").open("r+b") as stream:
        stream.write(bytes(100_000))
    np.testing.assert_allclose(backend.embed(crops), expected, atol=1e-5)


def test_without_openvino_the_extra_is_named(
    colour_graph: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = colour_graph()
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=r"omnireid\[openvino\]"):
        OpenVinoBackend(path)


def test_nothing_is_reported_to_the_makers_of_openvino(tmp_path: Path) -> None:
    (tmp_path / "openvino_telemetry.py").write_text("raise SystemExit('a report would be sent')")
    script = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from omnireid.inference.backends.openvino import import_openvino
assert import_openvino().Core()
assert "openvino_telemetry" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
