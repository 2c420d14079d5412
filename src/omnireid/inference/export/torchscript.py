"""A network as a TorchScript module."""

from __future__ import annotations

import io
import warnings

from omnireid.core.card import InputSpec
from omnireid.core.errors import MissingExtraError

try:
    import torch
    from torch import nn
except ImportError as error:
    raise MissingExtraError("export to TorchScript", "train") from error


def torchscript_module(deployed: nn.Module, spec: InputSpec) -> bytes:
    """Trace and freeze a deployed network, without metadata. Freezing folds batch norms into convolutions.

    Args:
        deployed: the network on the CPU, in evaluation mode; gives (embedding, feature maps).
        spec: size of the crops.
    """
    example = torch.zeros(2, spec.height, spec.width, 3, dtype=torch.uint8)
    content = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        # torch marks TorchScript as old.
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            deployed, (example,), check_trace=False
        )
        torch.jit.save(torch.jit.freeze(traced), content)
    return content.getvalue()
