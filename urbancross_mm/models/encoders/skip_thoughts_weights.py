"""The published weights of skip-thoughts."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor

from urbancross_mm.utils.files import check_archive_size
from urbancross_mm.utils.text_files import read_lines

DICTIONARY, TABLE, NETWORK = 'dictionary.txt', 'utable.npy', 'uni_skip.npz'
UNKNOWN = 'UNK'
# Weights shrink little, if the archive is compressed at all.
MOST_SHRUNK = 20


def read_skip_thoughts(
    folder: str, word2idx: Mapping[str, int], sizes: tuple[int, int, int]
) -> dict[str, Tensor]:
    """Word vectors of a vocabulary, and the GRU that reads forward.

    The table of all words, 2.3 GB, is never read as a whole. Nothing is unpickled.

    Args:
        folder (str): With ``dictionary.txt``, ``utable.npy`` and ``uni_skip.npz``.
        word2idx (Mapping[str, int]): Row of each word. Rows of words that the table lacks, and of
            no word, are those of its ``UNK``.
        sizes (tuple[int, int, int]): Rows, width of a word vector, width of the state.

    Returns:
        dict[str, Tensor]: ``words.weight``, ``input_gates.weight``, ``input_gates.bias`` and
        ``state_gates.weight`` of a :class:`SkipThoughtsEncoder`.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file cannot be read, or holds something else.
    """
    missing = [name for name in (DICTIONARY, TABLE, NETWORK) if not (Path(folder) / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f'{Path(folder).absolute()} lacks {", ".join(missing)} of the published skip-thoughts '
            'weights: put them there, or use GRUTextEncoder, which needs no files'
        )
    rows, word_dim, hidden_dim = sizes
    table = _table(Path(folder), word_dim)
    places = {word: row for row, word in enumerate(read_lines(Path(folder) / DICTIONARY))}
    if UNKNOWN not in places or len(places) > len(table):
        raise ValueError(
            f'{Path(folder) / DICTIONARY} must have a line {UNKNOWN!r} and no more lines than '
            f'{TABLE} has rows, {len(table)}; it has {len(places)} words'
        )
    chosen = np.full(rows, places[UNKNOWN])
    for word, row in word2idx.items():
        chosen[row] = places.get(word, places[UNKNOWN])
    known = sum(word in places for word in word2idx)
    print_log(f'skip-thoughts knows {known} of {len(word2idx)} words', 'current', logging.INFO)
    gates = _network(Path(folder) / NETWORK, word_dim, hidden_dim)
    return {'words.weight': torch.from_numpy(np.asarray(table[chosen], np.float32)), **gates}


def _table(folder: Path, word_dim: int) -> np.ndarray:
    """The word vectors, left on the disk."""
    path = folder / TABLE
    try:
        table = np.load(path, mmap_mode='r', allow_pickle=False)
    except Exception as error:  # which one depends on the damage
        raise ValueError(f'{path} is not a readable array: {error}') from error
    if table.ndim != 2 or table.shape[1] != word_dim or table.dtype.kind != 'f':
        raise ValueError(
            f'{path} must hold word vectors of word_dim={word_dim}, got {table.dtype} of '
            f'shape {table.shape}'
        )
    return table


def _network(path: Path, word_dim: int, hidden_dim: int) -> dict[str, Tensor]:
    """The gates; the file has reset and update side by side, and the new state apart."""
    shapes = {
        'encoder_W': (word_dim, 2 * hidden_dim),
        'encoder_Wx': (word_dim, hidden_dim),
        'encoder_b': (2 * hidden_dim,),
        'encoder_bx': (hidden_dim,),
        'encoder_U': (hidden_dim, 2 * hidden_dim),
        'encoder_Ux': (hidden_dim, hidden_dim),
    }
    check_archive_size(path, 'the skip-thoughts weights', MOST_SHRUNK)
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in shapes if name in archive}
    except Exception as error:
        raise ValueError(f'{path} is not a readable weights file: {error}') from error
    for name, shape in shapes.items():
        got = arrays[name].shape if name in arrays else None
        if got != shape or arrays[name].dtype.kind != 'f':
            raise ValueError(f'{path} must hold floats {name} of shape {shape}, got {got}')
    return {
        f'{layer}.{kind}': torch.from_numpy(
            np.concatenate([arrays[gates].T, arrays[new].T]).astype(np.float32)
        )
        for layer, kind, gates, new in (
            ('input_gates', 'weight', 'encoder_W', 'encoder_Wx'),
            ('input_gates', 'bias', 'encoder_b', 'encoder_bx'),
            ('state_gates', 'weight', 'encoder_U', 'encoder_Ux'),
        )
    }
