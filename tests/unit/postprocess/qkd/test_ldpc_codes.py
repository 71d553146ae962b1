"""The shipped LDPC codes: their graphs, syndromes and decoding loops against plain twins."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faintlink.core.errors import LocalProtocolError
from faintlink.core.units import Bits
from faintlink.postprocess.kernels import ldpc
from faintlink.postprocess.qkd.ldpc.codes import CODES_FILE, COLUMNS, LIFT, BaseMatrix, base_matrix, table, table_rows
from faintlink.postprocess.qkd.ldpc.decoder import frame_syndromes

TABLES = table_rows()


def dense(matrix: BaseMatrix, lift: int) -> Bits:
    """Parity-check matrix, (rows * lift, columns * lift), from the definition: check x meets position x + shift."""
    full = np.zeros((matrix.row_count * lift, COLUMNS * lift), np.uint8)
    for row in range(matrix.row_count):
        for edge in range(matrix.rows[row], matrix.rows[row + 1]):
            for x in range(lift):
                full[row * lift + x, matrix.columns[edge] * lift + (x + matrix.shifts[edge]) % lift] ^= 1
    return full


def rank(matrix: Bits) -> int:
    """Rank over GF(2) by elimination on packed rows."""
    packed = np.packbits(matrix, axis=1)
    found = 0
    for column in range(matrix.shape[1]):
        bits = packed[:, column >> 3] >> (7 - (column & 7)) & 1
        candidates = np.flatnonzero(bits[found:])
        if candidates.size == 0:
            continue
        pivot = found + int(candidates[0])
        packed[[found, pivot]] = packed[[pivot, found]]
        bits = packed[:, column >> 3] >> (7 - (column & 7)) & 1
        bits[found] = 0
        packed[bits == 1] ^= packed[found]
        found += 1
        if found == packed.shape[0]:
            break
    return found


def cycles_of_four(matrix: BaseMatrix, lift: int) -> int:
    """Count pairs of columns that share two rows at one difference of shifts."""
    row = np.repeat(np.arange(matrix.row_count), np.diff(matrix.rows))
    seen: set[tuple[int, int, int]] = set()
    found = 0
    for column in range(COLUMNS):
        edges = sorted(np.flatnonzero(matrix.columns == column), key=lambda e: int(row[e]))
        for i, first in enumerate(edges):
            for second in edges[i + 1 :]:
                apart = int(matrix.shifts[first] - matrix.shifts[second]) % lift
                pair = (int(row[first]), int(row[second]), apart)
                found += pair in seen
                seen.add(pair)
    return found


def test_the_tables_are_small_and_cover_leaks_from_one_twentieth_to_one_half() -> None:
    assert CODES_FILE.stat().st_size < 200_000
    assert TABLES[0] <= 0.05 * COLUMNS
    assert TABLES[-1] >= 0.5 * COLUMNS
    assert max(b / a for a, b in pairwise(TABLES)) < 1.2


@pytest.mark.parametrize("rows", TABLES)
def test_each_table_is_a_graph_of_girth_six_or_more(rows: int) -> None:
    matrix = table(rows)
    assert matrix.row_count == rows
    assert LIFT % matrix.unit == 0
    row = np.repeat(np.arange(rows), np.diff(matrix.rows))
    assert np.unique(row * COLUMNS + matrix.columns).size == row.size  # no double edge
    for lift in (LIFT, matrix.unit, 3 * matrix.unit):
        assert cycles_of_four(matrix, lift) == 0


def test_the_cycle_counter_sees_a_planted_cycle() -> None:
    matrix = table(TABLES[-1])
    shifts = matrix.shifts.copy()
    shifts[:] = 0
    assert cycles_of_four(BaseMatrix(matrix.rows, matrix.columns, shifts, 32), LIFT) > 0


@pytest.mark.parametrize("rows", TABLES)
def test_every_variable_has_two_checks_and_rows_are_of_one_weight(rows: int) -> None:
    matrix = table(rows)
    assert np.bincount(matrix.columns, minlength=COLUMNS).min() >= 2
    widths = np.diff(matrix.rows)
    assert widths.max() - widths.min() <= 2


@pytest.mark.parametrize("rows", [TABLES[0], TABLES[4], TABLES[-1]])
def test_syndromes_hold_hardly_any_redundant_bits(rows: int) -> None:
    # Each circulant may cost one bit at most when rows sum to the same pattern; redundancy only wastes leak.
    matrix = dense(table(rows), 4)
    assert rank(matrix) >= matrix.shape[0] - 4


@given(st.integers(TABLES[0], 2 * TABLES[-1]))
@settings(max_examples=25, deadline=None)
def test_splitting_rows_keeps_all_edges_and_gives_the_rows_asked_for(rows: int) -> None:
    matrix = base_matrix(rows)
    origin = table(max(count for count in TABLES if count <= rows))
    assert matrix.row_count == rows
    assert sorted(zip(matrix.columns, matrix.shifts, strict=True)) == sorted(
        zip(origin.columns, origin.shifts, strict=True)
    )
    assert np.diff(matrix.rows).min() >= 1


@pytest.mark.parametrize("rows", [0, TABLES[0] - 1, 2 * TABLES[-1] + 1])
def test_rows_out_of_reach_are_refused(rows: int) -> None:
    with pytest.raises(LocalProtocolError, match="asked for"):
        base_matrix(rows)


@pytest.mark.parametrize("frames", [1, 3])
def test_the_syndrome_is_the_product_with_the_dense_matrix(frames: int) -> None:
    lift, matrix = 16, base_matrix(TABLES[2] + 3)
    bits = np.random.default_rng(1).integers(0, 2, (COLUMNS * lift, frames), dtype=np.uint8)
    expected = dense(matrix, lift).astype(np.int32) @ bits % 2
    np.testing.assert_array_equal(frame_syndromes(matrix.lifted(lift, frames), bits), expected)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_the_syndrome_of_a_sum_is_the_sum_of_syndromes(seed: int) -> None:
    matrix = base_matrix(TABLES[1]).lifted(16)
    first, second = np.random.default_rng(seed).integers(0, 2, (2, COLUMNS * 16, 1), dtype=np.uint8)
    np.testing.assert_array_equal(
        frame_syndromes(matrix, first ^ second), frame_syndromes(matrix, first) ^ frame_syndromes(matrix, second)
    )


def _plain_boxplus(a: int, b: int) -> int:
    def correct(u: int) -> int:
        return max(43 - (u >> 2) - (u >> 3), 24 - (u >> 3), 15 - (u >> 4), 0)

    return min(a, b) + correct(a + b) - correct(abs(a - b))


def _plain_check(incoming: list[int], parity: int) -> list[int]:
    # Messages of one check: A-min*, spelled out.
    sizes = [abs(t) for t in incoming]
    least, rest = sizes[0], ldpc.MOST
    for size in sizes[1:]:
        rest = _plain_boxplus(rest, max(size, least))
        least = min(size, least)
    whole, rest = max(_plain_boxplus(rest, least), 0), max(rest, 0)
    negative = (sum(t < 0 for t in incoming) + parity) % 2
    return [
        (rest if size == least else whole) * (-1 if negative != (t < 0) else 1)
        for t, size in zip(incoming, sizes, strict=True)
    ]


def reference_sweep(
    matrix: BaseMatrix, lanes: int, totals: list[int], syndrome: Bits, messages: dict[tuple[int, int], int]
) -> int:
    """Plain twin of `ldpc.sweep`."""
    unmet = 0
    for row in range(matrix.row_count):
        edges = range(matrix.rows[row], matrix.rows[row + 1])
        for x in range(lanes):
            places = [int(matrix.columns[e]) * lanes + (x + int(matrix.shifts[e])) % lanes for e in edges]
            old = [messages.get((e, x), 0) for e in edges]
            incoming = [min(max(totals[p] - m, -ldpc.MOST), ldpc.MOST) for p, m in zip(places, old, strict=True)]
            parity = int(syndrome[row * lanes + x])
            unmet += (sum(t < 0 for t in incoming) + parity) % 2
            for e, p, t, sent in zip(edges, places, incoming, _plain_check(incoming, parity), strict=True):
                messages[e, x] = sent
                totals[p] = t + sent
    return unmet


def small_code(seed: int, lanes: int) -> BaseMatrix:
    rng = np.random.default_rng(seed)
    picked = [np.sort(rng.choice(12, 5, replace=False)) for _ in range(4)]
    columns = np.concatenate(picked).astype(np.int32)
    shifts = rng.integers(0, lanes, columns.size).astype(np.int32)
    return BaseMatrix(np.arange(0, 21, 5, dtype=np.int32), columns, shifts, 1)


@pytest.mark.parametrize("lanes", [1, 7, 32, 70])
@pytest.mark.parametrize("channel", [40, 250, ldpc.CERTAIN])
def test_the_decoding_loops_equal_their_plain_twin(lanes: int, channel: int) -> None:
    matrix = small_code(lanes, lanes)
    rng = np.random.default_rng(channel)
    totals: npt.NDArray[np.int16] = rng.choice([-channel, channel], 12 * lanes).astype(np.int16)
    syndrome = rng.integers(0, 2, 4 * lanes, dtype=np.uint8)
    room = [np.zeros(size * lanes, np.int16) for size in (20, 5, 1, 1, 1, 1)]
    plain, messages = [int(t) for t in totals], dict[tuple[int, int], int]()
    target = np.negative(syndrome, dtype=np.int16)
    work = ldpc.Workspace(*room)
    for _ in range(6):
        unmet = ldpc.sweep(matrix.rows, matrix.columns, matrix.shifts, totals, target, work)
        assert unmet == reference_sweep(matrix, lanes, plain, syndrome, messages)
        np.testing.assert_array_equal(totals, plain)


def test_the_correction_follows_the_logarithm() -> None:
    # Straight pieces of slopes 1/4 + 1/8, 1/8, 1/16 and 0 stay within 0.05 of a natural unit.
    for u in range(0, 600, 7):
        exact = 64.0 * np.log1p(np.exp(-u / 64.0))
        assert abs(int(ldpc.correction(np.int16(u))) - exact) < 3.2
