"""Published checkpoints in all their forms, and files that are refused."""

from __future__ import annotations

import argparse
import os
import pickle
import tarfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from folded_networks import folded, trained_network
from omnireid.core.errors import UnknownNameError, UnsafeWeightsError, WeightsError
from omnireid.core.files import sha256_file
from omnireid.models import convert
from omnireid.models.cards import model_card
from omnireid.models.classifier import IdentityClassifier
from omnireid.models.convert import convert_checkpoint
from omnireid.models.osnet_config import ARCHITECTURES
from omnireid.models.registry import build_model
from omnireid.models.weights import save_weights

EXECUTED: list[str] = []


def note_execution(what: str) -> str:
    """Called by a hostile pickle, if anything is."""
    EXECUTED.append(what)
    return what


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return note_execution, ("a pickled call",)


class HostileByName:
    """Asks for os.system, which pickle writes as posix.system or nt.system."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


@pytest.fixture(scope="module")
def published() -> dict[str, torch.Tensor]:
    return IdentityClassifier(build_model("osnet_x0_25"), num_classes=13).published_state_dict()


def _without_classifier(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key: value for key, value in state.items() if not key.startswith("classifier")}


def _engine_checkpoint(state: dict[str, torch.Tensor]) -> dict[str, Any]:
    """What torchreid's engine writes after an epoch, with its NumPy rank-1, optimiser and schedule."""
    parameter = torch.nn.Parameter(torch.ones(3))
    optimiser = torch.optim.Adam([parameter], amsgrad=True)
    parameter.sum().backward()
    optimiser.step()
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, milestones=[20, 40])
    return {
        "state_dict": OrderedDict(state),
        "epoch": 3,
        "rank1": np.float64(0.5),
        "optimizer": optimiser.state_dict(),
        "scheduler": schedule.state_dict(),
    }


FORMS = {
    "bare": lambda state: OrderedDict(state),
    "nested": lambda state: {"state_dict": state, "epoch": 5},
    "module prefix": lambda state: {f"module.{key}": value for key, value in state.items()},
    "nested with prefix": lambda state: {"state_dict": {f"module.{k}": v for k, v in state.items()}},
    "engine": _engine_checkpoint,
    "float32 rank-1": lambda state: {"state_dict": state, "rank1": np.float32(0.5), "epoch": np.int64(7)},
    "no classifier": _without_classifier,
    "before counters": lambda state: {k: v for k, v in state.items() if "num_batches" not in k},
    "int8 epoch": lambda state: {"state_dict": state, "epoch": np.int8(6), "step": np.uint8(7)},
    "CMC curve beside": lambda state: {
        "state_dict": state,
        "cmc": np.arange(5.0),
        "pids": np.arange(4, dtype=np.uint16).reshape(2, 2),
        "names": np.array(["ann", "bob"]),
    },
    "arrays": lambda state: {key: value.numpy() for key, value in state.items()},
    "arrays of other kinds": lambda state: {
        "net": {
            key: value.numpy().astype(">f4" if value.is_floating_point() else ">i8")
            for key, value in state.items()
        },
        "wide": np.ones(3, np.longdouble),
        "unsigned": np.ones(3, np.uint64),
    },
    "options beside": lambda state: {
        "args": argparse.Namespace(lr=0.1, root=Path("data")),
        "net": state,
    },
    **{
        f"under {name}": lambda state, name=name: {name: state, "epoch": 3}
        for name in ("model", "model_state_dict", "net", "params", "network", "ema", "anything else")
    },
    "nested twice": lambda state: {"state": {"model": state, "optimizer": {"state": {}, "param_groups": []}}},
    "in a tuple": lambda state: (state, {"optimiser": torch.zeros(3)}, 7),
    "in a list": lambda state: [{"epoch": 1}, OrderedDict(state)],
    "compiled": lambda state: _prefixed("_orig_mod.", state),
    "DataParallel, compiled": lambda state: _prefixed("module._orig_mod.", state),
    "Lightning": lambda state: {
        "pytorch-lightning_version": "2.1",
        "state_dict": {**_prefixed("model.backbone.", state), "criterion.centers": torch.zeros(3, 4)},
        "hyper_parameters": {"lr": 0.1},
    },
    "averaged": lambda state: {**_prefixed("module.", state), "n_averaged": torch.tensor(5)},
    "classifier beside": lambda state: {
        **_prefixed("backbone.", _without_classifier(state)),
        "classifier.weight": torch.zeros(13, 512),
        "classifier.bias": torch.zeros(13),
    },
    "twice the same": lambda state: {"model": state, "best": dict(state)},
}


def _prefixed(prefix: str, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {prefix + key: value for key, value in state.items()}


IN_BOTH_FORMATS = ("bare", "engine", "module prefix", "CMC curve beside", "options beside")


@pytest.mark.parametrize(
    ("form", "old_format"),
    [(form, False) for form in FORMS] + [(form, True) for form in IN_BOTH_FORMATS],
)
def test_every_form_gives_the_same_weights(
    form: str, old_format: bool, published: dict[str, torch.Tensor], tmp_path: Path
):
    path = tmp_path / "model.pth.tar-3"
    torch.save(FORMS[form](published), path, _use_new_zipfile_serialization=not old_format)
    state, card = convert_checkpoint(path)
    build_model("osnet_x0_25").load_state_dict(state)
    for key, value in _without_classifier(published).items():
        assert torch.equal(state[key], value), key
    assert card.architecture == "osnet_x0_25"
    assert card.training_pids == (None if form == "no classifier" else 13)
    assert card.sha256 == sha256_file(path)
    assert card.metrics == ()
    assert card.licence == card.training_data == "unknown"


def test_what_was_left_out_or_lay_deeper_stands_on_the_card(
    published: dict[str, torch.Tensor], tmp_path: Path
):
    path = tmp_path / "model.ckpt"
    torch.save(FORMS["Lightning"](published), path)
    _, card = convert_checkpoint(path)
    assert card.name == "model"
    assert "under 'state_dict.model.backbone'" in card.notes
    assert "Left out, as no part of an OSNet: criterion.centers." in card.notes


def test_of_several_networks_one_is_named(published: dict[str, torch.Tensor], tmp_path: Path):
    path = tmp_path / "model.pth"
    averaged = {key: value * 2 for key, value in published.items()}
    torch.save({"model": published, "ema": {"module": averaged}, "epoch": 3}, path)
    with pytest.raises(WeightsError, match=r"2 networks, under 'model', 'ema\.module'.*--key model"):
        convert_checkpoint(path)
    with pytest.raises(WeightsError, match=r"no network under 'teacher'; there is one under 'model', 'ema"):
        convert_checkpoint(path, key="teacher")
    state, _ = convert_checkpoint(path, key="ema.module")
    assert torch.equal(state["fc.0.bias"], averaged["fc.0.bias"])
    torch.save({"model": published, "ema": {key: value.half() for key, value in published.items()}}, path)
    with pytest.raises(WeightsError, match="2 networks"):
        convert_checkpoint(path)
    # Student and teacher in one state dict.
    torch.save({**_prefixed("student.", published), **_prefixed("teacher.", averaged)}, path)
    state, _ = convert_checkpoint(path, key="student")
    assert torch.equal(state["fc.0.bias"], published["fc.0.bias"])


def test_safetensors_that_others_wrote(published: dict[str, torch.Tensor], tmp_path: Path):
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file(_prefixed("model.", published), path, metadata={"format": "pt"})
    state, card = convert_checkpoint(path)
    assert torch.equal(state["fc.0.bias"], published["fc.0.bias"])
    assert (card.name, card.training_pids) == ("model", 13)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(WeightsError, match="damaged or truncated"):
        convert_checkpoint(path)
    save_weights(path, build_model("osnet_x0_25"), model_card("osnet_x0_25"))
    with pytest.raises(WeightsError, match="has its card already"):
        convert_checkpoint(path)


def test_an_osnet_of_another_library_is_refused_with_the_reason(
    published: dict[str, torch.Tensor], tmp_path: Path
):
    path = tmp_path / "model_best.pth"
    backbone = {key: value for key, value in published.items() if not key.startswith(("fc.", "classifier."))}
    heads = {"heads.bottleneck.0.weight": torch.ones(128), "pixel_mean": torch.ones(1, 3, 1, 1)}
    torch.save({"model": {**_prefixed("backbone.", backbone), **heads}, "iteration": 7}, path)
    with pytest.raises(WeightsError, match=r"without the layer behind its pooling \(fc\), as fast-reid"):
        convert_checkpoint(path)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda value: torch.quantize_per_tensor(value, 0.1, 0, torch.qint8), "qint8"),
        (lambda value: value.to(torch.int8), "int8"),
        (lambda value: value.to_sparse(), "float32"),
        (lambda value: value.to("meta"), "no values"),
    ],
    ids=["quantised", "int8", "sparse", "meta"],
)
@pytest.mark.filterwarnings("ignore")
def test_weights_of_other_kinds_are_named(
    change: Any, named: str, published: dict[str, torch.Tensor], tmp_path: Path
):
    path = tmp_path / "model.pth"
    torch.save({**published, "fc.0.weight": change(published["fc.0.weight"])}, path)
    with pytest.raises(WeightsError, match=rf"fc\.0\.weight holds {named}, where floating-point"):
        convert_checkpoint(path)


def test_a_cycle_in_a_checkpoint_ends(published: dict[str, torch.Tensor], tmp_path: Path):
    path = tmp_path / "model.pth"
    content: dict[str, Any] = {"state_dict": published}
    content["self"] = content
    torch.save(content, path)
    assert convert_checkpoint(path)[1].architecture == "osnet_x0_25"


class Asking:
    """Pickles as a call of anything, with state to give it."""

    def __init__(self, *reduced: Any) -> None:
        self.reduced = reduced

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced


RECONSTRUCT = np.arange(2).__reduce__()[0]


@pytest.mark.parametrize(
    "asking",
    [
        # NumPy takes these bytes for a pointer to an object.
        Asking(np.ndarray, ((1,), np.dtype("O"), b"12345678")),
        Asking(np.ndarray, ((1,), np.dtype([("a", "O")]), b"12345678")),
        np.array([1, "a", None], dtype=object),
        np.array([(1, None)], dtype=[("a", "i4"), ("b", "O")]),
        Asking(RECONSTRUCT, (np.ndarray, (0,), b"b"), (1, (1,), np.dtype("O"), False, b"1" * 8)),
        Asking(np.float64(1).__reduce__()[0], (np.dtype("O"), b"12345678")),
    ],
    ids=["ndarray", "structured ndarray", "objects", "structure", "state", "scalar"],
)
def test_arrays_of_anything_but_numbers_and_texts_are_refused(
    asking: object, published: dict[str, torch.Tensor], tmp_path: Path
):
    path = tmp_path / "model.pth"
    torch.save({"state_dict": published, "x": asking}, path)
    with pytest.raises(UnsafeWeightsError, match="numpy"):
        convert_checkpoint(path)


def test_an_array_of_objects_with_code_is_refused_and_not_run(
    published: dict[str, torch.Tensor], tmp_path: Path
):
    path = tmp_path / "model.pth"
    torch.save({"state_dict": published, "x": np.array([Hostile()], dtype=object)}, path)
    EXECUTED.clear()
    with pytest.raises(UnsafeWeightsError, match="note_execution"):
        convert_checkpoint(path)
    assert EXECUTED == []


@pytest.mark.parametrize("name", ["shape", "content"])
def test_arrays_that_do_not_fit_their_shape_are_damaged(
    name: str, published: dict[str, torch.Tensor], tmp_path: Path
):
    state = [1, (4,), np.dtype("f8"), False, b"1" * 32]
    state[{"shape": 1, "content": 4}[name]] = {"shape": (10**12,), "content": b"1" * 7}[name]
    path = tmp_path / "model.pth"
    asking = Asking(RECONSTRUCT, (np.ndarray, (0,), b"b"), tuple(state))
    torch.save({"state_dict": published, "x": asking}, path)
    with pytest.raises(WeightsError, match="damaged"):
        convert_checkpoint(path)


def test_what_is_read_from_arrays_is_what_was_written():
    for values in (
        np.arange(6, dtype=np.int8).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array(5, dtype=">i8"),
        np.zeros((0, 3), np.float32),
        np.array([True, False]),
    ):
        function, _, state = values.__reduce__()
        assert function.__name__ == "_reconstruct"
        dtype = convert._DType(*state[2].__reduce__()[1])
        dtype.__setstate__(state[2].__reduce__()[2])
        array = convert._empty_array()
        array.__setstate__((*state[:2], dtype, *state[3:]))
        np.testing.assert_array_equal(array.values, values)
        assert array.values.dtype == values.dtype


def test_folded_norms_stand_on_the_card(tmp_path: Path):
    network = folded(trained_network("osnet_x0_25", torch.randn(6, 3, 32, 16)))
    torch.save(network.state_dict(), tmp_path / "folded.pth")
    assert "80 batch norms are folded" in convert_checkpoint(tmp_path / "folded.pth")[1].notes


def test_a_rank_1_that_numpy_1_wrote(published: dict[str, torch.Tensor], tmp_path: Path):
    """NumPy before 2.0 names the same function numpy.core.multiarray.scalar."""
    path = tmp_path / "model.pth.tar-3"
    torch.save(_engine_checkpoint(published), path, _use_new_zipfile_serialization=False)
    written = path.read_bytes()
    assert written.count(b"numpy._core.multiarray") == 1
    path.write_bytes(written.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    state, _ = convert_checkpoint(path)
    assert torch.equal(state["fc.0.weight"], published["fc.0.weight"])


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_architecture_is_inferred(name: str, tmp_path: Path):
    path = tmp_path / "weights.pth"
    torch.save(build_model(name).state_dict(), path)
    state, card = convert_checkpoint(path)
    assert card.architecture == name
    assert card.name == "weights"
    assert list(state) == list(build_model(name).state_dict())
    convert_checkpoint(path, name)


def test_a_stated_architecture_is_checked(published: dict[str, torch.Tensor], tmp_path: Path):
    path = tmp_path / "weights.pth"
    torch.save(published, path)
    with pytest.raises(WeightsError, match=r"looks like osnet_x0_25, osnet_x0_5 was asked for.*wrong shape"):
        convert_checkpoint(path, "osnet_x0_5")
    with pytest.raises(UnknownNameError, match="did you mean 'osnet_x0_5'"):
        convert_checkpoint(path, "osnet_x05")


def test_a_published_file_gets_its_published_card(
    published: dict[str, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "renamed.pth"
    torch.save(published, path)
    known = model_card("osnet_x0_25_msmt17_combineall").model_copy(update={"sha256": sha256_file(path)})
    monkeypatch.setattr(convert, "model_card", lambda name: known if name == known.name else model_card(name))
    assert convert_checkpoint(path)[1] == known


def test_half_precision_becomes_float32(published: dict[str, torch.Tensor], tmp_path: Path):
    path = tmp_path / "half.pth"
    halved = {k: v.half() if v.is_floating_point() else v for k, v in published.items()}
    torch.save(halved, path)
    state, _ = convert_checkpoint(path)
    assert state["conv1.conv.weight"].dtype == torch.float32
    assert state["conv1.bn.num_batches_tracked"].dtype == torch.int64


def test_wrong_keys_and_shapes_are_named(published: dict[str, torch.Tensor], tmp_path: Path):
    path = tmp_path / "weights.pth"
    damaged = dict(published)
    del damaged["conv3.0.gate.fc1.weight"]
    damaged["conv9.weight"] = torch.zeros(2)
    damaged["fc.0.bias"] = torch.zeros(9)
    torch.save(damaged, path)
    with pytest.raises(WeightsError) as error:
        convert_checkpoint(path)
    for named in ("missing: conv3.0.gate.fc1.weight", "unexpected: conv9.weight", r"fc.0.bias (9,)"):
        assert named in str(error.value)

    torch.save({**published, "fc.0.bias": torch.full((512,), torch.nan)}, path)
    with pytest.raises(WeightsError, match=r"fc.0.bias holds NaN"):
        convert_checkpoint(path)


@pytest.mark.parametrize("old_format", [False, True])
def test_code_in_a_checkpoint_is_refused_and_not_run(
    old_format: bool, published: dict[str, torch.Tensor], tmp_path: Path
):
    EXECUTED.clear()
    path = tmp_path / "hostile.pth"
    torch.save({"state_dict": published, "x": Hostile()}, path, _use_new_zipfile_serialization=not old_format)
    with pytest.raises(UnsafeWeightsError, match="note_execution"):
        convert_checkpoint(path)
    assert EXECUTED == []
    torch.load(path, weights_only=False)
    assert EXECUTED == ["a pickled call"], "the file must be one that does run code when it is unpickled"


def test_a_system_command_is_refused_and_not_run(tmp_path: Path):
    trace = tmp_path / "trace"
    path = tmp_path / "hostile.pth"
    torch.save({"state_dict": {}, "x": HostileByName(f"touch {trace}")}, path)
    with pytest.raises(UnsafeWeightsError, match=r"(posix|nt)\.system"):
        convert_checkpoint(path)
    assert not trace.exists()


def test_a_whole_pickled_network_is_refused(tmp_path: Path):
    path = tmp_path / "network.pt"
    torch.save(build_model("osnet_x0_25"), path)
    with pytest.raises(UnsafeWeightsError, match=r"omnireid\.models\.osnet\.OSNet"):
        convert_checkpoint(path)


def test_torchscript_is_refused_with_the_reason(tmp_path: Path):
    path = tmp_path / "scripted.pt"
    with pytest.warns(DeprecationWarning, match="torch.jit"):
        torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)), path)
    with pytest.raises(UnsafeWeightsError, match="TorchScript archive"):
        convert_checkpoint(path)


def test_a_plain_pickle_is_refused(tmp_path: Path):
    EXECUTED.clear()
    path = tmp_path / "plain.pth"
    for protocol in (2, 4):
        path.write_bytes(pickle.dumps(Hostile(), protocol=protocol))
        with pytest.raises(WeightsError):
            convert_checkpoint(path)
    assert EXECUTED == []


def test_files_that_are_no_checkpoint(published: dict[str, torch.Tensor], tmp_path: Path):
    path = tmp_path / "weights.pth"
    with pytest.raises(WeightsError, match="no such file"):
        convert_checkpoint(path)
    with pytest.raises(WeightsError, match="a folder"):
        convert_checkpoint(tmp_path)
    path.write_bytes(b"")
    with pytest.raises(WeightsError, match="empty"):
        convert_checkpoint(path)
    for content in (b"hello world" * 100, b"PK\x03\x04nothing", b"\x80\x02", os.urandom(1000)):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match="not a PyTorch checkpoint"):
            convert_checkpoint(path)
    for old_format in (False, True):
        torch.save(published, path, _use_new_zipfile_serialization=not old_format)
        whole = path.read_bytes()
        for part in (0.1, 0.5, 0.99):
            path.write_bytes(whole[: int(len(whole) * part)])
            with pytest.raises(WeightsError, match=r"truncated|damaged"):
                convert_checkpoint(path)
    with tarfile.open(path, "w") as archive:
        archive.add(__file__, "storages")
    with pytest.raises(UnsafeWeightsError, match="tar checkpoint"):
        convert_checkpoint(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "no weights inside, but list"),
        ({}, "no weights inside"),
        ({"model": {"a": torch.ones(1)}, "epoch": 3}, r"not a checkpoint of a known OSNet.*model\.a"),
        (
            {"state_dict": {"layer1.weight": torch.ones(1)}},
            "not a checkpoint of a known OSNet.*layer1.weight",
        ),
    ],
)
def test_other_contents_are_named(content: object, message: str, tmp_path: Path):
    path = tmp_path / "weights.pth"
    torch.save(content, path)
    with pytest.raises(WeightsError, match=message):
        convert_checkpoint(path)


def test_nothing_stays_allowed_after_a_conversion(published: dict[str, torch.Tensor], tmp_path: Path):
    path = tmp_path / "engine.pth.tar"
    torch.save(_engine_checkpoint(published), path)
    before = set(torch.serialization.get_safe_globals())
    convert_checkpoint(path)
    assert set(torch.serialization.get_safe_globals()) == before
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    with torch.serialization.safe_globals([np.dtype]):
        convert_checkpoint(path)
        assert np.dtype in torch.serialization.get_safe_globals()
