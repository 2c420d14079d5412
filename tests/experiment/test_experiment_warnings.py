"""What an evaluation says of its own figures: in the terminal, and in the record."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from omnireid import Embedder, QueryExpansion, Reranking
from omnireid.core.errors import InputError
from omnireid.core.options import Protocol
from omnireid.core.record import ResultRecord
from omnireid.core.types import Embeddings
from omnireid.data.datasets import read_dataset
from omnireid.evaluation.copies import find_copies
from omnireid.evaluation.options import Ranking
from omnireid.experiment.evaluation import evaluate_model
from toy_people import write_toy_people

torch = pytest.importorskip("torch")


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Four people, a query and a gallery picture of each in two cameras."""
    return write_toy_people(tmp_path / "people", num_train=0, num_test=4, per_camera=2)


def evaluated(embedder: Embedder, root: Path, **reading: Any) -> tuple[ResultRecord, str]:
    stream = io.StringIO()
    data = read_dataset("market-layout", root, **reading)
    console = Console(file=stream, width=1000)
    record = evaluate_model(embedder, data, on_bad="skip", console=console).record
    return ResultRecord.model_validate_json(record.model_dump_json()), stream.getvalue()


def test_sound_data_says_nothing(embedder: Embedder, people: Path) -> None:
    record, said = evaluated(embedder, people)
    assert record.warnings == ()
    assert "warning" not in said


def test_files_that_were_not_taken_are_counted_in_the_record(embedder: Embedder, people: Path) -> None:
    for picture in sorted((people / "query").iterdir())[:3]:
        picture.rename(picture.with_name("cA_" + picture.name))
    (people / "bounding_box_test/-1_c1.jpg").touch()
    record, _ = evaluated(embedder, people)
    assert record.dataset.not_taken == {"the name is not <pid>_c<camera>…": 3, "junk (pid −1)": 1}
    assert record.warnings[0].startswith("3 files were not taken, e.g. ")


def test_queries_without_a_match_are_counted_aloud(embedder: Embedder, people: Path) -> None:
    # Pictures that cannot be decoded any more: of person 1 in camera 2, of person 2 in camera 1.
    for name in ("0001_c2s1_000001_00", "0002_c1s1_000001_00"):
        (people / f"bounding_box_test/{name}.jpg").write_bytes(b"")
    record, said = evaluated(embedder, people)
    assert record.protocol.num_valid_queries == 6
    warning = (
        "market-layout: 2 of 8 queries have no match from another camera; the means are over the other 6"
    )
    assert record.warnings == (warning,)
    assert f"warning: {warning}" in said


def test_copies_of_queries_in_the_gallery_are_found(embedder: Embedder, people: Path) -> None:
    copied = sorted((people / "query").iterdir())[:3]
    for picture in copied:
        shutil.copy(picture, people / "bounding_box_test" / picture.name)
    # Of the query's own camera: junk by the usual protocol, a match without cameras.
    assert evaluated(embedder, people)[0].warnings == ()
    record, said = evaluated(embedder, people, protocol="no-camera")
    (warning,) = record.warnings
    assert "3 of 8 queries have an exact copy in the gallery" in warning
    assert copied[0].name in warning
    assert warning in said


def test_a_query_in_the_gallery_under_its_own_name_is_no_copy(embedder: Embedder, tmp_path: Path) -> None:
    for number in range(4):
        path = tmp_path / f"{number // 2}/{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (32, 16, 3), np.uint8)).save(path)
    data = read_dataset("folder-per-person", tmp_path)
    assert evaluate_model(embedder, data).record.warnings == ()


def test_copies_are_matches_with_equal_embeddings() -> None:
    rows = np.random.default_rng(0).normal(size=(6, 16)).astype(np.float32)

    def embedded(rows: np.ndarray, pids: list[int], camids: list[int], name: str) -> Embeddings:
        paths = tuple(f"{name}{number}" for number in range(len(rows)))
        return Embeddings.from_arrays(rows, np.array(pids), np.array(camids), paths)

    query = embedded(rows[:4], [1, 1, 2, 3], [0, 0, 0, 0], "q")
    # By hand: item 0 is query 0 in another camera, item 1 query 1 in its own, item 2 query 2 as somebody
    # else, item 3 query 3 up to its last bits, item 4 only near query 3.
    items = np.stack([rows[0], rows[1], rows[2], rows[3] * np.float32(1 + 1e-6), rows[3] * np.float32(1.01)])
    gallery = embedded(items, [1, 1, 9, 3, 3], [1, 0, 1, 1, 1], "g")
    assert find_copies(query, gallery, Protocol.MARKET1501).tolist() == [[0, 0], [3, 3]]
    assert find_copies(query, gallery, Protocol.NO_CAMERA).tolist() == [[0, 0], [1, 1], [3, 3]]


def test_deep_pictures_that_are_nearly_black_stand_in_the_record(embedder: Embedder, people: Path) -> None:
    for picture in [*(people / "query").iterdir(), *(people / "bounding_box_test").iterdir()]:
        grey = np.asarray(Image.open(picture).convert("L"), np.uint16)
        Image.fromarray(grey * 16).save(picture.with_suffix(".png"))
        picture.unlink()
    with pytest.warns(UserWarning, match=r"values 0 to [0-9,]+ of 65,535: nearly black"):
        record, _ = evaluated(embedder, people)
    assert "of 65,535: nearly black" in record.warnings[0]


def test_what_ranking_cannot_do_is_refused_before_anything_is_embedded(
    embedder: Embedder, people: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = read_dataset("market-layout", people)
    monkeypatch.setattr(Embedder, "embed_samples", None)
    with pytest.raises(InputError, match="--normalise"):
        evaluate_model(embedder, data, ranking=Ranking(expansion=QueryExpansion(2)))
    embedder.normalise = True
    with pytest.raises(InputError, match="between 1 and the 8 gallery rows, got 9"):
        evaluate_model(embedder, data, ranking=Ranking(expansion=QueryExpansion(9)))
    with pytest.raises(InputError, match="needs at least 20 pictures in query and gallery together, got 16"):
        evaluate_model(embedder, data, ranking=Ranking(reranking=Reranking()))


def test_names_of_people_and_cameras_stand_in_the_record(embedder: Embedder, people: Path) -> None:
    names = {"0001": "anna", "0002": "ben", "0003": "cleo", "0004": "dan"}
    for folder in ("query", "bounding_box_test"):
        for picture in sorted((people / folder).iterdir()):
            pid, camera, *rest = picture.name.split("_")
            letter = {"c1s1": "cam-gate", "c2s1": "cB"}[camera]
            picture.rename(picture.with_name("_".join([names[pid], letter, *rest])))
    record, _ = evaluated(embedder, people)
    assert record.dataset.pid_names == {1: "anna", 2: "ben", 3: "cleo", 4: "dan"}
    assert record.dataset.camera_names == {0: "B", 1: "gate"}
    assert record.protocol.num_valid_queries == 8
