"""`omnireid synth`: people who do not exist, seen by several cameras."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from omnireid.cli import options
from omnireid.cli.console import stderr, stdout
from omnireid.synthetic.options import MAX_MIXED_WORLDS, FilmOptions, RenderOptions, Style


@dataclass(frozen=True)
class Options(RenderOptions):
    """What is rendered."""

    num_train_pids: Annotated[
        int, typer.Option("--train-pids", min=0, max=1_000_000, help="Identities to train on.")
    ] = RenderOptions.num_train_pids
    num_test_pids: Annotated[
        int, typer.Option("--test-pids", min=0, max=1_000_000, help="Identities to test on.")
    ] = RenderOptions.num_test_pids
    num_cameras: Annotated[int, typer.Option("--cameras", min=2, max=9)] = RenderOptions.num_cameras
    crops_per_camera: Annotated[
        int,
        typer.Option(
            "--crops",
            min=2,
            max=10_000,
            help="Pictures of an identity by a camera; of a test identity one is the query.",
        ),
    ] = RenderOptions.crops_per_camera
    num_distractors: Annotated[int, typer.Option("--distractors", min=0, max=1_000_000)] = (
        RenderOptions.num_distractors
    )
    num_junk: Annotated[int, typer.Option("--junk", min=0, max=1_000_000)] = RenderOptions.num_junk
    height: Annotated[int, typer.Option(min=32, max=8_192)] = RenderOptions.height
    width: Annotated[int, typer.Option(min=16, max=8_192)] = RenderOptions.width
    seed: options.Seed = RenderOptions.seed
    style: Annotated[
        Style,
        typer.Option(
            "--style", help="flat: figures before a picture; mesh: bodies in places of three dimensions."
        ),
    ] = RenderOptions.style
    people_per_world: Annotated[
        int,
        typer.Option(
            "--people-per-world",
            min=0,
            max=1_000_000,
            help="With --style mesh: so many identities share places and cameras; 0: all.",
        ),
    ] = RenderOptions.people_per_world
    mixed_worlds: Annotated[
        int,
        typer.Option(
            "--mixed-worlds",
            min=0,
            max=MAX_MIXED_WORLDS,
            help="With --style mesh: a person's cameras are drawn from so many worlds; 0: of one world.",
        ),
    ] = RenderOptions.mixed_worlds


@dataclass(frozen=True)
class VideoOptions:
    """What is filmed."""

    num_people: Annotated[
        int, typer.Option("--people", min=1, max=1_000, help="With --video: who comes and goes.")
    ] = FilmOptions.num_people
    minutes: Annotated[float, typer.Option("--minutes", help="With --video.")] = FilmOptions.minutes
    fps: Annotated[float, typer.Option("--fps", help="With --video: frames a second.")] = FilmOptions.fps
    num_places: Annotated[
        int,
        typer.Option("--places", min=1, max=9, help="With --video: places that the cameras are spread over."),
    ] = FilmOptions.num_places
    frame_width: Annotated[int, typer.Option("--frame-width", min=64, max=3_840, help="With --video.")] = (
        FilmOptions.width
    )
    frame_height: Annotated[int, typer.Option("--frame-height", min=64, max=2_160, help="With --video.")] = (
        FilmOptions.height
    )
    overlap: Annotated[
        bool,
        typer.Option("--overlap", help="With --video: all cameras of a place see common ground."),
    ] = FilmOptions.overlap


_OF_VIDEOS = ("num_people", "minutes", "fps", "num_places", "frame_width", "frame_height", "overlap")
_OF_CROPS = (
    "num_train_pids", "num_test_pids", "crops_per_camera", "num_distractors", "num_junk", "height", "width",
    "style", "people_per_world", "mixed_worlds",
)  # fmt: skip


def synth(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write (crops: Market-1501 layout).")],
    people: Options = Options(),
    video: Annotated[
        bool, typer.Option("--video", help="Films of the cameras with their truth, instead of crops.")
    ] = False,
    film: VideoOptions = VideoOptions(),
    workers: Annotated[
        int, typer.Option(min=0, max=options.MOST_THREADS, help="Processes; 0: one per core.")
    ] = 0,
) -> None:
    """Render a dataset, or films, with no real person in them. The same seed gives the same bytes."""
    if video:
        options.refuse("with --video", *_OF_CROPS)
        _film(out, people, film, workers)
        return
    options.refuse("without --video", *_OF_VIDEOS)
    from omnireid.synthetic.dataset import render_dataset

    dataset = render_dataset(out, people, workers=workers or None, console=stderr)
    for split in dataset.splits:
        stdout.print(
            f"{split.name:<8}{len(split):>7,} images {split.num_pids:>6,} pids {split.num_cameras:>3} cameras"
        )
    stdout.print(f"{out}: read it with --data market-layout --root {out}")


def _film(out: Path, people: Options, film: VideoOptions, workers: int) -> None:
    from omnireid.synthetic.places.films import render_films

    wanted = FilmOptions(
        seed=people.seed,
        num_cameras=people.num_cameras,
        num_people=film.num_people,
        minutes=film.minutes,
        fps=film.fps,
        num_places=film.num_places,
        width=film.frame_width,
        height=film.frame_height,
        overlap=film.overlap,
    )
    for name in render_films(out, wanted, workers=workers or None, console=stderr):
        stdout.print(f"{out / name}")
