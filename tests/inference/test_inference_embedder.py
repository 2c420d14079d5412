"""The Embedder: what it opens, what it takes, how it streams."""

from __future__ import annotations

import tracemalloc
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from omnireid import Embedder
from omnireid.core.card import InputSpec, ModelCard
from omnireid.core.errors import (
    ImageError,
    InputError,
    MissingExtraError,
    OmniReIDWarning,
    ShapeError,
    UnknownNameError,
    WeightsError,
)
from omnireid.core.types import Sample, SkippedFile
from omnireid.data.loading import Reading
from omnireid.inference import lookup
from omnireid.inference.backends.torch_eager import TorchBackend
from omnireid.inference.native.precision import missing_for

MEAN = np.array([0.485, 0.456, 0.406])
STD = np.array([0.229, 0.224, 0.225])


def colours(pictures: list[np.ndarray]) -> np.ndarray:
    """What `colour_graph` answers, from Pillow and the formula alone."""
    resized = [Image.fromarray(p).resize((16, 32), Image.Resampling.BILINEAR) for p in pictures]
    return np.stack([((np.asarray(p) / 255.0 - MEAN) / STD)[:5, :3].mean(axis=(0, 1)) for p in resized])


def colours_of(samples: list[Sample]) -> np.ndarray:
    return colours([np.asarray(Image.open(sample.path).convert("RGB")) for sample in samples])


@pytest.fixture
def embedder(colour_graph: Callable[..., Path]) -> Embedder:
    return Embedder.open(colour_graph(), threads=1, batch_size=16, normalise=False)


def test_crops_of_any_size_are_resized_as_the_card_says(embedder: Embedder) -> None:
    generator = np.random.default_rng(3)
    crops = [
        generator.integers(0, 256, (h, w, 3), dtype=np.uint8)
        for h, w in [(64, 33), (32, 16), (7, 5), (300, 80)] * 5
    ]
    # The graph sums in float32 what the oracle sums in float64.
    np.testing.assert_allclose(embedder.embed(crops), colours(crops), atol=1e-5)
    np.testing.assert_array_equal(embedder.embed(tuple(crops)), embedder.embed(crops))


# A detector's box of somebody at the left edge: numpy makes nothing of it, without a word.
OUTSIDE = np.zeros((480, 640, 3), np.uint8)[100:300, -5:60]
NOT_CROPS = {
    "outside of the picture": (OUTSIDE, r"holds no pixel \(200×0\); was a box outside of the picture"),
    "no rows": (np.zeros((0, 50, 3), np.uint8), r"holds no pixel \(0×50\)"),
    "empty": (np.zeros((0, 0, 3), np.uint8), r"holds no pixel \(0×0\)"),
    "nothing": (None, "expected an array .* got NoneType"),
    "a path": ("crop.jpg", "got str; decode it first"),
    "another path": (Path("crop.jpg"), "Path; decode it first"),
    "an empty PIL picture": (Image.new("RGB", (0, 8)), "holds no pixel"),
    "a list": ([[[0, 0, 0]]], "got list"),
    "floats": (np.zeros((8, 4, 3)), "expected uint8"),
    "not numbers": (np.full((8, 4, 3), np.nan, np.float32), "expected uint8"),
    "objects": (np.zeros((8, 4, 3), object), "expected uint8"),
    "truth values": (np.zeros((8, 4, 3), bool), "expected uint8"),
    "grey": (np.zeros((8, 4), np.uint8), r"expected shape \(H, W, 3\)"),
    "four channels": (np.zeros((8, 4, 4), np.uint8), r"expected shape \(H, W, 3\)"),
    "channels first": (np.zeros((3, 8, 4), np.uint8), r"expected shape \(H, W, 3\)"),
}


@pytest.mark.parametrize("case", NOT_CROPS)
def test_what_is_no_crop_is_named_and_not_embedded(embedder: Embedder, case: str) -> None:
    crop, message = NOT_CROPS[case]
    good = np.zeros((8, 4, 3), np.uint8)
    for embed in (embedder.embed, embedder.feature_maps):
        with pytest.raises(InputError, match=rf"^crops\[3\]: .*{message}"):
            embed([good, good, good, crop])  # type: ignore[list-item]
    with pytest.raises(InputError, match=rf"^crops\[17\]: .*{message}"):
        embedder.embed((good,) * 17 + (crop,))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "crops", [None, "crop.jpg", Path("crop.jpg"), b"", 3, Image.new("RGB", (4, 8)), iter([]), {}]
)
def test_what_is_no_list_of_crops_is_refused(embedder: Embedder, crops: Any) -> None:
    for embed in (embedder.embed, embedder.feature_maps):
        with pytest.raises(InputError, match=f"crops: expected an array .* got {type(crops).__name__}"):
            embed(crops)
    with pytest.raises(InputError, match=r"crops: expected an array \(N, H, W, 3\)"):
        embedder.backend.embed(crops)


@pytest.mark.parametrize("shape", [(2, 0, 16, 3), (2, 32, 0, 3)])
def test_a_batch_without_a_pixel_is_refused(embedder: Embedder, shape: tuple[int, ...]) -> None:
    crops = np.zeros(shape, np.uint8)
    for embed in (embedder.embed, embedder.feature_maps, embedder.backend.embed):
        with pytest.raises(InputError, match="crops: holds no pixel"):
            embed(crops)


def test_any_sequence_of_crops_is_embedded(embedder: Embedder) -> None:
    crops = [np.full((8, 4, 3), value, np.uint8) for value in range(20)]
    np.testing.assert_array_equal(embedder.embed(deque(crops)), embedder.embed(crops))


def test_pillow_pictures_are_crops(embedder: Embedder) -> None:
    crop = np.random.default_rng(0).integers(0, 256, (20, 9, 3), np.uint8)
    turned = Image.fromarray(np.rot90(crop))
    turned.getexif()[0x0112] = 6  # to be turned by 90° to be upright, as a camera writes it
    for picture in (Image.fromarray(crop), Image.fromarray(crop).convert("RGBA"), turned):
        np.testing.assert_array_equal(embedder.embed([picture]), embedder.embed([crop]))


def test_what_a_loader_gives_is_checked(embedder: Embedder, pictures: list[Sample]) -> None:
    for given, message in (
        (np.zeros((0, 16, 3), np.uint8), "holds no pixel"),
        (np.zeros((1, 1, 3), np.uint8), "expected shape"),  # numpy would spread it over the row
        (np.zeros((32, 16, 3)), "expected uint8"),
        (None, "got NoneType"),
    ):
        with pytest.raises(InputError, match=rf"crop of .*000\.jpg: .*{message}"):
            embedder.embed_samples(pictures[:1], Reading(load=lambda sample, spec, given=given: given))


def test_batches_do_not_show(embedder: Embedder) -> None:
    crops = np.random.default_rng(0).integers(0, 256, (33, 32, 16, 3), dtype=np.uint8)
    one_by_one = np.concatenate([embedder.embed(crops[i : i + 1]) for i in range(33)])
    np.testing.assert_allclose(embedder.embed(crops), one_by_one, atol=1e-6)


def test_embeddings_have_unit_norm_unless_raw_is_asked_for(colour_graph: Callable[..., Path]) -> None:
    crops = np.random.default_rng(0).integers(0, 256, (5, 32, 16, 3), dtype=np.uint8)
    raw = Embedder.open(colour_graph(), normalise=False).embed(crops)
    unit = Embedder.open(colour_graph()).embed(crops)
    assert unit.dtype == raw.dtype == np.float32
    np.testing.assert_allclose(np.sqrt((unit.astype(np.float64) ** 2).sum(1)), 1, atol=1e-6)
    np.testing.assert_allclose(unit * np.sqrt((raw**2).sum(1, keepdims=True)), raw, atol=1e-6)
    black = Embedder.open(colour_graph(dtype="UINT8")).embed(np.zeros((1, 32, 16, 3), np.uint8))
    np.testing.assert_array_equal(black, np.zeros((1, 3)))


def test_what_is_no_crop_is_refused(embedder: Embedder) -> None:
    with pytest.raises(ShapeError, match=r"\(N, 32, 16, 3\)"):
        embedder.embed(np.zeros((2, 64, 16, 3), np.uint8))
    with pytest.raises(InputError, match=r"crops\[17\]: expected uint8"):
        embedder.embed([np.zeros((32, 16, 3), np.uint8)] * 17 + [np.zeros((32, 16, 3), np.float32)])
    with pytest.raises(ShapeError):
        embedder.embed([np.zeros((32, 16), np.uint8)])
    with pytest.raises(InputError, match="batch_size"):
        Embedder(embedder.backend, batch_size=0)


def test_only_native_is_told_how_many_threads_a_call_may_use(
    embedder: Embedder, exported: Callable[[str], Any]
) -> None:
    crop = np.zeros((1, 32, 16, 3), np.uint8)
    assert embedder.calls_side_by_side == 1
    with pytest.raises(InputError, match="threads: a call of onnx"):
        embedder.embed(crop, threads=1)
    ours = Embedder.open(exported("osnet_ain_x0_25").safetensors, device="cpu", threads=1)
    assert ours.calls_side_by_side == 1
    size = ours.card.input
    crop = np.zeros((1, size.height, size.width, 3), np.uint8)
    assert np.array_equal(ours.embed(crop, threads=1), ours.embed(crop))


def test_samples_keep_their_order_and_facts(embedder: Embedder, pictures: list[Sample]) -> None:
    found = embedder.embed_samples(pictures, Reading(threads=2))
    np.testing.assert_allclose(found.vectors, colours_of(pictures), atol=1e-5)
    assert found.paths == tuple(sample.path for sample in pictures)
    assert found.pids.tolist() == [sample.pid for sample in pictures]
    assert found.camids.tolist() == [sample.camid for sample in pictures]
    assert (found.is_unit, found.model) == (False, embedder.ref)
    assert embedder.ref.short == f"colours@{embedder.sha256[:12]}"


def test_a_stream_is_the_set_in_parts(embedder: Embedder, pictures: list[Sample]) -> None:
    parts = list(embedder.embed_stream(pictures))
    assert [len(part) for part in parts] == [16] * 9 + [6]
    whole = embedder.embed_samples(pictures)
    np.testing.assert_array_equal(np.concatenate([part.vectors for part in parts]), whole.vectors)
    assert sum((part.paths for part in parts), ()) == whole.paths


def test_files_are_embedded_with_their_passports(embedder: Embedder, pictures: list[Sample]) -> None:
    folder = str(Path(pictures[0].path).parent)
    found = embedder.embed_files([folder, pictures[0].path])
    assert [sample.path for sample in found.of] == [*sorted(one.path for one in pictures), pictures[0].path]
    assert (found.model, found.is_unit) == (embedder.ref, embedder.normalise)


def test_a_picture_that_a_network_gives_nan_for_is_named(
    embedder: Embedder, pictures: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = embedder.backend.embed

    def embed(crops: np.ndarray) -> np.ndarray:
        rows = known(crops)
        rows[2] = np.nan
        return rows

    monkeypatch.setattr(embedder.backend, "embed", embed)
    with pytest.raises(InputError, match=rf"row 2 \(.*{Path(pictures[2].path).name}\) holds NaN"):
        embedder.embed_samples(pictures[:5])


def test_nothing_to_embed_is_an_empty_set(embedder: Embedder) -> None:
    found = embedder.embed_samples([])
    assert found.vectors.shape == (0, 3)
    assert found.model == embedder.ref
    assert embedder.embed([]).shape == (0, 3)


def test_bad_pictures_stop_the_work_or_are_named(
    embedder: Embedder, pictures: list[Sample], tmp_path: Path
) -> None:
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(Path(pictures[0].path).read_bytes()[:200])
    mixed = [
        Sample(str(tmp_path / "absent.jpg"), 1, 1),
        *pictures[:40],
        Sample(str(cut), 2, 2),
        *pictures[40:50],
    ]
    with pytest.raises(ImageError, match=r"absent\.jpg: no such file"):
        embedder.embed_samples(mixed)

    named: list[SkippedFile] = []
    found = embedder.embed_samples(mixed, Reading(on_bad="skip", on_skip=named.append))
    assert found.paths == tuple(sample.path for sample in pictures[:50])
    np.testing.assert_allclose(found.vectors, colours_of(pictures[:50]), atol=1e-5)
    assert [Path(file.path).name for file in named] == ["absent.jpg", "cut.jpg"]
    assert named[0].reason == "no such file"

    with pytest.warns(
        OmniReIDWarning, match=r"2 of 52 pictures were skipped: .*absent\.jpg \(no such file\); .*cut"
    ):
        embedder.embed_samples(mixed, Reading(on_bad="skip"))
    with pytest.warns(OmniReIDWarning, match="20 of 20 .* and 15 more"):
        nothing = embedder.embed_samples([mixed[0]] * 20, Reading(on_bad="skip"))
    assert nothing.vectors.shape == (0, 3)


def test_memory_does_not_grow_with_the_number_of_pictures(embedder: Embedder, pictures: list[Sample]) -> None:
    def peak(samples: list[Sample]) -> int:
        for _ in embedder.embed_stream(samples[:32], Reading(threads=2)):
            pass
        tracemalloc.start()
        for _ in embedder.embed_stream(samples, Reading(threads=2)):
            pass
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    few, many = peak(pictures[:100]), peak(pictures * 10)
    assert many < 1.5 * few
    # A few batches of 16 crops of 32×16, decoded, normalised and in flight; 1,500 crops would be 2.3 MB.
    assert many < 1_000_000


def test_progress_is_shown_where_asked_for(
    embedder: Embedder, pictures: list[Sample], capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    embedder.embed_samples(pictures)
    assert capfd.readouterr() == ("", "")
    with (tmp_path / "progress.txt").open("w") as file:
        embedder.embed_samples(pictures, Reading(console=Console(file=file, width=100)))
    assert "150/150" in (tmp_path / "progress.txt").read_text()


def test_a_network_in_memory_can_be_embedded_with(exported: Callable[[str], Any]) -> None:
    model = exported("osnet_ain_x0_25")
    crops = np.random.default_rng(0).integers(0, 256, (4, 64, 32, 3), dtype=np.uint8)
    in_memory = Embedder(TorchBackend(model.network, model.card))
    assert in_memory.sha256 is None
    assert in_memory.ref.short == "osnet_ain_x0_25@unsaved"
    np.testing.assert_allclose(in_memory.embed(crops), Embedder.open(model.onnx).embed(crops), atol=1e-6)


def test_weights_run_in_our_engine_where_it_can_run_them(
    exported: Callable[[str], Any], tmp_path: Path
) -> None:
    from omnireid.models.registry import build_model
    from omnireid.models.weights import save_weights

    model = exported("osnet_ain_x0_25")
    embedder = Embedder.open(model.safetensors, device="cpu", threads=1)
    assert embedder.backend.name == "native"
    crops = np.random.default_rng(0).integers(0, 256, (4, 64, 32, 3), dtype=np.uint8)
    in_torch = Embedder.open(model.safetensors, backend="torch", device="cpu")
    np.testing.assert_allclose(embedder.embed(crops), in_torch.embed(crops), atol=1e-6)
    assert embedder.sha256 == in_torch.sha256

    ablation = tmp_path / "ablation.safetensors"
    save_weights(ablation, build_model("osnet_x0_25", fusion="addition"), model.card)
    assert Embedder.open(ablation, device="cpu").backend.name == "torch"
    tiny = tmp_path / "tiny.safetensors"
    card = model.card.model_copy(update={"input": InputSpec(height=12, width=8)})
    save_weights(tiny, build_model("osnet_x0_25"), card)
    assert Embedder.open(tiny, device="cpu").backend.name == "torch"


def test_precisions_are_asked_for_by_name(exported: Callable[[str], Any]) -> None:
    model = exported("osnet_x0_25")
    assert Embedder.open(model.safetensors, backend="native").backend.precision == "fp32"  # type: ignore[attr-defined]
    for precision in ("bf16x3", "bf16"):
        if not missing_for(precision):
            embedder = Embedder.open(model.safetensors, device="cpu", precision=precision)
            assert embedder.backend.precision == precision  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="'native' has fp32, bf16x3, bf16, int8"):
        Embedder.open(model.safetensors, backend="native", precision="fp16")
    with pytest.raises(InputError, match="computes as its file says"):
        Embedder.open(model.onnx, precision="bf16")
    with pytest.raises(InputError, match="computes as its file says"):
        Embedder.open(model.safetensors, backend="torch", precision="bf16")


def test_backends_follow_the_file(exported: Callable[[str], Any], tmp_path: Path) -> None:
    model = exported("osnet_ain_x0_25")
    assert Embedder.open(model.onnx, backend="onnx").backend.name == "onnx"
    assert Embedder.open(str(model.safetensors), backend="torch").backend.name == "torch"
    with pytest.raises(InputError, match="runs in the backend 'onnx' or 'openvino'"):
        Embedder.open(model.onnx, backend="torch")
    with pytest.raises(InputError, match=r"omnireid export .* --format onnx"):
        Embedder.open(model.safetensors, backend="onnx")
    with pytest.raises(InputError, match="not in 'tensorrt'"):
        Embedder.open(model.onnx, backend="tensorrt")
    with pytest.raises(InputError, match="unknown backend 'tensort': did you mean 'tensorrt'"):
        Embedder.open(model.onnx, backend="tensort")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="runs on 'cpu'"):
        Embedder.open(model.onnx, backend="openvino", device="cuda")
    with pytest.raises(InputError, match="OMP_NUM_THREADS"):
        Embedder.open(model.safetensors, backend="torch", threads=2)
    for name, complaint in (
        ("model.pth.tar", "omnireid models convert"),
        ("model.xyz", "expected .safetensors, .onnx"),
    ):
        (tmp_path / name).write_bytes(b"x")
        with pytest.raises(WeightsError, match=complaint):
            Embedder.open(tmp_path / name)


def test_a_name_without_weights_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="osnet_x0_25 is an architecture"):
        Embedder.open("osnet_x0_25")
    with pytest.raises(UnknownNameError, match="osnet_x0_25"):
        Embedder.open("osnet_x0_52")
    with pytest.raises(WeightsError, match="no such model file"):
        Embedder.open("osnet_x0_25.onnx")
    with pytest.raises(WeightsError, match="no such model file"):
        Embedder.open("models/osnet_x0_25")
    with pytest.raises(WeightsError, match="is a folder"):
        Embedder.open(tmp_path)


def test_pulled_weights_are_opened_by_name(
    exported: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    name = "osnet_x0_25_msmt17_combineall"
    network = exported("osnet_x0_25").network
    checkpoint = tmp_path / "published.pth"
    torch.save({"state_dict": network.state_dict()}, checkpoint)

    def pulled(asked: str, *, offline: bool) -> Path:
        assert (asked, offline) == (name, True)
        return checkpoint

    monkeypatch.setattr(lookup, "pull", pulled)
    embedder = Embedder.open(name, normalise=False)
    assert embedder.card.architecture == "osnet_x0_25"
    crops = np.random.default_rng(0).integers(0, 256, (2, 256, 128, 3), dtype=np.uint8)
    with torch.inference_mode():
        images = torch.from_numpy(np.moveaxis((crops / 255 - MEAN) / STD, 3, 1).astype(np.float32))
        expected = network(images).numpy()
    np.testing.assert_allclose(embedder.embed(crops), expected, atol=2e-5 * expected.max())
    # The second time there is nothing to convert.
    checkpoint.write_bytes(b"")
    assert Embedder.open(name).sha256 == embedder.sha256


def test_safetensors_without_torch(exported: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """They run in our engine; asked for by name, torch is missed with the next step."""
    import sys

    weights = exported("osnet_ain_x0_25").safetensors
    monkeypatch.delitem(sys.modules, "omnireid.inference.backends.torch_eager")
    monkeypatch.setitem(sys.modules, "torch", None)
    assert Embedder.open(weights).backend.name == "native"
    with pytest.raises(MissingExtraError, match=r"omnireid export .*omnireid\[train\]"):
        Embedder.open(weights, backend="torch")


def test_cards_travel_with_files(exported: Callable[[str], Any]) -> None:
    import hashlib

    model = exported("osnet_ain_x0_25")
    for file in (model.onnx, model.safetensors):
        embedder = Embedder.open(file)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        assert embedder.sha256 == embedder.card.sha256 == digest
        assert isinstance(embedder.card, ModelCard)
        assert embedder.card.input == model.card.input
        assert (embedder.card.name, embedder.dim) == ("osnet_ain_x0_25", 512)
