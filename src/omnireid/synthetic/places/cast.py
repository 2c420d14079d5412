"""Who is seen: a person's geometry and textures, made once and kept for all pictures of that person."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from omnireid.core.arrays import Int64
from omnireid.core.seeds import derive_seed, numpy_generator
from omnireid.synthetic.dress import Outfit, draw_dress_code, dress, gloss, outfit_of
from omnireid.synthetic.mesh import Mesh, TextureBank
from omnireid.synthetic.people import (
    SLOTS,
    OutfitCut,
    Pose,
    RiggedPerson,
    Shape,
    Style,
    build_person,
    draw_pose,
    draw_shape,
    draw_style,
    standing,
    walking,
)
from omnireid.synthetic.places.walks import Moment

# What somebody holds up or pushes is no part of what a detector boxes as a person.
_BESIDE = ("umbrella", "thing")
_KINDS = {"walk": 0.74, "phone": 0.07, "stand": 0.07, "wait": 0.05, "carry": 0.05, "lean": 0.02}
# Slower than this nobody walks, metres a second.
_SLOWEST = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class Actor:
    """A person ready to be posed.

    Attributes:
        bank: a row for each of the figure's slots.
        body: (N,) int64, the vertices of the body and of what is worn on it.
        style: how the person moves when nothing else is said.
    """

    rigged: RiggedPerson
    cut: OutfitCut
    bank: TextureBank
    body: Int64
    style: Style

    def draw_pose(self, generator: np.random.Generator) -> Pose:
        """A moment of what people do in streets, most often of walking."""
        kind = list(_KINDS)[int(generator.choice(len(_KINDS), p=list(_KINDS.values())))]
        return draw_pose(generator, kind, cut=self.cut)  # type: ignore[arg-type]

    def pose_of(self, moment: Moment) -> Pose:
        """How the person moves at a moment of a walk."""
        if moment.speed < _SLOWEST:
            return standing(self.style)
        return walking(2.0 * np.pi * moment.phase, moment.speed, self.style)

    def stand(self, pose: Pose, point: tuple[float, float], heading: float, owner: int) -> Mesh:
        """The person in the world: on the ground at `point` (metres), turned to `heading` (radians)."""
        cos, sin = np.cos(heading), np.sin(heading)
        turn = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
        return self.rigged.posed(pose).moved(turn, np.array([*point, 0.0])).marked(owner=owner)


@lru_cache(maxsize=96)
def cast(seed: int, group: str, number: int, world: int, *, coarse: bool = True) -> Actor:
    """Draw a person: body, clothes and what the clothes look like. A pure function of its arguments.

    Args:
        group: "person" or "passer".
        world: people of a world dress for the same season and occasion.
        coarse: geometry for figures of about a hundred pixels.
    """
    generator = numpy_generator(seed, group, number)
    shape = draw_shape(generator)
    code = draw_dress_code(numpy_generator(seed, "dress code", world))
    # Some of those with numbers near each other dress alike, as colleagues and friends do.
    outfit = outfit_of(derive_seed(seed, group, "clothes", world), number, shape, code)
    return actor_of(generator, shape, outfit, coarse=coarse)


def actor_of(generator: np.random.Generator, shape: Shape, outfit: Outfit, *, coarse: bool = True) -> Actor:
    """A body in an outfit, ready to be posed; `generator` draws how the person moves."""
    rigged = build_person(shape, outfit.cut, coarse=coarse)
    textures, shine = dress(outfit, shape), gloss(outfit)
    beside = np.isin(rigged.textures, [SLOTS.index(slot) for slot in _BESIDE])
    return Actor(
        rigged=rigged,
        cut=outfit.cut,
        bank=TextureBank.build([textures[slot] for slot in SLOTS], gloss=[shine[slot] for slot in SLOTS]),
        body=np.unique(rigged.faces[~beside]).astype(np.int64),
        style=draw_style(generator, outfit.cut),
    )
