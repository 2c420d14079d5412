"""What a graph does to its pictures itself is found out: any way to normalise gives the same embeddings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from omnireid import Embedder
from omnireid.core.errors import InputError, WeightsError
from omnireid.inference.backends.foreign import ForeignCard

onnx = pytest.importorskip("onnx")
node = onnx.helper.make_node

MEAN = np.array([0.485, 0.456, 0.406])
STD = np.array([0.229, 0.224, 0.225])
WEIGHTS = np.random.default_rng(0).normal(size=(8, 3, 3, 3))
HEIGHT, WIDTH = 32, 16

BACKENDS = [
    "onnx",
    pytest.param(
        "openvino", marks=pytest.mark.skipif("not __import__('importlib').util.find_spec('openvino')")
    ),
]


def crops() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (6, HEIGHT, WIDTH, 3), np.uint8)


def expected(normalised: np.ndarray | None = None, weights: np.ndarray = WEIGHTS) -> np.ndarray:
    """The network on RGB pictures, (N, H, W, 3), normalised as published; in float64, by hand."""
    if normalised is None:
        normalised = (crops() / 255.0 - MEAN) / STD
    windows = np.lib.stride_tricks.sliding_window_view(normalised, (3, 3), axis=(1, 2))
    maps = np.einsum("nhwcij,ocij->nhwo", windows, weights)
    rows = np.maximum(maps, 0).mean(axis=(1, 2))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def per_channel(values: Any) -> np.ndarray:
    return np.asarray(values, np.float32).reshape(1, -1, 1, 1)


class Front:
    """Nodes in front of the network: (type, constants, attributes), one after the other."""

    def __init__(self, *steps: tuple[Any, ...], weights: np.ndarray = WEIGHTS, dtype: str = "FLOAT") -> None:
        self.steps = steps
        self.weights = weights
        self.dtype = dtype


def write(path: Path, front: Front, shape: tuple[Any, ...] = ("N", 3, HEIGHT, WIDTH)) -> Path:
    nodes, initialisers, last = [], [], "images"
    for number, (kind, *rest) in enumerate(front.steps):
        attributes = rest.pop() if rest and isinstance(rest[-1], dict) else {}
        constants = []
        for place, values in enumerate(rest):
            constants.append(f"constant{number}.{place}")
            initialisers.append(onnx.numpy_helper.from_array(np.asarray(values), constants[-1]))
        outputs = [f"step{number}"] if kind != "Split" else ["red", "green", "blue"]
        inputs = [last, *constants] if kind != "Concat" else ["blue", "green", "red"]
        nodes.append(node(kind, inputs, outputs, **attributes))
        last = outputs[0]
    if front.dtype == "FLOAT16":
        nodes.append(node("Cast", [last], ["floats"], to=onnx.TensorProto.FLOAT))
        last = "floats"
    nodes += [
        node("Conv", [last, "weights"], ["maps"]),
        node("Relu", ["maps"], ["positive"]),
        node("GlobalAveragePool", ["positive"], ["pooled"]),
        node("Flatten", ["pooled"], ["embedding"]),
    ]
    initialisers.append(onnx.numpy_helper.from_array(front.weights.astype(np.float32), "weights"))
    image = onnx.helper.make_tensor_value_info("images", getattr(onnx.TensorProto, front.dtype), shape)
    output = onnx.helper.make_tensor_value_info("embedding", onnx.TensorProto.FLOAT, [shape[0], 8])
    graph = onnx.helper.make_graph(nodes, "front", [image], [output], initialisers)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))
    return path


M, S = per_channel(255 * MEAN), per_channel(255 * STD)
M_BGR, S_BGR = per_channel(255 * MEAN[::-1]), per_channel(255 * STD[::-1])
TURN = ("Gather", np.array([2, 1, 0]), {"axis": 1})
TO_FLOAT = ("Cast", {"to": onnx.TensorProto.FLOAT})
CHANNELS_FIRST = ("Transpose", {"perm": [0, 3, 1, 2]})
NHWC = ("N", HEIGHT, WIDTH, 3)
FOR_BGR = WEIGHTS[:, ::-1]

FRONTS: dict[str, tuple[Front, tuple[Any, ...], str]] = {
    "Sub and Div": (Front(("Sub", M), ("Div", S)), ("N", 3, HEIGHT, WIDTH), "0 to 255.*RGB"),
    "Mul and Add": (Front(("Mul", 1 / S), ("Add", -M / S)), ("N", 3, HEIGHT, WIDTH), "0 to 255.*RGB"),
    "Div by 255 first": (
        Front(("Div", np.float32(255)), ("Sub", per_channel(MEAN)), ("Div", per_channel(STD))),
        ("N", 3, HEIGHT, WIDTH),
        "0 to 255.*RGB",
    ),
    "BatchNormalization": (
        Front(
            (
                "BatchNormalization",
                np.ones(3, np.float32),
                np.zeros(3, np.float32),
                M.reshape(3),
                S.reshape(3) ** 2,
                {"epsilon": 1e-5},
            )
        ),
        ("N", 3, HEIGHT, WIDTH),
        "0 to 255.*RGB",
    ),
    "0 to 1": (
        Front(("Sub", per_channel(MEAN)), ("Div", per_channel(STD))),
        ("N", 3, HEIGHT, WIDTH),
        "0 to 1 .*RGB",
    ),
    "a mean alone": (
        Front(("Sub", M), weights=WEIGHTS / (255 * STD)[:, None, None]),
        ("N", 3, HEIGHT, WIDTH),
        "0 to 255.*RGB",
    ),
    "a mean alone, 0 to 1": (
        Front(("Sub", per_channel(MEAN)), weights=WEIGHTS / STD[:, None, None]),
        ("N", 3, HEIGHT, WIDTH),
        "0 to 1 .*RGB",
    ),
    "BGR by its means": (
        Front(("Sub", M_BGR), ("Div", S_BGR), weights=FOR_BGR),
        ("N", 3, HEIGHT, WIDTH),
        "0 to 255.*BGR",
    ),
    "turned round by Gather": (Front(TURN, ("Sub", M), ("Div", S)), ("N", 3, HEIGHT, WIDTH), "BGR"),
    "turned round at the end": (
        Front(("Sub", M_BGR), ("Div", S_BGR), TURN),
        ("N", 3, HEIGHT, WIDTH),
        "BGR",
    ),
    "turned round by Split and Concat": (
        Front(("Split", {"axis": 1}), ("Concat", {"axis": 1}), ("Sub", M), ("Div", S)),
        (1, 3, HEIGHT, WIDTH),
        "BGR",
    ),
    "turned round by Slice": (
        Front(
            ("Slice", np.array([2]), np.array([-4]), np.array([1]), np.array([-1])), ("Sub", M), ("Div", S)
        ),
        ("N", 3, HEIGHT, WIDTH),
        "BGR",
    ),
    "BGR turned round": (
        Front(TURN, ("Sub", M_BGR), ("Div", S_BGR), weights=FOR_BGR),
        ("N", 3, HEIGHT, WIDTH),
        "RGB",
    ),
    "bytes": (
        Front(CHANNELS_FIRST, TO_FLOAT, ("Sub", M), ("Div", S), dtype="UINT8"),
        NHWC,
        "0 to 255.*RGB",
    ),
    "bytes, BGR": (
        Front(CHANNELS_FIRST, TO_FLOAT, TURN, ("Sub", M), ("Div", S), dtype="UINT8"),
        NHWC,
        "0 to 255.*BGR",
    ),
    "channels last": (
        Front(("Sub", M.reshape(3)), ("Div", S.reshape(3)), CHANNELS_FIRST),
        NHWC,
        "0 to 255.*RGB",
    ),
    "float16": (
        Front(("Sub", M.astype(np.float16)), ("Div", S.astype(np.float16)), dtype="FLOAT16"),
        ("N", 3, HEIGHT, WIDTH),
        "0 to 255.*RGB",
    ),
    "one crop a run": (Front(("Sub", M), ("Div", S)), (1, 3, HEIGHT, WIDTH), "0 to 255.*RGB"),
    "four crops a run": (Front(("Sub", M), ("Div", S)), (4, 3, HEIGHT, WIDTH), "0 to 255.*RGB"),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", FRONTS)
def test_it_is_fed_what_it_takes(tmp_path: Path, case: str, backend: Any) -> None:
    front, shape, note = FRONTS[case]
    embedder = Embedder.open(write(tmp_path / "net.onnx", front, shape), backend=backend, threads=1)
    cosines = (embedder.embed(crops()) * expected()).sum(axis=1)
    assert cosines.min() > (0.9999 if case == "float16" else 0.999999)
    assert re.search(note, embedder.card.notes)
    if case not in ("a mean alone", "a mean alone, 0 to 1"):
        np.testing.assert_allclose(embedder.card.input.mean, MEAN, atol=1e-3)
        np.testing.assert_allclose(embedder.card.input.std, STD, atol=1e-3)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_norm_that_was_learned_of_normalised_pictures_is_none_of_them(tmp_path: Path, backend: Any) -> None:
    scale, bias, mean, variance = [1.1, 0.9, 1.0], [0.05, -0.1, 0.0], [-0.3, -0.2, 0.1], [0.9, 1.1, 1.0]
    front = Front(
        ("BatchNormalization", *(np.array(part, np.float32) for part in (scale, bias, mean, variance)))
    )
    normalised = (crops() / 255.0 - MEAN) / STD
    normed = (normalised - mean) / np.sqrt(variance) * scale + bias
    path = write(tmp_path / "net.onnx", front)
    with pytest.raises(WeightsError, match="nothing in the file says"):
        Embedder.open(path, backend=backend, threads=1)
    embedder = Embedder.open(path, backend=backend, threads=1, card=card_of(mean=tuple(MEAN), std=tuple(STD)))
    assert (embedder.embed(crops()) * expected(normed)).sum(axis=1).min() > 0.999999


def halves(height: int = HEIGHT) -> np.ndarray:
    """A mean picture that is darker below."""
    picture = np.full((1, 3, height, WIDTH), 120, np.float32)
    picture[:, :, height // 2 :] = 60
    return picture


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("front", "message"),
    [
        (Front(TURN), "turn the order of the channels round"),
        (Front(TURN, ("Div", np.float32(255))), "turn the order of the channels round"),
        (Front(("Gather", np.array([0, 0, 0]), {"axis": 1})), "mix, drop or invert colours"),
        (Front(("Gather", np.array([1, 2, 0]), {"axis": 1})), "mix, drop or invert colours"),
        (Front(("Mul", np.float32(-1))), "mix, drop or invert colours"),
        (Front(("Sub", halves())), "by their place"),
        (Front(("Clip", np.float32(0), np.float32(1))), "do more than a mean and a deviation explain"),
        (Front(("Mul", np.float32(100))), "fits no range of pictures"),
        (Front(("Sub", per_channel([-100, -100, -100]))), "fits no range of pictures"),
        (
            Front(
                CHANNELS_FIRST, TO_FLOAT, ("Sub", per_channel(MEAN)), ("Div", per_channel(STD)), dtype="UINT8"
            ),
            "expect values from 0 to 1, where the input takes bytes",
        ),
    ],
)
def test_what_cannot_be_found_out_is_refused(
    tmp_path: Path, front: Front, message: str, backend: Any
) -> None:
    path = write(tmp_path / "net.onnx", front, NHWC if front.dtype == "UINT8" else ("N", 3, HEIGHT, WIDTH))
    with pytest.raises(WeightsError, match=f"{message}.*cannot be found out.*Write a card, net.card.yaml"):
        Embedder.open(path, backend=backend, threads=1)


def card_of(**facts: Any) -> ForeignCard:
    usual = {"size": (HEIGHT, WIDTH), "layout": "NCHW", "colours": "RGB", "range": "0-1"}
    return ForeignCard(**{**usual, "mean": 0, "std": 1, "normalised": False, **facts})


def test_where_nothing_shows_the_order_a_card_has_to(tmp_path: Path) -> None:
    front = Front(("Sub", np.float32(127.5)), ("Div", np.float32(127.5)))
    path = write(tmp_path / "net.onnx", front)
    with pytest.raises(WeightsError, match="nothing in the file says what pictures it takes"):
        Embedder.open(path, threads=1)
    for colours in ("RGB", "BGR"):
        embedder = Embedder.open(path, threads=1, card=card_of(range="0-255", colours=colours))
        normalised = (crops() / 127.5 - 1)[..., :: -1 if colours == "BGR" else 1]
        assert (embedder.embed(crops()) * expected(normalised)).sum(axis=1).min() > 0.999999
    with pytest.raises(WeightsError, match="so its card has to say range 0-255, mean 0 and std 1"):
        Embedder.open(path, threads=1, card=card_of(mean=tuple(MEAN), std=tuple(STD)))


ODD_MEAN, ODD_STD = (10.0, 20.0, 30.0), (40.0, 50.0, 60.0)
CARDS = {
    "RGB of 0 to 1": {},
    "BGR of 0 to 255": {"colours": "BGR", "range": "0-255"},
    "BGR, mean and std": {"colours": "BGR", "range": "0-255", "mean": ODD_MEAN, "std": ODD_STD},
    "RGB, one mean and std for all": {"mean": 0.5, "std": 0.25},
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("case", CARDS)
def test_a_card_beside_the_file_says_what_it_takes(
    tmp_path: Path, case: str, layout: str, backend: Any
) -> None:
    front, shape = Front(), ("N", 3, HEIGHT, WIDTH)
    if layout == "NHWC":
        front, shape = Front(CHANNELS_FIRST), NHWC
    path = write(tmp_path / "net.onnx", front, shape)
    card = card_of(layout=layout, licence="MIT", **CARDS[case])
    (tmp_path / "net.card.yaml").write_text(yaml.safe_dump(card.model_dump(mode="json")))
    embedder = Embedder.open(path, backend=backend, threads=1)
    order = slice(None, None, -1 if card.colours == "BGR" else 1)
    fed = crops()[..., order] / (1.0 if card.range == "0-255" else 255.0)
    normalised = (fed - np.array(card.mean)) / np.array(card.std)
    assert (embedder.embed(crops()) * expected(normalised)).sum(axis=1).min() > 0.999999
    assert embedder.card.licence == "MIT"
    # What model cards state is the same, in RGB of 0 to 1.
    spec = embedder.card.input
    in_rgb = (crops() / 255.0 - np.array(spec.mean)) / np.array(spec.std)
    np.testing.assert_allclose(in_rgb[..., order], normalised, rtol=1e-5, atol=1e-4)


def test_two_cards_make_two_models_of_one_file(tmp_path: Path) -> None:
    path = write(tmp_path / "net.onnx", Front())
    (tmp_path / "card.yaml").write_text(yaml.safe_dump(card_of().model_dump(mode="json")))
    found = Embedder.open(path, threads=1)
    named = Embedder.open(path, threads=1, card=card_of(name="named", licence="MIT"))
    other = Embedder.open(path, threads=1, card=card_of(colours="BGR"))
    assert found.sha256 == named.sha256 != other.sha256
    assert (found.card.name, named.card.name) == ("net", "named")
    is_unit = Embedder.open(path, threads=1, card=card_of(normalised=True))
    assert is_unit.is_normalised_inside
    with pytest.raises(InputError, match="raw ones"):
        Embedder.open(path, threads=1, card=card_of(normalised=True), normalise=False)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"size": (64, WIDTH)}, "its card says height 64, its graph 32"),
        ({"layout": "NHWC"}, "its card says layout NHWC, its graph NCHW"),
    ],
)
def test_a_card_that_contradicts_its_graph_is_refused(
    tmp_path: Path, facts: dict[str, Any], message: str
) -> None:
    with pytest.raises(WeightsError, match=message):
        Embedder.open(write(tmp_path / "net.onnx", Front()), threads=1, card=card_of(**facts))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{size: [32, 16]", "not valid YAML"),
        ("[1]", "the card: "),
        ("{colors: RGB}", "colors: Extra inputs.*|layout: Field required"),
        ("{std: [0, 1, 1]}", "std: .*must be positive"),
    ],
)
def test_cards_are_closed(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "net.card.yaml").write_text(text)
    with pytest.raises(WeightsError, match=rf"card .*net\.card\.yaml: .*({message})"):
        Embedder.open(write(tmp_path / "net.onnx", Front()), threads=1)


def test_the_card_in_the_error_is_one_to_fill_in(tmp_path: Path) -> None:
    path = write(tmp_path / "net.onnx", Front())
    with pytest.raises(WeightsError) as refusal:
        Embedder.open(path, threads=1)
    text = str(refusal.value)
    text = text[text.index("{") :]
    (tmp_path / "net.card.yaml").write_text(text)
    with pytest.raises(WeightsError, match="colours: Input should be 'RGB' or 'BGR'"):
        Embedder.open(path, threads=1)
    for unknown, known in (("RGB|BGR", "RGB"), ("0-255|0-1", "0-1"), ("true|false", "false")):
        text = text.replace(unknown, known)
    text = text.replace("[M, M, M]", str(MEAN.tolist())).replace("[S, S, S]", str(STD.tolist()))
    (tmp_path / "net.card.yaml").write_text(text)
    assert (Embedder.open(path, threads=1).embed(crops()) * expected()).sum(axis=1).min() > 0.999999


def as_intel_does(tmp_path: Path, name: str, conversion: str) -> Path:
    """A graph whose preparation is in its weights, with what a converter writes down."""
    openvino = pytest.importorskip("openvino")
    # BGR of 0 to 255; a mean of zero, which weights can take in.
    front = Front(weights=FOR_BGR / 255)
    model = openvino.convert_model(str(write(tmp_path / "net.onnx", front)))
    openvino.save_model(model, str(tmp_path / name), compress_to_fp16=False)
    text = (tmp_path / name).read_text()
    place = text.rindex("<rt_info>") + len("<rt_info>")
    (tmp_path / name).write_text(text[:place] + conversion + text[place:])
    return tmp_path / name


CONVERSION = (
    '<conversion_parameters><mean_values value="data[1,2,3]" />'
    '<reverse_input_channels value="{}" /></conversion_parameters>'
)


@pytest.mark.parametrize(
    ("name", "conversion", "note"),
    [
        ("person-reidentification-retail-0287.xml", "", "as Intel's person-reidentification-retail-0287"),
        ("renamed.xml", CONVERSION.format("True"), "as the parameters of its conversion say"),
        (
            "model.xml",
            '<model_name value="person-reidentification-retail-0277" />',
            "as Intel's person-reidentification-retail-0277",
        ),
    ],
)
def test_what_intel_publishes_is_known(tmp_path: Path, name: str, conversion: str, note: str) -> None:
    embedder = Embedder.open(as_intel_does(tmp_path, name, conversion), threads=1)
    assert note in embedder.card.notes
    assert (embedder.embed(crops()) * expected(crops() / 255.0)).sum(axis=1).min() > 0.999999
    with pytest.raises(WeightsError, match="nothing in the file says"):
        Embedder.open(as_intel_does(tmp_path, "other.xml", CONVERSION.format("False")), threads=1)


def test_intel_s_published_network_gives_what_openvino_gives(real_dir: Path) -> None:
    from PIL import Image

    openvino = pytest.importorskip("openvino")
    name = "person-reidentification-retail-0288"
    path = real_dir / "weights" / name / f"{name}.xml"
    if not path.is_file():
        pytest.skip("Intel's network is absent")
    photographs = sorted((real_dir / "mot17mini" / "query").glob("*.jpg"))[:8]
    pictures = [Image.open(photograph).convert("RGB") for photograph in photographs]
    network = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    rows = []
    for picture in pictures:
        bgr = np.asarray(picture.resize((128, 256), Image.Resampling.BILINEAR))[..., ::-1]
        rows.append(network(bgr.transpose(2, 0, 1)[None].astype(np.float32))[0][0].copy())
    embedder = Embedder.open(path, threads=1)
    assert embedder.dim == 256
    assert "BGR" in embedder.card.notes
    actual = embedder.embed([np.asarray(picture) for picture in pictures])
    assert ((actual * np.array(rows)).sum(axis=1) / np.linalg.norm(rows, axis=1)).min() > 0.99999
