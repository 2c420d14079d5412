"""A folded OSNet's weights as the Triton kernels read them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from omnireid.core.card import InputSpec
from omnireid.inference.fused.fold import Block, Convolution, FoldedOSNet, InstanceNorm, Weights

STEM_TAPS = 32
STEM_KERNEL = 7
CENTRE = 128


@dataclass(frozen=True)
class Product:
    """A 1×1 convolution: `weight` (in, out), and `bias` (out,) float32."""

    weight: Tensor
    bias: Tensor


@dataclass(frozen=True)
class Norm:
    """An instance norm: `weight` and `bias` (C,) float32."""

    weight: Tensor
    bias: Tensor


@dataclass(frozen=True)
class BlockWeights:
    """An omni-scale block.

    Attributes:
        pointwise, depthwise, lite_bias: (layers, C, C), (layers, 9, C) and (layers, C) of all streams'
            layers, one stream after the other. Depthwise weights are float32: they meet float32 sums in
            registers.
        gate: fc1 (h, C), its bias, fc2 (C, h), its bias; float32.
        restore: its bias holds the shortcut's too, unless a norm stands between the two.
        shortcut: None where it is the identity.
    """

    reduce: Product
    pointwise: Tensor
    depthwise: Tensor
    lite_bias: Tensor
    gate: tuple[Tensor, Tensor, Tensor, Tensor]
    restore: Product
    shortcut: Product | None
    inside: Norm | None
    after: Norm | None


@dataclass(frozen=True)
class NetworkWeights:
    """All of a network, on one device; products in one dtype."""

    stream_depths: tuple[int, ...]
    dtype: torch.dtype
    stem: Product
    stem_norm: Norm | None
    stages: tuple[tuple[BlockWeights, ...], ...]
    transitions: tuple[Product, Product]
    head: Product
    embedding: Product


def pack(
    network: FoldedOSNet, spec: InputSpec, *, dtype: torch.dtype, device: str | torch.device
) -> NetworkWeights:
    """Bring a network's weights to a device, in the order that the kernels read.

    Args:
        spec: the input spec whose normalisation goes into the stem, which then takes uint8.
        dtype: type of activations and of the weights of products.
    """
    packing = _Packing(dtype, torch.device(device))
    return NetworkWeights(
        stream_depths=network.config.stream_depths,
        dtype=dtype,
        stem=packing.stem(network.stem, spec),
        stem_norm=packing.norm(network.stem_norm),
        stages=tuple(tuple(packing.block(block) for block in stage) for stage in network.stages),
        transitions=(packing.product(network.transitions[0]), packing.product(network.transitions[1])),
        head=packing.product(network.head),
        embedding=packing.product(network.embedding),
    )


class _Packing:
    def __init__(self, dtype: torch.dtype, device: torch.device) -> None:
        self._dtype = dtype
        self._device = device

    def stem(self, stem: Convolution, spec: InputSpec) -> Product:
        """(7 · 32, out): at each tap the weights of R, G and B less 128, and of a channel of ones."""
        mean, std = np.array(spec.mean), np.array(spec.std)
        scale = 1 / (255 * std)
        shift = CENTRE * scale - mean / std
        packed = np.zeros((STEM_KERNEL, STEM_TAPS // 4, 4, len(stem.weight)))
        taps = stem.weight.transpose(2, 3, 1, 0)
        packed[:, :STEM_KERNEL, :3] = taps * scale[:, None]
        packed[:, :STEM_KERNEL, 3] = (taps * shift[:, None]).sum(2)
        return Product(self._weights(packed.reshape(STEM_KERNEL * STEM_TAPS, -1)), self._floats(stem.bias))

    def block(self, block: Block) -> BlockWeights:
        layers = [layer for stream in block.streams for layer in stream]
        apart = block.inside is not None
        bias = block.restore.bias
        if block.shortcut is not None and not apart:
            bias = bias + block.shortcut.bias
        return BlockWeights(
            reduce=self.product(block.reduce),
            pointwise=self._weights(np.stack([layer.pointwise for layer in layers])),
            depthwise=self._floats(np.stack([layer.depthwise.reshape(-1, 9).T for layer in layers])),
            lite_bias=self._floats(np.stack([layer.bias for layer in layers])),
            gate=(
                self._floats(block.gate.reduce),
                self._floats(block.gate.reduce_bias),
                self._floats(block.gate.restore),
                self._floats(block.gate.restore_bias),
            ),
            restore=Product(self._weights(block.restore.weight[:, :, 0, 0].T), self._floats(bias)),
            shortcut=None if block.shortcut is None else self.product(block.shortcut),
            inside=self.norm(block.inside),
            after=self.norm(block.after),
        )

    def product(self, convolution: Convolution) -> Product:
        return Product(self._weights(convolution.weight[:, :, 0, 0].T), self._floats(convolution.bias))

    def norm(self, norm: InstanceNorm | None) -> Norm | None:
        return None if norm is None else Norm(self._floats(norm.weight), self._floats(norm.bias))

    def _weights(self, values: Weights) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self._device, self._dtype)

    def _floats(self, values: Weights) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self._device, torch.float32)
