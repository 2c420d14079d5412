"""Crops of people in places: same seed, same bytes; worlds; what a box shows."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from omnireid import read_dataset
from omnireid.core.errors import DatasetError, InputError, UnknownNameError
from omnireid.core.types import Dataset
from omnireid.synthetic.dataset import render_dataset
from omnireid.synthetic.options import RenderOptions
from omnireid.synthetic.places import crops
from omnireid.synthetic.places.crops import render_crop

SMALL = RenderOptions(
    seed=3, num_train_pids=3, num_test_pids=1, num_cameras=2, crops_per_camera=2, num_distractors=2,
    num_junk=1, height=64, width=32, style="mesh", people_per_world=3,
)  # fmt: skip


def picture(subject: int, camid: int, index: int, content: str) -> np.ndarray:
    jpeg = np.frombuffer(render_crop(SMALL, subject, camid, index, content=content), np.uint8)
    return np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR)).astype(np.float64)


def digests(root: str) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in Path(root).rglob("*.jpg")}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return render_dataset(tmp_path_factory.mktemp("places") / "small", SMALL, workers=1)


def test_the_folder_is_read_as_any_other(dataset: Dataset) -> None:
    read = read_dataset("market-layout", dataset.root)
    assert [len(split) for split in read.splits] == [3 * 2 * 2, 2, 2 + 2]
    shown = cv2.imread(read.train.samples[0].path)
    assert shown is not None
    assert shown.shape == (64, 32, 3)


def test_two_processes_and_a_smaller_dataset_give_the_same_bytes(dataset: Dataset, tmp_path: Path) -> None:
    again = render_dataset(tmp_path / "again", SMALL, workers=2)
    assert digests(again.root) == digests(dataset.root)
    name = "0003_c2"
    wanted = list(Path(dataset.root).rglob(f"{name}*_01.jpg"))
    assert render_crop(SMALL, 3, 1, 1) == wanted[0].read_bytes()


def test_another_style_in_the_same_folder_is_refused(dataset: Dataset) -> None:
    flat = RenderOptions(**{**SMALL.__dict__, "style": "flat", "people_per_world": 0})
    with pytest.raises(DatasetError, match="style mesh, not the default"):
        render_dataset(dataset.root, flat, workers=1)


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'mesh'"):
        RenderOptions(style="mash")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="people_per_world: 3 has no effect with style flat"):
        RenderOptions(people_per_world=3)
    with pytest.raises(InputError, match="mixed_worlds: 2 has no effect with style flat"):
        RenderOptions(mixed_worlds=2)
    with pytest.raises(InputError, match="mixed_worlds: 0 to 24, got 25"):
        RenderOptions(style="mesh", mixed_worlds=25)


def test_people_of_one_world_share_its_cameras_and_the_next_world_has_others() -> None:
    first, again, other = (crops._network(SMALL.seed, number, 2) for number in (0, 0, 1))
    assert first is again
    for camera, another in zip(first.cameras, other.cameras, strict=True):
        assert not np.allclose(camera.pinhole.position, another.pinhole.position)
    assert first.cameras[0].sensor != first.cameras[1].sensor


def test_mixed_worlds_put_neighbours_before_other_cameras(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[tuple[int, int], int] = {}
    of_world = crops._network

    def noted(seed: int, number: int, num_cameras: int) -> crops.Network:
        asked[now] = number
        return of_world(seed, number, num_cameras)

    monkeypatch.setattr(crops, "_network", noted)
    options = replace(SMALL, mixed_worlds=2)
    for now in ((subject, camid) for subject in (1, 2) for camid in (0, 1)):
        again = render_crop(options, *now, 0)
        assert render_crop(options, *now, 0) == again
    assert set(asked.values()) == {0, 1}
    # Both are of one community, and no camera is theirs alone.
    assert [asked[1, 0], asked[1, 1]] != [asked[2, 0], asked[2, 1]]


def test_the_person_fills_the_middle_of_the_box() -> None:
    """What differs between the picture with and without the person lies in the middle, from top to bottom."""
    shares = []
    for index in range(6):
        with_person, without = (picture(2, 0, index, content) for content in ("person", "background"))
        shares.append(np.abs(with_person - without).mean(axis=2))
    difference = np.mean(shares, axis=0)
    middle, sides = (
        difference[:, 10:22].mean(),
        np.r_[difference[:, :4].ravel(), difference[:, -4:].ravel()].mean(),
    )
    assert middle > 1.7 * sides
    assert difference[4:16].mean() > 5
    assert difference[48:60].mean() > 5


def test_what_surrounds_a_person_does_not_depend_on_who_it_is() -> None:
    """A sighting draws from a stream of its own."""
    network = crops._network(SMALL.seed, 0, 2)
    camera = network.cameras[0]
    sightings = [
        crops.draw_sighting(np.random.default_rng(seed), network, camera, part=False) for seed in (1, 1, 2)
    ]
    assert sightings[0] == sightings[1] != sightings[2]


def test_nobody_is_drawn_whom_something_hides() -> None:
    """Of people in boxes at least the share is seen that was asked for: checked by drawing them alone."""
    network = crops._network(SMALL.seed, 0, 2)
    for camera in network.cameras:
        heights = camera.spots.heights
        assert heights.min() >= 64
        place = network.places[camera.place]
        assert place.is_free(camera.spots.points, 0.0).mean() > 0.97
