"""Archives are named where folders are missing, unpacked whole or not at all, and never trusted."""

from __future__ import annotations

import gc
import io
import os
import signal
import stat
import struct
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from omnireid.core.errors import DatasetError, OmniReIDError, StorageError
from omnireid.data import archives
from omnireid.data.archives import archive_hint, extract_archive, extract_archives, find_archives
from omnireid.data.datasets import dataset_card, read_dataset
from omnireid.data.datasets.card import DatasetCard

Content = dict[str, bytes]

CARD = DatasetCard(
    name="mini",
    title="Mini",
    layout="mini/{train,test}/*.jpg",
    places=("mini/Mini-v1", "mini"),
    markers=("train", "test"),
    archives=("train.zip", "test.tar.gz"),
)
TREE: Content = {
    "Mini/train/0001_c1.jpg": b"one",
    "Mini/train/0002_c1.jpg": b"two" * 1000,
    "Mini/test/données 3.jpg": b"three",
    "Mini/list.txt": b"",
}


def write_zip(path: Path, content: Content, **more: object) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def tar_member(name: str, data: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, io.BytesIO]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, io.BytesIO(data)


def write_tar(path: Path, content: Content, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, data in content.items():
            archive.addfile(*tar_member(name, data))
    return path


WRITERS: dict[str, Callable[[Path, Content], Path]] = {
    "data.zip": write_zip,
    "data.tar": write_tar,
    "data.tar.gz": lambda path, content: write_tar(path, content, "w:gz"),
    "data.tgz": lambda path, content: write_tar(path, content, "w:gz"),
    "data.tar.bz2": lambda path, content: write_tar(path, content, "w:bz2"),
    "data.tar.xz": lambda path, content: write_tar(path, content, "w:xz"),
}


def files(root: Path) -> Content:
    """Everything below root, hidden files too."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def refusal(archive: Path) -> str:
    """Unpack, which must fail and leave the folder as it was; what was said."""
    before = sorted(archive.parent.rglob("*"))
    with pytest.raises(DatasetError) as caught:
        extract_archive(archive)
    assert sorted(archive.parent.rglob("*")) == before
    assert archive.name in str(caught.value)
    return str(caught.value)


# --- what is unpacked -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", WRITERS)
def test_every_kind_is_unpacked_beside_itself(tmp_path, name):
    archive = WRITERS[name](tmp_path / name, TREE)
    packed = archive.read_bytes()
    extract_archive(archive)
    assert files(tmp_path) == {name: packed, **TREE}


def test_folders_alone_dots_and_what_macos_adds(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for folder in (".", "./", "./empty", "./empty/deep/"):
            archive.addfile(*tar_member(folder, type=tarfile.DIRTYPE))
        archive.addfile(*tar_member("./x//./x.jpg", b"1"))
    extract_archive(tmp_path / "a.tar")
    assert (tmp_path / "empty" / "deep").is_dir()
    write_zip(tmp_path / "b.zip", {"d/y.jpg": b"2", "__MACOSX/d/._y.jpg": b"3"})
    extract_archive(tmp_path / "b.zip")
    assert set(files(tmp_path)) == {"a.tar", "b.zip", "x/x.jpg", "d/y.jpg"}


def test_permissions_do_not_come_from_the_archive(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(*tar_member("d", type=tarfile.DIRTYPE, mode=0o000))
        archive.addfile(*tar_member("d/x.jpg", b"1", mode=0o6777, uid=12345, gid=12345))
    mask = os.umask(0o022)
    try:
        extract_archive(tmp_path / "a.tar")
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == 0o755
    status = (tmp_path / "d" / "x.jpg").stat()
    assert stat.S_IMODE(status.st_mode) == 0o644
    assert status.st_uid == os.getuid()


def test_archives_inside_archives_stay(tmp_path):
    inner = write_zip(tmp_path / "inner.zip", {"x.jpg": b"1"}).read_bytes()
    (tmp_path / "inner.zip").unlink()
    extract_archive(write_zip(tmp_path / "outer.zip", {"d/inner.zip": inner}))
    assert files(tmp_path).keys() == {"outer.zip", "d/inner.zip"}


# --- what is there already --------------------------------------------------------------------------


def test_an_unfinished_folder_is_completed(tmp_path):
    archive = write_zip(tmp_path / "data.zip", TREE)
    (tmp_path / "Mini" / "train").mkdir(parents=True)
    (tmp_path / "Mini" / "train" / "0001_c1.jpg").write_bytes(b"one")
    (tmp_path / "Mini" / "mine.txt").write_bytes(b"mine")
    extract_archive(archive)
    extract_archive(archive)
    assert files(tmp_path) == {"data.zip": archive.read_bytes(), "Mini/mine.txt": b"mine", **TREE}


@pytest.mark.parametrize("there", [b"onE", b"on", None])
def test_nothing_is_overwritten(tmp_path, there):
    archive = write_zip(tmp_path / "data.zip", TREE)
    path = tmp_path / "Mini" / "train" / "0001_c1.jpg"
    path.parent.mkdir(parents=True)
    path.mkdir() if there is None else path.write_bytes(there)
    assert "is there already, and differs" in refusal(archive)
    assert there is None or path.read_bytes() == there


# --- which archives -----------------------------------------------------------------------------------


def test_all_archives_that_the_card_names_are_unpacked_where_they_lie(tmp_path):
    (tmp_path / "mini").mkdir()
    write_zip(tmp_path / "mini" / "train.zip", {"train/1.jpg": b"1"})
    write_tar(tmp_path / "mini" / "test.tar.gz", {"test/2.jpg": b"2"}, "w:gz")
    write_zip(tmp_path / "other.zip", {"holiday/3.jpg": b"3"})
    hint = archive_hint(tmp_path, CARD)
    assert all(text in hint for text in ("train.zip", "test.tar.gz", "--extract"))
    assert "other" not in hint
    assert {path.name for path in extract_archives(tmp_path, CARD)} == {"train.zip", "test.tar.gz"}
    assert {"mini/train/1.jpg", "mini/test/2.jpg"} <= files(tmp_path).keys()
    assert not (tmp_path / "holiday").exists()


def test_a_single_archive_of_any_name_is_taken_and_several_are_not(tmp_path):
    write_zip(tmp_path / "download (1).zip", {"train/1.jpg": b"1"})
    assert "download (1).zip" in archive_hint(tmp_path, CARD)
    extract_archives(tmp_path, CARD)
    assert (tmp_path / "train" / "1.jpg").exists()
    write_zip(tmp_path / "download (2).zip", {"train/2.jpg": b"1"})
    with pytest.raises(DatasetError, match=r"(?s)several archives.*train\.zip.*\(1\)\.zip\n.*\(2\)\.zip"):
        extract_archives(tmp_path, CARD)
    assert not (tmp_path / "train" / "2.jpg").exists()


def test_one_name_in_two_folders_is_ambiguous(tmp_path):
    (tmp_path / "mini").mkdir()
    for folder in (tmp_path, tmp_path / "mini"):
        write_zip(folder / "train.zip", {"train/1.jpg": b"1"})
    with pytest.raises(DatasetError, match="several archives"):
        extract_archives(tmp_path, CARD)


def test_archives_are_looked_for_in_the_root_and_below_never_above(tmp_path):
    root = tmp_path / "root"
    (root / "mini" / "Mini-v1").mkdir(parents=True)
    for folder in (tmp_path, root, root / "mini", root / "mini" / "Mini-v1"):
        write_zip(folder / "a.ZIP", {"1.jpg": b""})
    (root / "folder.zip").mkdir()
    wanted = {root / "a.ZIP", root / "mini" / "a.ZIP", root / "mini" / "Mini-v1" / "a.ZIP"}
    assert set(find_archives(root, CARD)) == wanted
    card = dataset_card("market1501")
    assert "" in card.places
    assert find_archives(root / "mini" / "Mini-v1", card) == [root / "mini" / "Mini-v1" / "a.ZIP"]


def test_no_archive_means_nothing_to_do(tmp_path):
    assert archive_hint(tmp_path, CARD) == ""
    assert extract_archives(tmp_path, CARD) == ()


@pytest.mark.parametrize(("name", "program"), [("data.rar", "unrar x"), ("data.7z", "7z x")])
def test_what_only_other_programs_unpack(tmp_path, name, program):
    (tmp_path / name).write_bytes(b"Rar!")
    assert program in refusal(tmp_path / name)
    hint = archive_hint(tmp_path, CARD)
    assert program in hint
    assert "--extract" not in hint


def test_a_reader_names_the_archive_or_unpacks_it(tmp_path):
    place = "Market-1501-v15.09.15"
    content = {
        f"{place}/{folder}/0001_c1s1_000001_00.jpg": b"x"
        for folder in ("bounding_box_train", "query", "bounding_box_test")
    }
    (tmp_path / "market1501").mkdir()
    archive = write_zip(tmp_path / "market1501" / f"{place}.zip", content)
    with pytest.raises(DatasetError, match=r"Found the archive .*Market-1501-v15\.09\.15\.zip.*--extract"):
        read_dataset("market1501", tmp_path, check_counts=False)
    data = read_dataset("market1501", tmp_path, check_counts=False, extract=True)
    assert [len(split) for split in data.splits] == [1, 1, 1]
    assert data.root == str(archive.parent / place)
    # Once there, the archive is not looked at again.
    archive.write_bytes(b"broken")
    read_dataset("market1501", tmp_path, check_counts=False, extract=True)


def test_an_archive_of_something_else_is_named_after_unpacking(tmp_path):
    write_zip(tmp_path / "x.zip", {"holiday/1.jpg": b"1"})
    with pytest.raises(DatasetError, match=r"missing: bounding_box_train.*Unpacked: .*x\.zip"):
        read_dataset("market1501", tmp_path, extract=True)
    (tmp_path / "x.zip").unlink()
    with pytest.raises(DatasetError, match="no archive was found"):
        read_dataset("market1501", tmp_path, extract=True)


# --- hostile archives ---------------------------------------------------------------------------------

BAD_NAMES = [
    "../evil.jpg",
    "a/../../evil.jpg",
    "a/..",
    "/etc/evil.jpg",
    "//server/share/evil.jpg",
    "C:/evil.jpg",
    "c:evil.jpg",
    "..\\evil.jpg",
    "a\\evil.jpg",
]


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("kind", ["data.zip", "data.tar", "data.tar.gz"])
def test_paths_that_lead_elsewhere_are_refused(tmp_path, kind, name):
    (tmp_path / "in").mkdir()
    archive = WRITERS[kind](tmp_path / "in" / kind, {"ok.jpg": b"1", name: b"2"})
    assert repr(name) in refusal(archive)
    assert list(tmp_path.iterdir()) == [tmp_path / "in"]


def test_a_name_with_nul_is_refused(tmp_path):
    archive = write_zip(tmp_path / "data.zip", {"ok.jpg_evil": b"1"})
    archive.write_bytes(archive.read_bytes().replace(b"ok.jpg_evil", b"ok.jpg\0evil"))
    assert "not a relative path" in refusal(archive)


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"type": tarfile.SYMTYPE, "linkname": "/etc"}, "a link"),
        ({"type": tarfile.SYMTYPE, "linkname": "ok.jpg"}, "a link"),
        ({"type": tarfile.LNKTYPE, "linkname": "ok.jpg"}, "a link"),
        ({"type": tarfile.CHRTYPE}, "a device"),
        ({"type": tarfile.BLKTYPE}, "a device"),
        ({"type": tarfile.FIFOTYPE}, "a device"),
    ],
)
def test_links_and_devices_in_tar_are_refused(tmp_path, fields, what):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(*tar_member("ok.jpg", b"1"))
        archive.addfile(*tar_member("link", **fields))
    assert f"'link': {what}" in refusal(tmp_path / "a.tar")


@pytest.mark.parametrize(("mode", "what"), [(stat.S_IFLNK, "a symbolic link"), (stat.S_IFIFO, "a device")])
def test_links_and_devices_in_zip_are_refused(tmp_path, mode, what):
    info = zipfile.ZipInfo("link")
    info.external_attr = (mode | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("ok.jpg", b"1")
        archive.writestr(info, "/etc")
    assert f"'link': {what}" in refusal(tmp_path / "a.zip")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("second", ["d/1.jpg", "d/./1.jpg", "d//1.jpg", "./d/1.jpg"])
@pytest.mark.parametrize("suffix", ["zip", "tar"])
def test_a_name_twice_is_refused(tmp_path, suffix, second):
    if suffix == "zip":
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as zipped:
            for name in ("d/1.jpg", second):
                zipped.writestr(name, b"x")
    else:
        with tarfile.open(tmp_path / "a.tar", "w") as tarred:
            for name in ("d/1.jpg", second):
                tarred.addfile(*tar_member(name, b"x"))
    assert "occurs twice" in refusal(tmp_path / f"a.{suffix}")


@pytest.mark.parametrize("names", [("d", "d/1.jpg"), ("d/1.jpg", "d")])
def test_a_file_that_is_a_folder_too_is_refused(tmp_path, names):
    assert "a file and a folder" in refusal(write_zip(tmp_path / "a.zip", dict.fromkeys(names, b"x")))


def test_too_many_files_are_refused(tmp_path, monkeypatch):
    archive = write_tar(tmp_path / "a.tar", {f"{number}.jpg": b"" for number in range(11)})
    monkeypatch.setattr(archives, "MAX_FILES", 10)
    assert "more than 10 files" in refusal(archive)


def test_too_many_bytes_are_refused(tmp_path, monkeypatch):
    archive = write_tar(tmp_path / "a.tar", {"1.jpg": bytes(600), "2.jpg": bytes(600)})
    monkeypatch.setattr(archives, "MAX_BYTES", 1000)
    assert "more than 1,000 bytes" in refusal(archive)


def test_bombs_are_refused_by_what_their_headers_claim(tmp_path):
    bomb = write_zip(tmp_path / "a.zip", {"zeros.bin": bytes(1000)})
    packed = bytearray(bomb.read_bytes())
    # The size in the central directory, which a hostile writer is free to choose.
    struct.pack_into("<I", packed, packed.index(b"PK\x01\x02") + 24, 3 * 10**9)
    bomb.write_bytes(packed)
    assert "above 200 to 1" in refusal(bomb)
    # A tar that claims a terabyte: refused at the header, not after a terabyte of zeros.
    header = tar_member("zeros.bin")[0]
    header.size = 10**12
    (tmp_path / "b.tar").write_bytes(header.tobuf() + bytes(10_240))
    start = time.monotonic()
    assert "above 200 to 1" in refusal(tmp_path / "b.tar")
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("suffix", ["zip", "tar.gz"])
def test_a_real_bomb_is_refused(tmp_path, suffix):
    # 128 MiB of zeros in about 130 kB.
    archive = WRITERS[f"data.{suffix}"](tmp_path / f"data.{suffix}", {"zeros.bin": bytes(2**27)})
    assert archive.stat().st_size < 10**6
    assert "above 200 to 1" in refusal(archive)


def test_a_small_text_may_shrink_as_it_likes(tmp_path):
    extract_archive(write_zip(tmp_path / "a.zip", {"list.txt": b"0" * 10**6}))
    assert (tmp_path / "list.txt").stat().st_size == 10**6


def test_a_tar_header_that_claims_gigabytes_of_name_is_refused(tmp_path):
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2**31
    (tmp_path / "a.tar").write_bytes(tar_member("ok.jpg")[0].tobuf() + info.tobuf() + bytes(10_240))
    assert "a header of 2,147,483,648 bytes" in refusal(tmp_path / "a.tar")


def test_headers_without_end_are_refused(tmp_path):
    pax = tarfile.TarInfo("pax")
    pax.type, pax.size = tarfile.XHDTYPE, 0
    (tmp_path / "a.tar").write_bytes(pax.tobuf() * 3000 + bytes(10_240))
    assert "damaged" in refusal(tmp_path / "a.tar")


def test_the_headers_of_many_files_do_not_stay_in_memory(tmp_path):
    archive = write_tar(tmp_path / "a.tar", {f"{number:05d}.jpg": b"" for number in range(5000)})

    def num_headers() -> int:
        # Not isinstance: it asks weak references for the class of what may be gone.
        return sum(type(one) is tarfile.TarInfo for one in gc.get_objects())

    before = num_headers()  # of other tests
    alive = [num_headers() for number, _ in enumerate(archives._tar_members(archive)) if number % 1000 == 999]
    assert len(alive) == 5
    assert max(alive) < before + 20


def test_an_encrypted_zip_is_named(tmp_path):
    archive = write_zip(tmp_path / "a.zip", {"1.jpg": b"1"})
    packed = bytearray(archive.read_bytes())
    packed[packed.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(packed)
    assert "with its password" in refusal(archive)


# --- damage -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [0, 10, 0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("name", WRITERS)
def test_an_archive_cut_off_anywhere_is_named(tmp_path, name, kept):
    noise = {f"d/{number}.jpg": os.urandom(700 + 300 * number) for number in range(20)}
    archive = WRITERS[name](tmp_path / name, noise)
    packed = archive.read_bytes()
    if name == "data.tar":
        packed = packed.rstrip(b"\0")  # the padding is no loss
    archive.write_bytes(packed[: kept if isinstance(kept, int) else int(len(packed) * kept)])
    assert "damaged, incomplete" in refusal(archive)


def test_a_tar_cut_off_between_two_files_is_named(tmp_path):
    archive = write_tar(tmp_path / "a.tar", {"1.jpg": bytes(512), "2.jpg": bytes(512)})
    for blocks in (2, 3, 4):  # after the first file, after the second's header, after the second file
        cut = tmp_path / f"{blocks}" / "a.tar"
        cut.parent.mkdir()
        cut.write_bytes(archive.read_bytes()[: 512 * blocks])
        assert "damaged, incomplete" in refusal(cut)


@pytest.mark.parametrize("name", ["data.zip", "data.tar.gz", "data.tar.bz2", "data.tar.xz"])
def test_a_flipped_bit_is_found_by_the_checksum(tmp_path, name):
    archive = WRITERS[name](tmp_path / name, {"1.jpg": os.urandom(50_000), "1.txt": bytes(range(200)) * 99})
    whole = archive.read_bytes()
    # In the middle of noise; a zip names its files, so the start of the compressed text can be hit too.
    places = [len(whole) // 2, *([whole.index(b"1.txt") + 9] if name == "data.zip" else [])]
    for place in places:
        packed = bytearray(whole)
        packed[place] ^= 0x77
        archive.write_bytes(packed)
        assert "damaged, incomplete" in refusal(archive)


def test_something_else_of_that_name_is_named(tmp_path):
    for name in WRITERS:
        (tmp_path / name).write_bytes(b"<html>404 not found</html>" * 100)
        assert "damaged, incomplete" in refusal(tmp_path / name)


# --- disks, kills and other processes ------------------------------------------------------------------


def test_too_little_space_is_known_before(tmp_path, monkeypatch):
    archive = write_zip(tmp_path / "a.zip", TREE)
    usage = type("Usage", (), {"free": 10_000})()
    monkeypatch.setattr("shutil.disk_usage", lambda _path: usage)
    with pytest.raises(StorageError, match="free some space"):
        extract_archive(archive)
    assert files(tmp_path).keys() == {"a.zip"}


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files")
def test_a_disk_that_refuses_leaves_nothing(tmp_path):
    write_zip(tmp_path / "a.zip", {"d/1.jpg": b"1", "d/2.jpg": os.urandom(300_000)})
    code = (
        "import resource, sys\nfrom pathlib import Path\n"
        "from omnireid.core.errors import StorageError\nfrom omnireid.data.archives import extract_archive\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "try:\n    extract_archive(Path(sys.argv[1]))\nexcept StorageError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.zip")], capture_output=True, text=True, check=True
    )
    assert "cannot unpack" in done.stdout
    assert list(tmp_path.iterdir()) == [tmp_path / "a.zip"]


@pytest.mark.skipif(sys.platform == "win32", reason="kills with a signal")
def test_killed_at_any_moment_all_is_there_or_nothing(tmp_path):
    """A child unpacks and is killed, sooner and later; the next call completes and cleans up."""
    content = {f"Mini/{number % 10}/{number}.jpg": bytes([number % 256]) * 500 for number in range(4000)}
    archive = write_tar(tmp_path / "data.tar", content)
    code = (
        "import sys\nfrom pathlib import Path\nfrom omnireid.data.archives import extract_archive\n"
        "print('go', flush=True)\nextract_archive(Path(sys.argv[1]))\n"
    )
    outcomes = set()
    for pause in (0.0, 0.2, 0.5, 2.0):
        child = subprocess.Popen([sys.executable, "-c", code, str(archive)], stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(pause)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        is_there = (tmp_path / "Mini").exists()
        outcomes.add(is_there)
        if is_there:
            assert files(tmp_path / "Mini").keys() == {name.removeprefix("Mini/") for name in content}
    assert False in outcomes, "no kill came early enough to mean anything"
    extract_archive(archive)
    packed = archive.read_bytes()
    assert files(tmp_path) == {"data.tar": packed, **content}


@pytest.mark.skipif(sys.platform == "win32", reason="has no advisory locks")
def test_a_second_process_is_told_to_wait(tmp_path):
    archive = write_zip(tmp_path / "a.zip", TREE)
    leftover = tmp_path / ".a.zip.unpacking-live"
    leftover.mkdir()
    code = (
        "import fcntl, sys\nstream = open(sys.argv[1], 'rb')\nfcntl.flock(stream, fcntl.LOCK_SH)\n"
        "print('locked', flush=True)\nsys.stdin.read()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(archive)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    child.stdout.readline()
    assert "another process" in refusal(archive)
    assert leftover.exists()
    child.communicate()
    extract_archive(archive)
    assert not leftover.exists()


def test_what_makes_a_reader_believe_comes_last(tmp_path, monkeypatch):
    moved: list[str] = []
    rename = Path.rename
    monkeypatch.setattr(Path, "rename", lambda self, to: (moved.append(Path(to).name), rename(self, to))[1])
    write_zip(tmp_path / "x.zip", {"a/1": b"", "train/1": b"", "test/1": b"", "z/1": b""})
    card = DatasetCard("m", "M", "", places=("m", ""), markers=("train", "test"))
    extract_archives(tmp_path, card)
    assert moved == ["a", "z", "test", "train"]


def test_an_archive_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(OmniReIDError, match="cannot be read"):
        extract_archive(tmp_path / "absent.zip")
