"""PA-100K's annotations, and attributes in manifests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.io import loadmat, savemat

from data.miniatures_small import ATTRIBUTES, build_pa100k, pa100k_label
from omnireid.core.errors import DatasetError
from omnireid.core.options import Protocol
from omnireid.data.datasets import read_dataset


def test_every_picture_has_its_attributes(tmp_path: Path) -> None:
    build_pa100k(tmp_path)
    data = read_dataset("pa100k", tmp_path, check_counts=False)
    assert (data.protocol, data.attributes) == (Protocol.ATTRIBUTES, ATTRIBUTES)
    assert [sample.pid for sample in data.train] == list(range(1, 9))
    assert [sample.pid for sample in data.query] == [10, 11, 12, 13]
    for sample in (*data.train, *data.query):
        assert sample.attributes == pa100k_label(sample.pid)
        assert Path(sample.path).name == f"{sample.pid:06d}.jpg"
        assert Path(sample.path).is_file()


def spoil(name: str, value: object) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        variables = {key: item for key, item in loadmat(path).items() if not key.startswith("__")}
        savemat(path, {**variables, name: value})

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            spoil("test_label", np.zeros((4, 2))),
            r"test_label has shape \(4, 2\) .* expected \(4, 3\) of 0 and 1",
        ),
        (spoil("train_label", np.full((8, 3), 2)), r"train_label .* values \[2\] "),
        (spoil("attributes", np.zeros((3, 1))), "attributes is no list of texts"),
        (spoil("test_images_name", np.array([["a.jpg"]] * 4, object)), "test_images_name holds 'a.jpg'"),
    ],
)
def test_annotations_of_another_form_are_named(
    tmp_path: Path, change: Callable[[Path], None], message: str
) -> None:
    build_pa100k(tmp_path)
    change(tmp_path / "PA-100K" / "annotation.mat")
    with pytest.raises(DatasetError, match=message):
        read_dataset("pa100k", tmp_path, check_counts=False)


def test_the_folder_of_the_pictures_is_named(tmp_path: Path) -> None:
    build_pa100k(tmp_path)
    (tmp_path / "PA-100K" / "release_data").rename(tmp_path / "PA-100K" / "pictures")
    with pytest.raises(DatasetError, match="no folder data or release_data with pictures"):
        read_dataset("pa100k", tmp_path, check_counts=False)


def test_a_manifest_takes_attributes_as_text(tmp_path: Path) -> None:
    lines = ["path,pid,camid,split,attributes", "a.jpg,1,0,query,01", "b.jpg,2,0,train,"]
    (tmp_path / "x.csv").write_text("\n".join(lines))
    data = read_dataset("manifest", tmp_path / "x.csv", protocol=Protocol.ATTRIBUTES)
    assert [sample.attributes for sample in (*data.query, *data.train)] == [(0, 1), ()]
    (tmp_path / "x.csv").write_text("\n".join([*lines, "c.jpg,3,0,train,0.5"]))
    with pytest.raises(DatasetError, match=r"line 4, column 'attributes': expected a 1 or 0 for each"):
        read_dataset("manifest", tmp_path / "x.csv")
    columns = {"path": ["a.jpg"], "pid": [1], "camid": [0], "split": ["query"]}
    pq.write_table(pa.table({**columns, "attributes": [1]}), tmp_path / "x.parquet")
    with pytest.raises(DatasetError, match=r"column 'attributes': .*, as text, got 1"):
        read_dataset("manifest", tmp_path / "x.parquet")
