"""Galleries that this process may only read: another user's folder, a read-only mount."""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pytest

from gallery.lifecycle import DIM, ids_in, stopped_after_each_write
from gallery.memory_store import MemoryStore
from omnireid import Gallery, Item, ModelRef
from omnireid.core.errors import StorageError
from omnireid.gallery.backup import Backup, Snapshot
from omnireid.gallery.errors import NotWritableError
from omnireid.gallery.opening import open_store
from omnireid.gallery.restoring import restore

MODEL = ModelRef("toy", "a" * 64, DIM)

VISIT = """
import json, os, sys, tempfile
import numpy as np
from omnireid.core.errors import OmniReIDError
from omnireid import Gallery, Item, ModelRef

folder, out, user = sys.argv[1:]
model = ModelRef("toy", "a" * 64, 8)
new = [Item(key="new", identity="p1")], np.ones((1, 8))


def failure(act):
    try:
        act()
    except OmniReIDError as error:
        return type(error).__name__, str(error)


def visit(gallery, out):
    gallery.warm()
    item = next(iter(gallery.items())).id
    found = gallery.search(np.ones(8), model=model)
    return {
        "read_only": gallery.read_only,
        "found": [one.item.id for one in found.candidates],
        "people": [one.id for one in gallery.identities()],
        "actions": [entry.action for entry in gallery.audit()],
        "problems": gallery.verify_audit().problems,
        "backup": gallery.backup(out).items,
        "failures": [
            failure(act)
            for act in (
                lambda: gallery.enrol(*new, model=model),
                lambda: list(gallery.enrol_stream([new], model=model)),
                lambda: gallery.name_identity("p1", "Ann"),
                lambda: gallery.merge("p1", ["p2"]),
                lambda: gallery.assign([item], "p1"),
                lambda: gallery.split([item]),
                lambda: gallery.forget("p1"),
                lambda: gallery.set_retention(3.0),
                lambda: gallery.run_retention(),
                lambda: gallery.build_index(),
                lambda: gallery.index_in_background().join(),
                lambda: gallery.abandon_move(),
            )
        ],
    }


if int(user):
    # Python's own files may be closed to that user: they are loaded before.
    scratch = tempfile.mkdtemp(dir=os.path.dirname(out))
    with Gallery.open(scratch + "/gallery") as gallery:
        gallery.enrol(*new, model=model)
        visit(gallery, scratch + "/backup")
    os.setegid(int(user))
    os.seteuid(int(user))
with Gallery.open(folder) as gallery:
    print(json.dumps(visit(gallery, out)))
"""


def filled(folder: Path, count: int = 3) -> list[str]:
    """A gallery with one search in its audit; ids of its items."""
    with Gallery.open(str(folder)) as gallery:
        items = [Item(key=f"crop{number}", identity=f"p{number}") for number in range(count)]
        done = gallery.enrol(items, np.eye(count, DIM) + 1, model=MODEL)
        gallery.search(np.ones(DIM), model=MODEL)
    return sorted(done.ids)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that other users reach, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    subprocess.run(["chmod", "-R", "u+rwX", folder], check=True)
    shutil.rmtree(folder)


def visit(folder: Path, out: Path, *, user: int = 0, wrapped: tuple[str, ...] = ()) -> tuple[Any, str]:
    done = subprocess.run(
        [*wrapped, sys.executable, "-c", VISIT, folder, out, str(user)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def check_visit(found: Any, said: str, folder: Path, ids: list[str], reason: str) -> None:
    assert found["read_only"] == reason
    assert sorted(found["found"]) == ids
    assert found["people"] == ["p0", "p1", "p2"]
    assert found["actions"] == ["enrol", "search"]
    assert found["problems"] == []
    assert found["backup"] == 3
    assert len(found["failures"]) == 12
    for kind, text in found["failures"]:
        assert kind == "NotWritableError"
        assert text.startswith(f"{folder}: cannot be written ({reason}); let this user write there")
    assert said.splitlines() == [f"{folder}: read-only ({reason}): what is asked of it is not in its audit"]


@pytest.mark.skipif(os.name != "posix", reason="users of POSIX")
def test_another_user_searches_reads_and_backs_up_and_is_told_why_no_more(shared: Path) -> None:
    folder, out = shared / "gallery", shared / "out"
    ids = filled(folder)
    out.mkdir(0o777)
    out.chmod(0o777)
    # Who runs this as root looks as nobody; others take their own right to write away.
    subprocess.run(["chmod", "-R", "a+rX,go-w" if os.geteuid() == 0 else "a-w", folder], check=True)
    before = content(folder)
    found, said = visit(folder, out / "backup", user=65_534 if os.geteuid() == 0 else 0)
    check_visit(found, said, folder, ids, "permission denied")
    assert content(folder) == before
    assert sorted(ids_in(_restored(Backup(out / "backup")), f"items_{'a' * 16}")) == ids


def test_a_read_only_mount_is_searched_and_backed_up(tmp_path: Path) -> None:
    folder = tmp_path / "gallery"
    ids = filled(folder)
    mount = f"mount --bind {folder} {folder} && mount -o remount,bind,ro {folder}"
    if subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("this user may not mount")
    wrapped = ("unshare", "-m", "sh", "-c", f'{mount} && exec "$@"', "sh")
    found, said = visit(folder, tmp_path / "backup", wrapped=wrapped)
    check_visit(found, said, folder, ids, "read-only file system")
    assert sorted(ids_in(_restored(Backup(tmp_path / "backup")), f"items_{'a' * 16}")) == ids


def _restored(source: Backup | Snapshot) -> MemoryStore:
    target = MemoryStore()
    restore(source, target)
    return target


@pytest.mark.parametrize(
    ("number", "kind", "message"),
    [
        (errno.EROFS, NotWritableError, r"gallery: cannot be written \(read-only file system\); let this"),
        (errno.EACCES, NotWritableError, r"gallery: cannot be written \(permission denied\); let this"),
        (errno.ENOSPC, StorageError, "cannot lock the gallery .*gallery: the disk is full; free some space"),
        (errno.EIO, StorageError, "cannot lock the gallery .*gallery: input/output error"),
    ],
)
def test_a_gallery_that_becomes_unwritable_while_it_is_open_answers_nothing_without_its_audit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[StorageError], message: str
) -> None:
    filled(tmp_path / "gallery")
    gallery = Gallery.open(str(tmp_path / "gallery"))

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as refusing:
        refusing.setattr(filelock.FileLock, "acquire", refuse)
        for act in (
            lambda: gallery.search(np.ones(DIM), model=MODEL),
            lambda: gallery.enrol([Item(key="new")], np.ones((1, DIM)), model=MODEL),
            lambda: gallery.forget("p0"),
            lambda: gallery.backup(tmp_path / "backup"),
        ):
            with pytest.raises(kind, match=message) as caught:
                act()
            assert len(str(caught.value).splitlines()) == 1
    assert [entry.action for entry in gallery.audit()] == ["enrol", "search"]
    assert len(gallery.search(np.ones(DIM), model=MODEL).candidates) == 3
    gallery.close()


def test_a_folder_that_cannot_be_written_becomes_no_gallery(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot make the gallery"):
        open_store(str(tmp_path / "file" / "gallery"))


def test_a_forgetting_that_has_not_ended_is_not_shown_nor_backed_up() -> None:
    """Half of somebody would be: whoever may write has to end it first."""

    def make() -> MemoryStore:
        store = MemoryStore()
        items = [Item(key=f"crop{number}", identity="p1") for number in range(3)]
        Gallery(store).enrol(items, np.ones((3, DIM)), model=MODEL)
        return store

    num_refused = 0
    for store in stopped_after_each_write(make, lambda store: Gallery(store).forget("p1")):
        store.read_only = "read-only file system"
        if store.records("operation-journal"):
            num_refused += 1
            with pytest.raises(NotWritableError):
                Gallery(store)
            with pytest.raises(NotWritableError):
                Snapshot(store)
        else:
            assert Gallery(store).state().items == _restored(Snapshot(store)).count(f"items_{'a' * 16}")
    assert num_refused > 3


def test_it_says_once_that_searches_leave_no_trace(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    Gallery(store).enrol([Item(key="crop")], np.ones((1, DIM)), model=MODEL)
    store.read_only = "read-only file system"
    with caplog.at_level(logging.WARNING, "omnireid.gallery"):
        gallery = Gallery(store)
        gallery.identities()
        assert caplog.messages == []
        for _ in range(3):
            assert gallery.search(np.ones(DIM), model=MODEL).candidates
    assert caplog.messages == [
        "memory://: read-only (read-only file system): what is asked of it is not in its audit"
    ]
