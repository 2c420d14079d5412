"""Galleries on object storage, against an S3 server: the contract, several writers, kills, forgetting.

With OMNIREID_WHOLE_CONTRACT=1 the whole contract runs here (160 s), else what a bucket may do differently.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from command_line import Run
from gallery.lance_rows import DIM, item_table
from gallery.lifecycle import noise
from gallery.test_gallery_contract import (  # noqa: F401
    Backend,
    crowd,
    place,
    store,
    test_a_lock_is_taken_again_inside_and_keeps_others_out,
    test_search_ranks_as_float64_does,
    test_what_is_there_is_not_added_again,
)
from omnireid import Gallery, Item, ModelRef
from omnireid.core.errors import MissingExtraError, StorageError
from omnireid.gallery.items import Filter, item_id
from omnireid.gallery.lance import lease
from omnireid.gallery.lance.store import LanceStore
from omnireid.gallery.options import STORED_PRECISIONS
from omnireid.gallery.store import CollectionInfo

if os.environ.get("OMNIREID_WHOLE_CONTRACT"):
    from gallery.test_gallery_contract import *  # noqa: F403

bucket_module = pytest.importorskip("gallery.bucket", reason="moto, Flask and boto3 are not installed")

ROOT = Path(__file__).parents[2]
MODEL = ModelRef("toy", "ab" * 32, DIM)

ADD = """
import sys
from command_line import Run
from gallery.lance_rows import item_table
from omnireid.gallery.lance.store import LanceStore

store = LanceStore(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
store.add("c", item_table(50, seed=1))
print("added", flush=True)
"""


@pytest.fixture(scope="module")
def bucket() -> Iterator[Any]:
    opened = bucket_module.Bucket()
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def _nothing_in_between(bucket: Any) -> Iterator[None]:
    yield
    bucket.intercept = lambda environ: None


@pytest.fixture(scope="module")
def backend(bucket: Any) -> Backend:
    options = bucket.options
    return Backend("lance", lambda name: LanceStore(f"s3://people/{name}", options), STORED_PRECISIONS)


def opened(bucket: Any, uri: str) -> LanceStore:
    store = LanceStore(uri, bucket.options)  # noqa: F811
    store.create_collection(CollectionInfo("c", DIM, "float32"))
    return store


def test_two_servers_add_the_same_items_once_while_a_third_purges(bucket: Any) -> None:
    uri = bucket.new_place()
    servers = [opened(bucket, uri) for _ in range(3)]
    tables = [item_table(20, seed=seed) for seed in range(3)]
    servers[2].add("c", item_table(40, seed=9))

    def purge() -> None:
        for second in (10.0, 20.0):
            servers[2].delete("c", Filter(until=second, cameras=frozenset({"seed 9"})))
            servers[2].purge("c")

    with ThreadPoolExecutor(3) as pool:
        purged = pool.submit(purge)
        added = list(pool.map(lambda k: sum(int(servers[k].add("c", rows).sum()) for rows in tables), (0, 1)))
        purged.result()
    assert sum(added) == 60
    # Every row is read to its last byte: no file went that a commit names.
    seen = [
        one for rows in servers[0].scan("c", columns=("id", "thumbnail", "embedding")) for one in rows["id"]
    ]
    assert len(seen) == len(set(seen)) == servers[1].count("c") == 80


def test_a_server_killed_in_the_middle_of_a_commit(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = bucket.new_place()
    opened(bucket, uri).add("c", item_table(10))
    process = subprocess.Popen(
        [sys.executable, "-c", ADD, uri],
        env={**os.environ, **bucket.environment, "PYTHONPATH": f"{ROOT / 'tests'}:{ROOT / 'src'}"},
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"

    def kill(environ: dict[str, Any]) -> None:
        is_commit = environ["REQUEST_METHOD"] == "PUT" and ".manifest" in environ["PATH_INFO"]
        if is_commit and process.poll() is None:
            process.kill()
            process.wait()
            environ["omnireid.status"] = "503 Lost on the way"

    bucket.intercept = kill
    output, _ = process.communicate("go\n", timeout=60)
    assert output == ""
    monkeypatch.setattr(lease, "LEASE_S", 0.5)
    again = LanceStore(uri, bucket.options)
    assert again.count("c") == 10
    # The lock that it held is taken over, and enrolling again makes it whole.
    assert again.add("c", item_table(50, seed=1)).sum() == 50
    again.purge("c")
    assert sum(rows.num_rows for rows in again.scan("c", columns=("id", "thumbnail"))) == 60


def test_who_is_forgotten_is_in_no_object(
    bucket: Any, omnireid: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = bucket.new_place()
    with Gallery.open(uri, storage_options=bucket.options) as people:
        items = [
            Item(
                key=f"crop{number}",
                identity=f"pseudonym-{number % 3}",
                source=f"walk/of/pseudonym-{number % 3}.jpg",
                thumbnail=noise(f"crop{number}", 512),
            )
            for number in range(9)
        ]
        embeddings = np.random.default_rng(3).standard_normal((9, DIM))
        for start in (0, 3, 6):
            people.enrol(items[start : start + 3], embeddings[start : start + 3], model=MODEL)
        people.name_identity("pseudonym-1", "Ann Alpha")
        ids = [item_id(f"crop{number}") for number in (1, 4, 7)]
        traces = [b"Ann Alpha", b"pseudonym-1", *(one.encode() for one in ids)]
        traces += [noise(f"crop{number}", 512) for number in (1, 4, 7)]
        traces += [people.embedding(one).tobytes() for one in ids]
        before = b"".join(bucket.objects(uri).values())
        assert [trace for trace in traces if trace not in before] == []
        people.forget(identity="pseudonym-1")
        after = b"".join(bucket.objects(uri).values())
        assert [trace for trace in traces if trace in after] == []
        assert noise("crop2", 512) in after
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    told = omnireid("gallery", "items", "--gallery", uri, "--json")
    assert (told.code, told.out.count("pseudonym-")) == (0, 12), told.err


def test_a_lock_whose_holder_has_gone_is_taken_over_and_one_that_is_renewed_is_not(
    bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "LEASE_S", 0.4)
    monkeypatch.setattr(lease, "_RENEWED_EACH_S", 0.1)
    uri = bucket.new_place()
    objects = lease.open_objects(uri, {**lease.RETRIES, **bucket.options})
    one, two = lease.Lease(objects, ".lock", uri), lease.Lease(objects, ".lock", uri)
    got = threading.Event()

    def wait() -> None:
        with two.held():
            got.set()

    waiting = threading.Thread(target=wait)
    with one.held():
        waiting.start()
        assert not got.wait(1.0)
        with two.tried() as is_held:
            assert not is_held
    waiting.join(10)
    assert got.is_set()

    monkeypatch.setattr(one, "_renew_later", lambda: None)  # as if it was stopped
    with pytest.raises(StorageError, match="took the gallery's lock"), one.held(), two.held():
        pass
    with one.held():
        pass


def test_a_storage_without_conditional_writes_is_refused(bucket: Any) -> None:
    bucket.intercept = lambda environ: environ.pop("HTTP_IF_NONE_MATCH", None)
    uri = bucket.new_place()
    with pytest.raises(StorageError, match="ignores conditional writes"):
        LanceStore(uri, bucket.options)
    assert not any(".lance" in key for key in bucket.objects(uri))


def test_what_cannot_be_reached_is_said_in_seconds(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = time.monotonic()
    with pytest.raises(StorageError, match=r"s3://people/x: the storage cannot be asked: .*127\.0\.0\.1:9"):
        LanceStore("s3://people/x", {**bucket.options, "endpoint": "http://127.0.0.1:9"})
    assert time.monotonic() - begun < 15
    with pytest.raises(StorageError, match=r"s3://nowhere/x: .*cannot be asked"):
        LanceStore("s3://nowhere/x", bucket.options)
    with pytest.raises(StorageError, match="'nonsense' is not valid"):
        LanceStore("s3://people/x", {**bucket.options, "nonsense": "1"})
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.setitem(sys.modules, "obstore.exceptions", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'omnireid\[s3\]'"):
        LanceStore("s3://people/x", bucket.options)


def test_a_gallery_that_these_keys_may_only_read(bucket: Any) -> None:
    uri = bucket.new_place()
    opened(bucket, uri).add("c", item_table(10))

    def refuse(environ: dict[str, Any]) -> None:
        if environ["REQUEST_METHOD"] != "GET":
            environ["omnireid.status"] = "403 Forbidden"

    bucket.intercept = refuse
    reader = LanceStore(uri, bucket.options)
    assert reader.read_only == "no permission"
    assert reader.count("c") == 10
    with pytest.raises(StorageError, match="cannot be written"):
        reader.add("c", item_table(1, seed=2))


def test_a_search_asks_for_little(bucket: Any) -> None:
    uri = bucket.new_place()
    store = opened(bucket, uri)  # noqa: F811
    store.add("c", item_table(200))
    query = np.asarray(item_table(200)["embedding"][7].as_py(), np.float32)
    store.warm("c")
    store.search("c", query, k=5)
    bucket.requests.clear()
    assert store.search("c", query, k=5)["score"][0].as_py() == pytest.approx(1)
    assert bucket.requests.total() <= 6, bucket.requests
    assert bucket.requests["PUT"] == 0
