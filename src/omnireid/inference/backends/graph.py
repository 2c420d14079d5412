"""What every engine that runs graph files shares: batches in parts, the card, the first try."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from omnireid.core.arrays import AnyFloat
from omnireid.core.card import InputSpec, ModelCard
from omnireid.core.errors import WeightsError
from omnireid.core.forking import ThreadPool, in_every_child
from omnireid.inference.backends.colours import FLOATS, Pictures, UnclearError, find_out
from omnireid.inference.backends.foreign import ForeignCard, card_to_write
from omnireid.inference.backends.onnx_graph import GraphInput
from omnireid.inference.backends.protocol import Crops, Embeddings, FeatureMaps, check_crops
from omnireid.models.cards import list_architectures

_DEFAULT_SIZE = (256, 128)
_PUBLISHED_OSNET = (187, 24, 512)
"""Convolutions, gates' sigmoids and embedding size, of all nine networks however they are exported."""


class GraphBackend(ABC):
    """One graph in an engine that runs on the CPU, or on a GPU.

    Large batches run in parts of a few crops, one part per thread: activations of a part stay in the caches
    of the core that works on it, and threads wait for each other once a call, not once an operator.

    An engine calls `_begin` first, and sets these before it calls `_finish`:
        _label: what errors call the model.
        graph_input: what the graph takes.
        _threads: parts that run at the same time.
        _part: crops in a part; None runs every batch as a whole.
    """

    calls_side_by_side = None
    _is_ours = False
    card: ModelCard
    _label: str
    graph_input: GraphInput
    _threads: int
    _part: int | None

    def _begin(self) -> None:
        self._process = os.getpid()
        self._pool: ThreadPool | None = None
        self._renew()
        in_every_child(self._renew)

    def _renew(self) -> None:
        """What must not be taken into a child of this process."""
        self._lock = Lock()

    @property
    def fixed_batch(self) -> int | None:
        """Rows the graph takes in every run; None where their number is free."""
        return self.graph_input.batch

    def embed(self, crops: Crops) -> Embeddings:
        """(N, H, W, 3) uint8 RGB → (N, D) float32, not normalised by us.

        Raises:
            ShapeError, InputError: crops of another shape or dtype.
        """
        check_crops(crops, self.card)
        return self._embed(crops, self.card.input, self.card.embedding_size)

    def feature_maps(self, crops: Crops) -> FeatureMaps | None:
        """(N, H, W, 3) uint8 RGB → (N, C, h, w) float32; None where the graph does not show them.

        Our exports offer them as a second output. In other graphs the tensor in front of the global
        average pool is exposed, where it can be found.
        """
        check_crops(crops, self.card)
        # Engines are not asked to run on nothing: not every operator of every graph can.
        fed = crops if len(crops) else np.zeros((1, *crops.shape[1:]), np.uint8)
        parts = [self._run_maps(part) for part in self.fed_parts(fed, self.card.input, None)]
        if any(part is None for part in parts):
            return None
        return np.concatenate([np.asarray(part, np.float32) for part in parts])[: len(crops)]

    @abstractmethod
    def _run(self, fed: npt.NDArray[Any], *, alone: bool) -> AnyFloat:
        """What the graph takes → embeddings. `alone`: nothing else of this batch runs beside it."""

    @abstractmethod
    def _first_nodes(self) -> Callable[[npt.NDArray[Any]], npt.NDArray[Any]] | None:
        """What stands in front of the network's first layer; None without anything."""

    @abstractmethod
    def _operations(self) -> Counter[str]:
        """How often the graph does what; a convolution of any kind is "Conv"."""

    def _hint(self) -> Pictures | None:
        """What pictures the graph takes, where something beside it says so."""
        return None

    @abstractmethod
    def _run_maps(self, fed: npt.NDArray[Any]) -> AnyFloat | None:
        """What the graph takes → feature maps."""

    def _finish(self, card_text: str | None, sha256: str, foreign: ForeignCard | None) -> None:
        """Make the card: the one in the file, held against its graph; by the one beside it; or derived."""
        if card_text is None:
            if foreign is not None:
                self._follow(foreign, sha256)
                return
            height, width = (
                self.graph_input.height or _DEFAULT_SIZE[0],
                self.graph_input.width or _DEFAULT_SIZE[1],
            )
            spec = self._find_pictures(InputSpec(height=height, width=width))
            size = self._try_once(spec)
            has_size = None not in (self.graph_input.height, self.graph_input.width)
            is_known = self._is_ours or (self.graph_input.pictures.is_known and has_size)
            if not is_known and not self._is_published_osnet(size):
                raise WeightsError(self._unknown("nothing in the file says"))
            self.card = self._derived_card(spec, size, sha256)
            return
        if foreign is not None:
            raise WeightsError(f"{self._label}: has its model card inside; leave the other card out")
        card = ModelCard.from_json(card_text, source=self._label)
        if self.graph_input.dtype is not np.uint8:
            self._find_pictures(card.input)
        size = self._try_once(card.input)
        for what, stated, actual in (
            ("height", card.input.height, self.graph_input.height),
            ("width", card.input.width, self.graph_input.width),
            ("embedding size", card.embedding_size, size),
        ):
            if actual not in (None, stated):
                raise WeightsError(f"{self._label}: its card says {what} {stated}, its graph {actual}")
        self.card = card.model_copy(update={"sha256": sha256})

    def _is_published_osnet(self, embedding_size: int) -> bool:
        """Whether this is the graph of a published OSNet, all of which take the same pictures."""
        operations = self._operations()
        shape = (operations["Conv"], operations["Sigmoid"], embedding_size)
        return shape == _PUBLISHED_OSNET and self.graph_input.pictures == FLOATS

    def _unknown(self, reason: str) -> str:
        size = (self.graph_input.height, self.graph_input.width)
        return (
            f"{self._label}: {reason} what pictures it takes. "
            f"{card_to_write(self._label, size=size, layout=self.graph_input.layout)}"
        )

    def _follow(self, foreign: ForeignCard, sha256: str) -> None:
        """Feed the graph what its card says.

        Raises:
            WeightsError: the graph says otherwise.
        """
        graph = self.graph_input
        stated: list[tuple[str, object, object]] = [
            ("layout", foreign.layout, graph.layout),
            ("height", foreign.size[0], graph.height or foreign.size[0]),
            ("width", foreign.size[1], graph.width or foreign.size[1]),
        ]
        if graph.dtype is np.uint8:
            stated += [("range", foreign.range, "0-255"), ("mean and std", foreign.is_plain, True)]
        for what, of_card, of_graph in stated:
            if of_card != of_graph:
                raise WeightsError(f"{self._label}: its card says {what} {of_card}, its graph {of_graph}")
        spec = foreign.input_spec()
        try:
            self._find_pictures(spec, unclear=True)
            inside = self.graph_input.pictures
        except UnclearError:
            inside = FLOATS  # whatever they do: whoever wrote the card knows
        if inside.mean is not None and not (foreign.is_plain and foreign.range == f"0-{inside.white:g}"):
            raise WeightsError(
                f"{self._label}: its first nodes normalise pictures of 0-{inside.white:g} themselves, so its "
                f"card has to say range 0-{inside.white:g}, mean 0 and std 1"
            )
        self.graph_input = replace(graph, pictures=foreign.pictures())
        self.card = ModelCard(
            name=foreign.name or Path(self._label).stem,
            architecture="unknown",
            input=spec,
            embedding_size=self._try_once(spec),
            licence=foreign.licence,
            origin=f"File of others with a card: {Path(self._label).name}",
            sha256=foreign.sha256_with(sha256),
            notes=self.graph_input.pictures.notes,
        )

    def _find_pictures(self, spec: InputSpec, *, unclear: bool = False) -> InputSpec:
        """Have the graph fed what it takes; the spec with the mean and deviation that it applies itself."""
        first_nodes, pictures = self._first_nodes(), self.graph_input.pictures
        if first_nodes is None:
            reading = self._hint() or pictures
        else:
            # As they are, not normalised.
            plain = replace(self.graph_input, pictures=Pictures(255))

            def made_of(colours: Crops) -> npt.NDArray[Any]:
                size = self.graph_input.height or spec.height, self.graph_input.width or spec.width
                crops = np.broadcast_to(colours[:, None, None], (len(colours), *size, 3))
                parts = self._divided(plain, crops, spec, None)
                return np.concatenate([first_nodes(fed) for fed in parts])[: len(colours)]

            try:
                reading = find_out(made_of, pictures, self._hint())
            except UnclearError as error:
                if unclear:
                    raise
                raise WeightsError(self._unknown(f"{error}, and so it cannot be found out")) from error
        self.graph_input = replace(self.graph_input, pictures=reading)
        if reading.mean is None or reading.std is None:
            return spec
        return spec.model_copy(update={"mean": reading.mean, "std": reading.std})

    def _embed(self, crops: Crops, spec: InputSpec, size: int) -> Embeddings:
        if len(crops) == 0:
            return np.zeros((0, size), np.float32)
        if self.fixed_batch is not None or self._part is None or len(crops) == 1:
            rows = [self._run(fed, alone=True) for fed in self.fed_parts(crops, spec, None)]
        else:
            parts = self.fed_parts(crops, spec, self._part)
            if self._threads == 1:
                rows = [self._run(fed, alone=False) for fed in parts]
            else:
                rows = list(self._threads_of_parts().map(lambda fed: self._run(fed, alone=False), parts))
        return np.concatenate([np.asarray(part, np.float32) for part in rows])[: len(crops)].reshape(
            len(crops), -1
        )

    def fed_parts(self, crops: Crops, spec: InputSpec, part: int | None) -> list[npt.NDArray[Any]]:
        """What the graph takes, part by part; a graph of fixed batch gets a last part filled with black."""
        return self._divided(self.graph_input, crops, spec, part)

    def _divided(
        self, graph_input: GraphInput, crops: Crops, spec: InputSpec, part: int | None
    ) -> list[npt.NDArray[Any]]:
        if self.fixed_batch is not None:
            missing = -len(crops) % self.fixed_batch
            black = np.zeros((missing, *crops.shape[1:]), np.uint8)
            crops, part = np.concatenate([crops, black]) if missing else crops, self.fixed_batch
        step = part or len(crops)
        return [
            graph_input.prepare(crops[start : start + step], spec) for start in range(0, len(crops), step)
        ]

    def _threads_of_parts(self) -> ThreadPool:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPool(self._threads, "omnireid-embed")
            return self._pool

    def _try_once(self, spec: InputSpec) -> int:
        """Embedding size, from one run: a graph that cannot embed must fail when it is opened, not later."""
        # Two rows show a batch that was fixed inside although the input calls it free.
        blank = np.zeros((2, spec.height, spec.width, 3), np.uint8)
        try:
            parts = [self._run(fed, alone=True) for fed in self.fed_parts(blank, spec, None)]
        except Exception as error:  # the engines' errors share no base class
            raise WeightsError(
                f"{self._label}: the graph opens but cannot embed two crops of {spec.height}×{spec.width} "
                f"({first_line(error)}). If it was exported with a fixed batch, export it with a free one"
            ) from error
        rows = np.concatenate(parts)[:2]
        if rows.ndim < 2 or rows.shape[0] != 2 or rows.size != 2 * rows.shape[1]:
            raise WeightsError(
                f"{self._label}: two crops gave an output of shape {rows.shape}; "
                "an embedding network gives (2, D)"
            )
        return int(rows.shape[1])

    def _derived_card(self, spec: InputSpec, embedding_size: int, sha256: str) -> ModelCard:
        stem = Path(self._label).stem
        architecture = max(
            (name for name in list_architectures() if stem.startswith(name)), key=len, default=""
        )
        notes = ["Card derived from a graph that carries none."]
        notes.append(self.graph_input.pictures.notes)
        if not self.graph_input.pictures.is_known:
            notes.append("All published OSNets take that, and this is the graph of one.")
        if self.graph_input.height is None or self.graph_input.width is None:
            notes.append(f"Input {spec.height}×{spec.width}, as theirs: the graph leaves its size free.")
        if architecture:
            notes.append("The architecture is taken from the file name.")
        return ModelCard(
            name=stem,
            architecture=architecture or "unknown",
            input=spec,
            embedding_size=embedding_size,
            licence="unknown",
            origin=f"File without a model card: {Path(self._label).name}",
            sha256=sha256,
            notes=" ".join(notes),
        )


def read_model_file(path: str | os.PathLike[str]) -> bytes:
    """Content of a model file.

    Raises:
        WeightsError: missing, a folder, unreadable or empty.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: no such file") from error
    except IsADirectoryError as error:
        raise WeightsError(f"{path}: is a folder, not a model file") from error
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror or error}") from error
    if not content:
        raise WeightsError(f"{path}: the file is empty (0 bytes)")
    return content


def first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
