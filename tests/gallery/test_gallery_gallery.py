"""The facade: pages, people, timelines and state against naive listings; threads and processes together."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gallery.memory_store import MemoryStore
from gallery.people import MODEL, crowd, items_of, memory_gallery, vectors
from omnireid import Filter, Gallery, Item, ModelRef
from omnireid.core.errors import InputError
from omnireid.gallery.errors import NotInGalleryError


def everything(page_of) -> list:
    """Every entry, page by page."""
    found, after = [], None
    for _ in range(100):
        page = page_of(after)
        found.extend(page)
        after = page.next
        if after is None:
            return found
    raise AssertionError("the pages do not end")


TIMES = st.one_of(st.none(), st.sampled_from([0.0, 1.0, 2.5, -3.0, 1e9 + 0.1]))


@settings(max_examples=60, deadline=None)
@given(times=st.lists(TIMES, max_size=20), limit=st.integers(1, 7))
def test_pages_of_items_hold_each_once_the_latest_first(times: list, limit: int) -> None:
    gallery = memory_gallery()
    ids: tuple = ()
    if times:
        items = [Item(key=str(n), time=time) for n, time in enumerate(times)]
        ids = gallery.enrol(items, vectors(0, len(times)), model=MODEL).ids
    wanted = sorted(
        zip(times, ids, strict=True), key=lambda one: (math.inf if one[0] is None else -one[0], one[1])
    )
    found = everything(lambda after: gallery.items(limit=limit, after=after))
    assert [one.id for one in found] == [one[1] for one in wanted]


def test_pages_of_items_are_filtered_and_show_the_root() -> None:
    gallery = memory_gallery()
    rows, pids = crowd(0, 5, 4)
    gallery.enrol(items_of(pids), rows, model=MODEL)
    gallery.merge("p1", ["p3"])
    where = Filter(identities=frozenset({"p3"}), until=14.0)
    found = gallery.items(where, limit=100)
    assert [(one.time, one.identity) for one in found] == [
        (t, "p1") for t in (13.0, 12.0, 7.0, 6.0, 5.0, 4.0)
    ]
    for limit in (0, 1001):
        with pytest.raises(InputError, match="limit"):
            gallery.items(limit=limit)
    for after in ("nonsense", "x|y"):
        with pytest.raises(InputError, match="after"):
            gallery.items(after=after)


def test_people_are_listed_by_name_then_id() -> None:
    gallery = memory_gallery()
    rows, pids = crowd(0, 7, 2)
    gallery.enrol(items_of(pids), rows, model=MODEL)
    gallery.enrol([Item(key="nobody")], vectors(1, 1), model=MODEL)
    gallery.name_identity("p5", "Bea")
    gallery.name_identity("p2", "ann Müller")
    gallery.name_identity("p6", "ANN")
    gallery.merge("p0", ["p4", "p6"])
    for limit in (1, 2, 3, 100):
        found = everything(lambda after, limit=limit: gallery.identities(limit=limit, after=after))
        assert [(one.id, one.name) for one in found] == [
            ("p0", "ANN"),
            ("p2", "ann Müller"),
            ("p5", "Bea"),
            ("p1", None),
            ("p3", None),
        ]
    assert found[0] == gallery.identity("p4")
    assert (found[0].items, found[0].merged) == (6, ("p4", "p6"))
    assert (found[0].first_seen, found[0].last_seen) == (0.0, 13.0)
    assert found[0].cameras == ("cam0", "cam1", "cam2")
    assert [one.id for one in gallery.identities("ann")] == ["p0", "p2"]
    assert [one.id for one in gallery.identities("MÜLL")] == ["p2"]
    assert list(gallery.identities("zzz")) == []
    # A name without items is still somebody's: it is listed, so that it can be forgotten.
    gallery.assign([one.id for one in gallery.items(Filter(identities=frozenset({"p5"})))], "p1")
    assert [(one.id, one.items) for one in gallery.identities("bea")] == [("p5", 0)]
    assert [one.id for one in gallery.identities()] == ["p0", "p2", "p5", "p1", "p3"]
    assert list(memory_gallery().identities()) == []


def test_a_timeline_is_cut_where_nobody_was_seen_for_a_while() -> None:
    gallery = memory_gallery()
    times = [("hall", t) for t in (0.0, 59.0, 118.0, 178.0, 1000.0)] + [("door", 30.0), ("door", None)]
    items = [
        Item(key=str(n), identity="p" if n % 2 else "q", camera=camera, time=time)
        for n, (camera, time) in enumerate(times)
    ]
    ids = gallery.enrol(items, vectors(0, 7), model=MODEL).ids
    gallery.merge("p", ["q"])
    gallery.name_identity("p", "Ann")
    found = gallery.timeline("q")
    assert (found.identity, found.name) == ("p", "Ann")
    assert [
        (one.camera, [(s.start, s.end, len(s.items)) for s in one.sightings]) for one in found.cameras
    ] == [
        ("door", [(30.0, 30.0, 1), (None, None, 1)]),
        ("hall", [(0.0, 118.0, 3), (178.0, 178.0, 1), (1000.0, 1000.0, 1)]),
    ]
    assert [one.id for one in found.cameras[1].sightings[0].items] == list(ids[:3])
    assert len(gallery.timeline("p", gap_s=60.5).cameras[1].sightings) == 2
    with pytest.raises(NotInGalleryError, match="identity 'nobody'"):
        gallery.timeline("nobody")


def test_a_sighting_ends_with_the_last_frame_of_its_tracklets() -> None:
    gallery = memory_gallery()
    spans = [(0.0, 50.0), (10.0, None), (100.0, 130.0), (200.0, None), (None, None)]
    items = [
        Item(camera="door", time=time, end_time=end, identity="p", key=str(n))
        for n, (time, end) in enumerate(spans)
    ]
    gallery.enrol(items, vectors(0, len(items)), model=MODEL)
    (camera,) = gallery.timeline("p").cameras
    # 50 to 100 and 130 to 200 are less and more than a minute.
    seen = [(sighting.start, sighting.end, len(sighting.items)) for sighting in camera.sightings]
    assert seen == [(0.0, 130.0, 3), (200.0, 200.0, 1), (None, None, 1)]
    assert (gallery.identity("p").first_seen, gallery.identity("p").last_seen) == (0.0, 200.0)
    gallery.forget(items=[gallery.items().entries[0].id])
    assert gallery.identity("p").last_seen == 130.0


def test_what_is_not_there_is_named() -> None:
    for gallery in (memory_gallery(), memory_gallery()):
        for ask in (gallery.item, gallery.thumbnail, gallery.embedding):
            with pytest.raises(NotInGalleryError, match="item 'ab'"):
                ask("ab")
        with pytest.raises(NotInGalleryError, match="identity"):
            gallery.identity("ab")
        gallery.enrol([Item()], vectors(0, 1), model=MODEL)


def test_the_state_counts_what_is_there(tmp_path: Path) -> None:
    with Gallery.open(str(tmp_path / "gallery"), precision="float16") as gallery:
        empty = gallery.state()
        assert (empty.items, empty.identities, empty.cameras, empty.models, empty.precision) == (
            0,
            0,
            (),
            (),
            None,
        )
        rows, pids = crowd(0, 6, 3)
        gallery.enrol(items_of(pids), rows, model=MODEL)
        gallery.enrol([Item(key="x")], vectors(1, 1), model=MODEL)
        gallery.merge("p0", ["p1", "p2"])
        found = gallery.state()
        assert (found.items, found.identities, found.precision) == (19, 4, "float16")
        assert found.cameras == ("", "cam0", "cam1", "cam2")
        assert [one.state for one in found.models] == ["live"]
        assert found.index.indexed + found.index.unindexed == 19
        assert found.disk_bytes is not None
        assert found.disk_bytes > 19 * 32 * 2
        gallery.build_index()
        gallery.index_in_background().join()
    with Gallery.open(str(tmp_path / "gallery"), precision="int8") as again:
        # The precision is that of the collection, not of who opens it.
        assert again.state().precision == "float16"
        assert again.state().identities == 4
    with pytest.raises(InputError, match="precision"):
        Gallery.open(str(tmp_path / "other"), precision="float64")  # type: ignore[arg-type]


def test_threads_enrol_search_and_correct_together(tmp_path: Path) -> None:
    rows, pids = crowd(0, 8, 10)
    with Gallery.open(str(tmp_path / "gallery")) as gallery, ThreadPoolExecutor(4) as threads:
        gallery.enrol(items_of(pids[:40]), rows[:40], model=MODEL)
        together = threading.Barrier(4)

        def enrol() -> int:
            together.wait()
            for n in range(40, 80, 10):
                items = [Item(key=f"{m}", identity=f"p{pids[m]}") for m in range(n, n + 10)]
                gallery.enrol(items, rows[n : n + 10], model=MODEL)
            return 4

        def search() -> int:
            together.wait()
            for n in range(12):
                found = gallery.search(rows[n], model=MODEL, k=5, group=bool(n % 2))
                assert found.candidates[0].score == pytest.approx(1.0, abs=1e-5)
            return 12

        def correct() -> int:
            together.wait()
            for n in range(4):
                gallery.undo(gallery.merge("p0", [f"p{n % 3 + 1}"]).id)
            return 8

        done = [threads.submit(one) for one in (enrol, search, search, correct)]
        assert sum(one.result(timeout=60) for one in done) == 36
        assert gallery.state().items == 80
        assert gallery.state().identities == 8
        found = gallery.verify_audit()
        assert (found.entries, found.problems) == (37, ())


def test_two_processes_share_a_gallery(tmp_path: Path) -> None:
    uri = str(tmp_path / "gallery")
    rows = vectors(0, 20)
    code = (
        "import sys, numpy as np\n"
        "from omnireid import Gallery, Item, ModelRef\n"
        "rows = np.random.default_rng(0).standard_normal((20, 32)).astype('f4')\n"
        "with Gallery.open(sys.argv[1], actor='other') as gallery:\n"
        "    for n in range(10, 20):\n"
        "        items = [Item(key=str(n), identity='q')]\n"
        "        gallery.enrol(items, rows[n:n+1], model=ModelRef('toy', 'ab' * 32, 32))\n"
        "    gallery.name_identity('q', 'Quin')\n"
    )
    other = subprocess.Popen([sys.executable, "-c", code, uri])
    with Gallery.open(uri) as gallery:
        for n in range(10):
            gallery.enrol([Item(key=str(n), identity="p")], rows[n : n + 1], model=MODEL)
        assert other.wait(timeout=60) == 0
        assert gallery.state().items == 20
        found = gallery.search(rows[15], model=MODEL, k=1).candidates[0]
        assert (found.identity, gallery.identity("q").name) == ("q", "Quin")
        assert gallery.verify_audit().problems == ()
        assert {one.actor for one in gallery.audit()} == {"local", "other"}


def test_a_model_that_nobody_could_tell_from_another_is_refused(tmp_path: Path) -> None:
    unsaved, short = ModelRef("in training", None, 4), ModelRef.from_short("old@0123456789ab", 4)
    with Gallery.open(str(tmp_path)) as gallery:
        for model, words in ((unsaved, "in training: never saved"), (short, "only the first digits")):
            with pytest.raises(InputError, match=words):
                gallery.enrol([Item()], [[1, 2, 3, 4]], model=model)
            with pytest.raises(InputError, match=words):
                gallery.search([1, 2, 3, 4], model=model)


def test_importing_the_package_is_quick_and_quiet() -> None:
    code = (
        "import sys, omnireid.gallery\n"
        "assert 'pyarrow' not in sys.modules and 'lancedb' not in sys.modules\n"
        "from omnireid import Gallery\n"
        "assert not {'lancedb', 'pymilvus', 'torch'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == done.stderr == ""


def test_an_error_while_opening_lets_go_of_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []

    class Closing(MemoryStore):
        def close(self) -> None:
            closed.append(True)

    monkeypatch.setattr("omnireid.gallery.gallery.open_store", lambda *_: Closing())
    with pytest.raises(InputError, match="precision"):
        Gallery.open("anywhere", precision="double")  # type: ignore[arg-type]
    assert closed == [True]
