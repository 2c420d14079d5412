"""Tracklet against tracklet: pooled with their qualities, compared as naive NumPy does."""

from __future__ import annotations

import numpy as np
import pytest

from gallery.people import DIM, MODEL, calibration, crowd, items_of, memory_gallery, vectors
from omnireid import Filter, Gallery, Item
from omnireid.core.errors import InputError, ShapeError
from omnireid.evaluation.calibration import Decision
from omnireid.gallery.tracklets import pooled


def unit(rows: np.ndarray) -> np.ndarray:
    rows = rows.astype(np.float64)
    return rows / np.sqrt((rows**2).sum(axis=-1, keepdims=True))


def filled(**options) -> tuple[Gallery, np.ndarray, list[Item]]:
    """Ten people, each in two tracklets of three frames and one picture alone; qualities differ."""
    gallery = memory_gallery(**options)
    rows, pids = crowd(4, 10, 7)
    quality = np.random.default_rng(0).uniform(0.1, 1.0, len(pids)).astype(np.float32).astype(float)
    items = [
        Item(
            key=str(n),
            identity=f"p{pid}",
            camera=f"cam{n % 2}",
            tracklet=None if n % 7 == 6 else f"p{pid}/{n % 7 // 3}",
            quality=quality[n],
        )
        for n, pid in enumerate(pids)
    ]
    gallery.enrol(items, rows, model=MODEL)
    return gallery, rows, items


def expected(rows: np.ndarray, items: list[Item], query: np.ndarray) -> list[tuple[float, str, int]]:
    """(score, tracklet or key, frames), the best first."""
    sets: dict[str, list[int]] = {}
    for n, item in enumerate(items):
        sets.setdefault(item.tracklet or str(item.key), []).append(n)
    found = []
    for name, members in sets.items():
        mean = sum(items[n].quality * unit(rows[n]) for n in members)
        found.append((float(unit(mean) @ query), name, len(members)))
    return sorted(found, reverse=True)


def test_candidates_are_whole_tracklets() -> None:
    gallery, rows, items = filled()
    frames, qualities = crowd(4, 10, 9)[0][30:33] + 0.2 * vectors(1, 3), [0.2, 1.0, 0.7]
    query = unit(sum(q * row for q, row in zip(qualities, unit(frames), strict=True)))
    found = gallery.search_tracklet(frames * 5, qualities=qualities, model=MODEL, k=8)
    wanted = expected(rows, items, query)[:8]
    ids = {gallery.item(one.item.id).id: one for one in found.candidates}
    assert len(ids) == 8
    np.testing.assert_allclose([one.score for one in found.candidates], [one[0] for one in wanted], atol=1e-6)
    assert [one.frames for one in found.candidates] == [one[2] for one in wanted]
    assert [one.item.tracklet for one in found.candidates] == [
        one[1] if "/" in one[1] else None for one in wanted
    ]
    # The item that stands for a tracklet is its nearest.
    for one in found.candidates:
        if one.item.tracklet:
            members = [n for n, item in enumerate(items) if item.tracklet == one.item.tracklet]
            best = max(members, key=lambda n: unit(rows[n]) @ query)
            assert one.item.quality == pytest.approx(items[best].quality)
    assert found.is_exact
    unweighted = gallery.search_tracklet(frames, model=MODEL, k=8)
    assert [one.score for one in unweighted.candidates] != [one.score for one in found.candidates]


def test_only_frames_that_meet_the_filter_count() -> None:
    gallery, rows, items = filled()
    where = Filter(cameras=frozenset({"cam1"}))
    found = gallery.search_tracklet(rows[:1], model=MODEL, k=50, where=where)
    kept = [n for n, item in enumerate(items) if item.camera == "cam1"]
    wanted = expected(rows[kept], [items[n] for n in kept], unit(rows[0]))
    np.testing.assert_allclose([one.score for one in found.candidates], [one[0] for one in wanted], atol=1e-6)
    assert [one.frames for one in found.candidates] == [one[2] for one in wanted]


def test_evidence_beside_looks_changes_who_it_is_and_finds_whom_few_pictures_show() -> None:
    gallery = memory_gallery(calibration=calibration())
    rows, pids = crowd(0, 40, 4)
    gallery.enrol(items_of(pids), rows, model=MODEL)
    plain = gallery.search(rows[0], model=MODEL, k=3)
    assert plain.groups[0].identity == "p0"
    # Of 160 pictures 64 are looked at; this person's are not among them.
    last = gallery.search(rows[0], model=MODEL, k=40).groups[-1].identity
    assert last is not None
    gallery.merge(last, ["p1"])
    found = gallery.search(rows[0], model=MODEL, k=3, evidence={last: 28.0})
    assert found.groups[0].identity == last
    assert [one.item.id for one in found.candidates] == [one.item.id for one in plain.candidates]
    against = gallery.search(rows[0], model=MODEL, k=3, evidence={"p0": -28.0})
    assert "p0" not in {group.identity for group in against.groups}
    assert against.nobody is not None
    assert plain.nobody is not None
    assert against.nobody > plain.nobody


def test_frames_and_people_that_are_ruled_out_do_not_count() -> None:
    gallery, rows, items = filled()
    ids = {item.quality: item.id for item in gallery.items(limit=100)}
    gallery.merge("p5", ["p4"])
    without = (0, 8, 15)
    found = gallery.search_tracklet(
        rows[28:31],
        model=MODEL,
        k=50,
        without={str(ids[items[n].quality]) for n in without},
        without_people={"p4"},
    )
    kept = [n for n, item in enumerate(items) if n not in without and item.identity not in ("p4", "p5")]
    wanted = expected(rows[kept], [items[n] for n in kept], unit(unit(rows[28:31]).sum(axis=0)))
    assert [one.frames for one in found.candidates] == [count for _, _, count in wanted]
    np.testing.assert_allclose([one.score for one in found.candidates], [one[0] for one in wanted], atol=1e-6)
    # Whoever fills the first look is passed over, and others are looked for further down.
    crowded = memory_gallery()
    many, few = np.tile(rows[:1], (300, 1)), rows[28:31]
    crowded.enrol([Item(key=f"m{n}", identity="p1", tracklet="m") for n in range(300)], many, model=MODEL)
    crowded.enrol([Item(key=f"f{n}", identity=f"q{n}") for n in range(3)], few, model=MODEL)
    for group in (True, False):
        found = crowded.search_tracklet(rows[:1], model=MODEL, k=3, without_people={"p1"}, group=group)
        assert {one.identity for one in found.candidates} == {"q0", "q1", "q2"}
        found = crowded.search(rows[0], model=MODEL, k=3, without_people={"p1"}, group=group)
        assert {one.identity for one in found.candidates} == {"q0", "q1", "q2"}


def test_many_frames_of_one_tracklet_do_not_hide_the_others() -> None:
    gallery = memory_gallery()
    rows, _ = crowd(5, 4, 1)
    near = rows[0] + 0.01 * vectors(0, 600)
    gallery.enrol([Item(key=f"n{n}", tracklet="long") for n in range(600)], near, model=MODEL)
    gallery.enrol([Item(key=f"o{n}", tracklet=f"t{n}") for n in range(3)], rows[1:], model=MODEL)
    found = gallery.search_tracklet(rows[:1], model=MODEL, k=3)
    assert len({one.item.tracklet for one in found.candidates}) == 3
    assert found.candidates[0].frames == 600


def test_tracklets_are_grouped_reranked_and_decided() -> None:
    known = calibration()
    gallery, rows, _ = filled(calibration=known)
    plain = gallery.search_tracklet(rows[:3], model=MODEL, k=30)
    again = gallery.search_tracklet(rows[:3], model=MODEL, k=30, rerank=True, group=True)
    assert {one.item.id for one in again.candidates} == {one.item.id for one in plain.candidates}
    assert {one.item.id: round(one.score, 6) for one in again.candidates} == {
        one.item.id: round(one.score, 6) for one in plain.candidates
    }
    assert [one.item.id for one in again.candidates] != [one.item.id for one in plain.candidates]
    assert len(again.groups) == 10
    assert sorted(len(one.candidates) for one in again.groups) == [3] * 10
    best = plain.candidates[0]
    assert (best.identity, best.frames, best.decision) == ("p0", 3, Decision.SAME)
    assert plain.decision is best.decision is again.decision
    assert 0.9 < best.probability == pytest.approx(1 - plain.nobody - plain.others, abs=0.1)
    assert "whole tracklets" in plain.note
    assert "single pictures" in plain.note
    assert "re-ranking" in again.note


def test_whitened_tracklets_are_pooled_after_whitening() -> None:
    whitened = calibration(whitened=True)
    gallery, rows, items = filled(calibration=whitened)
    found = gallery.search_tracklet(rows[:2], model=MODEL, k=40)
    moved = whitened.transform(rows)
    query = unit(unit(moved[0]) + unit(moved[1]))
    wanted = expected(moved, items, query)[: len(found.candidates)]
    np.testing.assert_allclose([one.score for one in found.candidates], [one[0] for one in wanted], atol=1e-5)


def test_frames_of_no_quality_count_for_nothing_and_alike_where_there_are_no_others() -> None:
    gallery = memory_gallery()
    rows, _ = crowd(4, 10, 3)
    qualities = {"one good": (0.0, 0.5, 0.0), "none good": (0.0, 0.0, 0.0), "all good": (1.0, 1.0, 1.0)}
    for place, (name, weights) in enumerate(qualities.items()):
        items = [Item(key=f"{name}{n}", tracklet=name, quality=weight) for n, weight in enumerate(weights)]
        gallery.enrol(items, rows[3 * place : 3 * place + 3], model=MODEL)
    found = gallery.search_tracklet(rows[20:23], qualities=[0, 2, 0], model=MODEL, group=False)
    query = unit(rows[21])
    wanted = {
        "one good": unit(rows[1]) @ query,
        "none good": unit(sum(unit(rows[3:6]))) @ query,
        "all good": unit(sum(unit(rows[6:9]))) @ query,
    }
    scores = {candidate.item.tracklet: candidate.score for candidate in found.candidates}
    assert scores == pytest.approx(wanted, abs=1e-6)
    assert {candidate.frames for candidate in found.candidates} == {3}
    alike = [gallery.search_tracklet(rows[:2], qualities=each, model=MODEL) for each in (None, [0, 0])]
    assert alike[0] == alike[1]


def test_what_cannot_be_pooled_is_refused() -> None:
    gallery, rows, _ = filled()
    for qualities, error in (([1.0], ShapeError), ([1.0, -0.1], InputError), ([1.0, np.nan], InputError)):
        with pytest.raises(error, match="qualities"):
            gallery.search_tracklet(rows[:2], qualities=qualities, model=MODEL)
    with pytest.raises(InputError, match="at least one frame"):
        gallery.search_tracklet(np.zeros((0, DIM)), model=MODEL)
    with pytest.raises(InputError, match="all zero"):
        pooled(np.stack([unit(rows[0]), -unit(rows[0])]).astype(np.float32))
    assert memory_gallery().search_tracklet(rows[:2], model=MODEL).candidates == ()
