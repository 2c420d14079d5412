"""Compiled loops of k-reciprocal re-ranking. Import it inside functions: it brings numba."""

# numba infers the types of compiled functions; mypy does not know its rules.
# mypy: ignore-errors

from __future__ import annotations

import numpy as np

from omnireid.evaluation.kernels import compiled


@compiled
def reciprocal_sets(start, stop, lists, sets, sizes):
    """sets[i, : sizes[i]] = those of lists[i] that have i in their own list, in order."""
    for i in range(start, stop):
        size = 0
        for j in lists[i]:
            for other in lists[j]:
                if other == i:
                    sets[i, size] = j
                    size += 1
                    break
        sizes[i] = size


@compiled
def expanded_sets(start, stop, first, sets, sizes, half_sets, half_sizes, strict, members, counts):
    """members[i] = ascending union of set first + i and the half sets that overlap it by two thirds."""
    for i in range(start, stop):
        own = sets[first + i, : sizes[first + i]]
        size = len(own)
        members[i, :size] = own
        for j in own:
            half = half_sets[j, : half_sizes[j]]
            overlap = 0
            for item in half:
                for other in own:
                    if item == other:
                        overlap += 1
                        break
            if 3 * overlap > 2 * len(half) or (not strict and 3 * overlap == 2 * len(half)):
                members[i, size : size + len(half)] = half
                size += len(half)
        members[i, :size].sort()
        kept = 0
        for k in range(size):
            if k == 0 or members[i, k] != members[i, k - 1]:
                members[i, kept] = members[i, k]
                kept += 1
        counts[first + i] = kept


@compiled
def mean_rows(start, stop, first, neighbours, row_start, items, weights):
    """Mean of the sparse rows of each item's neighbours, items first + start … first + stop.

    Returns (counts, items, weights) of the new rows, the items of each ascending.
    """
    count, per_row = len(row_start) - 1, neighbours.shape[1]
    total = np.zeros(count)
    seen = np.zeros(count, np.bool_)
    room = 0
    for i in range(first + start, first + stop):
        for j in neighbours[i]:
            room += row_start[j + 1] - row_start[j]
    counts = np.empty(stop - start, np.int64)
    out_items, out_weights = np.empty(room, np.int32), np.empty(room, np.float32)
    filled = 0
    for i in range(first + start, first + stop):
        begin = filled
        for j in neighbours[i]:
            for k in range(row_start[j], row_start[j + 1]):
                item = items[k]
                if not seen[item]:
                    seen[item] = True
                    out_items[filled] = item
                    filled += 1
                total[item] += weights[k]
        out_items[begin:filled].sort()
        for k in range(begin, filled):
            item = out_items[k]
            out_weights[k] = total[item] / per_row
            total[item] = 0.0
            seen[item] = False
        counts[i - first - start] = filled - begin
    return counts, out_items[:filled].copy(), out_weights[:filled].copy()


@compiled
def shared_neighbours(
    start,
    stop,
    first,
    num_query,
    num_gallery,
    row_start,
    row_items,
    row_weights,
    totals,
    column_start,
    column_items,
    column_weights,
):
    """Jaccard distances of queries first + start … first + stop to the items sharing a neighbour with them.

    Returns (counts, items, jaccard), the items of each query ascending.
    """
    smaller = np.zeros(num_gallery)
    seen = np.zeros(num_gallery, np.bool_)
    touched = np.empty(num_gallery, np.int32)
    counts = np.empty(stop - start, np.int64)
    items, jaccard = np.empty(1024, np.int32), np.empty(1024)
    filled = 0
    for q in range(first + start, first + stop):
        num_touched = 0
        for k in range(row_start[q], row_start[q + 1]):
            weight = row_weights[k]
            column = row_items[k]
            for c in range(column_start[column], column_start[column + 1]):
                item = column_items[c]
                if not seen[item]:
                    seen[item] = True
                    touched[num_touched] = item
                    num_touched += 1
                smaller[item] += min(weight, column_weights[c])
        touched[:num_touched].sort()
        if filled + num_touched > len(items):
            room = 2 * (filled + num_touched)
            more_items, more_jaccard = np.empty(room, np.int32), np.empty(room)
            more_items[:filled], more_jaccard[:filled] = items[:filled], jaccard[:filled]
            items, jaccard = more_items, more_jaccard
        for t in range(num_touched):
            item = touched[t]
            both = smaller[item]
            items[filled + t] = item
            # Σ max = Σ a + Σ b − Σ min.
            jaccard[filled + t] = 1.0 - both / (totals[q] + totals[num_query + item] - both)
            smaller[item] = 0.0
            seen[item] = False
        filled += num_touched
        counts[q - first - start] = num_touched
    return counts, items[:filled].copy(), jaccard[:filled].copy()
