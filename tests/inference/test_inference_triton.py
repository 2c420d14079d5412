"""Our GPU kernels against the readable network: on a GPU where there is one, else in Triton's interpreter."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from omnireid.core.card import InputSpec

torch = pytest.importorskip("torch")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
if DEVICE == "cpu":
    # Triton reads it when it is imported.
    os.environ["TRITON_INTERPRET"] = "1"
pytest.importorskip("triton", reason="needs Triton; .ci/check_triton.sh runs this with it")

from inference.conftest import uneven_network  # noqa: E402
from omnireid.core.images import normalise  # noqa: E402
from omnireid.inference.fused.fold import fold  # noqa: E402
from omnireid.inference.fused.triton_plan import Plan  # noqa: E402
from omnireid.inference.fused.triton_tiles import Step, Tile, lite_tiles, product_tiles  # noqa: E402
from omnireid.inference.fused.triton_weights import pack  # noqa: E402

# A mean far from 128 and uneven deviations: a wrong border would show.
UNEVEN_INPUT = {"mean": (0.9, 0.1, 0.5), "std": (0.1, 0.5, 0.3)}
SMALL: dict[str, Any] = {"channels": (16, 32, 48, 64), "embedding_size": 40}
# architecture, overrides, (height, width), rest of the input, crops
NETWORKS: dict[str, tuple[str, dict[str, Any], tuple[int, int], dict[str, Any], int]] = {
    "plain": ("osnet_x0_25", SMALL, (64, 32), {}, 2),
    "odd sizes, uneven streams": (
        "osnet_x0_25",
        {"channels": (24, 48, 72, 96), "blocks": (1, 2, 1), "stream_depths": (3, 1)},
        (50, 38),
        UNEVEN_INPUT,
        1,
    ),
    "instance norm after": ("osnet_ibn_x1_0", SMALL, (48, 40), UNEVEN_INPUT, 3),
    "instance norm inside": ("osnet_ain_x0_25", SMALL, (64, 32), {}, 2),
}


@pytest.fixture(autouse=True)
def interpreter_knows_bfloat16(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Triton's interpreter multiplies bfloat16 by its bits, and cuts where a GPU rounds."""
    if DEVICE == "cuda":
        yield
        return
    import triton.language as tl
    from triton.runtime.interpreter import InterpreterBuilder, TensorHandle

    create_dot, cast = InterpreterBuilder.create_dot, InterpreterBuilder.cast_impl

    def dot(self: Any, a: Any, b: Any, *rest: Any) -> Any:
        a, b = (cast(self, x, tl.float32) if x.dtype.scalar == tl.bfloat16 else x for x in (a, b))
        return create_dot(self, a, b, *rest)

    def rounding_cast(self: Any, values: Any, dtype: Any) -> Any:
        if (values.dtype.scalar, dtype.scalar) != (tl.float32, tl.bfloat16):
            return cast(self, values, dtype)
        rounded = torch.from_numpy(np.ascontiguousarray(values.data)).to(torch.bfloat16)
        return TensorHandle(rounded.view(torch.int16).numpy().view(np.uint16), tl.bfloat16)

    monkeypatch.setattr(InterpreterBuilder, "create_dot", dot)
    monkeypatch.setattr(InterpreterBuilder, "cast_impl", rounding_cast)
    # Lanes outside a picture compute with −∞ and are thrown away.
    with np.errstate(invalid="ignore"):
        yield


@pytest.fixture(autouse=True)
def unwritten_memory_is_not_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = Plan._empty
    monkeypatch.setattr(Plan, "_empty", lambda *args, **kwargs: empty(*args, **kwargs).fill_(float("nan")))


def wide(key: str, candidates: Sequence[Tile], make: Callable[[Tile], Step]) -> Tile:
    """Large tiles: the interpreter's time goes by programs."""
    tile = candidates[0]
    if "ROWS" in tile:
        return tile | {"ROWS": 8, "TILES": 16}
    return tile | {"BLOCK_M": 128, "BLOCK_N": max(32, tile["BLOCK_N"])}


def crops_of(spec: InputSpec, count: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(count).integers(0, 256, (count, spec.height, spec.width, 3), dtype=np.uint8)


def run(
    network: Any, spec: InputSpec, crops: Any, dtype: Any, choose: Any = wide
) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings and feature maps in float64."""
    folded = fold({name: values.numpy() for name, values in network.state_dict().items()}, network.config)
    weights = pack(folded, spec, dtype=dtype, device=DEVICE)
    plan = Plan(weights, torch.from_numpy(crops).to(DEVICE), maps=True, choose=choose)
    plan.run()
    return plan.embeddings.double().cpu(), plan.maps.double().cpu().permute(0, 3, 1, 2)


def expected(network: Any, spec: InputSpec, crops: Any) -> tuple[torch.Tensor, torch.Tensor]:
    import copy

    exact = copy.deepcopy(network).double()
    with torch.no_grad():
        images = torch.from_numpy(normalise(crops, spec)).double()
        return exact(images), exact.feature_maps(images)


def distance(actual: torch.Tensor, wanted: torch.Tensor) -> float:
    """‖actual − wanted‖ / ‖wanted‖; not a number where anything is not."""
    return float((actual - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("name", NETWORKS)
def test_float32_is_the_readable_network(name: str) -> None:
    architecture, overrides, (height, width), rest, count = NETWORKS[name]
    network = uneven_network(architecture, overrides, seed=5)
    spec = InputSpec(height=height, width=width, **rest)
    crops = crops_of(spec, count)
    for actual, wanted in zip(
        run(network, spec, crops, torch.float32), expected(network, spec, crops), strict=True
    ):
        assert distance(actual, wanted) < 2e-6


@pytest.mark.parametrize(("dtype", "limit"), [("bfloat16", 1e-2), ("float16", 1e-3)])
def test_half_precision_is_close(dtype: str, limit: float) -> None:
    network = uneven_network("osnet_ain_x0_25", SMALL | {"blocks": (1, 1, 1), "instance_norm": ()}, seed=5)
    spec = InputSpec(height=64, width=32)
    crops = crops_of(spec, 2)
    actual, _ = run(network, spec, crops, getattr(torch, dtype))
    wanted, _ = expected(network, spec, crops)
    assert distance(actual, wanted) < limit
    assert torch.cosine_similarity(actual, wanted).min() > 1 - limit**2 / 2


@pytest.mark.parametrize("pixels", [1, 10**9], ids=["few pixels", "many pixels"])
def test_every_tile_gives_the_same(pixels: int) -> None:
    network = uneven_network(
        "osnet_x0_25",
        {"channels": (16, 32, 48, 64), "blocks": (1, 1, 1), "stream_depths": (1, 2), "embedding_size": 20},
        seed=2,
    )
    spec = InputSpec(height=32, width=16)
    crops = crops_of(spec, 2)
    wanted, _ = expected(network, spec, crops)
    num_tiles = max(len(lite_tiles(pixels, 8, 4, 64)), len(product_tiles(pixels, 512, 64)))
    for index in range(num_tiles):

        def nth(key: str, candidates: Sequence[Tile], make: Any, index: int = index) -> Tile:
            tile = candidates[index % len(candidates)]
            if "ROWS" in tile:
                given = lite_tiles(pixels, 8, 4, 16)
                return {**tile, **{name: given[index % len(given)][name] for name in ("ROWS", "TILES")}}
            if "BLOCK_K" in tile:
                given = product_tiles(pixels, 512, 64)
                rows = given[index % len(given)]["BLOCK_M"]
                # Rows alone: a channel block wider than the network would only idle.
                return tile | {"BLOCK_M": rows}
            return tile

        actual, _ = run(network, spec, crops, torch.float32, choose=nth)
        assert distance(actual, wanted) < 2e-6


def test_a_crop_is_embedded_the_same_in_any_company() -> None:
    network = uneven_network("osnet_x0_25", SMALL | {"blocks": (1, 1, 1), "stream_depths": (1, 2)}, seed=4)
    spec = InputSpec(height=32, width=16)
    crops = crops_of(spec, 3)
    together, _ = run(network, spec, crops, torch.float32)
    alone, _ = run(network, spec, crops[2:], torch.float32)
    assert torch.equal(together[2:], alone)


def test_streams_never_read_what_they_write() -> None:
    network = uneven_network("osnet_x0_25", SMALL | {"stream_depths": (4, 1, 2, 2)}, seed=1)
    folded = fold({name: values.numpy() for name, values in network.state_dict().items()}, network.config)
    spec = InputSpec(height=32, width=16)
    weights = pack(folded, spec, dtype=torch.float32, device=DEVICE)
    plan = Plan(weights, torch.zeros((1, 32, 16, 3), dtype=torch.uint8, device=DEVICE))
    last_layers = []
    for level in range(4):
        rows = plan._level(level).tolist()
        read, written = {row[1] for row in rows}, {row[2] for row in rows}
        assert not read & written
        assert len(written) == len(rows)
        last_layers += [(row[3], row[2], row[0]) for row in rows if row[3] >= 0]
    # Stream t ends in slab t with its own last layer, and its sums in row t.
    assert sorted(last_layers) == [(0, 0, 3), (1, 1, 4), (2, 2, 6), (3, 3, 8)]
