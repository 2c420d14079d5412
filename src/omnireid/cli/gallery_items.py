"""Commands on single items: list them, say who they are or are not, and compare them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from omnireid.cli import options
from omnireid.cli.console import print_json, print_rows, stderr, stdout
from omnireid.cli.gallery_options import GalleryUri, open_gallery, printed_time
from omnireid.core.errors import ConfigError
from omnireid.gallery.items import SHOWN, Filter, texts
from omnireid.gallery.questions import USUAL, Question

if TYPE_CHECKING:
    from omnireid.gallery.items import Filter, Item

ItemId = Annotated[str, typer.Argument(help="Id of an item; see 'omnireid gallery items'.")]


@dataclass(frozen=True)
class WhereOptions:
    """Which items are meant."""

    camera: Annotated[
        list[str] | None, typer.Option(help="Only of this camera; may be given several times.")
    ] = None
    identity: Annotated[
        list[str] | None, typer.Option(help="Only of this identity; may be given several times.")
    ] = None
    since: Annotated[
        str | None, typer.Option(help="Only seen then or later: 2026-11-22, 2026-11-22T08:00:00+01:00.")
    ] = None
    until: Annotated[str | None, typer.Option(help="Only seen before.")] = None

    def where(self) -> Filter:
        """As the gallery has it."""
        return Filter(
            cameras=texts(self.camera),
            identities=texts(self.identity),
            since=options.moment(self.since, "--since"),
            until=options.moment(self.until, "--until"),
        )


@dataclass(frozen=True)
class QuestionOptions(WhereOptions):
    """How to search: the options and defaults of `Question`."""

    k: Annotated[int, typer.Option("-k", min=1, max=options.LARGEST, help="Candidates.")] = USUAL.k
    exact: Annotated[bool, typer.Option("--exact", help="Compare with every item, index or not.")] = (
        USUAL.exact
    )
    group: Annotated[
        bool, typer.Option("--group/--no-group", help="Answer person by person, or picture by picture.")
    ] = USUAL.group
    rerank: Annotated[bool, typer.Option("--rerank", help="Reorder by k-reciprocal re-ranking.")] = (
        USUAL.rerank
    )
    false_alarm_rate: Annotated[
        float | None,
        typer.Option(
            help="Of searches for strangers, those that may end in 'same'; by default 0.01, where measured."
        ),
    ] = USUAL.false_alarm_rate
    prior: Annotated[
        float | None, typer.Option(help="That the person is in the gallery at all, before looking.")
    ] = USUAL.prior

    def question(self) -> Question:
        """As the gallery has it."""
        names = ("k", "exact", "group", "rerank", "false_alarm_rate", "prior")
        return Question(where=self.where(), **{name: getattr(self, name) for name in names})


def register(app: typer.Typer) -> None:
    """Add these commands to `omnireid gallery`."""
    for command in (items, assign, compare, reject, unreject):
        app.command()(command)


def items(
    gallery: GalleryUri,
    where: WhereOptions = WhereOptions(),
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 100,
    as_json: options.AsJson = False,
) -> None:
    """List items, the latest first."""
    with open_gallery(gallery) as opened:
        page = opened.items(where.where(), limit)
    if as_json:
        print_json([item_of(item) for item in page])
        return
    rows = [
        (
            item.id,
            printed_time(item.time),
            printed_time(item.end_time),
            item.camera,
            item.identity,
            item.tracklet,
            f"{item.quality:g}",
        )
        for item in page
    ]
    print_rows(("item", "seen", "until", "camera", "identity", "tracklet", "quality"), rows)
    if page.next is not None:
        stderr.print("there are more; narrow with --camera, --since, …, or raise --limit")


def assign(
    gallery: GalleryUri,
    item: Annotated[list[str], typer.Argument(help="Ids of items.")],
    identity: Annotated[str | None, typer.Option(help="Whose they are.")] = None,
    nobody: Annotated[bool, typer.Option("--nobody", help="Take their identity away.")] = False,
) -> None:
    """Give items an identity, or take theirs away."""
    if (identity is None) != nobody:
        raise ConfigError("give either --identity or --nobody")
    with open_gallery(gallery) as opened:
        done = opened.assign(item, identity)
    stdout.print(f"{done.summary} (omnireid gallery undo … {done.id})")


def compare(
    gallery: GalleryUri,
    first: ItemId,
    second: ItemId,
    calibration: Annotated[
        Path | None, typer.Option(help="Of the gallery's model; without it a score alone.")
    ] = None,
    false_alarm_rate: Annotated[
        float | None, typer.Option(help="One that was calibrated; by default the lowest that was measured.")
    ] = None,
    prior: Annotated[
        float | None, typer.Option(help="Share of such pairs that are of one person; by default one half.")
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Do two items show the same person? Stands in the audit. For pictures: 'omnireid verify'."""
    from omnireid.evaluation.calibration import Calibration

    with open_gallery(gallery) as opened:
        if calibration is not None:
            opened.calibration = Calibration.load(calibration, opened.model_of_items().sha256)
        comparison = opened.compare(first, second, false_alarm_rate=false_alarm_rate, prior=prior)
    if as_json:
        print_json(asdict(comparison))
        return
    stdout.print(f"score        {comparison.score:.4f}")
    if comparison.probability is not None:
        stdout.print(f"probability  {comparison.probability:.1%}")
    if comparison.decision is not None:
        stdout.print(f"decision     {comparison.decision.value}")
    if comparison.note:
        stderr.print(comparison.note)


def reject(
    gallery: GalleryUri,
    item: ItemId,
    identity: Annotated[str, typer.Option(help="Whom it does not show.")],
) -> None:
    """Say that an item does not show a person; later searches heed it."""
    with open_gallery(gallery) as opened:
        name = opened.reject(identity, opened.embedding(item), model=opened.model_of_items(), item=item)
    stdout.print(f"noted: {item} is not {identity} (omnireid gallery unreject … {name})")


def unreject(
    gallery: GalleryUri, rejection: Annotated[str, typer.Argument(help="As 'reject' printed it.")]
) -> None:
    """Take back that an item does not show a person."""
    with open_gallery(gallery) as opened:
        opened.unreject(rejection)
    stdout.print(f"taken back: {rejection}")


def item_of(item: Item) -> dict[str, Any]:
    """An item for JSON: what is listed of it."""
    return {name: getattr(item, name) for name in SHOWN}
