"""What is Milvus's own: where it is, its failures, what it keeps on disk, and its indexes."""

from __future__ import annotations

import base64
import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("pymilvus")
pytest.importorskip("milvus_lite")

import grpc
from milvus_lite.search.filter.tokens import TokenKind, tokenize
from pymilvus import MilvusClient
from pymilvus.grpc_gen import milvus_pb2_grpc

from gallery.milvus_server import MilvusServer, free_port
from gallery.test_gallery_contract import as_table, cosine, ids_of, make_rows, ranked, scanned, unit
from omnireid.core.errors import InputError, MissingExtraError, StorageError, UnknownNameError
from omnireid.gallery.items import EVERYTHING, Filter
from omnireid.gallery.milvus import rows as milvus_rows
from omnireid.gallery.milvus import tables
from omnireid.gallery.milvus.connection import Address
from omnireid.gallery.milvus.documents import Document, from_rows, to_rows
from omnireid.gallery.milvus.filters import expression, quoted
from omnireid.gallery.milvus.store import MilvusStore
from omnireid.gallery.opening import open_store
from omnireid.gallery.store import CollectionInfo

FACES = CollectionInfo("faces", 16, "float32")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    started = MilvusServer(tmp_path_factory.mktemp("milvus")).start()
    yield started
    started.kill()


def opened(server: MilvusServer, name: str, **options: str) -> MilvusStore:
    store = MilvusStore(f"{server.uri}/{name}", options)
    store.create_collection(FACES)
    return store


def tables_of(store: MilvusStore, name: str) -> list[str]:
    """Milvus's own names of the collections of a gallery."""
    listed = store._connection.run("list", lambda client: client.list_collections())
    return sorted(table for table in listed if table.startswith(f"{name}__"))


# Addresses


@pytest.mark.parametrize(
    ("uri", "server", "name", "token"),
    [
        ("http://localhost", "http://localhost:19530", "omnireid", ""),
        ("http://10.0.0.1:8080/site_2/", "http://10.0.0.1:8080", "site_2", ""),
        ("https://key@milvus.example/a", "https://milvus.example:443", "a", "key"),
        ("https://user:p%40ss@milvus.example:1/a", "https://milvus.example:1", "a", "user:p@ss"),
        ("http://[::1]:5/a", "http://[::1]:5", "a", ""),
    ],
)
def test_an_address_is_read(uri: str, server: str, name: str, token: str) -> None:
    address = Address.parse(uri)
    assert (address.server, address.name, address.token) == (server, name, token)
    assert address.uri == f"{server}/{name}"


def test_the_token_comes_from_the_environment_and_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNIREID_MILVUS_TOKEN", "root:secret")
    address = Address.parse("http://localhost/a")
    assert address.token == "root:secret"
    assert "secret" not in repr(address)
    assert Address.parse("http://other:word@localhost/a").token == "other:word"
    assert "word" not in Address.parse("http://other:word@localhost/a").uri


@pytest.mark.parametrize(
    "uri",
    [
        "http://",
        "http://host:port/a",
        "http://h/a/b",
        "http://h/ä",
        "http://h/1a",
        "http://h/a?x=1",
        "ftp://h/a",
    ],
)
def test_an_address_that_means_nothing_is_refused(uri: str) -> None:
    with pytest.raises(InputError, match="Milvus URI"):
        Address.parse(uri)


def test_options_are_closed() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'timeout_s'"):
        Address.parse("http://h/a", {"timeout": "3"})
    with pytest.raises(UnknownNameError, match="HNSW"):
        Address.parse("http://h/a", {"index": "HNWS"})
    with pytest.raises(InputError, match="connect_s"):
        Address.parse("http://h/a", {"connect_s": "-1"})


def test_without_pymilvus_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(MissingExtraError, match=r"omnireid\[milvus\]"):
        open_store("http://127.0.0.1:1/a")


# Filters


@given(st.text())
def test_a_literal_means_its_text(text: str) -> None:
    literal, end = tokenize(quoted(text))
    assert (literal.kind, literal.value, end.kind) == (TokenKind.STRING, text, TokenKind.EOF)


def test_numbers_that_no_grammar_knows() -> None:
    huge = repr(sys.float_info.max)
    assert expression(Filter(since=float("-inf"), until=float("inf"))) == f"time >= -{huge} and time < {huge}"
    with pytest.raises(InputError, match="since"):
        expression(Filter(since=float("nan")))


def test_what_nothing_meets_needs_no_request() -> None:
    assert expression(EVERYTHING) == ""
    assert expression(Filter(cameras=frozenset())) is None
    # "" stands for "no identity" in the store, and must not find those without one.
    assert expression(Filter(identities=frozenset({""}))) is None


# Failures


def test_nobody_there_is_said_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    uri = f"http://127.0.0.1:{free_port()}/a"
    began = time.monotonic()
    with pytest.raises(StorageError, match=f"{uri}: cannot open the gallery: no Milvus answers .* start it"):
        open_store(uri)
    assert time.monotonic() - began < 5
    assert capfd.readouterr() == ("", "")


def test_nothing_is_printed_but_by_us(server: MilvusServer) -> None:
    # In a process of its own: pymilvus writes to the stderr that there was when it was imported.
    code = f"""
from omnireid.core.errors import StorageError
from omnireid.gallery.opening import open_store
for uri in ("{server.uri}/quiet", "http://127.0.0.1:{free_port()}/quiet"):
    try:
        open_store(uri).count("absent")
    except StorageError:
        continue
    raise SystemExit(1)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert (done.stdout, done.stderr) == (b"", b"")


def test_a_server_that_never_answers_is_not_waited_for() -> None:
    with silent_listener() as port:
        began = time.monotonic()
        with pytest.raises(StorageError, match=r"no .*answer"):
            open_store(f"http://127.0.0.1:{port}/a", {"connect_s": "0.5"})
        assert time.monotonic() - began < 5


@contextlib.contextmanager
def silent_listener() -> Iterator[int]:
    """Accepts connections and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        yield listener.getsockname()[1]


class _Refusing(milvus_pb2_grpc.MilvusServiceServicer):
    """A server that answers every request by a status."""

    def __init__(self, code: grpc.StatusCode) -> None:
        self.code = code

    def Connect(self, request: Any, context: grpc.ServicerContext) -> None:  # noqa: N802
        context.abort(self.code, "refused by the test")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, "refused the token; set OMNIREID_MILVUS_TOKEN"),
        (grpc.StatusCode.PERMISSION_DENIED, "refused the token"),
        (grpc.StatusCode.UNIMPLEMENTED, "not Milvus, or older"),
    ],
)
def test_a_refusal_says_the_next_step(
    code: grpc.StatusCode, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    refusing = grpc.server(futures.ThreadPoolExecutor(2))
    milvus_pb2_grpc.add_MilvusServiceServicer_to_server(_Refusing(code), refusing)
    port = refusing.add_insecure_port("127.0.0.1:0")
    refusing.start()
    try:
        with pytest.raises(StorageError, match=message) as caught:
            open_store(f"http://root:secret@127.0.0.1:{port}/a")
        assert "secret" not in str(caught.value)
        # Before the server ends, which gRPC itself may speak of.
        assert capfd.readouterr() == ("", "")
    finally:
        refusing.stop(None)


def test_the_store_goes_on_when_a_killed_server_is_back(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    server = MilvusServer(tmp_path).start()
    store = opened(server, "a")
    asked, acknowledged = 0, []

    def add_until_killed() -> None:
        nonlocal asked
        while True:
            asked += 1
            store.add("faces", as_table(make_rows(50, seed=asked, tracklet=f"batch{asked}")))
            acknowledged.append(asked)

    try:
        for _ in range(2):
            killing = threading.Timer(0.3, server.kill)
            killing.start()
            with pytest.raises(StorageError, match="no Milvus answers"):
                add_until_killed()
            killing.join()
            began = time.monotonic()
            for request in (
                lambda: store.search("faces", unit(1), k=3),
                lambda: store.records("people"),
                lambda: store.append_audit([{"time": 1.0}]),
            ):
                with pytest.raises(StorageError, match="no Milvus answers"):
                    request()
            assert time.monotonic() - began < 10
            server.start()
            # What was acknowledged is there, and the rest in whole batches.
            for batch in range(1, asked + 1):
                count = store.count("faces", Filter(tracklets=frozenset({f"batch{batch}"})))
                assert count in ({50} if batch in acknowledged else {0, 50})
        assert acknowledged
        assert store.add("faces", as_table(make_rows(3, seed=0))).all()
        assert store.search("faces", unit(1), k=3).num_rows == 3
    finally:
        store.close()
        server.kill()
    assert capfd.readouterr() == ("", "")


def test_a_collection_that_is_not_there_is_named(server: MilvusServer) -> None:
    store = opened(server, "absent")
    with pytest.raises(StorageError, match="nope"):
        store.count("nope")
    with pytest.raises(StorageError, match="has no collection 'nope'"):
        store.add("nope", as_table(make_rows(1, seed=1)))


# Limits


def test_more_candidates_than_milvus_gives_are_refused(server: MilvusServer) -> None:
    store = opened(server, "limits")
    with pytest.raises(InputError, match="16,384"):
        store.search("faces", unit(1), k=16_385)


def test_attributes_that_do_not_fit_are_refused(server: MilvusServer) -> None:
    store = opened(server, "limits")
    (row,) = make_rows(1, seed=1, attributes='{"a": "' + 66_000 * "x" + '"}')
    with pytest.raises(InputError, match="attributes"):
        store.add("faces", as_table([row]))
    assert store.count("faces") == 0


def test_large_writes_and_reads_are_several_requests(
    server: MilvusServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omnireid.gallery.milvus.store.MESSAGE_BYTES", 20_000)
    store = opened(server, "parts")
    upserts = []
    monkeypatch.setattr(
        store._tables,
        "upsert",
        lambda alias, rows, original=store._tables.upsert: upserts.append(len(rows)) or original(alias, rows),
    )
    rows = make_rows(100, seed=2)
    assert store.add("faces", as_table(rows)).all()
    assert sum(upserts) == 100
    assert 2 < len(upserts) <= 10
    assert store.set_identity("faces", [row["id"] for row in rows], "x") == 100
    assert ids_of(store.search("faces", unit(1), k=100, exact=True)) == ranked(rows, unit(1))
    found = scanned(store, columns=("id", "thumbnail", "identity"))
    assert {row["id"]: row["thumbnail"] for row in found} == {row["id"]: row["thumbnail"] for row in rows}
    assert {row["identity"] for row in found} == {"x"}


def test_a_long_record_is_replaced_whole(server: MilvusServer) -> None:
    store = opened(server, "records")
    for size in (200_000, 130_000, 10):
        store.put_records("kind", {"a": {"text": "x" * size}, "b": {"text": "y"}})
        assert len(store.records("kind")["a"]["text"]) == size
    rows = store._tables.query("records__records", 'kind == "kind"', ["id"])
    assert len(rows) == 2


def test_the_audit_log_goes_on_when_the_clock_was_set_back(
    server: MilvusServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(server, "clock").append_audit([{"time": 1.0}])
    monkeypatch.setattr("time.time_ns", lambda: 1_000_000_000_000_000_000)
    again = opened(server, "clock")
    again.append_audit([{"time": 2.0}])
    again.append_audit([{"time": 3.0}, {"time": 4.0}])
    assert [entry["time"] for entry in again.audit()] == [1.0, 2.0, 3.0, 4.0]


def test_documents_are_put_together_again() -> None:
    written = [
        Document("k", f"{number:020d}", {"n": number, "t": "x" * number * 9000}) for number in range(20)
    ]
    rows = sorted(to_rows(written, in_order=True), key=lambda row: row["id"])
    assert list(from_rows(iter(rows))) == written
    # Rows of a longer one that was replaced belong to nothing.
    stale = [{**rows[0], "id": rows[0]["id"][:-1] + "7", "part": 7, "parts": 9}]
    assert list(from_rows(iter([rows[0], *stale]))) == written[:1]


# Tables


def test_an_interrupted_creation_is_not_listed_and_leaves_nothing(server: MilvusServer) -> None:
    store = opened(server, "leftover")
    table = store._table(CollectionInfo("half", 16, "float32"))
    store._tables._make(table)
    store._tables._make(store._table(FACES))
    assert set(store.collections()) == {"faces"}
    store.purge("faces")
    store.drop_collection("half")
    assert [name[:-8] for name in tables_of(store, "leftover")] == [
        "leftover__audit__",
        "leftover__c__faces__",
        "leftover__records__",
    ]


def test_two_that_create_at_once_share_one_table(server: MilvusServer) -> None:
    stores = [MilvusStore(f"{server.uri}/race") for _ in range(2)]
    both = threading.Barrier(2)

    def create(store: MilvusStore) -> None:
        both.wait(10)
        store.create_collection(FACES)

    with futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(create, stores))
    stores[0].add("faces", as_table(make_rows(3, seed=1)))
    assert stores[1].count("faces") == 3
    assert len([name for name in tables_of(stores[0], "race") if "__c__" in name]) == 1


def test_forgotten_bytes_are_gone_from_the_servers_disk(server: MilvusServer) -> None:
    store = opened(server, "purged")
    rows = make_rows(40, seed=3, thumbnail=np.random.default_rng(3).bytes(3000))
    secret = np.random.default_rng(4).bytes(3000)
    rows[7] |= {"thumbnail": secret, "camera": "camera-of-the-forgotten", "source": "a-source-to-forget"}
    store.add("faces", as_table(rows))
    store.put_records("people", {"1": {"name": "Name-to-forget"}, "2": {"name": "kept"}})
    store._tables.flush("purged__c__faces")
    marks = [
        base64.b64encode(secret)[100:400],
        rows[7]["id"].encode(),
        b"a-source-to-forget",
        b"Name-to-forget",
    ]
    assert all(on_disk(server.folder, mark) for mark in marks)

    store.delete("faces", Filter(ids=frozenset({rows[7]["id"]})))
    store.delete_records("people", ["1"])
    store.purge("faces")
    store.purge_records()
    assert [mark for mark in marks if on_disk(server.folder, mark)] == []
    assert store.count("faces") == 39
    assert store.records("people") == {"2": {"name": "kept"}}


def on_disk(folder: Path, mark: bytes) -> bool:
    return any(mark in path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_cluster_is_asked_to_compact(server: MilvusServer, monkeypatch: pytest.MonkeyPatch) -> None:
    # milvus-lite answers these requests without doing anything: this checks what is asked, not what happens.
    store = opened(server, "cluster")
    store.add("faces", as_table(make_rows(5, seed=5)))
    asked: list[tuple[str, bool]] = []

    def note(client: Any, name: str, is_l0: bool = False, **_: Any) -> int:
        asked.append((name, is_l0))
        return 1

    monkeypatch.setattr("pymilvus.MilvusClient.compact", note)
    monkeypatch.setattr(store, "_is_lite", False)
    before = tables_of(store, "cluster")
    store.purge("faces")
    assert asked == [("cluster__c__faces", True), ("cluster__c__faces", False)]
    assert tables_of(store, "cluster") == before
    monkeypatch.setattr("pymilvus.MilvusClient.get_compaction_state", lambda *_, **__: "Executing")
    monkeypatch.setattr(tables, "BACKGROUND_S", 0.1)
    with pytest.raises(StorageError, match="still compacting; purge again"):
        store.purge("faces")


# The index


def test_an_index_is_searched_and_exact_compares_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = MilvusServer(tmp_path).start()
    try:
        store = opened(server, "indexed", index="HNSW")
        assert store.index_state("faces").status == "none"
        rows = make_rows(1500, seed=6)
        store.add("faces", as_table(rows))
        store.build_index("faces")
        state = store.index_state("faces")
        assert (state.status, state.indexed + state.unindexed) == ("ready", 1500)
        # After a restart milvus-lite has let go of what is indexed, and loads it when asked.
        server.kill()
        server.start()
        hits = 0
        where = Filter(has_identity=True)
        for seed in range(10):
            exact = ids_of(store.search("faces", unit(seed), k=10, exact=True))
            assert exact == ranked(rows, unit(seed))[:10]
            found = store.search("faces", unit(seed), k=10)
            hits += len(set(ids_of(found)) & set(exact))
            scores = found["score"].to_pylist()
            assert scores == sorted(scores, reverse=True)
            best = ids_of(store.search("faces", unit(seed), k=10, where=where, exact=True))
            assert best == ranked(rows, unit(seed), where)[:10]
        assert hits >= 95
        # With an index, exact never asks it.
        monkeypatch.setattr(store._tables, "search", None)
        assert store.search("faces", unit(0), k=10, exact=True).num_rows == 10
        store.close()
    finally:
        server.kill()


def test_pictures_and_what_nobody_searches_for_are_not_held_in_memory() -> None:
    schema = milvus_rows.collection_schema(MilvusClient, FACES).to_dict()
    on_disk = {field["name"] for field in schema["fields"] if field.get("params", {}).get("mmap_enabled")}
    assert on_disk == {"thumbnail", "attributes", "source"}


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_embeddings_that_are_not_float32_come_back_as_bytes(precision: Any) -> None:
    # As a cluster sends them; milvus-lite has neither type.
    info = CollectionInfo("faces", 16, precision)
    rows = make_rows(5, seed=7)
    written = milvus_rows.to_milvus(as_table(rows), precision)
    assert {row["embedding"].dtype for row in written} == {np.dtype(precision)}
    for answer in (lambda value: value.tobytes(), lambda value: [value.tobytes()]):
        hits = [{**row, "embedding": answer(row["embedding"])} for row in written]
        table = milvus_rows.from_milvus(hits, ("id", "embedding"), info)
        for actual, row in zip(table["embedding"].to_pylist(), rows, strict=True):
            assert cosine(actual, row["embedding"]) == pytest.approx(1, abs=1e-3)
            assert np.linalg.norm(actual) == pytest.approx(1, abs=1e-6)
    vector = milvus_rows.query_vector(unit(1), precision)
    assert vector.dtype == np.dtype(precision)
    assert cosine(vector, unit(1)) == pytest.approx(1, abs=1e-3)


def test_importing_the_store_imports_no_pymilvus() -> None:
    code = "import sys, omnireid.gallery.milvus.store; assert not {'pymilvus', 'grpc'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
