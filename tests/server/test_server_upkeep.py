"""What the service does for a gallery on its own."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gallery.people import MODEL, items_of, vectors
from omnireid.gallery import Gallery
from omnireid.gallery.lance.store import LanceStore
from omnireid.server import upkeep
from omnireid.server.metrics import Metrics
from omnireid.server.upkeep import Upkeep


def test_codes_are_in_memory_soon_and_the_index_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "_INDEX_FROM", 5)
    built: list[str] = []
    monkeypatch.setattr(LanceStore, "build_index", lambda _, collection: built.append(collection))
    with Gallery.open(str(tmp_path / "gallery")) as gallery:
        gallery.enrol(items_of(list(range(7))), vectors(0, 7), model=MODEL)
        one = Upkeep("g", gallery, Metrics())
        one.start()
        until = time.monotonic() + 30
        while not built and time.monotonic() < until:
            time.sleep(0.01)
        one.stop()
        (collection,) = built
        assert isinstance(gallery.store, LanceStore)
        resident = gallery.store._collection(collection).resident
        assert resident is not None
        assert resident._state is not None
        assert len(resident._state) == 7


def test_an_empty_gallery_needs_nothing(tmp_path: Path) -> None:
    with Gallery.open(str(tmp_path / "gallery")) as gallery:
        one = Upkeep("g", gallery, Metrics())
        one.start()
        one.stop()
