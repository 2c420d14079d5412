"""What cameras saw, as one HTML file to look at: no script, no request."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from omnireid import __version__
from omnireid.core.card import ModelRef
from omnireid.core.files import write_bytes
from omnireid.core.images import decode
from omnireid.report.pictures import data_address
from omnireid.report.template import render_page
from omnireid.video.annotating import COLOURS, TOGETHER
from omnireid.video.floors import floor_maps
from omnireid.video.linking import Identity, Tracklet
from omnireid.video.site import Site

PAGE = "report.html"

_MOST_LANES, _MOST_WALKS, _MOST_MARKS = 60, 12, 10
_LEFT, _RIGHT, _TOP, _LANE = 80.0, 1070.0, 24, 22


def write_page(site: Site, path: Path, model: ModelRef) -> None:
    """Write the page, atomically.

    Raises:
        StorageError: The file cannot be written.
    """
    colour = {camera.name: index % len(COLOURS) for index, camera in enumerate(site.cameras)}
    seconds = max((camera.last_s for camera in site.cameras), default=0.0)
    people = {camera.name: 0 for camera in site.cameras}
    for identity in site.identities:
        for name in {site.tracklets[row].camera for row in identity.members}:
            people[name] += 1
    shown = site.identities[:_MOST_LANES]
    page = {
        "title": f"{len(site.identities):,} people before {_cameras(len(site.cameras))}",
        "version": __version__,
        "model": model.short,
        "written": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "colours": COLOURS,
        "tiles": [
            ("people", f"{len(site.identities):,}"),
            ("walks", f"{len(site.tracklets):,}"),
            ("seen by several", f"{sum(_several(site, identity) for identity in site.identities):,}"),
            ("cameras", f"{len(site.cameras):,}"),
            ("frames", f"{sum(camera.frames for camera in site.cameras):,}"),
            ("time", _clock(seconds)),
        ],
        "notes": _notes(site),
        "cameras": [
            {
                "name": camera.name,
                "colour": colour[camera.name],
                "frames": f"{camera.frames:,}",
                "time": _clock(camera.last_s),
                "tracks": f"{len(camera.tracks):,}",
                "people": f"{people[camera.name]:,}",
                "source": camera.shown_source,
            }
            for camera in site.cameras
        ],
        "film": TOGETHER if (path.parent / TOGETHER).is_file() else "",
        "height": _TOP + _LANE * len(shown) + 4,
        "marks": _marks(seconds),
        "lanes": [_lane(site, identity, row, seconds, colour) for row, identity in enumerate(shown)],
        "hidden_lanes": len(site.identities) - len(shown),
        "maps": floor_maps(site, len(COLOURS), _MOST_LANES),
        "persons": [_person(site, identity, colour) for identity in shown],
    }
    write_bytes(path, render_page("tracking.html.j2", page).encode())


def _cameras(count: int) -> str:
    return f"{count} camera" if count == 1 else f"{count} cameras"


def _several(site: Site, identity: Identity) -> bool:
    return len({site.tracklets[row].camera for row in identity.members}) > 1


def _notes(site: Site) -> list[str]:
    notes = ["It was stopped before the end."] * site.was_interrupted
    return notes + [f"{camera.name}: {note}" for camera in site.cameras for note in camera.notes]


def _clock(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def _x(time: float, seconds: float) -> float:
    return round(_LEFT + (_RIGHT - _LEFT) * time / max(seconds, 1e-6), 1)


def _marks(seconds: float) -> list[tuple[float, str]]:
    """Round times along the top, at most ten."""
    steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200)
    step = next(
        (step for step in steps if seconds / step <= _MOST_MARKS), max(86400, int(seconds / _MOST_MARKS))
    )
    return [(_x(mark, seconds), _clock(mark)) for mark in range(0, int(seconds) + 1, step)]


def _lane(site: Site, identity: Identity, row: int, seconds: float, colour: dict[str, int]) -> dict[str, Any]:
    walks = [site.tracklets[member] for member in identity.members]
    # Where cameras overlap, somebody is in several at once: each has its own line of the lane.
    names = [camera.name for camera in site.cameras if any(walk.camera == camera.name for walk in walks)]
    height = max(14 / len(names), 1.5)
    return {
        "name": f"person {identity.number}",
        "colour": (identity.number - 1) % len(COLOURS),
        "y": _TOP + _LANE * row,
        "bars": [
            {
                "x": _x(walk.begin, seconds),
                "width": max(round(_x(walk.end, seconds) - _x(walk.begin, seconds), 1), 2.0),
                "row": round(height * names.index(walk.camera), 1),
                "height": round(height, 1),
                "colour": colour[walk.camera],
                "hint": f"{walk.camera}, {_span(walk)}",
            }
            for walk in walks
        ],
    }


def _span(walk: Tracklet) -> str:
    return f"{_clock(walk.begin)} to {_clock(walk.end)}"


def _person(site: Site, identity: Identity, colour: dict[str, int]) -> dict[str, Any]:
    walks = [site.tracklets[row] for row in identity.members]
    line = f"{len(walks)} walk{'s' * (len(walks) > 1)}"
    if len(walks) > 1:
        line += f", {100 * identity.sure:.1f} %"
    return {
        "number": identity.number,
        "colour": (identity.number - 1) % len(COLOURS),
        "line": line,
        "more": max(0, len(walks) - _MOST_WALKS),
        "walks": [
            {
                "address": data_address(decode(best[0].jpeg))
                if (best := site.track(walk).crops.kept)
                else "",
                "camera": walk.camera,
                "colour": colour[walk.camera],
                "time": _clock(walk.begin),
                "hint": f"person {identity.number} at {walk.camera}, {_span(walk)}",
            }
            for walk in walks[:_MOST_WALKS]
        ],
    }
