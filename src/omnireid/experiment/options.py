"""What is measured of a model: options and their defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from omnireid.core.errors import InputError
from omnireid.core.options import OnBad
from omnireid.data.options import FrameSampling


@dataclass(frozen=True)
class Corruptions:
    """The corruption benchmark of a dataset, by the protocol of Market-1501-C.

    Attributes:
        rounds: Fresh draws to average over; the published protocol takes ten.
        seed: Of the draws; None takes a new one, which the record names.
        cells: Whether each corruption at each severity is evaluated too, on all queries, with the clean
            gallery: a hundred more passes over the queries.
        workers: Threads that decode and corrupt; None takes the cores. No result depends on it.
        cache_bytes: Memory for decoded pictures, so that later rounds do not decode again.

    Raises:
        InputError: No rounds.
    """

    rounds: int = 10
    seed: int | None = 0
    cells: bool = True
    workers: int | None = None
    cache_bytes: int = 2 << 30

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise InputError(f"rounds: expected at least 1, got {self.rounds}")


@dataclass(frozen=True)
class Gates:
    """Clusters of test pictures that a block's gates weigh alike, for the report.

    Attributes:
        num_clusters: How many.
        block: Such as "conv3.0"; None takes the last, as the OSNet paper does.
        max_pictures: Larger datasets are sampled.

    Raises:
        InputError: Fewer than two clusters.
    """

    num_clusters: int = 8
    block: str | None = None
    max_pictures: int = 5000

    def __post_init__(self) -> None:
        if self.num_clusters < 2:
            raise InputError(f"num_clusters: expected at least 2, got {self.num_clusters}")


@dataclass(frozen=True)
class Workers:
    """Who does tasks that do not depend on each other.

    Attributes:
        where: "local" is this process; "ray" workers on a Ray cluster.
        address: Of a running cluster, host:port, or "auto" for the one of this machine; None starts Ray here,
            for as long as the work takes.
        count: Workers; None takes as many as fit.
        cpus: Cores of each; None takes all of a machine, or an equal part for each of its GPUs.
        gpus: GPUs of each.
    """

    where: Literal["local", "ray"] = "local"
    address: str | None = None
    count: int | None = None
    cpus: int | None = None
    gpus: int = 0


@dataclass(frozen=True)
class EvaluationOptions:
    """What is measured besides the metrics of the ranking.

    Attributes:
        normalise: Whether embeddings are L2-normalised. None takes them raw, as the published OSNet figures;
            with `corruptions` normalised, as the published figures of these.
        frames: How tracklets become embeddings; None takes torchreid's way.
        analysis: Whether intervals, breakdowns and open-set metrics are measured.
        corruptions: The corruption benchmark; None leaves it out.
        on_bad: What is done with a picture that cannot be decoded.
        flip: Whether each picture is embedded together with its mirror image.
        gates: Clusters of what an OSNet's gates tell apart; None leaves them out.
        workers: Who measures the corruption benchmark.
    """

    normalise: bool | None = None
    frames: FrameSampling | None = None
    analysis: bool = True
    corruptions: Corruptions | None = None
    on_bad: OnBad = "error"
    flip: bool = False
    gates: Gates | None = None
    workers: Workers = Workers()


@dataclass(frozen=True)
class Parts:
    """How a folder of embeddings is made.

    Attributes:
        rows: Pictures of a part: what is lost of the work when somebody is killed.
        workers: Who makes the parts.
        gallery: Where the pictures are enrolled; the folder then holds what became of each part. None keeps
            embeddings in the folder.
        actor: Who enrols them, in the gallery's audit.
    """

    rows: int = 4096
    workers: Workers = Workers()
    gallery: str | None = None
    actor: str = "local"
