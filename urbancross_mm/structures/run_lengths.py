"""Decoding run-length masks, for :mod:`urbancross_mm.structures.segment_masks`.

A mask is written column by column as lengths of runs of zeros and ones in turn, zeros first: as a
list of numbers, or compressed to the string that COCO uses. The decoder of pycocotools trusts the
string: runs that fill less than the mask leave the rest to what was in memory before, and a string
that ends within a number is read beyond its end. Here runs are checked before they are decoded.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Counts = str | Sequence[int]

# A digit of the string holds five bits; seven of them hold every length that pycocotools can write.
DIGITS = 7
# Lengths have 32 bits.
MOST = 2**32


def decode_runs(counts: Sequence[Counts], size: Sequence[int]) -> np.ndarray:
    """Decode masks of one size, ``(K, h, w)`` uint8 zeros and ones, columns contiguous.

    ``counts`` has a compressed string or a list of run lengths for each mask. ValueError if they
    are unsound or do not fill the mask.
    """
    height, width = size
    if not counts:
        return np.zeros((0, height, width), dtype=np.uint8)
    runs, numbers = check_runs(counts, size)
    values = (numbers & 1).astype(np.uint8)
    return np.repeat(values, runs).reshape(-1, width, height).transpose(0, 2, 1)


def check_runs(counts: Sequence[Counts], size: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Check as :func:`decode_runs` does, but allocate nothing of the size of a mask.

    Returns the lengths of all runs of all masks, ``(R,)``, and the number of each in its mask.
    """
    pixels = size[0] * size[1]
    if min(size) < 1 or pixels >= MOST:
        raise ValueError(f'a mask of {size[0]} x {size[1]} pixels is too large or empty')
    if all(isinstance(runs, str) for runs in counts):
        runs, first = _read_strings(
            [_to_bytes(runs, number, pixels) for number, runs in enumerate(counts)]
        )
    else:
        # Both forms in one file are rare enough to be read one by one.
        parts = [
            _read_strings([_to_bytes(runs, number, pixels)])[0]
            if isinstance(runs, str)
            else _read_list(runs, number)
            for number, runs in enumerate(counts)
        ]
        runs, first = np.concatenate(parts), np.cumsum([0, *map(len, parts[:-1])])
    _check_lengths(runs, first, size)
    lengths = np.diff(first, append=len(runs))
    return runs, np.arange(len(runs)) - np.repeat(first, lengths)


def _check_lengths(runs: np.ndarray, first: np.ndarray, size: Sequence[int]) -> None:
    pixels = size[0] * size[1]
    if runs.min() < 0 or runs.max() > pixels:
        wrong = int(((runs < 0) | (runs > pixels)).argmax())
        number = int(np.searchsorted(first, wrong, side='right')) - 1
        raise ValueError(
            f'mask {number} has a run of {runs[wrong]} pixels, its size is {size[0]} x {size[1]}'
        )
    total = np.add.reduceat(runs, first)
    if (total != pixels).any():
        number = int((total != pixels).argmax())
        raise ValueError(
            f'the runs of mask {number} add up to {total[number]} pixels, its size is '
            f'{size[0]} x {size[1]}'
        )


def _read_strings(strings: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Runs of all masks in a row, and where those of each mask begin.

    A number is written in digits of five bits, lowest first, each but its last marked by 32; 16 in
    the last one means below zero. From the fourth on, a run is written as its difference to the
    one before the last.
    """
    digits = np.frombuffer(b''.join(strings), dtype=np.uint8) - np.uint8(ord('0'))
    tails = np.cumsum([len(string) for string in strings]) - 1
    foreign, unfinished = digits > 63, digits[tails] >= 32
    if foreign.any():
        raise _unreadable(int(np.searchsorted(tails, foreign.argmax())))
    if unfinished.any():
        raise ValueError(f'the counts of mask {unfinished.argmax()} end within a number')
    ends = np.flatnonzero(digits < 32)
    lengths = np.diff(ends, prepend=-1)
    if lengths.max() > DIGITS:
        raise _unreadable(int(np.searchsorted(tails, ends[lengths.argmax()])))
    written = _read_numbers(digits, ends, lengths)
    stop = np.searchsorted(ends, tails) + 1
    first = np.concatenate([[0], stop[:-1]])
    return _undo_differences(written, first, stop - first), first


def _read_numbers(digits: np.ndarray, ends: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    starts = ends + 1 - lengths
    numbers = (digits[starts] & 31).astype(np.int64)
    for digit in range(1, int(lengths.max())):
        longer = np.flatnonzero(lengths > digit)
        numbers[longer] |= (digits[starts[longer] + digit] & 31).astype(np.int64) << 5 * digit
    return numbers - ((digits[ends] & 16).astype(np.int64) >> 4 << 5 * lengths)


def _undo_differences(written: np.ndarray, first: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Sums over every other number that start again with each mask."""
    sums = written.copy()
    sums[0::2], sums[1::2] = np.cumsum(sums[0::2]), np.cumsum(sums[1::2])
    # What the sums hold already where a mask begins: at its second number all of the masks before,
    # at its third also its first number, which is part of no difference.
    before = np.where(first > 0, sums[first - 1], 0)
    odd = (np.arange(len(sums)) - np.repeat(first, lengths)) & 1
    runs = sums - np.where(odd, np.repeat(before, lengths), np.repeat(sums[first], lengths))
    runs[first] = written[first]
    return runs


def _read_list(counts: Counts, number: int) -> np.ndarray:
    if (
        not isinstance(counts, list | tuple)
        or not counts
        or any(type(run) is not int or not 0 <= run < MOST for run in counts)
    ):
        raise ValueError(
            f'mask {number} has counts that are neither a string nor a list of lengths'
        )
    return np.array(counts, dtype=np.int64)


def _to_bytes(counts: Counts, number: int, pixels: int) -> bytes:
    if (
        not isinstance(counts, str)
        or not counts
        or not counts.isascii()
        or len(counts) > DIGITS * (pixels + 1)
    ):
        raise _unreadable(number)
    return counts.encode('ascii')


def _unreadable(number: int) -> ValueError:
    return ValueError(f'mask {number} has counts that are not compressed run lengths')
