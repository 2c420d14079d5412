"""Miniatures of the small image benchmarks, in the layout of their archives, with tiny pictures.

The constants say what each holds, so that a test can work out by itself what a reader should find.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

VIPER_PIDS = (0, 1, 2, 5, 7, 10, 91, 110, 300, 548, 872, 873)

GRID_PIDS = tuple(range(1, 13))
GRID_STRANGERS = 5
# The people that each of the ten partitions trains on.
GRID_TRAIN = tuple(tuple(sorted((k + 5 * j) % 12 + 1 for j in range(6))) for k in range(10))

CUHK01_PIDS = (1, 2, 3, 40, 41, 500, 969, 970, 971)

CUHK02_PEOPLE = {"P1": 4, "P2": 2, "P3": 3, "P4": 1, "P5": 4}

CUHKSYSU_PICTURES = {1: 2, 7: 1, 300: 4, 11422: 3, 11934: 2}

ILIDS_PICTURES = {1: 4, 2: 2, 3: 5, 8: 3, 60: 4, 118: 2, 119: 6}

PRID_BOTH = tuple(range(1, 11))
PRID_ONLY_A = (201, 202, 385)
PRID_ONLY_B = (201, 202, 203, 749)

SENSEREID_QUERY = (3, 5, 8, 13)
SENSEREID_GALLERY = (3, 4, 5, 8, 9, 13, 1716)

UNIVERSITY_TRAIN = (839, 842, 1000)
UNIVERSITY_QUERY = (1, 12, 700)
UNIVERSITY_GALLERY = (1, 2, 12, 700, 1651)


def write_picture(path: Path) -> None:
    """A picture of 12×24 pixels that no other path gets."""
    path.parent.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(zlib.crc32("/".join(path.parts[-3:]).encode()))
    Image.fromarray(generator.integers(0, 256, (24, 12, 3), dtype=np.uint8)).save(path)


def build_viper(root: Path) -> None:
    for place, pid in enumerate(VIPER_PIDS):
        for view, angle in (("cam_a", 45 * (place % 3)), ("cam_b", 45 * (place % 4) + 90)):
            write_picture(root / "viper" / "VIPeR" / view / f"{pid:03d}_{angle}.bmp")


def build_grid(root: Path) -> None:
    folder = root / "grid" / "underground_reid"
    for pid in GRID_PIDS:
        write_picture(folder / "probe" / f"{pid:04d}_{grid_camera(pid)}_25004_107_32_106_221.jpeg")
        write_picture(folder / "gallery" / f"{pid:04d}_{grid_camera(pid) + 1}_25023_116_134_128_330.jpeg")
    for stranger in range(GRID_STRANGERS):
        write_picture(folder / "gallery" / f"0000_{stranger + 3}_2569{stranger}_101_16_87_246.jpeg")
    write_grid_partitions(folder / "features_and_partitions.mat", GRID_TRAIN)


def grid_camera(pid: int) -> int:
    """The camera of a person's probe, from 1; the one of the gallery picture is the next."""
    return pid % 7 + 1


def write_grid_partitions(
    path: Path, training: tuple[tuple[int, ...], ...], field: str = "personIdx"
) -> None:
    """A MATLAB 5 file with what the benchmark's own holds: features, and cells of structs."""
    from scipy.io import savemat

    def cells(partitions: list[tuple[int, ...]]) -> np.ndarray:
        array = np.empty((1, len(partitions)), dtype=object)
        for place, pids in enumerate(partitions):
            array[0, place] = {
                "probeImIdx": np.array([[2 * pid for pid in pids]], np.float64),
                "galleryImIdx": np.array([[2 * pid - 1 for pid in pids]], np.float64),
                field: np.array([pids], np.float64),
            }
        return array

    testing = [tuple(pid for pid in GRID_PIDS if pid not in pids) for pids in training]
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(
        path,
        {
            "ftrset": np.random.default_rng(0).normal(size=(29, 8)),
            "testIdxAll": cells(testing),
            "trainIdxAll": cells(list(training)),
        },
    )


def build_cuhk01(root: Path) -> None:
    for pid in CUHK01_PIDS:
        for picture in range(1, 5):
            write_picture(root / "cuhk01" / "campus" / f"{pid:04d}{picture:03d}.png")


def build_cuhk02(root: Path) -> None:
    for pair, people in CUHK02_PEOPLE.items():
        for camera in ("cam1", "cam2"):
            for person in range(1, people + 1):
                for picture in (1, 2):
                    name = f"{person:03d}_{picture}.png"
                    write_picture(root / "cuhk02" / "Dataset" / pair / camera / name)


def build_cuhksysu(root: Path) -> None:
    for pid, pictures in CUHKSYSU_PICTURES.items():
        for picture in range(pictures):
            name = f"p{pid}_s{16900 + 3 * pid + picture}_{picture + 1}.jpg"
            write_picture(root / "cuhksysu" / "cropped_images" / name)


def build_ilids(root: Path) -> None:
    for pid, pictures in ILIDS_PICTURES.items():
        for picture in range(1, pictures + 1):
            name = f"{pid:04d}{picture:03d}.jpg"
            write_picture(root / "ilids" / "i-LIDS_Pedestrian" / "Persons" / name)


def build_prid(root: Path) -> None:
    folder = root / "prid2011" / "prid_2011" / "single_shot"
    for view, extra in (("cam_a", PRID_ONLY_A), ("cam_b", PRID_ONLY_B)):
        for pid in (*PRID_BOTH, *extra):
            write_picture(folder / view / f"person_{pid:04d}.png")


def build_sensereid(root: Path) -> None:
    for folder, pids in (("test_probe", SENSEREID_QUERY), ("test_gallery", SENSEREID_GALLERY)):
        for pid in pids:
            for camera in (0, 1):
                write_picture(root / "sensereid" / "SenseReID" / folder / f"{pid:05d}_{camera}.jpg")


def build_university1652(root: Path) -> None:
    folder = root / "university1652" / "University-Release"
    for building in UNIVERSITY_TRAIN:
        for number in (1, 2, 3):
            write_picture(folder / "train/drone" / f"{building:04d}" / f"image-{number:02d}.jpeg")
        write_picture(folder / "train/satellite" / f"{building:04d}" / f"{building:04d}.jpg")
        if building != 1000:  # some buildings have no street view
            write_picture(folder / "train/street" / f"{building:04d}" / "1.jpg")
        write_picture(folder / "train/google" / f"{building:04d}" / "noise.jpg")
    for building in UNIVERSITY_QUERY:
        for number in (1, 2):
            write_picture(folder / "test/query_drone" / f"{building:04d}" / f"image-{number:02d}.jpeg")
        write_picture(folder / "test/query_satellite" / f"{building:04d}" / f"{building:04d}.jpg")
    for building in UNIVERSITY_GALLERY:
        write_picture(folder / "test/gallery_satellite" / f"{building:04d}" / f"{building:04d}.jpg")


CLASSES = ("ant", "bee", "cat")


def build_class_folders(root: Path, *, inside: str = "", test: str = "test", numbers: int = 3) -> None:
    """Folders of classes: `numbers` pictures of each to train on, and two to score."""
    for split, count in (("train", numbers), (test, 2)):
        for name in CLASSES:
            for number in range(count):
                write_picture(root / split / name / inside / f"{split}{number}.png")


def build_tiny_imagenet(root: Path) -> None:
    folder = root / "tiny-imagenet-200"
    build_class_folders(folder, inside="images", test="elsewhere")
    lines = []
    for number, name in enumerate(("bee", "ant", "cat", "bee")):
        write_picture(folder / "val" / "images" / f"val_{number}.JPEG")
        lines.append(f"val_{number}.JPEG\t{name}\t0\t0\t9\t9\n")
    (folder / "val" / "val_annotations.txt").write_text("".join(lines))
    (folder / "train" / "ant" / "ant_boxes.txt").touch()


ATTRIBUTES = ("Female", "Hat", "LongCoat")


def build_pa100k(root: Path) -> None:
    """Eight pictures to train on, one to choose by and four to score, with three attributes."""
    from scipy.io import savemat

    folder = root / "PA-100K"
    variables: dict[str, object] = {"attributes": _cells(ATTRIBUTES)}
    number = 0
    for split, count in (("train", 8), ("val", 1), ("test", 4)):
        names = [f"{number + index + 1:06d}.jpg" for index in range(count)]
        for name in names:
            write_picture(folder / "release_data" / "release_data" / name)
        variables[f"{split}_images_name"] = _cells(names)
        variables[f"{split}_label"] = np.array([pa100k_label(int(name[:6])) for name in names], np.uint8)
        number += count
    savemat(folder / "annotation.mat", variables)


def pa100k_label(number: int) -> tuple[int, int, int]:
    """Female every other, a hat every third, a coat those with neither."""
    return (number % 2, int(number % 3 == 0), int(number % 2 == 0 and number % 3 > 0))


def _cells(texts: Sequence[str]) -> np.ndarray:
    cells = np.empty((len(texts), 1), object)
    cells[:, 0] = texts
    return cells
