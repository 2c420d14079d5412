"""Saving and loading weights: safetensors with the model card inside, strictly."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from omnireid.core.card import ModelCard
from omnireid.core.errors import WeightsError
from omnireid.core.files import write_bytes
from omnireid.models.classifier import IdentityClassifier
from omnireid.models.network import Network
from omnireid.models.registry import blank_network
from omnireid.models.run_checkpoint import is_run_checkpoint, read_run_weights
from omnireid.models.state_dict import check_state_dict, name_some
from omnireid.models.weight_file import read_header
from omnireid.models.weight_header import WeightHeader, arrays_sha256


def save_weights(
    path: str | os.PathLike[str],
    model: Network | IdentityClassifier,
    card: ModelCard,
    *,
    half: bool = False,
    ranges: dict[str, tuple[list[float], list[float]]] | None = None,
) -> None:
    """Write the network's weights with their card, atomically. The same input gives the same bytes.

    A training wrapper's classifier is left out: embeddings do not need it.

    Args:
        half: store matrices and kernels in float16, which makes the file half as large; vectors (biases and
            the statistics of batch norms, some of which float16 cannot hold) stay float32. The network
            computes in float32 either way.
        ranges: of the network's maps, see `WeightHeader`.

    Raises:
        WeightsError: the card states another embedding size than the network has, or a weight is too large
            for float16.
        StorageError: the file cannot be written.
    """
    from safetensors.torch import save

    network = model.backbone if isinstance(model, IdentityClassifier) else model
    if card.embedding_size != network.config.embedding_size:
        raise WeightsError(
            f"card {card.name!r} states embeddings of size {card.embedding_size}, "
            f"the network gives {network.config.embedding_size}"
        )
    state = _stored(network, half)
    for key, value in state.items() if half else ():
        if not bool(torch.isfinite(value).all()):
            raise WeightsError(f"{path}: {key} holds values that float16 cannot; store float32")
    num_parameters = sum(parameter.numel() for parameter in network.parameters())
    header = WeightHeader(
        card=card.model_copy(update={"num_parameters": num_parameters}),
        config=network.config,
        tensors_sha256=tensors_sha256(state),
        ranges=ranges,
    )
    write_bytes(path, save(state, metadata=header.to_metadata()))


def load_weights(path: str | os.PathLike[str]) -> tuple[Network, ModelCard]:
    """Build the network a weight file belongs to and give it these weights, in evaluation mode on the CPU.

    Args:
        path: safetensors with a card, or the checkpoint of a training run.

    Raises:
        WeightsError: missing, truncated, damaged or another kind of file; no card; keys or shapes that do not
            fit the network (they are named).
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if is_run_checkpoint(path):
        header, state = read_run_weights(path)
    else:
        header = read_header(path)
        try:
            state = load_file(path)
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"{path}: damaged or truncated ({error})") from error
    network = blank_network(header.config)
    check_state_dict(network.state_dict(), state, source=str(path))
    if tensors_sha256(state) != header.tensors_sha256:
        raise WeightsError(f"{path}: damaged: the weights do not have the hash that the file states")
    network.load_state_dict(state)  # float16 becomes the network's float32
    return network.eval(), header.card


def holds_weights(path: str | os.PathLike[str], network: Network, *, half: bool = False) -> bool:
    """Whether a weight file holds just these weights, as `save_weights` writes them."""
    try:
        return read_header(path).tensors_sha256 == tensors_sha256(_stored(network, half))
    except WeightsError:
        return False


def _stored(network: Network, half: bool) -> dict[str, Tensor]:
    state = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    return {key: value.half() if half and value.ndim > 1 else value for key, value in state.items()}


def tensors_sha256(state: Mapping[str, Tensor]) -> str:
    """`arrays_sha256` of tensors."""
    return arrays_sha256({key: tensor.detach().cpu().numpy() for key, tensor in state.items()})


@dataclass(frozen=True)
class Initialisation:
    """What `initialise_from` did.

    Attributes:
        loaded: keys that took the given values.
        kept: keys of the network that were left as they were.
        unused: given keys that were not used.
    """

    loaded: tuple[str, ...]
    kept: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        parts = [f"{len(self.loaded)} tensors loaded"]
        if self.kept:
            parts.append(f"kept as they were: {name_some(self.kept)}")
        if self.unused:
            parts.append(f"not used: {name_some(self.unused)}")
        return "; ".join(parts)


def initialise_from(
    model: Network | IdentityClassifier, state: Mapping[str, Tensor], *, without: Sequence[str] = ()
) -> Initialisation:
    """Start a network from published weights, some named parts of it left out.

    Args:
        model: changed in place; nothing is changed when an error is raised.
        state: keys as in published checkpoints; for an `IdentityClassifier` with `classifier.*`.
        without: modules or keys to leave out on both sides, e.g. `("classifier",)` for ImageNet weights
            whose classifier has another size. Everything else must fit exactly.

    Raises:
        WeightsError: a key or shape that does not fit and was not left out, or a name in `without` that
            matches nothing.
    """
    own = model.published_state_dict() if isinstance(model, IdentityClassifier) else model.state_dict()
    for name in without:
        if not any(_is_within(key, name) for key in (*own, *state)):
            raise WeightsError(f"nothing is called {name!r}, neither in the network nor in the weights")

    def chosen(key: str) -> bool:
        return not any(_is_within(key, name) for name in without)

    wanted = {key: value for key, value in own.items() if chosen(key)}
    given = {key: value for key, value in state.items() if chosen(key)}
    check_state_dict(wanted, given, source="the given state dict")
    with torch.no_grad():
        for key, value in wanted.items():
            value.copy_(given[key])
    return Initialisation(
        loaded=tuple(wanted),
        kept=tuple(key for key in own if not chosen(key)),
        unused=tuple(key for key in state if not chosen(key)),
    )


def _is_within(key: str, name: str) -> bool:
    return key == name or key.startswith(f"{name}.")
