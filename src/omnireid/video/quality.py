"""How good a crop of a person is, from 0 to 1, and which crops of a tracklet are kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from omnireid.core.arrays import Float32, UInt8
from omnireid.gallery.thumbnails import make_thumbnail
from omnireid.video.boxes import within

_TALL = 128.0
_SHARP = 12.0


def quality(crop: UInt8, box: Float32, picture_size: tuple[int, int], score: float, covered: float) -> float:
    """How well somebody is seen: the product of five shares, each 1 where nothing is wrong.

    The detector's score; the part that no other box covers; the part within the picture (`within`), squared;
    the height, up to 128 pixels, by its root; and sharpness, up to that of a picture in focus.

    Args:
        crop: (H, W, 3) uint8, of the box within its picture.
        box: (4,) as detected, which may reach beyond the picture.
        picture_size: Height and width of the picture.
        covered: Share of the box that others cover.
    """
    whole = float(within(box[None], picture_size)[0])
    tall = min(1.0, crop.shape[0] / _TALL) ** 0.5
    return float(np.clip(score * (1.0 - covered) * whole**2 * tall * _sharpness(crop), 0.0, 1.0))


def _sharpness(crop: UInt8) -> float:
    """Between 0.5 and 1: the mean step between neighbouring pixels, which blur flattens."""
    grey = crop.mean(axis=2, dtype=np.float32)
    steps = [np.abs(np.diff(grey, axis=axis)) for axis in (0, 1)]
    mean = float(np.mean([step.mean() if step.size else 0.0 for step in steps]))
    return 0.5 + 0.5 * min(1.0, mean / _SHARP)


class Shot(NamedTuple):
    """A crop that is kept: its quality, seconds, and (H, W, 3) uint8 picture, or that as a JPEG."""

    quality: float
    time: float
    picture: UInt8 | bytes

    @property
    def jpeg(self) -> bytes:
        return self.picture if isinstance(self.picture, bytes) else make_thumbnail(self.picture)


@dataclass(slots=True)
class BestCrops:
    """The best crops of a tracklet, some time apart so that they show different moments.

    Attributes:
        limit: How many are kept. apart_s: seconds between two of them.
        kept: The crops, best first.
    """

    limit: int = 3
    apart_s: float = 1.0
    kept: list[Shot] = field(default_factory=list)

    def would_keep(self, most: float) -> bool:
        """Whether a crop of at most this quality could be among the best, before it is cut out."""
        return len(self.kept) < self.limit or most > self.kept[-1].quality

    def offer(self, shot: Shot) -> None:
        """Keep a crop where it is better than those near it in time, and among the best."""
        near = [other for other in self.kept if abs(other.time - shot.time) < self.apart_s]
        if near and shot.quality <= max(other.quality for other in near):
            return
        kept = [other for other in self.kept if abs(other.time - shot.time) >= self.apart_s]
        self.kept = sorted([*kept, shot], key=lambda other: -other.quality)[: self.limit]

    def settle(self) -> None:
        """Turn pictures into JPEGs, which take a tenth of the memory."""
        self.kept = [shot._replace(picture=shot.jpeg) for shot in self.kept]
