"""Codes of embeddings against NumPy in float64: what they estimate, and how far they may be off."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from gallery.lance_rows import unit_rows
from omnireid.gallery.lance import code_kernels, codes
from omnireid.gallery.lance.codes import Block, Coder

DIMS = (8, 64, 96, 512, 2048)


def hadamard(size: int) -> np.ndarray:
    made = np.ones((1, 1))
    while len(made) < size:
        made = np.block([[made, made], [made, -made]])
    return made


def unpacked(words_WN: np.ndarray) -> np.ndarray:
    """(P, N) of 0 and 1, the lowest bit first."""
    bits = words_WN[:, None, :] >> np.arange(64, dtype=np.uint64)[None, :, None] & np.uint64(1)
    return bits.reshape(-1, words_WN.shape[1]).astype(int)


def hard_rows(dim: int) -> np.ndarray:
    """Rows that are far from noise: one number, all alike, two sizes, tiny and huge norms."""
    one, alike, sizes = np.eye(dim)[:3], np.ones((1, dim)), np.geomspace(1, 1e-6, dim)[None]
    rows = np.concatenate([one, -one, alike, sizes, 1e-18 * alike, 1e18 * sizes, unit_rows(50, 3, dim)])
    return rows.astype(np.float32)


def hard_queries(dim: int) -> np.ndarray:
    rows = hard_rows(dim).astype(np.float64)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def block_of(rows: np.ndarray, centre: np.ndarray | None = None) -> tuple[Coder, Block]:
    coder = Coder(np.zeros(rows.shape[1], np.float32) if centre is None else centre)
    return coder, coded(coder, rows)


def coded(coder: Coder, rows: np.ndarray, first: int = 0) -> Block:
    block = coder.empty(len(rows))
    addresses = np.arange(first, first + len(rows), dtype=np.uint64)
    coder.fill(block, 0, addresses, (np.zeros(len(rows), np.int32), np.zeros(len(rows))), rows)
    return block


def cosines_of(rows: np.ndarray, query: np.ndarray) -> np.ndarray:
    rows = rows.astype(np.float64)
    return rows @ query.astype(np.float64) / np.linalg.norm(rows, axis=1)


@pytest.mark.parametrize("size", [1, 64, 128, 1024])
def test_it_rotates_by_the_hadamard_matrix(size: int) -> None:
    columns = np.random.default_rng(size).standard_normal((size, 3)).astype(np.float32)
    expected = hadamard(size) @ columns.astype(np.float64)
    code_kernels.rotate(columns)
    np.testing.assert_allclose(columns, expected, atol=1e-3)


@pytest.mark.parametrize("dim", DIMS)
def test_levels_are_off_by_no_more_than_they_say(dim: int) -> None:
    rows = hard_rows(dim)
    coder, block = block_of(rows)
    restored = block.levels.astype(np.float64) * block.scales[:, None]
    units = rows / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    left = np.linalg.norm(units - restored, axis=1)
    np.testing.assert_allclose(block.errors, left, atol=1e-6)
    assert (np.abs(block.levels).max(axis=1) == 127).all()
    for query_D in hard_queries(dim):
        query = coder.query(query_D)
        found = codes.cosines([block], query)
        # What the loops compute, and how far that is from the embeddings.
        np.testing.assert_allclose(found, restored @ (query.levels * query.scale), atol=1e-6)
        bound = codes.most_wrong(block.errors, query)
        assert (np.abs(found - cosines_of(rows, query_D)) <= bound).all()
        assert bound.max() < 0.06


@pytest.mark.parametrize("dim", DIMS)
def test_signs_are_those_of_the_rotation_and_agree_as_counted(dim: int) -> None:
    rows = unit_rows(40, 1, dim)
    centre = rows.mean(axis=0) / 2
    coder, block = block_of(rows, centre)
    matrix = hadamard(coder.size)[:, :dim] * coder._flips_P[:dim]
    rotated = matrix @ (rows - centre).T.astype(np.float64)
    words = unpacked(block.words)
    sure = np.abs(rotated) > 1e-4
    assert (words[sure] == (rotated > 0)[sure]).all()
    # RaBitQ: <q, x> is estimated by <q, c> + |x - c|² <q', s> / <x', s>, with q' in 16 equal steps.
    query_D = unit_rows(1, 2, dim)[0]
    query = coder.query(query_D)
    turned = matrix @ query_D
    step = 2 * np.abs(turned).max() / 15
    stepped = (np.rint(turned / step + 7.5) - 7.5) * step
    assert np.abs(stepped - turned).max() <= step / 2 + 1e-6
    scale = (rotated**2).sum(axis=0) / np.abs(rotated).sum(axis=0) / coder.size
    expected = query_D @ centre + stepped @ (2 * words - 1) * scale
    # A number midway between two steps may fall on either.
    np.testing.assert_allclose(codes.estimates([block], query), expected, atol=1.1 * step * scale.max())


def test_estimates_are_unbiased_and_as_near_as_the_paper_says() -> None:
    dim = 512
    rows = unit_rows(4000, 4, dim) + 0.05
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    coder, block = block_of(rows, rows.mean(axis=0))
    spread = np.linalg.norm(rows - rows.mean(axis=0), axis=1).mean()
    errors = np.concatenate(
        [codes.estimates([block], coder.query(query)) - rows @ query for query in unit_rows(20, 5, dim)]
    )
    # Of a random direction a sign keeps 2/π of the square, so the rest is π/2 - 1 of it.
    expected = spread * np.sqrt((np.pi / 2 - 1) / dim)
    assert abs(errors.mean()) < 0.02 * expected
    assert expected < errors.std() < 1.1 * expected


def test_some_rows_many_blocks_and_one_row_are_the_same_as_all() -> None:
    rows = unit_rows(9001, 6, 96)
    coder, whole = block_of(rows)
    cuts = [0, 1, 17, 4096, 5000, 9001]
    parts = [coded(coder, rows[first:last], first) for first, last in itertools.pairwise(cuts)]
    query = coder.query(unit_rows(1, 7, 96)[0])
    for compared in (codes.cosines, codes.estimates):
        np.testing.assert_allclose(compared(parts, query), compared([whole], query), atol=1e-6)
    picked = [np.flatnonzero(np.arange(len(part)) % 3 == 0) for part in parts]
    expected = [codes.cosines([part], query)[rows] for part, rows in zip(parts, picked, strict=True)]
    assert (codes.cosines_of(parts, query, picked) == np.concatenate(expected)).all()


@pytest.mark.parametrize("dtype", [np.float16, np.int8])
def test_what_is_stored_short_is_coded_as_it_is(dtype: type) -> None:
    rows = np.rint(unit_rows(30, 8, 64) * 200).clip(-127, 127).astype(dtype)
    coder, block = block_of(rows)
    query_D = unit_rows(1, 9, 64)[0]
    query = coder.query(query_D)
    off = np.abs(codes.cosines([block], query) - cosines_of(rows, query_D))
    assert (off <= codes.most_wrong(block.errors, query)).all()


def test_sums_hold_where_every_product_is_the_largest() -> None:
    for dim in (512, 2048, 8192):
        rows = np.ones((2, dim), np.float32) * [[1], [-1]]
        coder, block = block_of(rows.astype(np.float32))
        query = coder.query(np.full(dim, dim**-0.5, np.float32))
        np.testing.assert_allclose(codes.cosines([block], query), [1, -1], atol=1e-3)


def test_some_rows_of_a_block() -> None:
    rows = unit_rows(100, 10)
    coder, block = block_of(rows)
    kept = np.arange(100) % 7 == 3
    some = block.only(kept)
    assert (some.addresses == np.flatnonzero(kept)).all()
    query = coder.query(unit_rows(1, 11)[0])
    for compared in (codes.cosines, codes.estimates):
        assert (compared([some], query) == compared([block], query)[kept]).all()
    assert (some.errors == block.errors[kept]).all()
