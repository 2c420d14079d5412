"""The published ONNX file, turned back into weights, through every engine on real photographs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from omnireid import Embedder, collect_samples
from omnireid.inference.backends.protocol import Backend
from omnireid.inference.native.precision import missing_for

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def material(real_dir: Path) -> tuple[Path, Path]:
    published, photographs = real_dir / "osnet_x0_25_msmt17.onnx", real_dir / "mot17mini"
    if not published.is_file() or not photographs.is_dir():
        pytest.skip("the published ONNX file or mot17mini is absent")
    return published, photographs


@pytest.fixture(scope="module")
def refused(material: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The file as weights under the published key names."""
    from omnireid.models.onnx_import import import_onnx
    from omnireid.models.registry import build_model
    from omnireid.models.weights import save_weights

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    state, card = import_onnx(material[0])
    network = build_model(card.architecture)
    network.load_state_dict(state)
    path = tmp_path_factory.mktemp("refused") / "refused.safetensors"
    save_weights(path, network, card)
    yield path
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def expected(material: tuple[Path, Path]) -> np.ndarray:
    """What ONNX Runtime finds with the file as it was published."""
    published, photographs = material
    return first_places(Embedder.open(published, threads=1), photographs)


def first_places(embedder: Embedder, photographs: Path) -> np.ndarray:
    """For each query the nearest of the gallery, in plain NumPy."""
    query = embedder.embed_samples(collect_samples(photographs / "query")).vectors
    gallery = embedder.embed_samples(collect_samples(photographs / "bounding_box_test")).vectors
    return np.argsort(-(query @ gallery.T), axis=1, kind="stable")[:, 0]


def fused(path: Path) -> Backend:
    from omnireid.inference.backends.torch_eager import TorchBackend
    from omnireid.inference.fused.module import FusedOSNet, fold_module
    from omnireid.models.weights import load_weights

    network, card = load_weights(path)
    return TorchBackend(FusedOSNet(fold_module(network)), card, device="cpu")  # type: ignore[arg-type]


def exported(format_name: str) -> Callable[[Path], Backend]:
    def open_export(path: Path) -> Backend:
        from omnireid import export_model
        from omnireid.inference.export.parity import Comparison
        from omnireid.inference.formats import FORMATS
        from omnireid.inference.options import ExportForm
        from omnireid.models.weights import load_weights

        if format_name == "openvino":
            pytest.importorskip("openvino")
        network, card = load_weights(path)
        target = path.with_suffix(FORMATS[format_name].suffix)
        # The proof on hundreds of crops is tested elsewhere; here the photographs are it.
        with pytest.MonkeyPatch.context() as few:
            few.setattr("omnireid.inference.export.exporter.MIN_CROPS", 40)
            form = ExportForm(format_name)  # type: ignore[arg-type]
            export_model(network, card, target, form, Comparison(num_crops=40))
        return Embedder.open(target).backend

    return open_export


def native(precision: str) -> Callable[[Path], Backend]:
    def open_native(path: Path) -> Backend:
        if missing := missing_for(precision):  # type: ignore[arg-type]
            pytest.skip(f"this processor has no {missing}")
        return Embedder.open(path, backend="native", precision=precision).backend  # type: ignore[arg-type]

    return open_native


ENGINES: dict[str, Callable[[Path], Backend]] = {
    "torch": lambda path: Embedder.open(path, backend="torch", device="cpu").backend,
    "fused": fused,
    "native fp32": native("fp32"),
    "native bf16x3": native("bf16x3"),
    "onnx": exported("onnx"),
    "openvino": exported("openvino"),
    "torchscript": exported("torchscript"),
}


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_every_fp32_engine_finds_the_same_people(
    engine: str, refused: Path, material: tuple[Path, Path], expected: np.ndarray
) -> None:
    actual = first_places(Embedder(ENGINES[engine](refused)), material[1])
    assert len(expected) >= 20
    np.testing.assert_array_equal(actual, expected)
