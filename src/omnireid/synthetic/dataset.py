"""A dataset of rendered people on disk, in the layout of Market-1501.

Every picture is a pure function of the seed and its own pid, camera and index, so neither the number of
workers nor an interruption changes a byte. `card.json` is written last: where it is, the dataset is whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import Protocol

from rich.console import Console

from omnireid.core.errors import InputError
from omnireid.core.files import write_bytes
from omnireid.core.machine import available_cores
from omnireid.core.seeds import derive_seed
from omnireid.core.types import DISTRACTOR_PID, JUNK_PID, Dataset, Sample, Split
from omnireid.synthetic.opencv import cv2
from omnireid.synthetic.options import RenderOptions
from omnireid.synthetic.production import claim, finish, in_processes

# A style's module offers `STYLE`, one of these.
_MODULES = {"flat": "omnireid.synthetic.crop", "mesh": "omnireid.synthetic.places.crops"}
FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}

_END_OF_JPEG = b"\xff\xd9"
_CHUNK = 32
# Options that came later than the first datasets: their defaults are not written, so that those stay whole.
_LATER = ("first_pid", "style", "people_per_world", "mixed_worlds")


class PictureStyle(Protocol):
    """One way to draw people.

    Attributes:
        version: of its pictures: another one gives other bytes.
        description: what a dataset's card says.
    """

    version: int
    description: str

    def jpeg(self, options: RenderOptions, subject: int, camid: int, index: int, content: str) -> bytes:
        """One picture, a pure function of its arguments; `content` is person, part or background."""
        ...


def picture_style(options: RenderOptions) -> PictureStyle:
    """How the pictures of a dataset are drawn."""
    style: PictureStyle = import_module(_MODULES[options.style]).STYLE
    return style


@dataclass(frozen=True, slots=True)
class PlannedCrop:
    """One picture to be: `subject` is who or what is drawn, `pid` what the file name says."""

    path: str
    pid: int
    camid: int
    subject: int
    index: int
    content: str


def plan_dataset(options: RenderOptions) -> dict[str, tuple[PlannedCrop, ...]]:
    """Which pictures a dataset consists of: split name to pictures, in the order of their file names."""
    splits: dict[str, list[PlannedCrop]] = {name: [] for name in FOLDERS}
    first_test = options.first_pid + options.num_train_pids
    for pid in range(options.first_pid, first_test + options.num_test_pids):
        for camid in range(options.num_cameras):
            for index in range(options.crops_per_camera):
                split = "train" if pid < first_test else ("query" if index == 0 else "gallery")
                splits[split].append(_planned(options, split, pid, camid, pid, index, "person"))
    if options.num_test_pids:
        strangers = first_test + options.num_test_pids
        for number in range(options.num_distractors):
            camid = number % options.num_cameras
            # Half are people nobody asks for, half are boxes without a person, as detectors give them.
            content = "background" if number % 2 else "person"
            splits["gallery"].append(
                _planned(options, "gallery", DISTRACTOR_PID, camid, strangers + number // 2, number, content)
            )
        for number in range(options.num_junk):
            camid = number % options.num_cameras
            subject = first_test + (number // options.num_cameras) % options.num_test_pids
            index = options.crops_per_camera + number
            splits["gallery"].append(_planned(options, "gallery", JUNK_PID, camid, subject, index, "part"))
    return {name: tuple(sorted(crops, key=lambda crop: crop.path)) for name, crops in splits.items()}


def _planned(
    options: RenderOptions, split: str, pid: int, camid: int, subject: int, index: int, content: str
) -> PlannedCrop:
    # A walk past a camera starts at some frame; its pictures are a dozen frames apart.
    frame = derive_seed(options.seed, "frame", subject, camid) % 90_000 + 12 * index
    name = f"-1_c{camid + 1}" if pid == JUNK_PID else f"{pid:04d}_c{camid + 1}"
    path = f"{FOLDERS[split]}/{name}s1_{frame:06d}_{index:02d}.jpg"
    return PlannedCrop(path, pid, camid, subject, index, content)


def render_dataset(
    root: str | os.PathLike[str],
    options: RenderOptions = RenderOptions(),
    *,
    workers: int | None = None,
    console: Console | None = None,
) -> Dataset:
    """Render a dataset into `root`, or complete one that was interrupted there.

    Args:
        root: a new or empty folder, or one that holds this very dataset, whole or begun.
        options: What is rendered.
        workers: processes; None takes the cores available. 1 renders in this process. With more, a script
            must call this under `if __name__ == "__main__":`, as new processes import it.
        console: where a progress bar is shown; None shows none.

    Returns:
        The dataset, its samples in file-name order. Junk is on disk, yet in no split, as readers skip it.

    Raises:
        InputError: workers out of range.
        DatasetError: `root` holds something else, or a dataset of other options.
        StorageError: the disk is full or cannot be written; run it again to complete the dataset.
    """
    cores = available_cores()
    workers = cores if workers is None else workers
    if workers < 1:
        raise InputError(f"workers: at least 1, got {workers}")
    folder = Path(root)
    plan = plan_dataset(options)
    if not claim(folder, _identity(options)):
        missing = [crop for crops in plan.values() for crop in crops if not _is_whole(folder / crop.path)]
        _render_all(folder, options, missing, min(workers, cores), console)
        finish(folder, _card(options, plan))
    return _dataset(folder, plan)


def _identity(options: RenderOptions) -> dict[str, object]:
    usual = {field.name: field.default for field in fields(RenderOptions)}
    known = {
        name: value for name, value in asdict(options).items() if name not in _LATER or value != usual[name]
    }
    return {"renderer_version": picture_style(options).version, "options": known}


def _is_whole(path: Path) -> bool:
    """Whether a picture is there with its end; pictures appear under their name only when written."""
    try:
        with path.open("rb") as stream:
            stream.seek(-2, os.SEEK_END)
            return stream.read() == _END_OF_JPEG
    except OSError:
        return False


def _render_all(
    folder: Path, options: RenderOptions, crops: list[PlannedCrop], workers: int, console: Console | None
) -> None:
    for name in FOLDERS.values():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for leftover in (folder / name).glob(".*.tmp"):
            leftover.unlink(missing_ok=True)
    chunks = _chunks(options, crops)
    in_processes(
        render_chunk,
        [(str(folder), options, chunk) for chunk in chunks],
        workers=workers,
        console=console,
        title="Rendering people",
        total=len(crops),
    )


def _chunks(options: RenderOptions, crops: list[PlannedCrop]) -> list[list[PlannedCrop]]:
    """Work for one process at a time: one person after the other, so that clothes are woven once.

    Of worlds that are not mixed, a chunk is of one, so that not every process builds each.
    """
    ordered = sorted(crops, key=lambda crop: (crop.subject, crop.camid, crop.index))
    if options.mixed_worlds or not options.people_per_world:
        return [ordered[start : start + _CHUNK] for start in range(0, len(ordered), _CHUNK)]
    chunks: dict[int, list[PlannedCrop]] = {}
    for crop in ordered:
        chunks.setdefault(crop.subject // options.people_per_world, []).append(crop)
    return list(chunks.values())


def render_chunk(folder: str, options: RenderOptions, crops: list[PlannedCrop]) -> Iterator[int]:
    """Render and write some pictures, one at a time; yields 1 for each."""
    style = picture_style(options)
    for crop in crops:
        content = style.jpeg(options, crop.subject, crop.camid, crop.index, crop.content)
        write_bytes(Path(folder) / crop.path, content, durable=False)
        yield 1


def _card(options: RenderOptions, plan: dict[str, tuple[PlannedCrop, ...]]) -> dict[str, object]:
    return {
        "name": "rendered people",
        "description": picture_style(options).description,
        "licence": "CC0-1.0",
        "people": "No real person is shown or was used. Results on this data say nothing about real people.",
        "layout": "Market-1501",
        **_identity(options),
        "opencv_version": cv2.__version__,
        "splits": {
            name: {
                "images": len(crops),
                "pids": len({crop.pid for crop in crops if crop.pid > 0}),
                "distractors": sum(crop.pid == DISTRACTOR_PID for crop in crops),
                "junk": sum(crop.pid == JUNK_PID for crop in crops),
            }
            for name, crops in plan.items()
        },
    }


def _dataset(folder: Path, plan: dict[str, tuple[PlannedCrop, ...]]) -> Dataset:
    def split(name: str) -> Split:
        return Split(
            name,
            tuple(
                Sample(str(folder / crop.path), crop.pid, crop.camid)
                for crop in plan[name]
                if crop.pid != JUNK_PID
            ),
        )

    return Dataset(
        name="rendered",
        root=str(folder),
        train=split("train"),
        query=split("query"),
        gallery=split("gallery"),
    )
