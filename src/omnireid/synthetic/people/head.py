"""The head and the hands, hair, and what is worn on the head.

Everything on the head is laid out around its axis in the charts `around_head` and `head_down`; landmarks of
the face there are in `FACE_LANDMARKS`.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from omnireid.core.arrays import Bool, Float64, Int64
from omnireid.synthetic.people.body import Body, hull_radii
from omnireid.synthetic.people.outfit import OutfitCut, Slot
from omnireid.synthetic.people.pieces import Piece, directions, rigid, solid, strongest, tube

_COLUMNS: Final = 24
# How far from the skull the hair is, at hair_volume 0 and 1, in metres.
_THICKNESS: Final[dict[str, tuple[float, float]]] = {
    "buzz": (0.003, 0.005),
    "short": (0.008, 0.034),
    "tousled": (0.015, 0.046),
    "bob": (0.010, 0.034),
    "long": (0.008, 0.030),
    "ponytail": (0.005, 0.016),
    "bun": (0.005, 0.016),
    "afro": (0.035, 0.10),
}


class Milliner:
    """Makes what is on one person's head."""

    def __init__(self, body: Body, cut: OutfitCut) -> None:
        self.body, self.cut = body, cut
        self.size = body.scale**0.5  # heads vary less than bodies
        kind = "_coarse" if body.coarse else ""
        a, chart = body.assets, body.charts
        self.head_bone = a.bone("head")
        weights = a.skin_weights.astype(np.float64)
        uvs = np.stack([chart.around_head, np.clip(chart.head_down, 0, 0.999)], 1)
        faces = a.faces["head" + kind]
        self.face = Piece("face", body.points, faces, uvs, a.skin_bones, weights).faces_where(_all(faces))
        self.crown = float(body.at["crown"][2])
        self.base = float(body.at["neck"][2]) - 0.02 * body.scale
        uvs = np.stack([chart.around_arm, np.clip((chart.along - 0.97) / 0.42, 0, 0.999)], 1)
        faces = a.faces["hands" + kind]
        self.hands = Piece("hand", body.points, faces, uvs, a.skin_bones, weights).faces_where(_all(faces))
        self.axis = np.array([body.at["head"][0] + 0.015 * body.scale, 0.0])

    def z_of(self, v: float) -> float:
        """The height of a value of the chart `head_down`."""
        return self.crown - v * (self.crown - self.base)

    def pieces(self) -> list[Piece]:
        return [
            self.face,
            self.hands,
            *self.eyes(),
            *self.hair(),
            *self.beard(),
            *self.glasses(),
            *self.hat(),
            *self.neckwear(),
        ]

    def eyes(self) -> list[Piece]:
        """What shows between the lids: a patch behind each slit."""
        result = []
        for s in ("l", "r"):
            centre = self.body.at[f"eye_{s}"]
            y, z = np.meshgrid([-0.014, 0.0, 0.014], [0.007, -0.007])
            x = np.sqrt(np.maximum(0.0145**2 - y**2 - z**2, 0)) * self.size
            corners = np.stack(
                [centre[0] + x, centre[1] + y * self.size, centre[2] + z * self.size], -1
            ).reshape(-1, 3)
            offset = corners[:, :2] - self.axis
            u = 0.5 + np.arctan2(offset[:, 1], offset[:, 0]) / (2 * np.pi)
            v = (self.crown - corners[:, 2]) / (self.crown - self.base)
            faces = [[0, 3, 4], [0, 4, 1], [1, 4, 5], [1, 5, 2]]
            result.append(solid("face", corners, faces, np.stack([u, v], 1), self.head_bone, sharp=False))
        return result

    def shell(self, slot: Slot, border: Float64, thickness: Float64, flat: float | None = None) -> Piece:
        """The face's surface lifted by `thickness` (V,), where v is above (less than) `border` (V,).

        Args:
            flat: ears are pressed to within this distance of the middle, in metres.
        """
        level = self.face.uvs[:, 1] - border
        under = self.face
        if flat is not None:
            vertices = under.vertices.copy()
            vertices[:, 1] = np.clip(vertices[:, 1], -flat, flat)
            under = under.with_vertices(vertices)
        if flat is None:
            lifted = under.pushed(thickness)
        else:  # away from the middle of the skull: the folds of ears do not show
            outward = under.vertices - np.append(self.axis, self.z_of(0.45))
            outward /= np.linalg.norm(outward, axis=1, keepdims=True)
            lifted = under.with_vertices(under.vertices + outward * thickness[:, None])
        piece, _ = Piece(slot, lifted.vertices, lifted.faces, lifted.uvs, lifted.bones, lifted.weights).cut(
            level
        )
        return piece

    # Hair
    # -----------------------------------------------------------------------------------------------------

    def hair(self) -> list[Piece]:
        cut = self.cut
        if cut.hair == "bald" or cut.hat == "headscarf":
            return []
        u, v = self.face.uvs.T
        border = hairline(u)
        if cut.hair in ("short", "tousled", "bob", "long"):  # a fringe
            fringe = 0.17 * np.clip((cut.hair_length - 0.95) / 0.4, 0, 1)
            border = border + fringe * np.clip(1 - (_behind(u) / 0.24) ** 2, 0, 1)
        if cut.hair in ("bob", "long", "afro"):
            border = np.maximum(border - 0.01, np.interp(_behind(u), [0.36, 0.46], [0.0, 0.62]))
        thin, thick = _THICKNESS[cut.hair]
        lift = (thin + (thick - thin) * cut.hair_volume) * self.size
        depth = border - v
        if cut.hat != "none":
            lift = min(lift, 0.02)
        # From nothing at the border to full, fast for curls, slowly for short hair; more on top than at the
        # sides.
        edge = {"afro": 0.05, "bob": 0.06, "long": 0.06}.get(cut.hair, 0.14)
        thickness = lift * np.clip(depth / edge, 0.12, 1.0)
        if cut.hair in ("short", "tousled"):
            thickness *= np.interp(v, [0.0, 0.2, 0.45], [1.0, 0.9, 0.4])
        if cut.hair == "tousled":
            thickness *= 1 + 0.35 * np.sin(2 * np.pi * (7 * u + 9 * v)) * np.sin(2 * np.pi * (3 * u - 11 * v))
        if cut.hat != "none":
            covered = self.hat_border(u)
            thickness = np.where(v < covered, np.minimum(thickness, 0.006), thickness)
        flat = 0.082 * self.size if cut.hair in ("bob", "long", "afro") else None
        result = [self.shell("hair", border, thickness, flat)]
        if cut.hair in ("bob", "long"):
            result.append(self.curtain("hair", 0.30 if cut.hair == "bob" else 0.62, lift))
        elif cut.hair == "ponytail":
            result.append(self.tail(0.34 * cut.hair_length))
        elif cut.hair == "bun":
            high = cut.hair_length > 1.0 and cut.hat == "none"
            place = self.behind(0.12 if high else 0.42, 0.01)
            result.append(
                ball("hair", place, 0.042 * self.size * (0.8 + 0.5 * cut.hair_volume), self.head_bone)
            )
        return result

    def curtain(self, slot: Slot, length: float, lift: float, opening: float = 0.19) -> Piece:
        """Hair or cloth that hangs from the sides and back of the head, `length` metres below the crown."""
        cut, body = self.cut, self.body
        length *= cut.hair_length * self.size
        top = self.z_of(0.27)
        end = self.crown - max(length, 0.20)
        rows = max(4, int((top - end) / 0.045) + 1)
        heights = np.linspace(top, end, rows)
        u = np.linspace(0.5 + opening, 1.5 - opening, 17)
        facing = directions(u)
        points = self.face.vertices
        radii = hull_radii(points, heights, self.axis, facing, 0.02) + 0.7 * lift + 0.002
        below = heights < self.z_of(0.62)
        radii[below] = 0.0
        for row in range(1, rows):
            step = heights[row - 1] - heights[row]
            radii[row] = np.maximum(radii[row], radii[row - 1] - (0.10 if row < 4 else 0.06) * step)
        radii[0] *= 0.94
        rings = np.empty((rows, len(u), 3))
        back = self._back_surface(heights)
        side = _behind(u % 1.0)
        for row, height in enumerate(heights):
            offset = facing * radii[row][:, None]
            rings[row, :, :2] = self.axis + offset
            rings[row, :, 2] = height
            fallen = np.clip((self.z_of(0.85) - height) / 0.08, 0, 1)
            if fallen > 0:  # on the shoulders it goes behind, and lies on the back
                x, y = rings[row, :, 0], rings[row, :, 1]
                y = y * (1 - 0.15 * fallen)
                out = 0.012 + cut.top_looseness + 0.5 * lift
                limit = back[row] - out + 0.03 * (1 - np.clip((side - 0.5) / 0.4, 0, 1))
                rings[row, :, 0] = x + fallen * (np.minimum(x, limit) - x)
                rings[row, :, 1] = y
        depth = np.clip((body.at["head"][2] - 0.03 - rings[..., 2].ravel()) / 0.20, 0, 1)
        dense = np.zeros((rings.shape[0] * rings.shape[1], len(body.assets.bones)))
        dense[:, self.head_bone] = 1 - depth
        dense[:, body.assets.bone("spine_3")] = depth
        piece = tube(slot, rings, strongest(dense), closed=False, v=np.linspace(0.25, 1, rows))
        uvs = piece.uvs.copy()
        uvs[:, 0] = np.tile(u, rows)
        return Piece(slot, piece.vertices, piece.faces, uvs, piece.bones, piece.weights)

    def _back_surface(self, heights: Float64) -> Float64:
        """(R,) x of the back at heights."""
        rows = self.body.assets.suit_rows
        points = self.body.points[rows]
        points = points[(np.abs(points[:, 1]) < 0.11) & (self.body.charts.arm[rows] < 0.2)]
        result = [
            points[np.abs(points[:, 2] - h) < 0.035, 0].min(initial=self.axis[0] - 0.05) for h in heights
        ]
        return np.minimum.accumulate(np.array(result))

    def behind(self, v: float, out: float) -> Float64:
        """A point behind the head at a height, `out` metres outside."""
        own = self.face.vertices[np.abs(self.face.uvs[:, 1] - v) < 0.05]
        return np.array([own[:, 0].min() - out * self.size, 0.0, self.z_of(v)])

    def tail(self, length: float) -> Piece:
        start = self.behind(0.22 + 0.2 * (1 - self.cut.hair_volume), 0.0)
        rows = 6
        t = np.linspace(0, 1, rows)
        path = np.stack(
            [
                start[0] - 0.05 * np.sin(t * 2.2) - 0.01,
                0 * t,
                start[2] - length * t * t * 0.9 - 0.1 * length * t,
            ],
            1,
        )
        radii = np.interp(t, [0, 0.2, 0.6, 1], [0.014, 0.028, 0.024, 0.006]) * (
            0.8 + 0.5 * self.cut.hair_volume
        )
        u = np.arange(8) / 8
        rings = np.concatenate(
            [path[:, None, :] + np.pad(directions(u), ((0, 0), (0, 1)))[None] * radii[:, None, None]]
        )
        return tube("hair", rings, rigid(self.head_bone, rows * 8), v=np.linspace(0.3, 1, rows), cap_top=True)

    def beard(self) -> list[Piece]:
        kind = self.cut.beard
        if kind in ("none", "moustache"):  # a moustache is painted on the face
            return []
        u, v = self.face.uvs.T
        off = np.abs(u - 0.5)
        cheek = np.interp(off, [0.0, 0.05, 0.12, 0.2], [0.60, 0.60, 0.62, 0.53])
        inside = np.maximum(np.maximum((cheek - v) / 0.05, (off - 0.215) / 0.05), (v - 0.86) / 0.05)
        lips = 1 - np.hypot(off / 0.042, (v - 0.655) / 0.022)
        inside = np.maximum(inside, lips)
        lift = (0.006 if kind == "short" else 0.016) * np.clip(-inside * 1.5, 0.2, 1)
        if kind == "full":
            lift = lift * np.interp(v, [0.6, 0.8], [0.6, 1.6])
        lifted = self.face.pushed(lift * self.size)
        piece, _ = Piece(
            "beard", lifted.vertices, lifted.faces, lifted.uvs, lifted.bones, lifted.weights
        ).cut(inside)
        uvs = piece.uvs.copy()
        uvs[:, 1] = np.clip((uvs[:, 1] - 0.55) / 0.33, 0, 1)
        return [Piece("beard", piece.vertices, piece.faces, uvs, piece.bones, piece.weights)]

    def glasses(self) -> list[Piece]:
        """Two panes before the eyes and the temples back to the ears."""
        if not self.cut.glasses:
            return []
        size = self.size
        eyes = [self.body.at["eye_r"], self.body.at["eye_l"]]
        front = max(float(eye[0]) for eye in eyes) + 0.028 * size
        z = float(eyes[0][2]) - 0.004
        half = abs(float(eyes[1][1])) + 0.030 * size
        corners, uvs, faces = [], [], []
        for y, x in (
            (-half, front - 0.022),
            (-half * 0.5, front - 0.003),
            (0, front),
            (half * 0.5, front - 0.003),
            (half, front - 0.022),
        ):
            for up in (0.019, -0.021):
                corners.append([x, y, z + up * size])
                uvs.append([(y + half) / (2 * half) * 0.9 + 0.05, 0.1 if up > 0 else 0.9])
        for k in range(4):
            a = 2 * k
            faces += [[a, a + 1, a + 3], [a, a + 3, a + 2]]
        for sign, a in ((-1, 0), (1, 8)):
            start = len(corners)
            for x, y in ((front - 0.022, half), (self.axis[0] - 0.01, half + 0.008)):
                for up in (0.012, 0.004):
                    corners.append([x, sign * y, z + up * size])
                    uvs.append([0.02 if sign < 0 else 0.98, 0.1])
            quad = [[start, start + 1, start + 3], [start, start + 3, start + 2]]
            faces += quad if sign > 0 else [face[::-1] for face in quad]
            faces += [face[::-1] for face in quad] if sign > 0 else quad
            del a
        return [solid("glasses", np.array(corners), faces, np.array(uvs), self.head_bone)]

    # Hats
    # -----------------------------------------------------------------------------------------------------

    def hat_border(self, u: Float64) -> Float64:
        """v of a hat's lower rim."""
        front, back = {"cap": (0.24, 0.36), "beanie": (0.27, 0.46), "brim": (0.24, 0.36)}.get(
            self.cut.hat, (0.0, 0.0)
        )
        side = {"beanie": 0.44}.get(self.cut.hat, 0.34)
        result: Float64 = np.interp(_behind(u), [0.0, 0.2, 0.5, 1.0], [front, front + 0.03, side, back])
        return result

    def hat(self) -> list[Piece]:
        kind = self.cut.hat
        if kind == "none":
            return []
        u = self.face.uvs[:, 0]
        if kind == "headscarf":
            border = np.where(_behind(u) < 0.30, 0.17 + 0.30 * np.clip(_behind(u) - 0.2, 0, 1), 0.66)
            shell = self.shell("hat", border, np.full(len(u), 0.012 * self.size))
            scarf = self.curtain("hat", 0.40 / self.cut.hair_length, 0.016, opening=0.135)
            front = self.neck_band("hat", 0.93, 1.25, 0.014, 0.05)
            return [shell, scarf, front]
        lift = {"cap": 0.016, "beanie": 0.014, "brim": 0.018}[kind] * self.size
        v = self.face.uvs[:, 1]
        thickness = np.full(len(u), lift)
        if kind == "beanie":
            thickness = thickness + 0.022 * np.clip(1 - v / 0.12, 0, 1)
        if kind == "brim":
            thickness = thickness + 0.012 * np.clip(1 - v / 0.2, 0, 1)
        shell = self.shell("hat", self.hat_border(u), thickness)
        uvs = shell.uvs.copy()
        uvs[:, 1] = np.clip(uvs[:, 1] / 0.46 * 0.8, 0, 0.8)
        result = [Piece("hat", shell.vertices, shell.faces, uvs, shell.bones, shell.weights)]
        if kind in ("cap", "brim"):
            result.append(self.brim(kind))
        return result

    def brim(self, kind: str) -> Piece:
        """The peak of a cap, or the brim all around a hat."""
        size = self.size
        if kind == "cap":
            u = np.linspace(0.36, 0.64, 9)
            out = 0.072 * size * np.cos((u - 0.5) / 0.14 * np.pi / 2) ** 0.6
        else:
            u = np.linspace(0, 1, 25)
            out = np.full(25, 0.065 * size)
        facing = directions(u)
        v = self.hat_border(u) - 0.035
        heights = np.array([self.z_of(value) for value in v])
        radii = np.array(
            [
                hull_radii(self.face.vertices, np.array([h]), self.axis, facing[k : k + 1], 0.03)[0, 0]
                for k, h in enumerate(heights)
            ]
        )
        base = np.column_stack([self.axis + facing * (radii + 0.010)[:, None], heights])
        drop = 0.35 if kind == "cap" else 0.12
        tip = base + np.column_stack([facing * out[:, None], -drop * out])
        if kind == "cap":  # a peak points forward, not out
            tip[:, :2] = base[:, :2] + np.stack([out, 0.25 * facing[:, 1] * out], 1)
        under = tip - [0, 0, 0.006]
        inner = base - [0, 0, 0.008]
        rings = np.stack([base, tip, under, inner])
        return tube(
            "hat",
            rings,
            rigid(self.head_bone, rings.shape[0] * rings.shape[1]),
            closed=False,
            u=u,
            v=np.array([0.82, 0.96, 0.97, 1.0]),
        )

    def neckwear(self) -> list[Piece]:
        """Scarf, collar and hood."""
        cut, ease = self.cut, 0.6 * self.cut.top_looseness
        pieces: list[Piece] = []
        if cut.scarf:
            pieces.append(self.neck_band("scarf", 0.84, 1.22, 0.012 + ease, 0.045))
            pieces.append(self.scarf_end())
        if cut.collar == "shirt":
            pieces.append(self.neck_band("collar", 0.90, 1.12, 0.006, 0.006, spread=0.016 + ease))
        elif cut.collar == "stand":
            pieces.append(self.neck_band("collar", 0.86, 1.12, 0.012, 0.008, spread=ease))
        elif cut.collar == "turtleneck":
            pieces.append(self.neck_band("collar", 0.84, 1.10, 0.006, 0.004, spread=ease))
        if cut.hood == "down":
            pieces.append(
                squeezed(self.neck_band("torso", 0.90, 1.42, 0.016 + ease, 0.085, front=0.12), 0.0, 0.12)
            )
        elif cut.hood == "up":
            u = self.face.uvs[:, 0]
            border = np.interp(_behind(u), [0.0, 0.2, 0.32, 0.40], [0.10, 0.16, 0.45, 0.95])
            shell = self.shell("torso", border, np.full(len(u), 0.030 * self.size), 0.085 * self.size)
            pieces.append(squeezed(shell, 0.0, 0.08))
            band = self.neck_band("torso", 0.84, 1.25, 0.026 + ease, 0.03)
            pieces.append(squeezed(band, 0.06, 0.14))
        return pieces

    def scarf_end(self) -> Piece:
        """The end of a scarf that hangs over the chest."""
        body, size = self.body, self.size
        rows = body.assets.suit_rows
        points = body.points[rows[body.charts.arm[rows] < 0.2]]
        t = np.linspace(0, 1, 6)
        y = 0.045 * size
        heights = body.at["neck"][2] - 0.03 - 0.34 * size * t
        front = np.array(
            [
                points[(np.abs(points[:, 2] - h) < 0.04) & (np.abs(points[:, 1] - y) < 0.05), 0].max(
                    initial=0
                )
                for h in heights
            ]
        )
        front = np.maximum(front, front.max() * 0.9) + 0.018 + self.cut.top_looseness
        rings = np.stack(
            [np.column_stack([front, y + side * 0.055 + 0.02 * t, heights]) for side in (-1, 1)], 1
        )
        dense = np.zeros((12, len(body.assets.bones)))
        dense[:, body.assets.bone("spine_3")] = np.repeat(1 - 0.6 * t, 2)
        dense[:, body.assets.bone("spine_2")] = np.repeat(0.6 * t, 2)
        return tube("scarf", rings, strongest(dense), closed=False, u=np.array([0.3, 0.7]))

    def neck_band(
        self,
        slot: Slot,
        top: float,
        end: float,
        lift: float,
        bulge: float,
        *,
        front: float = 1.0,
        spread: float = 0.0,
    ) -> Piece:
        """Cloth around the neck between two values of `head_down`.

        Args:
            lift: metres from the skin. bulge: more in the middle; that times `front` in front. spread: more
                at the lower end.
        """
        rows = 5
        t = np.linspace(0, 1, rows)
        u = np.arange(_COLUMNS) / _COLUMNS
        facing = directions(u)
        body = self.body
        heights = np.array([self.z_of(top + (end - top) * s) for s in t])
        centre = np.array([(body.at["neck"][0] + body.at["head"][0]) / 2 + 0.005, 0.0])
        suit = body.assets.suit_rows
        trunk = body.points[suit[body.charts.arm[suit] < 0.05]]
        near = np.concatenate([self.face.vertices, trunk])
        near = near[np.hypot(near[:, 0] - centre[0], near[:, 1]) < 0.115 * body.scale]
        radii = hull_radii(near, heights, centre, facing, 0.02)
        radii[radii < 0.03] = 0.05 * body.scale
        around = front + (1 - front) * np.clip(1.6 * _behind(u) - 0.5, 0, 1)
        radii = radii + lift + 0.8 * bulge * np.sin(np.pi * t)[:, None] * around + spread * t[:, None]
        low = np.clip(facing[:, 0], 0, 1)  # deeper in front
        rings = np.empty((rows, _COLUMNS, 3))
        for row in range(rows):
            rings[row, :, :2] = centre + facing * radii[row][:, None]
            rings[row, :, 2] = heights[row] - low * t[row] * 0.04 - 0.012 * low
        dense = np.zeros((rows * _COLUMNS, len(body.assets.bones)))
        share = np.repeat(t, _COLUMNS)
        dense[:, body.assets.bone("neck")] = 1 - 0.8 * share
        dense[:, body.assets.bone("spine_3")] = 0.8 * share
        return tube(slot, rings, strongest(dense))


def squeezed(piece: Piece, start: float, end: float) -> Piece:
    """A piece whose v is brought between two values."""
    uvs = piece.uvs.copy()
    least, span = uvs[:, 1].min(), max(float(np.ptp(uvs[:, 1])), 1e-6)
    uvs[:, 1] = start + (uvs[:, 1] - least) / span * (end - start)
    return Piece(piece.slot, piece.vertices, piece.faces, uvs, piece.bones, piece.weights)


def _behind(u: Float64) -> Float64:
    """0 in front, 1 behind."""
    return np.abs(u - 0.5) * 2


def _all(faces: Int64) -> Bool:
    return np.ones(len(faces), bool)


def hairline(u: Float64) -> Float64:
    """v of the hair's lower border around the head: forehead, temples, over the ears, nape."""
    knots = [0, 0.16, 0.26, 0.33, 0.40, 0.46, 0.52, 0.60, 0.70, 1.0]
    values = [0.185, 0.20, 0.26, 0.36, 0.44, 0.46, 0.42, 0.52, 0.66, 0.68]
    result: Float64 = np.interp(_behind(u), knots, values)
    return result


def ball(slot: Slot, centre: Float64, radius: float, bone: int) -> Piece:
    """A sphere of 8 × 5 faces."""
    angles = np.linspace(0.3, np.pi - 0.3, 5)
    u = np.arange(9) / 9
    rings = np.stack(
        [
            centre + np.column_stack([directions(u) * np.sin(a), np.full(9, np.cos(a))]) * radius
            for a in angles
        ]
    )
    return tube(slot, rings, rigid(bone, 45), cap_top=True, cap_end=True)
