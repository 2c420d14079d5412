"""Searching: order, filters, groups, re-ranking and what scores mean, against naive NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.test_evaluation_reranking import naive
from gallery.memory_store import MemoryStore
from gallery.people import DIM, MODEL, OTHER, calibration, crowd, items_of, memory_gallery, vectors
from omnireid import Filter, Gallery, Item
from omnireid.core.errors import InputError, ShapeError
from omnireid.evaluation.calibration import Calibration, Decision
from omnireid.evaluation.options import Reranking
from omnireid.gallery.errors import NotInGalleryError
from omnireid.gallery.searching import reranked


@pytest.fixture(scope="module")
def known() -> Calibration:
    return calibration()


def unit(rows: np.ndarray) -> np.ndarray:
    rows = rows.astype(np.float64)
    return rows / np.sqrt((rows**2).sum(axis=-1, keepdims=True))


def cosines(rows: np.ndarray, query: np.ndarray) -> np.ndarray:
    return unit(rows) @ unit(query)


def filled(
    seed: int = 0, num_people: int = 20, each: int = 4, **options
) -> tuple[Gallery, np.ndarray, tuple]:
    gallery = memory_gallery(**options)
    rows, pids = crowd(seed, num_people, each)
    return gallery, rows, gallery.enrol(items_of(pids), rows, model=MODEL).ids


def test_candidates_are_the_nearest_in_order() -> None:
    gallery, rows, ids = filled()
    query = vectors(5, 1)[0]
    found = gallery.search(query * 7, model=MODEL, k=6, group=False)
    exact = cosines(rows, query)
    order = np.argsort(-exact)[:6]
    assert [one.item.id for one in found.candidates] == [ids[n] for n in order]
    np.testing.assert_allclose([one.score for one in found.candidates], exact[order], atol=1e-6)
    assert [one.identity for one in found.candidates] == [f"p{n // 4}" for n in order]
    assert all(one.item.thumbnail is None and one.frames == 1 for one in found.candidates)
    assert (found.model, found.is_exact, found.groups) == (MODEL, True, ())


def test_filters_reach_the_store_with_all_that_was_merged() -> None:
    gallery, rows, _ = filled()
    gallery.merge("p3", ["p7", "p11"])
    for asked in ("p3", "p7"):
        found = gallery.search(rows[0], model=MODEL, k=100, where=Filter(identities=frozenset({asked})))
        assert len(found.candidates) == 12
        assert {one.identity for one in found.candidates} == {"p3"}
    where = Filter(identities=frozenset({"p7"}), cameras=frozenset({"cam1"}), since=10.0, until=40.0)
    found = gallery.search(rows[0], model=MODEL, k=100, where=where)
    wanted = [n for n in range(10, 40) if n // 4 in (3, 7, 11) and n % 3 == 1]
    assert sorted(one.item.time for one in found.candidates) == wanted


def test_a_search_counts_people_not_pictures(known: Calibration) -> None:
    gallery = memory_gallery(calibration=known)
    rows = vectors(3, 9)
    who = [("a", None), ("a", "t1"), ("b", "t2"), ("b", None), (None, "t3"), (None, "t3"), (None, "t4")]
    seen = [*who, (None, None), (None, None)]
    items = [Item(identity=one, tracklet=track, key=str(n)) for n, (one, track) in enumerate(seen)]
    gallery.enrol(items, rows, model=MODEL)
    # a, b, t3, t4 and two single items.
    assert gallery.num_people() == 6
    assert gallery.num_people(Filter(identities=frozenset({"a"}))) == 1
    assert gallery.num_people(Filter(has_identity=False)) == 4
    found = gallery.search(rows[0], model=MODEL)
    assert (found.people, found.prior) == (6, 0.5)
    gallery.merge("a", ["b"])
    # Remembered, so that not every search reads every item.
    assert gallery.num_people() == 6
    assert memory_gallery(gallery.store).num_people() == 5
    # A tenth more is counted anew.
    gallery.enrol([Item(identity="c", key="c")], vectors(4, 1), model=MODEL)
    assert gallery.num_people() == 6
    assert memory_gallery().search(rows[0], model=MODEL).prior is None


def test_probabilities_of_people_nobody_and_others_add_up_to_one(known: Calibration) -> None:
    gallery, _, _ = filled(calibration=known)
    query = crowd(0, 20, 5)[0][4]
    whole = gallery.search(query, model=MODEL, k=80, group=True)
    assert len(whole.groups) == 20
    assert whole.others == pytest.approx(0, abs=1e-12)
    for asked in ({"k": 80}, {"k": 3}, {"k": 1}, {"k": 2, "rerank": True}):
        found = gallery.search(query, model=MODEL, group=True, **asked)
        shares = [group.probability for group in found.groups]
        assert sum(shares) + found.nobody + found.others == pytest.approx(1)
        assert (found.nobody, found.people) == (pytest.approx(whole.nobody, abs=0.02), 20)
        of_best = {group.identity: group.probability for group in whole.groups}[found.groups[0].identity]
        assert found.groups[0].probability == pytest.approx(of_best, abs=0.02)
        assert found.groups[0].candidates[0].probability == found.groups[0].probability
    # One number, however it is asked for.
    single = gallery.search(query, model=MODEL, k=1)
    assert (
        single.candidates[0].probability == gallery.search(query, model=MODEL, k=9).candidates[0].probability
    )


def test_more_strangers_make_an_answer_less_certain(known: Calibration) -> None:
    query, certain = crowd(0, 20, 5)[0][4], []
    for num_people in (20, 200, 1000):
        gallery = memory_gallery(calibration=known)
        rows, pids = crowd(0, 20, 4)
        others, who = crowd(5, num_people - 20, 4) if num_people > 20 else (rows[:0], [])
        everybody = [*items_of(pids), *(Item(identity=f"q{pid}", key=f"{n}") for n, pid in enumerate(who))]
        gallery.enrol(everybody, np.concatenate([rows, others]), model=MODEL)
        found = gallery.search(query, model=MODEL, k=100, group=True)
        assert found.people == num_people
        assert found.measured is not None
        assert found.measured.is_extrapolated == (num_people > 100)
        certain.append(next(one.probability for one in found.groups if one.identity == "p0"))
    assert certain[0] > certain[1] > certain[2]


def test_pictures_that_nobody_assigned_join_whom_they_look_like(known: Calibration) -> None:
    gallery = memory_gallery(calibration=known)
    rng = np.random.default_rng(0)
    one, other = vectors(1, 2)
    near = [one + 0.1 * rng.standard_normal(DIM) for _ in range(4)]
    rows = np.stack([*near, other, -one]).astype(np.float32)
    who = ["ada", None, None, "bo", None, "cy"]
    items = [Item(identity=name, tracklet=f"t{n}", key=str(n)) for n, name in enumerate(who)]
    gallery.enrol(items, rows, model=MODEL)
    found = gallery.search(one, model=MODEL, group=True)
    # "ada" and "bo" look alike, and stay two: somebody has said so.
    sizes = {group.identity: len(group.candidates) for group in found.groups}
    assert sizes["ada"] + sizes["bo"] == 4
    assert (sizes[None], sizes["cy"]) == (1, 1)
    assert sum(group.probability for group in found.groups) + found.nobody == pytest.approx(1)


def test_what_is_searched_with_is_left_out(known: Calibration) -> None:
    gallery, rows, _ = filled(calibration=known)
    best = gallery.search(rows[0], model=MODEL, k=1).candidates[0].item.id
    found = gallery.search(rows[0], model=MODEL, k=80, group=True, without=[best])
    assert len(found.candidates) == 79
    every = [*found.candidates, *(one for group in found.groups for one in group.candidates)]
    assert best not in {one.item.id for one in every}


def test_an_empty_gallery_answers() -> None:
    found = memory_gallery().search(vectors(0, 1)[0], model=MODEL)
    assert (found.candidates, found.groups, found.decision, found.calibrated) == ((), (), None, False)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"k": 0}, InputError, "k: expected 1 to 1,000"),
        ({"k": 1001}, InputError, "k: expected 1 to 1,000"),
        ({"prior": 0.0}, InputError, "prior"),
        ({"prior": float("nan")}, InputError, "prior"),
        ({"prior": 0.1}, InputError, "need a calibration"),
        ({"false_alarm_rate": 0.01}, InputError, "need a calibration.*omnireid calibrate"),
        ({"embedding": vectors(0, 1, DIM - 1)[0]}, ShapeError, "embedding"),
        ({"embedding": np.zeros(DIM)}, InputError, "all zero"),
    ],
)
def test_what_cannot_be_answered_is_refused(options: dict, error: type[Exception], said: str) -> None:
    gallery, rows, _ = filled()
    asked = {"embedding": rows[0], **options}
    with pytest.raises(error, match=said):
        gallery.search(asked.pop("embedding"), model=MODEL, **asked)


def test_without_a_calibration_there_are_scores_and_a_reason(known: Calibration) -> None:
    gallery, rows, _ = filled()
    found = gallery.search(rows[0], model=MODEL, group=True)
    assert not found.calibrated
    assert "omnireid calibrate" in found.note
    assert {(one.probability, one.decision) for one in found.candidates} == {(None, None)}
    assert found.groups[0].decision is found.decision is found.false_alarm_rate is None
    gallery.calibration = calibration(model=OTHER)
    found = gallery.search(rows[0], model=MODEL)
    assert not found.calibrated
    assert "of another model" in found.note
    gallery.calibration = known
    assert gallery.search(rows[0], model=MODEL).note == ""


def test_decisions_follow_from_the_number_beside_them(known: Calibration) -> None:
    gallery, _, _ = filled(calibration=known)
    searches = known.record.search
    assert searches is not None
    queries, decisions = crowd(0, 40, 5)[0][4::5], set()
    for query in queries:
        for rate, prior in ((None, 0.5), (0.1, 0.5), (0.01, 0.05), (0.1, 0.9)):
            found = gallery.search(query, model=MODEL, k=80, group=True, false_alarm_rate=rate, prior=prior)
            assert found.false_alarm_rate == (rate or 0.01)
            wanted = searches.rate(20, 4, found.false_alarm_rate)
            assert (found.same_from, found.measured.rate) == (wanted.threshold, wanted.rate)
            best = found.groups[0]
            decisions.add(found.decision)
            assert best.decision is found.decision
            assert [one.decision for one in found.groups].count(Decision.SAME) <= 1
            if found.decision is Decision.SAME:
                assert best.probability >= found.same_from >= 0.5
            elif prior <= 0.5:
                assert best.probability < found.same_from
            if found.decision is Decision.NEW:
                assert found.nobody >= 0.5
    assert decisions == set(Decision)
    for rate in (0.5, 1e-6):
        with pytest.raises(InputError, match=r"this calibration holds 0\.1, 0\.01"):
            gallery.search(query, model=MODEL, false_alarm_rate=rate)


def test_a_calibration_without_searches_gives_scores_and_a_reason(known: Calibration) -> None:
    record = known.record.model_copy(update={"search": None})
    gallery, rows, _ = filled(calibration=Calibration(record, known.whitening))
    found = gallery.search(rows[0], model=MODEL)
    assert "Make it again with 'omnireid calibrate'" in found.note
    assert (found.decision, found.nobody, found.candidates[0].probability) == (None, None, None)


def test_where_nobody_is_to_compare_with_everybody_is_new(known: Calibration) -> None:
    gallery, rows, _ = filled(calibration=known)
    nobody = Filter(cameras=frozenset({"elsewhere"}))
    assert gallery.search(rows[0], model=MODEL, where=nobody).decision is Decision.NEW
    assert memory_gallery(calibration=known).search(rows[0], model=MODEL).decision is Decision.NEW


def test_whitened_scores_are_of_the_transformed_embeddings() -> None:
    whitened = calibration(whitened=True)
    gallery, rows, ids = filled(calibration=whitened)
    query = vectors(6, 1)[0]
    found = gallery.search(query, model=MODEL, k=5)
    moved = whitened.transform(np.concatenate([query[None], rows])).astype(np.float64)
    exact = moved[1:] @ moved[0]
    order = np.argsort(-exact)[:5]
    assert [one.item.id for one in found.candidates] == [ids[n] for n in order]
    assert [ids[n] for n in np.argsort(-cosines(rows, query))[:5]] != [ids[n] for n in order]
    np.testing.assert_allclose([one.score for one in found.candidates], exact[order], atol=1e-5)
    assert "whitened" in found.note


def test_groups_are_found_however_many_pictures_one_person_has(known: Calibration) -> None:
    gallery = memory_gallery(calibration=known)
    rows, pids = crowd(3, 6, 1)
    near = rows[0] + 0.01 * vectors(4, 900)
    gallery.enrol(items_of([0] * 900), near, model=MODEL)
    gallery.enrol(items_of(pids[1:], source="others"), rows[1:], model=MODEL)
    found = gallery.search(rows[0], model=MODEL, k=4, group=True)
    assert len(found.candidates) == 4
    assert {one.identity for one in found.candidates} == {"p0"}
    others = np.argsort(-cosines(rows[1:], rows[0]))[:3] + 1
    assert [one.identity for one in found.groups] == ["p0", *(f"p{n}" for n in others)]
    assert [len(one.candidates) for one in found.groups] == [4, 1, 1, 1]
    # Nothing is left to look for: six people are all there are.
    assert len(gallery.search(rows[0], model=MODEL, k=50, group=True).groups) == 6


@settings(max_examples=60, deadline=None)
@given(
    who=st.lists(
        st.tuples(st.sampled_from(["a", "b", "c", None]), st.sampled_from(["s", "t", None])), max_size=25
    ),
    k=st.integers(1, 6),
    merged=st.booleans(),
)
def test_groups_are_those_of_a_plain_loop(who: list, k: int, merged: bool) -> None:
    gallery = memory_gallery()
    rows = vectors(len(who), len(who) + 1)
    items = [
        Item(key=str(n), identity=identity, tracklet=tracklet) for n, (identity, tracklet) in enumerate(who)
    ]
    names: dict = {"b": "b"}
    if items:
        gallery.enrol(items, rows[1:], model=MODEL)
    if merged and {"a", "b"} <= {identity for identity, _ in who}:
        gallery.merge("a", ["b"])
        names["b"] = "a"
    expected: dict = {}
    for n in np.argsort(-cosines(rows[1:], rows[0])) if items else []:
        identity, tracklet = who[n]
        identity = names.get(identity, identity)
        key = ("identity", identity) if identity else ("tracklet", tracklet) if tracklet else ("item", n)
        expected.setdefault(key, []).append(str(items[n].key))
    keys = {gallery.item(name).id: str(n) for n, name in enumerate(_ids(gallery, items, rows))}
    found = gallery.search(rows[0], model=MODEL, k=k, group=True)
    members = [[keys[one.item.id] for one in group.candidates] for group in found.groups]
    wanted = [group[:k] for group in list(expected.values())[:k]]
    # Once there are k groups, more of their members are not looked for.
    assert members == [group[: len(got)] for group, got in zip(wanted, members, strict=True)]
    assert all(members)
    if len(items) <= 4 * k:
        assert members == wanted
    for group in found.groups:
        assert (group.score, group.identity) == (group.candidates[0].score, group.candidates[0].identity)


def _ids(gallery: Gallery, items: list, rows: np.ndarray) -> tuple:
    return gallery.enrol(items, rows[1:], model=MODEL).ids if items else ()


def test_reranking_changes_the_order_and_nothing_else() -> None:
    gallery, _, _ = filled(seed=8, num_people=30, each=5)
    query = crowd(8, 30, 5, noise=1.1)[0][7]
    plain = gallery.search(query, model=MODEL, k=150)
    again = gallery.search(query, model=MODEL, k=150, rerank=True)
    scores = {one.item.id: one.score for one in plain.candidates}
    assert {one.item.id for one in again.candidates} == set(scores)
    for one in again.candidates:
        assert one.score == pytest.approx(scores[one.item.id], abs=1e-6)
    order = [one.item.id for one in again.candidates]
    best = [one.item.id for one in plain.candidates]
    assert order[:100] != best[:100]
    assert set(order[:100]) == set(best[:100]), "only the best hundred change places"
    assert order[100:] == best[100:]
    assert "re-ranking" in again.note
    assert [one.item.id for one in gallery.search(query, model=MODEL, k=3, rerank=True).candidates] == order[
        :3
    ]


def test_reranking_is_that_of_the_paper_among_query_and_candidates() -> None:
    rows, _ = crowd(8, 12, 5, noise=1.3)
    points = unit(rows)
    by_cosine = np.argsort(-(points[1:] @ points[0]), kind="stable")
    for count in (59, 12, 4):
        among = np.concatenate([points[:1], points[1:][by_cosine[:count]]])
        sq_dist = ((among[:, None] - among[None]) ** 2).sum(axis=2)
        expected = np.argsort(naive(sq_dist, 1, Reranking(min(20, count), min(6, count)))[0], kind="stable")
        found = reranked(points[0], points[1:], by_cosine[:count])
        assert found.tolist() == by_cosine[expected].tolist()
    assert reranked(points[0], points[1:], by_cosine[:59]).tolist() != by_cosine[:59].tolist()


def test_few_candidates_are_reranked_too() -> None:
    for count in range(4):
        gallery = memory_gallery()
        rows = vectors(count, count + 1)
        if count:
            gallery.enrol([Item(key=str(n)) for n in range(count)], rows[1:], model=MODEL)
        assert len(gallery.search(rows[0], model=MODEL, rerank=True).candidates) == count


def test_an_index_makes_answers_approximate_unless_asked_otherwise() -> None:
    from omnireid.gallery.store import IndexState

    class Indexed(MemoryStore):
        def index_state(self, collection: str) -> IndexState:
            return IndexState("ready", 4, 0)

    gallery = memory_gallery(Indexed())
    gallery.enrol([Item()], vectors(0, 1), model=MODEL)
    assert not gallery.search(vectors(0, 1)[0], model=MODEL).is_exact
    assert gallery.search(vectors(0, 1)[0], model=MODEL, exact=True).is_exact


def test_the_local_store_answers_as_the_plain_one(tmp_path: Path, known: Calibration) -> None:
    plain, rows, _ = filled(calibration=known)
    with Gallery.open(str(tmp_path / "gallery"), calibration=known, clock=lambda: 1000.0) as gallery:
        gallery.enrol(items_of(crowd(0, 20, 4)[1]), rows, model=MODEL)
        for one in (plain, gallery):
            one.merge("p1", ["p2"])
        where = Filter(identities=frozenset({"p2", "p5"}))
        for options in ({}, {"group": True, "rerank": True}, {"where": where}):
            for query in vectors(9, 3):
                expected, found = (one.search(query, model=MODEL, k=7, **options) for one in (plain, gallery))
                assert [one.item for one in found.candidates] == [one.item for one in expected.candidates]
                assert [one.identity for one in found.groups] == [one.identity for one in expected.groups]
                np.testing.assert_allclose(
                    [one.score for one in found.candidates],
                    [one.score for one in expected.candidates],
                    atol=1e-6,
                )


@pytest.mark.parametrize("whitened", [False, True])
@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
@pytest.mark.parametrize("is_warm", [False, True])
def test_no_score_is_above_1_and_the_order_is_that_of_exact_cosines(
    tmp_path: Path, whitened: bool, precision: str, is_warm: bool
) -> None:
    rows = vectors(3, 60)
    known = calibration(whitened=True) if whitened else None
    with Gallery.open(str(tmp_path / "g"), precision=precision, calibration=known) as gallery:  # type: ignore[arg-type]
        ids = gallery.enrol([Item(tracklet=f"t{n // 3}") for n in range(60)], rows, model=MODEL).ids
        if is_warm:
            gallery.warm()
        stored = np.stack([gallery.embedding(one) for one in ids]).astype(np.float64)
        for query in (*rows[:20], *-rows[:20]):
            found = gallery.search(query, model=MODEL, k=60).candidates
            tracklets = gallery.search_tracklet(query[None], model=MODEL, k=20).candidates
            assert all(-1 <= one.score <= 1 for one in (*found, *tracklets))
            if not whitened:
                cosines = stored @ query / (np.linalg.norm(stored, axis=1) * np.linalg.norm(query))
                expected = sorted(zip(-cosines.astype(np.float32), ids, strict=True))
                np.testing.assert_allclose(
                    [one.score for one in found], [-one[0] for one in expected], atol=1e-6
                )
                assert [one.item.id for one in found] == [one[1] for one in expected]
        same = gallery.search_tracklet(stored[:3], model=MODEL, k=1).candidates[0]
        assert 0.999 < same.score <= 1


def test_not_this_person_lowers_later_answers_until_somebody_else_is_enrolled(known: Calibration) -> None:
    gallery = memory_gallery(calibration=known)
    rng = np.random.default_rng(0)
    ada, others = vectors(1, 1)[0], vectors(2, 12)
    double = ada + 0.5 * rng.standard_normal(DIM).astype(np.float32)
    everybody = [Item(identity="ada", key="a"), *(Item(identity=f"p{n}", key=str(n)) for n in range(12))]
    gallery.enrol(everybody, np.concatenate([ada[None], others]), model=MODEL)

    def answer(query: np.ndarray) -> tuple[float, float]:
        found = gallery.search(query, model=MODEL, k=20, group=True)
        shares = {group.identity: group.probability for group in found.groups}
        assert sum(shares.values()) + found.nobody == pytest.approx(1)
        return shares["ada"], found.nobody

    again = double + 0.2 * rng.standard_normal(DIM).astype(np.float32)
    before, own = answer(again), answer(ada)
    rejection = gallery.acting_as("Eve").reject("ada", double, model=MODEL)
    after = answer(again)
    assert after[0] < 0.2 < before[0]
    assert after[1] > before[1]
    # Ada's own pictures hardly suffer.
    assert answer(ada)[0] > 0.8 * own[0]
    gallery.enrol([Item(identity="bo", key="b")], double[None], model=MODEL)
    found = gallery.search(again, model=MODEL, k=20, group=True)
    assert (found.groups[0].identity, found.groups[0].probability > 0.6) == ("bo", True)
    gallery.unreject(rejection)
    assert gallery.audit(latest=True)[0].action == "unreject"
    with pytest.raises(InputError, match="there is none of this id"):
        gallery.unreject(rejection)
    with pytest.raises(NotInGalleryError):
        gallery.reject("nobody", double, model=MODEL)
