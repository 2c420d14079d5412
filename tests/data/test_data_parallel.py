"""One function over many files in threads: order, errors, and no task per file."""

from __future__ import annotations

import threading
import time

import pytest

from omnireid.data.parallel import map_files


@pytest.mark.parametrize("number", [0, 1, 2, 15, 16, 17, 1000, 5003])
@pytest.mark.parametrize("threads", [1, 3])
def test_results_come_by_path_in_the_order_given(number, threads):
    paths = [f"{(7 * n) % 5003}.jpg" for n in range(number)]
    found = map_files(len, paths, title="measuring", threads=threads)
    assert list(found.items()) == [(path, len(path)) for path in paths]


def test_the_first_error_ends_the_work():
    done: list[str] = []

    def check(path: str) -> None:
        if path == "3":
            raise ValueError(path)
        time.sleep(0.0005)
        done.append(path)

    with pytest.raises(ValueError, match="3"):
        map_files(check, [str(n) for n in range(20_000)], title="checking", threads=2)
    assert len(done) < 10_000


def test_a_few_slow_files_are_shared_among_all_threads():
    meet = threading.Barrier(3, timeout=10)  # passes only if three threads are in it at once
    map_files(lambda _path: meet.wait(), ["a", "b", "c"], title="meeting", threads=3)
