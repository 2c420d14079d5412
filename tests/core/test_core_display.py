"""What a notebook shows of values: one short line, and tables whose texts are escaped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest
from pydantic import BaseModel

from omnireid import Item, ModelRef, evaluate_embeddings
from omnireid.core.card import ModelCard
from omnireid.core.display import html_table, short_repr
from omnireid.core.types import Dataset, Embeddings, Sample, Split
from omnireid.evaluation.options import Ranking
from omnireid.gallery.searching import Candidate, SearchResult
from omnireid.training.recipe import load_recipe

LONGEST = 300


def large_dataset() -> Dataset:
    samples = tuple(Sample(f"/data/{number:06d}.jpg", number % 700, number % 6) for number in range(20_000))
    return Dataset(
        "<b>market</b>", "/data", *(Split(name, samples) for name in ("train", "query", "gallery"))
    )


def large_values() -> list[object]:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(2_000, 64)).astype(np.float32)
    pids = np.arange(2_000) % 500
    paths = tuple(map(str, range(2_000)))
    known = Embeddings.from_arrays(rows, pids, np.arange(2_000) % 3, paths)
    item = Item(camera="c1", source="a" * 900, thumbnail=b"x" * 100_000, identity="<i>")
    candidates = tuple(Candidate(item, 0.5, None, None, "<i>", None) for _ in range(500))
    model = ModelRef("m", "0" * 64, 64)
    found = SearchResult(
        candidates, (), None, None, None, 500, False, "", model, True, None, None, None, None
    )
    dataset = large_dataset()
    return [
        dataset, dataset.train, known, evaluate_embeddings(known, known, Ranking("cosine")), item,
        candidates[0], found, Sample("/a.jpg", 1, 0, frames=paths), load_recipe("quickstart"),
        ModelCard(name="m", architecture="osnet_x1_0", notes="n" * 5_000),
    ]  # fmt: skip


@pytest.mark.parametrize("value", large_values(), ids=lambda value: type(value).__name__)
def test_a_value_of_any_size_is_one_short_line(value: object) -> None:
    for text in (repr(value), str(value)):
        assert len(text) <= LONGEST
        assert "\n" not in text
        assert text.startswith(f"{type(value).__name__}(")


def test_a_dataset_says_how_much_it_holds() -> None:
    assert "20,000 pictures, 700 people, 6 cameras" in repr(large_dataset())


def test_fields_at_their_defaults_are_left_out_and_arrays_shown_by_their_shape() -> None:
    @dataclass
    class Plain:
        number: int
        rows: np.ndarray
        text: str = "usual"

        __repr__ = short_repr

    class Named(NamedTuple):
        value: float
        other: int = 3

        __repr__ = short_repr

    class Model(BaseModel):
        name: str
        many: tuple[int, ...] = ()

        __repr__ = __str__ = short_repr

    assert repr(Plain(1, np.zeros((2, 3), np.float32))) == "Plain(number=1, rows=float32[2, 3])"
    assert repr(Plain(1, np.zeros(2), "other")) == "Plain(number=1, rows=float64[2], text='other')"
    assert repr(Named(1 / 3)) == "Named(value=0.333333)"
    assert str(Model(name="m", many=range(5000))) == "Model(name='m', many=<5,000 entries>)"


def test_tables_for_notebooks_escape_what_others_have_written() -> None:
    values = [value for value in large_values() if hasattr(value, "_repr_html_")]
    assert {type(value).__name__ for value in values} >= {"Dataset", "RetrievalResult", "SearchResult"}
    for value in values:
        shown = value._repr_html_()
        assert shown.startswith("<table>")
        assert "<b>" not in shown
        assert "<i>" not in shown
    assert html_table(["a"], [["<x>"], [None]], "c & d") == (
        "<table><caption>c &amp; d</caption><tr><th>a</th></tr>"
        "<tr><td>&lt;x&gt;</td></tr><tr><td></td></tr></table>"
    )
