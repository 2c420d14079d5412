"""`omnireid track` and `omnireid track-eval`: from cameras to identities, and how good that is."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from omnireid.cli import options
from omnireid.cli.console import print_json, stderr, stdout
from omnireid.core.errors import ConfigError, InputError
from omnireid.inference.options import DEFAULT_MODEL
from omnireid.video.options import Linking, TrackOptions


@dataclass(frozen=True)
class Options(TrackOptions):
    """What a run depends on besides its cameras and its model."""

    gallery: Annotated[
        str | None, typer.Option("--gallery", help="Gallery that tracklets are enrolled in.")
    ] = TrackOptions.gallery
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in the folder that was stopped.")
    ] = TrackOptions.resume
    annotate: Annotated[
        bool, typer.Option("--annotate", help="Also make videos with a box and a number for each person.")
    ] = TrackOptions.annotate
    blur: Annotated[
        int | None,
        typer.Option("--blur", min=1, help="In these videos hide everybody but the person of this number."),
    ] = TrackOptions.blur


def track(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for what is found.", file_okay=False)],
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            help="Videos, folders of pictures, MOT sequences, webcams (0) or streams (rtsp://…), each "
            "NAME=SOURCE or SOURCE; with --site, those that it does not name.",
        ),
    ] = None,
    site: Annotated[
        Path | None,
        typer.Option(
            "--site", help="YAML or JSON: cameras, clocks, ground planes, overlaps.", dir_okay=False
        ),
    ] = None,
    model: options.Model = DEFAULT_MODEL,
    calibration: options.CalibrationFile = None,
    fps: Annotated[
        float | None,
        typer.Option("--fps", min=0.1, max=1000, help="Look at so many frames a second at most."),
    ] = None,
    overlapping: options.Overlapping = False,
    prior: Annotated[
        float,
        typer.Option("--prior", min=1e-6, max=0.999999, help="Share of pairs of tracklets of one person."),
    ] = Linking.prior,
    detections: Annotated[
        list[Path] | None,
        typer.Option(
            "--detections",
            help="Boxes (MOT text, or COCO's JSON) instead of a detector; one for each source.",
            dir_okay=False,
        ),
    ] = None,
    detector: Annotated[
        Path | None,
        typer.Option("--detector", help="Network file (ONNX) instead of the one that ships.", dir_okay=False),
    ] = None,
    head: Annotated[
        str | None,
        typer.Option("--head", help="What that file puts out: nanodet, yolox, yolov8 or detr."),
    ] = None,
    tiles: Annotated[
        int | None,
        typer.Option(
            "--tiles", min=2, help="Detect small people: look at so many tiles along the longer side, too."
        ),
    ] = None,
    sure: Annotated[
        float,
        typer.Option("--sure", min=0.1, max=0.9, help="Score from which a box is a person; 0.1 around it."),
    ] = 0.5,
    started: Annotated[
        list[str] | None,
        typer.Option(
            "--started",
            help="When the first frames were, as 2026-05-01T09:00:00+02:00, by default now; NAME=TIME for "
            "each camera where they did not begin together.",
        ),
    ] = None,
    asked: Options = Options(),
    engine: options.EngineOptions = options.EngineOptions(),
    workers: options.WorkerOptions = options.WorkerOptions(),
) -> None:
    """Follow people through cameras: tracks, tracklets with their best crops, and who is who.

    Without a calibration beside the model, links between tracklets cannot be weighed: make one first.
    """
    from omnireid.video.detecting import open_detector
    from omnireid.video.plan import SitePlan, read_plan
    from omnireid.video.reading import FrameReading
    from omnireid.video.site import Following
    from omnireid.video.track import track as track_site
    from omnireid.video.tracker import Tracking

    if workers.where == "local":
        options.refuse("without --engine ray", "address", "count", "cpus", "gpus")
    plan = SitePlan() if site is None else read_plan(site)
    done = track_site(
        plan.read_from([_named(source) for source in sources or []]),
        model,
        out,
        replace(
            asked,
            calibration=calibration,
            detections=detections or (),
            detector=open_detector(detector, head, tiles=tiles, threads=engine.threads)
            if detector or head or tiles
            else None,
            started=_times(started or []),
        ),
        following=Following(
            FrameReading(fps=fps),
            Tracking(possible=sure - 0.1, sure=sure, begin=sure + 0.1),
            linking=Linking(prior=prior, overlapping=overlapping),
            plan=plan,
        ),
        engine=engine,
        workers=workers,
        console=stderr,
    )
    for camera in done.site.cameras:
        notes = [f"{camera.frames:,} frames", f"{len(camera.tracks):,} tracks", *camera.notes]
        stdout.print(f"{camera.name}: {', '.join(notes)}")
    people = len(done.site.identities)
    stdout.print(
        f"{people:,} {'person' if people == 1 else 'people'} in {len(done.site.tracklets):,} tracklets: {out}"
    )
    if done.enrolled is not None:
        count = int(done.enrolled.is_new.sum())
        stdout.print(f"{count:,} tracklets enrolled: {asked.gallery}")
    if done.site.was_interrupted:
        stderr.print(
            "stopped before the end; what was seen until then is there, and the same command with --resume "
            "goes on",
            markup=False,
        )


def _times(texts: list[str]) -> float | dict[str, float] | None:
    """Unix seconds of ISO times, one for all cameras or NAME=TIME for each."""
    if len(texts) == 1 and "=" not in texts[0]:
        return options.moment(texts[0], "--started")
    times = {}
    for text in texts:
        name, _, when = text.rpartition("=")
        if not name:
            raise ConfigError(f"--started {text!r}: expected NAME=TIME where there is more than one")
        times[name] = options.moment(when, "--started")
    return times or None


def _named(source: str) -> tuple[str, str]:
    """NAME=SOURCE, or a source that names itself, without what nobody may read of it."""
    from omnireid.video.reading import shown_source

    match = re.match(r"([\w .-]+)=(.+)", source)
    if match and not Path(source).exists():
        return match[1], match[2]
    shown = shown_source(source)
    return Path(shown.rstrip("/").rpartition("://")[2]).stem or shown, source


def track_eval(
    truth: Annotated[
        Path,
        typer.Argument(
            help="Truth of one camera (MOT text), or a folder of several: NAME.txt or NAME/gt/gt.txt."
        ),
    ],
    result: Annotated[Path, typer.Argument(help="Tracks of it; or a folder with files of the same names.")],
    min_visible: Annotated[
        float,
        typer.Option(
            "--min-visible",
            min=0.0,
            max=1.0,
            help="People of whom less is seen do not count, where the truth says how much that is.",
        ),
    ] = 0.25,
    as_json: options.AsJson = False,
) -> None:
    """Judge tracks by HOTA, IDF1, MOTA and their parts; several cameras also as one, by identity."""
    from omnireid.video.judging import judge, judge_cameras, without_hidden
    from omnireid.video.mot import read_mot

    if truth.is_dir() != result.is_dir():
        raise ConfigError(
            f"{truth} and {result}: expected two files, or two folders with files of the same names"
        )
    truths = {truth.name: truth}
    if truth.is_dir():
        truths = {file.name: file for file in truth.glob("*.txt")}
        truths |= {f"{file.parent.parent.name}.txt": file for file in truth.glob("*/gt/gt.txt")}
    if not truths:
        raise InputError(f"{truth}: holds no truth (NAME.txt, or NAME/gt/gt.txt)")
    whole = {name: read_mot(file) for name, file in sorted(truths.items())}
    pairs = {
        name: without_hidden(lines, read_mot(result / name if truth.is_dir() else result), min_visible)
        for name, lines in whole.items()
    }
    hidden = sum(int((whole[name].scores > kept.scores).sum()) for name, (kept, _) in pairs.items())
    if hidden:
        stderr.print(
            f"{hidden:,} boxes of the truth do not count: less than {100 * min_visible:g} % of the person is "
            "seen (--min-visible 0 counts them)"
        )
    empty = {name for name, (truth_lines, _) in pairs.items() if not (truth_lines.scores > 0).any()}
    if len(pairs) > 1 and len(empty) < len(pairs):
        for name in sorted(empty):
            stderr.print(f"{name}: nobody is in its truth; it counts among all cameras only")
    else:
        empty = set()
    scores = {name: judge(*pair) for name, pair in pairs.items() if name not in empty}
    if len(pairs) > 1:
        scores["all cameras"] = judge_cameras(list(pairs.values()))
    if as_json:
        print_json({name: score.as_dict() for name, score in scores.items()})
        return
    for name, score in scores.items():
        stdout.print(
            f"{name}: HOTA {100 * score.hota:.1f}, DetA {100 * score.deta:.1f}, AssA {100 * score.assa:.1f}, "
            f"IDF1 {100 * score.idf1:.1f}, MOTA {100 * score.mota:.1f} %; {score.switches:,} switches, "
            f"{score.misses:,} misses, {score.false_alarms:,} false alarms, "
            f"{score.track_ids:,} tracks of {score.truth_ids:,} people"
        )
