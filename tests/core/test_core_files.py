"""Atomic writing: a reader sees the old content or the new."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from omnireid.core.errors import DiskFullError, StorageError
from omnireid.core.files import atomic_write, sha256_file, write_bytes, write_text


def test_content_is_written_and_folders_are_made(tmp_path):
    target = tmp_path / "a" / "b" / "ü.txt"
    write_text(target, "ü\n")
    assert target.read_bytes() == "ü\n".encode()
    write_bytes(target, b"new")
    assert target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o644
    assert [path.name for path in target.parent.iterdir()] == ["ü.txt"]


def test_an_error_in_the_block_leaves_the_old_content(tmp_path):
    target = tmp_path / "x"
    write_text(target, "old")

    def interrupted():
        with atomic_write(target) as stream:
            stream.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_an_error_about_another_file_keeps_its_name(tmp_path):
    def copy_from_nowhere():
        with atomic_write(tmp_path / "x") as stream:
            stream.write((tmp_path / "absent").read_bytes())

    with pytest.raises(FileNotFoundError, match="absent"):
        copy_from_nowhere()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_named_and_leaves_the_old_content(tmp_path, monkeypatch):
    target = tmp_path / "x"
    write_text(target, "old")
    real_fdopen = os.fdopen

    def full(descriptor, mode):
        os.close(descriptor)
        return real_fdopen(os.open("/dev/full", os.O_WRONLY), mode)

    monkeypatch.setattr(os, "fdopen", full)
    with pytest.raises(StorageError, match="the disk is full"):
        write_bytes(target, b"x" * 100_000)
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    def refused(*_args, **_kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", refused)
    with pytest.raises(StorageError, match="no permission"):
        write_bytes(tmp_path / "x", b"")


def test_a_file_where_a_folder_should_be(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write"):
        write_bytes(tmp_path / "file" / "x", b"")


def test_killed_at_any_moment_the_file_is_whole(tmp_path):
    """A child replaces the file again and again, and is killed: what remains is one whole content."""
    target = tmp_path / "x"
    code = (
        "import sys\nfrom omnireid.core.files import write_bytes\n"
        "for number in range(10**9):\n"
        "    write_bytes(sys.argv[1], bytes([number % 256]) * 300_000)\n"
    )
    for pause in (0.0, 0.01, 0.03):
        child = subprocess.Popen([sys.executable, "-c", code, str(target)])
        while not target.exists():
            time.sleep(0.005)
        time.sleep(pause)
        child.send_signal(signal.SIGKILL)
        child.wait()
        content = target.read_bytes()
        assert len(content) == 300_000
        assert len(set(content)) == 1
        target.unlink()


def test_sha256_is_that_of_the_content(tmp_path):
    content = b"omni" * 1_000_000
    write_bytes(tmp_path / "x", content)
    assert sha256_file(tmp_path / "x") == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_where_there_is_no_room_the_error_says_so_by_its_kind(tmp_path, monkeypatch, code):
    def full(_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFullError, match="the disk is full"):
        write_text(tmp_path / "a", "text")


def test_what_a_killed_writer_left_is_removed_and_others_are_not(tmp_path):
    target = tmp_path / "k.parquet"
    script = (
        "import os, signal, sys; from omnireid.core.files import atomic_write\n"
        "with atomic_write(sys.argv[1]) as stream:\n"
        "    stream.write(b'half'); stream.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(target)], check=False)
    (abandoned,) = tmp_path.iterdir()
    other = tmp_path / ".k.parquet.my own.tmp"
    other.write_bytes(b"of another file")
    with atomic_write(target, durable=False) as stream:
        stream.write(b"small")
    assert abandoned.exists()  # thousands of small files do not look for it
    with atomic_write(target) as stream:
        assert not abandoned.exists()
        # A second writer at the same time takes nothing from the first.
        write_bytes(target, b"second")
        stream.write(b"first")
    assert target.read_bytes() == b"first"
    assert sorted(tmp_path.iterdir()) == [other, target]
