"""A network as it is deployed: uint8 crops in, embedding and feature maps out."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Literal, get_args

from omnireid.core.card import InputSpec, ModelCard
from omnireid.core.errors import MissingExtraError, ShapeError, UnknownNameError
from omnireid.inference.fused.fold import Convolution, FoldedOSNet

try:
    import torch
    import torch.nn.functional as F
    from torch import Tensor, nn
except ImportError as error:
    raise MissingExtraError("exporting a network", "train") from error

from omnireid.inference.fused.module import FusedOSNet, fold_module
from omnireid.models.network import Network

Form = Literal["streams", "levels", "readable"]


def deployed_module(
    model: Network, card: ModelCard, *, form: Form = "streams", normalised: bool = False
) -> nn.Module:
    """A module on the CPU, in evaluation mode, that takes crops and gives what an exported file gives.

    It maps `crops`, (N, H, W, 3) uint8 RGB, to `(embedding, feature_maps)`: (N, D) and (N, C, h, w) float32.
    The division by the card's standard deviations is part of the stem, so that one addition is left of the
    normalisation. (The mean cannot go there: the stem's zero padding stands for the mean colour.)

    Args:
        model: neither moved nor changed.
        card: says how crops are normalised.
        form: "streams", batch norms folded and streams one by one: the fastest in ONNX Runtime and OpenVINO;
            "levels", the streams batched by depth: fewer and larger operations, for GPUs; "readable", the
            network as it is, for those that have no fast form.
        normalised: whether embeddings are brought to unit L2 norm.

    Raises:
        ConfigError: the network has no fast form, and `form` is not "readable".
        ShapeError: the card states another embedding size than the network has.
        UnknownNameError: no such form.
    """
    if form not in get_args(Form):
        raise UnknownNameError("form", form, get_args(Form))
    if card.embedding_size != model.config.embedding_size:
        raise ShapeError(
            f"embedding of the card {card.name!r}",
            expected=(model.config.embedding_size,),
            actual=(card.embedding_size,),
        )
    if form == "readable":
        return _Deployed(_Readable(model, card.input), card.input, normalised=normalised)
    folded = _scaled(fold_module(model), card.input)
    network = FusedOSNet(folded, batch_streams=form == "levels")
    return _Deployed(network, card.input, normalised=normalised)


class _Deployed(nn.Module):
    offset: Tensor

    def __init__(self, network: FusedOSNet | _Readable, spec: InputSpec, *, normalised: bool) -> None:
        super().__init__()
        self.network = network
        scale, shift = (torch.from_numpy(values).double() for values in spec.scale_shift())
        self.register_buffer("offset", (shift / scale).float()[:, None, None])
        self.normalised = normalised
        self.requires_grad_(False).eval()

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        # Turned around as bytes, which are a quarter of the floats.
        images = crops.permute(0, 3, 1, 2).float() + self.offset
        maps = self.network.feature_maps(images)
        embedding = self.network.embedding(maps)
        return (F.normalize(embedding) if self.normalised else embedding), maps


class _Readable(nn.Module):
    """A copy of a network behind the scale of the normalisation, cut where a `FusedOSNet` is."""

    scale: Tensor

    def __init__(self, model: Network, spec: InputSpec) -> None:
        super().__init__()
        self.model = copy.deepcopy(model).cpu().float()
        self.register_buffer("scale", torch.from_numpy(spec.scale_shift()[0])[:, None, None])

    @property
    def head(self) -> nn.Module:
        return self.model.head

    def feature_maps(self, images: Tensor) -> Tensor:
        return self.model.feature_maps(images * self.scale)

    def embedding(self, feature_maps: Tensor) -> Tensor:
        embedding: Tensor = self.head(self.model.pool(feature_maps))
        return embedding


def _scaled(folded: FoldedOSNet, spec: InputSpec) -> FoldedOSNet:
    """The same network for inputs that were not multiplied by the scale."""
    scale, _ = spec.scale_shift()
    stem = Convolution(folded.stem.weight * scale.astype(float)[:, None, None], folded.stem.bias)
    return replace(folded, stem=stem)
