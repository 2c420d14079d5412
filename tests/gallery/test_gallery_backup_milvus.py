"""From one machine to a Milvus server and back: a copy, then the whole life of a gallery over the network."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gallery.lifecycle import DIM, noise
from gallery.milvus_server import MilvusServer
from omnireid import Filter, Gallery, Item, ModelRef
from omnireid.gallery.backup import Snapshot
from omnireid.gallery.items import item_id
from omnireid.gallery.opening import open_store
from omnireid.gallery.restoring import restore

pytest.importorskip("pymilvus")
pytest.importorskip("milvus_lite")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="milvus-lite does not run on Windows")

MODEL = ModelRef("toy", "a" * 64, DIM)
EMBEDDINGS = np.random.default_rng(0).standard_normal((40, DIM))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    started = MilvusServer(tmp_path_factory.mktemp("milvus")).start()
    yield started
    started.kill()


def test_a_gallery_moves_to_milvus_lives_there_and_comes_back(server: MilvusServer, tmp_path: Path) -> None:
    here, there, back = str(tmp_path / "here"), f"{server.uri}/copied", str(tmp_path / "back")
    items = [
        Item(
            key=f"crop{number}",
            identity=f"p{number % 8}",
            camera="door" if number < 20 else "hall",
            time=float(number),
            thumbnail=noise(f"crop{number}"),
            attributes={"bag": number % 2 == 0},
        )
        for number in range(40)
    ]
    with Gallery.open(here, clock=lambda: 100.0) as gallery:
        gallery.enrol(items, EMBEDDINGS, model=MODEL)
        gallery.name_identity("p1", "Ann Alpha")
        gallery.merge("p1", ["p2"])
        asked = gallery.search(EMBEDDINGS[9], model=MODEL, k=40).candidates
        copy(gallery, there)
    with Gallery.open(there, clock=lambda: 100.0) as gallery:
        found = gallery.search(EMBEDDINGS[9], model=MODEL, k=40).candidates
        assert [one.item.id for one in found] == [one.item.id for one in asked]
        np.testing.assert_allclose([one.score for one in found], [one.score for one in asked], atol=1e-6)
        assert [one.name for one in found] == [one.name for one in asked]
        assert gallery.thumbnail(item_id("crop3")) == noise("crop3")
        assert gallery.verify_audit().problems == ()
        assert gallery.forget("p2").items == 10
        gallery.set_retention(None, {"door": 95})
        assert gallery.run_retention() == 3  # crops 0, 3 and 4: 1 and 2 were forgotten
        gallery.undo(gallery.split([item_id("crop7")], "Bob").id)
        copy(gallery, back)
    with Gallery.open(back, clock=lambda: 100.0) as gallery:
        assert gallery.state().items == 27
        left = {one.id for one in gallery.items(Filter(cameras=frozenset({"door"})))}
        assert left == {item_id(f"crop{number}") for number in range(5, 20) if number % 8 not in (1, 2)}
        assert gallery.item(item_id("crop7")).identity == "p7"
        assert gallery.retention().cameras == {"door": 95}
        assert [one.name for one in gallery.identities("Ann")] == []


def copy(gallery: Gallery, uri: str) -> None:
    target = open_store(uri)
    restore(Snapshot(gallery.store), target, clock=lambda: 100.0)
    target.close()
