"""Miniatures of CUHK03, DukeMTMC-reID and MSMT17, in the layout of their archives, with tiny pictures.

The constants and small functions say what each holds, so that a test can work out by itself what a reader
should find.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

# --- CUHK03 ---------------------------------------------------------------------------------------

KINDS = ("detected", "labeled")
# People of the five pairs of cameras.
CUHK03_PEOPLE = {1: 6, 2: 4, 3: 2, 4: 2, 5: 1}
# Seen by one view only.
CUHK03_ONE_VIEW = {(2, 3): 2, (5, 1): 1}
CUHK03_TEST_PEOPLE = 4


class Cell(NamedTuple):
    """One picture of CUHK03: pair of cameras, person of that pair, number 1–10 (6–10: second view)."""

    pair: int
    person: int
    number: int

    @property
    def view(self) -> int:
        return 1 if self.number <= 5 else 2

    @property
    def name(self) -> str:
        return f"{self.pair}_{self.person:03d}_{self.view}_{self.number:02d}.png"


def cuhk03_cells(kind: str) -> list[Cell]:
    """The pictures that are there, in order; about a fifth of the cells are empty."""
    cells = [
        Cell(pair, person, number)
        for pair, people in CUHK03_PEOPLE.items()
        for person in range(1, people + 1)
        for number in range(1, 11)
    ]
    return [
        cell
        for cell in cells
        if CUHK03_ONE_VIEW.get((cell.pair, cell.person), cell.view) == cell.view
        and (cell.pair + 2 * cell.person + 3 * cell.number + KINDS.index(kind)) % 5
    ]


def cuhk03_labels() -> dict[tuple[int, int], int]:
    """The new protocol counts the people of all pairs from 1."""
    people = [(pair, person) for pair, count in CUHK03_PEOPLE.items() for person in range(1, count + 1)]
    return {person: number for number, person in enumerate(people, start=1)}


def cuhk03_new_split(kind: str) -> dict[str, list[Cell]]:
    """Odd labels and people of one view train; of the others each view's first picture is a query."""
    labels = cuhk03_labels()
    split: dict[str, list[Cell]] = {"train": [], "query": [], "gallery": []}
    asked = set()
    for cell in cuhk03_cells(kind):
        person = (cell.pair, cell.person)
        if labels[person] % 2 or person in CUHK03_ONE_VIEW:
            split["train"].append(cell)
        elif (person, cell.view) in asked:
            split["gallery"].append(cell)
        else:
            split["query"].append(cell)
            asked.add((person, cell.view))
    return split


def cuhk03_test_set(index: int) -> list[tuple[int, int]]:
    """Four people of the first three pairs, in no particular order."""
    people = [person for person in cuhk03_labels() if person[0] <= 3 and person not in CUHK03_ONE_VIEW]
    return [people[(index + 3 * place) % len(people)] for place in range(CUHK03_TEST_PEOPLE)][::-1]


def cuhk03_pixels(kind: str, cell: Cell) -> np.ndarray:
    """(H, W, 3) uint8, higher than wide, another for every picture."""
    rng = np.random.default_rng([KINDS.index(kind), *cell])
    return rng.integers(0, 256, (20 + int(rng.integers(10)), 9 + int(rng.integers(5)), 3), dtype=np.uint8)


def build_cuhk03(root: Path) -> None:
    """As it is handed out: the .mat with the pictures, and the two files of the new protocol."""
    folder = root / "cuhk03"
    (folder / "cuhk03_release").mkdir(parents=True)
    write_cuhk03_mat(folder / "cuhk03_release" / "cuhk-03.mat")
    for kind in KINDS:
        write_cuhk03_config(folder / f"cuhk03_new_protocol_config_{kind}.mat", kind)


def build_cuhk03_with_pictures(root: Path) -> None:
    """As another tool leaves it: with the pictures written out."""
    build_cuhk03(root)
    for kind in KINDS:
        folder = root / "cuhk03" / f"images_{kind}"
        folder.mkdir()
        for cell in cuhk03_cells(kind):
            Image.fromarray(cuhk03_pixels(kind, cell)).save(folder / cell.name)


def write_cuhk03_mat(path: Path, *, without: str = "", num_test_sets: int = 20) -> None:
    """MATLAB 7.3: HDF5 behind a header of 512 bytes, reversed axes, cells of references into #refs#."""
    import h5py

    with h5py.File(path, "w", userblock_size=512) as mat:
        heap = mat.create_group("#refs#")

        def put(values: np.ndarray, matlab_class: str) -> h5py.Reference:
            stored = heap.create_dataset(f"r{len(heap)}", data=values)
            stored.attrs["MATLAB_class"] = np.bytes_(matlab_class)
            return stored.ref

        def empty() -> h5py.Reference:
            reference = put(np.zeros(2, np.uint64), "double")
            mat[reference].attrs["MATLAB_empty"] = np.uint8(1)
            return reference

        def cell_array(name: str, references: list[h5py.Reference]) -> None:
            stored = mat.create_dataset(name, data=np.array([references], h5py.ref_dtype))
            stored.attrs["MATLAB_class"] = np.bytes_("cell")

        for kind in KINDS:
            there = set(cuhk03_cells(kind))
            pairs = []
            for pair, people in CUHK03_PEOPLE.items():
                references = np.empty((10, people), h5py.ref_dtype)
                for person in range(1, people + 1):
                    for number in range(1, 11):
                        cell = Cell(pair, person, number)
                        references[number - 1, person - 1] = (
                            put(cuhk03_pixels(kind, cell).T, "uint8") if cell in there else empty()
                        )
                pairs.append(put(references, "cell"))
            if kind != without:
                cell_array(kind, pairs)
        if without != "testsets":
            sets = [np.array(cuhk03_test_set(index), np.float64) for index in range(num_test_sets)]
            cell_array("testsets", [put(people.T, "double") for people in sets])
    with path.open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")


def write_cuhk03_config(path: Path, kind: str, **changes: object) -> None:
    """The new protocol's file, MATLAB 5; a variable given as None is left out."""
    from scipy.io import savemat

    cells, labels, split = cuhk03_cells(kind), cuhk03_labels(), cuhk03_new_split(kind)
    names = np.empty((len(cells), 1), object)
    names[:, 0] = [cell.name for cell in cells]
    variables = {
        "camId": np.array([[cell.view] for cell in cells], np.uint8),
        "filelist": names,
        "labels": np.array([[labels[cell.pair, cell.person]] for cell in cells], np.uint16),
        **{
            f"{name}_idx": np.array([[1 + cells.index(cell)] for cell in chosen], np.uint16)
            for name, chosen in split.items()
        },
        **changes,
    }
    savemat(path, {name: value for name, value in variables.items() if value is not None})


# --- DukeMTMC-reID --------------------------------------------------------------------------------

# Pid → cameras that saw the person; each camera took two pictures.
DUKE_TRAIN = {1: (1, 2), 9: (3, 8), 7140: (2, 5, 6)}
DUKE_TEST = {5: (2, 4), 23: (1, 8), 7139: (2, 3, 7)}
DUKE_ONE_CAMERA = {17: 1, 4001: 6}


def duke_name(pid: int, camera: int, number: int) -> str:
    return f"{pid:04d}_c{camera}_f{46000 + 120 * number + pid:07d}.jpg"


def duke_lists() -> dict[str, list[tuple[str, int, int]]]:
    """Folder → (name, pid, camera from 1): one query of each person in each camera, the rest gallery."""
    lists: dict[str, list[tuple[str, int, int]]] = {
        "bounding_box_train": [],
        "query": [],
        "bounding_box_test": [],
    }
    for pid, cameras in DUKE_TRAIN.items():
        for camera in cameras:
            for number in range(2):
                lists["bounding_box_train"].append((duke_name(pid, camera, number), pid, camera))
    for pid, cameras in DUKE_TEST.items():
        for camera in cameras:
            lists["query"].append((duke_name(pid, camera, 0), pid, camera))
            lists["bounding_box_test"].append((duke_name(pid, camera, 1), pid, camera))
    for pid, camera in DUKE_ONE_CAMERA.items():
        for number in range(2):
            lists["bounding_box_test"].append((duke_name(pid, camera, number), pid, camera))
    return lists


def build_dukemtmcreid(root: Path) -> None:
    for folder, pictures in duke_lists().items():
        for name, _, _ in pictures:
            write_picture(root / "dukemtmc-reid" / "DukeMTMC-reID" / folder / name)


# --- MSMT17 ---------------------------------------------------------------------------------------

MSMT17_FOLDERS = {
    "v1": ("MSMT17_V1", "train", "test"),
    "v2": ("MSMT17_V2", "mask_train_v2", "mask_test_v2"),
}
MSMT17_TRAIN_PEOPLE = 4
MSMT17_TEST_PEOPLE = 5


def msmt17_lists() -> dict[str, list[tuple[str, int, int]]]:
    """List → (path, pid, camera from 1). People count from 0 in train and again from 0 in test."""
    lists: dict[str, list[tuple[str, int, int]]] = {"train": [], "val": [], "query": [], "gallery": []}
    for part, people in (("train", MSMT17_TRAIN_PEOPLE), ("test", MSMT17_TEST_PEOPLE)):
        for pid in range(people):
            for number in range(6):
                camera = 1 + (5 * pid + 7 * (number // 2)) % 15
                name = f"{pid:04d}_{number:03d}_{camera:02d}_0303morning_{15 + number:04d}_{number % 2}.jpg"
                if part == "train":
                    chosen = "val" if number == 5 else "train"
                else:
                    chosen = "query" if number % 2 == 0 else "gallery"
                lists[chosen].append((f"{pid:04d}/{name}", pid, camera))
    return lists


def build_msmt17(root: Path, version: str = "v1") -> None:
    name, train, test = MSMT17_FOLDERS[version]
    folder = root / "msmt17" / name
    for part, pictures in msmt17_lists().items():
        for path, _, _ in pictures:
            write_picture(folder / (train if part in ("train", "val") else test) / path)
        lines = "".join(f"{path} {pid}\n" for path, pid, _ in pictures)
        (folder / f"list_{part}.txt").write_text(lines)


def write_picture(path: Path) -> None:
    """A picture of 12×24 pixels that no other path gets."""
    path.parent.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(zlib.crc32("/".join(path.parts[-3:]).encode()))
    Image.fromarray(generator.integers(0, 256, (24, 12, 3), dtype=np.uint8)).save(path)


# What makes a folder that each of these names reads without further options.
BUILDERS: dict[str, Callable[[Path], None]] = {
    **{
        f"cuhk03-{protocol}{kind}": build_cuhk03_with_pictures
        for protocol in ("", "classic-")
        for kind in KINDS
    },
    "dukemtmcreid": build_dukemtmcreid,
    **{
        f"msmt17{version}{portion}": partial(build_msmt17, version="v2" if version == "-v2" else "v1")
        for version in ("", "-v1", "-v2")
        for portion in ("", "-trainval", "-all")
    },
}
