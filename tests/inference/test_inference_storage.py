"""Embeddings on disk: round trips, streaming, and files of something else."""

from __future__ import annotations

import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from omnireid import EmbeddingWriter, read_embeddings, write_embeddings
from omnireid.core.card import ModelCard, ModelRef
from omnireid.core.errors import InputError, StorageError
from omnireid.core.types import Embeddings, Sample
from omnireid.core.vectors import unit_rows
from omnireid.inference.storage import read_card

CARD = ModelCard(name="netz", architecture="osnet_x0_25", notes="Größe 256×128")
FORMATS = pytest.mark.parametrize("suffix", [".parquet", ".npz"])


def a_set(rows: int, dim: int = 8, *, seed: int = 0, normalised: bool = True, name: str = "m") -> Embeddings:
    generator = np.random.default_rng(seed)
    vectors = generator.normal(size=(rows, dim)).astype(np.float32)
    samples = tuple(
        Sample(
            f"/data/ü {seed}/{row}.jpg",
            int(generator.integers(-1, 2**40)),
            int(generator.integers(-1, 9)),
            time=None if row % 3 == 0 else row / 8,
            dsetid=row % 2,
            frames=tuple(f"/data/ü {seed}/{row} {frame}.jpg" for frame in range(row % 4)),
        )
        for row in range(rows)
    )
    return Embeddings(
        unit_rows(vectors) if normalised else vectors, samples, ModelRef(name, "ab" * 32, dim), normalised
    )


def assert_same(actual: Embeddings, expected: Embeddings) -> None:
    assert actual.vectors.dtype == np.float32
    np.testing.assert_array_equal(actual.vectors, expected.vectors)
    assert actual.pids.dtype == actual.camids.dtype == actual.dsetids.dtype == np.int64
    assert list(actual.of) == list(expected.of)
    assert (actual.is_unit, actual.model) == (expected.is_unit, expected.model)


@FORMATS
@pytest.mark.parametrize("rows", [0, 1, 37])
@pytest.mark.parametrize("normalised", [True, False])
def test_what_is_written_is_read(tmp_path: Path, suffix: str, rows: int, normalised: bool) -> None:
    path = tmp_path / f"e{suffix}"
    expected = a_set(rows, normalised=normalised)
    write_embeddings(path, expected, card=CARD)
    assert_same(read_embeddings(path), expected)
    assert read_card(path) == CARD
    write_embeddings(path, expected)
    assert read_card(path) is None


@FORMATS
def test_parts_become_one_set(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"e{suffix}"
    parts = [a_set(rows, seed=seed) for seed, rows in enumerate([3000, 0, 3000, 500, 1])]
    with EmbeddingWriter(path, card=CARD) as writer:
        for part in parts:
            writer.write(part)
            assert not path.exists()
    assert writer.num_rows == 6501
    found = read_embeddings(path)
    np.testing.assert_array_equal(found.vectors, np.concatenate([part.vectors for part in parts]))
    assert found.paths == sum((part.paths for part in parts), ())


def test_parquet_is_plain_to_other_readers(tmp_path: Path) -> None:
    expected = a_set(5)
    write_embeddings(tmp_path / "e.parquet", expected, card=CARD)
    table = pq.read_table(tmp_path / "e.parquet")
    assert table.column_names == ["path", "pid", "camid", "time", "dsetid", "frames", "embedding"]
    assert table.schema.field("embedding").type == pa.list_(pa.float32(), 8)
    assert table.column("embedding").to_pylist() == expected.vectors.tolist()
    assert table.schema.metadata[b"omnireid.normalised"] == b"true"
    assert table.schema.metadata[b"omnireid.model"] == b"m@abababababab"


def test_npz_is_plain_to_numpy(tmp_path: Path) -> None:
    expected = a_set(5)
    write_embeddings(tmp_path / "e.npz", expected)
    with np.load(tmp_path / "e.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["embeddings"], expected.vectors)
        assert file["paths"].tolist() == list(expected.paths)


def test_writing_parquet_holds_one_row_group(tmp_path: Path) -> None:
    part = a_set(512, dim=256)

    def peak(parts: int) -> int:
        tracemalloc.start()
        allocated = pa.total_allocated_bytes()
        most = 0
        with EmbeddingWriter(tmp_path / "e.parquet") as writer:
            for _ in range(parts):
                writer.write(part)
                most = max(most, pa.total_allocated_bytes() - allocated)
        used = tracemalloc.get_traced_memory()[1] + most
        tracemalloc.stop()
        return used

    peak(8)
    assert peak(80) < 1.5 * peak(16)
    assert pq.ParquetFile(tmp_path / "e.parquet").metadata.num_row_groups == 2


@FORMATS
def test_an_error_leaves_the_old_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"e{suffix}"
    write_embeddings(path, a_set(3))
    before = path.read_bytes()

    def fail_midway() -> None:
        with EmbeddingWriter(path) as writer:
            writer.write(a_set(5000))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_midway()
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@FORMATS
def test_sets_that_do_not_belong_together_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"e{suffix}"

    def write(*parts: Embeddings) -> None:
        with EmbeddingWriter(path) as writer:
            for part in parts:
                writer.write(part)

    for other, what in (
        (a_set(2, dim=9), "model m .abababababab. after"),
        (a_set(2, name="n"), "model n .*after rows with model m"),
        (a_set(2, normalised=False), "is_unit False"),
    ):
        with pytest.raises(InputError, match=what):
            write(a_set(2), other)
    with pytest.raises(InputError, match="nothing was written"):
        write()
    assert list(tmp_path.iterdir()) == []


def test_paths_that_are_no_text_are_named(tmp_path: Path) -> None:
    odd = Embeddings.from_arrays(
        np.zeros((1, 2), np.float32), np.zeros(1, np.int64), np.zeros(1, np.int64), ("a\udcff.jpg",)
    )
    for suffix in (".parquet", ".npz"):
        with pytest.raises(InputError, match=r"a path is not valid UTF-8 \('a\\udcff\.jpg'\)"):
            write_embeddings(tmp_path / f"e{suffix}", odd)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="cannot write"):
        write_embeddings(tmp_path / "file" / "e.parquet", a_set(1))


def test_other_files_are_refused(tmp_path: Path) -> None:
    def refuse(name: str, complaint: str) -> None:
        for read in (read_embeddings, read_card):
            with pytest.raises(InputError, match=complaint):
                read(tmp_path / name)

    refuse("e.csv", r"\.parquet or \.npz")
    refuse("absent.npz", "no such file")
    write_embeddings(tmp_path / "e.parquet", a_set(100))
    write_embeddings(tmp_path / "e.npz", a_set(100))
    for suffix, complaint in ((".parquet", "not a whole Parquet file"), (".npz", "not a whole npz file")):
        (tmp_path / f"cut{suffix}").write_bytes((tmp_path / f"e{suffix}").read_bytes()[:-200])
        (tmp_path / f"empty{suffix}").write_bytes(b"")
        (tmp_path / f"text{suffix}").write_text("path,pid\n")
        for name in ("cut", "empty", "text"):
            refuse(f"{name}{suffix}", complaint)
    pq.write_table(pa.table({"path": ["a"], "pid": [1]}), tmp_path / "manifest.parquet")
    refuse("manifest.parquet", r"columns \['camid', 'embedding'\] missing")
    pq.write_table(
        pa.table({"path": ["a"], "pid": [1], "camid": [1], "embedding": [[1.0]]}), tmp_path / "bare.parquet"
    )
    refuse("bare.parquet", "metadata missing")
    np.savez(tmp_path / "other.npz", embeddings=np.zeros(3))
    refuse("other.npz", "arrays .*'camids'.* missing")
    np.save(tmp_path / "array.npz.npy", np.zeros(3))
    (tmp_path / "array.npz.npy").rename(tmp_path / "array.npz")
    refuse("array.npz", "not a whole npz file")


def test_a_pickle_in_an_npz_is_never_opened(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "exploded",))  # type: ignore[return-value]

    whole = {"embeddings": np.zeros((1, 2), np.float32), "pids": np.zeros(1, np.int64)}
    bomb = np.array([Bomb()], dtype=object)
    np.savez(
        tmp_path / "e.npz",
        **whole,  # type: ignore[arg-type]
        camids=np.zeros(1, np.int64),
        paths=bomb,
        model=np.array(""),
        normalised=np.array(True),
        card=np.array(""),
    )
    (tmp_path / "pickled.npz").write_bytes(pickle.dumps(Bomb()))
    for name in ("e.npz", "pickled.npz"):
        with pytest.raises(InputError, match="not a whole npz file"):
            read_embeddings(tmp_path / name)
    assert not (tmp_path / "exploded").exists()


@FORMATS
@pytest.mark.parametrize("with_card", [True, False])
def test_a_file_of_before_opens_and_says_what_it_knows_of_its_model(
    tmp_path: Path, suffix: str, with_card: bool
) -> None:
    path, new, digest = tmp_path / f"e{suffix}", a_set(9), "cd" * 32
    card = CARD.model_copy(update={"sha256": digest}).to_json() if with_card else ""
    short = f"netz@{digest[:12]}"
    if suffix == ".npz":
        np.savez(
            path, embeddings=new.vectors, pids=new.pids, camids=new.camids, paths=np.array(new.paths),
            model=np.array(short), normalised=np.array(True), card=np.array(card),
        )  # fmt: skip
    else:
        write_embeddings(path, new)
        table = pq.read_table(path).select(["path", "pid", "camid", "embedding"])
        metadata = {"omnireid.model": short, "omnireid.normalised": "true"} | (
            {"omnireid.card": card} if with_card else {}
        )
        pq.write_table(table.replace_schema_metadata(metadata), path)
    old = read_embeddings(path)
    assert list(old.of) == [Sample(one.path, one.pid, one.camid) for one in new.of]
    assert old.model == ModelRef("netz", digest if with_card else digest[:12], 8)
    assert old.model.is_same(ModelRef("netz", digest, 8))
    assert old.is_unit
