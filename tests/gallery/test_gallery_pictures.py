"""A gallery that was opened with a model takes files, folders and crops, and embeddings without `model=`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gallery.people import calibration
from omnireid import Embedder, Embeddings, Gallery, Item, ModelRef
from omnireid.core.errors import InputError
from omnireid.core.images import decode
from omnireid.evaluation.calibration import calibration_path
from omnireid.gallery.errors import ModelMismatchError
from omnireid.gallery.field_files import with_fields
from omnireid.gallery.files import SeenFile
from toy_people import stripes_onnx


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file with a calibration beside it."""
    path = stripes_onnx(tmp_path_factory.mktemp("model") / "stripes.onnx", 1.0)
    made_by = Embedder.open(path, threads=1).ref
    calibration(model=made_by._replace(dim=32)).save(calibration_path(path))
    return path


@pytest.fixture
def gallery(model: Path, tmp_path: Path) -> Iterator[Gallery]:
    with Gallery.open(str(tmp_path / "gallery"), model=model) as gallery:
        yield gallery


def test_the_first_program_works(model: Path, toy_root: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.onnx").write_bytes(model.read_bytes())
    calibration_path("model.onnx").write_bytes(calibration_path(model).read_bytes())
    (tmp_path / "crops").mkdir()
    (tmp_path / "crops" / "door").symlink_to(toy_root / "bounding_box_test")
    (tmp_path / "somebody.jpg").symlink_to(toy_root / "query" / "0007_c1s1_000000_00.jpg")

    import omnireid

    people = omnireid.Gallery.open("runs/gallery", model="model.onnx")  # finds the calibration beside it
    people.enrol("crops/door/", camera="door")
    answer = people.search("somebody.jpg")
    decision, name = answer.decision, answer.groups[0].name

    assert decision is not None
    assert name is None
    assert Path(answer.candidates[0].item.source).name.startswith("0007")
    assert {one.item.camera for one in answer.candidates} == {"door"}
    assert all(people.thumbnail(one.item.id) for one in answer.candidates)
    people.close()


def test_every_form_of_a_picture_is_the_same_question(gallery: Gallery, toy_root: Path) -> None:
    files = sorted((toy_root / "bounding_box_test").glob("*.jpg"))
    enrolled = gallery.enrol(files)
    assert len(enrolled.ids) == len(files)
    assert enrolled.is_new.all()
    assert not gallery.enrol([str(file) for file in files]).is_new.any()
    asked = sorted((toy_root / "query").glob("*.jpg"))[0]
    crop = decode(asked)
    assert gallery.embedder is not None
    embedded = gallery.embedder.embed_files(asked)
    scores = [
        [one.score for one in gallery.search(form).candidates]
        for form in (str(asked), asked, crop, Image.fromarray(crop), embedded, embedded[0])
    ]
    bare = gallery.search(embedded.vectors[0], model=embedded.model)
    scores.append([one.score for one in bare.candidates])
    np.testing.assert_allclose(scores, [scores[0]] * len(scores), rtol=0, atol=1e-6)
    tracklets = [
        [one.score for one in gallery.search_tracklet(form).candidates]
        for form in ([asked, asked], np.stack([crop, crop]), gallery.embedder.embed_files([asked, asked]))
    ]
    np.testing.assert_allclose(tracklets, [tracklets[0]] * 3, rtol=0, atol=1e-6)
    with pytest.raises(InputError, match="expected one picture, got 2"):
        gallery.search([asked, asked])


def test_crops_and_embeddings_are_enrolled_with_what_is_known(gallery: Gallery, toy_root: Path) -> None:
    files = sorted((toy_root / "query").glob("*.jpg"))
    crops = [decode(file) for file in files[:3]]
    ids = gallery.enrol([crops[0], Image.fromarray(crops[1])], camera="hall").ids
    assert [gallery.item(name).camera for name in ids] == ["hall", "hall"]
    assert all(gallery.thumbnail(name) for name in ids)
    assert not gallery.enrol(np.stack(crops[:2]), camera="hall").is_new.any()
    assert gallery.embedder is not None
    (of_file,) = gallery.enrol(gallery.embedder.embed_files(files[3]), camera="yard").ids
    assert (gallery.item(of_file).camera, gallery.item(of_file).source) == ("yard", str(files[3]))
    with pytest.raises(InputError, match=r"picture 1: .*holds no pixel"):
        gallery.enrol([crops[0], crops[1][:, :0]])


def test_embeddings_go_in_as_they_were_made(gallery: Gallery) -> None:
    assert gallery.embedder is not None
    rows = np.random.default_rng(0).normal(size=(3, 12)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    items = tuple(Item(key=str(number)) for number in range(3))
    known = Embeddings(rows, items, gallery.embedder.ref, True)
    ids = gallery.enrol(known).ids
    # Normalised again, some would move in their last bit.
    assert [gallery.embedding(name).tobytes() for name in ids] == [row.tobytes() for row in rows]
    other = Embeddings(rows, items, ModelRef("other", "0" * 64, 12), True)
    for act in (gallery.enrol, gallery.search_tracklet):
        with pytest.raises(ModelMismatchError):
            act(other)
    with pytest.raises(ModelMismatchError):
        gallery.enrol(items, known, model=other.model)
    blank = Embeddings(np.zeros((1, 12), np.float32), items[:1], known.model, True)
    with pytest.raises(InputError, match=r"embeddings\[0\]: all zero"):
        gallery.enrol(blank)
    with pytest.raises(InputError, match="bare numbers do not say which model"):
        gallery.search(rows[0])
    with pytest.raises(InputError, match="got Item; items need their embeddings"):
        gallery.enrol([Item()])


def test_without_a_model_pictures_are_refused(toy_root: Path, tmp_path: Path) -> None:
    with Gallery.open(str(tmp_path / "gallery")) as gallery:
        for act in (gallery.enrol, gallery.search):
            with pytest.raises(InputError, match="opened with a model"):
                act(toy_root / "query")


def test_what_is_no_picture_is_named_and_no_picture_is_nothing(gallery: Gallery, tmp_path: Path) -> None:
    added = gallery.enrol([])
    assert (added.ids, added.is_new.tolist()) == ((), [])
    assert gallery.state().items == 0
    with pytest.raises(InputError, match="expected numbers, got object"):
        gallery.search(None)  # type: ignore[arg-type]  # on purpose
    with pytest.raises(InputError, match="expected a file, a name or an Embedder, got int"):
        Gallery.open(str(tmp_path / "other"), model=3)  # type: ignore[arg-type]  # on purpose


def test_a_table_describes_a_picture_under_each_of_its_paths(tmp_path: Path) -> None:
    picture, link = tmp_path / "a.jpg", tmp_path / "b.jpg"
    picture.touch()
    link.symlink_to(picture)
    files = [SeenFile(str(path), Item(camera="door")) for path in (picture, link)]
    described = with_fields(files, {str(picture.resolve()): {"quality": 0.5}})
    assert [(file.path, file.item.quality) for file in described] == [(str(picture), 0.5), (str(link), 0.5)]
    with pytest.raises(InputError, match=r"c\.jpg: not among the pictures"):
        with_fields(files, {str(tmp_path / "c.jpg"): {}})


def test_a_calibration_beside_that_is_of_another_model_is_refused(model: Path, tmp_path: Path) -> None:
    other = stripes_onnx(tmp_path / "other.onnx", 2.0)
    calibration_path(other).write_bytes(calibration_path(model).read_bytes())
    with pytest.raises(InputError, match="not for the model in use"):
        Gallery.open(str(tmp_path / "gallery"), model=other)
    assert not (tmp_path / "gallery").exists()


def test_after_a_move_pictures_are_embedded_by_the_new_model(
    gallery: Gallery, toy_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omnireid.gallery.moving.MAX_AGE_S", 0.0)
    gallery.enrol(toy_root / "query", camera="door")
    new = Embedder.open(stripes_onnx(tmp_path / "new.onnx", 3.0), threads=1)
    assert list(gallery.move_to(new))[-1].is_complete
    assert gallery.embedder is new
    answer = gallery.search(min((toy_root / "query").iterdir()))
    assert answer.model == new.ref
    assert answer.decision is None, "no calibration lies beside the new model"
