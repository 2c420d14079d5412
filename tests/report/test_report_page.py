"""The report as a browser takes it in: parsed, nothing from outside, hostile names shown as text."""

from __future__ import annotations

import base64
import dataclasses
import io
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from omnireid import rank_metrics
from omnireid.core.errors import ShapeError, StorageError
from omnireid.core.options import Protocol
from omnireid.core.record import (
    DatasetRecord,
    EnvironmentRecord,
    ModelRecord,
    ResultRecord,
    SplitRecord,
    TrainingRecord,
)
from omnireid.evaluation.metrics import metrics_record
from omnireid.evaluation.result import RetrievalResult
from omnireid.report.page import Activation, ReportData, choose_queries, write_report

VOID = {"meta", "img", "wbr", "br", "link", "input"}


class Page(HTMLParser):
    """Elements, texts and nesting of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data

    def named(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


def picture(folder: Path, name: str, seed: int) -> str:
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (8, 4, 3), np.uint8)
    path = folder / name
    Image.fromarray(blocks).resize((64, 128), Image.Resampling.BILINEAR).save(path, "JPEG")
    return str(path)


def ranking(*, num_query: int = 12, num_gallery: int = 40, seed: int = 0) -> RetrievalResult:
    rng = np.random.default_rng(seed)
    q_pids, g_pids = rng.integers(1, 6, num_query), rng.integers(-1, 6, num_gallery)
    q_pids[-1] = 99
    dist = rng.random((num_query, num_gallery)) + 0.4 * (q_pids[:, None] != g_pids)
    return rank_metrics(dist, q_pids, g_pids, rng.integers(0, 3, num_query), rng.integers(0, 3, num_gallery))


def result_record(retrieval: RetrievalResult, *, training: bool = True) -> ResultRecord:
    rows = [
        {"epoch": e + 1.0, "loss": 5.0 / (e + 1), "lr": 0.001, "accuracy": e / 5, "images_per_second": 100.0}
        for e in range(5)
    ]
    rows[-1]["mAP"] = 0.5
    return ResultRecord(
        dataset=DatasetRecord(
            name="made-up",
            root="somewhere",
            splits={"query": SplitRecord(images=1234, pids=6, cameras=3)},
            skipped=("bad/one.jpg: truncated",),
        ),
        model=ModelRecord(
            name="osnet_x0_25",
            architecture="osnet_x0_25",
            source="weights",
            sha256="ab" * 32,
            backend="onnxruntime",
            input_size=(256, 128),
            embedding_size=512,
        ),
        protocol=retrieval.protocol_record(),
        metrics=metrics_record(retrieval),
        cmc=tuple(retrieval.cmc.tolist()),
        seed=3,
        environment=EnvironmentRecord(
            omnireid="0.1.0",
            python="3.11.7",
            packages={"numpy": "2.0"},
            machine="a machine",
            cores=2,
            commit="0123456789abcdef-dirty",
            created="2026-01-01T00:00:00+00:00",
        ),
        timings_s={"ranking": 0.25},
        training=TrainingRecord(
            recipe={"model": "osnet_x0_25", "optimiser": {"name": "amsgrad"}},
            history=tuple(rows),
            images_per_second=100.0,
            data_wait_share=0.01,
            seconds=60.0,
        )
        if training
        else None,
    )


@pytest.fixture
def data(tmp_path: Path) -> ReportData:
    retrieval = ranking()
    queries = [picture(tmp_path, f"q_{i}.jpg", i) for i in range(retrieval.num_queries)]
    gallery = [picture(tmp_path, f"g_{i}.jpg", 100 + i) for i in range(retrieval.num_gallery)]
    maps = np.random.default_rng(0).random((2, 16, 8)).astype(np.float32)
    activations = [Activation(queries[0], maps[0]), (queries[1], maps[1])]
    return ReportData(result_record(retrieval), retrieval, queries, gallery, activations)


def written(tmp_path: Path, data: ReportData) -> tuple[str, Page]:
    path = tmp_path / "report.html"
    write_report(path, data)
    text = path.read_text(encoding="utf-8")
    return text, Page(text)


def test_needs_nothing_from_outside(tmp_path: Path, data: ReportData) -> None:
    text, page = written(tmp_path, data)
    assert not {"script", "link", "iframe", "object", "embed", "base"} & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        assert not {"href", "action", "srcset"} & attributes.keys()
    for image in page.named("img"):
        header, _, content = (image["src"] or "").partition(",")
        assert header == "data:image/jpeg;base64"
        assert Image.open(io.BytesIO(base64.b64decode(content))).size <= (96, 192)
        assert image["alt"]
    assert not re.search(r"https?:|url\(|@import", re.sub(r"base64,[A-Za-z0-9+/=]+", "", text))
    assert "prefers-color-scheme: dark" in text
    assert page.named("meta")[1]["name"] == "viewport"


def test_shows_the_numbers_with_their_protocol(tmp_path: Path, data: ReportData) -> None:
    _, page = written(tmp_path, data)
    shown = " ".join(page.text.split())
    metrics = data.record.metrics
    for label, value in (("rank-1", metrics.rank1), ("mAP", metrics.mAP), ("mINP", metrics.mINP)):
        assert f"{label}{100 * value:.1f}" in shown.replace(f"{label} ", label)
    assert f"mAP {metrics.mAP:.3f}, rank-1 {metrics.rank1:.3f} (made-up, single query" in shown
    assert "valid queries of 12" in shown
    invalid = data.retrieval.num_queries - data.retrieval.num_valid_queries
    assert f"{invalid} {'query has' if invalid == 1 else 'queries have'} no match" in shown
    for part in (
        "1,234",
        "bad/one.jpg: truncated",
        "0123456789ab-dirty",
        "amsgrad",
        "a machine",
        "1 picture was",
    ):
        assert part in shown, part


def test_ranked_lists_follow_the_ranking(tmp_path: Path, data: ReportData) -> None:
    _, page = written(tmp_path, data)
    hardest, good = choose_queries(data.retrieval, seed=data.record.seed)
    outcomes = [item["class"] for item in page.named("li") if item.get("class") in ("match", "wrong", "junk")]
    expected = [
        ("wrong", "match", "junk")[value]
        for query in hardest + good
        for value in data.retrieval.top_outcomes[query]
    ]
    assert outcomes[3:] == expected  # The first three are the legend.
    assert {"match", "wrong", "junk"} <= set(expected)
    hints = [image["title"] for image in page.named("img")]
    for query in hardest + good:
        rank = int(data.retrieval.first_match_rank[query])
        match = np.flatnonzero(data.retrieval.top_outcomes[query] == 1)
        if match.size:
            found = data.gallery_paths[data.retrieval.top_indices[query, match[0]]]
            distance = data.retrieval.top_distances[query, match[0]]
            assert f"rank {rank}, match, distance {distance:.4g}, {found}" in hints
        assert f"AP {data.retrieval.ap[query]:.3f}, first match at rank" in page.text


def test_hardest_and_good_queries_are_chosen_by_seed() -> None:
    retrieval = ranking(num_query=60, num_gallery=80)
    hardest, good = choose_queries(retrieval, seed=1)
    worst = sorted(np.flatnonzero(retrieval.valid), key=lambda query: (retrieval.ap[query], query))[:6]
    assert hardest == worst
    assert all(retrieval.first_match_rank[query] == 1 for query in good)
    assert not set(hardest) & set(good)
    assert choose_queries(retrieval, seed=1)[1] == good
    assert any(choose_queries(retrieval, seed=seed)[1] != good for seed in range(2, 6))


def test_a_perfect_ranking_has_no_hard_query(tmp_path: Path) -> None:
    retrieval = rank_metrics(1.0 - np.eye(3), [1, 2, 3], [1, 2, 3], [0] * 3, [1] * 3)
    paths = [picture(tmp_path, f"{i}.jpg", i) for i in range(3)]
    data = ReportData(result_record(retrieval), retrieval, paths, paths)
    _, page = written(tmp_path, data)
    assert choose_queries(retrieval, seed=0)[0] == []
    assert "None: every query finds all its matches" in page.text


def test_parts_that_are_missing_leave_their_section_out(tmp_path: Path, data: ReportData) -> None:
    _, full = written(tmp_path, data)
    bare = dataclasses.replace(data, record=result_record(data.retrieval, training=False), activations=())
    _, page = written(tmp_path, bare)
    for heading in ("Training", "Activation maps", "Recipe"):
        assert heading in full.text
        assert heading not in page.text
    assert len(full.named("svg")) == 5
    assert len(page.named("svg")) == 2


def test_single_gallery_shot_has_no_map(tmp_path: Path, data: ReportData) -> None:
    rng = np.random.default_rng(0)
    count = (data.retrieval.num_queries, data.retrieval.num_gallery)
    retrieval = rank_metrics(
        rng.random(count),
        rng.integers(0, 5, count[0]),
        rng.integers(0, 5, count[1]),
        np.zeros(count[0], int),
        np.ones(count[1], int),
        protocol=Protocol.SINGLE_GALLERY_SHOT,
    )
    drawn = dataclasses.replace(data, record=result_record(retrieval), retrieval=retrieval)
    _, page = written(tmp_path, drawn)
    assert "mean of 10 draws" in page.text
    assert "first match at rank" in page.text


def test_hostile_names_are_text(tmp_path: Path, data: ReportData) -> None:
    evil = '"><script>alert(1)</script><img src=x onerror=alert(2)>.jpg'
    queries = list(data.query_paths)
    for index in range(len(queries)):
        queries[index] = picture(tmp_path, evil.replace("/", "∕").replace(".jpg", f"{index}.jpg"), index)
    split = SplitRecord(images=1, pids=1, cameras=1)
    record = data.record.model_copy(
        update={
            "dataset": data.record.dataset.model_copy(
                update={
                    "name": evil,
                    "root": evil,
                    "skipped": (evil,),
                    "splits": {evil: split},
                }
            ),
            "model": data.record.model.model_copy(update={"name": evil, "source": evil}),
            "training": data.record.training.model_copy(update={"recipe": {evil: evil}}),
            "timings_s": {evil: 1.0},
            "artifacts": {evil: evil},
        }
    )
    hostile = dataclasses.replace(
        data,
        record=record,
        query_paths=queries,
        activations=[(queries[0], data.activations[0][1])],
        title=evil,
    )
    _, page = written(tmp_path, hostile)
    assert page.named("script") == []
    assert all("onerror" not in attributes for _, attributes in page.tags)
    assert page.text.count("<script>alert(1)") >= 8


def test_undecodable_file_names_do_not_stop_the_report(tmp_path: Path, data: ReportData) -> None:
    queries = [path + os.fsdecode(b"-\xff.jpg") for path in data.query_paths]
    _, page = written(tmp_path, dataclasses.replace(data, query_paths=queries))
    assert "first match" in page.text


def test_unreadable_pictures_become_gaps_that_are_listed(tmp_path: Path, data: ReportData) -> None:
    hardest, _ = choose_queries(data.retrieval, seed=data.record.seed)
    Path(data.query_paths[hardest[0]]).write_bytes(b"")
    Path(data.query_paths[hardest[1]]).unlink()
    _, page = written(tmp_path, data)
    assert "2 pictures could not be shown" in page.text
    assert f"{data.query_paths[hardest[0]]}: the file is empty" in page.text
    assert "no picture" in page.text


def test_same_data_same_bytes(tmp_path: Path, data: ReportData) -> None:
    write_report(tmp_path / "a.html", data)
    write_report(tmp_path / "b.html", data)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_stays_small_with_large_noisy_pictures(tmp_path: Path, data: ReportData) -> None:
    rng = np.random.default_rng(0)
    for path in (*data.query_paths, *data.gallery_paths):
        noise = rng.integers(0, 256, (512, 256, 3), np.uint8)
        Image.fromarray(noise).save(path, "JPEG", quality=95)
    write_report(tmp_path / "report.html", data)
    # Noise is the worst case for JPEG; photographs take a quarter of it.
    assert (tmp_path / "report.html").stat().st_size < 3_000_000


def test_refuses_paths_of_another_ranking(tmp_path: Path, data: ReportData) -> None:
    with pytest.raises(ShapeError, match="query_paths"):
        dataclasses.replace(data, query_paths=data.query_paths[:-1])
    with pytest.raises(ShapeError, match="gallery_paths"):
        dataclasses.replace(data, gallery_paths=[])
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(StorageError):
        write_report(blocked / "report.html", data)
