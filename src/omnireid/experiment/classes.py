"""Classification as a ranking: each class is a gallery item, as close to a picture as its logit is high."""

from __future__ import annotations

import numpy as np

from omnireid.core.errors import InputError
from omnireid.core.types import Embeddings, Split
from omnireid.inference.embedder import Embedder


def class_items(embedder: Embedder, gallery: Split) -> Embeddings:
    """The gallery of `Protocol.CLASSES`: a unit vector for each class, in the order of pids.

    With cosine distance (as with Euclidean) the classes come in the order of a picture's logits: the product
    of the picture's vector and a unit vector is one logit.

    Raises:
        InputError: the embedder says something else than these classes.
    """
    if embedder.dim != len(gallery):
        raise InputError(
            f"{embedder.card.name} gives {embedder.dim} values for a picture, and there are {len(gallery)} "
            "classes: only 'omnireid run' scores classes, by the classifier that it trains"
        )
    axes = np.eye(len(gallery), dtype=np.float32)
    return Embeddings(axes, gallery.samples, embedder.ref, embedder.normalise)
