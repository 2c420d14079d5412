"""The head, its hands' skin, hair, and what is worn on the head."""

from __future__ import annotations

import numpy as np

from omnireid.core.arrays import Float64
from omnireid.synthetic.people.body import Body
from omnireid.synthetic.people.outfit import OutfitCut
from omnireid.synthetic.people.pieces import Piece


def head_and_hands(body: Body) -> list[Piece]:
    """The face with the neck, and both hands."""
    a, chart = body.assets, body.charts
    weights = a.skin_weights.astype(np.float64)
    kind = "_coarse" if body.coarse else ""
    uvs = np.stack([chart.around_head, np.clip(chart.head_down, 0, 0.999)], 1)
    everything = Piece("face", body.points, a.faces["head" + kind], uvs, a.skin_bones, weights)
    face = everything.faces_where(np.ones(len(everything.faces), bool))
    uvs = np.stack([chart.around_arm, np.clip((chart.along - 0.97) / 0.42, 0, 0.999)], 1)
    everything = Piece("hand", body.points, a.faces["hands" + kind], uvs, a.skin_bones, weights)
    return [face, everything.faces_where(np.ones(len(everything.faces), bool))]


def hairline(u: Float64) -> Float64:
    """v of the hair's lower border around the head: forehead, temples, over the ears, nape."""
    behind = np.abs(u - 0.5) * 2  # 0 in front, 1 behind
    knots = [0, 0.16, 0.26, 0.33, 0.40, 0.46, 0.52, 0.60, 0.70, 1.0]
    values = [0.185, 0.20, 0.26, 0.36, 0.44, 0.46, 0.42, 0.52, 0.66, 0.68]
    result: Float64 = np.interp(behind, knots, values)
    return result


def hair_and_hat(body: Body, cut: OutfitCut) -> list[Piece]:
    a, chart = body.assets, body.charts
    pieces: list[Piece] = []
    if cut.hair != "bald":
        faces = a.faces["head_coarse" if body.coarse else "head"]
        uvs = np.stack([chart.around_head, chart.head_down], 1)
        scalp = Piece("hair", body.points, faces, uvs, a.skin_bones, a.skin_weights.astype(np.float64))
        scalp = scalp.faces_where(np.ones(len(faces), bool))
        level = scalp.uvs[:, 1] - hairline(scalp.uvs[:, 0])
        thick = (0.004 + 0.03 * cut.hair_volume) * np.clip(-level / 0.12, 0.15, 1)
        scalp = scalp.pushed(thick)
        scalp, _ = scalp.cut(level)
        pieces.append(scalp)
    return pieces
