"""Exports to other engines and precisions: what they give, what they say of themselves, what is refused."""

from __future__ import annotations

import importlib.util
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")

import onnx
import torch

from exporting import export
from inference.conftest import uneven_network
from omnireid import Embedder
from omnireid.core.card import InputSpec, ModelCard
from omnireid.core.errors import InputError, MissingExtraError, WeightsError
from omnireid.core.types import Sample
from omnireid.data.datasets import read_dataset
from omnireid.inference.export import parity
from omnireid.inference.export.half import halve
from omnireid.inference.export.metadata import read_metadata
from omnireid.inference.export.parity import ParityRecord
from omnireid.inference.export.tensorrt import cast_first, tensorrt_engine
from omnireid.inference.tracklets import embed_tracklets
from omnireid.models.weight_file import read_header
from omnireid.models.weights import save_weights, tensors_sha256

HAS_OPENVINO = importlib.util.find_spec("openvino") is not None
HAS_EXECUTORCH = importlib.util.find_spec("executorch") is not None
SPEC = InputSpec(height=64, width=32)
CARD = ModelCard(name="small", architecture="osnet_x0_25", input=SPEC)
# name of the file: format, precision, normalised inside
EXPORTS = {
    "m.torchscript": ("torchscript", "fp32", True),
    "half.torchscript": ("torchscript", "bf16", False),
    "half.onnx": ("onnx", "fp16", True),
    "m.xml": ("openvino", "fp32", False),
    "half.xml": ("openvino", "fp16", True),
    "m.pte": ("executorch", "fp32", False),
}


@dataclass(frozen=True)
class Files:
    network: Any
    folder: Path

    def get(self, name: str) -> Path:
        """An export of `EXPORTS`, made at its first use."""
        path = self.folder / name
        kind, precision, normalised = EXPORTS[name]
        if kind == "openvino" and not HAS_OPENVINO:
            pytest.skip("OpenVINO is not installed")
        if kind == "executorch" and not HAS_EXECUTORCH:
            pytest.skip("ExecuTorch is not installed")
        if not path.exists():
            options: Any = {"format": kind, "precision": precision, "normalised": normalised}
            export(self.network, CARD, path, **options)
        return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(uneven_network("osnet_x0_25", {}, seed=4), tmp_path_factory.mktemp("formats"))


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (37, 64, 32, 3), dtype=np.uint8)


def images_of(crops: np.ndarray) -> torch.Tensor:
    """The formula alone: (x / 255 − mean) / std, channels first."""
    values = (crops / 255.0 - SPEC.mean) / SPEC.std
    return torch.from_numpy(np.moveaxis(values, 3, 1).astype(np.float32))


@pytest.mark.parametrize("name", EXPORTS)
def test_a_file_gives_what_the_network_gives(name: str, files: Files, crops: np.ndarray) -> None:
    _, precision, normalised = EXPORTS[name]
    with torch.inference_mode():
        expected = files.network(images_of(crops)).numpy().astype(np.float64)
        maps = files.network.feature_maps(images_of(crops)).numpy()
    engine = Embedder.open(files.get(name), threads=None).backend
    actual = engine.embed(crops)
    assert actual.dtype == np.float32
    unit = actual / np.linalg.norm(actual, axis=1, keepdims=True)
    cosines = (unit * expected).sum(1) / np.linalg.norm(expected, axis=1)
    assert cosines.min() > parity.MIN_COSINE[precision]
    if normalised:
        np.testing.assert_allclose(np.linalg.norm(actual, axis=1), 1, atol=1e-5)
    else:
        tolerance = (1e-5 if precision == "fp32" else 2e-2) * expected.max()
        np.testing.assert_allclose(actual, expected, atol=tolerance)

    tolerance = {"fp32": 1e-5, "fp16": 4e-3, "bf16": 3e-2}[precision] * maps.max()
    np.testing.assert_allclose(engine.feature_maps(crops), maps, atol=tolerance)

    assert engine.embed(crops[:0]).shape == (0, 512)
    assert engine.feature_maps(crops[:0]).shape == (0, *maps.shape[1:])
    view = np.repeat(crops, 2, axis=0)[::2]
    assert not view.flags.c_contiguous
    np.testing.assert_array_equal(engine.embed(view), actual)
    with pytest.raises(InputError, match="uint8"):
        engine.embed(crops.astype(np.float32))


@pytest.mark.parametrize("name", EXPORTS)
def test_a_file_says_what_it_is_and_is_opened_by_that(name: str, files: Files, tmp_path: Path) -> None:
    kind, precision, normalised = EXPORTS[name]
    path = files.get(name)
    metadata = read_metadata(path)
    assert metadata is not None
    assert (metadata.format, metadata.precision, metadata.normalised) == (kind, precision, normalised)
    assert metadata.card == CARD
    save_weights(tmp_path / "m.safetensors", files.network, CARD)
    assert metadata.weights_sha256 == read_header(tmp_path / "m.safetensors").tensors_sha256

    embedder = Embedder.open(path)
    assert embedder.backend.name == {"openvino": "openvino"}.get(kind, kind)
    assert embedder.is_normalised_inside == normalised
    assert embedder.card.input == SPEC
    assert embedder.sha256 is not None
    proof = ParityRecord.model_validate_json(Path(f"{path}.parity.json").read_text())
    assert (proof.format, proof.precision) == (kind, precision)
    assert proof.embedding == ("normalised" if normalised else "raw")
    assert proof.min_cosine_limit == parity.MIN_COSINE[precision]
    assert set(proof.sha256) == ({name, name.replace(".xml", ".bin")})

    # Under another name it is not opened by mistake, and the right name is said.
    wrong = tmp_path / ("m.onnx" if kind != "onnx" else "m.torchscript")
    wrong.write_bytes(path.read_bytes())
    with pytest.raises(WeightsError, match=rf"holds .*; name it m\{path.suffix}"):
        Embedder.open(wrong)


@pytest.mark.parametrize("name", EXPORTS)
def test_a_file_that_was_changed_is_refused(name: str, files: Files, tmp_path: Path) -> None:
    path = files.get(name)
    for file in path.parent.glob(f"{path.stem}.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    copy = tmp_path / name
    assert Embedder.open(copy).card.name == "small"
    # One bit of a weight: of an archive that is stored without compression, its checksum too is refused.
    held = copy.with_suffix(".bin") if copy.suffix == ".xml" else copy
    content = bytearray(held.read_bytes())
    content[len(content) // 2] ^= 1
    held.write_bytes(content)
    with pytest.raises(WeightsError, match="damaged"):
        Embedder.open(copy)
    held.write_bytes(content[:-9])
    with pytest.raises(WeightsError):
        Embedder.open(copy)


def test_normalised_embeddings_are_not_taken_for_raw_ones(
    files: Files, crops: np.ndarray, pictures: list[Sample]
) -> None:
    path = files.get("m.torchscript")
    with pytest.raises(InputError, match="--embedding raw"):
        Embedder.open(path, normalise=False)
    embedder = Embedder.open(path)
    # Exactly as the file gives them: never normalised twice.
    np.testing.assert_array_equal(embedder.embed(crops), embedder.backend.embed(crops))
    assert embedder.embed_samples(pictures[:3]).is_unit
    with pytest.raises(InputError, match="raw ones are to be pooled"):
        embed_tracklets(embedder, pictures[:3])


def test_several_models_serve_several_threads(files: Files, crops: np.ndarray) -> None:
    embedders = [
        Embedder.open(files.get(name)) for name in ("m.torchscript", "half.onnx", "half.torchscript")
    ]
    expected = [embedder.embed(crops) for embedder in embedders]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda turn: embedders[turn % 3].embed(crops), range(18)))
    for turn, rows in enumerate(found):
        np.testing.assert_allclose(rows, expected[turn % 3], atol=1e-3)


def test_half_precision_is_inside_only(files: Files) -> None:
    graph = onnx.load(str(files.get("half.onnx"))).graph
    weights = {tensor.name: tensor.data_type for tensor in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert {weights[node.input[1]] for node in convolutions} == {onnx.TensorProto.FLOAT16}
    assert {value.type.tensor_type.elem_type for value in graph.output} == {onnx.TensorProto.FLOAT}
    pools = {node.input[0] for node in graph.node if node.op_type == "GlobalAveragePool"}
    casts = {node.output[0] for node in graph.node if node.op_type == "Cast"}
    assert pools <= casts | {"feature_maps"}


def test_a_weight_too_large_for_half_precision_is_named(files: Files) -> None:
    model = onnx.load(str(files.get("half.onnx")))
    plain = onnx.helper.make_model(
        onnx.helper.make_graph(
            [onnx.helper.make_node("Conv", ["images", "large"], ["embedding"])],
            "g",
            [onnx.helper.make_tensor_value_info("images", 1, ["N", 1, 2, 2])],
            [onnx.helper.make_tensor_value_info("embedding", 1, ["N", 1, 2, 2])],
            [onnx.helper.make_tensor("large", 1, [1, 1, 1, 1], [7e4])],
        ),
        opset_imports=model.opset_import,
    )
    with pytest.raises(WeightsError, match="large: a weight of 7e"):
        halve(plain.SerializeToString())


def test_without_its_tool_a_format_names_the_extra(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind, suffix in (("tensorrt", ".engine"), ("executorch", ".pte"), ("openvino", ".xml")):
        for module in [name for name in sys.modules if name.partition(".")[0] == kind]:
            monkeypatch.delitem(sys.modules, module)
        monkeypatch.setitem(sys.modules, kind, None)
        options: Any = {"format": kind}
        with pytest.raises(MissingExtraError, match=rf"omnireid\[{kind}\]"):
            export(files.network, CARD, tmp_path / f"m{suffix}", **options)
        assert list(tmp_path.iterdir()) == []

    # The same for who opens such a file.
    from omnireid.inference.export.metadata import ExportMetadata, attach

    for kind, suffix, content in (
        ("tensorrt", ".engine", b"plan"),
        ("executorch", ".pte", b"\0\0\0\0ET12eh00"),
    ):
        metadata = ExportMetadata(
            card=CARD,
            format=kind,
            precision="fp32",
            normalised=False,
            weights_sha256="",
            content_sha256="",
            max_batch=8,
        )
        path = tmp_path / f"m{suffix}"
        path.write_bytes(attach({suffix: content}, metadata)[suffix])
        with pytest.raises(MissingExtraError, match=rf"omnireid\[{kind}\]"):
            Embedder.open(path)
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=f"omnireid export --format {kind}"):
            Embedder.open(path)


def test_both_rank_a_dataset(files: Files, toy_root: Path, tmp_path: Path) -> None:
    dataset = read_dataset("market-layout", toy_root)
    proof = export(files.network, CARD, tmp_path / "m.torchscript", format="torchscript", dataset=dataset)
    found = proof.accuracy
    assert found is not None
    assert (found.rank1, found.mAP) == (found.rank1_reference, found.mAP_reference)
    assert found.num_valid_queries == len(dataset.query)
    assert found.num_gallery == len(dataset.gallery)
    embedder = Embedder.open(tmp_path / "m.torchscript")
    from omnireid import evaluate_embeddings
    from omnireid.evaluation.metrics import metrics_record

    rows = [embedder.embed_samples(split.samples) for split in (dataset.query, dataset.gallery)]
    assert metrics_record(evaluate_embeddings(*rows)).mAP == found.mAP

    # int8 may lose half a point of mAP, the others are held by their cosines.
    for precision, loss, passes in (("int8", 0.0051, False), ("int8", 0.0049, True), ("fp16", 0.02, True)):
        changed = found.model_copy(update={"mAP": 0.5, "mAP_reference": 0.5 + loss})
        record = proof.model_copy(update={"precision": precision, "accuracy": changed})
        if passes:
            parity.check_limits(record, tmp_path / "m")
        else:
            with pytest.raises(WeightsError, match=r"int8 loses 0\.51 points"):
                parity.check_limits(record, tmp_path / "m")


class Faulty:
    """An engine that is right but for one thing."""

    name, device, calls_side_by_side = "faulty", "cpu", None
    card = CARD.model_copy(update={"embedding_size": 2})

    def __init__(self, fault: str = "") -> None:
        self.fault = fault

    def embed(self, crops: np.ndarray) -> np.ndarray:
        if self.fault == "batch" and len(crops) == 37:
            raise RuntimeError("cannot reshape")
        if self.fault == "empty" and len(crops) == 0:
            return np.zeros((1, 2), np.float32)
        if self.fault == "stride" and not crops.flags.c_contiguous:
            crops = np.zeros_like(crops)
        rows = np.stack([crops[:, 0, 0, 0] + 1.0, crops[:, 0, 0, 1] + 1.0], axis=1)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(rows / norms * (1.01 if self.fault == "norm" else 1), np.float32)

    def feature_maps(self, crops: np.ndarray) -> None:
        return None


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ("batch", "fails on 37 crops at once .cannot reshape"),
        ("empty", r"gives shape \(1, 2\) for 0 crops"),
        ("norm", "should have norm 1"),
    ],
)
def test_the_gate_tries_what_users_do(fault: str, complaint: str) -> None:
    crops = np.random.default_rng(0).integers(0, 256, (300, 64, 32, 3), dtype=np.uint8)
    good = parity.compare_embeddings(Faulty(), Faulty(), crops, normalised=True)
    assert good.min_cosine > 0.9999999
    assert good.batches == (1, 3, 37, 259)
    with pytest.raises(WeightsError, match=complaint):
        parity.compare_embeddings(Faulty(fault), Faulty(), crops, normalised=True)


def test_the_gate_sees_an_engine_that_ignores_strides() -> None:
    crops = np.random.default_rng(0).integers(0, 256, (300, 64, 32, 3), dtype=np.uint8)
    found = parity.compare_embeddings(Faulty("stride"), Faulty(), crops, normalised=True)
    assert found.min_cosine < 0.9 < found.median_cosine


def test_the_first_percentile_is_between_the_smallest_and_the_median() -> None:
    crops = np.random.default_rng(0).integers(0, 256, (300, 64, 32, 3), dtype=np.uint8)

    class Worse(Faulty):
        def embed(self, crops: np.ndarray) -> np.ndarray:
            rows = super().embed(crops)
            if len(rows) > 200:
                rows[:2] = rows[:2, ::-1] * [1, -1]  # at right angles
            return np.asarray(rows, np.float32)

    found = parity.compare_embeddings(Worse(), Faulty(), crops, normalised=True)
    assert found.min_cosine == pytest.approx(0, abs=1e-6)
    # 2 of 300 lie below the first percentile, whose rank is 2.99.
    assert found.p1_cosine > 0.98


def test_tensorrt_gets_crops_as_floats_before_anything_else(files: Files, crops: np.ndarray) -> None:
    import onnxruntime

    content = files.get("half.onnx").read_bytes()
    changed = cast_first(content)
    model = onnx.load_from_string(changed)
    assert [node.op_type for node in model.graph.node if "images" in node.input] == ["Cast"]
    onnx.checker.check_model(model, full_check=True)
    before, after = (
        onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"]).run(None, {"images": crops})
        for graph in (content, changed)
    )
    np.testing.assert_allclose(after[0], before[0], atol=1e-4)


class FakeTensorRt(ModuleType):
    """TensorRT as far as the builder uses it; names and calls as its Python documentation has them."""

    def __init__(self, *, parses: bool = True, builds: bool = True) -> None:
        super().__init__("tensorrt")
        asked: dict[str, Any] = {}
        self.asked = asked

        class ILogger:
            ERROR, INTERNAL_ERROR, WARNING = 1, 0, 2

        class Builder:
            def __init__(self, logger: Any) -> None:
                self.logger = logger

            def create_network(self, flags: int) -> str:
                asked["flags"] = flags
                return "network"

            def create_builder_config(self) -> Any:
                return SimpleNamespace(
                    clear_flag=lambda flag: asked.update(cleared=flag),
                    add_optimization_profile=lambda profile: asked.update(profile=profile),
                )

            def create_optimization_profile(self) -> Any:
                return SimpleNamespace(set_shape=lambda name, *shapes: asked.update({name: shapes}))

            def build_serialized_network(self, network: str, config: Any) -> bytes | None:
                self.logger.log(ILogger.WARNING, "slow")
                self.logger.log(ILogger.ERROR, "out of memory")
                return b"plan" if builds else None

        class OnnxParser:
            num_errors = 2

            def __init__(self, network: str, logger: Any) -> None:
                pass

            def parse(self, graph: bytes) -> bool:
                onnx.load_from_string(graph)
                return parses

            def get_error(self, index: int) -> Any:
                return SimpleNamespace(desc=lambda: f"fault {index}")

        self.ILogger, self.Builder, self.OnnxParser = ILogger, Builder, OnnxParser
        self.NetworkDefinitionCreationFlag = SimpleNamespace(STRONGLY_TYPED=1)
        self.BuilderFlag = SimpleNamespace(TF32="tf32")


def test_a_tensorrt_engine_is_built_strongly_typed_for_a_free_batch(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = files.get("half.onnx").read_bytes()
    fake = FakeTensorRt()
    monkeypatch.setitem(sys.modules, "tensorrt", fake)
    assert tensorrt_engine(graph, SPEC) == b"plan"
    assert fake.asked["flags"] == 2
    assert fake.asked["cleared"] == "tf32"
    assert fake.asked["images"] == ((1, 64, 32, 3), (32, 64, 32, 3), (256, 64, 32, 3))
    monkeypatch.setitem(sys.modules, "tensorrt", FakeTensorRt(parses=False))
    with pytest.raises(WeightsError, match="refuses the graph: fault 0; fault 1"):
        tensorrt_engine(graph, SPEC)
    monkeypatch.setitem(sys.modules, "tensorrt", FakeTensorRt(builds=False))
    with pytest.raises(WeightsError, match=r"could not build an engine: out of memory$"):
        tensorrt_engine(graph, SPEC)


def test_metadata_of_another_version_is_refused_by_name(files: Files, tmp_path: Path) -> None:
    content = files.get("half.onnx").read_bytes()
    path = tmp_path / "m.onnx"
    path.write_bytes(content.replace(b'"precision":"fp16"', b'"precision":"fp17"'))
    with pytest.raises(WeightsError, match=r"metadata cannot be used.*\n?.*precision"):
        Embedder.open(path)
    assert json.loads(Path(f"{files.get('half.onnx')}.parity.json").read_text())["schema_version"] == 2
    assert tensors_sha256(files.network.state_dict()) == read_metadata(files.get("half.onnx")).weights_sha256  # type: ignore[union-attr]


def test_int8_is_calibrated_on_some_crops_and_compared_on_others(
    files: Files, toy_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from omnireid.inference.export import quantise as home

    whole, seen = home.quantise, []

    def watched(graph: bytes, crops: np.ndarray, **options: Any) -> Any:
        seen.append(crops)
        return whole(graph, crops, **options)

    monkeypatch.setattr(home, "quantise", watched)
    compared = parity.compare_embeddings

    def watching(exported: Any, reference: Any, crops: np.ndarray, **options: Any) -> Any:
        seen.append(crops)
        return compared(exported, reference, crops, **options)

    monkeypatch.setattr("omnireid.inference.export.exporter.compare_embeddings", watching)
    pictures = parity.generated_crops(300, SPEC, seed=1)
    options: Any = {"precision": "int8", "crops": pictures, "crops_source": "mine"}
    dataset = read_dataset("market-layout", toy_root)
    proof = export(files.network, CARD, tmp_path / "m.onnx", dataset=dataset, **options)
    calibration, others = seen
    # Every picture on one side, and both from beginning to end.
    together = {crop.tobytes() for crop in (*calibration, *others)}
    assert len(together) == len(calibration) + len(others) == len(pictures)
    for part in (calibration, others):
        held = {crop.tobytes() for crop in part}
        assert min(sum(crop.tobytes() in held for crop in third) for third in np.array_split(pictures, 3)) > 9
    assert (proof.num_crops, proof.crops) == (256, "mine")
    assert 0.99 <= proof.min_cosine < 0.99999
    quantised = onnx.load(str(tmp_path / "m.onnx")).graph
    assert "QuantizeLinear" in {node.op_type for node in quantised.node}
    assert Embedder.open(tmp_path / "m.onnx").backend.name == "onnx"
    options["crops"] = pictures[:287]
    with pytest.raises(InputError, match="at least 288 to calibrate and compare on, got 287"):
        export(files.network, CARD, tmp_path / "n.onnx", dataset=dataset, **options)
