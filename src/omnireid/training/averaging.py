"""A running average of a network's weights, which often ranks better than the weights of the last step."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def weight_average(network: nn.Module, decay: float) -> AveragedModel:
    """An exponential moving average of a network: weights, and the statistics of its norms.

    After each step its `update_parameters(network)` makes it decay · average + (1 − decay) · weights. In the
    first steps the decay is (1 + n) / (10 + n), n being the updates so far, where that is smaller: weights
    that were drawn at random are forgotten soon.

    Args:
        network: copied, on the device that it lies on.
        decay: in (0, 1).

    Source: Polyak and Juditsky, 1992; the decay of the first steps as TensorFlow's ExponentialMovingAverage.
    """

    def update(averages: Any, values: Any, count: Tensor | int) -> None:
        done = int(count)
        now = min(decay, (1 + done) / (10 + done))
        get_ema_multi_avg_fn(now)(averages, values, count)  # type: ignore[no-untyped-call]  # torch has no stub

    return AveragedModel(network, multi_avg_fn=update, use_buffers=True).requires_grad_(False).eval()
