"""Compiled loops over pairs of embeddings. They release the GIL and hold no state; callers share out rows.

A pair's distance is the same number in every loop: ties stay ties. Import this module inside functions.

Words used here: a pair's *level* is its squared distance times the query's weight, its *value* what it is
ranked by (`value_of`), and its *offset* the float32 number that a product gives: half the squared distance
less half the query's squared norm, in scaled, centred coordinates.
"""

# numba infers the types of compiled functions; mypy does not know its rules.
# mypy: ignore-errors

from __future__ import annotations

from typing import Any

import numpy as np

from omnireid.core import compiled as numba_settings

# The types inside are numba's: to mypy, compiled loops take and return anything.
compiled: Any = numba_settings.compiled
compiled_in_any_order: Any = numba_settings.compiled_in_any_order

LANES = 32
SEGMENT = 2048
FIRST_SEGMENT = 128
CHUNK = 64
MARK = 1 << 30

LEVEL, ROOT, BLEND, BLEND_SQUARE = 0, 1, 2, 3


@compiled
def sq_dist(x, y, x_scale, y_scale, lanes):
    """Σ (x·x_scale − y·y_scale)² in float64: coordinate i goes to lane i mod 32, lanes are added pairwise."""
    lanes[:] = 0.0
    whole = len(x) - len(x) % LANES
    for start in range(0, whole, LANES):
        for lane in range(LANES):
            difference = np.float64(x[start + lane]) * x_scale - np.float64(y[start + lane]) * y_scale
            lanes[lane] += difference * difference
    for lane in range(len(x) - whole):
        difference = np.float64(x[whole + lane]) * x_scale - np.float64(y[whole + lane]) * y_scale
        lanes[lane] += difference * difference
    width = LANES // 2
    while width:
        for lane in range(width):
            lanes[lane] += lanes[lane + width]
        width //= 2
    return lanes[0]


@compiled
def value_of(kind, blend, level):
    """What a level is ranked by: itself, its root, or (1 − λ) · 1 + λ · level (or its square)."""
    if kind == LEVEL:
        return level
    if kind == ROOT:
        return np.sqrt(level)
    if kind == BLEND:
        return (1.0 - blend) + blend * level
    return (1.0 - blend) + blend * (level * level)


@compiled
def levels_of(kind, blend, value):
    """(low, high): levels below `low` have a smaller value for certain, those above `high` a larger one."""
    if kind == LEVEL:
        return value, value
    if kind == ROOT:
        return value * value * (1.0 - 2.0**-50), value * value * (1.0 + 2.0**-50)
    if blend == 0.0:
        if value < 1.0:
            return -np.inf, -np.inf
        return (-np.inf, np.inf) if value == 1.0 else (np.inf, np.inf)
    middle = (value - (1.0 - blend)) / blend
    slack = 2.0**-50 * (1.0 / blend + abs(middle))
    low, high = middle - slack, middle + slack
    if kind == BLEND_SQUARE:
        low = np.sqrt(low) * (1.0 - 2.0**-50) if low > 0.0 else low
        high = np.sqrt(high) * (1.0 + 2.0**-50) if high > 0.0 else high
    return low, high


@compiled
def pair_levels(start, stop, q_rows, g_rows, q_scale, g_scale, weight, q_index, g_index, out):
    """out[i] = level of the pair (q_index[i], g_index[i])."""
    lanes = np.empty(LANES)
    for i in range(start, stop):
        q, g = q_index[i], g_index[i]
        out[i] = sq_dist(q_rows[q], g_rows[g], q_scale[q], g_scale[g], lanes) * weight[q]


@compiled
def inverse_norms(start, stop, rows, out):
    """out[i] = 1 / ‖row i‖: infinite for a zero row, NaN or 0 where the row is not finite."""
    for i in range(start, stop):
        total = 0.0
        for x in rows[i]:
            total += np.float64(x) * np.float64(x)
        out[i] = 1.0 / np.sqrt(total)


@compiled_in_any_order
def _sum_of_squares(row):
    """In any order: what is made of it is compared with room for error."""
    total = 0.0
    for x in row:
        total += np.float64(x) * np.float64(x)
    return total


@compiled
def centre_rows(start, stop, rows, scale, centre, factor, out, half):
    """out[i] = float32((row i · scale − centre) · factor); half[i] = half the squared norm of that."""
    width = rows.shape[1]
    for i in range(start, stop):
        for d in range(width):
            out[i, d] = np.float32((np.float64(rows[i, d]) * scale[i] - centre[d]) * factor)
        half[i] = 0.5 * _sum_of_squares(out[i])


@compiled
def _insert(top_value, top_item, filled, value, item):
    """Put a pair into the ascending list of the closest; equal values by item. Returns how many it holds."""
    slot = filled
    while slot > 0 and (
        value < top_value[slot - 1] or (value == top_value[slot - 1] and item < top_item[slot - 1])
    ):
        slot -= 1
    if slot == len(top_value):
        return filled
    last = min(filled, len(top_value) - 1)
    for k in range(last, slot, -1):
        top_value[k], top_item[k] = top_value[k - 1], top_item[k - 1]
    top_value[slot], top_item[slot] = value, item
    return last + 1


@compiled
def order_known(start, stop, pointer, value, order):
    """Into order[pointer[q] : pointer[q + 1]] go a query's pairs by value; equal ones stay as they are."""
    for q in range(start, stop):
        part = value[pointer[q] : pointer[q + 1]]
        order[pointer[q] : pointer[q + 1]] = pointer[q] + np.argsort(part, kind="mergesort")


@compiled
def insert_known(start, stop, pointer, value, item, top_value, top_item, filled):
    """Start each query's list of the closest with the pairs whose value is known."""
    for q in range(start, stop):
        for i in range(pointer[q], pointer[q + 1]):
            filled[q] = _insert(top_value[q], top_item[q], filled[q], value[i], item[i])


@compiled
def _exact_value(given, given_row, column, x, g_rows, x_scale, g_scale, weight, kind, blend, lanes):
    if given:
        return np.float64(given_row[column])
    if kind >= BLEND and blend == 0.0:
        return 1.0
    return value_of(kind, blend, sq_dist(x, g_rows[column], x_scale, g_scale[column], lanes) * weight)


@compiled
def _reach(given, kind, blend, value, level_to_offset, half_q, error):
    """The largest offset that a pair of at most this value can have."""
    if given:
        return value
    bound = levels_of(kind, blend, value)[1] * level_to_offset - half_q
    return bound + error + 2.0**-23 * abs(bound)


@compiled
def _upper_bound(values, count, x):
    """How many of the first `count` ascending values are ≤ x."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if values[middle] <= x:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def _lower_bound(values, count, x):
    """How many of the first `count` ascending values are < x."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if values[middle] < x:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def _offset(given, values_row, half_g, column):
    return values_row[column] if given else half_g[column] - values_row[column]


@compiled
def _with_room(offset, error):
    """An offset that is certainly farther, although both may be off by `error` and values are rounded."""
    offset = np.float64(offset)
    return offset + 4.0 * error + 2.0**-22 * abs(offset) if error > 0.0 else offset


@compiled
def _note_near(nearest, noted, offset):
    """Put an offset into the ascending list of the smallest. Returns how many it holds."""
    slot = noted
    while slot > 0 and offset < nearest[slot - 1]:
        slot -= 1
    if slot == len(nearest):
        return noted
    last = min(noted, len(nearest) - 1)
    for k in range(last, slot, -1):
        nearest[k] = nearest[k - 1]
    nearest[slot] = offset
    return last + 1


@compiled
def count_rows(
    start,
    stop,
    values,
    given,
    half_g,
    junk,
    q_rows,
    g_rows,
    q_scale,
    g_scale,
    weight,
    level_to_offset,
    half_q,
    error,
    kind,
    blend,
    first_item,
    bin_scale,
    bin_shift,
    num_bins,
    known_pointer,
    known_item,
    known_at,
    match_pointer,
    match_value,
    match_item,
    before,
    top_value,
    top_item,
    filled,
    histogram,
):
    """One tile of pairs: who is before each match, who is among the closest, how many are in each bin.

    Known pairs (matches, junk of the query, re-ranked items) are left out of the counts: their values are
    exact already. The others are sorted into bins by their float32 offset. A bin that a match's offset, give
    or take `error`, may lie in is marked; only the pairs in marked bins are looked at one by one, and only
    those within `error` of a match are computed again in float64.

    Args:
        start, stop: queries of the block to do.
        values: (stop − start, G) products, or given distances.
        given: whether `values` are the distances themselves, exact.
        half_g: (G,) half squared norms, of the dtype of `values`.
        junk: (J,) ascending columns that are junk to every query.
        q_rows, g_rows, q_scale, g_scale: raw rows of the query block and of the tile, for exact distances.
        weight, level_to_offset, half_q, error: (Q,) of the query block; `error` holds for this tile.
        kind, blend: see `value_of`.
        first_item: the tile's first column in the gallery.
        bin_scale, bin_shift: (Q,); bin = offset · scale + shift, cut to 0 … num_bins.
        known_pointer, known_item, known_at: known pairs by query, ascending items; the next one to meet.
        match_pointer, match_value, match_item: matches by query, ascending (value, item).
        before: (M,) int64, counted up: others that rank before each match.
        top_value, top_item, filled: the closest of each query.
        histogram: (num_bins + 1,) int64, counted up.
    """
    columns = values.shape[1]
    kept = top_value.shape[1]
    # With next to no weight on the original distance, equal values hide which offset is smaller.
    ordered = kind < BLEND or blend > 1e-6
    bins = np.empty(SEGMENT, np.uint16)
    hits = np.empty(SEGMENT, np.uint16)
    counts = np.empty(num_bins + 2, np.uint32)
    nearest, pending = np.empty(kept, values.dtype), np.empty(columns, np.int32)
    most = 0
    for q in range(start, stop):
        most = max(most, match_pointer[q + 1] - match_pointer[q])
    low, high = np.empty(most, values.dtype), np.empty(most, values.dtype)
    first_bin, last_bin = np.empty(most, np.int64), np.empty(most, np.int64)
    sure = np.empty(most + 1, np.int64)
    lanes = np.empty(LANES)
    zero, beyond = values.dtype.type(0.0), values.dtype.type(num_bins)

    for q in range(start, stop):
        row = q - start
        scale, shift = bin_scale[q], bin_shift[q]
        x, x_scale, to_offset = q_rows[q], q_scale[q], level_to_offset[q]
        first_match = match_pointer[q]
        matches = match_pointer[q + 1] - first_match
        counts[:] = 0
        sure[: matches + 1] = 0
        for m in range(matches):
            value = match_value[first_match + m]
            if given:
                low[m] = high[m] = value
            else:
                below, above = levels_of(kind, blend, value)
                below = below * to_offset - half_q[q]
                above = above * to_offset - half_q[q]
                low[m] = below - error[q] - 2.0**-23 * abs(below) if below > -np.inf else below
                high[m] = above + error[q] + 2.0**-23 * abs(above) if above < np.inf else above
            first_bin[m] = np.int32(min(max(low[m] * scale + shift, zero), beyond))
            last_bin[m] = np.int32(min(max(high[m] * scale + shift, zero), beyond))
        cut = values.dtype.type(np.inf)
        if filled[q] == kept:
            cut = values.dtype.type(
                _reach(given, kind, blend, top_value[q, -1], to_offset, half_q[q], error[q])
            )
        known = known_at[q]
        last_known = known_pointer[q + 1]
        next_junk, noted, num_pending = 0, 0, 0

        first_column = 0
        while first_column < columns:
            width = min(SEGMENT, columns - first_column)
            if first_item == 0:
                # Short ones first: each tells which of the next are near enough to be looked at.
                width = min(width, max(FIRST_SEGMENT, first_column))
            tile_row = values[row, first_column : first_column + width]
            if given:
                for j in range(width):
                    bins[j] = np.uint16(np.int32(min(max(tile_row[j] * scale + shift, zero), beyond)))
            else:
                half_row = half_g[first_column : first_column + width]
                for j in range(width):
                    offset = half_row[j] - tile_row[j]
                    bins[j] = np.uint16(np.int32(min(max(offset * scale + shift, zero), beyond)))
            end_item = first_item + first_column + width
            while known < last_known and known_item[known] < end_item:
                j = known_item[known] - first_item - first_column
                bins[j] = num_bins + 1
                known += 1
            if first_column == 0:
                for m in range(matches):
                    for b in range(first_bin[m], last_bin[m] + 1):
                        counts[b] = MARK
            while next_junk < len(junk) and junk[next_junk] < first_column + width:
                # Shown among the closest, but never counted.
                column = junk[next_junk]
                j = column - first_column
                if bins[j] <= num_bins and _offset(given, values[row], half_g, column) <= cut:
                    pending[num_pending] = column
                    num_pending += 1
                bins[j] = num_bins + 1
                next_junk += 1

            cut_bin = np.intp(np.int32(min(max(cut * scale + shift, zero), beyond)))
            num_hits = 0
            for j in range(width):
                slot = np.intp(bins[j])
                count = counts[slot] + np.uint32(1)
                counts[slot] = count
                if count > np.uint32(MARK) or slot <= cut_bin:
                    hits[num_hits] = j
                    num_hits += 1
            for h in range(num_hits):
                j = np.int64(hits[h])
                column = first_column + j
                offset = _offset(given, values[row], half_g, column)
                if offset <= cut:
                    pending[num_pending] = column
                    num_pending += 1
                    if ordered:
                        noted = _note_near(nearest, noted, offset)
                        if noted == kept:
                            cut = min(cut, values.dtype.type(_with_room(nearest[kept - 1], error[q])))
                if counts[bins[j]] < np.uint32(MARK):
                    continue
                after = _lower_bound(high, matches, offset)
                certain = _upper_bound(low, matches, offset)
                sure[certain] += 1
                if after < certain:
                    item = first_item + column
                    value = _exact_value(
                        given, values[row], column, x, g_rows, x_scale, g_scale, weight[q], kind, blend, lanes
                    )
                    for m in range(first_match + after, first_match + certain):
                        before[m] += value < match_value[m] or (
                            value == match_value[m] and item < match_item[m]
                        )
            first_column += width
        known_at[q] = known

        for p in range(num_pending):
            column = np.int64(pending[p])
            if _offset(given, values[row], half_g, column) <= cut:
                value = _exact_value(
                    given, values[row], column, x, g_rows, x_scale, g_scale, weight[q], kind, blend, lanes
                )
                filled[q] = _insert(top_value[q], top_item[q], filled[q], value, first_item + column)
                if filled[q] == kept:
                    reach = _reach(given, kind, blend, top_value[q, -1], to_offset, half_q[q], error[q])
                    cut = min(cut, values.dtype.type(reach))

        # Others before a match: all in unmarked bins below its own, and the certain ones of marked bins.
        done, total = 0, 0
        for m in range(matches):
            between = np.uint32(0)
            for b in range(done, first_bin[m]):
                between += counts[b] if counts[b] < np.uint32(MARK) else np.uint32(0)
            done = max(done, first_bin[m])
            total += np.int64(between) + sure[m]
            before[first_match + m] += total
        for b in range(num_bins + 1):
            histogram[b] += counts[b] & np.uint32(MARK - 1)


@compiled
def closest_rows(
    start,
    stop,
    products,
    half_g,
    q_rows,
    g_rows,
    q_scale,
    g_scale,
    half_q,
    level_to_offset,
    error,
    first_item,
    own_item,
    top_value,
    top_item,
    filled,
    farthest,
    farthest_item,
):
    """One tile of pairs: keep each query's closest items by exact squared distance, and its farthest.

    `own_item` (Q,) is a gallery item to leave out, −1 for none; `farthest` holds the largest offset seen.
    The other arguments are those of `count_rows`.
    """
    columns = products.shape[1]
    kept = top_value.shape[1]
    work = np.empty(columns, products.dtype)
    lanes = np.empty(LANES)
    for q in range(start, stop):
        row = q - start
        for j in range(columns):
            work[j] = half_g[j] - products[row, j]
        own = own_item[q] - first_item
        if 0 <= own < columns:
            work[own] = np.nan
        cut = np.float32(np.inf)
        if filled[q] == kept:
            cut = np.float32(
                _reach(False, LEVEL, 0.0, top_value[q, -1], level_to_offset[q], half_q[q], error[q])
            )
        far = farthest[q]
        for chunk in range(0, columns, CHUNK):
            chunk_end = min(chunk + CHUNK, columns)
            noted = 0
            for j in range(chunk, chunk_end):
                noted += (work[j] <= cut) | (work[j] > far)
            if noted == 0:
                continue
            for j in range(chunk, chunk_end):
                if work[j] > far:
                    far = work[j]
                    farthest_item[q] = first_item + j
                if work[j] <= cut:
                    value = sq_dist(q_rows[q], g_rows[j], q_scale[q], g_scale[j], lanes)
                    filled[q] = _insert(top_value[q], top_item[q], filled[q], value, first_item + j)
                    if filled[q] == kept:
                        reach = _reach(
                            False, LEVEL, 0.0, top_value[q, -1], level_to_offset[q], half_q[q], error[q]
                        )
                        cut = np.float32(reach)
        farthest[q] = far


@compiled
def closest_known(
    start,
    stop,
    products,
    half_g,
    q_rows,
    g_rows,
    q_scale,
    g_scale,
    half_q,
    sq_dist_to_offset,
    error,
    person,
    own,
    known,
    closest,
):
    """One tile of pairs: keep, for several watch lists, each query's exact squared distance to the closest.

    `person` (G,) is an item's place among the identities, −1 for one whom nobody enrols; `own` (Q,) that of
    the query, who is left out; `known` (I, R) says who is on which list, `closest` (Q, R) is updated.
    The other arguments are those of `count_rows`.
    """
    columns = products.shape[1]
    lists = closest.shape[1]
    work = np.empty(columns, products.dtype)
    cuts = np.empty(lists, products.dtype)
    lanes = np.empty(LANES)
    for q in range(start, stop):
        row = q - start
        for j in range(columns):
            work[j] = half_g[j] - products[row, j]
        for r in range(lists):
            cuts[r] = _reach(False, LEVEL, 0.0, closest[q, r], sq_dist_to_offset, half_q[q], error[q])
        cut = cuts.max()
        for chunk in range(0, columns, CHUNK):
            chunk_end = min(chunk + CHUNK, columns)
            noted = 0
            for j in range(chunk, chunk_end):
                noted += work[j] <= cut
            if noted == 0:
                continue
            for j in range(chunk, chunk_end):
                who = person[j]
                if work[j] > cut or who < 0 or who == own[q]:
                    continue
                is_open = False
                for r in range(lists):
                    is_open |= known[who, r] and work[j] <= cuts[r]
                if not is_open:
                    continue
                value = sq_dist(q_rows[q], g_rows[j], q_scale[q], g_scale[j], lanes)
                for r in range(lists):
                    if known[who, r] and value < closest[q, r]:
                        closest[q, r] = value
                        cuts[r] = _reach(False, LEVEL, 0.0, value, sq_dist_to_offset, half_q[q], error[q])
                cut = cuts.max()
