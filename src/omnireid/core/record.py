"""Result record: a number and everything needed to trust it. Reports and tables are made from it."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from omnireid import __version__
from omnireid.core.errors import InputError
from omnireid.core.files import write_text
from omnireid.core.machine import available_cores, machine_name

_RECORDED_PACKAGES = ("numpy", "pillow", "onnxruntime", "torch", "lightning-fabric", "opencv-python-headless")


class ProtocolRecord(BaseModel):
    """How the ranking was scored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    distance: str
    normalised: bool
    reranking: str = "none"
    num_queries: int
    num_valid_queries: int
    num_gallery: int
    ties: str = "gallery order"
    repeats: int = 1


class MetricsRecord(BaseModel):
    """Fractions between 0 and 1. `mAP` and `mINP` are null where the protocol does not define them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank1: float
    rank5: float
    rank10: float
    rank20: float
    mAP: float | None  # noqa: N815 (the field's spelling)
    mINP: float | None  # noqa: N815


class SplitRecord(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    images: int
    pids: int
    cameras: int


class DatasetRecord(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    root: str
    splits: dict[str, SplitRecord]
    skipped: tuple[str, ...] = ()


class ModelRecord(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    architecture: str
    source: str
    sha256: str | None
    backend: str
    input_size: tuple[int, int]
    embedding_size: int


class EnvironmentRecord(BaseModel):
    """Where the numbers were made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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


class TrainingRecord(BaseModel):
    """The run that made the weights. `history` holds one row per epoch."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: dict[str, Any]
    history: tuple[dict[str, float], ...]
    images_per_second: float
    data_wait_share: float
    seconds: float


class ResultRecord(BaseModel):
    """One evaluation, with the training before it where there was one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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
    artifacts: dict[str, str] = Field(default_factory=dict)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write as JSON, atomically."""
        write_text(path, self.model_dump_json(indent=2) + "\n")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ResultRecord:
        """Read a record.

        Raises:
            InputError: missing, or not a result record.
        """
        try:
            return cls.model_validate_json(Path(path).read_text())
        except FileNotFoundError as error:
            raise InputError(f"{path}: no such result record") from error
        except (ValidationError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: not a result record of this version: {error}") from error


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
