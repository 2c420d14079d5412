"""Options that several commands share, so that they mean and say the same everywhere."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Optional

import typer


class OnBad(str, Enum):
    """What to do with a picture that cannot be decoded."""

    ERROR = "error"
    SKIP = "skip"


class Distance(str, Enum):
    EUCLIDEAN = "euclidean"
    SQ_EUCLIDEAN = "sq_euclidean"
    COSINE = "cosine"


class ProtocolName(str, Enum):
    MARKET1501 = "market1501"
    SINGLE_GALLERY_SHOT = "single-gallery-shot"
    NO_CAMERA = "no-camera"


class Backend(str, Enum):
    AUTO = "auto"
    ONNX = "onnx"
    TORCH = "torch"


Model = Annotated[
    str,
    typer.Option(
        "--model", "-m", help="Weights (.safetensors), an ONNX file, or the name of pulled weights."
    ),
]
Data = Annotated[str, typer.Option("--data", help="Dataset or layout; see 'omnireid data list'.")]
Root = Annotated[Path, typer.Option("--root", help="Folder of the dataset, or the manifest file.")]
Protocol = Annotated[
    Optional[ProtocolName],  # noqa: UP045 (evaluated at run time, on Python 3.10 too)
    typer.Option("--protocol", help="How queries are scored; by default as the dataset states."),
]
AnyCounts = Annotated[
    bool, typer.Option("--no-check-counts", help="Go on where counts differ from the dataset's card.")
]
Bad = Annotated[
    OnBad, typer.Option("--on-bad", help="A picture that cannot be decoded: stop, or skip and name it.")
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
Threads = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option("--threads", min=1, help="Threads; by default one per available core."),
]
BatchSize = Annotated[int, typer.Option("--batch-size", min=1)]
Seed = Annotated[int, typer.Option("--seed", min=0)]
BackendName = Annotated[Backend, typer.Option("--backend", help="Inference engine.")]
