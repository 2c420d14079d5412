"""The geometry of people: bodies of MakeHuman's assets (CC0), poses, garments, hair, things carried.

Body frame: origin on the ground below the pelvis, x forward, y to the person's left, z up, metres.
"""

from omnireid.synthetic.people.assets import FACE_LANDMARKS
from omnireid.synthetic.people.outfit import SLOTS, OutfitCut
from omnireid.synthetic.people.person import build_person
from omnireid.synthetic.people.pose import (
    Pose,
    Style,
    draw_pose,
    draw_style,
    standing,
    stride_length,
    walking,
)
from omnireid.synthetic.people.rigged import RiggedPerson
from omnireid.synthetic.people.shape import Shape, draw_shape

__all__ = [
    "FACE_LANDMARKS",
    "SLOTS",
    "OutfitCut",
    "Pose",
    "RiggedPerson",
    "Shape",
    "Style",
    "build_person",
    "draw_pose",
    "draw_shape",
    "draw_style",
    "standing",
    "stride_length",
    "walking",
]
