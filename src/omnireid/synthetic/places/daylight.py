"""The light of a place at different hours: sun, clouds and dusk outside, lamps inside."""

from __future__ import annotations

import numpy as np

from omnireid.synthetic.optics.light import Lamp, Lighting
from omnireid.synthetic.places.place import Place

_HOURS = 4
Colour = tuple[float, float, float]


def draw_lights(generator: np.random.Generator, place: Place) -> tuple[Lighting, ...]:
    """The light at four hours, the brightest twenty times as bright as the darkest at most."""
    if place.indoor:
        return _lamps(generator, place)
    kinds = ("sun", "cloud", *generator.choice(["sun", "low sun", "cloud", "dusk", "night"], _HOURS - 2))
    return tuple(_outdoor(generator, place, str(kind)) for kind in kinds)


def _colour(level: float, warmth: float) -> Colour:
    """A white of a level; warmth −1 is blue, 1 is yellow."""
    return (level * (1.0 + 0.18 * warmth), level, level * (1.0 - 0.25 * warmth))


def _direction(generator: np.random.Generator, low: float, high: float) -> Colour:
    turn, up = generator.uniform(0, 2 * np.pi), np.radians(generator.uniform(low, high))
    return (float(np.cos(turn) * np.cos(up)), float(np.sin(turn) * np.cos(up)), float(np.sin(up)))


def _outdoor(generator: np.random.Generator, place: Place, kind: str) -> Lighting:
    draw = generator.uniform
    low, high = (8, 24) if kind == "low sun" else (28, 70)
    direction = _direction(generator, low, high)
    if kind in ("sun", "low sun"):
        sun = _colour(draw(0.7, 1.3), draw(0.0, 0.35) if kind == "sun" else draw(0.4, 1.0))
        sky, shadow = _colour(draw(0.22, 0.45), draw(-0.6, -0.1)), draw(0.75, 1.0)
        backdrop = _colour(draw(0.5, 1.0), draw(-0.8, 0.0))
    elif kind == "cloud":
        sun = _colour(draw(0.02, 0.2), 0.0)
        sky, shadow = _colour(draw(0.6, 1.0), draw(-0.25, 0.15)), draw(0.3, 0.8)
        backdrop = _colour(draw(0.6, 1.1), draw(-0.3, 0.1))
    else:
        level = draw(0.08, 0.2) if kind == "dusk" else draw(0.01, 0.04)
        sun, sky, shadow = _colour(0.2 * level, 0.5), _colour(level, draw(-0.8, 0.3)), 0.6
        backdrop = _colour(1.2 * level, draw(-0.8, 0.4))
    lit = kind in ("dusk", "night")
    lamps = _hung(generator, place, draw(4.0, 6.0), draw(5.0, 11.0), draw(-0.2, 1.2)) if lit else ()
    # What the ground throws back has the colour of stone.
    bounce = draw(0.12, 0.45)
    red, green, blue = (
        bounce * (0.55 * direct + 0.45 * above) for direct, above in zip(sun, sky, strict=True)
    )
    ground = (1.02 * red, green, 0.94 * blue)
    return Lighting(
        direction,
        sun,
        sky,
        ground,
        lamps,
        shadow=shadow,
        occlusion=float(draw(0.5, 1.0)),
        backdrop=backdrop,
        sky_direction=_direction(generator, 25, 90),
    )


def _lamps(generator: np.random.Generator, place: Place) -> tuple[Lighting, ...]:
    """Indoors: much light from the ceiling, some from windows at one side."""
    draw = generator.uniform
    warmth, level, windows = draw(-0.5, 0.9), draw(0.35, 0.75), draw(0.0, 0.6)
    turn = draw(0, 2 * np.pi)
    direction = (float(np.cos(turn)), float(np.sin(turn)), float(draw(0.5, 1.5)))
    height = min(place.ground.ceiling - 0.2, 5.0)
    lights = []
    for _ in range(_HOURS):
        day = draw(0.2, 1.0)
        sky = _colour(level * draw(0.8, 1.1), warmth)
        bounce = draw(0.2, 0.6)
        lights.append(
            Lighting(
                direction,
                _colour(windows * day, -0.2),
                sky,
                (sky[0] * bounce, sky[1] * bounce, sky[2] * bounce * 0.95),
                _hung(generator, place, height, draw(0.3, 1.6), warmth),
                shadow=float(draw(0.3, 0.8)),
                occlusion=float(draw(0.5, 1.0)),
                backdrop=_colour(0.4 * level, warmth),
                sky_direction=_direction(generator, 25, 90),
            )
        )
    return tuple(lights)


def _hung(
    generator: np.random.Generator, place: Place, height: float, level: float, warmth: float
) -> tuple[Lamp, ...]:
    """Four lamps over the ground."""
    length, width = place.ground.size
    return tuple(
        Lamp(
            (
                float(length * (k + 0.5) / 4 + generator.normal(0, 1)),
                float(width * generator.uniform(0.2, 0.8)),
                float(height),
            ),
            _colour(level * generator.uniform(0.5, 1.4), warmth),
        )
        for k in range(4)
    )
