"""Exported ONNX files: every variant, the gate, and what is left behind when it closes."""

from __future__ import annotations

import hashlib
import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")

import onnx
import torch

import exporting
from documentation import page
from omnireid.core.card import InputSpec, ModelCard
from omnireid.core.errors import InputError, UnknownNameError, WeightsError
from omnireid.inference.backends.onnx_runtime import OnnxBackend
from omnireid.inference.export import exporter
from omnireid.inference.export.exporter import export_onnx
from omnireid.models.registry import build_model

SMALL = InputSpec(height=64, width=32)


def card_of(architecture: str, spec: InputSpec = SMALL) -> ModelCard:
    return ModelCard(name=f"{architecture}_mine", architecture=architecture, input=spec)


@pytest.mark.parametrize(
    ("architecture", "overrides"),
    [
        ("osnet_x0_25", {}),
        ("osnet_ibn_x1_0", {"channels": (16, 64, 96, 128)}),
        ("osnet_ain_x0_25", {}),
    ],
)
def test_every_family_passes_the_gate(
    architecture: str,
    overrides: dict[str, Any],
    exported: Callable[[str], Any],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    recwarn: pytest.WarningsRecorder,
) -> None:
    path = tmp_path / "model.onnx"
    network = build_model(architecture, **overrides)
    proof = export_onnx(network, card_of(architecture), path)
    assert proof.min_cosine >= 0.99999
    assert proof.num_crops == 256
    assert proof.form == "streams"
    assert capfd.readouterr() == ("", "")
    assert [str(warning.message) for warning in recwarn] == []

    graph = onnx.load(str(path)).graph
    assert "BatchNormalization" not in {node.op_type for node in graph.node}
    (image,) = graph.input
    assert image.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    dims = image.type.tensor_type.shape.dim
    assert [dim.dim_value or dim.dim_param for dim in dims] == ["batch", 64, 32, 3]
    assert [output.name for output in graph.output] == ["embedding", "feature_maps"]


def test_an_ablation_is_exported_as_it_is(tmp_path: Path) -> None:
    network = build_model("osnet_x0_25", fusion="addition")
    assert export_onnx(network, card_of("osnet_x0_25"), tmp_path / "m.onnx").form == "readable"


def test_the_proof_lies_beside_the_file(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    network = build_model("osnet_x0_25").train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    proof = export_onnx(network, card_of("osnet_x0_25"), path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.onnx", "model.onnx.parity.json"]
    written = json.loads((tmp_path / "model.onnx.parity.json").read_text())
    assert written == proof.model_dump(mode="json")
    assert written["sha256"] == {"model.onnx": hashlib.sha256(path.read_bytes()).hexdigest()}
    assert written["batches"] == [1, 3, 37, 215]
    assert 0 <= written["max_abs_difference"] < 1e-5 * written["max_abs_embedding"]
    assert written["min_cosine"] <= written["p1_cosine"] <= written["median_cosine"] <= 1 + 1e-9
    assert [entry["batch"] for entry in written["latency"]] == [1, 32]
    assert all(entry["median_ms"] > 0 and entry["runs"] >= 3 for entry in written["latency"])
    assert written["accuracy"] is None

    # The network is as it was: its mode, its weights, no hook.
    assert network.training
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())

    stored = OnnxBackend(path).card
    assert stored.model_copy(update={"sha256": None}) == card_of("osnet_x0_25")


def test_another_preprocessing_is_exported_and_held(tmp_path: Path) -> None:
    spec = InputSpec(height=48, width=48, mean=(0.1, 0.5, 0.9), std=(1.0, 0.5, 0.25))
    network = build_model("osnet_x0_25").eval()
    export_onnx(network, card_of("osnet_x0_25", spec), tmp_path / "m.onnx")
    crops = np.random.default_rng(0).integers(0, 256, (2, 48, 48, 3), dtype=np.uint8)
    with torch.inference_mode():
        images = (crops / 255.0 - [0.1, 0.5, 0.9]) / [1.0, 0.5, 0.25]
        expected = network(torch.from_numpy(np.moveaxis(images, 3, 1).astype(np.float32))).numpy()
    actual = OnnxBackend(tmp_path / "m.onnx").embed(crops)
    np.testing.assert_allclose(actual, expected, atol=1e-5 * expected.max())


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ("colour order", r"was not written.*smallest cosine 0"),
        ("fixed batch", "does not run in plain ONNX Runtime"),
        ("one weight", r"was not written.*smallest cosine 0"),
    ],
)
def test_the_gate_keeps_nothing_that_differs(
    fault: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = exporter.onnx_graph

    def faulty(*arguments: Any, **options: Any) -> bytes:
        model = onnx.load_from_string(whole(*arguments, **options))
        if fault == "colour order":
            (stem,) = [i for i in model.graph.initializer if list(i.dims) == [16, 3, 7, 7]]
            flipped = onnx.numpy_helper.to_array(stem)[:, ::-1].copy()
            stem.CopyFrom(onnx.numpy_helper.from_array(flipped, stem.name))
        elif fault == "fixed batch":
            for value in (*model.graph.input, *model.graph.output):
                value.type.tensor_type.shape.dim[0].dim_value = 64
        else:
            (weight,) = [i for i in model.graph.initializer if sorted(i.dims) == [128, 512]]
            changed = onnx.numpy_helper.to_array(weight).copy()
            changed[7] += 0.1
            weight.CopyFrom(onnx.numpy_helper.from_array(changed, weight.name))
        return model.SerializeToString()

    (tmp_path / "model.onnx").write_bytes(b"the file of before")
    monkeypatch.setattr(exporter, "onnx_graph", faulty)
    with pytest.raises(WeightsError, match=complaint):
        export_onnx(build_model("osnet_x0_25"), card_of("osnet_x0_25"), tmp_path / "model.onnx")
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]
    assert (tmp_path / "model.onnx").read_bytes() == b"the file of before"


def test_a_network_of_nothing_but_nan_does_not_pass(tmp_path: Path) -> None:
    network = build_model("osnet_x0_25")
    with torch.no_grad():
        network.conv1.conv.weight.fill_(float("nan"))
    with pytest.raises(WeightsError):
        export_onnx(network, card_of("osnet_x0_25"), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_options_are_checked(tmp_path: Path) -> None:
    network, card = build_model("osnet_x0_25"), card_of("osnet_x0_25")
    path = tmp_path / "model.onnx"

    def export(**options: Any) -> None:
        exporting.export(network, card, options.pop("path", path), **options)

    with pytest.raises(InputError, match=r"ends in \.onnx"):
        export(path=tmp_path / "model.pt")
    with pytest.raises(InputError, match="opset"):
        export(opset=11)
    with pytest.raises(InputError, match="num_crops"):
        export(num_crops=255)
    with pytest.raises(InputError, match="at least 256"):
        export(crops=np.zeros((255, 64, 32, 3), np.uint8))
    with pytest.raises(UnknownNameError, match="did you mean 'onnx'"):
        export(format="onx")
    with pytest.raises(UnknownNameError, match="did you mean 'fp16'"):
        export(precision="f16")
    with pytest.raises(InputError, match=r"onnx in bf16: not offered.*bf16 works with openvino, torchscript"):
        export(precision="bf16")
    with pytest.raises(InputError, match="give a dataset"):
        export(precision="int8")
    assert list(tmp_path.iterdir()) == []


def test_the_documented_script_runs_without_omnireid(
    exported: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (
        page("guides/embedding/export.md")
        .partition("<!-- script: plain onnxruntime -->\n```python\n")[2]
        .partition("```")[0]
    )
    lines = [line for line in script.splitlines() if line.strip()]
    assert 1 <= len(lines) <= 10
    assert "import omnireid" not in script
    assert "from omnireid" not in script

    from PIL import Image

    generator = np.random.default_rng(1)
    for name in ("a.jpg", "b.jpg"):
        Image.fromarray(generator.integers(0, 256, (90, 40, 3), dtype=np.uint8)).save(tmp_path / name)
    model = exported("osnet_x0_25")
    (tmp_path / "model.onnx").write_bytes(model.onnx.read_bytes())
    (tmp_path / "script.py").write_text(script)
    monkeypatch.chdir(tmp_path)
    namespace = runpy.run_path("script.py")

    from omnireid import Embedder
    from omnireid.core.images import decode

    expected = Embedder.open(model.onnx).embed([decode("a.jpg"), decode("b.jpg")])
    np.testing.assert_allclose(namespace["similarity"], expected[0] @ expected[1], atol=1e-6)

    # What the page says of other batches: one, 37, a view that is not contiguous, and none.
    session = namespace["session"]
    crops = generator.integers(0, 256, (37, 128, 64, 3), dtype=np.uint8)
    together = session.run(["embedding"], {"images": crops})[0]
    assert together.shape == (37, 512)
    alone = session.run(["embedding"], {"images": crops[:1]})[0]
    np.testing.assert_allclose(alone[0], together[0], atol=1e-5 * together.max())
    view = np.repeat(crops, 2, axis=2)[:, :, ::2]
    assert not view.flags.c_contiguous
    np.testing.assert_array_equal(session.run(["embedding"], {"images": view})[0], together)
    assert session.run(["embedding"], {"images": crops[:0]})[0].shape == (0, 512)
