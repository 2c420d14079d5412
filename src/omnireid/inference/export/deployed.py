"""The network as it is exported: uint8 crops in, embedding and feature maps out, in any precision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from omnireid.core.card import ModelCard
from omnireid.core.errors import ConfigError, MissingExtraError
from omnireid.inference.fused.fold import check_foldable

try:
    import torch
    import torch.nn.functional as F
    from torch import Tensor, nn

    from omnireid.inference.fused.graph import Form, deployed_module
except ImportError as error:
    raise MissingExtraError("export", "train") from error

if TYPE_CHECKING:
    from omnireid.models.network import Network


def choose_form(model: Network, format_name: str) -> Form:
    """The form of a network that suits a format; "readable" for those that have no fast form."""
    try:
        check_foldable(model.config)
    except ConfigError:
        return "readable"
    # TensorRT starts operation after operation on a GPU: fewer and larger ones. CPU engines are faster with
    # small ones that stay in the cache; TorchScript takes 1.5 times as long with levels (x1.0, batch 16).
    return "levels" if format_name == "tensorrt" else "streams"


def deployed(
    model: Network, card: ModelCard, *, form: Form, normalised: bool, dtype: torch.dtype = torch.float32
) -> nn.Module:
    """`deployed_module`, its convolutions in `dtype`.

    Input and outputs do not depend on `dtype`. The normalisation of the crops, the last average pool, the
    last layer and the L2 norm stay in float32: sums over a map and squares lose most in half precision.
    """
    module = deployed_module(model, card, form=form, normalised=normalised)
    return module if dtype == torch.float32 else _Half(cast(Any, module), dtype).eval()


class _Half(nn.Module):
    offset: Tensor

    def __init__(self, module: Any, dtype: torch.dtype) -> None:
        super().__init__()
        self.network = module.network.to(dtype)
        self.network.head.float()
        self.register_buffer("offset", module.offset)
        self._normalised = module.normalised
        self._dtype = dtype

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        images = crops.permute(0, 3, 1, 2).float() + self.offset
        maps = self.network.feature_maps(images.to(self._dtype)).float()
        embedding = self.network.embedding(maps)
        return (F.normalize(embedding) if self._normalised else embedding), maps
