"""The Embedder: a model file in, embeddings out, whatever engine runs it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from omnireid.core.arrays import Float32
from omnireid.core.card import ModelCard, ModelRef
from omnireid.core.errors import InputError, OmniReIDWarning
from omnireid.core.images import Crop, resize
from omnireid.core.machine import available_cores
from omnireid.core.progress import progress_bar
from omnireid.core.types import Embeddings, SkippedFile, concatenate
from omnireid.core.vectors import unit_rows
from omnireid.data.loading import CropLoader, OnSkip, Reading, Source
from omnireid.inference.backends.foreign import ForeignCard
from omnireid.inference.backends.mirrored import MirroredBackend
from omnireid.inference.backends.protocol import Backend, FeatureMaps, can_be_told, check_crops
from omnireid.inference.backends.table import Opening
from omnireid.inference.lookup import find_weights
from omnireid.inference.opening import open_backend
from omnireid.inference.options import DEFAULT_MODEL, BackendName, Engine, PrecisionName
from omnireid.inference.sources import Files, collect_samples

_NAMED_IN_WARNING = 5


class Embedder:
    """Embeds crops with one model. Several threads may share it.

    ```python
    embedder = Embedder.open("osnet_x0_25_msmt17.onnx")
    embeddings = embedder.embed([crop_a, crop_b])  # (2, 512) float32, L2-normalised
    ```

    Attributes:
        backend: the engine that runs the model.
        batch_size: crops in one run of the network.
        normalise: whether embeddings are L2-normalised.
        is_normalised_inside: whether the model itself does that, so that it has no raw embeddings to give.
        file: the model's file, where it was opened from one.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        batch_size: int = Engine.batch_size,
        normalise: bool = True,
        is_normalised_inside: bool = False,
        file: Path | None = None,
    ) -> None:
        """Wrap an engine that is open already, such as a `TorchBackend` around a network in training.

        Raises:
            InputError: a batch size below 1; raw embeddings of a model that gives normalised ones.
        """
        if batch_size < 1:
            raise InputError(f"batch_size: expected at least 1, got {batch_size}")
        if is_normalised_inside and not normalise:
            raise InputError(
                f"normalise=False: {backend.card.name} was exported with L2-normalised embeddings and has no "
                "raw ones. Export it with --embedding raw, or use normalised embeddings"
            )
        self.backend = backend
        self.batch_size = batch_size
        self.normalise = normalise
        self.is_normalised_inside = is_normalised_inside
        self.file = file

    def __repr__(self) -> str:
        engine = type(self.backend).__name__
        return f"Embedder({self.ref.short!r}, {engine}, dim={self.dim}, normalise={self.normalise})"

    @classmethod
    def open(
        cls,
        model: str | os.PathLike[str] = DEFAULT_MODEL,
        *,
        backend: BackendName = Engine.backend,
        device: str = Engine.device,
        threads: int | None = Engine.threads,
        precision: PrecisionName | None = Engine.precision,
        batch_size: int = Engine.batch_size,
        normalise: bool = True,
        card: ForeignCard | str | os.PathLike[str] | None = None,
    ) -> Embedder:
        """Open a model file, or a model by name: the weights that ship, or published ones that were pulled.

        Args:
            model: a file of `omnireid export`, an `.onnx` file of others, `.safetensors` with a model card,
                or a name of `omnireid models list`; by default the weights that ship. The kind of file is
                read from its content.
            backend: "auto" runs `.onnx` in ONNX Runtime, every other exported format in its own engine, and
                `.safetensors` in our CPU engine ("native"); in torch where there is a GPU, or a network that
                has no fast form. "openvino" takes `.onnx` too, "gpu" `.safetensors`.
            device: "auto", "cpu", "cuda", "cuda:1", "mps", as far as the backend has it.
            threads: number of threads of one run in ONNX Runtime, OpenVINO and native; `compute_threads` when
                None. torch has one number of threads for the whole process, which is not ours to change.
            precision: "fp32", "bf16x3", "bf16" or "int8" of native, "fp32" or "bf16" of openvino, "bf16",
                "fp16" or "fp32" of gpu; their first when None, for openvino that of the file.
            batch_size: crops in one run of the network.
            normalise: L2-normalise embeddings. The published OSNet figures use raw ones.
            card: what an ONNX or OpenVINO file of others takes and gives, or the YAML file that says so; the
                one beside the model (`NAME.card.yaml`, `card.yaml`) when None.

        Raises:
            WeightsError: missing, damaged, changed since it was exported, without card, named as another
                kind of file, or an architecture without weights.
            MissingExtraError: the engine is not installed; names the extra.
            UnknownNameError: neither a file nor a known name.
            InputError: a backend, device, precision or number that does not fit, or raw embeddings of a file
                that gives normalised ones.
        """
        path = find_weights(model)
        if card is not None and not isinstance(card, ForeignCard):
            card = ForeignCard.read(card)
        how = Opening(device=device, threads=threads, precision=precision, card=card)
        engine, is_normalised = open_backend(path, how, backend=backend)
        return cls(
            engine,
            batch_size=batch_size,
            normalise=normalise,
            is_normalised_inside=is_normalised,
            file=path,
        )

    def with_flip(self) -> Embedder:
        """One that embeds each crop together with its mirror image, for figures to compare: twice the work.

        Its embeddings say that they are of the same model; do not put both kinds into one gallery.
        """
        return Embedder(
            MirroredBackend(self.backend, is_normalised=self.is_normalised_inside),
            batch_size=self.batch_size,
            normalise=self.normalise,
            is_normalised_inside=self.is_normalised_inside,
            file=self.file,
        )

    def __reduce__(self) -> Any:
        """Refuse to be pickled or copied.

        Raises:
            InputError: always; says what to do instead.
        """
        raise InputError(
            f"an Embedder ({self.card.name}) holds threads and memory of its process, and cannot be pickled "
            "or copied; pass on the name of its model file and open that in the process that embeds"
        )

    @property
    def card(self) -> ModelCard:
        """Card of the model; `card.notes` says what was assumed where a file came without one."""
        return self.backend.card

    @property
    def sha256(self) -> str | None:
        """Hash of the model file; None for a network that was never saved."""
        return self.card.sha256

    @property
    def dim(self) -> int:
        """D, the size of an embedding."""
        return self.card.embedding_size

    @property
    def ref(self) -> ModelRef:
        """Which model it is, as its embeddings say: two models are never mixed."""
        return self.card.ref

    @property
    def calls_side_by_side(self) -> int:
        """How many calls of one thread each fill the cores; 1 where every call takes all it can get."""
        return self.backend.calls_side_by_side or 1

    def embed(self, crops: Crop | Sequence[Crop], *, threads: int | None = None) -> Float32:
        """Embed pictures of persons.

        Args:
            crops: (N, H, W, 3) uint8 RGB of the card's size, in any memory order; or a list of N
                (H, W, 3) uint8 RGB crops of any size, which are resized as the card says.
            threads: how many threads this call may use at most, so that others run beside it; only native can
                be told.

        Returns:
            (N, D) float32, of unit L2 norm unless `normalise` is off. An embedding of only zeros stays so.

        Raises:
            ShapeError, InputError: crops of another shape or dtype; threads for another engine.
        """
        if threads is not None and not can_be_told(self.backend):
            raise InputError(f"threads: a call of {self.backend.name} cannot be told how many to use")
        return self._normalised(self._run(crops, threads))

    def feature_maps(self, crops: Crop | Sequence[Crop]) -> FeatureMaps | None:
        """What the global average pool takes: (N, C, h, w) float32.

        Runs in one batch. None where the model does not give it away (an ONNX file without that output
        while the package `onnx` is not installed).

        Raises:
            ShapeError, InputError: as `embed`.
        """
        _check_given(crops)
        if len(crops) == 0 and not isinstance(crops, np.ndarray):
            crops = np.zeros((0, self.card.input.height, self.card.input.width, 3), np.uint8)
        return self.backend.feature_maps(self._as_batch(crops, 0))

    def embed_stream(
        self, sources: Sequence[Source], reading: Reading = Reading(), *, raw: bool = False
    ) -> Iterator[Embeddings]:
        """Embed any number of picture files, a batch at a time.

        Memory holds a few batches of crops, whatever the number of sources. Decoding runs in threads
        beside the network.

        Args:
            sources: Samples, or what else `reading.load` can read.
            reading: What becomes of a picture that cannot be decoded, where progress is shown, and so on.
            raw: Give what the network gives, for those who pool embeddings before they are normalised.

        Yields:
            Embeddings of at most `batch_size` rows, in the order of the sources. At least one, which is empty
            where there was nothing to embed.

        Raises:
            ImageError: A picture that cannot be decoded, with on_bad="error".
            InputError: The model gives L2-normalised embeddings only, and raw ones are asked for; or it gives
                NaN for a picture, which is named.
        """
        if raw and self.is_normalised_inside:
            raise InputError(
                f"{self.card.name} was exported with L2-normalised embeddings, and raw ones are to be "
                "pooled. Export it with --embedding raw"
            )
        is_unit = self.normalise and not raw
        num_yielded = 0
        threads = available_cores() if reading.threads is None else reading.threads
        loader = CropLoader(
            sources, self.card.input, threads=threads, on_bad=reading.on_bad, load=reading.load
        )
        starts = range(0, len(sources), self.batch_size)
        batches = loader.load(range(start, min(start + self.batch_size, len(sources))) for start in starts)
        with progress_bar(reading.console) as progress:
            task = progress.add_task("embedding", total=len(sources))
            for batch in batches:
                rows = self._run(batch.crops)
                vectors = self._normalised(rows) if is_unit else rows
                yield Embeddings(vectors, batch.of, self.ref, is_unit)
                num_yielded += 1
                progress.update(task, completed=int(batch.indices[-1]) + 1)
            progress.update(task, completed=len(sources))
        if num_yielded == 0:
            yield Embeddings(np.zeros((0, self.dim), np.float32), (), self.ref, is_unit)
        _tell(
            [SkippedFile(sources[row].path, error.reason) for row, error in sorted(loader.skipped.items())],
            len(sources),
            reading.on_skip,
        )

    def embed_samples(self, sources: Sequence[Source], reading: Reading = Reading()) -> Embeddings:
        """`embed_stream` in one value: rows in the order of the sources, without those left out."""
        return concatenate(self.embed_stream(sources, reading))

    def embed_files(self, files: Files | Sequence[Files], reading: Reading = Reading()) -> Embeddings:
        """Embed a folder with its subfolders, a pattern, a manifest, a picture, or several of these.

        Raises:
            InputError: Nothing is there, or no picture.
            ImageError: A picture that cannot be decoded, with on_bad="error".
        """
        return self.embed_samples(collect_samples(files, console=reading.console), reading)

    def _normalised(self, rows: Float32) -> Float32:
        return unit_rows(rows, keep_zero=True) if self.normalise and not self.is_normalised_inside else rows

    def _run(self, crops: Crop | Sequence[Crop], threads: int | None = None) -> Float32:
        """What the model gives: raw embeddings, unless it normalises inside."""
        _check_given(crops)
        if isinstance(crops, np.ndarray):
            check_crops(crops, self.card)
        rows = np.empty((len(crops), self.dim), np.float32)
        for start in range(0, len(crops), self.batch_size):
            stop = start + self.batch_size
            # One by one: not every sequence has slices, and some make their items when asked.
            part = (
                crops[start:stop]
                if isinstance(crops, np.ndarray)
                else [crops[index] for index in range(start, min(stop, len(crops)))]
            )
            batch = self._as_batch(part, start)
            if can_be_told(self.backend):
                rows[start:stop] = self.backend.embed(batch, threads=threads)
            else:
                rows[start:stop] = self.backend.embed(batch)
        return rows

    def _as_batch(self, crops: Crop | Sequence[Crop], first: int) -> Crop:
        if isinstance(crops, np.ndarray):
            return crops
        named = ((crop, f"crops[{index}]") for index, crop in enumerate(crops, first))
        return np.stack([resize(crop, self.card.input, name) for crop, name in named])


def _tell(skipped: list[SkippedFile], num_sources: int, on_skip: OnSkip | None) -> None:
    """Say which pictures were left out, to whoever asked or as a warning."""
    if on_skip is not None:
        for file in skipped:
            on_skip(file)
    elif skipped:
        named = "; ".join(f"{file.path} ({file.reason})" for file in skipped[:_NAMED_IN_WARNING])
        others = len(skipped) - _NAMED_IN_WARNING
        text = f"{len(skipped)} of {num_sources} pictures were skipped: {named}"
        warnings.warn(text + (f"; and {others} more" if others > 0 else ""), OmniReIDWarning, stacklevel=3)


def _check_given(crops: object) -> None:
    """Refuse what is neither an array nor a sequence: one picture, a path, None, a generator."""
    if isinstance(crops, (str, bytes)) or not isinstance(crops, (np.ndarray, Sequence)):
        raise InputError(
            "crops: expected an array (N, H, W, 3) of uint8 RGB or a list of (H, W, 3) ones, got "
            + type(crops).__name__
        )
