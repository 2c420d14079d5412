"""Embedding on all devices of a training run at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from omnireid.core.errors import MissingExtraError, OmniReIDError
from omnireid.core.types import Embeddings, SkippedFile, concatenate
from omnireid.data.loading import Reading, Source
from omnireid.inference.embedder import Embedder

try:
    import torch.distributed as dist
except ImportError as error:
    raise MissingExtraError("training", "train") from error


class SharingEmbedder(Embedder):
    """An embedder that runs in every process of a group: each embeds its share, and all get everything.

    Every process has to ask for the same pictures, in the same order.
    """

    def embed_stream(
        self, sources: Sequence[Source], reading: Reading = Reading(), *, raw: bool = False
    ) -> Iterator[Embeddings]:
        """As `Embedder.embed_stream`, with one value for each process; an error in one is raised in all."""
        size, rank = dist.get_world_size(), dist.get_rank()
        bounds = [len(sources) * index // size for index in range(size + 1)]
        skipped: list[SkippedFile] = []
        own: Embeddings | OmniReIDError
        try:
            share = sources[bounds[rank] : bounds[rank + 1]]
            told = replace(reading, on_skip=skipped.append)
            own = concatenate(super().embed_stream(share, told, raw=raw))
        except OmniReIDError as error:
            own = error
        shares: list[tuple[Embeddings | OmniReIDError, list[SkippedFile]]] = [(own, skipped)] * size
        dist.all_gather_object(shares, (own, skipped))
        for embeddings, _ in shares:
            if isinstance(embeddings, OmniReIDError):
                raise embeddings
        for embeddings, files in shares:
            assert isinstance(embeddings, Embeddings)
            yield embeddings
            for file in files:
                if reading.on_skip is not None:
                    reading.on_skip(file)
