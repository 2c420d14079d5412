"""Pictures at addresses: on an S3 server, and where fsspec alone knows the scheme."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from omnireid.core.errors import ImageError, InputError
from omnireid.core.images import decode
from omnireid.core.remote import _file_system, list_files, read_file
from omnireid.inference.sources import collect_samples

NAMES = ("a.png", "b/c/#1.png", "b/with blank & 50%.png", ".hidden/x.png", "notes.txt")


def png(level: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (4, 8), (level, 0, 0)).save(stream, format="PNG")
    return stream.getvalue()


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of a folder on an S3 server."""
    module = pytest.importorskip("gallery.bucket", reason="moto, Flask and boto3 are not installed")
    opened = module.Bucket()
    for name, value in opened.environment.items():
        monkeypatch.setenv(name, value)
    _file_system.cache_clear()
    for level, name in enumerate(NAMES):
        opened._client.put_object(Bucket=module.BUCKET, Key=f"crops/{name}", Body=png(level))
    yield f"s3://{module.BUCKET}/crops"
    opened.close()
    _file_system.cache_clear()


def test_pictures_of_a_bucket(bucket: str, tmp_path: Path) -> None:
    samples = collect_samples(bucket)
    assert [sample.path for sample in samples] == [f"{bucket}/{name}" for name in NAMES[:3]]
    assert collect_samples(f"{bucket}/") == samples
    assert [decode(sample.path)[0, 0, 0] for sample in samples] == [0, 1, 2]
    assert collect_samples(samples[1].path) == [samples[1]]
    with pytest.raises(ImageError, match=r"s3://.*/absent.png: "):
        decode(f"{bucket}/absent.png")
    with pytest.raises(InputError, match="absent: cannot be listed"):
        collect_samples(f"{bucket}/absent")
    with pytest.raises(InputError, match=rf"{bucket}/notes.txt: no picture found"):
        collect_samples(f"{bucket}/notes.txt")
    manifest = tmp_path / "people.csv"
    manifest.write_text(f'path,pid,split\n"{samples[0].path}",3,query\n')
    assert [(sample.path, sample.pid) for sample in collect_samples(manifest)] == [(samples[0].path, 3)]


def test_a_scheme_of_fsspec() -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    for level, name in enumerate(NAMES):
        memory.pipe(f"/omnireid/{name}", png(level))
    assert list_files("memory://omnireid") == sorted(
        f"memory://omnireid/{name}" for name in NAMES if name[0] != "."
    )
    assert np.array_equal(decode("memory://omnireid/a.png"), decode(read_file("memory://omnireid/a.png")))


def test_a_scheme_of_nobody() -> None:
    for address, said in (
        ("nowhere://place/crops", "nowhere://place: nothing installed reads such an address"),
        ("file:///crops", "file:///crops: give the path"),
        ("s3:///crops", "s3:///crops: cannot be listed"),
    ):
        with pytest.raises(InputError, match=said):
            list_files(address)
