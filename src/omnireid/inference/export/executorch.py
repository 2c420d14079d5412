"""A network as an ExecuTorch program for CPUs of phones and boards (XNNPACK)."""

from __future__ import annotations

import warnings

from omnireid.core.card import InputSpec
from omnireid.core.errors import MissingExtraError

try:
    import torch
    from torch import nn
except ImportError as error:
    raise MissingExtraError("export to ExecuTorch", "train") from error

MAX_BATCH = 32
"""Crops in one run: the program's memory is planned for that many."""


def executorch_program(deployed: nn.Module, spec: InputSpec) -> bytes:
    """Lower a deployed network to XNNPACK, without metadata. Takes minutes.

    Args:
        deployed: the network on the CPU, in evaluation mode; gives (embedding, feature maps).
        spec: size of the crops.

    Raises:
        MissingExtraError: ExecuTorch is not installed.
    """
    try:
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower
    except ImportError as error:
        raise MissingExtraError("export to ExecuTorch", "executorch") from error
    # The example has the largest batch: memory is planned by its size.
    example = torch.zeros(MAX_BATCH, spec.height, spec.width, 3, dtype=torch.uint8)
    batch = torch.export.Dim("batch", min=1, max=MAX_BATCH)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.export.export(deployed, (example,), dynamic_shapes=({0: batch},))
        lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
        return bytes(lowered.to_executorch().buffer)
