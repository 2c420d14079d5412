"""Value types, cards, records and seeds."""

from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
from pydantic import ValidationError

from omnireid.core.card import CardMetric, InputSpec, ModelCard, ModelRef
from omnireid.core.errors import (
    InputError,
    MissingExtraError,
    OmniReIDError,
    ShapeError,
    UnknownNameError,
    WeightsError,
)
from omnireid.core.options import Protocol
from omnireid.core.record import (
    DatasetRecord,
    EnvironmentRecord,
    MetricsRecord,
    ModelRecord,
    ProtocolRecord,
    ResultRecord,
    SplitRecord,
)
from omnireid.core.seeds import derive_seed, numpy_generator
from omnireid.core.types import (
    Dataset,
    Embeddings,
    Sample,
    Split,
    concatenate,
    label_map,
)
from omnireid.core.vectors import unit_rows

# --- types ------------------------------------------------------------------------------------


def test_a_split_gives_its_columns():
    split = Split("query", (Sample("b.jpg", 7, 1), Sample("a.jpg", 0, 0, time=2.5), Sample("c.jpg", 7, 0)))
    assert len(split) == 3
    assert [sample.path for sample in split] == list(split.paths) == ["b.jpg", "a.jpg", "c.jpg"]
    assert split.pids.tolist() == [7, 0, 7]
    assert split.camids.tolist() == [1, 0, 0]
    assert split.pids.dtype == split.camids.dtype == np.int64
    assert (split.num_pids, split.num_cameras) == (2, 2)
    empty = Split("train", ())
    assert empty.pids.shape == (0,)
    data = Dataset("x", "/x", empty, split, split)
    assert data.splits == (empty, split, split)
    assert data.protocol is Protocol.MARKET1501
    assert data.skipped == ()


def test_labels_are_contiguous_in_pid_order():
    assert label_map([30, 2, 30, 7]) == {2: 0, 7: 1, 30: 2}
    assert label_map(np.array([], np.int64)) == {}


def test_a_model_is_told_by_its_hash_as_far_as_it_is_known():
    whole = ModelRef("osnet", "ab" * 32, 512)
    assert ModelRef.from_short(whole.short, 512) == ModelRef("osnet", "ab" * 6, 512)
    assert whole.is_same(ModelRef.from_short(whole.short, 512))
    assert whole.is_same(ModelRef("renamed", "ab" * 32, 512))
    assert not whole.is_same(ModelRef("osnet", "ab" * 6 + "0" * 52, 512))
    unsaved = ModelRef("osnet", None, 512)
    assert ModelRef.from_short(unsaved.short, 512) == unsaved
    assert unsaved.is_same(unsaved)
    assert not unsaved.is_same(whole)
    assert not unsaved.is_same(ModelRef("other", None, 512))
    assert whole.saved_sha256 == "ab" * 32


def embedding_set(**changes) -> Embeddings:
    values = {
        "vectors": np.ones((2, 3), np.float32),
        "pids": np.array([1, 2]),
        "camids": np.array([0, 0]),
        "paths": ("a.jpg", "b.jpg"),
    }
    return Embeddings.from_arrays(**(values | changes))


def test_embedding_sets_check_their_columns():
    assert (len(embedding_set()), embedding_set().dim) == (2, 3)
    for name, wrong in (
        ("vectors", np.ones(3, np.float32)),
        ("pids", np.array([1])),
        ("camids", np.array([[0, 0]])),
        ("paths", ("a.jpg",)),
    ):
        with pytest.raises(ShapeError, match="pids" if name == "paths" else name):
            embedding_set(**{name: wrong})
    spoiled = np.ones((2, 3), np.float32)
    spoiled[1, 2] = np.nan
    with pytest.raises(InputError, match=r"row 1 \(b\.jpg\) holds NaN"):
        embedding_set(vectors=spoiled)


def unit_set(rows: int, seed: int = 0, name: str = "m") -> Embeddings:
    vectors = np.random.default_rng(seed).normal(size=(rows, 4)).astype(np.float32)
    of = tuple(Sample(f"{seed}/{row}.jpg", row % 3, row % 2, row / 4, seed) for row in range(rows))
    return Embeddings(unit_rows(vectors), of, ModelRef(name, "ab" * 32, 4), True)


def test_rows_and_wholes_keep_what_they_are_of():
    first, second = unit_set(5), unit_set(3, seed=1)
    whole = concatenate([first, second])
    assert (*first.of, *second.of) == whole.of
    assert (whole.model, whole.is_unit) == (first.model, True)
    for rows in (slice(2, 7, 2), np.array([6, 0, 0]), whole.camids == 1, 3):
        numbers = np.atleast_1d(np.arange(8)[rows]).tolist()
        chosen = whole[rows]
        assert list(chosen.of) == [whole.of[row] for row in numbers]
        assert chosen.vectors.tobytes() == whole.vectors[numbers].tobytes()
        assert chosen.times.tolist() == [whole.of[row].time for row in numbers]
        assert chosen.dsetids.tolist() == [whole.of[row].dsetid for row in numbers]
    columns = Embeddings(whole.vectors, whole.columns, whole.model, True)
    assert list(columns.of) == list(whole.of)
    assert list(columns[whole.camids == 1].of) == list(whole[whole.camids == 1].of)
    for other in (unit_set(3, name="n"), dataclasses.replace(second, is_unit=False)):
        other = dataclasses.replace(other, model=ModelRef("n", "cd" * 32, 4)) if other.is_unit else other
        with pytest.raises(InputError, match=r"different models|only one"):
            concatenate([first, other])


def test_embeddings_are_checked_once_when_they_are_made(monkeypatch):
    known = unit_set(4)
    with pytest.raises(InputError, match=r"row 2 \(0/2\.jpg\) has norm 3 and is said to have 1"):
        dataclasses.replace(known, vectors=known.vectors * np.array([[1], [1], [3], [1]], np.float32))
    large = known.vectors * np.float32(1e30)  # its square is not finite
    assert len(Embeddings(large, known.of, known.model, False)) == 4
    assert len(Embeddings(0 * large, known.of, known.model, True)) == 4  # no direction, as a network may give
    for wrong in ({"of": known.of[:3]}, {"model": ModelRef("m", None, 5)}):
        with pytest.raises(ShapeError):
            dataclasses.replace(known, **wrong)
    monkeypatch.setattr(Embeddings, "_check", None)
    assert len(concatenate([known, known])[1:3]) == 2


def test_rows_get_unit_length_or_are_named():
    rows = np.array([[3, 4], [0, 0], [1e-30, 0], [2e30, 0]], np.float32)
    assert unit_rows(rows, keep_zero=True).tolist() == [
        [np.float32(0.6), np.float32(0.8)],
        [0, 0],
        [1, 0],
        [1, 0],
    ]
    for row, words in (([0, 0], "all zero"), ([np.nan, 1], "NaN or infinity")):
        with pytest.raises(InputError, match=rf"queries\[1\]: .*{words}"):
            unit_rows(np.array([[1, 0], row], np.float32), name="queries")
    assert np.isnan(unit_rows(np.array([[np.inf, 1]], np.float32), keep_zero=True)).all()


# --- seeds ------------------------------------------------------------------------------------


def test_seeds_are_the_same_everywhere():
    """Frozen: a change here breaks every resumed run."""
    assert derive_seed(1, "sampler", 3) == 3470442021812519493
    assert numpy_generator(1, "sampler", 3).integers(1000, size=4).tolist() == [450, 96, 820, 460]


def test_streams_differ_by_seed_name_and_epoch():
    streams = [(0, "a", 1), (1, "a", 1), (0, "b", 1), (0, "a", 2), (0, "a"), (0, "a1"), (0, "a", 1, 0)]
    seeds = {derive_seed(*stream) for stream in streams}
    assert len(seeds) == len(streams)
    assert all(0 <= seed < 2**63 for seed in seeds)


# --- errors -----------------------------------------------------------------------------------


def test_errors_carry_what_a_user_needs():
    error = UnknownNameError("model", "osnet_x1", ["osnet_x1_0", "osnet_ain_x1_0"])
    assert "did you mean 'osnet_x1_0'?" in str(error)
    assert "did you mean" not in str(UnknownNameError("model", "zzz", ["osnet"]))
    assert isinstance(error, (OmniReIDError, ValueError))
    assert isinstance(MissingExtraError("Training", "train"), ImportError)
    assert "pip install 'omnireid[train]'" in str(MissingExtraError("Training", "train"))
    assert str(ShapeError("x", expected="(N, D)", actual=(3,))) == "x: expected shape (N, D), got (3,)"


# --- cards ------------------------------------------------------------------------------------


def test_scale_and_shift_are_the_normalisation():
    spec = InputSpec()
    scale, shift = spec.scale_shift()
    levels = np.arange(256)[:, None]
    expected = (levels / 255 - np.array(spec.mean)) / np.array(spec.std)
    np.testing.assert_allclose(levels * scale + shift, expected, atol=1e-6)
    assert scale.dtype == shift.dtype == np.float32


@pytest.mark.parametrize(
    "wrong",
    [
        {"height": 0},
        {"std": (1, 1, 0)},
        {"std": (1, 1, float("nan"))},
        {"interpolation": "cubic"},
        {"hight": 256},
    ],
)
def test_input_specs_refuse_nonsense(wrong):
    with pytest.raises(ValidationError):
        InputSpec(**wrong)


def test_cards_round_trip_and_name_what_is_wrong():
    card = ModelCard(
        name="mine",
        architecture="osnet_x0_25",
        input=InputSpec(height=128, width=64),
        metrics=(CardMetric(dataset="market1501", rank1=0.9, protocol="market1501", source="paper"),),
    )
    assert ModelCard.from_json(card.to_json(), source="x") == card
    for text, named in (
        ("{", "weights.pt"),
        ('{"name": "a"}', "architecture"),
        (card.to_json().replace("rank1", "rank_1"), "rank_1"),
        (card.to_json().replace("0.9", "94.8"), "less than or equal to 1"),
    ):
        with pytest.raises(WeightsError, match=named):
            ModelCard.from_json(text, source="weights.pt")


# --- records ----------------------------------------------------------------------------------


def result_record() -> ResultRecord:
    split = SplitRecord(images=3, pids=2, cameras=1)
    return ResultRecord(
        dataset=DatasetRecord(name="x", root="/x", splits={"query": split}),
        model=ModelRecord(
            name="m",
            architecture="osnet_x0_25",
            source="m.safetensors",
            sha256=None,
            backend="torch",
            input_size=(256, 128),
            embedding_size=512,
        ),
        protocol=ProtocolRecord(
            name="market1501",
            distance="euclidean",
            normalised=False,
            num_queries=3,
            num_valid_queries=2,
            num_gallery=5,
        ),
        metrics=MetricsRecord(rank1=0.5, rank5=1, rank10=1, rank20=1, mAP=None, mINP=0.25),
        cmc=(0.5, 1.0),
        seed=1,
        environment=EnvironmentRecord.capture(),
    )


def test_records_round_trip(tmp_path):
    record = result_record()
    record.save(tmp_path / "deep" / "result.json")
    assert ResultRecord.load(tmp_path / "deep" / "result.json") == record
    written = json.loads((tmp_path / "deep" / "result.json").read_text())
    assert {"rank1", "rank5", "rank10", "mAP", "mINP"} <= set(written["metrics"])
    assert written["metrics"]["mAP"] is None


def test_records_that_are_none_are_named(tmp_path):
    with pytest.raises(InputError, match="no such result record"):
        ResultRecord.load(tmp_path / "absent.json")
    for content in (b"{}", b"not json", b"\xff\xfe\x00"):
        (tmp_path / "bad.json").write_bytes(content)
        with pytest.raises(InputError, match=r"bad\.json: not a result record"):
            ResultRecord.load(tmp_path / "bad.json")


def test_the_environment_is_recorded():
    environment = EnvironmentRecord.capture()
    assert environment.cores >= 1
    assert environment.packages["numpy"] == np.__version__
    assert environment.created.endswith("+00:00")


def test_loops_compile_where_no_folder_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    import numba

    from omnireid.core import compiled

    def without_cache(**settings: object) -> object:
        if settings.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return numba.njit(**settings)

    monkeypatch.setattr(compiled, "numba", SimpleNamespace(njit=without_cache))
    assert compiled.compiled(lambda x: x + 1)(2) == 3
