"""Files that have an address in place of a path: S3, Google Cloud, Azure, and whatever else fsspec knows.

pyarrow reads them (`s3://`, `gs://`, `abfs://`, `hdfs://`), or fsspec with a package for the scheme. Keys,
regions and endpoints are those of the environment, as these libraries read them (AWS_ACCESS_KEY_ID, …), and
AWS_ENDPOINT, which galleries on object storage go by.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from omnireid.core.errors import InputError
from omnireid.core.extras import saying_the_extra


def is_remote(path: str | os.PathLike[str]) -> bool:
    """Whether it is an address: scheme://…"""
    return "://" in os.fspath(path)


def read_file(path: str | os.PathLike[str]) -> bytes:
    """The content of a file, here or at an address.

    Raises:
        OSError: it is not there, or cannot be read.
        InputError, MissingExtraError: an address that nothing here can read.
    """
    if not is_remote(path):
        return Path(path).read_bytes()
    files, name = _located(os.fspath(path))
    with files.open_input_stream(name) as stream:
        content: bytes = stream.read()
        return content


def list_files(address: str) -> list[str]:
    """Addresses of all files below one, or it itself where it is a file; sorted, without hidden ones.

    Raises:
        InputError: nothing is there, or nobody answers.
        MissingExtraError: pyarrow is not installed.
    """
    files, name = _located(address)
    from pyarrow import fs

    try:
        kind = files.get_file_info(name).type
        if kind == fs.FileType.File:
            return [address]
        infos = files.get_file_info(fs.FileSelector(name.rstrip("/"), recursive=True))
    except (OSError, ValueError) as error:
        raise InputError(f"{address}: cannot be listed ({error})") from error
    start = len(name.rstrip("/"))
    below = [info.path[start:] for info in infos if info.type == fs.FileType.File]
    return sorted(f"{address.rstrip('/')}{rest}" for rest in below if "/." not in rest)


def _located(address: str) -> tuple[Any, str]:
    """The file system of an address, and its name there."""
    scheme, _, rest = address.partition("://")
    authority, _, key = rest.partition("/")
    if scheme == "file":
        raise InputError(f"{address}: give the path of a file or folder of this machine, without file://")
    files, root = _file_system(f"{scheme}://{authority}")
    # The key as it is: an address proper would escape blanks and the like.
    return files, f"{root.rstrip('/')}/{key}"


@functools.cache
def _file_system(root: str) -> tuple[Any, str]:
    with saying_the_extra():
        import pyarrow as pa
        from pyarrow import fs

    try:
        files, path = fs.FileSystem.from_uri(root + _settings(root))
        return files, str(path)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        import fsspec

        try:
            found, path = fsspec.core.url_to_fs(root)
        except (ImportError, ValueError) as error:
            raise InputError(f"{root}: nothing installed reads such an address ({error})") from error
        return fs.PyFileSystem(fs.FSSpecHandler(found)), str(path)


def _settings(root: str) -> str:
    """Another service than Amazon's, as pyarrow takes it."""
    endpoint = os.environ.get("AWS_ENDPOINT") or os.environ.get("AWS_ENDPOINT_URL")
    if not endpoint or not root.startswith("s3://"):
        return ""
    server = urlsplit(endpoint)
    return "?" + urlencode({"endpoint_override": server.netloc, "scheme": server.scheme})
