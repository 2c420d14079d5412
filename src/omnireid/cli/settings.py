"""Options from a file and from the environment, for what is started where nobody types.

An option is taken from the command line, else from the variable OMNIREID_COMMAND_OPTION, which Typer reads,
else from the settings file; else it has its default.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer
import yaml

from omnireid.cli.console import print_rows, stderr
from omnireid.core.errors import ConfigError, UnknownNameError

PREFIX = "OMNIREID"
_ORIGINS = {
    "COMMANDLINE": "command line",
    "ENVIRONMENT": "environment",
    "DEFAULT_MAP": "settings file",
    "DEFAULT": "default",
}


def read_settings(path: Path, command: Any) -> dict[str, Any]:
    """A settings file as the defaults of commands.

    The file is YAML: a key for each command, below it one for each option by its long name, without dashes in
    front. A command of a group stands below its group's name. What can be given several times is a list.

    Args:
        command: the group whose commands the file is about.

    Returns:
        Values by command and parameter, as `typer.Context.default_map` has them.

    Raises:
        ConfigError: the file cannot be read, or is not of that form.
        UnknownNameError: no such command or option; names the nearest.
    """
    try:
        known = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: not a YAML file of settings: {error}") from error
    return _of_group({} if known is None else known, command, str(path))


def _of_group(values: Any, group: Any, where: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, below in _entries(values, where):
        if name not in group.commands:
            raise UnknownNameError(f"command in {where}", name, group.commands)
        command = group.commands[name]
        read = _of_group if hasattr(command, "commands") else _options
        found[name] = read(below, command, f"{where}, {name}")
    return found


def _options(values: Any, command: Any, where: str) -> dict[str, Any]:
    parameters = {
        flag.lstrip("-"): parameter
        for parameter in command.params
        for flag in parameter.opts
        if flag.startswith("--") and flag != "--help"
    }
    found: dict[str, Any] = {}
    for name, value in _entries(values, where):
        if name not in parameters:
            raise UnknownNameError(f"option in {where}", name, parameters)
        is_list = isinstance(value, list)
        if parameters[name].multiple and not is_list:
            value = [value]
        elif is_list and not parameters[name].multiple:
            raise ConfigError(f"{where}, {name}: one value expected, not a list")
        if isinstance(value, Mapping):
            raise ConfigError(f"{where}, {name}: a value expected, not further keys")
        # As typed: Typer reads numbers, paths and choices from text, and says what is wrong with them.
        found[parameters[name].name] = [_text(each) for each in value] if is_list else _text(value)
    return found


def _entries(values: Any, where: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: keys with values expected, got {values!r}")
    for name, value in values.items():
        yield str(name), value


def _text(value: Any) -> Any:
    return value if isinstance(value, bool | list) else str(value)


def print_used(context: typer.Context) -> None:
    """Say with which value each option of a command would be used, and where that comes from.

    Of addresses the passwords are left out: what is printed goes into logs and questions to others.
    """
    from omnireid.video.reading import shown_source

    rows = []
    for parameter in context.command.params:
        if parameter.name is None or parameter.name not in context.params:
            continue
        source = context.get_parameter_source(parameter.name)
        value = context.params[parameter.name]
        values = value if isinstance(value, list | tuple) else () if value is None else (value,)
        shown = ", ".join(shown_source(str(each)) for each in values)
        name = max(parameter.opts, key=len)
        rows.append((name, shown or "–", _ORIGINS[source.name] if source else "–"))
    print_rows(("option", "value", "from"), rows)
    begins = f"{context.auto_envvar_prefix}_"
    read = {
        name
        for parameter in context.command.params
        for name in (f"{begins}{(parameter.name or '').upper()}", *_named(parameter))
    }
    for variable in sorted(os.environ):
        if variable.startswith(begins) and variable not in read:
            stderr.print(f"{variable}: no option of that name; it is not read", markup=False)


def _named(parameter: Any) -> list[str]:
    given = getattr(parameter, "envvar", None)
    return [given] if isinstance(given, str) else list(given or ())
