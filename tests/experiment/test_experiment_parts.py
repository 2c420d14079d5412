"""Folders of parts: gone on with, never made twice, equal to one file."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from command_line import Run
from omnireid.core.errors import ImageError, InputError, StorageError
from omnireid.core.types import Sample
from omnireid.data.loading import Reading
from omnireid.experiment.embedding import Embedded, _open_worker, embed
from omnireid.experiment.options import Parts, Workers
from omnireid.experiment.plan import Plan, make_plan
from omnireid.experiment.workers import Do, _shares, shares_at_once
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
    assert len(collect_samples(f"{tmp_path}/db/people.lance/")) == 24
    with pytest.raises(InputError, match=r"absent\.lance: no such LanceDB table"):
        collect_samples(tmp_path / "absent" / "absent.lance")
    assert not (tmp_path / "absent").exists()


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


def test_a_worker_makes_no_part_twice_and_refuses_another_model_and_another_folder(
    tmp_path: Path, people: Path, model: Path
) -> None:
    """A worker that is killed after its part was there is given that part once more."""
    out = tmp_path / "parts"
    into(out, people, model)
    first, name = times(out), sorted(times(out))[0]
    assert _open_worker(out, str(model), True, ENGINE, "error", Parts())(name) == {"count": 8, "skipped": []}
    assert times(out) == first
    other = stripes_onnx(tmp_path / "other.onnx", 2.0)
    with pytest.raises(InputError, match=r"other\.onnx: another model on "):
        _open_worker(out, str(other), True, ENGINE, "error", Parts())
    with pytest.raises(InputError, match="all machines of the cluster must see it"):
        _open_worker(tmp_path / "absent", str(model), True, ENGINE, "error", Parts())


def test_less_than_a_batch_is_a_batch_and_names_of_pictures_are_absolute(
    tmp_path: Path, people: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    embed("people", model, "parts", engine=ENGINE, parts=Parts(1))
    plan = Plan.read(tmp_path / "parts")
    assert plan is not None
    assert list(plan.sizes.values()) == [4] * 6
    assert list(plan.samples.paths) == sorted(map(str, people.rglob("*.jpg")))


@pytest.mark.parametrize(
    ("workers", "machines", "expected"),
    [
        (Workers("ray"), [{"CPU": 8.0}, {"CPU": 4.0}, {"memory": 1e9}], (3, 4)),
        (Workers("ray", cpus=2), [{"CPU": 8.0}, {"CPU": 4.0}], (6, 2)),
        (Workers("ray", count=5), [{"CPU": 8.0}], (5, 8)),
        (Workers("ray", gpus=1), [{"CPU": 16.0, "GPU": 4.0}, {"CPU": 8.0}], (4, 4)),
        (Workers("ray", gpus=2, cpus=3), [{"CPU": 16.0, "GPU": 4.0}, {"CPU": 8.0, "GPU": 3.0}], (3, 3)),
        (Workers("ray", gpus=1), [{"CPU": 8.0}], "no machine of the cluster has a GPU"),
        (Workers("ray"), [{"memory": 1e9}], "no machine with a processor"),
    ],
)
def test_workers_fill_the_machines_of_a_cluster(
    monkeypatch: pytest.MonkeyPatch,
    workers: Workers,
    machines: list[dict[str, float]],
    expected: tuple[int, int] | str,
) -> None:
    machines_are(monkeypatch, machines)
    if isinstance(expected, str):
        with pytest.raises(InputError, match=expected):
            _shares(workers)
    else:
        assert _shares(workers) == expected


def machines_are(monkeypatch: pytest.MonkeyPatch, machines: list[dict[str, float]]) -> None:
    """Let a cluster have these machines, and one that has gone."""
    nodes = [{"Alive": True, "Resources": machine} for machine in machines]
    nodes.append({"Alive": False, "Resources": {"CPU": 1.0, "GPU": 8.0}})
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(nodes=lambda: nodes))


@pytest.mark.parametrize(
    ("workers", "expected"),
    [
        (Workers("ray"), (3, 4)),
        (Workers("ray", count=2), (2, 4)),
        (Workers("ray", count=5), (5, 2)),
        (Workers("ray", gpus=1), (4, 2)),
        (Workers("ray", gpus=1, count=2, cpus=4), (2, 4)),
        (Workers("ray", count=13), "room for 12 at once"),
        (Workers("ray", count=4, cpus=4), "room for 3 at once"),
        (Workers("ray", gpus=1, count=5), "room for 4 at once"),
    ],
)
def test_workers_that_wait_for_each_other_have_room_all_at_once(
    monkeypatch: pytest.MonkeyPatch, workers: Workers, expected: tuple[int, int] | str
) -> None:
    machines_are(monkeypatch, [{"CPU": 8.0, "GPU": 4.0}, {"CPU": 4.0}])
    if isinstance(expected, str):
        with pytest.raises(InputError, match=expected):
            shares_at_once(workers)
    else:
        assert shares_at_once(workers) == expected


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
    for use in (lambda: into(out, people, model), lambda: read_embeddings(out)):
        with pytest.raises(InputError, match="not a plan of OmniReID"):
            use()
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
    with pytest.raises(InputError, match="parts: its pictures were enrolled in a gallery"):
        read_embeddings(out)


def test_an_empty_gallery_is_not_taken_for_one_that_holds_the_parts(
    tmp_path: Path, people: Path, model: Path
) -> None:
    out, gallery = tmp_path / "parts", tmp_path / "gallery"
    into(out, people, model, gallery=str(gallery))
    shutil.rmtree(gallery)
    with pytest.raises(InputError, match="24 of these pictures are enrolled"):
        into(out, people, model, gallery=str(gallery))


def test_commands_that_begin_at_once_lose_nothing_of_each_other_s_plan(tmp_path: Path) -> None:
    def begin(number: int) -> Plan:
        return make_plan(tmp_path / "parts", [Sample(f"{number}.jpg", -1, -1)], {}, rows=1)

    with ThreadPoolExecutor(8) as pool:
        plans = list(pool.map(begin, range(24)))
    whole = Plan.read(tmp_path / "parts")
    assert whole is not None
    assert sorted(whole.samples.paths) == sorted(f"{number}.jpg" for number in range(24))
    assert whole.sizes.keys() == {name for plan in plans for name in plan.sizes}


def test_a_gallery_is_the_same_from_wherever_a_worker_sees_it_and_who_enrols_is_told(
    tmp_path: Path, people: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from omnireid.gallery.gallery import Gallery

    (tmp_path / "elsewhere").mkdir()
    seen: list[Parts] = []

    def on_ray(open_worker: Callable[[], Do], tasks: Sequence[str], workers: Workers) -> Iterator[Any]:
        seen.append(open_worker.args[-1])  # type: ignore[attr-defined]
        # Ray's workers have the working folder of whoever started the cluster.
        monkeypatch.chdir(tmp_path / "elsewhere")
        return map(open_worker(), tasks)

    monkeypatch.setattr("omnireid.experiment.embedding.do_on_ray", on_ray)
    monkeypatch.chdir(tmp_path)
    parts = Parts(8, Workers("ray"), "gallery", "alice")
    done = embed("people", os.path.relpath(model), "parts", engine=ENGINE, parts=parts)
    assert (done.count, done.where) == (24, str(tmp_path / "gallery"))
    with Gallery.open(str(tmp_path / "gallery")) as opened:
        assert len(opened.items()) == 24
        assert {entry.actor for entry in opened.audit() if entry.action == "enrol"} == {"alice"}
    # Where all is done, nobody asks for a cluster.
    monkeypatch.chdir(tmp_path)
    assert embed("people", model, "parts", engine=ENGINE, parts=parts).before == 24
    assert len(seen) == 1


def test_no_token_is_written_down(tmp_path: Path, people: Path, model: Path) -> None:
    uri = "http://user:secret@127.0.0.1:1/site"
    with pytest.raises(StorageError):
        into(tmp_path / "parts", people, model, gallery=uri)
    plan = Plan.read(tmp_path / "parts")
    assert plan is not None
    assert plan.facts["gallery"] == "http://127.0.0.1:1/site"
    assert b"secret" not in (tmp_path / "parts" / PLAN).read_bytes()


def test_a_plan_whose_writer_was_killed_does_not_stand_in_the_way(
    tmp_path: Path, people: Path, model: Path
) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "._plan.parquet.abcdefgh.tmp").write_bytes(b"PAR1")
    assert into(tmp_path / "parts", people, model).count == 24


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
        (["--out", "parts", "--gallery", "g", "--raw"], "--raw: no effect with --gallery"),
    ):
        refused = omnireid("embed", people, *options)
        assert refused.code == 2
        assert said in refused.err
    with pytest.raises(InputError, match="give a folder"):
        embed(str(people), "absent", "one.npz", parts=Parts(workers=Workers(where="ray")))
