"""`omnireid gallery audit` and `verify-audit`: the log in words, as a file, and if either was changed."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from omnireid.cli import options
from omnireid.cli.console import print_json, print_rows, stderr, stdout
from omnireid.cli.gallery_options import GalleryUri, open_gallery, printed_time
from omnireid.core.errors import ConfigError
from omnireid.core.files import atomic_write

if TYPE_CHECKING:
    from omnireid.gallery.audit import AuditFilter
    from omnireid.gallery.audit_export import VerifiedExport
    from omnireid.gallery.gallery import Gallery

_FILTERS = ("person", "since", "until", "action", "by")


def register(app: typer.Typer) -> None:
    """Add these commands to `omnireid gallery`."""
    app.command()(audit)
    app.command("verify-audit")(verify_audit)


def audit(
    gallery: GalleryUri,
    verify: Annotated[
        bool, typer.Option("--verify", help="Look for entries that were changed or removed.")
    ] = False,
    person: Annotated[str | None, typer.Option(help="Entries about a person, or a picture, by id.")] = None,
    since: Annotated[str | None, typer.Option(help="A date or a time.")] = None,
    until: Annotated[str | None, typer.Option(help="Before this date or time.")] = None,
    action: Annotated[str | None, typer.Option(help="Such as search, enrol, forget.")] = None,
    by: Annotated[str | None, typer.Option(help="Who did it: part of the name.")] = None,
    export: Annotated[
        Path | None,
        typer.Option(help="Write a .csv, or a .jsonl with its proof; noted in the log.", dir_okay=False),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=options.LARGEST, help="The latest.")] = 100,
    as_json: options.AsJson = False,
) -> None:
    """Show who enrolled, searched, changed and forgot; exit code 1 if --verify finds something."""
    if verify:
        options.refuse("with --verify", "limit", *_FILTERS, "export")
    if export is not None:
        options.refuse("with --export", "limit", "as_json")
    with open_gallery(gallery) as opened:
        if verify:
            _verify(opened, as_json)
        where = opened.audit_filter(
            person,
            since=options.moment(since, "--since"),
            until=options.moment(until, "--until"),
            action=action,
            actor=by,
        )
        if export is not None:
            _export(opened, where, export, gallery)
            return
        entries = opened.log.find(where, limit=limit, latest=True).entries
    if as_json:
        print_json([asdict(entry) for entry in entries])
        return
    from omnireid.gallery.audit_words import facts, sentence

    rows = []
    for entry in entries:
        how = ", ".join(f"{label}: {value}" for label, value in facts(entry))
        rows.append((printed_time(entry.time), sentence(entry), how))
    print_rows(("time", "what", "how"), rows)


def verify_audit(
    file: Annotated[Path, typer.Argument(help="A .jsonl of 'gallery audit --export', or of the page.")],
    gallery: Annotated[
        str | None,
        typer.Option("--gallery", "-g", help="Check it against the log of this gallery, too."),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Check an exported audit on its own, or against its gallery; exit code 1 if something was changed."""
    from omnireid.gallery.audit_export import verify_export

    if gallery is None:
        verified = verify_export(file)
    else:
        with open_gallery(gallery) as opened:
            verified = verify_export(file, opened)
    if as_json:
        print_json(asdict(verified))
    else:
        _print_verified(verified)
    raise typer.Exit(1 if verified.problems else 0)


def _verify(opened: Gallery, as_json: bool) -> None:
    verified = opened.verify_audit()
    if as_json:
        print_json(asdict(verified))
        raise typer.Exit(1 if verified.problems else 0)
    for problem in verified.problems:
        stdout.print(problem)
    chains = f", {verified.open_chains} writers at work or killed" if verified.open_chains else ""
    stdout.print(f"{verified.entries:,} entries, {len(verified.problems)} problems{chains}")
    raise typer.Exit(1 if verified.problems else 0)


def _export(opened: Gallery, where: AuditFilter, path: Path, uri: str) -> None:
    from omnireid.gallery.audit_export import FORMATS, export

    kind = next((name for name in FORMATS if path.suffix.lower() == f".{name}"), None)
    if kind is None:
        raise ConfigError(f"--export {path}: expected a name that ends in .csv or .jsonl")
    with atomic_write(path) as stream:
        for line in export(opened, where, kind, name=uri):
            stream.write(line.encode())
    stderr.print(f"audit: {path}")


def _print_verified(verified: VerifiedExport) -> None:
    for problem in verified.problems:
        stdout.print(problem)
    what = "all entries" if verified.is_whole else "some entries, by a filter"
    span = (
        f" from {printed_time(verified.first)} to {printed_time(verified.last)}" if verified.entries else ""
    )
    stdout.print(f"{verified.entries:,} entries{span} ({what}), {len(verified.problems)} problems")
    for writer, chain in sorted(verified.chains.items()):
        stdout.print(
            f"chain {writer}: entries {chain['first']} to {chain['last']}, head {chain['head']}", markup=False
        )
    stdout.print(f"seal {verified.seal}")
    checked = (
        "each entry by the key of the gallery, and against its log"
        if verified.is_compared
        else "each entry by the key of the gallery"
        if verified.is_checked_by_key
        else "the file alone: compare the seal with one that was noted, or give --gallery"
    )
    stdout.print(f"checked: {checked}")
