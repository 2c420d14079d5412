"""How far augmentations go: choices of a recipe and their defaults."""

from __future__ import annotations

from pydantic import Field

from omnireid.core.closed import ClosedModel


class Appearance(ClosedModel):
    """How far pictures become those of other cameras, where the augmentations of these names are on.

    Attributes:
        color_shift: factor of all ranges that colours are shifted by (`appearance.draw_color_shift`).
        grey: share of the pictures that lose their colours.
        coarsen: the least size, of height and width, that a picture is shrunk to.
        levels: factor of how far black and white are moved (`appearance.draw_levels`).
        sharpen: factor of how much edges are exaggerated at most (`appearance.SHARPENING`).
    """

    color_shift: float = Field(1.0, ge=0, le=2)
    grey: float = Field(0.1, ge=0, le=1)
    coarsen: float = Field(0.4, ge=0.05, le=1)
    levels: float = Field(1.0, ge=0, le=1.5)
    sharpen: float = Field(1.0, ge=0, le=4)
