"""Clothes, cut from the suit and hung on the body: tops, trousers, skirts, shoes; the skin between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.spatial import cKDTree

from omnireid.core.arrays import Float64
from omnireid.synthetic.people.assets import ELBOW, SIDES
from omnireid.synthetic.people.body import Body, unit
from omnireid.synthetic.people.outfit import OutfitCut, Slot
from omnireid.synthetic.people.pieces import Piece, Skin, directions, mixed_skin, rigid, strongest, tube

_SLEEVES: Final[dict[str, Slot]] = {"l": "sleeve_l", "r": "sleeve_r"}
_LEGS: Final[dict[str, Slot]] = {"l": "leg_l", "r": "leg_r"}
COLUMNS: Final = 28
ARMPIT: Final = -0.27  # value of the chart `down`
_ROWS: Final = np.concatenate([np.arange(-0.30, 0.3, 0.05), np.arange(0.3, 1.06, 0.075)])


@dataclass(frozen=True, slots=True, eq=False)
class Envelope:
    """The hull of trunk and legs, ring by ring about the trunk's axis: what cloth that hangs is spanned over.

    Attributes:
        heights: (R,) z, falling. axis: (R, 2) x and y. radii: (R, C) metres, column c in direction u = c / C.
    """

    heights: Float64
    axis: Float64
    radii: Float64

    @classmethod
    def of(cls, body: Body) -> Envelope:
        chart, a = body.charts, body.assets
        rows = a.suit_rows[chart.arm[a.suit_rows] < 0.35]
        points, down = body.points[rows], chart.down[rows]
        heights = np.array([body.height_of(row) for row in _ROWS])
        axis_x = np.interp(
            -heights,
            -np.array([0.0, body.at["pelvis"][2], body.at["spine_3"][2]])[::-1],
            np.array([body.at["foot_l"][0] + 0.01, body.at["pelvis"][0], body.at["spine_3"][0] + 0.02])[::-1],
        )
        axis = np.stack([axis_x, np.zeros(len(heights))], 1)
        facing = directions(np.arange(COLUMNS) / COLUMNS)
        cosines = facing @ facing.T
        radii = np.zeros((len(heights), COLUMNS))
        for row, (value, centre) in enumerate(zip(_ROWS, axis, strict=True)):
            near = points[np.abs(down - value) < (0.035 if value < 0.3 else 0.045)][:, :2] - centre
            support = (near[:, :1] * facing[:, 0] + near[:, 1:] * facing[:, 1]).max(0)
            with np.errstate(divide="ignore", invalid="ignore"):
                reach = np.where(cosines > 0.2, support[None, :] / cosines, np.inf)
            radii[row] = reach.min(1)
        return cls(heights, axis, radii)

    def draped(self, ease: float, fall: float) -> Envelope:
        """Cloth over it: `ease` metres away, and narrowing by at most `fall` metres per metre downwards."""
        radii = self.radii + ease
        steps = -np.diff(self.heights)
        for row in range(1, len(radii)):
            radii[row] = np.maximum(radii[row], radii[row - 1] - fall * steps[row - 1])
        return Envelope(self.heights, self.axis, radii)

    def ring(self, height: float) -> tuple[Float64, Float64]:
        """Axis (2,) and radii (C,) at a height."""
        position = float(np.interp(-height, -self.heights, np.arange(len(self.heights))))
        low = min(int(position), len(self.heights) - 2)
        share = position - low
        return (
            self.axis[low] * (1 - share) + self.axis[low + 1] * share,
            self.radii[low] * (1 - share) + self.radii[low + 1] * share,
        )

    def at(self, points: Float64) -> tuple[Float64, Float64, Float64]:
        """For points (N, 3): the axis (N, 2) beside each, its own radius (N,), the envelope's (N,)."""
        position = np.interp(-points[:, 2], -self.heights, np.arange(len(self.heights)))
        low = np.minimum(position.astype(int), len(self.heights) - 2)
        share = (position - low)[:, None]
        axis = self.axis[low] * (1 - share) + self.axis[low + 1] * share
        offset = points[:, :2] - axis
        u = (np.arctan2(-offset[:, 1], -offset[:, 0]) / (2 * np.pi)) % 1.0 * COLUMNS
        left = u.astype(int) % COLUMNS
        right = (left + 1) % COLUMNS
        part = u - np.floor(u)
        rows = [
            self.radii[level, left] * (1 - part) + self.radii[level, right] * part for level in (low, low + 1)
        ]
        return axis, np.linalg.norm(offset, axis=1), rows[0] * (1 - share[:, 0]) + rows[1] * share[:, 0]


class Tailor:
    """Cuts the clothes of one person."""

    def __init__(self, body: Body, cut: OutfitCut) -> None:
        self.body, self.cut, self.chart = body, cut, body.charts
        self.envelope = Envelope.of(body)
        self.suit_rows = body.assets.suit_rows
        self.tree = cKDTree(body.points[self.suit_rows])
        self.size = body.scale
        self.ease = 0.004 + cut.top_looseness
        if cut.tucked:
            self.ease = min(self.ease, 0.010)
        self.top = self.top_points(self.ease)

    def top_points(self, ease: float) -> Float64:
        """(V, 3) the suit's vertices as a top lies: spanned over the trunk's hollows, tubes around arms."""
        body, chart = self.body, self.chart
        close = np.clip(0.2 + chart.collar / 0.6, 0.2, 1.0)  # at the neckline cloth lies on the skin
        points = body.points + body.normals * (ease * close)[:, None]
        fall = fall_of(ease)
        draped = self.envelope.draped(ease, fall)
        axis, own, wide = draped.at(points)
        hangs = np.clip((chart.down - ARMPIT) / 0.10, 0, 1) * np.clip(1 - chart.arm * 3, 0, 1)
        hangs *= float(np.clip(ease / 0.012, 0.2, 1))
        radius = own + hangs * np.maximum(wide - own, 0)
        offset = points[:, :2] - axis
        trunk = points.copy()
        trunk[:, :2] = axis + offset * (radius / np.maximum(own, 1e-6))[:, None]
        sleeve = points.copy()
        for s, rows in (("l", chart.side >= 0), ("r", chart.side < 0)):
            joints = [body.at[f"{name}_{s}"] for name in ("upperarm", "forearm", "hand")]
            wrist = 0.031 * self.size + 0.55 * ease
            radii = np.interp(chart.along[rows], [0.12, ELBOW, 1.0], [0.0, wrist + 0.012 + 0.3 * ease, wrist])
            sleeve[rows] = widened(sleeve[rows], chart.along[rows], joints, radii)
        share = np.clip((chart.arm - 0.3) / 0.6, 0, 1)[:, None]
        return trunk + share * (sleeve - trunk)

    def lower_points(self) -> Float64:
        """(V, 3) the suit's vertices as trousers lie."""
        body, chart, width = self.body, self.chart, self.cut.lower_width
        ease = 0.003 + 0.006 * width
        points = body.points + body.normals * ease
        legs = points.copy()
        w = max(width, 0.0)
        for s, rows in (("l", chart.side >= 0), ("r", chart.side < 0)):
            joints = [body.at[f"{name}_{s}"] for name in ("thigh", "calf", "foot")]
            down = chart.down[rows]
            girth = [
                0.0,
                self._leg_radius(0.45, s) + 0.035 * w,
                self._leg_radius(chart.knee, s) + 0.004 + 0.055 * w,
                0.5 * self._leg_radius(0.8, s) + 0.018 + 0.085 * w,
            ]
            radii = np.interp(down, [chart.crotch, 0.45, chart.knee, 1.0], girth)
            share = np.interp(down, [chart.crotch, chart.knee, 1.0], [0.0, 0.5, 1.0])
            legs[rows] = widened(points[rows], share, joints, radii, knee=0.5)
            sign = 1 if s == "l" else -1
            inner = sign * legs[rows, 1] < 0.003
            legs[np.flatnonzero(rows)[inner], 1] = 0.003 * sign
        below = np.clip((chart.down - chart.crotch) / 0.06, 0, 1)[:, None]
        return points + below * (legs - points)

    def _leg_radius(self, down: float, side: str) -> float:
        chart = self.chart
        sign = 1 if side == "l" else -1
        rows = self.suit_rows
        own = (chart.side[rows] * sign > 0) & (chart.arm[rows] < 0.3)
        place = self.body.points[rows[own & (np.abs(chart.down[rows] - down) < 0.03)]][:, :2]
        return float(np.linalg.norm(place - place.mean(0), axis=1).mean())

    def suit(self, slot: Slot, points: Float64, u: Float64, v: Float64) -> Piece:
        return self.body.suit(slot, u, v).with_vertices(points)

    def trunk(self, slot: Slot, points: Float64, hem: float, collar: float | None) -> Piece:
        """The trunk from the collar to the hem; v still as the chart has it.

        Args:
            collar: metres above the neck's base; a round neckline when not given.
        """
        chart = self.chart
        piece = self.suit(slot, points, chart.around_trunk, chart.down)
        level = -chart.collar if collar is None else chart.neck_height - collar
        piece, (level,) = piece.cut(chart.arm - 0.5, level)
        piece, _ = piece.cut(level)
        piece, _ = piece.cut(piece.uvs[:, 1] - hem)
        return piece

    def sleeve(self, slot: Slot, points: Float64, side: str, start: float, end: float) -> Piece:
        """An arm between two values of `along`; v is that value."""
        chart = self.chart
        piece = self.suit(slot, points, chart.around_arm, chart.along)
        sign = 1 if side == "l" else -1
        keep = (chart.arm[piece.faces].max(1) > 0.5) & (chart.side[piece.faces].mean(1) * sign > 0)
        used = np.unique(piece.faces[keep])
        piece, _ = piece.faces_where(keep).cut(0.5 - chart.arm[used])
        if start > 0:
            piece, _ = piece.cut(start - piece.uvs[:, 1])
        piece, _ = piece.cut(piece.uvs[:, 1] - end)
        if slot != "arm":  # a cuff does not bend with the hand
            a = self.body.assets
            piece = rebound(piece, {a.bone(f"hand_{side}"): a.bone(f"forearm_{side}")})
        return with_v(piece, 0.0, 1.0)

    def leg(self, slot: Slot, points: Float64, side: str, start: float, end: float) -> Piece:
        """A leg between two values of `down`; v 0 the crotch, 1 the ankle."""
        chart = self.chart
        piece = self.suit(slot, points, chart.around_leg, chart.down)
        keep = (chart.down[piece.faces].max(1) > start) & (chart.arm[piece.faces].mean(1) < 0.5)
        piece = piece.faces_where(keep)
        piece, _ = piece.cut(start - piece.uvs[:, 1])
        sign = 1 if side == "l" else -1
        piece = piece.faces_where(piece.vertices[piece.faces][..., 1].mean(1) * sign > 0)
        piece, _ = piece.cut(piece.uvs[:, 1] - end)
        if slot != "bare_leg":  # nor a hem with the foot
            a = self.body.assets
            piece = rebound(
                piece, {a.bone(f"{name}_{side}"): a.bone(f"calf_{side}") for name in ("foot", "ball")}
            )
        return with_v(piece, chart.crotch, 1.0)

    def skin_near(self, points: Float64, smooth: Float64, columns: int, *, hangs: bool = False) -> Skin:
        """The skin of the suit near points (R * C, 3), blurred along rings by `smooth` (R,) columns.

        Args:
            hangs: cloth below the knees hangs from thighs and pelvis, and does not bend with the knees.
        """
        a = self.body.assets
        distance, near = self.tree.query(points, k=4)
        rows = self.suit_rows[near]
        share = 1 / (distance + 0.01)
        share /= share.sum(1, keepdims=True)
        dense = np.zeros((len(points), len(a.bones)))
        for k in range(4):
            for i in range(4):
                np.add.at(
                    dense,
                    (np.arange(len(points)), a.skin_bones[rows[:, k], i]),
                    share[:, k] * a.skin_weights[rows[:, k], i],
                )
        if hangs:
            for s in SIDES:
                calf, foot, ball = (a.bone(f"{name}_{s}") for name in ("calf", "foot", "ball"))
                free = dense[:, calf] + dense[:, foot] + dense[:, ball]
                dense[:, [calf, foot, ball]] = 0.0
                dense[:, calf] = 0.25 * free
                dense[:, a.bone(f"thigh_{s}")] += 0.5 * free
                dense[:, a.bone("pelvis")] += 0.25 * free
        rings = dense.reshape(-1, columns, len(a.bones))
        for row, width in enumerate(smooth):
            reach = int(np.ceil(width))
            if reach < 1:
                continue
            kernel = np.array([np.exp(-0.5 * (k / width * 1.6) ** 2) for k in range(-reach, reach + 1)])
            kernel /= kernel.sum()
            rings[row] = sum(
                k * np.roll(rings[row], shift, axis=0)
                for k, shift in zip(kernel, range(-reach, reach + 1), strict=True)
            )
        return strongest(rings.reshape(-1, len(a.bones)))

    def skirt(
        self,
        slot: Slot,
        start: float,
        hem: float,
        ease: float,
        flare: float,
        gap: tuple[float, float] = (0.0, 0.0),
    ) -> Piece:
        """Cloth around both legs, between two values of `down`.

        Args:
            ease: metres from the body at the start. flare: metres wider at the ankle's height than at the
                crotch; the cloth narrows by at most what `ease` lets it.
            gap: share of the circumference that is open in front, at the start and at the hem.
        """
        body = self.body
        fall = fall_of(ease) if slot == "torso" else fall_of(ease + flare)
        draped = self.envelope.draped(ease, fall)
        rows = max(3, int(np.ceil((hem - start) / 0.075)) + 1)
        values = np.linspace(start, hem, rows)
        columns = COLUMNS + (1 if gap[1] > 0 else 0)
        base = np.arange(columns) / COLUMNS
        rings = np.empty((rows, columns, 3))
        us = np.empty((rows, columns))
        for row, value in enumerate(values):
            height = body.height_of(float(value))
            axis, radii = draped.ring(height)
            wide = flare * max(0.0, value - 0.05)
            share = (value - start) / max(hem - start, 1e-6)
            opening = gap[0] + (gap[1] - gap[0]) * share
            u = base if gap[1] == 0 else 0.5 + opening / 2 + (1 - opening) * base
            radius = np.interp(u % 1.0, np.arange(COLUMNS + 1) / COLUMNS, np.append(radii, radii[0]))
            if flare > 0.04:  # folds of wide cloth
                folds = np.sin(2 * np.pi * 7 * u + 1.3) * 0.10 * wide
                radius = radius + folds
            rings[row, :, :2] = axis + directions(u) * (radius + wide)[:, None]
            rings[row, :, 2] = height
            us[row] = u
        depth = np.clip((values - 0.15) / 0.4, 0, 1)
        skin = self.skin_near(rings.reshape(-1, 3), 0.6 + 3.5 * depth, columns, hangs=True)
        piece = tube(slot, rings, skin, closed=gap[1] == 0, v=values)
        uvs = piece.uvs.copy()
        uvs[:, 0] = us.ravel()
        return Piece(slot, piece.vertices, piece.faces, uvs, piece.bones, piece.weights)

    def clothes(self) -> list[Piece]:
        cut, chart = self.cut, self.chart
        body = self.body
        pieces: list[Piece] = []
        ease, top = self.ease, self.top
        skin = body.points - body.normals * 0.003
        dress = cut.lower == "dress"
        bottom = cut.lower == "trousers"
        lower = self.lower_points() if bottom else None

        # The top: trunk, sleeves, and below the hip a skirt of its own.
        hem = 0.06 if cut.tucked else 0.02 if dress else max(cut.top_length, -0.02)
        collar = 0.02 if cut.collar == "turtleneck" else None
        gap = cut.open_front
        long = hem > 0.10
        trunk = self.trunk("torso", top, 0.05 if long else hem, collar)
        parts = [trunk]
        if long:
            flare = 0.02 + 0.5 * cut.top_looseness
            parts.append(self.skirt("torso", 0.0, hem, ease, flare, (0.8 * gap, 1.3 * gap)))
        top_v = chart.neck + 0.02
        for part in parts:
            piece = part
            if gap > 0 and part is trunk:
                height = np.clip((piece.uvs[:, 1] - chart.neck) / -chart.neck, 0, 1)
                opening = gap * (0.45 + 0.35 * height)
                piece, _ = piece.cut(opening / 2 - np.abs(piece.uvs[:, 0] - 0.5))
            pieces.append(with_v(piece, top_v, hem))
        if gap > 0:
            inside = self.top_points(0.006)
            end = 0.06 if cut.tucked else cut.inner_length
            inner = self.trunk("inner", inside, min(end, 0.05), None)
            shown = [inner]
            if end > 0.10:
                shown.append(self.skirt("inner", 0.0, end, 0.008, 0.0))
            for part in shown:
                near = np.abs(part.uvs[part.faces][..., 0].mean(1) - 0.5) < gap * 0.75 + 0.08
                pieces.append(with_v(part.faces_where(near), top_v, max(end, 0.05)))
        for s in SIDES:
            if cut.sleeve_length > 0.02:
                pieces.append(self.sleeve(_SLEEVES[s], top, s, 0.0, cut.sleeve_length))
            if cut.sleeve_length < 0.97:
                pieces.append(self.sleeve("arm", skin, s, max(cut.sleeve_length - 0.06, 0.0), 1.03))
        neck = self.trunk("face", skin, chart.neck + 0.16, 1.0)
        neck.uvs[:, 1] = 0.97
        pieces.append(neck)

        # What is below: trousers or a skirt, and the skin of the legs.
        if lower is not None:
            waist = -0.03 if cut.tucked else max(min(hem - 0.10, 0.12), -0.03)
            hip = self.trunk("hip", lower, chart.crotch, 1.0)
            hip, _ = hip.cut(waist - hip.uvs[:, 1])
            pieces.append(with_v(hip, -0.03, chart.crotch))
            for s in SIDES:
                end = min(cut.lower_length, 1.0) + (0.02 if cut.lower_length > 0.97 else 0)
                pieces.append(self.leg(_LEGS[s], lower, s, chart.crotch, end))
        else:
            flare = 0.30 * cut.lower_width + 0.005
            easy = 0.016 if cut.tucked else 0.006 if not dress else ease
            start = -0.03 if not dress else 0.0
            skirt = self.skirt("skirt", start, cut.lower_length, easy, flare)
            pieces.append(with_v(skirt, start, cut.lower_length))
        bare = cut.lower_length - (0.03 if lower is not None else 0.3)
        for s in SIDES:
            if cut.lower_length < 0.99:
                pieces.append(self.leg("bare_leg", skin, s, max(bare, chart.crotch), 1.005))
            pieces.extend(self.shoe(s))
        return pieces

    def shoe(self, side: str) -> list[Piece]:
        """A shoe or boot: rings from the ankle down to the outline of the sole; sole and floor below."""
        at, cut, size = self.body.at, self.cut, self.size
        sign = 1.0 if side == "l" else -1.0
        ankle, heel, toe = at[f"foot_{side}"], at[f"heel_{side}"], at[f"toe_{side}"]
        width = abs(at[f"outer_{side}"][1] - at[f"inner_{side}"][1])
        middle_y = (at[f"outer_{side}"][1] + at[f"inner_{side}"][1]) / 2
        thick = 0.006 if cut.footwear != "sandals" else 0.0
        back, front = heel[0] - thick - 0.006, toe[0] + 2.2 * thick + 0.004
        length = front - back
        columns = 18
        u = np.arange(columns) / columns
        facing = directions(u)
        # The outline of the sole: an egg, broader before the middle.
        forward = (facing[:, 0] + 1) / 2  # 0 the heel, 1 the toes
        half = (width / 2 + thick) * np.interp(forward, [0, 0.3, 0.72, 1], [0.78, 0.8, 1.0, 0.86])
        power = 0.72
        x = np.sign(facing[:, 0]) * np.abs(facing[:, 0]) ** 0.85 * length / 2 + (front + back) / 2
        y = np.sign(facing[:, 1]) * np.abs(facing[:, 1]) ** power * half
        y += middle_y - sign * 0.12 * width * np.clip(forward - 0.6, 0, 1)
        outline = np.stack([x, y], 1)
        ring = ankle[:2] + [-0.006, 0] + facing * [0.050 * size, 0.040 * size]
        top = ankle[2] + 0.020 * size
        sole = cut.sole
        low = -sole  # the floor; the foot itself stays where it is
        rows: list[Float64] = []
        vs = [0.0, 0.25, 0.5, 0.7, 0.85]
        for share in (0.0, 0.28, 0.58, 0.86, 1.0):
            place = ring * (1 - share) + outline * share
            # Steep at the heel, a slope over the instep, a box for the toes.
            steep = np.interp(forward, [0, 0.35, 0.7, 1], [3.2, 2.0, 0.75, 0.62])
            height = top + (0.004 - top) * share**steep
            box = 0.042 * size * np.clip(forward - 0.45, 0, 1) * 1.8 * (1 - share) ** 0.5 * share
            rows.append(np.column_stack([place, height + box * 0.5]))
        flare = 1.0 + 0.02 * (sole > 0.02)
        centre = outline.mean(0)
        for v, grow, z in ((0.86, flare, 0.003), (0.99, flare, low)):
            rows.append(np.column_stack([centre + (outline - centre) * grow, np.full(columns, z)]))
            vs.append(v)
        rings = np.stack(rows)
        number = rings.shape[0] * columns
        a = self.body.assets
        foot, ball, calf = (a.bone(f"{name}_{side}") for name in ("foot", "ball", "calf"))
        flat = rings.reshape(-1, 3)
        dense = np.zeros((number, len(a.bones)))
        bend = at[f"ball_{side}"][0]
        over = np.clip((flat[:, 0] - bend + 0.012) / 0.024, 0, 1)
        over *= over * (3 - 2 * over)
        shaft = np.clip((flat[:, 2] - ankle[2] + 0.02 * size) / (0.06 * size), 0, 1) * 0.6
        dense[:, ball] = over
        dense[:, foot] = (1 - over) * (1 - shaft)
        dense[:, calf] = (1 - over) * shaft
        shoe = tube("shoe", rings, strongest(dense), v=np.array(vs), cap_end=True)
        pieces = [shoe]
        if cut.footwear == "boots":
            end = 1.0 - cut.boot_height * (1 - self.chart.knee)
            points = self.body.points + self.body.normals * 0.008
            joints = [at[f"{name}_{side}"] for name in ("thigh", "calf", "foot")]
            along = np.interp(self.chart.down, [self.chart.crotch, self.chart.knee, 1.0], [0.0, 0.5, 1.0])
            points = widened(points, along, joints, np.full(len(points), 0.056 * size), knee=0.5)
            leg = self.leg("shoe", points, side, end, 1.02)
            uvs = leg.uvs.copy()
            uvs[:, 1] = 0.2 * (uvs[:, 1] - uvs[:, 1].min()) / max(float(np.ptp(uvs[:, 1])), 1e-6)
            pieces.append(Piece("shoe", leg.vertices, leg.faces, uvs, leg.bones, leg.weights))
        return pieces


def fall_of(ease: float) -> float:
    """How much cloth narrows downwards at most, metres per metre, by its distance from the body in metres."""
    return float(np.interp(ease, [0.004, 0.012, 0.03], [0.55, 0.32, 0.12]))


def widened(
    points: Float64, along: Float64, joints: list[Float64], radii: Float64, knee: float = ELBOW
) -> Float64:
    """Points pushed away from a chain of three joints until they are `radii` (N,) from it."""
    a, b, c = joints
    first, second = unit(b - a), unit(c - b)
    upper = (along < knee)[:, None]
    direction = np.where(upper, first, second)
    origin = np.where(upper, a, b)
    offset = points - origin
    axial = (offset * direction).sum(1, keepdims=True) * direction
    radial = offset - axial
    own = np.linalg.norm(radial, axis=1)
    grow = np.maximum(radii / np.maximum(own, 1e-6), 1.0)
    result: Float64 = origin + axial + radial * grow[:, None]
    return result


def rebound(piece: Piece, instead: dict[int, int]) -> Piece:
    """A piece that follows other bones instead of some."""
    bones = piece.bones.copy()
    for old, new in instead.items():
        bones[piece.bones == old] = new
    return Piece(piece.slot, piece.vertices, piece.faces, piece.uvs, bones, piece.weights)


def with_v(piece: Piece, start: float, end: float) -> Piece:
    """v counted from 0 at one value of it to 1 at another."""
    uvs = piece.uvs.copy()
    uvs[:, 1] = np.clip((uvs[:, 1] - start) / max(end - start, 1e-6), 0.0, 1.0)
    return Piece(piece.slot, piece.vertices, piece.faces, uvs, piece.bones, piece.weights)


__all__ = ["Tailor", "mixed_skin", "rigid", "widened", "with_v"]
