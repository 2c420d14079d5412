"""Triangles and the textures on them: made by bodies and places, taken by the renderer.

World: right-handed, metres, z up, the ground at z = 0. Pictures on surfaces are 8-bit sRGB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np

from omnireid.core.arrays import Bool, Float32, Float64, Int32, Int64, UInt8
from omnireid.core.errors import InputError, ShapeError

_MAX_LEVELS = 13  # of a texture: sides up to 4,096


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """Triangles with a place in a texture each. Arrays are read, never written: makers may share them.

    Attributes:
        vertices: (V, 3) float32, metres.
        faces: (F, 3) int32 rows of `vertices`, counter-clockwise seen from outside.
        uvs: (F, 3, 2) float32, shares of the texture: u to the right, v down; outside 0 to 1 it repeats.
        textures: (F,) int32, row of the texture bank.
        owners: (F,) int32, whom a face belongs to: 0 the place, 1 and up people, below 0 other things.
        normals: (V, 3) float32 unit vectors; smooth where corners of faces are shared.

    Raises:
        ShapeError: arrays that do not fit each other.
        InputError: an array of another dtype.
    """

    vertices: Float32
    faces: Int32
    uvs: Float32
    textures: Int32
    owners: Int32
    normals: Float32

    def __post_init__(self) -> None:
        num_vertices, num_faces = len(self.vertices), len(self.faces)
        shapes = {
            "vertices": (np.float32, (num_vertices, 3)),
            "faces": (np.int32, (num_faces, 3)),
            "uvs": (np.float32, (num_faces, 3, 2)),
            "textures": (np.int32, (num_faces,)),
            "owners": (np.int32, (num_faces,)),
            "normals": (np.float32, (num_vertices, 3)),
        }
        for name, (dtype, shape) in shapes.items():
            array = getattr(self, name)
            if array.shape != shape:
                raise ShapeError(name, expected=shape, actual=array.shape)
            if array.dtype != dtype:
                raise InputError(f"{name}: expected {np.dtype(dtype)}, got {array.dtype}")

    @classmethod
    def of(
        cls,
        vertices: Float32 | Float64,
        faces: Int32 | Int64,
        uvs: Float32 | Float64,
        *,
        texture: int = 0,
        owner: int = 0,
        flat: bool = False,
    ) -> Mesh:
        """A mesh of one texture and one owner, its normals made here.

        Args:
            vertices: (V, 3) float.
            faces: (F, 3) int.
            uvs: (F, 3, 2) float for each corner, or (V, 2) for each vertex.
            flat: every face gets corners of its own, so that edges are sharp.
        """
        vertices, faces = np.asarray(vertices, np.float32), np.asarray(faces, np.int32)
        uvs = np.asarray(uvs, np.float32)
        if uvs.ndim == 2:
            uvs = uvs[faces]
        if flat:
            vertices = vertices[faces].reshape(-1, 3)
            faces = np.arange(len(vertices), dtype=np.int32).reshape(-1, 3)
        return cls(
            vertices=vertices,
            faces=faces,
            uvs=uvs,
            textures=np.full(len(faces), texture, np.int32),
            owners=np.full(len(faces), owner, np.int32),
            normals=smooth_normals(vertices, faces),
        )

    @classmethod
    def join(cls, meshes: Sequence[Mesh]) -> Mesh:
        """One mesh of many, faces in the order given. All refer to the same texture bank.

        Raises:
            InputError: no meshes.
        """
        if not meshes:
            raise InputError("no meshes to join")
        if len(meshes) == 1:
            return meshes[0]
        starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
        joined = {
            part.name: np.concatenate([getattr(mesh, part.name) for mesh in meshes])
            for part in fields(cls)
            if part.name != "faces"
        }
        faces = [mesh.faces + np.int32(start) for mesh, start in zip(meshes, starts, strict=False)]
        return cls(faces=np.concatenate(faces), **joined)

    def moved(self, rotation: Float64, translation: Float64) -> Mesh:
        """The mesh at another place: vertex v becomes rotation @ v + translation.

        Args:
            rotation: (3, 3) float, a rotation.
            translation: (3,) float, metres.
        """
        from omnireid.synthetic.optics.kernels import turn

        # Not NumPy's product: how BLAS adds up depends on the machine's cores.
        rotation = np.ascontiguousarray(rotation, np.float64)
        vertices, normals = np.empty(self.vertices.shape), np.empty(self.normals.shape)
        turn(np.ascontiguousarray(self.vertices), np.zeros(3), rotation, vertices)
        turn(np.ascontiguousarray(self.normals), np.zeros(3), rotation, normals)
        vertices += np.asarray(translation, np.float64)
        return replace(self, vertices=vertices.astype(np.float32), normals=normals.astype(np.float32))

    def marked(self, *, owner: int | None = None, first_texture: int = 0) -> Mesh:
        """The mesh with another owner, and its textures counted from a row of a larger bank."""
        owners = self.owners if owner is None else np.full_like(self.owners, owner)
        return replace(self, owners=owners, textures=self.textures + np.int32(first_texture))


def smooth_normals(vertices: Float32, faces: Int32) -> Float32:
    """(V, 3) float32 unit normals: of each vertex, the mean of its faces weighted by their areas.

    Args:
        vertices: (V, 3) float32.
        faces: (F, 3) int32.
    """
    from omnireid.synthetic.optics.kernels import add_face_normals

    normals = np.zeros((len(vertices), 3), np.float32)
    add_face_normals(np.ascontiguousarray(vertices), np.ascontiguousarray(faces), normals)
    return normals


@dataclass(frozen=True, slots=True, eq=False)
class TextureBank:
    """Pictures in one block of memory, each with its halved copies, as compiled loops read them.

    Attributes:
        texels: (N, 4) uint8 sRGB and alpha, the levels of all textures one after another.
        starts: (T, 13) int64, first row of each level in `texels`. `heights`, `widths`: (T, 13) int32.
        num_levels: (T,) int32.
        holes: (T,) bool, whether any texel is a hole (alpha below 128).
        glow: (T,) float32, light that the surface gives by itself: this times its colour.
        gloss: (T,) float32, 0 (cloth, stone) to 1 (wet, polished).
    """

    texels: UInt8
    starts: Int64
    heights: Int32
    widths: Int32
    num_levels: Int32
    holes: Bool
    glow: Float32
    gloss: Float32 = field(repr=False)

    @classmethod
    def build(
        cls,
        pictures: Sequence[UInt8],
        *,
        glow: Sequence[float] | None = None,
        gloss: Sequence[float] | None = None,
    ) -> TextureBank:
        """Make the bank of textures, in order.

        Args:
            pictures: (H, W, 3) or (H, W, 4) uint8 sRGB; alpha below 128 is a hole. Sides of 1 to 4,096.
            glow, gloss: for each picture; none.

        Raises:
            ShapeError: something that is no picture.
            InputError: another dtype, or as many values as there are no pictures.
        """
        from omnireid.synthetic.optics.kernels import halve_picture

        num = len(pictures)
        sizes = np.zeros((2, num, _MAX_LEVELS), np.int32)
        starts, num_levels = np.zeros((num, _MAX_LEVELS), np.int64), np.zeros(num, np.int32)
        holes = np.zeros(num, np.bool_)
        blocks: list[UInt8] = []
        length = 0
        for row, picture in enumerate(pictures):
            level = _with_alpha(row, picture)
            holes[row] = bool((level[:, :, 3] < 128).any())
            count = 0
            while True:
                height, width = level.shape[:2]
                starts[row, count], sizes[:, row, count] = length, (height, width)
                blocks.append(level.reshape(-1, 4))
                length += height * width
                count += 1
                if height == width == 1:
                    break
                smaller = np.empty((max(1, height // 2), max(1, width // 2), 4), np.uint8)
                halve_picture(level, smaller)
                level = smaller
            num_levels[row] = count
        texels = np.concatenate(blocks) if blocks else np.zeros((0, 4), np.uint8)
        return cls(
            texels=texels,
            starts=starts,
            heights=sizes[0],
            widths=sizes[1],
            num_levels=num_levels,
            holes=holes,
            glow=_shares("glow", glow, num),
            gloss=_shares("gloss", gloss, num),
        )

    @classmethod
    def join(cls, banks: Sequence[TextureBank]) -> TextureBank:
        """One bank of several; the rows of each follow those of the one before.

        Raises:
            InputError: no banks.
        """
        if not banks:
            raise InputError("no texture banks to join")
        if len(banks) == 1:
            return banks[0]
        shifts = np.cumsum([0, *(len(bank.texels) for bank in banks)])
        joined = {
            part.name: np.concatenate([getattr(bank, part.name) for bank in banks])
            for part in fields(cls)
            if part.name != "starts"
        }
        starts = [bank.starts + shift for bank, shift in zip(banks, shifts, strict=False)]
        return cls(starts=np.concatenate(starts), **joined)

    def arrays(self) -> tuple[np.ndarray, ...]:
        """The fields in their order, as compiled loops take them."""
        return tuple(getattr(self, part.name) for part in fields(self))

    def __len__(self) -> int:
        """How many textures there are."""
        return len(self.num_levels)


def _with_alpha(row: int, picture: UInt8) -> UInt8:
    if picture.ndim != 3 or picture.shape[2] not in (3, 4) or not picture.size:
        raise ShapeError(f"texture {row}", expected="(H, W, 3) or (H, W, 4)", actual=picture.shape)
    if max(picture.shape[:2]) > 2 ** (_MAX_LEVELS - 1):
        raise ShapeError(f"texture {row}", expected="sides of at most 4,096", actual=picture.shape)
    if picture.dtype != np.uint8:
        raise InputError(f"texture {row}: expected uint8, got {picture.dtype}")
    if picture.shape[2] == 4:
        return np.ascontiguousarray(picture)
    texels = np.full((*picture.shape[:2], 4), 255, np.uint8)
    texels[:, :, :3] = picture
    return texels


def _shares(name: str, values: Sequence[float] | None, num: int) -> Float32:
    if values is None:
        return np.zeros(num, np.float32)
    if len(values) != num:
        raise InputError(f"{name}: expected {num} values, one for each texture, got {len(values)}")
    return np.asarray(values, np.float32)
