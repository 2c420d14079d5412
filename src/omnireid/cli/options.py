"""Options that several commands share, so that they mean and say the same everywhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Annotated, Literal, Optional

import typer

from omnireid.core.errors import ConfigError

# Of every whole number that has no nearer bound: what fits any library's C int.
LARGEST = 2**31 - 1
MOST_THREADS = 1_024

# Typer runs on Click, or on a copy of it inside of itself: where its context comes from, the current one is.
_CLICK = import_module(typer.Context.__mro__[1].__module__.removesuffix("core") + "globals")


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


class FrameSampling(str, Enum):
    EVENLY = "evenly"
    RANDOM = "random"
    ALL = "all"


class Pooling(str, Enum):
    MEAN = "mean"
    MAX = "max"


class Backend(str, Enum):
    AUTO = "auto"
    ONNX = "onnx"
    OPENVINO = "openvino"
    TORCH = "torch"
    NATIVE = "native"
    GPU = "gpu"
    TORCHSCRIPT = "torchscript"
    TENSORRT = "tensorrt"
    EXECUTORCH = "executorch"


class Precision(str, Enum):
    FP32 = "fp32"
    BF16X3 = "bf16x3"
    BF16 = "bf16"
    FP16 = "fp16"


Model = Annotated[
    str,
    typer.Option(
        "--model", "-m", help="Weights (.safetensors), an exported file, or the name of pulled weights."
    ),
]
Data = Annotated[str, typer.Option("--data", help="Dataset or layout; see 'omnireid data list'.")]
SeveralData = Annotated[
    str, typer.Option("--data", help="Dataset or layout (see 'omnireid data list'), or several: A+B.")
]
Root = Annotated[Path, typer.Option("--root", help="Folder of the dataset, or the manifest file.")]
Roots = Annotated[
    list[Path],
    typer.Option(
        "--root", help="Folder of the dataset, or the manifest file; of several: one for all, or each."
    ),
]
Protocol = Annotated[
    Optional[ProtocolName],  # noqa: UP045 (evaluated at run time, on Python 3.10 too)
    typer.Option("--protocol", help="How queries are scored; by default as the dataset states."),
]
AnyCounts = Annotated[
    bool, typer.Option("--no-check-counts", help="Go on where counts differ from the dataset's card.")
]
SplitId = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--split-id", help="Random split, from 0, or 'all'; by default the first."),
]
Seeds = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--seeds", help="Train with each of several seeds (1-5, or 1,3,7), and report mean ± deviation."
    ),
]
Extract = Annotated[
    bool, typer.Option("--extract", help="Unpack archives found where the dataset's folders should be.")
]
CombineAll = Annotated[
    bool,
    typer.Option("--combineall", help="Train on query and gallery too (distractors left out)."),
]
Target = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--target", help="What to evaluate on, each apart (A+B); by default --data itself."),
]
TargetRoots = Annotated[
    Optional[list[Path]],  # noqa: UP045
    typer.Option("--target-root", help="As --root, for --target; by default the same."),
]
Bad = Annotated[
    OnBad, typer.Option("--on-bad", help="A picture that cannot be decoded: stop, or skip and name it.")
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
Threads = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option("--threads", min=1, max=MOST_THREADS, help="Threads; by default one per available core."),
]
BatchSize = Annotated[int, typer.Option("--batch-size", min=1, max=LARGEST)]
Seed = Annotated[int, typer.Option("--seed", min=0, max=2**63 - 1)]
BackendName = Annotated[Backend, typer.Option("--backend", help="Inference engine.")]
PrecisionName = Annotated[
    Optional[Precision],  # noqa: UP045
    typer.Option("--precision", help="What the engines native, openvino and gpu compute in."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def given(*names: str) -> list[str]:
    """Those options of the running command that its user typed, as they are typed; `names` are parameters."""
    context = _CLICK.get_current_context(silent=True)
    if context is None:  # called from Python, where every default is an argument like another
        return []
    return [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name in names and context.get_parameter_source(parameter.name).name == "COMMANDLINE"
    ]


def refuse(why: str, *names: str) -> None:
    """Refuse options that would be taken and do nothing, after which a result is not what its user thinks.

    Options that only permit something (--no-check-counts, --extract, --yes) may always be given.

    Args:
        why: "without --reranking", "with --picture".
        names: parameters of the running command.

    Raises:
        ConfigError: one of them was typed.
    """
    typed = given(*names)
    if typed:
        them = "it" if len(typed) == 1 else "them"
        raise ConfigError(f"{', '.join(typed)}: no effect {why}; leave {them} out")


def split_id(text: str | None) -> int | Literal["all"] | None:
    """What `--split-id` means.

    Raises:
        ConfigError: neither a number nor "all".
    """
    if text is None:
        return None
    if text == "all":
        return "all"
    if not text.isdecimal():
        raise ConfigError(f"--split-id {text!r}: expected a number from 0, or 'all'")
    return int(text)


MAX_SEEDS = 100


def seeds(text: str | None, changes: Mapping[str, object], *, split_id: object = None) -> list[int] | None:
    """What `--seeds` means: "1-5", "1,3,7", "1-3,7".

    Args:
        changes: of the recipe, which must not set its seed.
        split_id: what `--split-id` means.

    Raises:
        ConfigError: not two to `MAX_SEEDS` different seeds, or together with what says otherwise.
    """
    if text is None:
        return None
    if "seed" in changes:
        raise ConfigError("--seeds and --set seed: give one of them")
    if split_id == "all":
        raise ConfigError(
            "--seeds and --split-id all: give one of them; a deviation over both would be that of neither"
        )
    if not re.fullmatch(r"\d{1,9}(-\d{1,9})?(,\d{1,9}(-\d{1,9})?)*", text, flags=re.ASCII):
        raise ConfigError(f"--seeds {text!r}: expected numbers from 0 and ranges of them, as 1-5 or 1,3,7")
    bounds = [[int(number) for number in part.split("-")] for part in text.split(",")]
    ranges = [range(part[0], part[-1] + 1) for part in bounds]
    count = sum(map(len, ranges))
    if not all(ranges) or not 2 <= count <= MAX_SEEDS:
        raise ConfigError(f"--seeds {text!r}: expected 2 to {MAX_SEEDS} seeds, smaller ones first in a range")
    chosen = [seed for part in ranges for seed in part]
    if len(set(chosen)) != count:
        raise ConfigError(f"--seeds {text!r}: a seed is there twice")
    return chosen


def one_split(text: str | None) -> int | None:
    """What `--split-id` means to a command that works on one split only.

    Raises:
        ConfigError: "all", or as `split_id`.
    """
    chosen = split_id(text)
    if chosen == "all":
        raise ConfigError("--split-id all: trains one network for each split, which 'omnireid run' does")
    return chosen
