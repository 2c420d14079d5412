"""What several processes compute as one: losses of the whole batch, and batch norm."""

from __future__ import annotations

import os
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from omnireid.core.arrays import Int64
from omnireid.core.errors import ConfigError
from omnireid.data.augmentation import Augmentation
from omnireid.data.samplers import SAMPLERS
from omnireid.training.processes import Rank
from omnireid.training.recipe import Recipe

_Value = TypeVar("_Value")

# While the first process ranks a large gallery the others wait; a process that dies is noticed at once.
LONGEST_WAIT = timedelta(hours=6)


class Team:
    """The processes of a run, as one of them sees them. Alone, it leaves everything as it is."""

    def __init__(self, rank: Rank, recipe: Recipe) -> None:
        """Prepare it.

        Raises:
            ConfigError: the recipe's batches cannot be shared out.
        """
        self.rank = rank
        self.size = rank.size
        if self.size > 1:
            _check_shares(recipe, self.size)
        self._recipe = recipe

    def fabric(self, where: torch.device) -> Fabric:
        """Lightning's Fabric on this process's device; the processes are in touch from then on.

        Gradients are averaged by `average_gradients`, not by torch's DistributedDataParallel: that one
        refuses weights that learn outside of the network's own forward pass, as those of losses do, and asks
        in advance which stay frozen. What it hides behind the backward pass is 9 MB for OSNet x1.0.

        Raises:
            ConfigError: a device of which there is one.
        """
        if self.size > 1:
            if where.type == "mps":
                raise ConfigError("Apple's GPU is one device: leave --devices out, or give --device cpu")
            if where.type == "cuda":
                where = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
                torch.cuda.set_device(where)
            if not dist.is_initialized():
                backend = "nccl" if where.type == "cuda" else "gloo"
                dist.init_process_group(backend, timeout=LONGEST_WAIT)
        devices = 1 if where.index is None else [where.index]
        return Fabric(accelerator=where.type, devices=devices, precision=self._recipe.precision)

    def prepare(self, network: nn.Module) -> None:
        """Synchronise batch norms where the recipe asks for it."""
        if self.size > 1 and self._recipe.sync_batch_norm:
            synchronise_norms(network)

    def average_gradients(self, optimiser: torch.optim.Optimizer) -> None:
        """Give each weight the mean of its gradients over all processes, in one exchange."""
        if self.size == 1:
            return
        weights = (weight for group in optimiser.param_groups for weight in group["params"])
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        flat /= self.size
        for gradient, mean in zip(
            gradients, torch.split(flat, [gradient.numel() for gradient in gradients]), strict=True
        ):
            gradient.copy_(mean.view_as(gradient))

    def release(self, network: nn.Module) -> None:
        """Let the network's batch norms work alone again, for whoever takes it out of the run."""
        synchronise_norms(network, wanted=False)

    def share(self, batch: Int64) -> Int64:
        """This process's part of a batch of indices: neighbours, so that identities stay whole."""
        length = len(batch) // self.size
        return batch[self.rank.index * length : (self.rank.index + 1) * length]

    def gather(self, values: Tensor, dim: int = 0) -> Tensor:
        """`gather` over the processes."""
        return values if self.size == 1 else gather(values, dim)

    def gather_views(self, values: Tensor, num_crops: int) -> Tensor:
        """(V · num_crops, D) of this process → (V · N, D): the first view of all N crops, then the second."""
        if self.size == 1:
            return values
        return gather(values.view(-1, num_crops, *values.shape[1:]), 1).flatten(0, 1)

    def any(self, value: bool, device: torch.device) -> bool:
        """Whether it is true in any process."""
        if self.size == 1:
            return value
        flag = torch.tensor(float(value), device=device)
        dist.all_reduce(flag)
        return bool(flag)

    def of_leader(self, value: _Value) -> _Value:
        """What the first process has in the place of this value."""
        if self.size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values)
        return values[0]

    def end_epoch(self, augmentation: Augmentation, *networks: nn.Module | None) -> None:
        """Let all have what a checkpoint keeps of the first: mean running statistics, and its patches."""
        if self.size == 1:
            return
        augmentation.load_state_dict(self.of_leader(augmentation.state_dict()))
        with torch.no_grad():
            for buffer in (buffer for network in networks if network for buffer in network.buffers()):
                if buffer.is_floating_point():
                    dist.all_reduce(buffer)
                    buffer /= self.size


def gather(values: Tensor, dim: int = 0) -> Tensor:
    """The values of all processes, one behind the other along `dim`, in the order of their ranks.

    Gradients come back summed over the processes. Where each of W processes computes the same loss of what
    was gathered, that is W times the gradient of one such loss, which the mean over processes undoes: weights
    get the gradient of the loss over the whole batch, whatever that loss compares.

    Args:
        values: any shape, the same in each process.
    """
    gathered: Tensor = _Gather.apply(values, dim)  # type: ignore[no-untyped-call]  # torch's stub
    return gathered


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, dim: int) -> Tensor:
        ctx.dim, ctx.length = dim, values.shape[dim]
        values = values.contiguous()
        parts = [torch.empty_like(values) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, values)
        return torch.cat(parts, dim)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        grad = grad.contiguous()
        dist.all_reduce(grad)
        return grad.narrow(ctx.dim, dist.get_rank() * ctx.length, ctx.length), None


def _synchronised(norm: _BatchNorm, values: Tensor) -> Tensor:
    """A batch norm over the pictures of all processes, each of which has equally many; (N, C, …) → the same.

    Also on CPUs, where torch's own refuses to work. With mean m_r and variance v_r of a channel in process r,
    m = mean of the m_r and v = mean of v_r + (m_r − m)².
    """
    if not norm.training:
        return type(norm).forward(norm, values)
    axes = (0, *range(2, values.ndim))
    variance, mean = torch.var_mean(values.float(), dim=axes, correction=0)
    means, variances = gather(torch.stack([mean, variance])[None]).unbind(1)
    mean = means.mean(0)
    variance = (variances + (means - mean).square()).mean(0)
    _update(norm, mean.detach(), variance.detach(), values.numel() // len(mean) * len(means))
    scale = (variance + norm.eps).rsqrt()
    shift = -mean * scale
    if norm.affine:
        scale, shift = norm.weight * scale, norm.weight * shift + norm.bias
    by_channel = (len(mean), *(1 for _ in axes[1:]))
    return (values * scale.view(by_channel) + shift.view(by_channel)).to(values.dtype)


@torch.no_grad()
def _update(norm: _BatchNorm, mean: Tensor, variance: Tensor, count: int) -> None:
    """Move the running statistics, as torch's batch norm does."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.num_batches_tracked is not None
    assert norm.momentum is not None
    norm.num_batches_tracked += 1
    norm.running_mean.lerp_(mean, norm.momentum)
    norm.running_var.lerp_(variance * (count / max(1, count - 1)), norm.momentum)


def synchronise_norms(network: nn.Module, *, wanted: bool = True) -> None:
    """Let each batch norm of a network normalise over all processes from now on, or by itself again."""
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            # In the place of its class's forward: the same module in the same optimiser, whatever its kind.
            vars(module).pop("forward", None)
            if wanted:
                vars(module)["forward"] = partial(_synchronised, module)


def _check_shares(recipe: Recipe, size: int) -> None:
    """Refuse batches that cannot be shared out: to each process equally many pictures, of whole identities.

    Raises:
        ConfigError: names a batch size that can.
    """
    sampler = recipe.sampler
    spec = SAMPLERS.get(sampler.name)
    together = sampler.options()[spec.share] if spec.gives_several and spec.share else 1
    least = size * max(2, together)
    if sampler.batch_size % (size * together) or sampler.batch_size < least:
        whole = f", {together} pictures of a person together" if together > 1 else ""
        fitting = max(1, round(sampler.batch_size / least)) * least
        raise ConfigError(
            f"a batch of {sampler.batch_size} cannot be shared out among {size} devices{whole}: "
            f"--set sampler.batch_size={fitting}"
        )
