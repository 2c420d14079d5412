"""A complete design of people and clothes: what differs is what is said to, and nothing else."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import pytest

from omnireid.core.errors import DatasetError, InputError
from omnireid.synthetic.dress.look_alikes import same_clothes, same_person
from omnireid.synthetic.options import SwapOptions
from omnireid.synthetic.places.swaps import draw_quartet, render_swaps

SMALL = SwapOptions(seed=5, num_groups=2, num_cameras=2, height=64, width=32)


@pytest.mark.parametrize("group", range(12))
def test_people_and_clothes_of_a_group_are_crossed(group: int) -> None:
    quartet = draw_quartet(9, group)
    cells = [(person, worn) for person in (0, 1) for worn in (0, 1)]
    for (person, worn), (other, other_worn) in itertools.combinations(cells, 2):
        first, second = quartet.outfits[person][worn], quartet.outfits[other][other_worn]
        assert same_person(first, second) == (person == other)
        assert same_clothes(first, second) == (worn == other_worn)
    first, second = quartet.shapes
    assert first != second
    assert (first.gender > 0.5) == (second.gender > 0.5)


def test_pictures_are_of_the_whole_design_and_made_once(tmp_path: Path) -> None:
    pictures = render_swaps(tmp_path / "swaps", SMALL, workers=1)
    assert len(pictures) == 2 * 2 * 2 * 2
    assert len({(one.group, one.person, one.clothes, one.camid) for one in pictures}) == len(pictures)
    contents = {one.path: Path(one.path).read_bytes() for one in pictures}
    assert len(set(contents.values())) == len(pictures)
    shown = cv2.imread(pictures[0].path)
    assert shown is not None
    assert shown.shape == (64, 32, 3)
    # Interrupted and gone on with, the bytes are those of the first time.
    (tmp_path / "swaps" / "card.json").rename(tmp_path / "swaps" / ".rendering.json")
    Path(pictures[5].path).unlink()
    again = render_swaps(tmp_path / "swaps", SMALL, workers=1)
    assert {one.path: Path(one.path).read_bytes() for one in again} == contents
    with pytest.raises(DatasetError, match="num_groups 2, not 3"):
        render_swaps(tmp_path / "swaps", SwapOptions(5, 3, 2, 64, 32), workers=1)


@pytest.mark.parametrize("bad", [{"num_cameras": 1}, {"num_groups": 1}, {"height": 8}])
def test_a_design_that_cannot_be_measured_is_refused(bad: dict[str, int]) -> None:
    with pytest.raises(InputError, match=next(iter(bad))):
        SwapOptions(**bad)
