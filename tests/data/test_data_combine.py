"""Several sources: ids that never meet, everybody in training, and targets that stay apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from omnireid.core.errors import InputError, UnknownNameError
from omnireid.core.types import Dataset, Sample, Split
from omnireid.data.combine import combine_all, combine_sources, read_datasets
from omnireid.data.datasets import read_dataset
from toy_people import write_toy_people


def dataset(name: str, train: list[Sample], query: list[Sample] = (), gallery: list[Sample] = ()) -> Dataset:
    splits = (
        Split(kind, tuple(part))
        for kind, part in zip(("train", "query", "gallery"), (train, query, gallery), strict=True)
    )
    return Dataset(name, f"/data/{name}", *splits)


def test_people_of_two_sources_never_share_a_pid_or_a_camera() -> None:
    first = dataset("a", [Sample("a0", 0, 0), Sample("a1", 7, 3), Sample("junk", -1, 9)])
    second = dataset("b", [Sample("b0", 0, 0), Sample("b1", 7, 1)])
    third = dataset("c", [Sample("c0", 0, 0)])
    both = combine_sources([first, second, third])
    assert both.name == "a+b+c"
    # By hand: b starts after pid 7 and camera 3 of a, c after pid 8 + 7 and camera 4 + 1.
    assert [(s.path, s.pid, s.camid, s.dsetid) for s in both.train] == [
        ("a0", 0, 0, 0),
        ("a1", 7, 3, 0),
        ("b0", 8, 4, 1),
        ("b1", 15, 5, 1),
        ("c0", 16, 6, 2),
    ]
    assert not both.query.samples
    assert not both.gallery.samples


def test_one_source_stays_what_it_is() -> None:
    only = dataset("a", [Sample("a0", 3, 1)], [Sample("q", 1, 0)], [Sample("g", 1, 1)])
    assert combine_sources([only]) is only


def test_pictures_and_tracklets_are_not_mixed() -> None:
    pictures = dataset("a", [Sample("a0", 0, 0)])
    tracklets = dataset("b", [Sample("b0", 0, 0, frames=("b0", "b1"))])
    with pytest.raises(InputError, match=r"a \(pictures\), b \(tracklets\)"):
        combine_sources([pictures, tracklets])


def test_combineall_takes_query_and_gallery_but_no_distractors_and_no_picture_twice() -> None:
    # Both parts number their people from zero, as MSMT17 does.
    everything = combine_all(
        dataset(
            "market1501",
            [Sample("t0", 0, 0), Sample("t1", 1, 1)],
            [Sample("q1", 1, 0)],
            [
                Sample("q1", 1, 0),
                Sample("g1", 1, 1),
                Sample("g2", 2, 1),
                Sample("d", 0, 1),
                Sample("j", -1, 1),
            ],
        )
    )
    assert [(s.path, s.pid) for s in everything.train] == [
        ("t0", 0),
        ("t1", 1),
        ("q1", 3),
        ("g1", 3),
        ("g2", 4),
    ]
    assert len(everything.gallery) == 5


def test_combineall_leaves_out_a_pid_0_that_no_query_has() -> None:
    gallery = [Sample("g", 1, 1), Sample("d1", 0, 1), Sample("d2", 0, 1)]
    train = [Sample("t", 0, 0)]
    everything = combine_all(dataset("market-layout", train, [Sample("q", 1, 0)], gallery))
    assert [(s.path, s.pid) for s in everything.train] == [("t", 0), ("q", 2), ("g", 2)]
    sought = combine_all(dataset("market-layout", train, [Sample("q", 0, 0)], gallery))
    assert [(s.path, s.pid) for s in sought.train] == [("t", 0), ("q", 1), ("g", 2), ("d1", 1), ("d2", 1)]


def test_combineall_knows_people_by_their_names(tmp_path: Path) -> None:
    for split in ("train", "query", "gallery"):
        for person in ("0001", "0002"):
            (tmp_path / split / person).mkdir(parents=True)
            (tmp_path / split / person / f"c{len(split)}.jpg").touch()
    assert combine_all(read_dataset("folder-per-person", tmp_path)).train.num_pids == 2


def test_combineall_keeps_pid_0_where_it_is_a_person() -> None:
    everything = combine_all(dataset("market-layout", [Sample("t", 0, 0)], [], [Sample("g", 0, 1)]))
    assert [s.pid for s in everything.train] == [0, 1]


def test_roots_are_one_for_all_or_one_each(tmp_path: Path) -> None:
    one, two = write_toy_people(tmp_path / "one"), write_toy_people(tmp_path / "two", num_train=4)
    found = read_datasets("market-layout+market1501", [one], check_counts=False)
    assert [d.name for d in found] == ["market-layout", "market1501"]
    found = read_datasets("market-layout+market-layout", [one, two])
    assert [d.train.num_pids for d in found] == [6, 4]
    with pytest.raises(InputError, match="2 datasets and 3 roots"):
        read_datasets("market-layout+manifest", [one, two, one])
    with pytest.raises(InputError, match="market-layout is given twice with the same root"):
        read_datasets("market-layout+market-layout", [one])
    with pytest.raises(InputError, match="has no random splits"):
        read_datasets("market-layout", [one], split_id="all")
    with pytest.raises(UnknownNameError, match="did you mean 'market1501'"):
        read_datasets("market-layout+market1510", [one])
