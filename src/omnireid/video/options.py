"""How `omnireid track` goes about its work: options and their defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

from omnireid.core.errors import InputError


@dataclass(frozen=True)
class TrackOptions:
    """What a run depends on besides its cameras and its model.

    Attributes:
        calibration: What similarities of the model say; by default the file beside it.
        detections: Boxes as MOT text or COCO's JSON, one file for each camera, instead of a detector.
        detector: A `core.detection.PersonDetector`, or a function of a picture that gives what `as_boxes`
            takes; by default the one that ships.
        gallery: A gallery that tracklets are enrolled in, made where there is none.
        started: Unix seconds of the first frames, of all cameras or of each by name; by default now.
        resume: Go on with the run in the folder, which must have been of the same cameras and model.
        annotate: Whether videos are made in which everybody has a box; of files, not of streams.
        blur: Number of a person: in these videos everybody else is hidden.

    Raises:
        InputError: Somebody is to be hidden in videos that are not made.
    """

    calibration: str | PathLike[str] | None = None
    detections: Sequence[str | PathLike[str]] = ()
    detector: Any = None
    gallery: str | None = None
    started: float | Mapping[str, float] | None = None
    resume: bool = False
    annotate: bool = False
    blur: int | None = None

    def __post_init__(self) -> None:
        if self.blur is not None and not self.annotate:
            raise InputError("blur: is of annotated videos; ask for them, too (--annotate)")


@dataclass(frozen=True)
class Linking:
    """When tracklets are one person's.

    Attributes:
        prior: Share of pairs of tracklets that are of one person, before anything is seen; more than there
            are (a twentieth, of thirty people), since crops of films are worse than those of calibrations.
        overlapping: Whether all cameras see the same places, so that somebody may be in two at once; which
            do, a site's plan says better.
        least: Probability that a link must have.
        shared_s: Seconds that two tracklets of one camera may overlap: a track's end is often somebody else's
            box.
        travel_s: Least time from one camera to another, where cameras do not overlap.
        held: Correlation of what two pairs of tracklets say of the same two groups; many pairs are worth as
            much as 1 / held of them.
    """

    prior: float = 0.3
    overlapping: bool = False
    least: float = 0.5
    shared_s: float = 0.0
    travel_s: float = 0.0
    held: float = 0.5

    def __post_init__(self) -> None:
        for name in ("prior", "least"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise InputError(f"{name}: expected a number between 0 and 1, got {getattr(self, name)}")
