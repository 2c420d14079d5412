"""Every command that the documentation shows is one that `omnireid` takes, option by option.

They are parsed and not run: names of commands and options, values of choices and numbers, missing arguments.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from documentation import DOCS
from omnireid.cli.app import app

PAGES = [*DOCS.rglob("*.md"), DOCS.parent / "README.md"]
# In usage lines and ends of lists.
_LEFT_OUT = ("…", "...")


def commands(page: Path) -> Iterator[str]:
    for block in re.findall(
        r"^```(?:console|bash|sh)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL
    ):
        for line in block.replace("\\\n", " ").splitlines():
            text = line.strip().removeprefix("$ ")
            if text.startswith("omnireid ") and not any(mark in text for mark in _LEFT_OUT):
                yield text


SHOWN = sorted({(str(page.relative_to(DOCS.parent)), text) for page in PAGES for text in commands(page)})


def test_commands_were_found() -> None:
    assert len(SHOWN) > 80


@pytest.mark.parametrize(("page", "text"), SHOWN)
def test_a_command_of_the_documentation_is_taken(page: str, text: str) -> None:
    words = shlex.split(text, comments=True)[1:]
    end = next((n for n, word in enumerate(words) if word in {"|", ">", "&&", "||", "&"}), len(words))
    words = words[:end]
    command, context = typer.main.get_command(app), None
    while hasattr(command, "commands"):
        assert words, f"{text}: a command is missing"
        name = words.pop(0)
        assert name in command.commands, f"{text}: no command {name!r}"
        command = command.commands[name]
    try:
        context = command.make_context("omnireid", list(words))
    except Exception as error:
        message = getattr(error, "message", None) or str(error)
        # Files of the reader's are not here.
        if "does not exist" not in message:
            raise AssertionError(f"{page}: {text}: {message}") from error
    else:
        context.close()
