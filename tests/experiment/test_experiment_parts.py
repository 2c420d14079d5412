"""Folders of parts: gone on with, never made twice, equal to one file."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from command_line import Run
from omnireid.core.errors import ImageError, InputError
from omnireid.core.types import Sample
from omnireid.data.loading import Reading
from omnireid.experiment.embedding import Embedded, embed
from omnireid.experiment.options import Parts, Workers
from omnireid.experiment.plan import Plan
from omnireid.inference.options import Engine
from omnireid.inference.sources import collect_samples
from omnireid.inference.storage import PLAN, read_card, read_embeddings
from toy_people import stripes_onnx, write_toy_people

ENGINE = Engine(batch_size=4)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stripes_onnx(tmp_path_factory.mktemp("models") / "stripes.onnx", 1.0)


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """24 pictures."""
    return write_toy_people(tmp_path / "people", num_train=2, num_test=2)


def into(out: Path, people: Path, model: Path, *, rows: int = 8, gallery: str | None = None) -> Embedded:
    return embed(str(people), model, out, engine=ENGINE, parts=Parts(rows, gallery=gallery))


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("part-*")}


def test_parts_together_are_the_one_file(tmp_path: Path, people: Path, model: Path) -> None:
    # Nine rows are two whole batches of four: batches hold what they hold in one file.
    done = into(tmp_path / "parts", people, model, rows=9)
    assert (done.count, done.before) == (24, 0)
    plan = Plan.read(tmp_path / "parts")
    assert plan is not None
    assert list(plan.sizes.values()) == [8, 8, 8]
    assert times(tmp_path / "parts").keys() == plan.sizes.keys()
    embed(str(people), model, tmp_path / "one.parquet", engine=ENGINE)
    parts, one = read_embeddings(tmp_path / "parts"), read_embeddings(tmp_path / "one.parquet")
    assert np.array_equal(parts.vectors, one.vectors)
    assert list(parts.of) == list(one.of)
    assert (parts.model, parts.is_unit) == (one.model, one.is_unit)
    assert read_card(tmp_path / "parts") == read_card(tmp_path / "one.parquet")


def test_other_readers_of_parquet_see_the_rows_and_not_the_plan(
    tmp_path: Path, people: Path, model: Path
) -> None:
    import pyarrow.dataset

    into(tmp_path / "parts", people, model)
    assert pyarrow.dataset.dataset(tmp_path / "parts").count_rows() == 24


def test_a_lancedb_table_in_one_commit_and_embedded_again(tmp_path: Path, people: Path, model: Path) -> None:
    """What docs/guides/embedding/parts.md shows."""
    import lancedb
    import pyarrow.dataset

    into(tmp_path / "parts", people, model)
    rows = pyarrow.dataset.dataset(tmp_path / "parts").to_batches()
    schema = pyarrow.dataset.dataset(tmp_path / "parts").schema
    table = lancedb.connect(tmp_path / "db").create_table("people", rows, schema=schema, mode="overwrite")
    assert (table.count_rows(), table.version) == (24, 1)
    assert collect_samples(tmp_path / "db" / "people.lance") == collect_samples(people)
    with pytest.raises(InputError, match=r"absent\.lance: not a LanceDB table"):
        collect_samples(tmp_path / "db" / "absent.lance")


def test_what_is_there_stays_and_what_is_missing_is_made(tmp_path: Path, people: Path, model: Path) -> None:
    out = tmp_path / "parts"
    into(out, people, model)
    whole, first = read_embeddings(out), times(out)
    name = sorted(first)[1]
    (out / name).unlink()
    with pytest.raises(InputError, match=rf"1 of 3 parts are not there yet \({name}\)"):
        read_embeddings(out)
    done = into(out, people, model)
    assert (done.count, done.before) == (8, 16)
    assert times(out).keys() == first.keys()
    assert {part for part, time in times(out).items() if time != first[part]} == {name}
    assert np.array_equal(read_embeddings(out).vectors, whole.vectors)


def test_new_pictures_are_taken_up_and_lost_ones_stay(tmp_path: Path, people: Path, model: Path) -> None:
    out = tmp_path / "parts"
    into(out, people, model)
    before, first = read_embeddings(out), times(out)
    picture = next(people.glob("query/*.jpg"))
    shutil.copy(picture, people / "new.jpg")
    picture.unlink()
    done = into(out, people, model)
    assert (done.count, done.before) == (1, 24)
    assert {part: times(out)[part] for part in first} == first
    after = read_embeddings(out)
    assert list(after.of) == [*before.of, Sample(str(people / "new.jpg"), -1, -1)]
    assert np.array_equal(after.vectors[-1], before.vectors[before.paths.index(str(picture))])
    assert into(out, people, model).count == 0


def test_a_picture_that_stops_the_work_can_be_left_out_afterwards(
    tmp_path: Path, people: Path, model: Path
) -> None:
    out = tmp_path / "parts"
    bad = sorted(people.rglob("*.jpg"))[10]
    bad.write_bytes(b"no picture")
    with pytest.raises(ImageError, match=bad.name):
        into(out, people, model)
    first = times(out)
    assert len(first) == 1
    done = embed(str(people), model, out, engine=ENGINE, parts=Parts(8), reading=Reading(on_bad="skip"))
    assert (done.count, done.before) == (15, 8)
    assert [file.path for file in done.skipped] == [str(bad)]
    assert times(out).items() >= first.items()
    assert len(read_embeddings(out)) == 23


def test_other_options_another_folder(tmp_path: Path, people: Path, model: Path, omnireid: Run) -> None:
    out, first = tmp_path / "parts", ["embed", people, "--model", model, "--out", tmp_path / "parts"]
    assert omnireid(*first).code == 0
    other = stripes_onnx(tmp_path / "other.onnx", 2.0)
    for change, said in (
        (["--model", other], "was begun with model stripes ("),
        (["--raw"], "was begun with normalised True, not False"),
        (["--backend", "onnx"], "was begun with backend auto, not onnx"),
        (["--gallery", tmp_path / "gallery"], "was begun with gallery None"),
    ):
        refused = omnireid(*first, *change)
        assert refused.code == 2
        assert said in refused.err
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").touch()
    with pytest.raises(InputError, match="holds something else"):
        into(tmp_path / "full", people, model)
    (out / PLAN).write_bytes(b"PAR1")
    with pytest.raises(InputError, match="not a plan of OmniReID"):
        into(out, people, model)
    with pytest.raises(InputError, match=f"no embeddings of OmniReID, its {PLAN} is missing"):
        read_embeddings(people)


def test_a_label_that_changed_is_no_second_picture(tmp_path: Path, people: Path, model: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = sorted(str(path.relative_to(tmp_path)) for path in people.rglob("*.jpg"))
    table = tmp_path / "list.parquet"
    for pid in (1, 2):
        pq.write_table(pa.table({"path": names, "pid": [pid] * len(names)}), table)
        if pid == 1:
            into(tmp_path / "parts", table, model)
    assert {sample.pid for sample in read_embeddings(tmp_path / "parts").of} == {1}
    with pytest.raises(InputError, match="planned with another pid"):
        into(tmp_path / "parts", table, model)


def test_a_gallery_takes_each_picture_once(tmp_path: Path, people: Path, model: Path) -> None:
    from omnireid.gallery.gallery import Gallery

    out, gallery = tmp_path / "parts", str(tmp_path / "gallery")
    into(out, people, model, gallery=gallery)
    # Killed after a part was enrolled, and before that was noted.
    sorted(out.glob("part-*.json"))[1].unlink()
    assert into(out, people, model, gallery=gallery).count == 8
    with Gallery.open(gallery) as opened:
        assert len(opened.items()) == 24


def test_a_part_is_named_by_what_decides_it(tmp_path: Path) -> None:
    def names(facts: dict[str, str], *samples: Sample) -> set[str]:
        return set(Plan(tmp_path, facts).with_more(samples, 1, ".parquet").sizes)

    first, second = Sample("a.jpg", -1, -1), Sample("b.jpg", -1, -1)
    both = names({"model": "x"}, first, second)
    assert names({"model": "x"}, first, second) == both
    assert not both & names({"model": "y"}, first, second)
    assert not both & names({"model": "x"}, second, first)
    # What embeddings do not carry makes no second picture.
    dressed = [Sample("a.jpg", 1, 0, attributes=(0, 1))]
    plan = Plan(tmp_path, {}).with_more(dressed, 1, ".parquet")
    assert plan.with_more(dressed, 1, ".parquet").sizes == plan.sizes


def test_without_ray_the_extra_is_named(
    tmp_path: Path, people: Path, model: Path, omnireid: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    refused = omnireid("embed", people, "--model", model, "--out", tmp_path / "parts", "--engine", "ray")
    assert refused.code == 2
    assert "pip install 'omnireid[ray]'" in refused.err


def test_no_cluster_there_is_said(tmp_path: Path, people: Path, model: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed (pip install 'omnireid[ray]')")
    for address in ("127.0.0.1:1", "head"):
        parts = Parts(workers=Workers("ray", address))
        with pytest.raises(InputError, match=f"--address {address}: no Ray cluster answers there"):
            embed(str(people), model, tmp_path / "parts", engine=ENGINE, parts=parts)


def test_what_a_cluster_does_not_do_is_said(tmp_path: Path, people: Path, omnireid: Run) -> None:
    for options, said in (
        (["--out", "one.parquet", "--engine", "ray"], "a folder of parts has no suffix"),
        (["--out", "one.parquet", "--part-rows", "5"], "a folder of parts has no suffix"),
        (["--out", "parts", "--workers", "2"], "no effect without --engine ray"),
    ):
        refused = omnireid("embed", people, *options)
        assert refused.code == 2
        assert said in refused.err
    with pytest.raises(InputError, match="give a folder"):
        embed(str(people), "absent", "one.npz", parts=Parts(workers=Workers(where="ray")))
