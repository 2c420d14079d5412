"""Training losses by name. Imports no torch.

A new loss is a file with its `make`, and its line in `LOSSES`; or a package with an entry point, see
docs/guides/extending/package.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from omnireid.core.sockets import Socket, later

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Taught:
    """What a teacher says of the crops of a batch.

    Attributes:
        embeddings: (N, E) float, each of unit norm.
        prototypes: (num_pids, E) float, each of unit norm: its mean embedding of each identity.
    """

    embeddings: Tensor
    prototypes: Tensor


@dataclass(frozen=True)
class LossBatch:
    """What a loss is computed of.

    Attributes:
        embeddings: (N, D) float, not normalised, of the crops themselves; before a neck.
        logits: (N, num_pids) float.
        labels: (N,) int64, 0 to num_pids − 1; of attributes (N, num_pids) float32, each 0 or 1.
        logits_VNC: (V, N, num_pids) float, of each view of the crops; the first is `logits`.
        necked: (N, D) float, what logits are computed of: behind the neck; `embeddings` where there is none.
        class_weights: (num_pids, D) float, what they are computed with.
        taught: what a teacher says of the crops; None without one.
        peer_logits: (N, num_pids) float, what the network beside which this one learns predicts, without
            gradients; None without one.
    """

    embeddings: Tensor
    logits: Tensor
    labels: Tensor
    logits_VNC: Tensor  # noqa: N815 (its axes)
    necked: Tensor
    class_weights: Tensor
    taught: Taught | None = None
    peer_logits: Tensor | None = None


Loss = Callable[[LossBatch], "Tensor"]
"""One batch → () float, whose gradients flow into embeddings or logits.

A loss with weights or a state of its own is a `torch.nn.Module`: they join optimiser and checkpoint.
"""


@dataclass(frozen=True)
class LossSpec:
    """One training loss.

    Attributes:
        name: its name as recipes take it, under `loss`.
        make: (number of training identities, **options) → the loss; the place to import torch. One that
            `takes_embedding_size` gets it as the option of this name.
        options: its own options and their defaults. Recipes write them beside its weight:
            `loss: {circle: {weight: 0.5, scale: 64}}`.
        teaches: whether identities are learned from it alone.
        trains_classifier: whether class predictions are learned from it.
        needs_classifier: whether it is of no use without class predictions that are learned.
        needs_several: whether it needs several pictures of a person in a batch.
        needs_views: whether it compares a crop with views of it that AugMix makes.
        takes_embedding_size: whether it has to know D; one with a teacher gets E, too, as `teacher_size`.
        falls_with_length: whether it falls when all embeddings become shorter together. From scratch and
            without a neck that outweighs what tells people apart (docs/decisions/0030).
        needs_teacher: whether it learns from a teacher's embeddings.
        needs_peer: whether it learns from a network that learns at the same time.
        of_attributes: whether it learns attributes in the place of identities. `make` gets how many there
            are, and as `shares` (A,) the share of the training pictures that have each.
    """

    name: str
    make: Callable[..., Loss]
    options: Mapping[str, Any] = field(default_factory=dict)
    teaches: bool = True
    trains_classifier: bool = False
    needs_classifier: bool = False
    needs_several: bool = False
    needs_views: bool = False
    takes_embedding_size: bool = False
    falls_with_length: bool = False
    needs_teacher: bool = False
    needs_peer: bool = False
    of_attributes: bool = False


LOSSES = Socket(
    "loss",
    "omnireid.losses",
    LossSpec,
    (
        LossSpec(
            "cross_entropy",
            later("omnireid.losses.cross_entropy:make"),
            {"label_smoothing": 0.1},
            trains_classifier=True,
        ),
        LossSpec(
            "triplet",
            later("omnireid.losses.triplet:make"),
            {"margin": 0.3},
            needs_several=True,
            falls_with_length=True,
        ),
        LossSpec(
            "consistency",
            later("omnireid.losses.consistency:make"),
            teaches=False,
            needs_classifier=True,
            needs_views=True,
        ),
        LossSpec(
            "soft_triplet",
            later("omnireid.losses.triplet:make_soft"),
            needs_several=True,
            falls_with_length=True,
        ),
        LossSpec(
            "circle",
            later("omnireid.losses.circle:make"),
            {"margin": 0.25, "scale": 64.0},
            needs_several=True,
        ),
        LossSpec(
            "centre",
            later("omnireid.losses.centre:CentreLoss"),
            {"rate": 0.5},
            teaches=False,
            takes_embedding_size=True,
        ),
        LossSpec(
            "cosface",
            later("omnireid.losses.cosine:make_cosface"),
            {"scale": 30.0, "margin": 0.35, "label_smoothing": 0.0},
            trains_classifier=True,
        ),
        LossSpec(
            "arcface",
            later("omnireid.losses.cosine:make_arcface"),
            {"scale": 30.0, "margin": 0.5, "label_smoothing": 0.0},
            trains_classifier=True,
        ),
        LossSpec(
            "teacher_features",
            later("omnireid.losses.teaching:FeatureLoss"),
            needs_teacher=True,
            takes_embedding_size=True,
        ),
        LossSpec("teacher_distances", later("omnireid.losses.teaching:make_distances"), needs_teacher=True),
        LossSpec("teacher_angles", later("omnireid.losses.teaching:make_angles"), needs_teacher=True),
        LossSpec(
            "teacher_logits",
            later("omnireid.losses.teaching:make_logits"),
            {"scale": 30.0, "temperature": 4.0},
            trains_classifier=True,
            needs_teacher=True,
        ),
        LossSpec(
            "mutual",
            later("omnireid.losses.teaching:make_mutual"),
            {"temperature": 1.0},
            teaches=False,
            needs_classifier=True,
            needs_peer=True,
        ),
        LossSpec(
            "attributes",
            later("omnireid.losses.attributes:make"),
            trains_classifier=True,
            of_attributes=True,
        ),
    ),
)
