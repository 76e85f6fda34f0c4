"""What a word is, and which vocabulary files are read."""

from __future__ import annotations

from urbancross_mm.datasets.vocabulary import split_words


def test_words() -> None:
    assert split_words('2 two-storey roofs,\nnear São Paulo_north') == [
        '2',
        'two-storey',
        'roofs',
        'near',
        'são',
        'paulo',
        'north',
    ]
