"""Result record: a number and everything needed to trust it. Reports and tables are made from it."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from omnireid import __version__
from omnireid.core.closed import ClosedModel
from omnireid.core.display import html_table, short_repr
from omnireid.core.errors import InputError
from omnireid.core.files import write_text
from omnireid.core.machine import available_cores, machine_name
from omnireid.core.types import Partition

_RECORDED_PACKAGES = (
    "numpy",
    "pillow",
    "onnxruntime",
    "torch",
    "lightning-fabric",
    "opencv-python-headless",
    "scipy",
    "numba",
)


class ProtocolRecord(ClosedModel):
    """How the ranking was scored."""

    name: str
    distance: str
    normalised: bool
    reranking: str = "none"
    num_queries: int
    num_valid_queries: int
    num_gallery: int
    ties: str = "gallery order"
    repeats: int = 1
    frames: str = ""  # of tracklets: how they were sampled and pooled, "15 evenly, mean"


class ByMetric(BaseModel):
    """Values by the name of a metric, `record.mAP`. Which there are is for `evaluation.metrics` to say.

    A metric of another version that this one does not know is kept, one that a file lacks is None for `get`.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def get(self, name: str) -> Any:
        """A metric's value; None where the protocol does not define it, or the file is older than it."""
        return self.by_metric().get(name)

    def by_metric(self) -> dict[str, Any]:
        """Name and value, in the order of the file."""
        return dict(self.__pydantic_extra__ or {})


class MetricsRecord(ByMetric):
    """Fractions between 0 and 1. `mAP` and `mINP` are null where the protocol does not define them."""

    __pydantic_extra__: dict[str, float | None]


class SplitRecord(ClosedModel):
    """Size of a split; `images` counts every frame of its tracklets."""

    images: int
    pids: int
    cameras: int
    tracklets: int | None = None


class DatasetRecord(ClosedModel):
    """What was read.

    Attributes:
        skipped: pictures that could not be decoded, with the reason.
        not_taken: how many files the reader left out, by reason; junk among them.
        pid_names, camera_names: what people and cameras are called, where it is not their number.
    """

    name: str
    root: str
    splits: dict[str, SplitRecord]
    skipped: tuple[str, ...] = ()
    partition: Partition | None = None
    not_taken: dict[str, int] = Field(default_factory=dict)
    pid_names: dict[int, str] = Field(default_factory=dict)
    camera_names: dict[int, str] = Field(default_factory=dict)


class ModelRecord(ClosedModel):
    name: str
    architecture: str
    source: str
    sha256: str | None
    backend: str
    input_size: tuple[int, int]
    embedding_size: int


class EnvironmentRecord(ClosedModel):
    """Where the numbers were made."""

    omnireid: str
    python: str
    packages: dict[str, str]
    machine: str
    cores: int
    commit: str | None
    created: str

    @classmethod
    def capture(cls) -> EnvironmentRecord:
        packages = {}
        for name in _RECORDED_PACKAGES:
            try:
                packages[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                continue
        return cls(
            omnireid=__version__,
            python=platform.python_version(),
            packages=packages,
            machine=machine_name(),
            cores=available_cores(),
            commit=_commit(),
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        )


class BestEpochRecord(ClosedModel):
    """The evaluated epoch with the highest score, whose weights were kept beside the last.

    Attributes:
        metric: "mAP", or "rank1" where the protocol has no mAP; of several datasets the mean.
        evaluated_on: the data that chose it.
    """

    epoch: int
    metric: str
    value: float
    evaluated_on: str


class TrainingRecord(ClosedModel):
    """The run that made the weights.

    Attributes:
        history: one row per epoch.
        best: the best epoch of those evaluated in between; None where none was.
        extensions: (epochs done, epochs planned until then) for each time the run was made longer.
    """

    recipe: dict[str, Any]
    history: tuple[dict[str, float], ...]
    images_per_second: float
    data_wait_share: float
    seconds: float
    best: BestEpochRecord | None = None
    extensions: tuple[tuple[int, int], ...] = ()

    __repr__ = __str__ = short_repr


class SpreadRecord(ClosedModel):
    """Values of repeated measurements. `deviation` is the sample standard deviation, null for one value."""

    mean: float
    deviation: float | None
    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> SpreadRecord:
        """Summarise at least one value."""
        deviation = statistics.stdev(values) if len(values) > 1 else None
        return cls(mean=statistics.fmean(values), deviation=deviation, values=tuple(values))


class ConditionRecord(ByMetric):
    """One of the four evaluations of a corruption benchmark, over its rounds: a spread for each metric."""

    __pydantic_extra__: dict[str, SpreadRecord]


class CorruptionCell(ByMetric):
    """One corruption at one severity on every query; the gallery is clean."""

    corruption: str
    severity: int
    __pydantic_extra__: dict[str, float]


class RobustnessRecord(ClosedModel):
    """A corruption benchmark: what a model keeps of its accuracy on corrupted pictures.

    Attributes:
        benchmark: "<dataset>-C".
        rounds, seed: each round draws corruption and severity of every picture anew from (seed, round, path).
        conditions: "clean", "both", "query" and "gallery": which side was corrupted.
        cells: the per-corruption table; empty where it was not asked for.
    """

    benchmark: str
    rounds: int
    seed: int
    conditions: dict[str, ConditionRecord]
    cells: tuple[CorruptionCell, ...] = ()

    __repr__ = __str__ = short_repr


class OpenSetPointRecord(ClosedModel):
    """One operating point of a watch list over the draws of known people.

    `tpir` (DIR at rank 1) and `threshold` are null where a draw has fewer than 1/FPIR non-mate searches.
    """

    fpir: float
    tpir: SpreadRecord | None
    threshold: SpreadRecord | None


class OpenSetRecord(ClosedModel):
    """Open-set identification by the watch-list protocol.

    Attributes:
        distance: smaller is closer; a search is accepted below the threshold.
        known_share, seed: what the draws of known people were made with; `eer.values` has one value a draw.
        mate_searches, non_mate_searches: means over the draws.
        curve: (FPIR, mean TPIR), FPIR ascending from the lowest that can be measured to 1.
    """

    distance: str
    normalised: bool
    protocol: str
    known_share: float
    seed: int
    mate_searches: float
    non_mate_searches: float
    points: tuple[OpenSetPointRecord, ...]
    eer: SpreadRecord
    curve: tuple[tuple[float, float], ...]

    __repr__ = __str__ = short_repr


class Interval(ClosedModel):
    """A mean, and bounds for other people at this level (bootstrap over identities)."""

    value: float
    low: float
    high: float
    level: float


class MetricIntervals(ByMetric):
    """How sure the metrics are. Null where the protocol does not define a metric."""

    num_identities: int
    samples: int
    seed: int
    __pydantic_extra__: dict[str, Interval | None]

    @property
    def level(self) -> float:
        """Share of resampled means inside the intervals."""
        return float(next(interval.level for interval in self.by_metric().values() if interval is not None))


class GroupScore(ByMetric):
    """Scores of some of the queries: metrics that are means over queries; null without a valid one.

    Attributes:
        group: What the queries have in common.
        num_queries, num_valid_queries: All, and those with a match.
    """

    group: str
    num_queries: int
    num_valid_queries: int
    __pydantic_extra__: dict[str, float | None]


class CameraPairScore(ClosedModel):
    """Queries of one camera in the gallery pictures of another alone."""

    q_camid: int
    g_camid: int
    num_gallery: int
    score: GroupScore


class AnalysisRecord(ClosedModel):
    """What stands behind the headline: how sure it is, where it holds, and what a threshold would give.

    Attributes:
        camera_pairs, crop_heights: empty where they were not measured.
        omitted: what could not be measured, and why.
    """

    intervals: MetricIntervals | None = None
    camera_pairs: tuple[CameraPairScore, ...] = ()
    crop_heights: tuple[GroupScore, ...] = ()
    open_set: OpenSetRecord | None = None
    omitted: tuple[str, ...] = ()

    __repr__ = __str__ = short_repr


_Record = TypeVar("_Record", bound="StoredRecord")


class StoredRecord(ClosedModel):
    """A record that is a file of its own."""

    title: ClassVar[str]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write as JSON, atomically.

        Raises:
            StorageError: The file cannot be written; an old one stays.
        """
        write_text(path, self.model_dump_json(indent=2) + "\n")

    @classmethod
    def load(cls: type[_Record], path: str | os.PathLike[str]) -> _Record:
        """Read a record.

        Raises:
            InputError: Missing, or not a record of this kind and version.
        """
        try:
            return cls.model_validate_json(Path(path).read_text())
        except FileNotFoundError as error:
            raise InputError(f"{path}: no such {cls.title}") from error
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from error
        except (ValidationError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: not a {cls.title} of this version: {error}") from error


class MeansRecord(StoredRecord):
    """Means over repetitions: of a model or recipe over random splits, or of a recipe over seeds.

    Attributes:
        protocol: null where nothing was ranked: the metrics are then what training itself measured.
        metrics: a spread for each metric that the protocol defines.
        partitions, seeds: what the repetitions differ in; the other one is empty.
    """

    title: ClassVar[str] = "record of means"

    schema_version: int = 1
    dataset: str
    model: str
    protocol: ProtocolRecord | None
    metrics: dict[str, SpreadRecord]
    partitions: tuple[Partition, ...] = ()
    seeds: tuple[int, ...] = ()
    environment: EnvironmentRecord

    __repr__ = __str__ = short_repr

    @classmethod
    def of(cls, records: Sequence[ResultRecord]) -> MeansRecord:
        """Summarise the records of one dataset's splits, or of one recipe's seeds on one dataset.

        Raises:
            InputError: fewer than two, or of different datasets, models or protocols, or neither of different
                splits nor of different seeds.
        """
        partitions = tuple(record.dataset.partition for record in records if record.dataset.partition)
        if len({partition.index for partition in partitions}) > 1:
            seeds: tuple[int, ...] = ()
        else:
            partitions, seeds = (), tuple(record.seed for record in records)
        kinds = {(record.dataset.name, record.protocol.name, record.protocol.distance) for record in records}
        repeated = max(len({partition.index for partition in partitions}), len(set(seeds)))
        if repeated < 2 or repeated != len(records) or len(kinds) != 1:
            raise InputError("a mean needs two or more records of one dataset's splits, or of seeds")
        return cls(
            dataset=records[0].dataset.name,
            model=records[0].model.name,
            protocol=records[0].protocol,
            metrics=_spreads([record.metrics.by_metric() for record in records]),
            partitions=partitions,
            seeds=seeds,
            environment=EnvironmentRecord.capture(),
        )

    @classmethod
    def of_training(cls, dataset: str, model: str, records: Sequence[TrainingRecord]) -> MeansRecord:
        """Summarise trainings of one recipe by several seeds: of each metric, what was measured last."""
        last: list[dict[str, float]] = []
        for record in records:
            last.append({})
            for row in record.history:
                last[-1] |= {name: value for name, value in row.items() if name not in _NO_METRICS}
        return cls(
            dataset=dataset,
            model=model,
            protocol=None,
            metrics=_spreads(last),
            seeds=tuple(int(record.recipe["seed"]) for record in records),
            environment=EnvironmentRecord.capture(),
        )


_NO_METRICS = ("epoch", "best", "lr", "seconds", "images", "images_per_second", "data_wait_share")
"""What a row of a training's history holds besides metrics."""


def _spreads(table: Sequence[dict[str, Any]]) -> dict[str, SpreadRecord]:
    """Of each metric that every repetition has."""
    return {
        name: SpreadRecord.of([row[name] for row in table])
        for name in table[0]
        if all(row.get(name) is not None for row in table)
    }


class ResultRecord(StoredRecord):
    """One evaluation, with the training before it where there was one.

    `warnings` are what a reader of the numbers should know: data that was left out or read in an assumed way,
    queries without a match, copies of queries in the gallery.
    """

    title: ClassVar[str] = "result record"

    schema_version: int = 1
    dataset: DatasetRecord
    model: ModelRecord
    protocol: ProtocolRecord
    metrics: MetricsRecord
    cmc: tuple[float, ...]
    seed: int
    environment: EnvironmentRecord
    timings_s: dict[str, float] = Field(default_factory=dict)
    training: TrainingRecord | None = None
    analysis: AnalysisRecord | None = None
    robustness: RobustnessRecord | None = None
    artifacts: dict[str, str] = Field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    __repr__ = __str__ = short_repr

    def _repr_html_(self) -> str:
        metrics = {
            name: "–" if value is None else f"{100 * value:.1f}"
            for name, value in self.metrics.by_metric().items()
        }
        return html_table(
            (*metrics,),
            [(*metrics.values(),)],
            f"{self.model.name} on {self.dataset.name}, percent; {self.protocol.name}, "
            f"{self.protocol.distance}, {self.protocol.num_valid_queries:,} valid queries, "
            f"re-ranking: {self.protocol.reranking}",
        )


def _commit() -> str | None:
    """Commit of the source tree this package runs from; None when it is installed from a wheel."""
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        return None
    try:
        head = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain")
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("-dirty" if changed else "")


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.strip()
