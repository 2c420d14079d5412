"""How people move through a picture: one Kalman filter for each track, all of them computed together.

The state is (centre x, centre y, width, height, velocity x, velocity y) in pixels and seconds. People are
about equally tall, so a box's height is the yardstick: accelerations and errors are shares of it, and the
same numbers serve near and far people, any resolution and any frame rate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from omnireid.core.arrays import Bool, Float64

STATE, SEEN = 6, 4


@dataclass(frozen=True, slots=True)
class Motion:
    """How people move and how exactly they are detected; all but times are shares of the box's height.

    Attributes:
        acceleration: Deviation of the acceleration's random walk sideways, heights/s^1.5; up and down is less
            by `vertical`.
        growth: Deviation of width and height, a share of each, after one second.
        speed: Deviation of a new track's speed, heights/s.
        centre, width, height: Deviation of a detected box: its centre in heights, its sides as shares.
        doubt: By how much the deviations grow for a box with a low score.
    """

    acceleration: float = 0.75
    vertical: float = 0.6
    growth: float = 0.12
    speed: float = 0.7
    centre: float = 0.04
    width: float = 0.15
    height: float = 0.06
    doubt: float = 1.5

    def noise(self, states: Float64) -> Float64:
        """Variances of what is seen of boxes like these: (N, 4)."""
        width, height = states[:, 2], states[:, 3]
        return (
            np.stack(
                [self.centre * height, self.centre * height, self.width * width, self.height * height], axis=1
            )
            ** 2
        )

    def begin(self, seen: Float64) -> tuple[Float64, Float64]:
        """State and covariance of tracks that begin with these boxes.

        Args:
            seen: (N, 4) centre, width, height.

        Returns:
            (N, 6) and (N, 6, 6).
        """
        states = np.concatenate([seen, np.zeros((len(seen), 2))], axis=1)
        speed = self.speed * seen[:, 3:]
        variances = np.concatenate([self.noise(states), speed**2, (self.vertical * speed) ** 2], axis=1)
        return states, variances[:, :, None] * np.eye(STATE)

    def advance(self, states: Float64, covariances: Float64, seconds: Float64) -> tuple[Float64, Float64]:
        """States and covariances after `seconds`, (N,), without a look."""
        step = np.broadcast_to(np.eye(STATE), covariances.shape).copy()
        step[:, 0, 4] = step[:, 1, 5] = seconds
        moved = np.einsum("nij,nj->ni", step, states)
        spread = step @ covariances @ step.transpose(0, 2, 1)
        sideways = (self.acceleration * states[:, 3]) ** 2
        for axis, strength in ((0, sideways), (1, sideways * self.vertical**2)):
            spread[:, axis, axis] += strength * seconds**3 / 3
            spread[:, axis, axis + 4] += strength * seconds**2 / 2
            spread[:, axis + 4, axis] += strength * seconds**2 / 2
            spread[:, axis + 4, axis + 4] += strength * seconds
        for side in (2, 3):
            spread[:, side, side] += (self.growth * states[:, side]) ** 2 * seconds
        return moved, spread

    def evidence(self, states: Float64, covariances: Float64, seen: Float64) -> tuple[Float64, Float64]:
        """How well boxes fit tracks.

        Args:
            seen: (M, 4).

        Returns:
            Log density of each box under each track, (N, M), with the height as unit of length; and the
            squared Mahalanobis distance, (N, M).
        """
        noise = self.noise(states)
        expected = covariances[:, :SEEN, :SEEN] + noise[:, :, None] * np.eye(SEEN)
        error = seen[None] - states[:, None, :SEEN]
        inverse = np.linalg.inv(expected)
        sq_dist = np.einsum("nmi,nij,nmj->nm", error, inverse, error)
        width, height = states[:, 2], states[:, 3]
        _, log_volume = np.linalg.slogdet(expected)
        log_volume = log_volume - np.log(height**6 * width**2)
        return -0.5 * (sq_dist + log_volume[:, None]) - 0.5 * SEEN * np.log(2 * np.pi), sq_dist

    def correct(
        self, states: Float64, covariances: Float64, seen: Float64, doubtful: Bool
    ) -> tuple[Float64, Float64]:
        """States and covariances after a look: row n saw box n.

        Args:
            seen: (N, 4). doubtful: (N,) bool, whether the box's score is low.
        """
        noise = self.noise(states) * np.where(doubtful, self.doubt**2, 1.0)[:, None]
        expected = covariances[:, :SEEN, :SEEN] + noise[:, :, None] * np.eye(SEEN)
        gain = covariances[:, :, :SEEN] @ np.linalg.inv(expected)
        error = seen - states[:, :SEEN]
        corrected = states + np.einsum("nij,nj->ni", gain, error)
        corrected[:, 2:4] = np.maximum(corrected[:, 2:4], 1.0)
        return corrected, covariances - gain @ covariances[:, :SEEN]


def centred(boxes: npt.ArrayLike) -> Float64:
    """(N, 4) left, top, right, bottom as centre x, centre y, width, height."""
    corners = np.asarray(boxes, dtype=np.float64)
    middle, sides = (corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]
    return np.concatenate([middle, sides], axis=1)
