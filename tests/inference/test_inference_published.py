"""A published ONNX file on real photographs; both lie beside the repository or the tests skip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from omnireid import Embedder, collect_samples

MEAN = np.array([0.485, 0.456, 0.406])
STD = np.array([0.229, 0.224, 0.225])


@pytest.fixture(scope="module")
def published(real_dir: Path) -> Path:
    path = real_dir / "osnet_x0_25_msmt17.onnx"
    if not path.is_file():
        pytest.skip("the published ONNX file is absent")
    return path


@pytest.fixture(scope="module")
def photographs(real_dir: Path) -> Path:
    path = real_dir / "mot17mini"
    if not path.is_dir():
        pytest.skip("mot17mini is absent: real photographs cannot be ranked")
    return path


def test_it_gives_what_plain_onnxruntime_gives(published: Path, photographs: Path) -> None:
    """Bit for bit nearly: the tiny weights that are zeroed do not show."""
    import onnxruntime

    paths = sorted((photographs / "query").glob("*.jpg"))[:12]
    resized = [
        Image.open(path).convert("RGB").resize((128, 256), Image.Resampling.BILINEAR) for path in paths
    ]
    images = np.stack([np.moveaxis((np.asarray(image) / 255.0 - MEAN) / STD, 2, 0) for image in resized])
    session = onnxruntime.InferenceSession(str(published), providers=["CPUExecutionProvider"])
    expected = session.run(None, {"images": images.astype(np.float32)})[0]
    embedder = Embedder.open(published, normalise=False, threads=1)
    actual = embedder.embed([np.asarray(Image.open(path).convert("RGB")) for path in paths])
    np.testing.assert_allclose(actual, expected, atol=2e-5 * expected.max())
    assert embedder.card.architecture == "osnet_x0_25"
    assert embedder.card.input.height == 256


def test_it_finds_people_again(published: Path, photographs: Path) -> None:
    """Rank-1 by the Market-1501 protocol, ranked here in plain NumPy."""
    embedder = Embedder.open(published, threads=1)
    query = embedder.embed_samples(collect_samples(photographs / "query"))
    gallery = embedder.embed_samples(collect_samples(photographs / "bounding_box_test"))
    again = embedder.embed_samples(collect_samples(photographs / "query"))
    np.testing.assert_array_equal(again.vectors, query.vectors)
    np.testing.assert_allclose(np.linalg.norm(gallery.vectors, axis=1), 1, atol=1e-6)

    def facts(paths: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
        fields = [Path(path).name.split("_") for path in paths]
        return np.array([int(field[0]) for field in fields]), np.array([field[1][:2] for field in fields])

    (query_pids, query_cams), (gallery_pids, gallery_cams) = facts(query.paths), facts(gallery.paths)
    hits = []
    for row, (pid, cam) in enumerate(zip(query_pids, query_cams, strict=True)):
        kept = ~((gallery_pids == pid) & (gallery_cams == cam))
        if (gallery_pids[kept] == pid).any():
            closest = np.argmax(gallery.vectors[kept] @ query.vectors[row])
            hits.append(gallery_pids[kept][closest] == pid)
    assert len(hits) >= 15
    assert np.mean(hits) >= 0.95


def test_its_feature_maps_are_exposed(published: Path) -> None:
    pytest.importorskip("onnx")
    crops = np.random.default_rng(0).integers(0, 256, (2, 256, 128, 3), dtype=np.uint8)
    maps = Embedder.open(published, threads=1).feature_maps(crops)
    assert maps is not None
    assert maps.shape == (2, 128, 16, 8)
    assert maps.min() >= 0
