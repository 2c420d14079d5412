"""Every command with odd values of every option: no traceback, no hang, no exit code but 0, 2 and 130.

Commands and options are read from the command tree, so a new one is tried without being listed here. `BASE`
only says what makes a command do its work on the little world below, so that odd values meet more than the
parser. `OMNIREID_FUZZ=N` tries N values of each option instead of the few that fit a test run; 0 is all.
"""

from __future__ import annotations

import inspect
import json
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

from omnireid.cli.app import app
from omnireid.cli.train import RecipeChanges
from toy_people import stripes_onnx, write_toy_people

SEED = 1
VALUES_OF_EACH = int(os.environ.get("OMNIREID_FUZZ", "2"))
TIMEOUT_S = 90.0

TINY = ["epochs=1", "sampler.batch_size=4", "input={height: 64, width: 32}"]
DATA = {"data": "market-layout", "root": "people"}
MODEL = {"model": "model.onnx"}
WEIGHTS = "run/model.safetensors"
GALLERY = {"gallery": "gallery"}
PICTURE = "people/query/0003_c1s1_000000_00.jpg"
BASE: dict[str, dict[str, Any]] = {
    "run": {**DATA, "out": "out", "overrides": TINY},
    "train": {**DATA, "out": "out", "overrides": TINY, "recipe": "quickstart"},
    # It ends once its recipe is read; what comes then is what `train` does.
    "search-architecture": {**DATA, "out": "out", "recipe": "quickstart"},
    "evaluate": {**MODEL, **DATA, "out": "out"},
    "compare": {"results": ["run", "run"]},
    "corrupt": {**DATA, "out": "out", "corruption": "brightness", "severity": 1},
    "calibrate": {**MODEL, **DATA, "out": "out.json", "false_alarm_rates": [0.05]},
    "verify": {**MODEL, "first": PICTURE, "second": PICTURE},
    "embed": {**MODEL, "source": "people/query", "out": "out.parquet"},
    "export": {"weights": WEIGHTS, **DATA, "out": "out.onnx"},
    "demo": {"trained": "run", "out": "out", "people": 1, "days": 1, "serve": False},
    "serve": {**MODEL, **GALLERY, "port": 0},
    "synth": {
        "out": "out", "num_train_pids": 1, "num_test_pids": 1, "crops_per_camera": 2, "num_distractors": 0,
        "num_junk": 0, "height": 32, "width": 16, "workers": 1,
    },
    "data show": {"name": "market1501"},
    "data validate": {"name": "market-layout", "root": "people"},
    "data stats": {"name": "market-layout", "root": "people"},
    "data manifest": {"name": "market-layout", "root": "people", "out": "out"},
    "gallery enrol": {**GALLERY, **MODEL, "source": "people/query"},
    "gallery search": {**GALLERY, **MODEL, "pictures": [PICTURE]},
    "gallery show": {**GALLERY, "name": "pid-3"},
    "gallery name": {**GALLERY, "identity": "pid-3", "new": "Ada"},
    "gallery merge": {**GALLERY, "into": "pid-3", "identities": ["pid-4"]},
    "gallery forget": {**GALLERY, "identity": "pid-3", "yes": True},
    "gallery assign": {**GALLERY, "item": ["0" * 32], "identity": "pid-3"},
    "gallery compare": {**GALLERY, "first": "0" * 32, "second": "0" * 32},
    "gallery reject": {**GALLERY, "item": "0" * 32, "identity": "pid-3"},
    "gallery unreject": {**GALLERY, "rejection": "0" * 32},
    "gallery move": {**GALLERY, "abandon": True},
    "gallery backup": {**GALLERY, "folder": "out"},
    "gallery restore": {"gallery": "out", "folder": "backup"},
    "gallery copy": {"source": "gallery", "target": "out"},
    "gallery forgotten": {**GALLERY, "out": "out.json"},
    "gallery retention set": {**GALLERY, "default": "3d"},
    "models show": {"model": "osnet_x1_0"},
    "models convert": {"checkpoint": WEIGHTS, "out": "out.safetensors"},
    "models pull": {"name": "osnet_x1_0_market1501", "offline": True, "cache_dir": "out"},
    "models reproduce": {"name": "none", "out": "out"},
    "recipes show": {"name": "quickstart"},
    "token create": {"name": "kiosk", "tokens": "tokens.json"},
    "token list": {"tokens": "tokens.json"},
    "token revoke": {"name": "gate", "tokens": "tokens.json"},
}  # fmt: skip
# They may work for long on what they are asked to do; then Ctrl-C ends them, soon.
LONG = {"run", "train", "adapt", "search-architecture", "demo", "synth"}
LONG_TIMEOUT_S = 5.0
# An odd folder of a finished run is no error: a network is trained there, for minutes. Sixty copies of the
# data, which a test of their own evaluates, take longer than all other cases of the command together.
LEFT_OUT = {
    ("demo", "trained"), ("demo", "browser"), ("serve", "browser"), ("evaluate", "clothes_swap"),
    ("evaluate", "corruptions"),
}  # fmt: skip

NUMBERS = (
    "0", "-1", "1", "2.5", "nan", "inf", "-inf", "1e308", "1e-320", "1e309", str(2**31), str(2**63),
    str(10**30), str(-(10**30)), "9" * 5000, "0x10", "1_0", "", " 7", "\u0663", "\u00bd", "seven",
)  # fmt: skip
ODD_NAMES = ("new\nline", "[red]x", 'it\'s "so"', "\udcff\udcfe", "u\u0308:smile:", "-dash")
SUFFIXES = (
    "", ".onnx", ".safetensors", ".pth", ".jpg", ".json", ".csv", ".parquet", ".npz", ".yaml", ".xml", ".txt",
)  # fmt: skip
TEXTS = (
    "", " ", ".", "..", "~", "*", "**/*", "[", "{}", "%s", "=", "a=b", "+", "a+b", "none", "all", "-", "\t",
    "\x1b[31m", "[red]x[/red]", "[/]", "\\", "\U0001d54f", "\u202e", "a" * 300, "a/" * 3000, *ODD_NAMES,
    "taken/x", "folder", "missing", "missing/x", "loop", "dangling", "null", "empty", "/proc/none/x",
    "/proc", "http://127.0.0.1:9/x", "http://", "s3://", "file:///", "0", "-1", "nan", str(10**30),
    "1970-01-01", "9999-12-31T23:59:59+00:00", "0001-01-01", "0d", "1e400d", "\u0663d", "a=\u0663d",
    "127.0.0.1", "::1", "999.1.1.1", "auto", "cuda:99", "cpu:x", *(f"garbage{suffix}" for suffix in SUFFIXES),
    *(f"taken/x{suffix}" for suffix in SUFFIXES[1:]), PICTURE, "people", "gallery", "run", "run/result.json",
    WEIGHTS, "backup", "tokens.json",
)  # fmt: skip
YAML_VALUES = (
    "0", "-1", ".nan", ".inf", "1e308", str(10**30), "null", "''", "[]", "{}", "true", "x", "[", "2030-01-01",
)  # fmt: skip
# Faults that were there once.
REGRESSIONS = (
    f"gallery audit --gallery gallery --limit {10**30}",
    "calibrate --model model.onnx --data market-layout --root people --out .",
    f"embed people/query --model model.onnx --out out.npz --threads {10**30}",
    "evaluate --model model.onnx --data market-layout --root people --out out --json taken/x.json",
    "verify loop loop --model model.onnx",
    "gallery backup --gallery gallery taken/x",
    f"embed people/query --model {'a' * 300} --out out.npz",
)


@dataclass(frozen=True)
class Option:
    """An option or argument of a command, and the type of what it takes."""

    name: str
    flags: tuple[str, ...]
    off_flags: tuple[str, ...]
    kind: Any
    is_required: bool


@dataclass(frozen=True)
class Case:
    command: str
    argv: tuple[str, ...]

    def __str__(self) -> str:
        """As it can be typed again."""
        return "omnireid " + " ".join(
            shlex.quote(word) if word.isprintable() else f"$'{word!r}'" for word in self.argv
        )


def commands() -> dict[str, list[Option]]:
    """Every command with its options, by its words."""
    found: dict[str, list[Option]] = {}

    def visit(command: Any, words: tuple[str, ...]) -> None:
        if hasattr(command, "commands"):
            for name, child in command.commands.items():
                visit(child, (*words, name))
            return
        hints = typing.get_type_hints(inspect.unwrap(command.callback))
        found[" ".join(words)] = [
            Option(
                param.name,
                tuple(param.opts) if param.param_type_name == "option" else (),
                tuple(param.secondary_opts),
                kind_of(hints[param.name]),
                param.required,
            )
            for param in command.params
            if param.name in hints
        ]

    visit(typer.main.get_command(app), ())
    return found


def kind_of(hint: Any) -> Any:
    """What one value is: `int` of `Optional[list[int]]`."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType, list):
        return kind_of(next(part for part in typing.get_args(hint) if part is not type(None)))
    return hint


def words_of(option: Option, value: Any) -> tuple[list[str], list[str]]:
    """Options and arguments that give the value."""
    if not option.flags:
        return [], [str(value)]
    if option.kind is bool:
        return ([option.flags[0]] if value else list(option.off_flags[:1])), []
    return [
        f"{option.flags[0]}={value}" if option.flags[0].startswith("--") else f"{option.flags[0]}{value}"
    ], []


def case_of(command: str, options: list[Option], changed: dict[str, Any]) -> Case:
    """The base of a command with some values in place of, or added to, its own."""
    chosen = {option.name: usual(option) for option in options if option.is_required}
    chosen.update(BASE.get(command, {}))
    chosen.update(changed)
    flags: list[str] = []
    arguments: list[str] = []
    for option in options:
        if option.name not in chosen:
            continue
        value = chosen[option.name]
        for item in value if isinstance(value, list) else [value]:
            more_flags, more_arguments = words_of(option, item)
            flags += more_flags
            arguments += more_arguments
    return Case(command, (*command.split(), *flags, *(["--", *arguments] if arguments else [])))


def usual(option: Option) -> Any:
    """A value for a required option that `BASE` does not know."""
    if option.name in GALLERY or option.name in MODEL or option.name in DATA:
        return {**GALLERY, **MODEL, **DATA}[option.name]
    if typing.get_origin(option.kind) is typing.Literal:
        return typing.get_args(option.kind)[0]
    return {int: 1, float: 0.5, bool: True}.get(option.kind, "x")


def odd_values(option: Option) -> list[Any]:
    if option.kind is bool:
        return [True, False] if option.off_flags else [True]
    if typing.get_origin(option.kind) is typing.Literal:
        return [*typing.get_args(option.kind), "", "bogus"]
    if option.name == "overrides":
        return [[*TINY, text] for text in recipe_assignments()]
    return list(NUMBERS if option.kind in (int, float) else TEXTS)


def recipe_assignments() -> list[str]:
    from omnireid.training.recipe import Recipe

    keys = list(Recipe.model_fields)
    for name, field in Recipe.model_fields.items():
        keys += [f"{name}.{inner}" for inner in getattr(field.annotation, "model_fields", {})]
    return [*(f"{key}={value}" for key in keys for value in YAML_VALUES), *TEXTS]


def cases_of(command: str, options: list[Option], values_of_each: int) -> Iterator[Case]:
    generator = random.Random(f"{SEED} {command}")
    yield from (
        Case(command, tuple(line.split())) for line in REGRESSIONS if f"{line} ".startswith(f"{command} ")
    )
    yield case_of(command, options, {})
    # What works for seconds gets fewer values.
    number = 1 if values_of_each and command in LONG else values_of_each
    for option in options:
        if (command, option.name) in LEFT_OUT:
            continue
        values = odd_values(option)
        if number and len(values) > number:
            values = generator.sample(values, number * (4 if option.name == "overrides" else 1))
        for value in values:
            yield case_of(command, options, {option.name: value})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one of everything: people, a run, a gallery, its backup, tokens, and files of no use."""
    folder = tmp_path_factory.mktemp("world")
    make_world(folder)
    return folder


def make_world(folder: Path) -> None:
    from omnireid import Embedder, Gallery
    from omnireid.data.datasets import read_dataset
    from omnireid.experiment.run import main_job
    from omnireid.gallery.datasets import fill_from_dataset
    from omnireid.server.tokens import TokenFile
    from omnireid.training.recipe import load_recipe

    people = read_dataset(
        "market-layout", write_toy_people(folder / "people", num_train=2, num_test=24, per_camera=2)
    )
    embedder = Embedder.open(stripes_onnx(folder / "model.onnx", 1.0))
    with Gallery.open(str(folder / "gallery"), actor="test") as gallery:
        fill_from_dataset(gallery, embedder, people)
        gallery.backup(folder / "backup")
    main_job(load_recipe("quickstart", RecipeChanges(TINY).values()), people, folder / "run")
    (folder / "run" / "data").symlink_to("../people")
    TokenFile(folder / "tokens.json").create("gate", "read")
    (folder / "taken").write_text("a file in the way")
    (folder / "empty").touch()
    (folder / "folder").mkdir()
    (folder / "loop").symlink_to("loop")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "null").symlink_to("/dev/null")
    for suffix in SUFFIXES:
        (folder / f"garbage{suffix}").write_bytes(random.Random(suffix).randbytes(500))
    for name in ODD_NAMES:
        (folder / name).symlink_to("people")


class Server:
    """Runs cases, each in a fork of its own and in a copy of the world."""

    def __init__(self, world: Path, scratch: Path) -> None:
        self.world, self.scratch, self.count = world, scratch, 0
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "80",
            "PYTHONWARNINGS": "ignore",
        }
        environment.pop("OMNIREID_GALLERY", None)
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("fuzz_server.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip

    def run(self, case: Case) -> dict[str, Any]:
        self.count += 1
        # One below: ".." is no folder of other cases.
        cwd = self.scratch / str(self.count) / "here"
        cwd.parent.mkdir()
        shutil.copytree(self.world, cwd, symlinks=True, copy_function=os.link)
        timeout_s = LONG_TIMEOUT_S if case.command in LONG else TIMEOUT_S
        question = {"argv": case.argv, "cwd": str(cwd), "timeout_s": timeout_s}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        shutil.rmtree(cwd.parent)
        return answer

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)


def fault(case: Case, answer: dict[str, Any]) -> str | None:
    """What is wrong with how a command ended; None if nothing is."""
    code, err = answer["code"], answer["err"]
    if answer["ended"] == "killed" or (answer["ended"] == "interrupted" and case.command not in LONG):
        return f"did not end ({answer['ended']})"
    if "Traceback (most recent call last)" in err or "Exception ignored" in err or "never retrieved" in err:
        return "traceback"
    if code not in allowed_codes(case.command):
        return f"exit code {code}"
    if code == 2 and not re.fullmatch(r"(.*\n)*(error: [^\n]+|Error: [^\n]+|.*--help.*)\n", last_lines(err)):
        return "exit code 2 without a line that says why"
    return None


def last_lines(err: str) -> str:
    return "".join(err.splitlines(keepends=True)[-1:])


def allowed_codes(command: str) -> set[int]:
    """0, 2 and 130; and 1 where the help says so (what was looked at has errors)."""
    node: Any = typer.main.get_command(app)
    for word in command.split():
        node = node.commands[word]
    return {0, 2, 130} | ({1} if "exit code 1" in (node.help or "") else set())


@pytest.fixture(scope="module")
def server(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(world, tmp_path_factory.mktemp("cases"))
    yield server
    server.close()


@pytest.mark.slow
@pytest.mark.parametrize("command", sorted(commands()))
def test_no_command_line_ends_in_a_traceback_a_hang_or_an_unknown_code(server: Server, command: str) -> None:
    faults = []
    for case in cases_of(command, commands()[command], VALUES_OF_EACH):
        answer = server.run(case)
        if reason := fault(case, answer):
            faults.append(f"{reason}: {case}\n{answer['err'][-2000:]}")
    assert not faults, "\n".join(faults)


def test_the_bases_name_options_that_there_are() -> None:
    for command, options in commands().items():
        assert set(BASE.get(command, {})) <= {option.name for option in options}, command


def test_every_command_and_regression_is_tried() -> None:
    cases = [case for command, options in commands().items() for case in cases_of(command, options, 2)]
    assert len(cases) > 400
    assert {" ".join(case.argv) for case in cases} >= set(REGRESSIONS)
