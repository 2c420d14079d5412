"""What a network's gates tell apart: gate vectors of a dataset's test pictures, and their clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from omnireid.core.arrays import Float32
from omnireid.core.errors import InputError, UnknownNameError
from omnireid.core.options import OnBad
from omnireid.core.seeds import derive_seed, numpy_generator
from omnireid.core.types import Dataset
from omnireid.data.frames import flatten
from omnireid.data.loading import Reading
from omnireid.experiment.options import Gates
from omnireid.inference.backends.torch_eager import TorchBackend
from omnireid.inference.embedder import Embedder
from omnireid.models.convert import read_network
from omnireid.models.fusion import AggregationGate
from omnireid.report.gates import GateClusters, cluster_gates

if TYPE_CHECKING:
    from torch import Tensor, nn


class GateReader:
    """A network, run in torch, whose gates of one block are read on the way.

    Args:
        embedder: its model file is read again, as other engines do not give their gates away.
        how: which block, and how many clusters.

    Raises:
        InputError: no file, or a network without unified aggregation gates.
        UnknownNameError: no such block; names the nearest.
        WeightsError: the file holds no network that can be read.
        MissingExtraError: torch is not installed.
    """

    def __init__(self, embedder: Embedder, how: Gates) -> None:
        if embedder.file is None:
            raise InputError("gate clusters: the network comes from no file; save it first (save_weights)")
        network, card = read_network(embedder.file)
        blocks = {
            name.removesuffix(".gate"): module
            for name, module in network.named_modules()
            if isinstance(module, AggregationGate)
        }
        if not blocks:
            raise InputError(f"gate clusters: {card.name} has no aggregation gates")
        block = list(blocks)[-1] if how.block is None else how.block
        if block not in blocks:
            raise UnknownNameError("block with a gate", block, blocks)
        self._how, self._block = how, block
        self._gates: list[Float32] = []
        blocks[block].register_forward_pre_hook(self._keep)
        backend = TorchBackend(network, embedder.card, device=embedder.backend.device)
        self._embedder = Embedder(backend, batch_size=embedder.batch_size)

    def _keep(self, gate: nn.Module, inputs: tuple[list[Tensor]]) -> None:
        assert isinstance(gate, AggregationGate)
        weights = [gate.weights(stream).flatten(1).float().cpu().numpy() for stream in inputs[0]]
        self._gates.append(np.stack(weights, axis=1))

    def clusters(
        self, dataset: Dataset, *, seed: int = 0, on_bad: OnBad = "error", console: Console | None = None
    ) -> GateClusters:
        """Cluster the pictures of query and gallery, or a seeded sample of them.

        Raises:
            InputError: Fewer different gate vectors than clusters; a candidate that a search did not choose.
            ImageError: A picture cannot be decoded, and `on_bad` is "error".
        """
        pictures = [*flatten(dataset.query, 1), *flatten(dataset.gallery, 1)]
        drawn = numpy_generator(seed, "gates").permutation(len(pictures))[: self._how.max_pictures]
        self._gates.clear()
        reading = Reading(on_bad=on_bad, on_skip=lambda _: None, console=console)
        embedded = self._embedder.embed_samples([pictures[row] for row in sorted(drawn)], reading)
        if not self._gates:
            raise InputError(f"gate clusters: {self._block} has a gate that this network does not use")
        return cluster_gates(
            np.concatenate(self._gates),
            embedded.paths,
            self._how.num_clusters,
            block=self._block,
            seed=derive_seed(seed, "gates"),
        )
