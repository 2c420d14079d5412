"""What reaches a terminal, a pipe and a file: whole names, JSON, and no traceback whatever becomes of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Group
from rich.table import Table

from omnireid.cli.app import main
from omnireid.cli.console import _Results, one_line, print_rows
from omnireid.core.files import write_text
from omnireid.models.cards import list_models

LONG = "osnet_ain_x1_0_of_a_very_long_name_that_nobody_would_give"


def omnireid(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, with a narrow terminal's width in its environment."""
    environment = {
        **os.environ,
        "COLUMNS": "80",
        "PYTHONPATH": os.pathsep.join(sys.path),
        **options.pop("env", {}),
    }
    code = "from omnireid.cli.app import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *words], text=True, env=environment, timeout=120, **options
    )


@pytest.mark.parametrize("words", [("models", "list"), ("data", "show", "market1501"), ("recipes", "--help")])
def test_output_that_nobody_reads_ends_quietly(words: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = omnireid(*words, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("words", [("models", "list"), ("models", "show", "osnet_x1_0")])
def test_output_that_cannot_be_stored_is_an_error_of_one_line(words: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        done = omnireid(*words, stdout=full, stderr=subprocess.PIPE)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "disk is full" in done.stderr
        # Of messages on stderr nobody can be told; the exit code remains.
        assert omnireid("data", "show", "nothing", stdout=subprocess.PIPE, stderr=full).returncode == 2


def test_closed_streams_and_terminals_of_any_kind_do_no_harm() -> None:
    closed = omnireid("models", "list", preexec_fn=lambda: [os.close(number) for number in (0, 1, 2)])
    assert closed.returncode == 0
    for env in ({"PYTHONIOENCODING": "ascii"}, {"COLUMNS": "1"}, {"NO_COLOR": "1", "TERM": "dumb"}):
        done = omnireid("data", "list", capture_output=True, env=env)
        assert (done.returncode, done.stderr) == (0, "")
        assert len(done.stdout.splitlines()) > 30


def test_names_of_any_bytes_are_shown_on_one_line() -> None:
    name = b"x\n\xff\x1b[31m[red]:smile:"
    done = omnireid("data", "show", os.fsdecode(name), capture_output=True)
    assert done.returncode == 2
    assert done.stderr.startswith(r"error: unknown dataset 'x\n\udcff\x1b[31m[red]:smile:'")
    assert done.stderr.count("\n") == 1
    assert one_line("a\n  b\x1b[1m\u202e\udcff") == r"a b\x1b[1m\u202e\udcff"


def test_a_pipe_gets_every_name_whole_on_one_line() -> None:
    lines = omnireid("models", "list", capture_output=True).stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(list_models())
    assert "Market-1501, training split" in next(line for line in lines if "osnet_x0_25_market1501" in line)


def wide_table() -> Table:
    table = Table("name", "text", title="a title", caption="a caption")
    table.columns[0].no_wrap = True
    table.add_row(LONG, "many words " * 20)
    return table


@pytest.mark.parametrize(
    ("is_terminal", "width", "is_plain"), [(False, 80, True), (True, 80, False), (True, 20, True)]
)
def test_a_table_is_plain_where_it_cannot_be_drawn_whole(
    is_terminal: bool, width: int, is_plain: bool
) -> None:
    console = _Results(
        force_terminal=is_terminal, width=width, soft_wrap=True, color_system=None, record=True
    )
    with console.capture() as capture:
        console.print(Group(wide_table()))
    text = capture.get()
    assert LONG in text
    assert ("\u2503" in text) is not is_plain  # the frame
    assert (len(text.splitlines()) == 4) is is_plain  # title, header, row, caption


def test_rows_are_a_table_or_json(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("a", 1000, None), ("[red]:smile:", 2, "x")]
    print_rows(("name", "count", "kind"), rows)
    assert capsys.readouterr().out.splitlines() == [
        "name          count  kind", "a             1,000", "[red]:smile:      2  x",
    ]  # fmt: skip
    print_rows(("name", "count", "kind"), rows, as_json=True)
    assert json.loads(capsys.readouterr().out)[0] == {"name": "a", "count": 1000, "kind": None}


LISTS = {
    "models list": lambda found: {"name", "num_parameters"} <= set(found[0]),
    "data list": lambda found: {"name", "kind", "splits", "title"} == set(found[0]),
    "data show market1501": lambda found: found["counts"]["train"]["images"] == 12_936,
    "recipes list": lambda found: {"name", "model", "epochs", "lr", "source"} == set(found[0]),
    "token list --tokens none.json": lambda found: found == [],
    "data validate market-layout --root PEOPLE": lambda found: found["ok"],
    "data stats market-layout --root PEOPLE": lambda found: found["dataset"] == "market-layout",
}


@pytest.mark.parametrize("words", LISTS)
def test_every_list_has_json(
    words: str, toy_root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    check: Callable[[Any], bool] = LISTS[words]
    arguments = [str(toy_root) if word == "PEOPLE" else word for word in words.split()]
    monkeypatch.setattr("sys.argv", ["omnireid", *arguments, "--json"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    assert check(json.loads(capsys.readouterr().out))


def test_a_device_is_written_to_and_never_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_text(pipe, "text")
    assert os.read(reader, 10) == b"text"
    os.close(reader)
    assert pipe.is_fifo()


def test_names_as_long_as_the_disk_allows_can_be_written(tmp_path: Path) -> None:
    file = tmp_path / ("\u00fc" * 125)
    write_text(file, "\udcff")
    assert file.read_text() == r"\udcff"
