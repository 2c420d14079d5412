"""Options that several commands share: each declared once, so that it means and says the same everywhere.

Options that belong together are a dataclass, and a command takes one parameter for all of them (`App`).
Choices and defaults are the library's.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_type_hints, overload

import typer

from omnireid.cli.console import stderr
from omnireid.cli.settings import print_used
from omnireid.core.errors import ConfigError
from omnireid.core.options import OnBad, Protocol
from omnireid.data.options import Sources
from omnireid.experiment.options import Workers
from omnireid.gallery.options import StoredPrecision
from omnireid.inference.backends.table import BACKENDS
from omnireid.inference.options import AUTO, BackendName, Engine, PrecisionName

if TYPE_CHECKING:
    from os import PathLike

    from omnireid.core.types import Dataset
    from omnireid.inference.embedder import Embedder

# Of every whole number that has no nearer bound: what fits any library's C int.
LARGEST = 2**31 - 1
MOST_THREADS = 1_024
MAX_SEEDS = 100

CHECK = "omnireid.check"
"""Of a context's `meta`: whether a command is to say what it would use, and to do nothing."""

# Typer runs on Click, or on a copy of it inside of itself: where its context comes from, the current one is.
_CLICK = import_module(typer.Context.__mro__[1].__module__.removesuffix("core") + "globals")

_Command = TypeVar("_Command", bound=Callable[..., Any])


class App(typer.Typer):
    """Commands whose parameters may be dataclasses: one option for each field that declares one."""

    def command(self, name: str | None = None, **settings: Any) -> Callable[[_Command], _Command]:
        register = super().command(name, **settings)

        def add(command: _Command) -> _Command:
            register(_flat(command))
            return command

        return add


def _flat(command: Callable[..., Any]) -> Callable[..., Any]:
    parameters: list[inspect.Parameter] = []
    groups: dict[str, tuple[type, list[str]]] = {}
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        kind = parameter.annotation
        if not is_dataclass(kind):
            parameters.append(parameter.replace(kind=parameter.KEYWORD_ONLY))
            continue
        assert isinstance(kind, type)
        hints = get_type_hints(kind, include_extras=True)
        declared = [field for field in fields(kind) if hasattr(hints[field.name], "__metadata__")]
        groups[parameter.name] = (kind, [field.name for field in declared])
        parameters += [
            inspect.Parameter(
                field.name,
                parameter.KEYWORD_ONLY,
                default=parameter.empty if field.default is MISSING else field.default,
                annotation=hints[field.name],
            )
            for field in declared
        ]

    def call(**given: Any) -> Any:
        context = _CLICK.get_current_context(silent=True)
        if context is not None and context.meta.get(CHECK):
            return print_used(context)
        for name, (kind, names) in groups.items():
            given[name] = kind(**{field: _frozen(given.pop(field)) for field in names})
        return command(**given)

    call.__name__, call.__doc__ = command.__name__, command.__doc__
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what Typer reads
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return call


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


Model = Annotated[
    str,
    typer.Option("--model", "-m", help="Weights (.safetensors), an exported file, or the name of weights."),
]
CalibrationFile = Annotated[
    Path | None, typer.Option("--calibration", help="By default MODEL.calibration.json, where it exists.")
]
Overlapping = Annotated[
    bool,
    typer.Option("--overlapping", help="Cameras see the same places: one person may be in two at once."),
]
DATA = typer.Option("--data", help="Dataset or layout; see 'omnireid data list'.")
DATA_INSTEAD = typer.Option("--data", help="Instead of SOURCE: dataset or layout; see 'omnireid data list'.")
SEVERAL_DATA = typer.Option("--data", help="Dataset or layout (see 'omnireid data list'), or several: A+B.")
ROOT = typer.Option("--root", help="Folder of the dataset, or the manifest file.")
ROOTS = typer.Option(
    "--root", help="Folder of the dataset, or the manifest file; of several: one for all, or each."
)
Bad = Annotated[
    OnBad, typer.Option("--on-bad", help="A picture that cannot be decoded: stop, or skip and name it.")
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
Threads = Annotated[
    int | None,
    typer.Option("--threads", min=1, max=MOST_THREADS, help="Threads; by default one per available core."),
]
SplitId = Annotated[
    str | None, typer.Option("--split-id", help="Random split, from 0, or 'all'; by default the first.")
]
Extract = Annotated[
    bool, typer.Option("--extract", help="Unpack archives found where the dataset's folders should be.")
]
Seed = Annotated[int, typer.Option("--seed", min=0, max=2**63 - 1)]
ForeignCardFile = Annotated[
    Path | None,
    typer.Option(
        "--card",
        help="What a network file of others takes (YAML); by default NAME.card.yaml beside it.",
        dir_okay=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
NewPrecision = Annotated[
    StoredPrecision, typer.Option("--stored-precision", help="Of embeddings in a gallery that is made.")
]


@dataclass(frozen=True)
class EngineOptions(Engine):
    """What runs a model on a few pictures."""

    backend: Annotated[
        BackendName,
        typer.Option(
            metavar="NAME",
            help=f"Inference engine: {', '.join((AUTO, *BACKENDS.ours))}, or one that a package brings.",
        ),
    ] = Engine.backend
    precision: Annotated[
        PrecisionName | None, typer.Option(help="What the engines native, openvino and gpu compute in.")
    ] = Engine.precision
    device: Device = Engine.device
    threads: Threads = Engine.threads
    card: ForeignCardFile = Engine.card

    def open(self, model: str | PathLike[str]) -> Embedder:
        """`Embedder.open`, and say on stderr what was found out or assumed of the file."""
        from omnireid.experiment.opening import open_model

        return open_model(model, self, console=stderr)


@dataclass(frozen=True)
class BatchEngineOptions(EngineOptions):
    """What runs a model on many pictures."""

    batch_size: Annotated[int, typer.Option(min=1, max=LARGEST)] = Engine.batch_size


@dataclass(frozen=True)
class ClusterOptions(Workers):
    """Who does work that comes in parts; of a cluster as many as fit."""

    where: Annotated[
        Literal["local", "ray"],
        typer.Option("--engine", help="This process, or the workers of a Ray cluster."),
    ] = Workers.where
    address: Annotated[
        str | None,
        typer.Option(help="Of a running cluster: auto or HOST:PORT; by default Ray is started here."),
    ] = Workers.address
    cpus: Annotated[
        int | None,
        typer.Option("--worker-cpus", min=1, help="Cores of each worker; by default all of a machine."),
    ] = Workers.cpus
    gpus: Annotated[int, typer.Option("--worker-gpus", min=0, help="GPUs of each worker.")] = Workers.gpus


@dataclass(frozen=True)
class WorkerOptions(ClusterOptions):
    """Who does work that comes in parts."""

    count: Annotated[
        int | None, typer.Option("--workers", min=1, help="Of the cluster; by default as many as fit.")
    ] = Workers.count


@dataclass(frozen=True)
class DatasetOptions:
    """How a dataset is read."""

    split_id: SplitId = None
    no_check_counts: Annotated[
        bool, typer.Option("--no-check-counts", help="Go on where counts differ from the dataset's card.")
    ] = False
    extract: Extract = False
    protocol: Protocol | None = None

    def read(self, data: str, root: Path) -> Dataset:
        """One dataset, or one split of it.

        Raises:
            ConfigError: --split-id all, or as `split_id`.
            DatasetError, InputError: as `read_dataset`.
        """
        from omnireid.data.datasets import read_dataset

        return read_dataset(data, root, split_id=self.one_split(), **self._reading())

    def read_all(self, data: str, roots: list[Path]) -> list[Dataset]:
        """Several datasets, or all splits of one; errors as `read`, without the first."""
        from omnireid.data.combine import read_datasets

        return read_datasets(data, roots, split_id=split_id(self.split_id), **self._reading())

    def one_split(self) -> int | None:
        """Which split a command takes that works on one.

        Raises:
            ConfigError: "all", or as `split_id`.
        """
        chosen = split_id(self.split_id)
        if chosen == "all":
            raise ConfigError("--split-id all: this command works on one split; give its number")
        return chosen

    def _reading(self) -> dict[str, Any]:
        return {
            "check_counts": not self.no_check_counts,
            "protocol": self.protocol,
            "extract": self.extract,
            "console": stderr,
        }


@dataclass(frozen=True)
class TargetOptions(DatasetOptions):
    """What is trained on besides --data, and what is evaluated on."""

    target: Annotated[
        str | None, typer.Option(help="What to evaluate on, each apart (A+B); by default --data itself.")
    ] = None
    target_root: Annotated[
        list[Path] | None, typer.Option(help="As --root, for --target; by default the same.")
    ] = None
    combineall: Annotated[
        bool, typer.Option("--combineall", help="Train on query and gallery too (distractors left out).")
    ] = False

    def sources(self, data: str, roots: list[Path]) -> Sources:
        """What is read, for the library."""
        return Sources(
            data,
            roots,
            self.target,
            self.target_root,
            combine_all=self.combineall,
            split_id=split_id(self.split_id),
            protocol=self.protocol,
            check_counts=not self.no_check_counts,
            extract=self.extract,
        )


AskedProtocol = Annotated[
    Protocol | None,
    typer.Option("--protocol", help="How queries are scored; by default as the dataset states."),
]


@dataclass(frozen=True)
class ScoredDatasetOptions(DatasetOptions):
    """How a dataset is read that is scored."""

    protocol: AskedProtocol = None


@dataclass(frozen=True)
class ScoredTargetOptions(TargetOptions):
    """As `TargetOptions`, with how the targets are scored."""

    protocol: AskedProtocol = None


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


def seeds(text: str | None, changes: Mapping[str, object], *, split_id: object = None) -> list[int] | None:
    """What `--seeds` means: "1-5", "1,3,7", "1-3,7".

    Args:
        changes: changes of the recipe, which must not set its seed.
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


@overload
def moment(text: str, option: str) -> float: ...
@overload
def moment(text: str | None, option: str) -> float | None: ...
def moment(text: str | None, option: str) -> float | None:
    """Unix seconds of an ISO 8601 date or time; without an offset it is local time.

    Raises:
        ConfigError: something else; names the option.
    """
    if text is None:
        return None
    try:
        # Python 3.10 reads no "Z".
        return datetime.fromisoformat(re.sub("[zZ]$", "+00:00", text)).timestamp()
    except (ValueError, OverflowError, OSError) as error:
        raise ConfigError(
            f"{option} {text!r}: expected a date or a time such as 2026-11-22 or 2026-11-22T08:00:00+01:00"
        ) from error
