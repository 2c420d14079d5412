"""What is rendered: options and their defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from omnireid.core.errors import InputError, UnknownNameError

MAX_CAMERAS = 9  # a Market-1501 file name has one digit for the camera
MAX_MIXED_WORLDS = 24  # each process holds all of them, about 40 MB each

Style = Literal["flat", "mesh"]


@dataclass(frozen=True, slots=True)
class World:
    """Everything the pictures of one dataset share.

    Attributes:
        seed: the number from which all else follows.
        height, width: size of the pictures.
    """

    seed: int
    num_cameras: int = 4
    height: int = 256
    width: int = 128

    def __post_init__(self) -> None:
        if not 1 <= self.num_cameras <= MAX_CAMERAS:
            raise InputError(f"num_cameras: 1 to {MAX_CAMERAS}, got {self.num_cameras}")
        if not (32 <= self.height <= 1024 and 16 <= self.width <= 1024):
            raise InputError(f"height and width: 32×16 to 1024×1024, got {self.height}×{self.width}")


@dataclass(frozen=True)
class RenderOptions:
    """What makes a rendered dataset; two datasets with equal options are equal byte for byte.

    Attributes:
        seed: the number from which all else follows; another seed is another population and other cameras.
        num_train_pids, num_test_pids: identities; no person is in both.
        num_cameras: 2 to 9.
        crops_per_camera: pictures of each identity by each camera; of a test identity one is a query.
        num_distractors: pictures in the gallery that belong to no query (pid 0).
        num_junk: boxes that cut a test identity badly (pid −1); scoring ignores them.
        height, width: size of the pictures, in pixels.
        first_pid: number of the first identity; others of the same seed are other people in the same world.
        style: "flat", figures painted in front of a picture; "mesh", bodies of triangles in a place.
        people_per_world: of style "mesh", how many people in a row of pids share places and cameras; the next
            ones live in another world, whose cameras have the same numbers. 0: all share one.
        mixed_worlds: of style "mesh", each camera of a person is drawn from so many worlds, so that what is
            behind somebody says nothing of who it is; people in a row only dress alike. 0: it is one world's.
    """

    seed: int = 1
    num_train_pids: int = 400
    num_test_pids: int = 100
    num_cameras: int = 4
    crops_per_camera: int = 4
    num_distractors: int = 40
    num_junk: int = 20
    height: int = 256
    width: int = 128
    first_pid: int = 1
    style: Style = "flat"
    people_per_world: int = 0
    mixed_worlds: int = 0

    def __post_init__(self) -> None:
        self.world  # noqa: B018 (checks cameras and size)
        if self.style not in get_args(Style):
            raise UnknownNameError("style", self.style, get_args(Style))
        for name in ("people_per_world", "mixed_worlds"):
            if self.style == "flat" and getattr(self, name):
                raise InputError(
                    f"{name}: {getattr(self, name)} has no effect with style flat; leave it out, or take "
                    "style mesh"
                )
        if not 0 <= self.mixed_worlds <= MAX_MIXED_WORLDS:
            raise InputError(f"mixed_worlds: 0 to {MAX_MIXED_WORLDS}, got {self.mixed_worlds}")
        if self.num_cameras < 2:
            raise InputError(
                f"num_cameras: at least 2, got {self.num_cameras}: a match must come from another camera"
            )
        for name in ("num_train_pids", "num_test_pids", "num_distractors", "num_junk", "people_per_world"):
            if getattr(self, name) < 0:
                raise InputError(f"{name}: 0 or more, got {getattr(self, name)}")
        if self.first_pid < 1:
            raise InputError(f"first_pid: 1 or more, got {self.first_pid}")
        if self.num_train_pids + self.num_test_pids == 0:
            raise InputError("num_train_pids and num_test_pids are both 0: nothing to render")
        least = 2 if self.num_test_pids else 1
        if self.crops_per_camera < least:
            raise InputError(
                f"crops_per_camera: at least {least}, got {self.crops_per_camera}: one of a test identity's "
                "is the query, the others its gallery"
            )

    @property
    def next_pid(self) -> int:
        """The first number that nobody in it has, people among the distractors included."""
        people = self.num_train_pids + self.num_test_pids + (self.num_distractors + 1) // 2
        return self.first_pid + people

    @property
    def world(self) -> World:
        """The world that they live in."""
        return World(self.seed, self.num_cameras, self.height, self.width)


@dataclass(frozen=True)
class SwapOptions:
    """What makes pictures of people who change clothes and lend them; equal options give equal pictures.

    Attributes:
        seed: the number from which all else follows.
        num_groups: of two people and two sets of clothes; each person is seen in each of them.
        num_cameras: 2 to 9; each takes one picture of each person in each set of clothes.
        height, width: of the pictures, pixels.
    """

    seed: int = 1
    num_groups: int = 100
    num_cameras: int = 4
    height: int = 256
    width: int = 128

    def __post_init__(self) -> None:
        World(self.seed, self.num_cameras, self.height, self.width)
        if self.num_cameras < 2:
            raise InputError(f"num_cameras: at least 2, got {self.num_cameras}: pairs are of two cameras")
        if not 2 <= self.num_groups <= 10_000:
            raise InputError(f"num_groups: 2 to 10,000, got {self.num_groups}")


@dataclass(frozen=True)
class FilmOptions:
    """What makes films of a camera network; equal options give equal frames and equal truth.

    Attributes:
        seed: the number from which all else follows.
        num_cameras: 1 to 9.
        num_people: who comes and goes in that time; about a third of them are there at once.
        minutes, fps: length, and frames a second.
        num_places: places that the cameras are spread over; cameras of one place may see the same ground.
        width, height: of a frame, pixels; even, as the codec wants it.
        overlap: whether all cameras of a place see common ground; at least two hang in each.
    """

    seed: int = 1
    num_cameras: int = 4
    num_people: int = 30
    minutes: float = 5.0
    fps: float = 10.0
    num_places: int = 1
    width: int = 960
    height: int = 540
    overlap: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.num_cameras <= MAX_CAMERAS:
            raise InputError(f"num_cameras: 1 to {MAX_CAMERAS}, got {self.num_cameras}")
        if not 1 <= self.num_places <= self.num_cameras:
            raise InputError(f"num_places: 1 to {self.num_cameras} (the cameras), got {self.num_places}")
        if self.overlap and 2 * self.num_places > self.num_cameras:
            raise InputError(
                f"overlap: at least two cameras in each place, got {self.num_cameras} cameras in "
                f"{self.num_places} places"
            )
        if not 1 <= self.num_people <= 1_000:
            raise InputError(f"num_people: 1 to 1,000, got {self.num_people}")
        if not (0 < self.minutes <= 24 * 60 and 0 < self.fps <= 120):
            raise InputError(f"minutes: 0 to 1,440, fps: 0 to 120; got {self.minutes}, {self.fps}")
        if self.num_frames < 1:
            raise InputError(f"{self.minutes} minutes of {self.fps} frames a second are not one frame")
        if not (
            64 <= self.width <= 3840 and 64 <= self.height <= 2160 and self.width % 2 == self.height % 2 == 0
        ):
            raise InputError(f"width and height: even, 64×64 to 3840×2160, got {self.width}×{self.height}")

    @property
    def num_frames(self) -> int:
        """Frames of each camera."""
        return round(self.minutes * 60 * self.fps)
