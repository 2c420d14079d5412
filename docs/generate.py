"""Pages of the documentation that are made when it is built: a hook of MkDocs.

The command line's pages are made from the command, REST from its OpenAPI description, recipes, datasets and
the result record from their tables, the list of public names from the package. Decisions take their place in
the navigation by themselves. What is made here cannot differ from the code, and stands in no file.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import omnireid
from omnireid.cli.app import app
from omnireid.core.record import ResultRecord
from omnireid.data.datasets import dataset_card, list_datasets
from omnireid.server.app import description
from omnireid.training.recipe import list_recipes, load_recipe, recipe_folder

FOLDER = Path(__file__).parent


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put what is made, and the decisions, into the navigation; take the search's shim from here."""
    config.nav = _filled(config.nav)
    # Material's own list names a third party's server.
    config.extra["polyfills"] = ["assets/iframe-worker.js"]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for path, text in made_pages().items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> None:
    """Guides come before decisions and measurements in the search."""
    if page.file.src_uri.startswith(("decisions/", "benchmarks/")):
        page.meta.setdefault("search", {"boost": 0.5})


def made_pages() -> dict[str, str]:
    """Path below docs/ → Markdown."""
    names = {f"reference/python/{part}.md": text for part, text in _python()}
    commands = {f"reference/commands/{name}.md": text for name, text in _commands()}
    return {
        **names,
        **commands,
        "reference/rest.md": _rest(),
        "reference/recipes.md": _recipes(),
        "reference/datasets.md": _datasets(),
        "reference/result.md": _result(),
    }


def _filled(nav: list[Any]) -> list[Any]:
    """The navigation with what ends in `/*` written out."""
    filled: list[Any] = []
    for entry in nav:
        if isinstance(entry, dict):
            filled.append(
                {title: _filled(part) if isinstance(part, list) else part for title, part in entry.items()}
            )
        elif entry == "decisions/*":
            filled += [f"decisions/{page.name}" for page in sorted((FOLDER / "decisions").glob("[0-9]*.md"))]
        elif entry == "reference/python/*":
            filled += [f"reference/python/{part}.md" for part, _ in _python()]
        elif entry == "reference/commands/*":
            filled += [f"reference/commands/{name}.md" for name, _ in _commands()]
        else:
            filled.append(entry)
    return filled


# ---- Python


def _python() -> Iterator[tuple[str, str]]:
    """An index of the public names, and a page for each part of the package that they come from."""
    parts: dict[str, list[tuple[str, str]]] = {}
    for module, names in omnireid._NAMES.items():
        parts.setdefault(module.partition(".")[0], []).extend(
            (name, f"omnireid.{module}.{name}") for name in names.split()
        )
    index = [
        "# Python",
        "",
        "What `import omnireid` offers. Each name is loaded when it is first used; the import costs nothing.",
        "",
        "| name | what it is |",
        "|---|---|",
    ]
    homes = {name: part for part, names in parts.items() for name, _ in names}
    for name in sorted(homes, key=str.lower):
        index.append(f"| [`{name}`]({homes[name]}.md#omnireid.{name}) | {_first_sentence(name)} |")
    yield "index", "\n".join([*index, ""])
    for part, names in parts.items():
        lines = [f"# omnireid: {part}", ""]
        for name, home in sorted(names, key=lambda entry: entry[0].lower()):
            lines += [f"[](){{#omnireid.{name}}}", ""]
            lines += [f"::: {home}", "    options:", f'      heading: "omnireid.{name}"', ""]
        yield part, "\n".join(lines)


def _first_sentence(name: str) -> str:
    value = getattr(omnireid, name)
    documented = inspect.isclass(value) or inspect.isroutine(value)
    return _cell((inspect.getdoc(value) or "").partition("\n\n")[0]) if documented else ""


# ---- the command line


def _commands() -> Iterator[tuple[str, str]]:
    """Name of each command of the first level, with its page."""
    root = typer.main.get_command(app)
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        yield name, "\n".join([f"# omnireid {name}", "", *_command(f"omnireid {name}", command)])


def _command(path: str, command: Any, level: int = 2) -> Iterator[str]:
    yield from _paragraphs(command.help)
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield f"{'#' * level} {path} {name}"
            yield ""
            yield from _command(f"{path} {name}", inner, level + 1)
        return
    context = typer.Context(command, info_name=path)
    yield "```console"
    yield f"$ {path} {' '.join(command.collect_usage_pieces(context))}"
    yield "```"
    yield ""
    records = [parameter.get_help_record(context) for parameter in command.get_params(context)]
    records = [record for record in records if record is not None and record[0] != "--help"]
    if not records:
        return
    yield "| option | what it does | |"
    yield "|---|---|---|"
    for names, text in records:
        # "[default: 20; 1<=x]" at the end of a help text has a column of its own.
        said, _, default = text.rpartition("  [") if text.endswith("]") else (text, "", "")
        yield f"| `{_cell(names, escaped=False)}` | {_cell(said)} | {_cell(default.removesuffix(']'))} |"
    yield ""


# ---- REST


def _rest() -> str:
    schema = description()
    lines = [
        "# REST",
        "",
        "Every route of `omnireid serve`, made from its OpenAPI description (`GET /openapi.json`), "
        "which has the types of all bodies and answers, too. "
        "[Five requests to begin with](../guides/service/serving.md); "
        "[errors and limits](../guides/service/rules.md).",
        "",
    ]
    parts: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for path, operations in schema["paths"].items():
        part = path.split("/")[2] if path.startswith("/v1/") else "the server itself"
        for method, operation in operations.items():
            if method != "head":
                parts.setdefault(part, []).append((method.upper(), path, operation))
    for part, routes in parts.items():
        lines += [f"## {part}", ""]
        for method, path, operation in routes:
            lines += [f"### `{method} {path}`", "", operation.get("summary", ""), ""]
            lines += [*_paragraphs(operation.get("description"))]
            named = [
                f"`{parameter['name']}`" + ("" if not parameter.get("required") else " (required)")
                for parameter in operation.get("parameters", ())
            ]
            if named:
                lines += [f"In the query or path: {', '.join(named)}", ""]
            for content in operation.get("requestBody", {}).get("content", {}).values():
                if name := _type_name(content.get("schema", {})):
                    lines += [*_fields(name, schema["components"]["schemas"][name])]
    return "\n".join(lines)


def _type_name(schema: dict[str, Any]) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _fields(name: str, schema: dict[str, Any]) -> Iterator[str]:
    required = schema.get("required", ())
    yield f"Body `{name}`: " + ", ".join(
        f"`{field}`" + (" (required)" if field in required else "") for field in schema.get("properties", ())
    )
    yield ""


# ---- tables


def _recipes() -> str:
    lines = [
        "# Recipes",
        "",
        "The recipes that come along. [How to write one](../guides/training/recipes.md)",
        "",
        "| name | network | input | epochs | batch | optimiser | schedule | augmentation |",
        "|---|---|---|---:|---:|---|---|---|",
    ]
    for name in list_recipes():
        recipe = load_recipe(name)
        lines.append(
            f"| `{name}` | `{recipe.model}` | {recipe.input.height}×{recipe.input.width} | {recipe.epochs} "
            f"| {recipe.sampler.batch_size} | {recipe.optimiser.name}, {recipe.optimiser.lr:g} "
            f"| {recipe.schedule.name} | {', '.join(recipe.augmentation)} |"
        )
    lines.append("")
    for name in list_recipes():
        text = (recipe_folder() / f"{name}.yaml").read_text(encoding="utf-8").strip()
        lines += [f"## {name}", "", "```yaml", text, "```", ""]
    return "\n".join(lines)


def _datasets() -> str:
    lines = [
        "# Datasets",
        "",
        "What `--data` takes, from the cards that readers check their counts by. `omnireid data show NAME` "
        "prints all of a card: layout, terms, ethics. [How to use them](../guides/data/benchmarks.md); "
        "[what sources disagree on](../explanation/sources.md).",
        "",
        "| name | what it is | people: train / query / gallery | pictures or tracklets | splits | protocol |",
        "|---|---|---|---|---:|---|",
    ]
    for name in list_datasets():
        card = dataset_card(name)
        people, pictures = (
            " / ".join(_number(card.counts.get(split), what) for split in ("train", "query", "gallery"))
            if card.counts
            else "any"
            for what in ("pids", "pictures")
        )
        lines.append(
            f"| `{name}` | {_cell(card.title)} | {people} | {pictures} | {card.num_splits} "
            f"| {card.protocol.value} |"
        )
    return "\n".join([*lines, ""])


def _number(counts: Any, what: str) -> str:
    if counts is None:
        return "–"
    number = counts.pids if what == "pids" else counts.tracklets or counts.images
    return "–" if number is None else f"{number:,}"


def _result() -> str:
    schema = ResultRecord.model_json_schema()
    lines = [
        "# The result record",
        "",
        "`result.json`: a number and everything needed to trust it. Reports and tables are made from it.",
        "",
        *_record("result.json", schema),
    ]
    for name, inner in schema["$defs"].items():
        lines += [f"## {name}", "", *_record(name, inner)]
    return "\n".join(lines)


def _record(name: str, schema: dict[str, Any]) -> Iterator[str]:
    if name != "result.json":
        yield from _paragraphs(schema.get("description", "").partition("\n\nAttributes")[0])
    yield "| field | type |"
    yield "|---|---|"
    for field, value in schema.get("properties", {}).items():
        yield f"| `{field}` | {_cell(_type(value))} |"
    yield ""


def _type(schema: dict[str, Any]) -> str:
    if name := _type_name(schema):
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_type(part) for part in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return str(schema.get("type", "anything"))


# ---- text


def _paragraphs(text: str | None) -> Iterator[str]:
    """Help texts as Markdown: paragraphs, with what stands in quotes as code."""
    for paragraph in re.split(r"\n\s*\n", (text or "").replace("\b", "").strip()):
        if paragraph:
            yield re.sub(r"'(omnireid [^']+)'", r"`\1`", paragraph).replace("<", "&lt;")
            yield ""


def _cell(text: str, *, escaped: bool = True) -> str:
    """Text on one line of a table; within backticks nothing is escaped but the bar."""
    line = " ".join(text.split()).replace("|", "\\|")
    return line.replace("<", "&lt;") if escaped else line
