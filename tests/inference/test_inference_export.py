"""Exported files: every variant, the gate, and what is left behind when it closes."""

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

from omnireid.core import InputSpec, ModelCard
from omnireid.core.errors import InputError, WeightsError
from omnireid.inference import OnnxBackend, export, export_onnx
from omnireid.models.cards import list_architectures
from omnireid.models.registry import build_model

SMALL = InputSpec(height=64, width=32)


def card_of(architecture: str, spec: InputSpec = SMALL) -> ModelCard:
    return ModelCard(name=f"{architecture}_mine", architecture=architecture, input=spec)


@pytest.mark.parametrize("architecture", list_architectures())
def test_every_variant_passes_the_gate(
    architecture: str,
    exported: Callable[[str], Any],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    recwarn: pytest.WarningsRecorder,
) -> None:
    path = tmp_path / "model.onnx"
    network = build_model(architecture)
    proof = export_onnx(network, card_of(architecture), path)
    assert proof.min_cosine >= 0.99999
    assert proof.num_crops == 64
    assert capfd.readouterr() == ("", "")
    assert [str(warning.message) for warning in recwarn] == []

    graph = onnx.load(str(path)).graph
    assert "BatchNormalization" not in {node.op_type for node in graph.node if "/fc/" not in node.name}
    (image,) = graph.input
    assert image.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    dims = image.type.tensor_type.shape.dim
    assert [dim.dim_value or dim.dim_param for dim in dims] == ["batch", 64, 32, 3]
    assert [output.name for output in graph.output] == ["embedding", "feature_maps"]


def test_the_proof_lies_beside_the_file(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    network = build_model("osnet_x0_25").train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    proof = export_onnx(network, card_of("osnet_x0_25"), path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.onnx", "model.onnx.parity.json"]
    written = json.loads((tmp_path / "model.onnx.parity.json").read_text())
    assert written == proof.model_dump(mode="json")
    assert written["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert written["batches"] == [1, 3, 60]
    assert 0 <= written["max_abs_difference"] < 1e-5 * written["max_abs_embedding"]

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
        ("colour order", "smallest cosine 0"),
        ("fixed batch", "fixed at 64"),
        ("one weight", "smallest cosine 0"),
    ],
)
def test_the_gate_keeps_nothing_that_differs(
    fault: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = export._graph

    def faulty(network: Any, card: ModelCard, opset: int) -> bytes:
        model = onnx.load_from_string(whole(network, card, opset))
        if fault == "colour order":
            (stem,) = [i for i in model.graph.initializer if list(i.dims) == [16, 3, 7, 7]]
            flipped = onnx.numpy_helper.to_array(stem)[:, ::-1].copy()
            stem.CopyFrom(onnx.numpy_helper.from_array(flipped, stem.name))
        elif fault == "fixed batch":
            for value in (*model.graph.input, *model.graph.output):
                value.type.tensor_type.shape.dim[0].dim_value = 64
        else:
            (weight,) = [i for i in model.graph.initializer if i.name.endswith("fc.0.weight")]
            changed = onnx.numpy_helper.to_array(weight).copy()
            changed[7] += 0.1
            weight.CopyFrom(onnx.numpy_helper.from_array(changed, weight.name))
        return model.SerializeToString()

    (tmp_path / "model.onnx").write_bytes(b"the file of before")
    monkeypatch.setattr(export, "_graph", faulty)
    with pytest.raises(WeightsError, match=rf"model\.onnx was not written.*{complaint}"):
        export_onnx(build_model("osnet_x0_25"), card_of("osnet_x0_25"), tmp_path / "model.onnx")
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]
    assert (tmp_path / "model.onnx").read_bytes() == b"the file of before"


def test_a_network_of_nothing_but_nan_does_not_pass(tmp_path: Path) -> None:
    network = build_model("osnet_x0_25")
    with torch.no_grad():
        network.conv1.conv.weight.fill_(float("nan"))
    with pytest.raises(WeightsError, match="smallest cosine nan"):
        export_onnx(network, card_of("osnet_x0_25"), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_options_are_checked(tmp_path: Path) -> None:
    network, card = build_model("osnet_x0_25"), card_of("osnet_x0_25")
    with pytest.raises(InputError, match=r"ends in \.onnx"):
        export_onnx(network, card, tmp_path / "model.pt")
    with pytest.raises(InputError, match="opset"):
        export_onnx(network, card, tmp_path / "model.onnx", opset=11)
    with pytest.raises(InputError, match="num_crops"):
        export_onnx(network, card, tmp_path / "model.onnx", num_crops=8)


def test_the_documented_script_runs_without_omnireid(
    exported: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "inference.md").read_text()
    script = page.partition("<!-- script: plain onnxruntime -->\n```python\n")[2].partition("```")[0]
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

    from omnireid.core import decode
    from omnireid.inference import Embedder

    expected = Embedder.open(model.onnx).embed([decode("a.jpg"), decode("b.jpg")])
    np.testing.assert_allclose(namespace["similarity"], expected[0] @ expected[1], atol=1e-6)
    for rows in (1, 37):
        crops = generator.integers(0, 256, (rows, 128, 64, 3), dtype=np.uint8)
        plain = namespace["session"].run(["embedding"], {"images": crops})[0]
        np.testing.assert_array_equal(plain.shape, (rows, 512))
