"""Commands on a whole gallery: retention, index, another model, backups."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from omnireid.cli import options
from omnireid.cli.console import print_facts, print_json, stderr, stdout
from omnireid.cli.gallery_options import (
    GalleryUri,
    check_there,
    duration,
    open_gallery,
    printed_duration,
)
from omnireid.core.errors import ConfigError

if TYPE_CHECKING:
    from omnireid.gallery.restoring import Restored
    from omnireid.gallery.retention import Retention
    from omnireid.gallery.store import IndexState

retention_app = options.App(help="How long items stay.", no_args_is_help=True)

Forgotten = Annotated[
    Path | None,
    typer.Option("--forgotten", help="Leave out who stands in this file of 'omnireid gallery forgotten'."),
]


def register(app: typer.Typer) -> None:
    """Add these commands to `omnireid gallery`."""
    for command in (state, index, move, backup, restore, copy, forgotten):
        app.command()(command)
    app.add_typer(retention_app, name="retention")


@retention_app.command("show")
def show_retention(gallery: GalleryUri, as_json: options.AsJson = False) -> None:
    """Show how long items stay."""
    with open_gallery(gallery) as opened:
        retention = opened.retention()
    if as_json:
        print_json(asdict(retention))
        return
    stdout.print(f"default: {printed_duration(retention.default_s)}")
    for camera, seconds in sorted(retention.cameras.items()):
        stdout.print(f"camera {camera or '(unknown)'}: {printed_duration(seconds)}")


@retention_app.command("set")
def set_retention(
    gallery: GalleryUri,
    default: Annotated[str | None, typer.Option(help="Of every camera: 12h, 3d, 2w, or 'keep'.")] = None,
    camera: Annotated[
        list[str] | None, typer.Option(help="NAME=12h, or NAME=default; may be given several times.")
    ] = None,
) -> None:
    """Change how long items stay. Nothing is erased before 'retention run', or the next start of a server."""
    if default is None and not camera:
        raise ConfigError("give --default, --camera, or both")
    with open_gallery(gallery) as opened:
        known = opened.retention()
        cameras = dict(known.cameras)
        for text in camera or ():
            name, sign, wanted = text.rpartition("=")
            if not sign:
                raise ConfigError(f"--camera {text!r}: expected NAME=12h")
            if wanted == "default":
                cameras.pop(name, None)
            else:
                cameras[name] = duration(wanted, f"--camera {name}")
        seconds = known.default_s if default is None else duration(default, "--default")
        opened.set_retention(seconds, cameras)
    show_retention(gallery)


@retention_app.command("run")
def run_retention(gallery: GalleryUri) -> None:
    """Erase what has expired, for good. A server does it when it starts and daily; else let cron do it."""
    with open_gallery(gallery) as opened:
        count = opened.run_retention()
    stdout.print(f"erased: {count:,} item{'' if count == 1 else 's'}")


def state(gallery: GalleryUri, as_json: options.AsJson = False) -> None:
    """Show what a gallery holds."""
    with open_gallery(gallery) as opened:
        summary = opened.state()
    models = [{**model.model._asdict(), "state": model.state} for model in summary.models]
    if as_json:
        print_json({**asdict(summary), "models": models, "read_only": opened.read_only})
        return
    print_facts(
        [
            ("items", f"{summary.items:,}"),
            ("identities", f"{summary.identities:,}"),
            ("cameras", ", ".join(summary.cameras)),
            *(("model", f"{model['name']} ({model['sha256'][:12]}), {model['state']}") for model in models),
            ("precision", summary.precision),
            ("index", _index_text(summary.index)),
            ("retention", _retention_text(summary.retention)),
            ("read-only", opened.read_only),
            ("disk", None if summary.disk_bytes is None else f"{summary.disk_bytes / 1e6:,.1f} MB"),
        ]
    )


def index(gallery: GalleryUri) -> None:
    """Build the approximate index, or take new items into it. Few items need none."""
    with open_gallery(gallery) as opened, stderr.status("building the index"):
        opened.build_index()
        built = opened.state().index
    stdout.print(_index_text(built))


def move(
    gallery: GalleryUri,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="The new model: weights, an exported file, or a name."),
    ] = None,
    drop_without_picture: Annotated[
        bool, typer.Option("--drop-without-picture", help="Leave items behind that have no thumbnail.")
    ] = False,
    abandon: Annotated[bool, typer.Option("--abandon", help="Give up a move that was interrupted.")] = False,
    engine: options.BatchEngineOptions = options.BatchEngineOptions(),
) -> None:
    """Move to a new model by embedding the thumbnails again; the old one answers until it is complete.

    Stopped, what was embedded stays; run again, it goes on.
    """
    from omnireid.core.progress import progress_bar

    if (model is None) != abandon:
        raise ConfigError("give either --model or --abandon")
    if model is None:
        why = "with --abandon"
        options.refuse(why, "drop_without_picture", "batch_size", "backend", "precision", "device", "threads")
        with open_gallery(gallery) as opened:
            given_up = opened.abandon_move()
        stdout.print("the move was given up" if given_up else "no move had begun")
        return

    check_there(gallery)
    embedder = engine.open(model)
    with open_gallery(gallery) as opened, progress_bar(stderr) as progress:
        task = progress.add_task("moving", total=None)
        for moved in opened.move_to(embedder, drop_without_picture=drop_without_picture):
            progress.update(task, total=moved.total, completed=moved.done + moved.left_behind)
    stdout.print(
        f"{moved.done:,} items moved to {embedder.ref.short}"
        + (f", {moved.left_behind:,} left behind without a picture" if moved.left_behind else ""),
    )


def backup(
    gallery: GalleryUri,
    folder: Annotated[Path, typer.Argument(help="New or empty folder.", file_okay=False)],
) -> None:
    """Write everything into a folder of Parquet files, as it is now; others may go on writing.

    It holds pictures of people in clear: keep it as safe as the gallery, and delete it on schedule.
    """
    with open_gallery(gallery) as opened:
        manifest = opened.backup(folder, console=stderr)
    size = sum(file.bytes for file in manifest.files.values())
    stdout.print(f"{manifest.items:,} items, {size / 1e6:,.1f} MB: {folder}")


def restore(
    folder: Annotated[Path, typer.Argument(help="Folder of 'omnireid gallery backup'.")],
    gallery: GalleryUri,
    forgotten: Forgotten = None,
) -> None:
    """Fill an empty gallery, of any store, from a backup. Who was forgotten since stays forgotten."""
    from omnireid.gallery.backup import Backup
    from omnireid.gallery.opening import open_store
    from omnireid.gallery.restoring import read_tombstones
    from omnireid.gallery.restoring import restore as restore_into

    tombstones = None if forgotten is None else read_tombstones(forgotten)
    with stderr.status("checking the backup"):
        source = Backup(folder)
    with closing(open_store(gallery)) as store:
        done = restore_into(source, store, tombstones=tombstones, console=stderr)
    _print_restored(done, gallery)


def copy(
    source: Annotated[str, typer.Argument(help="Gallery to copy; it stays in use.")],
    target: Annotated[str, typer.Argument(help="Empty gallery, of any store.")],
) -> None:
    """Copy a gallery to another place or store, such as from a folder to Milvus, without a backup."""
    from omnireid.gallery.backup import Snapshot
    from omnireid.gallery.opening import open_store
    from omnireid.gallery.restoring import restore as restore_into

    with open_gallery(source) as opened, closing(open_store(target)) as store:
        opened.tell("copy", count=0)
        done = restore_into(Snapshot(opened.store), store, console=stderr)
    _print_restored(done, target)


def forgotten(
    gallery: GalleryUri,
    out: Annotated[Path, typer.Option("--out", "-o", help="JSON file to write.", dir_okay=False)],
) -> None:
    """Write who was forgotten, as keyed hashes: keep it beside backups, for 'restore --forgotten'."""
    from omnireid.gallery.restoring import write_tombstones

    with open_gallery(gallery) as opened:
        count = write_tombstones(opened.store, out)
    stdout.print(f"{count:,} forgotten items and identities, as hashes: {out}")


def _print_restored(done: Restored, target: str) -> None:
    left_out = [f"{done.forgotten:,} forgotten", f"{done.expired:,} expired"]
    stdout.print(f"{done.items:,} items ({', '.join(left_out)} left out): {target}")
    if not done.has_audit:
        stderr.print("the audit stays with the source: the target has one of its own")


def _index_text(index: IndexState) -> str:
    return f"{index.status}: {index.indexed:,} items in it, {index.unindexed:,} beside"


def _retention_text(retention: Retention) -> str:
    cameras = [
        f"{name or '(unknown)'} {printed_duration(rule)}" for name, rule in sorted(retention.cameras.items())
    ]
    return ", ".join([printed_duration(retention.default_s), *cameras])
