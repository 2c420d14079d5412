"""Archives that lie where a dataset's folders should be: named in errors, unpacked safely when asked.

What an archive says is not trusted. All its names and sizes are checked before the first byte is written,
its content goes into a hidden folder beside it, and only a whole content is renamed into place.
"""

from __future__ import annotations

import lzma
import os
import re
import shutil
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from rich.console import Console

from omnireid.core.errors import DatasetError, StorageError
from omnireid.core.files import sha256_file, write_failure
from omnireid.core.progress import progress_bar

if TYPE_CHECKING:  # the card's module does not need this one
    from omnireid.data.datasets.card import DatasetCard

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".rar", ".7z")
OTHER_PROGRAMS = {".rar": "unrar x", ".7z": "7z x"}

# The largest benchmark (MARS) has 1.2 million files; none is above 100 GB, and pictures hardly shrink.
MAX_FILES = 2_000_000
MAX_BYTES = 2**40
MAX_RATIO = 200
# Text and drawings may shrink more than pictures: below this size no ratio is a danger.
RATIO_MATTERS_ABOVE = 10**8
# Names longer than a mebibyte are no names.
MAX_TAR_HEADER = 2**20

_BLOCK = 2**20
_DRIVE = re.compile(r"[A-Za-z]:")
_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    lzma.LZMAError,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,  # zipfile, of a compression it does not know
    RuntimeError,  # zipfile, of encryption; tarfile, of headers without end
    ValueError,
)


def find_archives(root: Path, card: DatasetCard) -> list[Path]:
    """Archives in `root` and around the card's places below it, those that the card names first."""
    places = [root / folder for folder in card.places if folder]
    folders = dict.fromkeys([root, *places, *(folder.parent for folder in places)])
    archives = [
        path
        for folder in folders
        if folder.is_dir()
        for path in sorted(folder.iterdir())
        if path.name.lower().endswith(ARCHIVE_SUFFIXES) and path.is_file()
    ]
    return sorted(archives, key=lambda path: path.name not in card.archives)


def archive_hint(root: Path, card: DatasetCard) -> str:
    """What to say of archives in an error about missing folders; empty where there are none."""
    archives = find_archives(root, card)
    named = [path for path in archives if path.name in card.archives] or archives
    if not named:
        return ""
    program = _other_program(named[0])
    how = f"with '{program}'" if program else "or pass extract=True (--extract)"
    if len(named) == 1:
        return f" Found the archive {named[0]}: unpack it there, {how}."
    return f" Found the archives {', '.join(map(str, named))}: unpack each where it lies, {how}."


def extract_archives(root: Path, card: DatasetCard, *, console: Console | None = None) -> tuple[Path, ...]:
    """Unpack a dataset's archives where they lie: those that the card names, else the only one there.

    An archive with one folder at its top appears by one rename: killed at any moment, all of it is there
    or nothing. Where it has several, those with the card's markers come last. Folders that are there
    already are completed; a file that is there already must have the same content. Archives inside
    archives stay as they are.

    Returns:
        The archives that were unpacked; empty where none was found.

    Raises:
        DatasetError: several archives and none that the card names, an archive that is damaged,
            encrypted, of a kind that only another program reads (.rar, .7z), being unpacked by another
            process, or that holds what no dataset needs: paths that lead out of the folder, links,
            devices, a name twice, more files or bytes than the limits of this module.
        StorageError: no room or no permission. Nothing is left.
    """
    archives = find_archives(root, card)
    chosen = [path for path in archives if path.name in card.archives] or archives
    is_ambiguous = len({path.name for path in chosen}) < len(chosen)
    if is_ambiguous or (len(chosen) > 1 and chosen[0].name not in card.archives):
        named = f" (known by name: {', '.join(card.archives)})" if card.archives else ""
        raise DatasetError(
            f"{root}: several archives, and it is not clear which hold {card.title}{named}:\n  "
            + "\n  ".join(map(str, chosen))
            + "\nUnpack the right ones by hand, or move the others away."
        )
    for archive in chosen:
        extract_archive(archive, console=console, last=_marker_paths(root, card))
    return tuple(chosen)


def extract_archive(archive: Path, *, console: Console | None = None, last: tuple[Path, ...] = ()) -> None:
    """Unpack one archive into the folder it lies in, as `extract_archives` says.

    Args:
        last: paths whose presence makes others believe that everything is there.
    """
    if program := _other_program(archive):
        raise DatasetError(f"{archive}: cannot be unpacked here; do it with '{program}', then run again")
    with _locked(archive) as is_alone, _explained(archive):
        num_files, num_bytes = _survey(archive)
        _require_space(archive, num_files, num_bytes)
        with _hidden_folder(archive, is_alone) as content:
            _unpack(archive, content, num_bytes, console)
            moves = _moves(content, archive.parent, archive)
            moves.sort(key=lambda move: any(_is_on_the_way(move[1], path) for path in last))
            for source, target in moves:
                source.rename(target)


@dataclass(frozen=True, slots=True)
class _Member:
    name: str  # as written in the archive
    size: int
    kind: str  # "file", "folder", or what it is that is refused
    open: Callable[[], IO[bytes]]


def _members(archive: Path) -> Iterator[_Member]:
    return _zip_members(archive) if archive.name.lower().endswith(".zip") else _tar_members(archive)


def _zip_members(path: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.flag_bits & 0x1:
                raise DatasetError(
                    f"{path}: encrypted; unpack it by hand with its password (e.g. '7z x'), then run again"
                )
            mode = stat.S_IFMT(info.external_attr >> 16)
            if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
                kind = "a symbolic link" if mode == stat.S_IFLNK else "a device or other special file"
            else:
                kind = "folder" if info.is_dir() or mode == stat.S_IFDIR else "file"
            # The original name: the other one ends at the first NUL.
            yield _Member(info.orig_filename, info.file_size, kind, partial(archive.open, info))


class _BoundedHeader(tarfile.TarInfo):
    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _BoundedHeader:
        header = super().frombuf(buf, encoding, errors)
        # Long names and attributes are read into memory at once, whatever size their header claims.
        if header.type in b"xgXLK" and header.size > MAX_TAR_HEADER:
            raise tarfile.ReadError(f"a header of {header.size:,} bytes")
        return header


def _tar_members(path: Path) -> Iterator[_Member]:
    with tarfile.open(path, "r:*", tarinfo=_BoundedHeader) as archive:
        while (info := archive.next()) is not None:
            # Else the headers of a million files stay in memory.
            archive.members.clear()  # type: ignore[attr-defined]
            if info.isdir():
                kind = "folder"
            elif info.isreg():
                kind = "file"
            else:
                kind = "a link" if info.issym() or info.islnk() else "a device or other special file"
            yield _Member(info.name, info.size, kind, partial(_tar_content, archive, info))
        _require_tar_end(archive)


def _tar_content(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    content = archive.extractfile(info)
    assert content is not None, "only regular files are opened"
    return content


def _require_tar_end(archive: tarfile.TarFile) -> None:
    # tarfile takes a header cut off or damaged in the middle for the end; the end is a block of zeros.
    stream = archive.fileobj
    assert stream is not None, "open for reading"
    stream.seek(archive.offset)
    if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("it ends in the middle")
    # The compressed stream's checksum comes after the padding, which is short.
    stream.read(_BLOCK)


def _survey(archive: Path) -> tuple[int, int]:
    """Number of files and bytes of an archive whose members are all acceptable."""
    archive_bytes = archive.stat().st_size
    num_bytes = 0
    files: set[str] = set()
    folders: set[str] = set()
    for member in _members(archive):
        if member.kind not in ("file", "folder"):
            raise _refused(archive, member, f"{member.kind}, which no dataset needs")
        path = _safe_path(archive, member)
        if path is None:
            continue
        for parent in path.parents:
            if str(parent) in folders:
                break
            folders.add(str(parent))
        if member.kind == "folder":
            folders.add(str(path))
            continue
        if str(path) in files:
            raise _refused(archive, member, "a name that occurs twice")
        files.add(str(path))
        num_bytes += member.size
        if len(files) > MAX_FILES:
            raise DatasetError(f"{archive}: refused: more than {MAX_FILES:,} files")
        if num_bytes > MAX_BYTES:
            raise DatasetError(f"{archive}: refused: more than {MAX_BYTES:,} bytes of content")
        if num_bytes > max(RATIO_MATTERS_ABOVE, MAX_RATIO * archive_bytes):
            raise DatasetError(
                f"{archive}: refused: {archive_bytes:,} bytes that unpack to {num_bytes:,} or more, above "
                f"{MAX_RATIO} to 1; no pictures do. Get the archive again from its source"
            )
    if clash := sorted(files & folders):
        raise DatasetError(f"{archive}: refused: {clash[0]!r} is a file and a folder at once")
    return len(files), num_bytes


def _safe_path(archive: Path, member: _Member) -> PurePosixPath | None:
    """Where a member goes below the target folder; None for what is left out."""
    name = member.name
    if "\\" in name or "\0" in name or name.startswith("/") or _DRIVE.match(name):
        raise _refused(archive, member, "not a relative path with '/'")
    path = PurePosixPath(name)  # drops "." and trailing slashes
    if ".." in path.parts:
        raise _refused(archive, member, "a path that leads out of the folder")
    if not path.parts:
        if member.kind == "file":
            raise _refused(archive, member, "a file without a name")
        return None
    # What macOS adds to zip files; nobody means it as data.
    return None if path.parts[0] == "__MACOSX" else path


def _refused(archive: Path, member: _Member, what: str) -> DatasetError:
    return DatasetError(
        f"{archive}: refused: it holds {member.name!r}: {what}. Nothing was unpacked. "
        "Get the archive again from its source, or unpack it by hand if you trust it"
    )


def _unpack(archive: Path, content: Path, num_bytes: int, console: Console | None) -> None:
    known: set[Path] = set()
    with progress_bar(console, transient=True) as bar:
        task = bar.add_task(f"unpacking {archive.name}, MB", total=num_bytes / 1e6)
        for member in _members(archive):
            path = _safe_path(archive, member)
            if path is None:
                continue
            target = content / path
            folder = target if member.kind == "folder" else target.parent
            if folder not in known:
                folder.mkdir(parents=True, exist_ok=True)
                known.add(folder)
            if member.kind == "file":
                # "x": on a disk where A.jpg and a.jpg are one file, the second one fails.
                with member.open() as source, target.open("xb") as copy:
                    while block := source.read(_BLOCK):
                        copy.write(block)
                        bar.advance(task, len(block) / 1e6)
    if hasattr(os, "sync"):  # one flush, instead of one for each of a hundred thousand files
        os.sync()


def _moves(content: Path, target: Path, archive: Path) -> list[tuple[Path, Path]]:
    """The fewest renames that put `content` into `target`, without those whose file is there already."""
    moves = []
    for source in sorted(content.iterdir()):
        there = target / source.name
        if not os.path.lexists(there):
            moves.append((source, there))
        elif source.is_dir() and there.is_dir():
            moves += _moves(source, there, archive)
        elif not (source.is_file() and there.is_file() and _is_same_content(source, there)):
            raise DatasetError(
                f"{there}: is there already, and differs from what {archive.name} holds. Nothing was "
                "changed; move it away and run again"
            )
    return moves


def _is_same_content(first: Path, other: Path) -> bool:
    return first.stat().st_size == other.stat().st_size and sha256_file(first) == sha256_file(other)


def _marker_paths(root: Path, card: DatasetCard) -> tuple[Path, ...]:
    return tuple(root / folder / marker for folder in card.places for marker in card.markers)


def _is_on_the_way(target: Path, marker: Path) -> bool:
    return marker.is_relative_to(target) or target.is_relative_to(marker)


def _other_program(archive: Path) -> str | None:
    return OTHER_PROGRAMS.get(archive.suffix.lower())


def _require_space(archive: Path, num_files: int, num_bytes: int) -> None:
    needed = num_bytes + 4096 * num_files  # a file takes whole blocks
    free = shutil.disk_usage(archive.parent).free
    if free < needed:
        raise StorageError(
            f"{archive}: needs {needed / 1e9:,.1f} GB, {archive.parent} has {free / 1e9:,.1f} GB free; "
            "free some space and run the command again"
        )


@contextmanager
def _locked(archive: Path) -> Iterator[bool]:
    """Keep a second process from unpacking the same archive; the lock ends with the process.

    Gives whether there is a lock: some network file systems have none.
    """
    try:
        stream = archive.open("rb")
    except OSError as error:
        raise DatasetError(f"{archive}: cannot be read ({error.strerror or error})") from error
    with stream:
        try:
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_alone = True
        except BlockingIOError:
            raise DatasetError(f"{archive}: another process is unpacking it; wait until it is done") from None
        except (ImportError, OSError):
            is_alone = False
        yield is_alone


@contextmanager
def _hidden_folder(archive: Path, is_alone: bool) -> Iterator[Path]:
    """A new folder beside the archive, removed in the end, as are those that killed processes left."""
    prefix = f".{archive.name}.unpacking-"
    for path in archive.parent.iterdir():
        if is_alone and path.name.startswith(prefix):
            shutil.rmtree(path, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=archive.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _explained(archive: Path) -> Iterator[None]:
    """Turn what archive libraries and disks raise into errors that name the archive."""
    try:
        yield
    except _DAMAGE as error:
        raise _damaged(archive, error) from error
    except OSError as error:
        if error.errno is None:  # gzip and bz2, of bad content
            raise _damaged(archive, error) from error
        raise StorageError(f"cannot unpack {archive}: {write_failure(error)}") from error


def _damaged(archive: Path, error: Exception) -> DatasetError:
    reason = str(error).partition("\n")[0] or type(error).__name__
    return DatasetError(
        f"{archive}: damaged, incomplete, or not the kind of archive that its name says ({reason}). "
        "Get it again from its source"
    )
