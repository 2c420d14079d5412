"""Folders of classes, and CIFAR's binary version."""

from __future__ import annotations

import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.miniatures_small import CLASSES, build_class_folders, build_tiny_imagenet, write_picture
from omnireid.core.errors import DatasetError
from omnireid.core.options import Protocol
from omnireid.core.types import Split
from omnireid.data.datasets import read_dataset


def relative(split: Split, root: Path) -> list[tuple[str, int]]:
    return [(Path(sample.path).relative_to(root).as_posix(), sample.pid) for sample in split]


def test_classes_are_pids_and_the_gallery_has_one_item_for_each(tmp_path: Path) -> None:
    build_class_folders(tmp_path)
    (tmp_path / "train" / "ant" / "words.txt").touch()
    data = read_dataset("class-folders", tmp_path)
    assert data.protocol is Protocol.CLASSES
    train = [
        (f"train/{name}/train{number}.png", pid) for pid, name in enumerate(CLASSES, 1) for number in range(3)
    ]
    assert relative(data.train, tmp_path) == train
    assert relative(data.query, tmp_path)[2:4] == [("test/bee/test0.png", 2), ("test/bee/test1.png", 2)]
    assert relative(data.gallery, tmp_path) == train[::3]
    assert data.pid_names == dict(enumerate(CLASSES, 1))
    assert [Path(file.path).name for file in data.skipped] == ["words.txt"]


def test_a_class_may_be_a_link_but_a_link_to_a_folder_above_has_no_end(tmp_path: Path) -> None:
    build_class_folders(tmp_path)
    (tmp_path / "train" / "bee").rename(tmp_path / "elsewhere")
    (tmp_path / "train" / "bee").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "train" / "ant" / "up").symlink_to(tmp_path / "train")
    data = read_dataset("class-folders", tmp_path)
    assert len(data.train) == 3 * len(CLASSES)
    assert [Path(file.path).name for file in data.skipped] == ["up"]


def test_the_first_folder_with_the_classes_is_scored(tmp_path: Path) -> None:
    build_class_folders(tmp_path, test="val")
    write_picture(tmp_path / "test" / "images" / "unlabelled.png")
    assert relative(read_dataset("class-folders", tmp_path).query, tmp_path)[0] == ("val/ant/val0.png", 1)


def test_tiny_imagenets_list_labels_its_pictures(tmp_path: Path) -> None:
    build_tiny_imagenet(tmp_path)
    data = read_dataset("tiny-imagenet", tmp_path, check_counts=False)
    root = Path(data.root)
    expected = {"val_0.JPEG": 2, "val_1.JPEG": 1, "val_2.JPEG": 3, "val_3.JPEG": 2}
    assert dict(relative(data.query, root / "val" / "images")) == expected
    assert data.skipped == ()
    labels = root / "val" / "val_annotations.txt"
    labels.write_text(labels.read_text().replace("cat", "cow"))
    with pytest.raises(DatasetError, match=r"val_annotations.txt, line 3: cow is no class of train"):
        read_dataset("tiny-imagenet", tmp_path, check_counts=False)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: (root / "train").rename(root / "learn"), "no folder of a class with pictures"),
        (lambda root: (root / "test").rename(root / "exam"), "none of test, val, validation has folders"),
        (lambda root: write_picture(root / "test" / "cow" / "1.png"), "a class without pictures in train"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, spoil: object, message: str) -> None:
    build_class_folders(tmp_path)
    spoil(tmp_path)  # type: ignore[operator]
    with pytest.raises(DatasetError, match=message):
        read_dataset("class-folders", tmp_path)


def write_cifar10(root: Path) -> tuple[np.ndarray, np.ndarray]:
    """The official archive with two rows a batch; gives labels and pictures, (12,) and (12, 32, 32, 3)."""
    folder = root / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    generator = np.random.default_rng(1)
    labels = np.append(generator.permutation(10), (3, 8)).astype(np.uint8)
    pictures = generator.integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
    names = [f"class{number}" for number in range(10)]
    (folder / "batches.meta.txt").write_text("\n".join(names) + "\n\n")
    files = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
    for index, name in enumerate(files):
        rows = slice(2 * index, 2 * index + 2)
        planes = [
            bytes([label]) + b"".join(picture[:, :, channel].tobytes() for channel in range(3))
            for label, picture in zip(labels[rows].tolist(), pictures[rows], strict=True)
        ]
        (folder / name).write_bytes(b"".join(planes))
    return labels, pictures


def test_cifars_binary_version_becomes_folders(tmp_path: Path) -> None:
    labels, pictures = write_cifar10(tmp_path / "packed")
    with tarfile.open(tmp_path / "cifar-10-binary.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "packed" / "cifar-10-batches-bin", "cifar-10-batches-bin")
    with pytest.raises(DatasetError, match="--extract"):
        read_dataset("cifar10", tmp_path, check_counts=False)
    data = read_dataset("cifar10", tmp_path, check_counts=False, extract=True)
    assert data.root == str(tmp_path / "cifar10")
    shown = {(sample.path, data.pid_names[sample.pid]) for sample in (*data.train, *data.query)}
    assert len(shown) == 12
    for index, (label, picture) in enumerate(zip(labels.tolist(), pictures, strict=True)):
        split, number = ("train", index) if index < 10 else ("test", index - 10)
        path = tmp_path / "cifar10" / split / f"class{label}" / f"{number:05d}.png"
        assert (str(path), f"class{label}") in shown
        assert np.array_equal(np.asarray(Image.open(path)), picture)


def test_cifars_archive_may_lie_in_the_folder_of_the_dataset(tmp_path: Path) -> None:
    write_cifar10(tmp_path / "cifar10")
    for _ in range(2):
        data = read_dataset("cifar10", tmp_path, check_counts=False, extract=True)
        assert data.root == str(tmp_path / "cifar10" / "pictures")
        assert len(data.train) == 10


def test_cifar100_goes_by_its_fine_labels(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-100-binary"
    folder.mkdir()
    (folder / "fine_label_names.txt").write_text("apple\nbear\n")
    rows = [bytes([coarse, fine]) + bytes(3072) for coarse, fine in ((7, 0), (3, 1))]
    (folder / "train.bin").write_bytes(rows[0] + rows[1])
    (folder / "test.bin").write_bytes(rows[1])
    data = read_dataset("cifar100", tmp_path, check_counts=False, extract=True)
    assert relative(data.query, tmp_path / "cifar100") == [("test/bear/00000.png", 2)]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("test_batch.bin", bytes(3072), "3,072 bytes are no whole rows of 3,073"),
        ("test_batch.bin", b"\x0a" + bytes(3072), "a label 10, where there are 10 classes"),
        ("data_batch_3.bin", None, "data_batch_3.bin: cannot be read"),
        ("batches.meta.txt", b"../../ant\nbee", "batches.meta.txt: no list of classes"),
        ("batches.meta.txt", b"ant\nbee\nant", "batches.meta.txt: no list of classes"),
    ],
)
def test_damaged_binaries_are_named_and_nothing_is_left(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    write_cifar10(tmp_path)
    file = tmp_path / "cifar-10-batches-bin" / name
    file.unlink() if content is None else file.write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        read_dataset("cifar10", tmp_path, check_counts=False, extract=True)
    assert [path.name for path in tmp_path.iterdir()] == ["cifar-10-batches-bin"]


class Spy:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return pytest.fail, ("a pickle was read",)


def test_the_python_version_is_never_read(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "data_batch_1").write_bytes(pickle.dumps(Spy()))
    with pytest.raises(DatasetError, match=r"cifar-10-batches-bin/\*\.bin"):
        read_dataset("cifar10", tmp_path, check_counts=False, extract=True)
