"""What version 0.2.0 wrote is taken by this one: a gallery, its backup, embeddings, a calibration, an answer.

The archive was written by the commands of 0.2.0 on drawn people; `answer.json` is what it said to a search.
"""

from __future__ import annotations

import json
import zipfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from omnireid import Embedder, Gallery, read_embeddings
from omnireid.gallery.backup import Backup
from omnireid.gallery.opening import open_store
from omnireid.gallery.restoring import restore


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("before")
    with zipfile.ZipFile(Path(__file__).with_name("left_by_0_2_0.zip")) as archive:
        archive.extractall(folder)
    return folder


def test_a_gallery_of_0_2_0_answers_as_it_did(before: Path) -> None:
    said = json.loads((before / "answer.json").read_text())
    with Gallery.open(str(before / "gallery"), model=before / "stripes.onnx") as people:
        answer = people.search(before / "0001_c1s1_000000_00.jpg")
        assert answer.decision == said["decision"]
        names = [(group.identity, group.name) for group in answer.groups]
        assert names == [(group["identity"], group["name"]) for group in said["groups"]]
        for name in ("score", "probability"):
            found = [getattr(group, name) for group in answer.groups]
            assert found == pytest.approx([group[name] for group in said["groups"]], abs=1e-5)
        assert people.identity("pid-3").name == "Ada"


def test_a_backup_of_0_2_0_is_restored(before: Path, tmp_path: Path) -> None:
    with closing(open_store(str(tmp_path / "gallery"))) as store:
        restore(Backup(before / "backup"), store)
    with Gallery.open(str(tmp_path / "gallery")) as restored, Gallery.open(str(before / "gallery")) as people:
        assert sorted(restored.items(), key=lambda item: item.id) == sorted(
            people.items(), key=lambda item: item.id
        )
        assert restored.identity("pid-3").name == "Ada"


def test_embeddings_of_0_2_0_are_those_of_today(before: Path) -> None:
    parquet, packed = (read_embeddings(before / name) for name in ("query.parquet", "query.npz"))
    assert np.array_equal(parquet.vectors, packed.vectors)
    picture = before / "0001_c1s1_000000_00.jpg"
    anew = Embedder.open(before / "stripes.onnx").embed_files([picture])
    assert anew.model == parquet.model
    (row,) = [row for row, path in enumerate(parquet.paths) if Path(path).name == picture.name]
    assert np.allclose(anew.vectors[0], parquet.vectors[row], atol=1e-5)
