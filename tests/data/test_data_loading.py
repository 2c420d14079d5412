"""The loader: same batches whatever the threads, bounded, and clean when pictures are bad."""

from __future__ import annotations

import itertools
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from omnireid.core.card import InputSpec
from omnireid.core.errors import ImageError, InputError
from omnireid.core.images import load_crop
from omnireid.core.types import Sample
from omnireid.data import loading
from omnireid.data.loading import CropLoader, load_many
from omnireid.data.samplers import RandomSampler

SPEC = InputSpec(height=24, width=12)


@pytest.fixture
def samples(tmp_path: Path, picture) -> list[Sample]:
    """Thirty pictures of ten people."""
    return [
        Sample(str(picture(tmp_path / f"{number:02d}.png", seed=number)), pid=number // 3, camid=0)
        for number in range(30)
    ]


def spoil(sample: Sample) -> None:
    """Cut the file off, as an interrupted copy does."""
    path = Path(sample.path)
    path.write_bytes(path.read_bytes()[:60])


def decoding_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("omnireid-decode")]


@pytest.fixture(autouse=True)
def no_thread_is_left_behind():
    yield
    assert not decoding_threads()


def collect(loader: CropLoader, batches) -> tuple[np.ndarray, list[list[int]]]:
    out = list(loader.load(batches))
    return np.concatenate([batch.crops for batch in out]), [batch.indices.tolist() for batch in out]


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("cache_bytes", [0, 24 * 12 * 3 * 7, 1 << 20])
@pytest.mark.parametrize("batch_size", [1, 7, 30])
def test_batches_are_the_decoded_samples_in_order(samples, threads, cache_bytes, batch_size):
    loader = CropLoader(samples, SPEC, threads=threads, cache_bytes=cache_bytes)
    for epoch in range(2):
        batches = RandomSampler(30, batch_size, seed=3, drop_last=False).batches(epoch)
        crops, indices = collect(loader, batches)
        assert indices == [batch.tolist() for batch in batches]
        expected = np.stack([load_crop(samples[index].path, SPEC) for index in np.concatenate(batches)])
        np.testing.assert_array_equal(crops, expected)
    assert loader.wait_s > 0


def test_cached_pictures_are_not_read_again(samples):
    loader = CropLoader(samples, SPEC, cache_bytes=24 * 12 * 3 * 10)
    first, _ = collect(loader, [range(30)])
    for sample in samples[:10]:
        Path(sample.path).unlink()
    again, _ = collect(loader, [range(30)])
    np.testing.assert_array_equal(again, first)
    Path(samples[10].path).unlink()
    with pytest.raises(ImageError, match=r"10\.png: no such file"):
        collect(loader, [range(30)])


def test_a_handed_out_batch_does_not_share_the_cache(samples):
    loader = CropLoader(samples, SPEC, cache_bytes=1 << 20)
    (batch,) = loader.load([range(4)])
    kept = batch.crops.copy()
    batch.crops[:] = 0
    (again,) = loader.load([range(4)])
    np.testing.assert_array_equal(again.crops, kept)


@pytest.mark.parametrize("threads", [1, 4])
def test_a_bad_picture_is_named_in_place_of_its_batch(samples, threads):
    for place in (22, 19, 17):
        spoil(samples[place])
    loader = CropLoader(samples, SPEC, threads=threads)
    got = []
    iterator = (got.extend(batch.indices.tolist()) for batch in loader.load(np.arange(30).reshape(6, 5)))
    with pytest.raises(ImageError, match=r"17\.png: damaged or truncated"):
        list(iterator)
    assert got == list(range(15))


@pytest.mark.parametrize("threads", [1, 4])
def test_skipped_pictures_are_left_out_counted_and_named(samples, threads):
    for place in (3, 20, 21):
        spoil(samples[place])
    loader = CropLoader(samples, SPEC, threads=threads, on_bad="skip")
    for _ in range(2):
        crops, indices = collect(loader, [[3], *np.arange(30).reshape(3, 10)])
        assert [len(batch) for batch in indices] == [9, 10, 8]
        assert crops.shape == (27, 24, 12, 3)
        assert list(loader.skipped) == [3, 20, 21]
        assert loader.skipped[20].source.endswith("20.png")


@pytest.mark.parametrize("threads", [1, 3])
def test_refilled_rows_hold_another_picture_of_the_same_person(samples, threads):
    for place in (1, 9, 10, 11):
        spoil(samples[place])
    loader = CropLoader(samples, SPEC, threads=threads, on_bad="skip", refill=True)
    crops, (indices,) = collect(loader, [[5, 1, 4, 2, 9, 10]])
    # Of person 0, picture 2 is in the batch; of person 3 none, so the second and third bad row
    # take the good rows (5, 4, 2) in turn.
    assert indices == [5, 2, 4, 2, 4, 2]
    for crop, index in zip(crops, indices, strict=True):
        np.testing.assert_array_equal(crop, load_crop(samples[index].path, SPEC))
    with pytest.raises(ImageError, match=r"09\.png"):
        collect(loader, [[9, 10]])


@pytest.mark.parametrize("kind", ["missing", "directory", "empty", "text"])
def test_every_kind_of_bad_file_is_an_image_error(samples, kind):
    path = Path(samples[4].path)
    path.unlink()
    if kind == "directory":
        path.mkdir()
    elif kind != "missing":
        path.write_text("" if kind == "empty" else "no picture")
    with pytest.raises(ImageError, match=r"04\.png"):
        collect(CropLoader(samples, SPEC), [range(30)])
    loader = CropLoader(samples, SPEC, on_bad="skip")
    collect(loader, [range(30)])
    assert list(loader.skipped) == [4]


def test_a_consumer_may_stop_early(samples):
    loader = CropLoader(samples, SPEC, threads=2)
    iterator = loader.load(itertools.cycle([range(30)]))
    next(iterator)
    iterator.close()
    assert not decoding_threads()


def test_stopping_does_not_decode_what_nobody_will_see(monkeypatch):
    decoded = 0

    def slow(path, spec):
        nonlocal decoded
        decoded += 1
        time.sleep(0.002)
        return np.zeros((24, 12, 3), np.uint8)

    monkeypatch.setattr(loading, "load_crop", slow)
    iterator = CropLoader([Sample("nowhere", 0, 0)] * 4000, SPEC).load([[0], *([range(1000)] * 3)])
    next(iterator)
    iterator.close()
    assert decoded < 200


def test_an_interrupt_ends_the_threads(samples):
    loader = CropLoader(samples, SPEC, threads=2)

    def interrupted():
        for batch in loader.load(itertools.cycle([range(30)])):
            assert len(batch) == 30
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not decoding_threads()


def test_errors_of_the_index_source_come_through(samples):
    def source():
        yield [0, 1]
        raise RuntimeError("sampler broke")

    with pytest.raises(RuntimeError, match="sampler broke"):
        list(CropLoader(samples, SPEC).load(source()))


def test_an_error_that_is_no_image_error_is_not_swallowed(samples, monkeypatch):
    def out_of_memory(*_):
        raise MemoryError

    monkeypatch.setattr(loading, "load_crop", out_of_memory)
    with pytest.raises(MemoryError):
        list(CropLoader(samples, SPEC, on_bad="skip").load([[0]]))


@pytest.mark.parametrize(("batch_size", "threads"), [(1, 1), (1, 4), (100, 1), (100, 4)])
def test_the_loader_runs_ahead_by_a_bounded_amount(monkeypatch, batch_size, threads):
    """A million samples that exist nowhere: the source is asked only a little ahead."""
    monkeypatch.setattr(loading, "load_crop", lambda path, spec, **_: np.zeros((24, 12, 3), np.uint8))
    asked = 0

    def source():
        nonlocal asked
        for start in itertools.count(0, batch_size):
            asked += 1
            yield np.arange(start, start + batch_size)

    class Endless:
        def __len__(self) -> int:
            return 10**9

        def __getitem__(self, index: int) -> Sample:
            return Sample("nowhere", 0, 0)

    iterator = CropLoader(Endless(), SPEC, threads=threads).load(source())
    for number in range(1, 30):
        next(iterator)
        ahead = asked - number
        assert ahead <= max(3, 16 * threads / batch_size + 1)
    iterator.close()


def test_decoding_goes_on_while_the_consumer_works(monkeypatch):
    monkeypatch.setattr(
        loading, "load_crop", lambda path, spec: time.sleep(0.01) or np.zeros((24, 12, 3), np.uint8)
    )
    loader = CropLoader([Sample("nowhere", 0, 0)] * 48, SPEC, threads=2)
    iterator = loader.load([range(start, start + 8) for start in range(0, 48, 8)])
    next(iterator)
    waited = loader.wait_s
    for _ in iterator:
        time.sleep(0.12)
    # Without reading ahead, five batches of eight would cost at least 0.2 s.
    assert loader.wait_s - waited < 0.1


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("interpolation", ["bilinear", "lanczos"])
def test_many_samples_give_the_same_crops(samples, monkeypatch, threads, interpolation):
    spec = InputSpec(height=24, width=12, interpolation=interpolation)
    expected = np.stack([load_crop(sample.path, spec) for sample in samples])
    given_resizers = []

    def watched(path, spec, *, resizer=None, scaled=False):
        given_resizers.append(resizer)
        return load_crop(path, spec, resizer=resizer, scaled=scaled)

    monkeypatch.setattr(loading, "load_crop", watched)
    monkeypatch.setattr(loading, "_MANY_SAMPLES", 30)
    for fewer in (0, 1):
        crops, _ = collect(CropLoader(samples[fewer:], spec, threads=threads), [range(30 - fewer)])
        np.testing.assert_array_equal(crops, expected[fewer:])
    is_compiled = [resizer is not None for resizer in given_resizers]
    assert is_compiled == [interpolation == "bilinear"] * 30 + [False] * 29
    assert len({id(resizer) for resizer in given_resizers[:30]}) == 1


def test_scaled_decoding_is_asked_for_by_name(tmp_path, picture):
    path = str(tmp_path / "large.jpg")
    Image.open(picture(tmp_path / "a.png", seed=1)).resize((120, 240)).save(path)
    spec = InputSpec(height=24, width=12)
    samples = [Sample(path, pid=0, camid=0)]
    for scaled in (False, True):
        (batch,) = CropLoader(samples, spec, load=load_many(spec, scaled=scaled)).load([[0]])
        np.testing.assert_array_equal(batch.crops[0], load_crop(path, spec, scaled=scaled))
    assert (load_crop(path, spec, scaled=True) != load_crop(path, spec)).any()


def test_a_callers_own_load_is_kept_however_many_samples(samples, monkeypatch):
    monkeypatch.setattr(loading, "_MANY_SAMPLES", 1)
    white = np.full((24, 12, 3), 255, np.uint8)
    (batch,) = CropLoader(samples, SPEC, load=lambda sample, spec: white).load([range(30)])
    assert (batch.crops == 255).all()


def test_refusals(samples):
    for arguments, named in (
        ({"threads": 0}, "threads"),
        ({"on_bad": "ignore"}, "on_bad"),
        ({"cache_bytes": -1}, "cache_bytes"),
    ):
        with pytest.raises(InputError, match=named):
            CropLoader(samples, SPEC, **arguments)
    for wrong in (30, -1):
        with pytest.raises(InputError, match=f"index {wrong} is outside the 30 samples"):
            list(CropLoader(samples, SPEC).load([[0, wrong]]))
    with pytest.raises(InputError, match="index batch"):
        list(CropLoader(samples, SPEC).load([[[0]]]))
    assert list(CropLoader(samples, SPEC).load([])) == []
    assert list(CropLoader(samples, SPEC).load([[]])) == []
