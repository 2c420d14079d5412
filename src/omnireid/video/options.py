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
