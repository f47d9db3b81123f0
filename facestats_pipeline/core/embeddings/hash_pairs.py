"""Exact search for pairs of 64-bit hashes within a Hamming radius, sub-quadratic for large collections."""

import logging
from collections.abc import Iterator
from itertools import combinations

import numpy as np
import numpy.typing as npt

from facestats_pipeline.core.embeddings.near_duplicate_table import MOST_BITS
from facestats_pipeline.core.progress import track

logger = logging.getLogger(__name__)

Hashes = npt.NDArray[np.uint64]
Pairs = npt.NDArray[np.int64]

BLOCKED_UP_TO = 20_000
"""Number of distinct hashes up to which all pairs are compared: 20,000 take about a second on one core."""
MAX_CLIQUE = 64
"""Number of photos with the same hash up to which all their pairs are listed. In larger groups each photo is paired with the first only."""

_BANDS, _BAND_BITS = 4, 16
_STEP = 4_000_000  # candidate pairs in memory at once: some 100 MB


def hamming_pairs(hashes: Hashes, max_hamming: int) -> Pairs:
    """(m, 2) positions i < j, each pair once, of hashes that differ in at most `max_hamming` (≤ 15) of 64 bits.

    The result is exact with one logged exception: of a hash shared by more than `MAX_CLIQUE` photos (a blank picture), only the first photo
    is paired with others, because n equal photos have n²/2 pairs. Few distinct hashes are compared in blocks, many by multi-index hashing
    (Norouzi et al. 2012) with four tables of 16 bits: if two hashes differ in d bits, one 16-bit part differs in at most d // 4.

    Raises ValueError for `max_hamming` outside 0 to 15.
    """
    if not 0 <= max_hamming <= MOST_BITS:
        raise ValueError(f"max_hamming is {max_hamming}; it must be 0 to {MOST_BITS}")
    distinct, group = np.unique(hashes, return_inverse=True)
    members = np.argsort(group, kind="stable").astype(np.int64)  # positions sorted by group, ascending within each
    ends = np.cumsum(np.bincount(group, minlength=len(distinct)))
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64) if len(distinct) else np.empty(0, dtype=np.int64)
    sizes = ends - starts

    blocks = _blocked(distinct, max_hamming) if len(distinct) <= BLOCKED_UP_TO else _banded(distinct, max_hamming)
    close = [np.empty((0, 2), dtype=np.int64), *blocks]
    between = np.unique(np.concatenate(close), axis=0)
    large = sizes > MAX_CLIQUE
    if large.any():
        logger.info(
            "%d hashes are shared by more than %d photos each; each of these photos is paired with one photo only.",
            large.sum(),
            MAX_CLIQUE,
        )
    representatives = np.where(large, 1, sizes)  # how many photos of a group appear in pairs with other groups
    found = [_expand(members, starts, representatives, between)]
    for g in np.flatnonzero(sizes > 1):
        some = members[starts[g] : ends[g]]
        i, j = (
            (np.zeros(len(some) - 1, np.intp), np.arange(1, len(some))) if large[g] else np.triu_indices(len(some), 1)
        )
        found.append(np.stack([some[i], some[j]], axis=1))
    pairs = np.sort(np.concatenate(found), axis=1)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def _expand(members: Pairs, starts: Pairs, sizes: Pairs, groups: Pairs) -> Pairs:
    """(m, 2) pairs of photos: for each pair of groups, every photo of one with every photo of the other."""
    left, right = groups[:, 0], groups[:, 1]
    counts = sizes[left] * sizes[right]
    which = np.repeat(np.arange(len(groups)), counts)
    inside = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    width = sizes[right][which]
    a = members[starts[left][which] + inside // np.maximum(width, 1)]
    b = members[starts[right][which] + inside % np.maximum(width, 1)]
    return np.stack([a, b], axis=1)


def _blocked(hashes: Hashes, radius: int) -> Iterator[Pairs]:
    step = max(1, _STEP // max(1, len(hashes)))
    for start in range(0, len(hashes), step):
        rows = hashes[start : start + step]
        i, j = np.nonzero(np.bitwise_count(rows[:, None] ^ hashes[None, start:]) <= radius)
        keep = j > i
        yield np.stack([i[keep], j[keep]], axis=1).astype(np.int64) + start


def _banded(hashes: Hashes, radius: int) -> Iterator[Pairs]:
    flips = [
        sum(1 << bit for bit in bits)
        for wrong in range(radius // _BANDS + 1)
        for bits in combinations(range(_BAND_BITS), wrong)
    ]
    for band in track(range(_BANDS), "Comparing hashes"):
        part = (hashes >> np.uint64(band * _BAND_BITS)).astype(np.uint16)
        order = np.argsort(part, kind="stable")
        ends = np.cumsum(np.bincount(part, minlength=1 << _BAND_BITS))
        starts = np.concatenate([[0], ends[:-1]])
        for flip in flips:
            wanted = part ^ np.uint16(flip)
            first, count = starts[wanted], ends[wanted] - starts[wanted]
            yield from _candidates(hashes, order, first, count, radius)


def _candidates(hashes: Hashes, order: Pairs, first: Pairs, count: Pairs, radius: int) -> Iterator[Pairs]:
    """Yield close pairs of each hash with its candidates: `count` hashes from position `first` of `order` on, in bounded chunks."""
    total = np.cumsum(count)
    begin = 0
    while begin < len(hashes):
        base = total[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(total, base + _STEP, side="right")))
        some = count[begin:end]
        i = np.repeat(np.arange(begin, end), some)
        inside = np.arange(some.sum()) - np.repeat(np.cumsum(some) - some, some)
        j = order[np.repeat(first[begin:end], some) + inside]
        keep = j > i
        i, j = i[keep], j[keep]
        near = np.bitwise_count(hashes[i] ^ hashes[j]) <= radius
        yield np.stack([i[near], j[near]], axis=1)
        begin = end
