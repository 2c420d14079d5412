"""Embeddings of some people on a plane: by t-SNE, or by principal components where that is not installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from markupsafe import Markup

from omnireid.core.arrays import Float64, Int64
from omnireid.core.cameras import camera_name
from omnireid.core.display import short_repr
from omnireid.core.seeds import numpy_generator
from omnireid.core.types import Embeddings
from omnireid.core.vectors import unit_rows

MAX_PEOPLE = 24
"""More colours than these nobody tells apart."""
MAX_PICTURES = 20
"""Of one person."""
MIN_PICTURES = 8
"""Fewer make no map."""

SIZE = 460
_MARGIN = 16
_GOLDEN_ANGLE = 137.508
_SHAPES = (
    "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0z",
    "M-4-4h8v8h-8z",
    "M0-5.4 5 3.6h-10z",
    "M0-5.6 5.6 0 0 5.6-5.6 0z",
    "M-5-1.8h3.2V-5h3.6v3.2H5v3.6H1.8V5h-3.6V1.8H-5z",
    "M0 5.4-5-3.6H5z",
)


@dataclass(frozen=True, eq=False)
class EmbeddingMap:
    """Where some pictures lie on a plane.

    Attributes:
        places: (N, 2) float64; only who is near whom means something.
        pids, camids: (N,) int64.
        method: how the plane was made, in words.
        num_people, num_pictures: numbers of all that the sample was drawn from.
    """

    places: Float64
    pids: Int64
    camids: Int64
    method: str
    num_people: int
    num_pictures: int

    __repr__ = short_repr


def embedding_map(
    parts: Sequence[Embeddings],
    *,
    first: Sequence[int] = (),
    cosine: bool = False,
    seed: int = 0,
) -> EmbeddingMap | None:
    """Draw a sample of people and lay their embeddings out; None where there are too few.

    At most `MAX_PEOPLE` people with at least two pictures, half of them those of `first`, the others by
    chance, and at most `MAX_PICTURES` of each. Junk and distractors (pids below 1) are left out.

    Args:
        parts: such as queries and gallery; what is not drawn is not copied.
        first: pids that shall be in it, the most wanted first: the hardest.
        cosine: whether directions alone count, as for the cosine distance.
        seed: seed of the sample and of t-SNE.
    """
    people = np.concatenate([part.pids for part in parts])
    cameras = np.concatenate([part.camids for part in parts])
    everybody, counts = np.unique(people[people > 0], return_counts=True)
    several = everybody[counts > 1]
    known = set(several.tolist())
    generator = numpy_generator(seed, "embedding map")
    wanted = [pid for pid in first if pid in known][: MAX_PEOPLE // 2]
    others = generator.permutation(np.setdiff1d(several, wanted))
    chosen = [*wanted, *others[: MAX_PEOPLE - len(wanted)].tolist()]
    picked = [generator.permutation(np.flatnonzero(people == pid))[:MAX_PICTURES] for pid in sorted(chosen)]
    sample = np.concatenate(picked) if picked else np.zeros(0, np.int64)
    if len(sample) < MIN_PICTURES:
        return None
    ends = np.cumsum([len(part) for part in parts])
    begins = ends - [len(part) for part in parts]
    of_part = np.searchsorted(ends, sample, side="right")
    shown = np.stack(
        [parts[part].vectors[row - begins[part]] for row, part in zip(sample, of_part, strict=True)]
    ).astype(np.float64)
    if cosine:
        shown = unit_rows(shown, keep_zero=True)
    places, method = _laid_out(shown, seed)
    return EmbeddingMap(
        places, people[sample], cameras[sample], method, len(everybody), int((people > 0).sum())
    )


def _laid_out(rows: Float64, seed: int) -> tuple[Float64, str]:
    components, share = _principal(rows)
    if find_spec("sklearn") is None:
        words = (
            f"the two principal components, which hold {100 * share:.0f} % of the variance "
            "(t-SNE, which shows neighbours better, needs: pip install 'omnireid[report]')"
        )
        return components, words
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(rows) - 1) / 3)
    # Begun from the components, scaled as its author advises, so that a seed alone does not decide.
    begin = components / max(float(components[:, 0].std()), 1e-12) * 1e-4
    tsne = TSNE(init=begin.astype(np.float32), perplexity=perplexity, random_state=seed % 2**32)
    places = np.asarray(tsne.fit_transform(rows.astype(np.float32)), np.float64)
    return (
        places,
        f"t-SNE (perplexity {perplexity:.0f}): near means alike, distances between groups mean little",
    )


def _principal(rows: Float64) -> tuple[Float64, float]:
    """(N, 2) coordinates, and the share of the variance that they hold."""
    centred = rows - rows.mean(axis=0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    # The sign is free: the largest entry of each is positive.
    signs = np.sign(left[np.abs(left[:, :2]).argmax(axis=0), [0, 1]])
    total = float((values**2).sum())
    return left[:, :2] * values[:2] * signs, float((values[:2] ** 2).sum()) / total if total else 0.0


def map_chart(
    sample: EmbeddingMap,
    *,
    pid_names: Mapping[int, str] | None = None,
    camera_names: Mapping[int, str] | None = None,
) -> dict[str, Any]:
    """The map as inline SVG: colour for the person, shape for the camera, and a key to the shapes.

    Pointing at a picture, or choosing it by keyboard, leaves this person's pictures alone in full colour.
    """
    low, high = sample.places.min(axis=0), sample.places.max(axis=0)
    scale = (SIZE - 2 * _MARGIN) / np.maximum(high - low, 1e-12)
    points = _MARGIN + (sample.places - low) * scale
    cameras = np.unique(sample.camids).tolist()
    people = []
    for number, pid in enumerate(np.unique(sample.pids).tolist()):
        name = (pid_names or {}).get(pid) or f"pid {pid}"
        marks = [
            Markup('<path d="{}" transform="translate({:.1f} {:.1f})"><title>{}, {}</title></path>').format(
                _SHAPES[cameras.index(int(sample.camids[row])) % len(_SHAPES)],
                points[row, 0],
                points[row, 1],
                name,
                _camera(int(sample.camids[row]), camera_names),
            )
            for row in np.flatnonzero(sample.pids == pid)
        ]
        people.append(
            Markup('<g class="who" tabindex="0" role="img" aria-label="{}" fill="{}">{}</g>').format(
                f"{name}, {len(marks)} pictures", _colour(number), Markup("").join(marks)
            )
        )
    title = "Map of embeddings"
    svg = Markup('<svg class="map" viewBox="0 0 {} {}" role="group" aria-label="{}">{}</svg>').format(
        SIZE, SIZE, title, Markup("").join(people)
    )
    key = [
        (Markup('<svg viewBox="-7 -7 14 14" aria-hidden="true"><path d="{}"/></svg>').format(shape), names)
        for shape, names in (
            (shape, ", ".join(_camera(camera, camera_names) for camera in cameras[index :: len(_SHAPES)]))
            for index, shape in enumerate(_SHAPES)
        )
        if names
    ]
    sampled = (
        f"{len(people)} of {sample.num_people:,} people, "
        f"{len(sample.places):,} of {sample.num_pictures:,} pictures"
    )
    return {"svg": svg, "key": key, "method": sample.method, "sample": sampled}


def _camera(camid: int, names: Mapping[int, str] | None) -> str:
    return camera_name(camid, names) or "camera unknown"


def _colour(number: int) -> str:
    return f"hsl({number * _GOLDEN_ANGLE % 360:.0f} {(70, 55)[number % 2]}% {(45, 58, 52)[number % 3]}%)"
