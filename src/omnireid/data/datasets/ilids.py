"""QMUL-iLIDS (Zheng et al., BMVC 2009): 119 people in an airport, 476 pictures.

Partitions: ten times, half of the people (59 of 119) are drawn to train on, with all their pictures. Of
each of the other 60, two pictures are drawn: the first is the query, the second the one in the gallery.
Their further pictures are in no split.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from omnireid.core.types import Dataset, Sample
from omnireid.data.datasets.card import TOTAL, DatasetCard, Reader, ReadOptions, SplitCounts
from omnireid.data.datasets.folders import locate, read_folder
from omnireid.data.datasets.partitions import DRAWN, drawn_order

FOLDER = "Persons"

CARD = DatasetCard(
    name="ilids",
    title="QMUL-iLIDS: 119 people in an airport",
    layout=(
        "[ilids/][i-LIDS_Pedestrian/]Persons/*.jpg\n"
        "0001003.jpg: four digits of pid, three of the picture (from 1).\n"
        "Which camera took a picture is not known: its number within the person stands for the camera,\n"
        "so that no other picture of the person is junk."
    ),
    places=("ilids/i-LIDS_Pedestrian", "i-LIDS_Pedestrian", "ilids", ""),
    markers=(FOLDER,),
    archives=("i-LIDS_Pedestrian.tgz",),
    counts={
        "train": SplitCounts(pids=59),
        "query": SplitCounts(images=60, pids=60),
        "gallery": SplitCounts(images=60, pids=60),
        TOTAL: SplitCounts(images=476, pids=119),
    },
    num_splits=10,
    notes=(
        "People have different numbers of pictures, so the size of the training split changes with the\n"
        "draw; 476 pictures of 119 people in all are verified. The draws behind published numbers were\n"
        "never stored in one place, so compare the mean over all 10 splits.\n"
        "Not to be confused with iLIDS-VID, the video benchmark."
    ),
    licence="Crops from the UK Home Office's i-LIDS footage, whose own terms apply. Research only.",
    ethics=(
        "Real people filmed by surveillance cameras of an airport, without being asked. Not withdrawn as\n"
        "far as we know. Use it for research on the method, do not publish faces, do not train products\n"
        "on it."
    ),
    citation=(
        "Zheng, Gong and Xiang, Associating Groups of People, British Machine Vision Conference (BMVC), 2009."
    ),
    source="http://www.eecs.qmul.ac.uk/~jason/data/i-LIDS_Pedestrian.tgz",
)

_NAME = re.compile(r"([0-9]{4})([0-9]{3})\.jpg", re.IGNORECASE)


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read one draw; its test people's further pictures are `unused`.

    Raises:
        DatasetError: the folder `Persons` is missing; says which archive lies there instead.
    """
    folder = locate(root, CARD, options)
    samples, skipped = read_folder(folder / FOLDER, _parse)
    pictures_of: dict[int, dict[str, Sample]] = defaultdict(dict)
    for sample in samples:
        pictures_of[sample.pid][Path(sample.path).name] = sample

    pids = drawn_order(pictures_of, dataset=CARD.name, partition=options.split_id)
    in_training = set(pids[: len(pids) // 2])
    query: list[Sample] = []
    gallery: list[Sample] = []
    unused: list[Sample] = []
    for pid, pictures in pictures_of.items():
        if pid not in in_training:
            names = drawn_order(pictures, dataset=CARD.name, partition=options.split_id)
            query += [pictures[name] for name in names[:1]]
            gallery += [pictures[name] for name in names[1:2]]
            unused += [pictures[name] for name in names[2:]]
    return CARD.dataset(
        folder,
        options,
        ((sample for sample in samples if sample.pid in in_training), query, gallery),
        skipped=skipped,
        unused=tuple(unused),
        origin=DRAWN,
    )


def _parse(name: str) -> tuple[int, int] | str:
    match = _NAME.fullmatch(name)
    if match is None:
        return "the name is not <four digits of pid><three of the picture>.jpg"
    pid, picture = int(match[1]), int(match[2])
    return (pid, picture - 1) if picture > 0 else "picture 0: they count from 1"


READERS = (Reader(CARD, read),)
