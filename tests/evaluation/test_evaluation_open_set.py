"""Open-set metrics against a naive loop over every search, hand-worked cases and invariants."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnireid.core.card import ModelRef
from omnireid.core.errors import InputError, ShapeError, UnknownNameError
from omnireid.core.options import Protocol
from omnireid.core.record import OpenSetRecord
from omnireid.core.seeds import numpy_generator
from omnireid.core.types import Embeddings
from omnireid.evaluation import streaming
from omnireid.evaluation.open_set import OpenSetResult, WatchList, open_set_metrics
from omnireid.evaluation.options import Ranking


def embedding_set(points, pids, camids, paths=None) -> Embeddings:
    pids = np.asarray(pids, np.int64)
    paths = ("",) * len(pids) if paths is None else tuple(paths)
    points = np.asarray(points, np.float32)
    return Embeddings.from_arrays(points, pids, np.asarray(camids, np.int64), paths)


def at(part: Embeddings, camids: np.ndarray) -> Embeddings:
    """The same in other cameras."""
    return dataclasses.replace(part, of=dataclasses.replace(part.columns, camids=camids))


def naive_searches(query, gallery, known, protocol, distance="euclidean"):
    """(mate distances, non-mate distances), one search and one picture at a time."""
    searches = np.flatnonzero(query.pids != -1)
    x, y = query.vectors.astype(np.float64), gallery.vectors.astype(np.float64)
    if distance == "cosine":
        x, y = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (x, y))
    # Subtracted, so that ties between people stay ties.
    dist = ((x[:, None] - y) ** 2).sum(axis=2)
    dist = {"euclidean": np.sqrt(dist), "sq_euclidean": dist, "cosine": dist / 2}[distance]
    mates, non_mates = [], []
    for q in searches:
        pid = query.pids[q]
        best: dict[int, float] = {}
        for g, other in enumerate(gallery.pids.tolist()):
            own_camera = query.camids[q] == gallery.camids[g]
            own_file = query.paths[q] == gallery.paths[g]
            is_junk = own_file if protocol is Protocol.NO_CAMERA else own_camera
            if other in known and not (other == pid and is_junk):
                best[other] = min(best.get(other, math.inf), dist[q, g])
        own = best.pop(pid, None)
        closest = min(best.values(), default=math.inf)
        if pid not in known:
            non_mates.append(closest)
        elif own is not None:
            mates.append(own if own < closest else math.inf)
    return mates, non_mates


@st.composite
def cases(draw: st.DrawFn):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    num_pids, num_cameras = draw(st.integers(2, 7)), draw(st.integers(2, 3))
    num_query, num_gallery = draw(st.integers(8, 20)), draw(st.integers(15, 40))
    # Coarse points make ties between people.
    points = lambda count: rng.integers(0, 4, (count, 2))  # noqa: E731
    query = embedding_set(
        points(num_query), rng.integers(-1, num_pids, num_query), rng.integers(0, num_cameras, num_query),
        [f"{index}.jpg" for index in range(num_query)],
    )  # fmt: skip
    gallery = embedding_set(
        points(num_gallery), rng.integers(-1, num_pids, num_gallery),
        rng.integers(0, num_cameras, num_gallery), [f"{index}.jpg" for index in range(num_gallery)],
    )  # fmt: skip
    return query, gallery, draw(st.sampled_from([Protocol.MARKET1501, Protocol.NO_CAMERA]))


@settings(max_examples=150, deadline=None)
@given(cases(), st.sampled_from([0.3, 0.5, 0.8]))
def test_every_draw_agrees_with_the_naive_loop(case, share: float) -> None:
    query, gallery, protocol = case
    shared = sorted((set(query.pids.tolist()) & set(gallery.pids.tolist())) - {-1})
    try:
        result = open_set_metrics(
            query, gallery, protocol=protocol, known_share=share, repeats=3, ranking=Ranking(seed=5)
        )
    except InputError:
        # Too few people, or a draw in which nobody can be found: the naive loop sees the same.
        assert len(shared) < 3 or any(not all(one) for one in naive_draws(query, gallery, protocol, share))
        return
    for draw, (mates, non_mates) in zip(
        result.draws, naive_draws(query, gallery, protocol, share), strict=True
    ):
        np.testing.assert_allclose(draw.mate_distances, sorted(mates), rtol=1e-12)
        np.testing.assert_allclose(draw.non_mate_distances, sorted(non_mates), rtol=1e-12)
        assert draw.num_known >= 1
        for level in (0.05, 0.1, 0.25, 0.5, 1.0):
            assert draw.tpir(level) == naive_tpir(mates, non_mates, level)
        assert draw.eer == pytest.approx(naive_eer(mates, non_mates), abs=1e-12)


def naive_draws(query, gallery, protocol, share, distance="euclidean"):
    """Searches of the three draws, known people drawn as the documentation says."""
    shared = sorted((set(query.pids.tolist()) & set(gallery.pids.tolist())) - {-1})
    has_others = bool(set(query.pids.tolist()) - set(shared) - {-1})
    count = min(max(1, round(share * len(shared))), len(shared) - (not has_others))
    for draw in range(3):
        order = numpy_generator(5, "open-set", draw).permutation(len(shared))[:count]
        yield naive_searches(query, gallery, {shared[place] for place in order}, protocol, distance)


def naive_tpir(mates, non_mates, level):
    """The best TPIR of all thresholds that keep the level, tried one by one."""
    if len(non_mates) * level < 1 - 1e-9:
        return None
    best = 0.0
    for threshold in {*mates, *non_mates, math.inf}:
        alarms = sum(distance < threshold for distance in non_mates)
        if alarms <= level * len(non_mates) + 1e-9:
            best = max(best, sum(distance < threshold for distance in mates) / len(mates))
    return best


def naive_eer(mates, non_mates):
    return min(
        max(
            sum(distance < threshold for distance in non_mates) / len(non_mates),
            1 - sum(distance < threshold for distance in mates) / len(mates),
        )
        for threshold in {*mates, *non_mates, math.inf}
    )


@pytest.mark.parametrize("distance", ["euclidean", "sq_euclidean", "cosine"])
@pytest.mark.parametrize("threads", [1, 3])
def test_many_tiles_and_blocks_agree_with_the_naive_loop(monkeypatch, distance: str, threads: int) -> None:
    """Sets larger than a tile, with a common offset: the float32 product decides nothing by itself."""
    for name, rows in (("TILE_QUERIES", 7), ("TILE_ITEMS", 50), ("BLOCK_QUERIES", 20)):
        monkeypatch.setattr(streaming, name, rows)
    monkeypatch.setattr(streaming, "_FEWEST_PAIRS_FOR_THREADS", 1)
    rng = np.random.default_rng(3)
    pids = (rng.integers(-1, 25, 60), rng.integers(-1, 30, 400))
    people = rng.standard_normal((30, 40))
    query, gallery = (
        embedding_set(
            100 + people[one] + 0.8 * rng.standard_normal((len(one), 40)), one, rng.integers(0, 3, len(one))
        )
        for one in pids
    )
    result = open_set_metrics(query, gallery, Ranking(distance, seed=5, threads=threads), repeats=3)
    drawn = naive_draws(query, gallery, Protocol.MARKET1501, 0.5, distance)
    for draw, (mates, non_mates) in zip(result.draws, drawn, strict=True):
        # Cosines of rows with a common offset leave 1e-16 / 1e-5 of relative precision.
        np.testing.assert_allclose(draw.mate_distances, sorted(mates), rtol=1e-10)
        np.testing.assert_allclose(draw.non_mate_distances, sorted(non_mates), rtol=1e-10)


def test_a_case_worked_by_hand() -> None:
    """Four non-mates at 1, 2, 3, 4; mates at 0.5 and 2.5, and one whom somebody else precedes."""
    draw = WatchList(3, 4, np.array([0.5, 2.5, np.inf]), np.array([1.0, 2.0, 3.0, 4.0]))
    assert draw.threshold(0.25) == 2.0
    assert draw.tpir(0.25) == pytest.approx(1 / 3)
    assert draw.tpir(0.5) == pytest.approx(2 / 3)
    assert draw.threshold(1.0) == math.inf
    assert draw.tpir(1.0) == pytest.approx(2 / 3)
    assert draw.threshold(0.1) is None, "4 searches cannot show 10 %"
    assert draw.tpir(0.1) is None
    assert draw.eer == pytest.approx(0.5)


def test_a_level_that_one_search_short_cannot_show_is_not_extrapolated() -> None:
    for num_searches, measurable in ((99, False), (100, True)):
        draw = WatchList(2, 2, np.array([0.1]), np.linspace(1, 2, num_searches))
        assert (draw.tpir(0.01) is not None) is measurable
    # 0.29 · 100 is 28.999999999999996 in floats, and still 29 alarms.
    hundred = WatchList(2, 2, np.array([0.1]), np.arange(100.0))
    assert hundred.threshold(0.29) == 29.0


def people(seed: int, num_pids: int = 30, noise: float = 0.4, normalise: bool = False):
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((num_pids, 16))
    pids = np.repeat(np.arange(num_pids), 6)
    points = centres[pids] + noise * rng.standard_normal((len(pids), 16))
    camids = np.tile(np.arange(6) % 3, num_pids)
    is_query = np.tile(np.arange(6) < 2, num_pids)
    if normalise:
        points /= np.linalg.norm(points, axis=1, keepdims=True)
    sets = (embedding_set(points[m], pids[m], camids[m]) for m in (is_query, ~is_query))
    return tuple(dataclasses.replace(part, is_unit=normalise) for part in sets)


def test_good_embeddings_identify_everyone_and_noise_nobody() -> None:
    good = open_set_metrics(*people(1, noise=0.01), repeats=4)
    assert good.tpir(0.1) == (1.0,) * 4
    assert good.eer == (0.0,) * 4
    noise = open_set_metrics(*people(1, noise=50), repeats=4)
    assert max(noise.tpir(0.1)) < 0.3


def test_tpir_rises_with_the_rate_and_the_curve_ends_at_the_closed_set_rank_1() -> None:
    result = open_set_metrics(*people(2, noise=1.2), repeats=5)
    curve = result.curve(20)
    assert curve[0, 0] == pytest.approx(result.lowest_fpir)
    assert curve[-1, 0] == 1.0
    assert (np.diff(curve, axis=0) >= 0).all()
    rank_1 = np.mean([np.isfinite(draw.mate_distances).mean() for draw in result.draws])
    assert curve[-1, 1] == pytest.approx(rank_1)


def test_permuting_the_gallery_or_the_queries_changes_nothing() -> None:
    query, gallery = people(3, noise=1.0)
    first = open_set_metrics(query, gallery, repeats=2)
    rng = np.random.default_rng(0)
    q, g = rng.permutation(len(query)), rng.permutation(len(gallery))
    moved = open_set_metrics(
        embedding_set(query.vectors[q], query.pids[q], query.camids[q]),
        embedding_set(gallery.vectors[g], gallery.pids[g], gallery.camids[g]),
        repeats=2,
    )
    for one, other in zip(first.draws, moved.draws, strict=True):
        np.testing.assert_allclose(one.mate_distances, other.mate_distances)
        np.testing.assert_allclose(one.non_mate_distances, other.non_mate_distances)


def test_distractors_and_junk_are_not_enrolled() -> None:
    query, gallery = people(4, noise=1.0)
    first = open_set_metrics(query, gallery, repeats=2)
    extra = embedding_set(
        np.vstack([gallery.vectors, query.vectors[:5], query.vectors[:5]]),
        np.concatenate([gallery.pids, [999] * 5, [-1] * 5]),
        np.concatenate([gallery.camids, [1] * 10]),
    )
    again = open_set_metrics(query, extra, repeats=2)
    assert again.tpir(0.1) == first.tpir(0.1)


def test_seeds_draw_other_people_and_equal_seeds_the_same() -> None:
    query, gallery = people(5, noise=1.5)
    values = [
        open_set_metrics(query, gallery, Ranking(seed=seed), repeats=3).threshold(0.1) for seed in (1, 1, 2)
    ]
    assert values[0] == values[1] != values[2]
    assert len(set(values[0])) > 1, "draws of one run differ from each other"


def test_result_says_how_many_searches_it_rests_on() -> None:
    result = open_set_metrics(*people(6), repeats=3)
    assert result.num_mate_searches == 30
    assert result.num_non_mate_searches == 30
    assert result.lowest_fpir == pytest.approx(1 / 30)
    assert result.tpir(0.01) is None
    assert result.threshold(0.01) is None
    assert all(draw.num_known == draw.num_unknown == 15 for draw in result.draws)


def test_the_record_keeps_what_reports_need_and_survives_json() -> None:
    result = open_set_metrics(*people(6, noise=1.5), repeats=3, ranking=Ranking(seed=4))
    record = result.open_set_record((0.001, 0.1, 1.0))
    assert OpenSetRecord.model_validate_json(record.model_dump_json()) == record
    impossible, point, everything = record.points
    assert impossible.tpir is None
    assert impossible.threshold is None
    assert point.tpir.values == result.tpir(0.1)
    assert point.threshold.mean == pytest.approx(np.mean(result.threshold(0.1)))
    assert everything.threshold is None
    assert everything.tpir.mean == pytest.approx(record.curve[-1][1])
    assert (record.seed, record.protocol, record.eer.values) == (4, "market1501", result.eer)


def test_queries_whom_the_gallery_lacks_are_unknown_in_every_draw() -> None:
    query, gallery = people(7, num_pids=4)
    only_one = embedding_set(
        gallery.vectors[gallery.pids == 2],
        gallery.pids[gallery.pids == 2],
        gallery.camids[gallery.pids == 2],
    )
    result = open_set_metrics(query, only_one, repeats=2, known_share=0.9)
    assert all((draw.num_known, draw.num_unknown) == (1, 3) for draw in result.draws)
    assert result.num_non_mate_searches == 6


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"known_share": 1.0}, InputError, "known_share"),
        ({"repeats": 0}, InputError, "repeats"),
        ({"ranking": Ranking("eucliden")}, UnknownNameError, "did you mean 'euclidean'"),
        ({"protocol": "no-cam"}, UnknownNameError, "no-camera"),
    ],
)
def test_bad_arguments_are_named(change, error, message: str) -> None:
    with pytest.raises(error, match=message):
        open_set_metrics(*people(8), **change)


def test_bad_sets_are_named() -> None:
    query, gallery = people(9)
    with pytest.raises(InputError, match="different models"):
        open_set_metrics(dataclasses.replace(query, model=ModelRef("other", None, query.dim)), gallery)
    with pytest.raises(InputError, match="only one"):
        open_set_metrics(people(9, normalise=True)[0], gallery)
    with pytest.raises(InputError, match="row 0 has no camera"):
        open_set_metrics(at(query, query.camids - 1), gallery)
    with pytest.raises(ShapeError):
        open_set_metrics(embedding_set(query.vectors[:, :3], query.pids, query.camids), gallery)
    alone = embedding_set(query.vectors[:2], [7, 7], [0, 1])
    with pytest.raises(InputError, match="share 1 identities"):
        open_set_metrics(alone, alone)
    one_camera = [at(one, np.zeros_like(one.camids)) for one in (query, gallery)]
    with pytest.raises(InputError, match="no-camera protocol"):
        open_set_metrics(*one_camera)
    result = open_set_metrics(query, gallery, repeats=1)
    assert isinstance(result, OpenSetResult)
    for call in (lambda: result.draws[0].threshold(0.0), lambda: result.curve(1)):
        with pytest.raises(InputError):
            call()
