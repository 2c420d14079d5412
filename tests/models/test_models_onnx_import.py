"""ONNX files turned back into weights: every architecture in many guises, and graphs that are refused."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import helper, numpy_helper
from torch import nn

from omnireid.cli.app import main
from omnireid.core.card import InputSpec, ModelCard
from omnireid.core.errors import UnknownNameError, WeightsError
from omnireid.core.files import sha256_file
from omnireid.models.onnx_import import import_onnx
from omnireid.models.osnet_config import ARCHITECTURES
from omnireid.models.registry import build_model
from omnireid.models.weights import load_weights

SIZE = (64, 32)


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def uneven(architecture: str, **overrides: Any) -> Any:
    """Every weight and statistic does something; seeded."""
    generator = torch.Generator().manual_seed(5)
    network = build_model(architecture, **overrides)
    network.initialise(generator)
    with torch.no_grad():
        for name, values in network.state_dict().items():
            if name.endswith("running_var"):
                values.copy_(torch.rand(values.shape, generator=generator) + 0.5)
            elif values.is_floating_point() and values.ndim == 1:
                values.copy_(torch.randn(values.shape, generator=generator) * 0.2 + 0.5)
    return network.eval()


def exported(
    module: Any, *, folded: bool, example: torch.Tensor | None = None, free_batch: bool = True
) -> onnx.ModelProto:
    """By torch alone. Evaluation mode folds batch norms, `preserve` keeps them in the graph."""
    mode = torch.onnx.TrainingMode.EVAL if folded else torch.onnx.TrainingMode.PRESERVE
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (torch.zeros(2, 3, *SIZE) if example is None else example,),
            content,  # type: ignore[arg-type]
            dynamo=False,
            opset_version=17,
            training=mode,
            do_constant_folding=folded,
            input_names=["pictures"],
            dynamic_axes={"pictures": {0: "n"}} if free_batch else None,
        )
    return onnx.load_from_string(content.getvalue())


@pytest.fixture(scope="module")
def exported_once() -> onnx.ModelProto:
    return exported(uneven("osnet_x0_25"), folded=True)


@pytest.fixture
def published(exported_once: onnx.ModelProto) -> onnx.ModelProto:
    """An x0.25, for the test to change."""
    copied = onnx.ModelProto()
    copied.CopyFrom(exported_once)
    return copied


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    """Under names that say nothing."""
    renamed = {"": ""} | {value.name: value.name for value in (*model.graph.input, *model.graph.output)}
    for node in model.graph.node:
        node.name = ""
        for names in (node.input, node.output):
            names[:] = [renamed.setdefault(name, f"t{len(renamed)}") for name in names]
    for tensor in model.graph.initializer:
        tensor.name = renamed.setdefault(tensor.name, f"t{len(renamed)}")
    del model.graph.value_info[:]
    path = folder / "published.onnx"
    onnx.save(model, str(path))
    return path


def embeddings(path: Path, pictures: torch.Tensor) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: pictures.numpy()})[0]


def assert_same_embeddings(state: dict[str, torch.Tensor], architecture: str, path: Path) -> None:
    network = build_model(architecture)
    network.load_state_dict(state)
    pictures = torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        actual = network.eval()(pictures).numpy()
    expected = embeddings(path, pictures)
    np.testing.assert_allclose(actual, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("architecture", "folded"),
    [(name, True) for name in ARCHITECTURES]
    + [("osnet_x0_25", False), ("osnet_ibn_x1_0", False), ("osnet_ain_x0_5", False)],
)
def test_every_architecture_comes_back(architecture: str, folded: bool, tmp_path: Path) -> None:
    network = uneven(architecture)
    model = exported(network, folded=folded)
    kinds = [node.op_type for node in model.graph.node]
    # The head's norm follows a product, which torch does not fold.
    assert kinds.count("BatchNormalization") == (1 if folded else len(_batch_norms(network)))
    path = saved(model, tmp_path)
    state, card = import_onnx(path)
    assert card.architecture == architecture
    assert list(state) == list(network.state_dict())
    assert_same_embeddings(state, architecture, path)
    if not folded:
        for key, value in network.state_dict().items():
            torch.testing.assert_close(state[key], value, rtol=0, atol=1e-6)


def _batch_norms(network: nn.Module) -> list[nn.Module]:
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d)]


def test_the_card_says_what_is_not_known(published: onnx.ModelProto, tmp_path: Path) -> None:
    path = saved(published, tmp_path)
    _, card = import_onnx(path, "osnet_x0_25")
    assert (card.name, card.origin) == ("published", "published.onnx")
    assert card.licence == card.training_data == "unknown"
    assert (card.input.height, card.input.width) == SIZE
    assert card.sha256 == sha256_file(path)
    assert card.metrics == ()


def test_a_fixed_batch_and_weights_as_constants(tmp_path: Path) -> None:
    """Initialisers become Constant nodes, some behind an Identity, as other converters write them."""
    network = uneven("osnet_x0_25")
    model = exported(network, folded=True, example=torch.zeros(3, 3, *SIZE), free_batch=False)
    graph = model.graph
    constants = []
    for tensor in graph.initializer:
        constants.append(helper.make_node("Constant", [], [f"{tensor.name}_"], value=tensor))
        constants.append(helper.make_node("Identity", [f"{tensor.name}_"], [tensor.name]))
    nodes = [*constants, *graph.node]
    del graph.initializer[:]
    del graph.node[:]
    graph.node.extend(nodes)
    state, _ = import_onnx(saved(model, tmp_path))
    torch.testing.assert_close(state["conv5.conv.weight"].shape, network.conv5.conv.weight.shape)


def test_another_epsilon_is_taken_into_the_variance(tmp_path: Path) -> None:
    network = uneven("osnet_x0_25")
    for module in _batch_norms(network):
        module.eps = 1e-3
    path = saved(exported(network, folded=False), tmp_path)
    state, _ = import_onnx(path)
    assert_same_embeddings(state, "osnet_x0_25", path)


def test_a_bias_in_front_of_a_norm_is_taken_into_the_mean(tmp_path: Path) -> None:
    """Not as torch writes it, but the same function: x + b and a mean of m + b instead of x and m."""
    network = uneven("osnet_x0_25")
    model = exported(network, folded=False)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    norms = {node.input[0]: node for node in model.graph.node if node.op_type == "BatchNormalization"}
    generator = np.random.default_rng(4)
    for node in model.graph.node:
        norm = norms.get(node.output[0])
        # Not the 1×1 of a Lite 3×3, and not the head, which has a bias.
        if node.op_type == "Conv" and norm is not None:
            mean = weights[norm.input[3]]
            values = numpy_helper.to_array(mean)
            bias = generator.normal(size=values.shape).astype(np.float32)
            mean.CopyFrom(numpy_helper.from_array(values + bias, mean.name))
            model.graph.initializer.append(numpy_helper.from_array(bias, f"{node.output[0]}_bias"))
            node.input.append(f"{node.output[0]}_bias")
    state, _ = import_onnx(saved(model, tmp_path))
    for key, value in network.state_dict().items():
        torch.testing.assert_close(state[key], value, rtol=0, atol=1e-6)


def test_our_own_exports_come_back_with_their_card(tmp_path: Path) -> None:
    """uint8 in, normalised inside: by a scale and a shift, or by a shift and a scaled stem."""
    from omnireid.inference.backends.onnx_graph import CARD_KEY
    from omnireid.inference.fused.graph import deployed_module

    network = uneven("osnet_ain_x0_25")
    spec = InputSpec(height=SIZE[0], width=SIZE[1], mean=(0.3, 0.4, 0.5), std=(0.1, 0.2, 0.3))
    card = ModelCard(name="mine", architecture="osnet_ain_x0_25", input=spec)

    class ScaledBefore(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network
            self.scale, self.shift = (
                torch.from_numpy(values)[:, None, None] for values in spec.scale_shift()
            )

        def forward(self, crops: torch.Tensor) -> torch.Tensor:
            return self.network(crops.permute(0, 3, 1, 2).float() * self.scale + self.shift)

    for module in (
        ScaledBefore(),
        deployed_module(network, card, form="streams"),
        deployed_module(network, card, form="readable", normalised=True),
    ):
        model = exported(module, folded=True, example=torch.zeros(2, *SIZE, 3, dtype=torch.uint8))
        helper.set_model_props(model, {CARD_KEY: card.to_json()})
        state, found = import_onnx(saved(model, tmp_path))
        # What is folded in the file is one fact more.
        assert found.model_copy(update={"notes": card.notes}) == card
        assert "batch norms are folded into their convolutions" in found.notes
        torch.testing.assert_close(
            state["conv1.conv.weight"], network.conv1.conv.weight.detach(), rtol=1e-5, atol=0
        )
    other = card.model_copy(update={"input": spec.model_copy(update={"mean": (0.5, 0.4, 0.3)})})
    helper.set_model_props(model, {CARD_KEY: other.to_json()})
    with pytest.raises(WeightsError, match=r"does not subtract the mean.*\(0.3, 0.4, 0.5\)"):
        import_onnx(saved(model, tmp_path))
    del model.metadata_props[:]
    with pytest.raises(WeightsError, match="no card that says how"):
        import_onnx(saved(model, tmp_path))


def test_a_card_of_another_architecture_is_refused(published: onnx.ModelProto, tmp_path: Path) -> None:
    card = ModelCard(name="mine", architecture="osnet_x0_5")
    helper.set_model_props(published, {"omnireid.card": card.to_json()})
    with pytest.raises(WeightsError, match="its card says osnet_x0_5, its graph is that of osnet_x0_25"):
        import_onnx(saved(published, tmp_path))


def test_a_stated_architecture_is_checked(published: onnx.ModelProto, tmp_path: Path) -> None:
    path = saved(published, tmp_path)
    with pytest.raises(WeightsError, match="that of osnet_x0_25, osnet_x0_5 was asked for"):
        import_onnx(path, "osnet_x0_5")
    with pytest.raises(UnknownNameError, match="did you mean"):
        import_onnx(path, "osnet_x0_52")


def test_other_shapes_are_named(tmp_path: Path) -> None:
    network = uneven("osnet_x0_25", channels=(16, 64, 96, 64), stream_depths=(1, 2))
    with pytest.raises(WeightsError, match=r"none of the nine.*\(16, 64, 96, 64\).*\(1, 2\)"):
        import_onnx(saved(exported(network, folded=True), tmp_path))


@pytest.mark.parametrize(
    ("overrides", "what"),
    [
        ({"lite": False}, "3×3|kernel"),
        ({"fusion": "addition"}, "found Add"),
        ({"fusion": "separate_gates"}, "gates of their own"),
    ],
)
def test_ablations_are_refused(overrides: dict[str, Any], what: str, tmp_path: Path) -> None:
    path = saved(exported(uneven("osnet_x0_25", **overrides), folded=True), tmp_path)
    with pytest.raises(WeightsError, match=f"published.onnx: not the graph of an OSNet: .*({what})"):
        import_onnx(path)


class Foreign(nn.Module):
    """Begins as an OSNet does."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 64, 7, 2, 3), nn.ReLU(), nn.MaxPool2d(3, 2, 1), nn.Conv2d(64, 64, 3, 1, 1), nn.ReLU()
        )

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.layers(pictures).mean(dim=(2, 3))


def test_other_networks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"not the graph of an OSNet: Conv .* where a 1×1 of stride 1"):
        import_onnx(saved(exported(Foreign(), folded=True), tmp_path))


def _replace_pool(model: onnx.ModelProto) -> None:
    """The maximum of the stem without its border: the layers are right, the embeddings are not."""
    (pool,) = (node for node in model.graph.node if node.op_type == "MaxPool")
    del pool.attribute[:]
    pool.attribute.extend(helper.make_node("MaxPool", [], [], kernel_shape=[2, 2], strides=[2, 2]).attribute)


def _swap_gate(model: onnx.ModelProto) -> None:
    """A stream is weighed by another stream's gate."""
    products = [node for node in model.graph.node if node.op_type == "Mul" and "gate" in node.name]
    products[0].input[1], products[1].input[1] = products[1].input[1], products[0].input[1]


def _halve(model: onnx.ModelProto) -> None:
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32:
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), tensor.name))


def _spoil(model: onnx.ModelProto) -> None:
    tensor = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 4)
    values = numpy_helper.to_array(tensor).copy()
    values.flat[3] = np.nan
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _two_inputs(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("camera", 7, ["n"]))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (_replace_pool, r"gives other embeddings: largest distance 0\.\d+ of 4 unit"),
        (_swap_gate, "does not weigh the stream"),
        (_halve, "holds float16 weights; import the float32 file"),
        (_spoil, "damaged.*NaN"),
        (_two_inputs, "expected one input, found 2: pictures, camera"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_changed_graphs_are_refused(
    change: Callable[[onnx.ModelProto], None], what: str, published: onnx.ModelProto, tmp_path: Path
) -> None:
    change(published)
    with pytest.raises(WeightsError, match=what):
        import_onnx(saved(published, tmp_path))


def test_damaged_files_are_named(published: onnx.ModelProto, tmp_path: Path) -> None:
    whole = saved(published, tmp_path).read_bytes()
    path = tmp_path / "damaged.onnx"
    with pytest.raises(WeightsError, match="no such file"):
        import_onnx(path)
    for content in (b"", whole[: len(whole) // 2], whole[:-1], b"PK\x03\x04 something", b"\n" * 40):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=r"damaged.onnx"):
            import_onnx(path)


def test_the_command_writes_weights(
    published: onnx.ModelProto,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = saved(published, tmp_path)
    out = tmp_path / "weights.safetensors"
    monkeypatch.setattr("sys.argv", ["omnireid", "models", "convert", str(path), "--out", str(out)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code in (0, None)
    assert "osnet_x0_25, 201,864 parameters" in capsys.readouterr().out
    network, card = load_weights(out)
    assert card.origin == "published.onnx"
    assert_same_embeddings(network.state_dict(), "osnet_x0_25", path)


def test_a_published_file(real_dir: Path) -> None:
    """Made from a checkpoint of the model zoo by others; its batch norms are folded but for the head's."""
    path = real_dir / "osnet_x0_25_msmt17.onnx"
    if not path.is_file():
        pytest.skip("the published ONNX file is absent")
    state, card = import_onnx(path)
    assert card.architecture == "osnet_x0_25"
    assert (card.input.height, card.input.width) == (256, 128)
    network = build_model("osnet_x0_25")
    network.load_state_dict(state)
    pictures = torch.randn(3, 3, 256, 128, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        actual = network.eval()(pictures).numpy()
    expected = embeddings(path, pictures)
    cosines = (actual * expected).sum(1) / np.linalg.norm(actual, axis=1) / np.linalg.norm(expected, axis=1)
    assert cosines.min() > 0.999999
