"""From a folder to Milvus by changing the URI: the same calls give the same answers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gallery.milvus_server import MilvusServer
from omnireid import ModelRef
from omnireid.gallery.backup import Snapshot
from omnireid.gallery.gallery import Gallery
from omnireid.gallery.items import Filter, Item
from omnireid.gallery.opening import open_store
from omnireid.gallery.restoring import restore

pytest.importorskip("pymilvus")
pytest.importorskip("milvus_lite")

MODEL = ModelRef("osnet", "ab" * 32, 32)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    started = MilvusServer(tmp_path_factory.mktemp("milvus")).start()
    yield started
    started.kill()


def visitors() -> tuple[list[Item], np.ndarray]:
    rng = np.random.default_rng(1)
    items = [
        Item(
            camera=f"camera {number % 3}",
            time=1.7e9 + number,
            identity=f"p{number % 11}" if number % 4 else None,
            tracklet=f"t{number // 3}",
            attributes={"bag": number % 2 == 0},
            thumbnail=rng.bytes(300),
        )
        for number in range(120)
    ]
    return items, rng.standard_normal((120, 32)).astype(np.float32)


def a_day(uri: str, backup: Path) -> list[Any]:
    """What an operator does, and every answer that does not name a clock or a random id."""
    items, embeddings = visitors()
    since_noon = Filter(cameras=frozenset({"camera 1"}), since=1.7e9 + 40, attributes={"bag": True})
    query = embeddings[7] + 0.3 * embeddings[8]
    answers: list[Any] = []

    def ask(gallery: Gallery) -> None:
        for where in (Filter(), since_noon, Filter(identities=frozenset({"p1"}))):
            found = gallery.search(query, model=MODEL, k=8, where=where, group=True)
            answers.append([(one.item.id, one.identity, one.name, one.score) for one in found.candidates])
            answers.append([(group.identity, len(group.candidates)) for group in found.groups])
        answers.append([(one.id, one.name, one.items, one.merged) for one in gallery.identities()])
        state = gallery.state()
        answers.append((state.items, state.identities, state.cameras))

    with Gallery.open(uri, actor="tester") as gallery:
        for start in range(0, 120, 40):
            part = slice(start, start + 40)
            answers.append(gallery.enrol(items[part], embeddings[part], model=MODEL).is_new.tolist())
        answers.append(gallery.enrol(items, embeddings, model=MODEL).is_new.any())
        ask(gallery)
        gallery.name_identity("p1", "Ann")
        merge = gallery.merge("p1", ["p2", "p3"])
        gallery.merge("p4", ["p5"])
        ask(gallery)
        gallery.undo(merge.id)
        answers.append(gallery.forget(identity="p4").items)
        ask(gallery)
        tracklets = gallery.search_tracklet(embeddings[30:33], model=MODEL, k=4).candidates
        answers.append([(one.item.tracklet, one.frames, round(one.score, 6)) for one in tracklets])
        answers.append([entry.action for entry in gallery.audit(limit=100)])
        answers.append(gallery.verify_audit().problems)
        gallery.backup(backup)
    with Gallery.open(uri) as again:
        ask(again)
    return answers


def test_a_folder_and_milvus_give_the_same_answers(server: MilvusServer, tmp_path: Path) -> None:
    in_folder = a_day(str(tmp_path / "gallery"), tmp_path / "backup 1")
    in_milvus = a_day(f"{server.uri}/gallery", tmp_path / "backup 2")
    assert in_milvus == in_folder


def test_a_gallery_moves_to_milvus_and_back(server: MilvusServer, tmp_path: Path) -> None:
    folder, back = str(tmp_path / "gallery"), str(tmp_path / "back")
    items, embeddings = visitors()
    with Gallery.open(folder) as gallery:
        gallery.enrol(items, embeddings, model=MODEL)
        gallery.name_identity("p1", "Ann")
        gallery.forget(identity="p2")
    for source, target in ((folder, f"{server.uri}/moved"), (f"{server.uri}/moved", back)):
        with contextlib.closing(open_store(source)) as one, contextlib.closing(open_store(target)) as other:
            restore(Snapshot(one), other)
    seen = []
    for uri in (folder, f"{server.uri}/moved", back):
        with Gallery.open(uri) as gallery:
            found = gallery.search(embeddings[7], model=MODEL, k=200)
            seen.append(
                [(one.item, one.name, one.score, gallery.thumbnail(one.item.id)) for one in found.candidates]
            )
    assert seen[0] == seen[1] == seen[2]
    assert len(seen[0]) == 120 - sum(item.identity == "p2" for item in items)
