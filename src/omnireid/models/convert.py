"""Weights that others wrote, as state dicts with a card: PyTorch checkpoints, safetensors, ONNX files.

A checkpoint is a pickle, and a pickle is a program. It is read with `torch.load(weights_only=True)`, which
knows tensors and plain containers only and runs nothing. What is allowed besides holds values and nothing
else: NumPy scalars and arrays of numbers and texts (torchreid stores the rank-1 of an epoch as one), which
are built here and not by NumPy; paths and argparse's namespaces, which are ignored.
"""

from __future__ import annotations

import os
import pickle
import re
import tarfile
import threading
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from omnireid.core.card import ModelCard
from omnireid.core.errors import UnsafeWeightsError, WeightsError
from omnireid.core.files import sha256_file
from omnireid.models.batch_norms import folded_note
from omnireid.models.cards import list_models, model_card
from omnireid.models.family import NetworkFamily
from omnireid.models.network import Network
from omnireid.models.registry import FAMILIES, architecture_config, blank_network
from omnireid.models.run_checkpoint import is_run_checkpoint
from omnireid.models.state_dict import check_state_dict, name_some
from omnireid.models.weight_file import has_card
from omnireid.models.weight_header import require_file
from omnireid.models.weights import load_weights

_COUNTER = "num_batches_tracked"

# torch's list of allowed names belongs to the process: two threads must not change it at once.
_READING = threading.Lock()


def read_network(
    path: str | os.PathLike[str], architecture: str | None = None, *, key: str | None = None
) -> tuple[Network, ModelCard]:
    """Read a network in any form: our weights, a run's checkpoint, or what `read_foreign` reads.

    Args, returns and errors as `read_foreign`.
    """
    if not (has_card(path) or is_run_checkpoint(path)):
        return read_foreign(path, architecture, key=key)
    network, card = load_weights(path)
    if architecture not in (None, card.architecture):
        raise WeightsError(f"{path}: holds {card.architecture}, {architecture} was asked for")
    if key is not None:
        raise WeightsError(f"{path}: holds one network; leave the key {key!r} out")
    return network, card


def read_foreign(
    path: str | os.PathLike[str], architecture: str | None = None, *, key: str | None = None
) -> tuple[Network, ModelCard]:
    """Read the network of a checkpoint, of safetensors without our card, or of an ONNX file (by its suffix).

    Args and errors as `convert_checkpoint` and `import_onnx`.

    Returns:
        The network in evaluation mode on the CPU, and its card.
    """
    if Path(path).suffix == ".onnx":
        from omnireid.models.onnx_import import import_onnx

        if key is not None:
            raise WeightsError(f"{path}: an ONNX file holds one network; leave the key {key!r} out")
        state, card = import_onnx(path, architecture)
    else:
        state, card = convert_checkpoint(path, architecture, key=key)
    network = blank_network(architecture_config(card.architecture))
    network.load_state_dict(state)
    return network.eval(), card


def convert_checkpoint(
    path: str | os.PathLike[str], architecture: str | None = None, *, key: str | None = None
) -> tuple[dict[str, Tensor], ModelCard]:
    """Read a checkpoint, or safetensors that somebody else wrote.

    The state dict may lie bare or in any depth of dicts and lists ("state_dict", "model", "ema", …), and its
    keys may have any prefix ("module.", "_orig_mod.", "backbone.", …): the network is found by its keys.
    What lies beside it is left out and named on the card. Its classifier may have any size: it is dropped,
    and the card states its number of classes. Counters of batches, which old checkpoints lack, are zero.

    Args:
        path: the file.
        architecture: what it must be; None infers it from keys and shapes.
        key: which of several networks in the file, as the error names them.

    Returns:
        The backbone's state dict (float32), which fits `build_model(card.architecture)` exactly, and a card:
        the published one where the file's hash is known, else one that says what is not known.

    Raises:
        UnsafeWeightsError: the file could only be read by executing code in it; names what it asked for.
        WeightsError: missing, damaged, no checkpoint, no network of a known family, several of them, or not
            of the stated architecture.
        UnknownNameError: `architecture` is not known.
    """
    require_file(path)
    source = Path(path)
    choice = _choose(_networks(_content(source), source), key, source)
    dropped = choice.classifier_keys()
    backbone = {key: value for key, value in choice.state.items() if key not in dropped}
    inferred = _infer_architecture(choice.family, backbone, source)
    name = architecture or inferred
    network = blank_network(architecture_config(name))
    expected = network.state_dict()
    for counter in (key for key in expected if key.endswith(_COUNTER)):
        # No embedding depends on them, and torch before 0.4.1 did not count.
        backbone.setdefault(counter, torch.tensor(0))
    where = str(source) if name == inferred else f"{source} (it looks like {inferred}, {name} was asked for)"
    check_state_dict(expected, backbone, source=where)
    values = {key: _plain_values(key, backbone[key], source) for key in expected}
    network.load_state_dict(values)
    return values, _card(source, name, choice, folded_note(network))


def _content(source: Path) -> Any:
    with source.open("rb") as stream:
        start = stream.read(9)
    if start[8:] != b"{":
        return _load_safely(source)
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if has_card(source):
        raise WeightsError(f"{source}: has its card already; use it as it is")
    try:
        return load_file(source)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{source}: damaged or truncated ({error})") from error


def _load_safely(source: Path) -> Any:
    try:
        with _READING, _harmless_values(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of archives and protocols that are refused below.
            return torch.load(source, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        wanted = _wanted_global(str(error))
        if wanted is not None:
            raise UnsafeWeightsError(
                f"{source}: refused, because reading it would run code: it asks for {wanted}. "
                "Ask for a file that holds the state dict only: torch.save(model.state_dict(), ...)"
            ) from error
        raise WeightsError(f"{source}: damaged, or not a PyTorch checkpoint") from error
    except Exception as error:  # torch raises many types on damaged files and on archives with programs.
        kind = _archive_of_code(source)
        if kind is not None:
            raise UnsafeWeightsError(
                f"{source}: refused, because {kind}. Save the state dict of the network instead: "
                "torch.save(model.state_dict(), ...)"
            ) from error
        raise WeightsError(f"{source}: damaged, truncated or not a PyTorch checkpoint") from error


class _Ignored:
    """In the place of what is not needed: takes anything, keeps nothing."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


class _DType:
    """In the place of NumPy's dtype: of numbers and texts only."""

    def __init__(self, code: object, *_: object) -> None:
        self._code = code
        self._order: object = "="

    def __setstate__(self, state: tuple[object, ...]) -> None:
        self._order = state[1]

    def resolve(self) -> np.dtype[Any]:
        text = f"{self._order}{self._code}"
        if not re.fullmatch(r"[<>=|][biufcSU]\d{1,9}", text, flags=re.ASCII):
            raise pickle.UnpicklingError(f"GLOBAL numpy.dtype({text!r})")
        return np.dtype(text)


class _Array:
    """In the place of NumPy's array, whose own constructor takes any bytes for pointers to objects."""

    values: np.ndarray[Any, Any] = np.zeros(0)

    def __init__(self, *arguments: object) -> None:
        if arguments:
            raise pickle.UnpicklingError("GLOBAL numpy.ndarray")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, is_fortran, content = state
        if not isinstance(dtype, _DType) or not isinstance(content, bytes):
            raise pickle.UnpicklingError("GLOBAL numpy.ndarray")
        values = np.frombuffer(content, dtype.resolve()) if content else np.zeros(0, dtype.resolve())
        self.values = values.reshape(shape, order="F" if is_fortran else "C")


def _empty_array(*_: object) -> _Array:
    return _Array()


def _scalar(dtype: object, content: object) -> Any:
    if not isinstance(dtype, _DType) or not isinstance(content, bytes):
        raise pickle.UnpicklingError("GLOBAL numpy.scalar")
    (value,) = np.frombuffer(content, dtype.resolve())
    return value


_IN_PLACE_OF: dict[str, Callable[..., Any]] = {
    "numpy.dtype": _DType,
    "numpy.ndarray": _Array,
    # NumPy before 2.0 wrote the same functions without the underscore.
    **{f"numpy.{core}.multiarray._reconstruct": _empty_array for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": _scalar for core in ("core", "_core")},
    "argparse.Namespace": _Ignored,
    "types.SimpleNamespace": _Ignored,
    **{
        f"{module}.{system}Path": _Ignored
        for module in ("pathlib", "pathlib._local")
        for system in ("Posix", "Windows", "PurePosix", "PureWindows")
    },
}
"""What a checkpoint may ask for besides torch's own, and what it gets: nothing of NumPy's is called by it."""


@contextmanager
def _harmless_values() -> Iterator[None]:
    """Allow just `_IN_PLACE_OF` while the block lasts, and after it what others had allowed before."""
    already = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals([(what, name) for name, what in _IN_PLACE_OF.items()])
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(already)


def _wanted_global(message: str) -> str | None:
    """What the pickle asked for, from torch's message."""
    match = re.search(r"GLOBAL (\S+)|function (\S+)|but got <class '(\S+)'>", message)
    return next(filter(None, match.groups())) if match else None


def _archive_of_code(source: Path) -> str | None:
    if zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            if any(name.endswith("/constants.pkl") for name in archive.namelist()):
                return "it is a TorchScript archive, a program with weights"
    elif tarfile.is_tarfile(source):
        return "it is a tar checkpoint of PyTorch before 0.1.10, which cannot be read without running it"
    return None


@dataclass(frozen=True)
class _Found:
    """A network in a file: its family, how its keys are reached, what it holds, and the keys beside it."""

    family: NetworkFamily
    key: str
    state: dict[str, Tensor]
    beside: dict[str, Tensor]

    def classifier_keys(self) -> set[str]:
        """Keys that the classifier of the training identities has, in the network or beside it."""
        linear = {f"{name}.{part}" for name in self.family.classifier for part in ("weight", "bias")}
        keys = {**self.state, **self.beside}
        return {key for key in keys if any(f".{key}".endswith(f".{name}") for name in linear)}

    def same_as(self, other: _Found) -> bool:
        return self.state.keys() == other.state.keys() and all(
            _is_equal(value, other.state[key]) for key, value in self.state.items()
        )


def _networks(content: Any, source: Path) -> list[_Found]:
    """Every network of a known family in what a file holds, each once."""
    networks: list[_Found] = []
    keys: list[str] = []
    # Once: an optimiser's state is hundreds of dicts, and entry points are read from the disk.
    families = tuple(FAMILIES.specs())
    for where, tensors in _dicts_of_tensors(content, (), set()):
        keys += [".".join((*where, key)) for key in tensors]
        for family, prefix in _beginnings(families, tensors):
            state = {key.removeprefix(prefix): tensors[key] for key in tensors if key.startswith(prefix)}
            beside = {key: value for key, value in tensors.items() if not key.startswith(prefix)}
            network = _Found(family, ".".join((*where, prefix)).strip("."), state, beside)
            if not any(network.same_as(other) for other in networks):
                networks.append(network)
    if not keys:
        raise WeightsError(f"{source}: no weights inside, but {type(content).__name__}")
    if not networks:
        raise WeightsError(f"{source}: {_unknown_network(keys)}")
    return networks


def _beginnings(
    families: Iterable[NetworkFamily], tensors: Mapping[str, Tensor]
) -> Iterator[tuple[NetworkFamily, str]]:
    """The family of each network that is there, and what stands before all of its keys."""
    for family in families:
        landmark = family.landmark
        if landmark is not None:
            prefixes = (key.removesuffix(landmark) for key in tensors if key.endswith(landmark))
            yield from ((family, prefix) for prefix in prefixes if not prefix or prefix.endswith("."))


def _unknown_network(keys: Iterable[str]) -> str:
    families = " or ".join(family.title.partition(" ")[2] for family in FAMILIES.specs())
    return f"not a checkpoint of a known {families} (its keys: {name_some(keys)})"


def _dicts_of_tensors(
    content: Any, where: tuple[str, ...], seen: set[int]
) -> Iterator[tuple[tuple[str, ...], dict[str, Tensor]]]:
    """Every dict with tensors, or arrays of numbers, in nested dicts, lists and tuples."""
    if not isinstance(content, Mapping | list | tuple) or id(content) in seen:
        return
    seen.add(id(content))
    items = content.items() if isinstance(content, Mapping) else enumerate(content)
    inside = [(str(key), value) for key, value in items]
    if isinstance(content, Mapping):
        tensors = {key: tensor for key, value in inside if (tensor := _tensor(value)) is not None}
        if tensors:
            yield where, tensors
    for key, value in inside:
        yield from _dicts_of_tensors(value, (*where, key), seen)


def _tensor(value: Any) -> Tensor | None:
    if isinstance(value, _Array) and value.values.dtype.kind in "fiu":
        # Whatever byte order or width it has, which torch may not know.
        return torch.from_numpy(
            value.values.astype(np.float64 if value.values.dtype.kind == "f" else np.int64)
        )
    return value if isinstance(value, Tensor) else None


def _is_equal(first: Tensor, second: Tensor) -> bool:
    if first is second:
        return True
    kinds = {(value.dtype, value.shape, value.layout, value.is_meta) for value in (first, second)}
    return kinds == {(first.dtype, first.shape, torch.strided, False)} and torch.equal(first, second)


def _choose(networks: list[_Found], key: str | None, source: Path) -> _Found:
    chosen = networks if key is None else [network for network in networks if network.key == key]
    if len(chosen) == 1:
        return chosen[0]
    names = ", ".join(repr(network.key) for network in networks)
    if key is not None:
        raise WeightsError(f"{source}: no network under {key!r}; there is one under {names}")
    raise WeightsError(
        f"{source}: {len(networks)} networks, under {names}; say which: omnireid models convert {source} "
        f"--key {networks[0].key} --out …"
    )


def _infer_architecture(family: NetworkFamily, backbone: Mapping[str, Tensor], source: Path) -> str:
    """The architecture, by its family; the caller checks everything else."""
    try:
        name = family.recognise({key: tuple(value.shape) for key, value in backbone.items()})
    except WeightsError as error:
        raise WeightsError(f"{source}: {error}") from error
    if name is None:
        raise WeightsError(f"{source}: {_unknown_network(backbone)}")
    return name


def _plain_values(key: str, value: Tensor, source: Path) -> Tensor:
    if key.endswith(_COUNTER):
        return value.long()
    if value.is_meta or value.layout is not torch.strided or not value.is_floating_point():
        kind = "no values" if value.is_meta else str(value.dtype).removeprefix("torch.")
        raise WeightsError(f"{source}: {key} holds {kind}, where floating-point weights are expected")
    if not torch.isfinite(value).all():
        raise WeightsError(f"{source}: damaged: {key} holds NaN or infinity")
    return value.detach().to(torch.float32, copy=True).contiguous()


def _card(source: Path, architecture: str, network: _Found, folded: list[str]) -> ModelCard:
    sha256 = sha256_file(source)
    for name in list_models():
        if model_card(name).sha256 == sha256:
            return model_card(name)
    notes = [f"Converted from {source.name}; nothing but its weights is known."]
    if network.key:
        notes.append(f"They lay under {network.key!r}.")
    # A wrapper's classifier may stand beside its backbone.
    dropped = network.classifier_keys()
    classifiers = [
        value
        for key, value in {**network.state, **network.beside}.items()
        if key in dropped and value.ndim == 2
    ]
    num_classes = len(classifiers[0]) if len(classifiers) == 1 else None
    if num_classes is not None:
        notes.append(f"A classifier of {num_classes} classes was dropped.")
    others = [key for key in network.beside if key not in dropped]
    if others:
        notes.append(f"Left out, as no part of {network.family.title}: {name_some(others)}.")
    return model_card(architecture).model_copy(
        update={
            "name": re.sub(r"\.(pth|pt|ckpt|bin|safetensors)\b.*$", "", source.name),
            "licence": "unknown",
            "origin": source.name,
            "training_data": "unknown",
            "training_pids": num_classes,
            "sha256": sha256,
            "notes": " ".join([*notes, *folded]),
        }
    )
