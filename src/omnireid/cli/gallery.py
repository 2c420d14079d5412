"""`omnireid gallery`: enrol, search, and say who is who. Commands on all of it are in `gallery_upkeep`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from omnireid.cli import gallery_audit, gallery_items, gallery_upkeep, options
from omnireid.cli.console import print_facts, print_json, print_rows, stderr, stdout
from omnireid.cli.gallery_items import QuestionOptions, item_of
from omnireid.cli.gallery_options import (
    GalleryUri,
    Yes,
    confirm,
    open_gallery,
    printed_time,
)
from omnireid.core.errors import ConfigError, InputError
from omnireid.core.files import write_bytes
from omnireid.gallery.items import FIELDS
from omnireid.gallery.options import DEFAULT_PRECISION
from omnireid.inference.options import DEFAULT_MODEL

if TYPE_CHECKING:
    from omnireid.gallery.identities import Operation
    from omnireid.gallery.items import Item
    from omnireid.gallery.searching import Candidate, Group, Measured, SearchResult

_LEAST_SHOWN = 0.001

app = options.App(help="Galleries: enrol, search, correct, forget, keep.", no_args_is_help=True)


@app.command()
def enrol(
    gallery: GalleryUri,
    model: options.Model = DEFAULT_MODEL,
    source: Annotated[
        str | None,
        typer.Argument(help="Folder, pattern ('crops/**/*.jpg'), picture or manifest of crops."),
    ] = None,
    data: Annotated[str | None, options.DATA_INSTEAD] = None,
    root: Annotated[Path | None, options.ROOT] = None,
    split: Annotated[
        Literal["all", "train", "query", "gallery"], typer.Option(help="Of --data.")
    ] = "gallery",
    camera: Annotated[str | None, typer.Option(help="Of all pictures; by default the dataset's.")] = None,
    first_time: Annotated[
        str | None,
        typer.Option(help="When the dataset's second 0 was (2026-11-22T08:00:00+01:00); else no times."),
    ] = None,
    with_identities: Annotated[
        bool, typer.Option("--with-identities", help="Take the dataset's person numbers over.")
    ] = False,
    fields: Annotated[
        Path | None,
        typer.Option(
            help="CSV of what is known of each: a column path, and any fields of an item (camera, …)."
        ),
    ] = None,
    stored_precision: options.NewPrecision = DEFAULT_PRECISION,
    assign: Annotated[
        bool,
        typer.Option(
            "--assign", help="Search for each first: it becomes whom it is the same as, or somebody new."
        ),
    ] = False,
    reading: options.DatasetOptions = options.DatasetOptions(),
    engine: options.BatchEngineOptions = options.BatchEngineOptions(),
    on_bad: options.Bad = "error",
) -> None:
    """Enrol crops, a batch at a time. Stopped, what was enrolled stays; run again, it goes on.

    A picture that is there already, seen by the same camera at the same time, stays as it is.
    """
    from omnireid.core.types import SkippedFile
    from omnireid.data.loading import Reading
    from omnireid.evaluation.calibration import Calibration
    from omnireid.gallery.field_files import read_field_file, with_fields
    from omnireid.gallery.files import embed_seen, seen_files
    from omnireid.inference.lookup import find_weights
    from omnireid.inference.sources import collect_samples

    if (source is None) == (data is None) or (data is None) != (root is None):
        raise ConfigError("give either SOURCE, or --data and --root")
    if source is not None:
        options.refuse("with SOURCE", "split", "split_id")
        samples, camera_names = collect_samples(source, console=stderr), {}
    else:
        assert data is not None
        assert root is not None
        dataset = reading.read(data, root)
        wanted = [part for part in dataset.splits if split in ("all", part.name)]
        samples = [sample for part in wanted for sample in part]
        camera_names = dict(dataset.camera_names)
    if not any(sample.pid > 0 for sample in samples):
        options.refuse("where it is not known who is on the pictures", "with_identities")
    if not any(sample.time is not None for sample in samples):
        options.refuse("where the pictures have no times", "first_time")
    files = seen_files(
        samples,
        camera=camera,
        camera_names=camera_names,
        first_s=options.moment(first_time, "--first-time"),
        with_identities=with_identities,
    )
    if fields is not None:
        files = with_fields(files, read_field_file(fields, _instant))
    embedder = engine.open(model)
    known = Calibration.load_beside(find_weights(model), embedder.sha256) if assign else None
    if assign and known is None:
        raise ConfigError("--assign needs a calibration beside the model; make one with 'omnireid calibrate'")
    skipped: list[SkippedFile] = []
    pictures = Reading(on_bad=on_bad, on_skip=skipped.append, console=stderr, threads=engine.threads)
    num_done = num_new = num_assigned = 0
    with open_gallery(gallery, precision=stored_precision, calibration=known, make=True) as opened:
        try:
            for enrolment in opened.enrol_stream(embed_seen(embedder, files, pictures), assign=assign):
                num_done += len(enrolment.ids)
                num_new += int(enrolment.is_new.sum())
                num_assigned += sum(assignment.operation is not None for assignment in enrolment.assigned)
        except KeyboardInterrupt:
            stderr.print(
                f"stopped after {num_done:,} of {len(files):,}: these are enrolled; run again to go on",
            )
            raise
    for file in skipped:
        stderr.print(f"skipped {file.path}: {file.reason}")
    stdout.print(
        f"{num_new:,} enrolled, {num_done - num_new:,} were there already"
        + (f", {num_assigned:,} assigned" if assign else "")
        + (f", {len(skipped):,} skipped" if skipped else "")
        + f": {gallery}",
    )


@app.command()
def search(
    gallery: GalleryUri,
    model: options.Model = DEFAULT_MODEL,
    pictures: Annotated[
        list[Path] | None,
        typer.Argument(help="Picture of a person; several are taken for one person's tracklet."),
    ] = None,
    item: Annotated[
        str | None, typer.Option(help="Instead of PICTURES: an item of the gallery, which is left out.")
    ] = None,
    calibration: options.CalibrationFile = None,
    asked: QuestionOptions = QuestionOptions(),
    as_json: options.AsJson = False,
    engine: options.EngineOptions = options.EngineOptions(),
) -> None:
    """Ask who is on a picture, where and when that person was seen, and how sure the answer is."""
    from omnireid.evaluation.calibration import Calibration

    if bool(pictures) == (item is not None):
        raise ConfigError("give either PICTURES or --item")
    question = asked.question()
    embedder = engine.open(model)
    known = None if calibration is None else Calibration.load(calibration, embedder.sha256)
    with open_gallery(gallery, model=embedder, calibration=known) as opened:
        if opened.calibration is None:
            options.refuse("without a calibration ('omnireid calibrate')", "false_alarm_rate", "prior")
        if item is not None:
            result = opened.search_item(item, question, model=embedder.ref)
        elif pictures is not None and len(pictures) == 1:
            result = opened.search(pictures[0], question)
        else:
            result = opened.search_tracklet(pictures or [], question)
    if as_json:
        print_json(_result_of(result))
        return
    _print_result(result)


@app.command("identities")
def identities_(
    gallery: GalleryUri,
    text: Annotated[str | None, typer.Option(help="Part of the name.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 100,
    as_json: options.AsJson = False,
) -> None:
    """List who is known, those with a name first."""
    with open_gallery(gallery) as opened:
        page = opened.identities(text, limit)
    if as_json:
        print_json([person._asdict() for person in page])
        return
    columns = ("identity", "name", "items", "cameras", "first seen", "last seen")
    rows = [
        (
            person.id,
            person.name,
            person.items,
            ", ".join(person.cameras),
            printed_time(person.first_seen),
            printed_time(person.last_seen),
        )
        for person in page
    ]
    print_rows(columns, rows, whole=("name", "first seen", "last seen"))
    if page.next is not None:
        stderr.print("there are more; narrow with --text, or raise --limit")


@app.command()
def show(
    gallery: GalleryUri,
    name: Annotated[str, typer.Argument(metavar="ID", help="Of an identity or an item.")],
    thumbnail: Annotated[
        Path | None, typer.Option(help="Write the item's picture to this file.", dir_okay=False)
    ] = None,
    is_identity: Annotated[
        bool, typer.Option("--identity", help="ID is an identity's, even where an item has the same.")
    ] = False,
    as_json: options.AsJson = False,
) -> None:
    """Show an identity's timeline by camera, or one item."""
    from omnireid.gallery.errors import NotInGalleryError

    with open_gallery(gallery) as opened:
        try:
            item = None if is_identity else opened.item(name)
        except NotInGalleryError:
            item = None
        if item is not None:
            if thumbnail is not None:
                picture = opened.thumbnail(name)
                if picture is None:
                    raise InputError(f"item {name}: was enrolled without a picture")
                write_bytes(thumbnail, picture)
            if as_json:
                print_json(item_of(item))
            else:
                _print_item(item)
            return
        timeline = opened.timeline(name)
    if thumbnail is not None:
        raise InputError(f"--thumbnail {thumbnail}: {name} is an identity; name one of its items")
    if as_json:
        print_json(
            {
                **timeline._asdict(),
                "cameras": [
                    {
                        "camera": camera.camera,
                        "sightings": [
                            {**sighting._asdict(), "items": [item.id for item in sighting.items]}
                            for sighting in camera.sightings
                        ],
                    }
                    for camera in timeline.cameras
                ],
            }
        )
        return
    stdout.print(f"{timeline.identity}  {timeline.name or '(no name)'}")
    columns = ("camera", "from", "to", "items", "first item")
    rows = [
        (
            camera.camera or "(unknown)",
            printed_time(sighting.start),
            printed_time(sighting.end),
            len(sighting.items),
            sighting.items[0].id,
        )
        for camera in timeline.cameras
        for sighting in camera.sightings
    ]
    print_rows(columns, rows, whole=columns)


@app.command()
def name(
    gallery: GalleryUri,
    identity: Annotated[str, typer.Argument(help="Id of an identity; see 'omnireid gallery identities'.")],
    new: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="The name; with --remove none."),
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take the name away.")] = False,
) -> None:
    """Name an identity."""
    if (new is None) != remove:
        raise ConfigError("give either a NAME or --remove")
    with open_gallery(gallery) as opened:
        _print_done(opened.name_identity(identity, new))


@app.command()
def merge(
    gallery: GalleryUri,
    into: Annotated[str, typer.Argument(help="Identity that all of them are shown as.")],
    identities: Annotated[list[str], typer.Argument(help="Identities that are the same person.")],
) -> None:
    """Say that several identities are one person."""
    with open_gallery(gallery) as opened:
        _print_done(opened.merge(into, identities))


@app.command()
def split(
    gallery: GalleryUri,
    items: Annotated[list[str], typer.Argument(help="Ids of items that show somebody else.")],
    name: Annotated[str | None, typer.Option(help="Of the new identity.")] = None,
) -> None:
    """Make a new identity of some items."""
    with open_gallery(gallery) as opened:
        done = opened.split(items, name)
    _print_done(done)
    stdout.print(f"identity: {done.identity}")


@app.command()
def undo(
    gallery: GalleryUri,
    operation: Annotated[
        str | None,
        typer.Argument(help="By default the latest that was not undone."),
    ] = None,
) -> None:
    """Take a name, merge or split back."""
    with open_gallery(gallery) as opened:
        if operation is None:
            operation = next((done.id for done in opened.operations() if not done.undone), None)
            if operation is None:
                raise InputError(f"{gallery}: nothing to undo")
        done = opened.undo(operation)
    stdout.print(f"undone: {done.summary}")


@app.command()
def operations(
    gallery: GalleryUri,
    limit: Annotated[int, typer.Option(min=1, max=options.LARGEST)] = 20,
    as_json: options.AsJson = False,
) -> None:
    """List what operators changed, the latest first."""
    with open_gallery(gallery) as opened:
        done = opened.operations(limit)
    if as_json:
        print_json([{**operation._asdict(), "can_undo": operation.can_undo} for operation in done])
        return
    rows = [
        (
            operation.id,
            printed_time(operation.time),
            operation.actor,
            operation.summary,
            "undone" if operation.undone else operation.blocked_by,
        )
        for operation in done
    ]
    print_rows(("operation", "time", "who", "what", ""), rows, whole=("time", "who", ""))


@app.command()
def forget(
    gallery: GalleryUri,
    identity: Annotated[str | None, typer.Option(help="A person, with everything that was merged.")] = None,
    item: Annotated[list[str] | None, typer.Option(help="An item; may be given several times.")] = None,
    yes: Yes = False,
) -> None:
    """Erase a person or items for good: rows, pictures, names, old versions, index entries.

    What it cannot reach (backups, recordings, other copies): docs/explanation/erasure.md.
    """
    if (identity is None) == (item is None):
        raise ConfigError("give either --identity or --item")
    with open_gallery(gallery) as opened:
        if not yes:
            if identity is not None:
                person = opened.identity(identity)
                what = f"{person.name or person.id} with {_counted(person.items, 'item')}"
            else:
                what = _counted(len(item or ()), "item")
            confirm(f"Forget {what} for good? This cannot be undone.")
        done = opened.forget(identity, item)
    if not done.items and not done.identities:
        raise InputError(f"{gallery}: none of these items is there (any more)")
    stdout.print(
        f"forgotten: {_counted(done.items, 'item')}"
        + (f", {_counted(len(done.identities), 'identity', 'identities')}" if done.identities else ""),
    )


gallery_items.register(app)
gallery_upkeep.register(app)
gallery_audit.register(app)


def _print_result(result: SearchResult) -> None:
    from omnireid.gallery.searching import Candidate

    if result.nobody is not None and result.others is not None:
        decision = "none" if result.decision is None else result.decision.value
        others = f", {result.others:.1%} others" if result.others >= _LEAST_SHOWN else ""
        stdout.print(
            f"decision: {decision} ({result.nobody:.1%} that it is nobody of {result.people:,} people"
            f"{others}; prior {result.prior:g})"
        )
    if result.measured is not None:
        stdout.print(_measured_words(result.measured))
    pictures = ("pictures",) if result.groups else ()
    columns = (
        "score", "probability", "decision", "identity", "name", *pictures, "camera", "time", "item"
    )  # fmt: skip
    rows = []
    for person in result.groups or result.candidates:
        best = person if isinstance(person, Candidate) else person.candidates[0]
        rows.append(
            (
                f"{person.score:.4f}",
                "" if person.probability is None else f"{person.probability:.1%}",
                "" if person.decision is None else person.decision.value,
                person.identity,
                person.name,
                *([] if isinstance(person, Candidate) else [len(person.candidates)]),
                best.item.camera,
                printed_time(best.item.time),
                best.item.id,
            )
        )
    print_rows(columns, rows, right=("score", "probability"), whole=columns)
    if not result.candidates:
        stdout.print("nobody: no item meets these conditions")
    if result.note:
        stderr.print(result.note)


def _measured_words(measured: Measured) -> str:
    low, high = (round(1000 * rate) for rate in (measured.low, measured.high))
    words = (
        f"of 1,000 searches for strangers through {measured.people:,} people, about "
        f'{1000 * measured.rate:.0f} end in "same" (95 % interval {low} to {high})'
    )
    return f"{words}; more people than were measured" if measured.is_extrapolated else words


def _print_item(item: Item) -> None:
    kinds = {field.name: field.kind for field in FIELDS}
    facts = item_of(item).items()
    print_facts((name, printed_time(value) if kinds[name] == "seconds" else value) for name, value in facts)


def _instant(text: str) -> float:
    """Unix seconds, or a time as other options take it."""
    try:
        return float(text)
    except ValueError:
        return options.moment(text, "--fields")


def _print_done(operation: Operation) -> None:
    stdout.print(f"{operation.summary} (omnireid gallery undo … {operation.id})")


def _result_of(result: SearchResult) -> dict[str, Any]:
    return {
        **{field.name: getattr(result, field.name) for field in dataclasses.fields(result)},
        "model": result.model._asdict(),
        "measured": None if result.measured is None else dataclasses.asdict(result.measured),
        "candidates": [_candidate_of(candidate) for candidate in result.candidates],
        "groups": [
            {**_hit_of(group), "candidates": [_candidate_of(candidate) for candidate in group.candidates]}
            for group in result.groups
        ],
    }


def _hit_of(hit: Candidate | Group) -> dict[str, Any]:
    return {name: getattr(hit, name) for name in ("score", "probability", "decision", "identity", "name")}


def _candidate_of(candidate: Candidate) -> dict[str, Any]:
    return {**_hit_of(candidate), "item": item_of(candidate.item)}


def _counted(number: int, singular: str, many: str = "") -> str:
    return f"{number:,} {singular if number == 1 else many or singular + 's'}"
