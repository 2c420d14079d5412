"""A gallery in a process that is forked: the child is told to open its own, and nothing waits for ever."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FORK = """
import json, os, sys, warnings
import numpy as np
from omnireid.core.forking import ForkError
from omnireid import Gallery, Item, ModelRef

warnings.simplefilter("ignore")
model = ModelRef("toy", "a" * 64, 8)
new = [Item(key="new", identity="p2")], np.ones((1, 8))


def child():
    told = []
    for act in (
        lambda: gallery.search(np.ones(8), model=model),
        lambda: gallery.enrol(*new, model=model),
        lambda: gallery.items(),
        lambda: gallery.identities(),
        lambda: gallery.name_identity("p1", "Ann"),
        lambda: gallery.forget("p1"),
        lambda: gallery.state(),
        lambda: gallery.audit(),
        lambda: gallery.warm(),
        lambda: gallery.models,
    ):
        try:
            act()
        except ForkError as error:
            told.append(str(error))
    gallery.close()
    with open(sys.argv[1] + "/told.json", "w") as file:
        json.dump([gallery.uri, told], file)


with Gallery.open(sys.argv[1] + "/gallery") as gallery:
    gallery.enrol([Item(key="crop", identity="p1")], np.ones((1, 8)), model=model)
    gallery.warm()
    # Whatever another thread holds stays held in the child.
    with gallery.store.lock(), gallery.generations._known._reading, gallery.log._writing:
        process = os.fork()
        if process == 0:
            child()
            os._exit(0)
    assert os.waitpid(process, 0)[1] == 0
    assert gallery.enrol(*new, model=model).is_new.all()
    print([one.id for one in gallery.identities()], gallery.verify_audit().problems)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_process_is_told_to_open_its_own(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORK, tmp_path], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.splitlines() == ["['p1', 'p2'] ()"]
    uri, told = json.loads((tmp_path / "told.json").read_text())
    assert uri == str(tmp_path / "gallery")
    advice = "open it in the child, or start processes with 'spawn' or 'forkserver'"
    why = "made before a fork, whose child does not have its threads"
    assert told == 10 * [f"gallery {uri}: {why}; {advice}"]
