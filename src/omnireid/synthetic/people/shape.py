"""How people differ in build: what is drawn, and the body that follows from it.

Statures by age and sex: WHO growth references (2006, 2007) and national surveys of adults, rounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from omnireid.core.arrays import Float64
from omnireid.core.errors import InputError
from omnireid.synthetic.people.assets import Assets, assets

_AGE_YEARS: Final = (1.0, 11.0, 25.0, 85.0)  # of MakeHuman's baby, child, young, old
_ANCHORS: Final[dict[str, tuple[float, ...]]] = {
    "gender": (0.0, 1.0),
    "age": _AGE_YEARS,
    "muscle": (0.0, 0.5, 1.0),
    "weight": (0.0, 0.5, 1.0),
    "height": (0.0, 1.0),
    "proportions": (0.0, 1.0),
    "cupsize": (0.0, 0.5, 1.0),
    "firmness": (0.0, 0.5, 1.0),
}
# MakeHuman's phenotype "weight" of the thinnest, the middle and the heaviest of us. Its own 0 to 1 is
# narrower than
# people in a street are.
_WEIGHTS: Final = (-0.15, 0.5, 1.9)
_STATURE_YEARS: Final = (3.0, 6.0, 9.0, 12.0, 14.0, 16.0, 18.0, 60.0, 85.0)
_STATURE_MALE: Final = (0.96, 1.16, 1.33, 1.49, 1.63, 1.73, 1.765, 1.755, 1.70)
_STATURE_FEMALE: Final = (0.95, 1.15, 1.33, 1.51, 1.59, 1.625, 1.635, 1.62, 1.56)


@dataclass(frozen=True, slots=True)
class Shape:
    """A person's build, without clothes.

    Attributes:
        age: in years, 3 to 90.
        gender: 0 male to 1 female, shares between.
        stature: metres from sole to crown, barefoot.
        weight, muscle, proportions, cupsize, firmness: 0 to 1, 0.5 is the middle.
        ancestry: shares of African, Asian and European features, their sum is 1.
    """

    age: float = 35.0
    gender: float = 0.0
    stature: float = 1.74
    weight: float = 0.5
    muscle: float = 0.5
    proportions: float = 0.5
    cupsize: float = 0.5
    firmness: float = 0.5
    ancestry: tuple[float, float, float] = (0.33, 0.33, 0.34)

    def __post_init__(self) -> None:
        limits = {"age": (3.0, 90.0), "stature": (0.8, 2.2)}
        for name in ("age", "gender", "stature", "weight", "muscle", "proportions", "cupsize", "firmness"):
            least, most = limits.get(name, (0.0, 1.0))
            if not least <= getattr(self, name) <= most:
                raise InputError(f"Shape.{name}: {least:g} to {most:g}, got {getattr(self, name)!r}")
        if len(self.ancestry) != 3 or min(self.ancestry) < 0 or abs(sum(self.ancestry) - 1) > 1e-6:
            raise InputError(f"Shape.ancestry: three shares whose sum is 1, got {self.ancestry!r}")


def draw_shape(generator: np.random.Generator) -> Shape:
    """A build as people in the street have it: mostly adults, children and the old among them."""
    kind = generator.random()
    if kind < 0.07:
        age = generator.uniform(4, 16)
    elif kind < 0.88:
        age = generator.uniform(17, 60)
    else:
        age = generator.uniform(60, 88)
    female = generator.random() < 0.5
    gender = float(np.clip(generator.normal(0.92 if female else 0.08, 0.07), 0, 1))
    main = int(generator.choice(3, p=[0.22, 0.36, 0.42]))
    mixed = generator.random() < 0.2
    ancestry = generator.dirichlet([0.4] * 3) * (0.6 if mixed else 0.15)
    ancestry[main] += 1 - ancestry.sum()
    stature = float(np.interp(age, _STATURE_YEARS, _STATURE_FEMALE if female else _STATURE_MALE))
    stature *= 1 + 0.039 * float(np.clip(generator.normal(), -2.6, 2.6)) - 0.018 * float(ancestry[1])
    # Adults put on weight; few are thin, some are very heavy.
    middle = 0.44 + 0.12 * min(max((age - 20) / 40, 0), 1)
    weight = float(np.clip(generator.normal(middle, 0.17) + 0.25 * max(generator.normal(-1.2), 0), 0, 1))
    muscle = float(np.clip(generator.normal(0.42 if female else 0.56, 0.14) - max(age - 60, 0) / 150, 0, 1))
    return Shape(
        age=age,
        gender=gender,
        stature=stature,
        weight=weight,
        muscle=muscle,
        proportions=float(np.clip(generator.normal(0.55, 0.2), 0, 1)),
        cupsize=float(np.clip(generator.normal(0.48, 0.2), 0, 1)) if female else 0.3,
        firmness=float(np.clip(generator.normal(0.55, 0.15) - max(age - 50, 0) / 120, 0, 1)),
        ancestry=(float(ancestry[0]), float(ancestry[1]), float(1 - ancestry[0] - ancestry[1])),
    )


def _interpolation(value: float, anchors: tuple[float, ...]) -> Float64:
    """(A,) weights of the two anchors beside a value; beyond the ends they go on in a straight line."""
    upper = min(max(int(np.searchsorted(anchors, value)), 1), len(anchors) - 1)
    share = (value - anchors[upper - 1]) / (anchors[upper] - anchors[upper - 1])
    weights = np.zeros(len(anchors))
    weights[upper - 1], weights[upper] = 1 - share, share
    return weights


def blend_weights(shape: Shape, height: float, body: Assets) -> Float64:
    """(K,) weight of each blend shape: the product of the weights of its variations, as MakeHuman has it."""
    values = {
        "gender": shape.gender,
        "age": shape.age,
        "muscle": shape.muscle,
        "weight": float(np.interp(shape.weight, (0.0, 0.5, 1.0), _WEIGHTS)),
        "height": height,
        "proportions": shape.proportions,
        "cupsize": shape.cupsize,
        "firmness": shape.firmness,
    }
    shares = np.concatenate(
        [
            np.array(shape.ancestry),
            *(_interpolation(values[name], anchors) for name, anchors in _ANCHORS.items()),
        ]
    )
    result: Float64 = np.where(body.masks, shares, 1.0).prod(1)
    return result


def body_points(shape: Shape) -> Float64:
    """(V + L, 3) float64 vertices and landmarks of a person, in metres, of exactly the stature asked for.

    Stature is linear in the phenotype `height`, so that it is solved for; what its range leaves is scaled.
    """
    body = assets()
    crown, soles = body.landmarks["crown"], [body.landmarks[f"sole_heel_{s}"] for s in ("l", "r")]
    extremes = []
    for height in (0.0, 1.0):
        weights = blend_weights(shape, height, body)
        extremes.append(np.einsum("k,kr->r", weights, body.projection[:-1]) + body.projection[-1])

    def stature_of(components: Float64) -> float:
        rows = [crown, *soles]
        z = body.mean[rows, 2] + np.einsum("r,rn->n", components, body.basis[:, rows, 2])
        return float(z[0] - z[1:].mean())

    low, high = (stature_of(components) for components in extremes)
    share = float(np.clip((shape.stature - low) / (high - low), 0.0, 1.0))
    components = extremes[0] + share * (extremes[1] - extremes[0])
    # Not by BLAS: waking its threads takes ten times as long, and sums must not hang on their number.
    points: Float64 = body.mean + np.einsum("r,rnx->nx", components.astype(np.float32), body.basis)
    points *= shape.stature / stature_of(components)
    points[:, 2] -= points[soles, 2].mean()
    return points
