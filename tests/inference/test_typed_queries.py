"""Words of a command line become texts, images, recordings and marks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.inference.small_embedder import write_image
from urbancross_mm.inference.typed_queries import read_typed


def test_every_word_is_a_query_of_its_own(tmp_path: Path) -> None:
    image = write_image(tmp_path / 'a.png', 'red')
    (tmp_path / 'b.wav').write_bytes(b'')
    typed = read_typed(['a road', str(image), str(tmp_path / 'b.wav')], minus=['a lake'])
    assert [one.shown for one in typed] == ['a road', image, tmp_path / 'b.wav']
    assert typed[0].query.texts == ['a road'] and not typed[0].query.images
    assert typed[1].query.images == [image] and typed[2].query.recordings == [tmp_path / 'b.wav']
    assert all(one.query.minus_texts == ['a lake'] for one in typed)


def test_averaged_words_are_one_query(tmp_path: Path) -> None:
    image = write_image(tmp_path / 'a.png', 'red')
    (one,) = read_typed(['a road', 'a lake', str(image)], average=True)
    assert one.query.texts == ['a road', 'a lake'] and one.query.images == [image]
    assert one.shown == f'a road + a lake + {image}'


def test_marks_are_ids_and_a_file_is_an_image(tmp_path: Path) -> None:
    image = str(write_image(tmp_path / 'a.png', 'red'))
    (one,) = read_typed([], likes=['city/1.png', image], right=['x'], wrong=['y'], minus=[image])
    assert one.query.likes == ['city/1.png', 'x'] and one.query.images == [image]
    assert one.query.dislikes == ['y'] and one.query.minus_images == [Path(image)]
    assert 'city/1.png' in one.shown and 'x' in one.shown


def test_spoken_queries(tmp_path: Path) -> None:
    image = write_image(tmp_path / 'a.png', 'red')  # of a sound
    (one,) = read_typed([str(image)], audio=True)
    assert one.query.recordings == [image] and one.shown == 'a.png'
    with pytest.raises(FileNotFoundError, match='no file a road'):
        read_typed(['a road'], audio=True)


@pytest.mark.parametrize('words', [['x.png'], [''], ['.']])
def test_words_that_are_no_query(words: list[str]) -> None:
    with pytest.raises((ValueError, OSError)):
        read_typed(words)
