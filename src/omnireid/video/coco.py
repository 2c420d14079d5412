"""Boxes of people in COCO's JSON: a list of results, or a data set with its annotations."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from omnireid.core.errors import DatasetError
from omnireid.video.boxes import Boxes
from omnireid.video.mot import read_mot
from omnireid.video.reading import by_number

_PERSON = 1


def read_boxes(path: str | os.PathLike[str]) -> dict[int, Boxes]:
    """Boxes of each frame that has any, from MOT text or, of a file that ends in .json, COCO's JSON.

    Raises:
        DatasetError: It is not there, or is neither.
    """
    return read_coco(path) if Path(path).suffix.lower() == ".json" else read_mot(path).detections()


def read_coco(path: str | os.PathLike[str]) -> dict[int, Boxes]:
    """Boxes of people by frame, counted from 1.

    Of a list of results the frame is `image_id`, and category 1 is people's. Of a data set, frames are its
    images in order of their `file_name`s, and people's is the category of that name; crowds are left out.

    Raises:
        DatasetError: It is not there, or no such JSON.
    """
    file = Path(path)
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{file}: cannot be read as COCO's JSON: {error}") from error
    try:
        if isinstance(content, list):
            return _by_frame([(int(entry["image_id"]), entry) for entry in content], {_PERSON})
        images = sorted(content["images"], key=lambda image: by_number(image["file_name"]))
        frames = {image["id"]: number for number, image in enumerate(images, 1)}
        people = {entry["id"] for entry in content["categories"] if entry["name"] == "person"}
        entries = [entry for entry in content["annotations"] if not entry.get("iscrowd")]
        return _by_frame([(frames[entry["image_id"]], entry) for entry in entries], people)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise DatasetError(
            f"{file}: expected a list of results (image_id, category_id, bbox, score) or a data set (images, "
            f"categories, annotations): {type(error).__name__} {error}"
        ) from error


def _by_frame(entries: list[tuple[int, Mapping[str, Any]]], people: set[int]) -> dict[int, Boxes]:
    rows: dict[int, list[tuple[float, ...]]] = {}
    for frame, entry in entries:
        if entry["category_id"] in people:
            left, top, width, height = map(float, entry["bbox"])
            row = (left, top, left + width, top + height, float(entry.get("score", 1.0)))
            rows.setdefault(frame, []).append(row)
    tables = {frame: np.array(values, np.float32) for frame, values in sorted(rows.items())}
    return {frame: Boxes(table[:, :4], table[:, 4]) for frame, table in tables.items()}
