"""int8 in our CPU engine: sums against whole numbers, and the network against a walk of it in float64."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omnireid.core.card import InputSpec
from omnireid.core.errors import InputError, WeightsError
from omnireid.inference.backends.native import NativeBackend
from omnireid.inference.embedder import Embedder
from omnireid.inference.native.precision import missing_for

torch = pytest.importorskip("torch")
F = torch.nn.functional

needs_bytes = pytest.mark.skipif(bool(missing_for("int8")), reason="no AVX-512 VNNI here")


def soft_crops(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """Patches of colour, each crop of another brightness."""
    generator = np.random.default_rng(seed)
    patches = generator.integers(0, 256, (count, height // 8, width // 8, 3))
    soft = patches * generator.uniform(0.2, 1, (count, 1, 1, 1))
    return soft.astype(np.uint8).repeat(8, axis=1).repeat(8, axis=2)


def ranges_of(folded: Any, spec: InputSpec) -> Any:
    from omnireid.inference.export.native import measure_ranges

    return measure_ranges(folded, spec, soft_crops(32, spec.height, spec.width))


@needs_bytes
@pytest.mark.parametrize("channels", [16, 48, 80])
@pytest.mark.parametrize("pixels", [16, 37])
def test_sums_are_those_of_whole_numbers(channels: int, pixels: int) -> None:
    from omnireid.inference.native.packing import pack_bytes
    from omnireid.inference.native.products import Product, Source, Target, multiply_pixels, product_address

    generator = np.random.default_rng(channels + pixels)
    inputs = generator.integers(0, 256, (pixels, 64), dtype=np.uint8)
    weights = generator.integers(-127, 128, (channels, 1, 64)).astype(np.int8)
    inputs[0], weights[0], weights[1] = 255, 127, -127
    panels, room = pack_bytes(weights), np.zeros(32 * 64, np.float32)
    sums = np.zeros((pixels, channels), np.float32)
    target = Target(sums.ctypes.data, 4 * channels, 0, 0, 0, 0)
    source = Source(inputs.ctypes.data, 64, 1, 0, 64)
    product = Product(source, panels.ctypes.data, channels, target, pixels, room.ctypes.data, 1)
    multiply_pixels(product_address("int8"), product)
    assert np.array_equal(sums, inputs.astype(np.int64) @ weights[:, 0].astype(np.int64).T)
    assert sums[0, 0] == 64 * 255 * 127


def rounded_to_bfloat16(x: np.ndarray) -> np.ndarray:
    return torch.from_numpy(x).bfloat16().double().numpy()


class Walk:
    """A folded network on whole numbers: maps and weights of bytes by the ranges, rest float64."""

    def __init__(self, folded: Any, ranges: Any, spec: InputSpec) -> None:
        self.folded, self.ranges = folded, ranges
        scale, shift = (np.asarray(values, np.float64) for values in spec.scale_shift())
        self.scale, self.mean = scale, -shift / scale

    def unit(self, name: str) -> np.ndarray:
        high = self.ranges[name].high
        return 1.2 * np.maximum(high, 0.4 * high.max()) / 255

    def kept(self, name: str, x: np.ndarray) -> np.ndarray:
        """A map (C, H, W), as its bytes stand for it."""
        unit = self.unit(name)[:, None, None]
        # Halves, which means of four bytes are often, must stay halves: to the even one.
        return np.clip(np.rint(np.round(x / unit, 6)), 0, 255) * unit

    def norm(self, norm: Any, x: np.ndarray) -> np.ndarray:
        """Instance norm of a map, which is bfloat16 before it."""
        x = rounded_to_bfloat16(x)
        x = x - x.mean(axis=(1, 2), keepdims=True)
        x = x / np.sqrt((x**2).mean(axis=(1, 2), keepdims=True) + 1e-5)
        return x * norm.weight[:, None, None] + norm.bias[:, None, None]

    def weights(self, weight: np.ndarray, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Weights (O, C), as their bytes stand for them, and what they lose on average."""
        unit = np.concatenate([self.unit(name) for name in names])
        mean = np.concatenate([self.ranges[name].mean for name in names])
        step = np.abs(weight * unit).max(axis=1, keepdims=True) / 127
        rounded = np.rint(weight * unit / step) * step / unit
        return rounded, (weight - rounded) @ mean

    def pointwise(self, layer: Any, x: np.ndarray, names: list[str]) -> np.ndarray:
        weight, lost = self.weights(layer.weight[:, :, 0, 0], names)
        return np.einsum("oc,chw->ohw", weight, x) + (layer.bias + lost)[:, None, None]

    def block(self, block: Any, x: np.ndarray, before: str, name: str) -> np.ndarray:
        relu = lambda values: np.maximum(values, 0)  # noqa: E731
        reduced = self.kept(f"{name}.reduce", relu(self.pointwise(block.reduce, x, [before])))
        total = np.zeros(())
        for number, stream in enumerate(block.streams):
            y, at = reduced, f"{name}.reduce"
            for level, layer in enumerate(stream):
                weight, lost = self.weights(layer.pointwise, [at])
                y = F.conv2d(
                    torch.from_numpy(np.einsum("oc,chw->ohw", weight, y))[None],
                    torch.from_numpy(layer.depthwise)[:, None],
                    padding=1,
                    groups=len(weight),
                )[0].numpy()
                exact = relu(y + (layer.bias + lost * layer.depthwise.sum(axis=(1, 2)))[:, None, None])
                at = f"{name}.streams.{number}.levels.{level}"
                y = self.kept(at, exact)
            gate = block.gate
            hidden = relu(gate.reduce @ exact.mean(axis=(1, 2)) + gate.reduce_bias)
            total = total + y / (1 + np.exp(-gate.restore @ hidden - gate.restore_bias))[:, None, None]
        total, names = self.kept(f"{name}.gate", total), [f"{name}.gate"]
        weight, bias = block.restore.weight, block.restore.bias
        if block.inside is not None or block.after is not None:
            bias = 0 * bias  # The norm takes it away.
        restore = type(block.restore)(weight, bias)
        if block.inside is not None:
            out = self.norm(block.inside, self.pointwise(restore, total, names))
            if block.shortcut is not None:
                x = rounded_to_bfloat16(self.pointwise(block.shortcut, x, [before]))
            out = out + x
        elif block.shortcut is None:
            out = self.pointwise(restore, total, names) + x
        else:
            both = type(block.restore)(
                np.concatenate([weight, block.shortcut.weight], axis=1),
                bias + block.shortcut.bias * (block.after is None),
            )
            out = self.pointwise(both, np.concatenate([total, x]), [*names, before])
        if block.after is not None:
            out = self.norm(block.after, out)
        return self.kept(name, relu(out))

    def __call__(self, crop: np.ndarray) -> np.ndarray:
        stem = self.folded.stem
        weight = stem.weight * self.scale[None, :, None, None]
        step = np.abs(weight).max(axis=(1, 2, 3), keepdims=True) / 127
        weight = np.rint(weight / step) * step
        around = np.rint(self.mean)[:, None, None] * np.ones((crop.shape[0] + 6, crop.shape[1] + 6))
        around[:, 3:-3, 3:-3] = crop.transpose(2, 0, 1)
        norm = self.folded.stem_norm
        bias = stem.bias * (norm is None) - np.einsum("ochw,c->o", weight, self.mean)
        whole = F.conv2d(torch.from_numpy(around)[None], torch.from_numpy(weight), torch.from_numpy(bias), 2)
        if norm is not None:
            whole = torch.from_numpy(self.norm(norm, whole[0].numpy()))[None]
        x = self.kept("stem", F.max_pool2d(whole, 3, 2, 1)[0].numpy())
        name = "stem"
        for stage, blocks in enumerate(self.folded.stages):
            for index, block in enumerate(blocks):
                before, name = name, f"stages.{stage}.{index}"
                x = self.block(block, x, before, name)
            if stage < 2:
                before, name = name, f"transitions.{stage}"
                joined = self.pointwise(self.folded.transitions[stage], x, [before])
                kept = self.kept(name, np.maximum(joined, 0))
                x = self.kept(name, F.avg_pool2d(torch.from_numpy(kept)[None], 2)[0].numpy())
        maps = self.kept("conv5", np.maximum(self.pointwise(self.folded.head, x, [name]), 0))
        last = self.folded.embedding
        return np.maximum(last.weight[:, :, 0, 0] @ maps.mean(axis=(1, 2)) + last.bias, 0)


@needs_bytes
@pytest.mark.parametrize("name", ["osnet_x0_25", "osnet_x1_0", "osnet_ain_x0_25", "osnet_ibn_x0_25"])
def test_the_network_is_that_of_its_whole_numbers(exported: Callable[[str], Any], name: str) -> None:
    from omnireid.inference.fused.module import fold_module

    model = exported(name)
    spec, folded = model.card.input, fold_module(model.network)
    ranges = ranges_of(folded, spec)
    backend = NativeBackend(folded, model.card, precision="int8", ranges=ranges)
    crops = soft_crops(4, spec.height, spec.width, seed=1)
    actual = backend.embed(crops).astype(np.float64)
    walked = np.stack([Walk(folded, ranges, spec)(crop) for crop in crops])
    floats = NativeBackend(folded, model.card).embed(crops)
    # Few bytes lie so near a half that float32 rounds them to the other side, but each moves others in the
    # layers after it: the two end a fifth as far apart as int8 is from float.
    off, of_int8 = (np.linalg.norm(actual - other) / np.linalg.norm(other) for other in (walked, floats))
    assert off < 0.4 * of_int8
    assert of_int8 < 0.01
    alone = NativeBackend(folded, model.card, precision="int8", ranges=ranges, threads=1)
    assert np.array_equal(alone.embed(crops), backend.embed(crops))
    assert np.array_equal(alone.embed(crops[2:3]), backend.embed(crops)[2:3])
    maps = NativeBackend(folded, model.card).feature_maps(crops)
    assert np.abs(backend.feature_maps(crops) - maps).max() < 0.2 * maps.max()


@needs_bytes
def test_a_file_with_ranges_is_the_same_weights(exported: Callable[[str], Any], tmp_path: Path) -> None:
    from omnireid.inference.export.native import with_ranges

    model = exported("osnet_x0_25")
    crops = soft_crops(33, model.card.input.height, model.card.input.width)
    path = tmp_path / "m.int8.safetensors"
    path.write_bytes(with_ranges(model.network, model.card, crops))
    in_bytes = Embedder.open(path, backend="native", precision="int8")
    assert in_bytes.backend.precision == "int8"  # type: ignore[attr-defined]
    before = Embedder.open(model.safetensors, backend="native").embed(crops)
    assert np.array_equal(Embedder.open(path, backend="native").embed(crops), before)
    similar = (in_bytes.embed(crops) * before).sum(axis=1)
    assert similar.min() > 0.999
    assert not np.array_equal(in_bytes.embed(crops), before)
    assert in_bytes.sha256 != Embedder.open(model.safetensors, backend="native").sha256


def test_what_int8_cannot_do_is_said(
    exported: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from omnireid import ExportForm, export_model
    from omnireid.inference.fused.module import fold_module

    model = exported("osnet_x0_25")
    if not missing_for("int8"):
        with pytest.raises(InputError, match="--format safetensors --precision int8"):
            Embedder.open(model.safetensors, backend="native", precision="int8")
        folded = fold_module(model.network)
        measured = ranges_of(folded, model.card.input)
        for lacking in ({}, {**measured, "stem": measured[max(measured)]}):
            with pytest.raises(WeightsError, match=r"'stem'.*omnireid export"):
                NativeBackend(folded, model.card, precision="int8", ranges=lacking)
    with pytest.raises(InputError, match="whose embeddings are raw"):
        export_model(
            model.network,
            model.card,
            tmp_path / "m.safetensors",
            ExportForm("safetensors", "int8", normalised=True),
        )
    monkeypatch.setattr("omnireid.inference.native.vectors.HAS_BYTE_DOT", False)
    with pytest.raises(InputError, match="AVX-512 VNNI"):
        Embedder.open(model.safetensors, backend="native", precision="int8")


@pytest.mark.parametrize(
    "stored", [["stem"], {"stem": [1.0]}, {"stem": [[1.0], [1.0, 2.0]]}, {"stem": [["a"], ["b"]]}]
)
def test_damaged_ranges_are_said_with_their_file(stored: Any) -> None:
    from omnireid.inference.native.ranges import from_header

    with pytest.raises(WeightsError, match=r"m\.safetensors: the ranges in its header are damaged"):
        from_header(stored, source="m.safetensors")
