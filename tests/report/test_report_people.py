"""The report's table of people, its map of embeddings, and cameras that have one name everywhere."""

from __future__ import annotations

import csv
import dataclasses
import io
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from omnireid import rank_metrics
from omnireid.core.cameras import camera_name
from omnireid.core.errors import ShapeError
from omnireid.core.record import AnalysisRecord, CameraPairScore, GroupScore
from omnireid.core.types import Embeddings
from omnireid.report.analysis import camera_matrix
from omnireid.report.embeddings import MAX_PEOPLE, MAX_PICTURES, embedding_map, map_chart
from omnireid.report.identities import identity_scores, identity_table
from omnireid.report.page import ReportData
from report.test_report_page import picture, result_record, written

NAMES = {2: "<b>Yard</b>"}


def test_a_camera_has_one_name() -> None:
    assert [camera_name(camid, NAMES) for camid in (-1, 0, 2, 11)] == ["", "c1", "<b>Yard</b>", "c12"]
    group = GroupScore(group="", num_queries=1, num_valid_queries=1, rank1=1.0, mAP=1.0, mINP=1.0)
    pairs = tuple(
        CameraPairScore(q_camid=a, g_camid=b, num_gallery=1, score=group) for a, b in ((0, 2), (2, 0))
    )
    matrix = camera_matrix(AnalysisRecord(camera_pairs=pairs), "mAP", NAMES)
    assert matrix is not None
    assert matrix["cameras"] == [row["camera"] for row in matrix["rows"]] == ["c1", "<b>Yard</b>"]


def retrieval_of(q_pids: np.ndarray, q_camids: np.ndarray, seed: int = 0):
    rng = np.random.default_rng(seed)
    g_pids, g_camids = rng.integers(1, 8, 60), rng.integers(0, 3, 60)
    dist = rng.random((len(q_pids), 60)) + 0.3 * (q_pids[:, None] != g_pids)
    return rank_metrics(dist, q_pids, g_pids, q_camids, g_camids)


def test_scores_by_person_are_those_of_their_queries() -> None:
    rng = np.random.default_rng(1)
    pids, camids = np.append(rng.integers(1, 8, 30), 99), rng.integers(0, 3, 31)
    retrieval = retrieval_of(pids, camids)
    scores = identity_scores(retrieval, pids, camids, pid_names={3: "Ann"}, camera_names=NAMES)
    assert {one.pid for one in scores} == set(pids.tolist())
    # Person 99 is nowhere in the gallery.
    assert (scores[-1].pid, scores[-1].mAP, scores[-1].worst_rank) == (99, None, None)
    for one in scores[:-1]:
        mine = [n for n, pid in enumerate(pids) if pid == one.pid and retrieval.valid[n]]
        assert (one.num_queries, one.num_valid_queries) == (int((pids == one.pid).sum()), len(mine))
        assert one.mAP == pytest.approx(sum(retrieval.ap[n] for n in mine) / len(mine))
        assert one.worst_rank == max(retrieval.first_match_rank[n] for n in mine)
        assert one.rank1 == sum(retrieval.first_match_rank[n] == 1 for n in mine) / len(mine)
        assert retrieval.ap[one.hardest_query] == min(retrieval.ap[n] for n in mine)
        assert one.cameras == tuple(
            camera_name(camid, NAMES)
            for camid in sorted({int(camids[n]) for n in range(31) if pids[n] == one.pid})
        )
    means = [one.mAP for one in scores[:-1]]
    assert means == sorted(means)
    rows = list(csv.DictReader(io.StringIO(identity_table(scores))))
    assert [int(row["pid"]) for row in rows] == [one.pid for one in scores]
    assert float(rows[0]["mAP"]) == scores[0].mAP
    assert (rows[-1]["mAP"], rows[-1]["valid_queries"]) == ("", "0")
    assert {row["name"] for row in rows if row["pid"] == "3"} == {"Ann"}
    with pytest.raises(ShapeError, match="camids"):
        identity_scores(retrieval, pids, camids[:-1])


def people(num_people: int, each: int, seed: int = 0) -> Embeddings:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(9).standard_normal((num_people + 1, 16))
    pids = np.repeat(np.arange(1, num_people + 1), each)
    return Embeddings.from_arrays(
        (centres[pids] + 0.1 * rng.standard_normal((len(pids), 16))).astype(np.float32),
        pids=pids,
        camids=rng.integers(0, 8, len(pids)),
        paths=tuple(map(str, range(len(pids)))),
    )


def test_the_map_is_a_bounded_seeded_sample_of_whom_it_shall_show(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [people(40, 3), people(40, 30, seed=1)]
    first = [*range(40, 20, -1)]
    found = embedding_map(parts, first=first, seed=1)
    assert found is not None
    assert ("t-SNE (perplexity" if find_spec("sklearn") else "omnireid[report]") in found.method
    monkeypatch.setattr("omnireid.report.embeddings.find_spec", lambda name: None)
    again, other = embedding_map(parts, first=first, seed=1), embedding_map(parts, first=first, seed=2)
    assert again is not None
    assert other is not None
    np.testing.assert_array_equal(found.pids, again.pids)
    np.testing.assert_array_equal(found.camids, again.camids)
    assert set(found.pids.tolist()) >= set(first[: MAX_PEOPLE // 2])
    assert set(found.pids.tolist()) != set(other.pids.tolist())
    counts = np.unique(found.pids, return_counts=True)[1]
    assert (len(counts), counts.max()) == (MAX_PEOPLE, MAX_PICTURES)
    assert (found.num_people, found.num_pictures) == (40, 40 * 33)
    # People who are apart are apart on the plane.
    centres = {pid: found.places[found.pids == pid].mean(axis=0) for pid in np.unique(found.pids)}
    own = np.array(
        [np.linalg.norm(place - centres[pid]) for place, pid in zip(found.places, found.pids, strict=True)]
    )
    spread = np.linalg.norm(found.places - found.places.mean(axis=0), axis=1).mean()
    assert np.median(own) < (0.2 if find_spec("sklearn") else 0.6) * spread
    assert embedding_map([people(2, 3)]) is None


def test_the_map_without_the_extra_says_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omnireid.report.embeddings.find_spec", lambda name: None)
    part = people(12, 5)
    found = embedding_map([part], cosine=True)
    assert found is not None
    assert "principal components" in found.method
    assert "pip install 'omnireid[report]'" in found.method
    chart = map_chart(found, pid_names={1: "<i>"}, camera_names=NAMES)
    assert "&lt;i&gt;, " in chart["svg"]
    assert "<i>" not in chart["svg"]
    shown = ", ".join(names for _, names in chart["key"])
    assert sorted(shown.split(", ")) == sorted(camera_name(one, NAMES) for one in np.unique(part.camids))


@pytest.fixture
def data(tmp_path: Path) -> ReportData:
    rng = np.random.default_rng(1)
    pids, camids = rng.integers(1, 8, 30), rng.integers(0, 3, 30)
    retrieval = retrieval_of(pids, camids)
    record = result_record(retrieval)
    record = record.model_copy(
        update={"dataset": record.dataset.model_copy(update={"pid_names": {1: "A_very_long_name_" * 4}})}
    )
    queries = [picture(tmp_path, f"q_{n}.jpg", n) for n in range(30)]
    return ReportData(
        record,
        retrieval,
        queries,
        [queries[n % 30] for n in range(60)],
        identities=identity_scores(retrieval, pids, camids, pid_names=record.dataset.pid_names),
        embedding_map=embedding_map([people(12, 5)]),
    )


def test_the_page_has_people_and_map(
    tmp_path: Path, data: ReportData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omnireid.report.page.NUM_PEOPLE_SHOWN", 3)
    text, page = written(tmp_path, data)
    assert "The 3 hardest of 7 people" in page.text
    assert text.count('<tr><td><img class="shot"') == 3
    assert "12 of 12 people, 60 of 60 pictures" in page.text
    assert "<script" not in text
    plain, _ = written(tmp_path, dataclasses.replace(data, identities=(), embedding_map=None))
    assert "Person by person" not in plain
    assert "Map of embeddings" not in plain


@pytest.mark.slow
def test_the_page_fits_a_phone_and_shows_one_person_alone(tmp_path: Path, data: ReportData) -> None:
    from playwright.sync_api import sync_playwright

    from server.page_browser import ARGUMENTS, CHROMIUM

    if not CHROMIUM.exists():
        pytest.skip("needs chromium")
    written(tmp_path, data)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(ARGUMENTS))
        page = browser.new_page(viewport={"width": 360, "height": 740})
        page.goto((tmp_path / "report.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        page.locator(".who").nth(3).focus()
        page.keyboard.press("Tab")
        page.wait_for_timeout(300)
        seen = page.locator(".who").evaluate_all(
            "groups => groups.map((one) => getComputedStyle(one).opacity)"
        )
        assert seen[4] == "1"
        assert set(seen[:4] + seen[5:]) == {"0.12"}
        browser.close()
