"""Cuts of outfits: what they accept."""

from __future__ import annotations

import pytest

from omnireid.core.errors import InputError
from omnireid.synthetic.people import SLOTS, OutfitCut


def test_slots_are_distinct() -> None:
    assert len(SLOTS) == len(set(SLOTS)) > 10


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sleeve_length", 1.2),
        ("lower_length", 0.1),
        ("hair", "mohawk"),
        ("hat", "crown"),
        ("sole", float("nan")),
    ],
)
def test_a_cut_that_cannot_be_names_its_field(field: str, value: float | str) -> None:
    with pytest.raises(InputError, match=f"OutfitCut.{field}"):
        OutfitCut(**{field: value})  # type: ignore[arg-type]


def test_a_cut_with_changes_keeps_the_rest() -> None:
    cut = OutfitCut(hat="cap").replace(sleeve_length=0.3)
    assert (cut.hat, cut.sleeve_length, cut.lower) == ("cap", 0.3, "trousers")
