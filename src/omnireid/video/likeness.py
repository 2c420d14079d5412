"""What a similarity says about "same person", learned from the stream itself.

Within one camera the truth is at hand without labels: boxes of one frame are different people, and a box that
motion alone gives to a track is the same person. From both the tracker learns how similar the same and
different people look to this network at this camera, and weighs appearance accordingly; a network that tells
people badly apart here comes to count for little.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from omnireid.core.arrays import Float64


@dataclass(frozen=True, slots=True)
class Belief:
    """What is believed of similarities before the first frame: mean, deviation, and how many looks that is
    worth.
    """

    same: float = 0.85
    different: float = 0.45
    deviation: float = 0.16
    looks: float = 200.0


class Likeness:
    """The log-likelihood ratio of "same" against "different" for a cosine similarity; it is linear in it.

    Both kinds are taken as normal with one deviation (linear discriminant), so that the ratio grows with the
    similarity everywhere.
    """

    def __init__(self, belief: Belief = Belief(), *, limit: float = 4.0, memory: float = 5_000.0) -> None:
        """Begin with a belief.

        Args:
            limit: The ratio never says more than this, either way.
            memory: Looks after which older ones fade, so that evening light replaces noon.
        """
        self.limit, self.memory = limit, memory
        means = np.array([belief.different, belief.same])
        self._weight = np.full(2, belief.looks)
        self._sum = means * belief.looks
        self._square = (means**2 + belief.deviation**2) * belief.looks

    def learn(self, similarities: Float64, *, same: bool) -> None:
        """Take note of similarities whose truth is known."""
        values = np.asarray(similarities, dtype=np.float64)
        kind = int(same)
        fade = min(1.0, self.memory / (self._weight[kind] + values.size))
        self._weight[kind] = fade * (self._weight[kind] + values.size)
        self._sum[kind] = fade * (self._sum[kind] + values.sum())
        self._square[kind] = fade * (self._square[kind] + (values**2).sum())

    @property
    def learned(self) -> list[list[float]]:
        """What was learned, for `restore`: weight, sum and sum of squares, each of different and same."""
        return [part.tolist() for part in (self._weight, self._sum, self._square)]

    def restore(self, learned: list[list[float]]) -> None:
        """Go on from what another one has learned."""
        self._weight, self._sum, self._square = (np.array(part) for part in learned)

    @property
    def line(self) -> tuple[float, float]:
        """Slope, and the similarity at which both are equally likely."""
        different, same = self._sum / self._weight
        variances = self._square / self._weight - (self._sum / self._weight) ** 2
        variance = max(float(variances.mean()), 1e-4)
        return max(float(same - different), 0.0) / variance, float(same + different) / 2

    def evidence(self, similarities: Float64) -> Float64:
        """log p(similarity | same) − log p(similarity | different), within ±`limit`."""
        slope, middle = self.line
        ratio = slope * (np.asarray(similarities, dtype=np.float64) - middle)
        return np.asarray(np.clip(ratio, -self.limit, self.limit))
