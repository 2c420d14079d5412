"""Market-1501 (Zheng et al., ICCV 2015): 1,501 people, six cameras, 32,217 pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from omnireid.core.errors import DatasetError
from omnireid.core.types import JUNK_PID, Dataset, Split
from omnireid.data.datasets.card import DatasetCard, Reader, ReadOptions, SplitCounts
from omnireid.data.datasets.folders import outside, parse_market_name, read_folder, read_splits

NUM_PIDS = 1501
NUM_CAMERAS = 6

FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
DISTRACTORS = "images"

CARD = DatasetCard(
    name="market1501",
    title="Market-1501: 1,501 people, 6 cameras",
    layout=(
        "[market1501/][Market-1501-v15.09.15/]{bounding_box_train,query,bounding_box_test}/*.jpg\n"
        "0002_c1s1_000451_03.jpg: pid, then c<camera 1–6>.\n"
        "Pid −1 is junk (skipped and counted), pid 0 a distractor (kept in the gallery)."
    ),
    places=("market1501/Market-1501-v15.09.15", "Market-1501-v15.09.15", "market1501", ""),
    markers=tuple(FOLDERS.values()),
    archives=("Market-1501-v15.09.15.zip",),
    counts={
        "train": SplitCounts(images=12_936, pids=751, cameras=6),
        "query": SplitCounts(images=3_368, pids=750, cameras=6),
        "gallery": SplitCounts(images=15_913, pids=751, cameras=6),  # pids: 750 and the distractor 0
    },
    distractor_pids=frozenset({0}),
    notes="pid 0: 2,798 pictures by the count of the test folder, 2,793 on the authors' page.",
    licence="Research only; the authors' terms come with the data.",
    ethics=(
        "Real people filmed in public on a campus, without being asked one by one. Use it for research\n"
        "on the method, do not publish faces, do not train products on it."
    ),
    citation="Zheng et al., Scalable Person Re-identification: A Benchmark, ICCV 2015.",
    source="http://www.liangzheng.org/Project/project_reid.html",
)

CARD_500K = replace(
    CARD,
    name="market1501-500k",
    title="Market-1501 with its 500,000 distractor pictures in the gallery",
    layout=CARD.layout + "\nAnd images/*.jpg beside them: the distractors, named in the same way.",
    # The distractor archive has no published exact count, so only the other two splits are verified.
    counts={name: counts for name, counts in CARD.counts.items() if name != "gallery"},
)


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read Market-1501 from `root`/market1501/Market-1501-v15.09.15, or from that folder itself.

    Raises:
        DatasetError: one of the three folders is missing; names it and the layout.
    """
    return read_splits(root, options, CARD, FOLDERS, _parse)


def read_500k(root: Path, options: ReadOptions) -> Dataset:
    """Read Market-1501 and put the pictures of `images/` behind its gallery.

    Raises:
        DatasetError: `images/` or one of the three folders is missing.
    """
    dataset = read(root, options)
    folder = Path(dataset.root) / DISTRACTORS
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder; {CARD_500K.name} expects the distractors there")
    distractors, skipped = read_folder(folder, _parse)
    return replace(
        dataset,
        name=CARD_500K.name,
        gallery=Split("gallery", (*dataset.gallery, *distractors)),
        skipped=(*dataset.skipped, *skipped),
    )


def _parse(name: str) -> tuple[int, int] | str:
    parsed = parse_market_name(name)
    if isinstance(parsed, str):
        return parsed
    pid, camera = parsed
    wrong_pid = "" if pid == JUNK_PID else outside("pid", pid, 0, NUM_PIDS)
    return wrong_pid or outside("camera", camera, 1, NUM_CAMERAS) or (pid, camera - 1)


READERS = (Reader(CARD, read), Reader(CARD_500K, read_500k))
