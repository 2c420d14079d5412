"""The histograms of `omnireid data stats` as one picture."""

from __future__ import annotations

from pathlib import Path

from omnireid.core.cameras import camera_name
from omnireid.core.errors import MissingExtraError
from omnireid.core.files import atomic_write
from omnireid.data.stats import DatasetStats, Distribution, bin_labels

try:  # without pyplot, which keeps figures and picks a window system for the whole process
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator
except ImportError as error:
    raise MissingExtraError("drawing statistics (--out)", "report") from error

MAX_CAMERAS_DRAWN = 40

_COLOURS = {"train": "#0072b2", "query": "#d55e00", "gallery": "#009e73", "": "#56707f"}


def save_figure(stats: DatasetStats, path: Path) -> None:
    """Draw pictures per person and camera of each split, and the sizes of the crops, as PNG.

    Raises:
        StorageError: the file cannot be written.
    """
    figure = Figure(figsize=(12, 7), layout="constrained")
    FigureCanvasAgg(figure)
    which = "" if stats.split_id is None else f", split {stats.split_id}"
    figure.suptitle(f"{stats.dataset}{which}", x=0.01, ha="left", fontsize=13, fontweight="bold")
    grid = figure.add_gridspec(2, 6)
    upper = 2 if stats.is_video else 3
    people = figure.add_subplot(grid[0, :upper])
    _per_split(people, {split.name: split.images_per_pid for split in stats.splits})
    _label(people, "pictures per person", "people")
    figure.legend(*people.get_legend_handles_labels(), loc="outside upper right", ncols=3, frameon=False)
    cameras = figure.add_subplot(grid[0, upper : 2 * upper])
    _per_camera(cameras, stats)
    _label(cameras, "camera", "pictures")
    if stats.is_video:
        frames = figure.add_subplot(grid[0, 4:])
        _per_split(frames, {split.name: split.frames_per_tracklet for split in stats.splits})
        _label(frames, "frames per tracklet", "tracklets")
    if stats.sizes:
        what = "first frames" if stats.is_video else "pictures"
        for index, (title, distribution) in enumerate(
            (
                ("width in pixels", stats.sizes.width),
                ("height in pixels", stats.sizes.height),
                ("height ÷ width", stats.sizes.aspect_ratio),
            )
        ):
            axes = figure.add_subplot(grid[1, 2 * index : 2 * index + 2])
            _histogram(axes, distribution)
            _label(axes, title, what)
    with atomic_write(path) as stream:
        figure.savefig(stream, format="png", dpi=100)


def _per_split(axes: Axes, distributions: dict[str, Distribution | None]) -> None:
    """Bars of the splits side by side, over the bins that all of them share."""
    present = {name: distribution for name, distribution in distributions.items() if distribution}
    edges = sorted({edge for distribution in present.values() for edge in distribution.edges})
    for index, (name, distribution) in enumerate(present.items()):
        # The last edge begins no bin.
        number_at = dict(zip(distribution.edges, distribution.counts, strict=False))
        heights = [number_at.get(edge, 0) for edge in edges[:-1]]
        _bars(axes, name, index, len(present), heights)
    axes.set_xticks(range(len(edges) - 1), bin_labels(edges))


def _per_camera(axes: Axes, stats: DatasetStats) -> None:
    cameras = sorted({camid for split in stats.splits for camid in split.images_per_camera})
    present = [split for split in stats.splits if split.images_per_camera]
    if len(cameras) > MAX_CAMERAS_DRAWN:
        axes.text(0.5, 0.5, f"{len(cameras):,} cameras", ha="center", transform=axes.transAxes)
    else:
        for index, split in enumerate(present):
            heights = [split.images_per_camera.get(camid, 0) for camid in cameras]
            _bars(axes, split.name, index, len(present), heights)
        axes.set_xticks(
            range(len(cameras)), [camera_name(camid, stats.camera_names) or "?" for camid in cameras]
        )


def _bars(axes: Axes, name: str, index: int, number: int, heights: list[int]) -> None:
    width = 0.84 / number
    centres = [x + (index - (number - 1) / 2) * width for x in range(len(heights))]
    axes.bar(centres, heights, width, color=_COLOURS[name], label=name)


def _histogram(axes: Axes, distribution: Distribution | None) -> None:
    if distribution is None:
        return
    axes.stairs(distribution.counts, distribution.edges, fill=True, color=_COLOURS[""])
    if len(distribution.counts) == 1:
        axes.set_xticks(distribution.edges)
    axes.axvline(distribution.median, color="black", linewidth=1)
    axes.set_title(f"median {distribution.median:.4g}", fontsize=9, loc="left", color="#555555")


def _label(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
