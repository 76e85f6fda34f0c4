"""Which query is a text, which is an image, and which is a mistake."""

import os
import re
from pathlib import Path

import pytest
from PIL import Image

from urbancross_mm.inference.image_files import find_images, read_query


@pytest.fixture
def here(tmp_path: Path, monkeypatch) -> Path:
    (tmp_path / 'tiles').mkdir()
    (tmp_path / 'airport').mkdir()
    for name in ('tiles/a.jpg', 'plain', 'my tile.png', 'tiles/blob'):
        Image.new('RGB', (4, 4)).save(tmp_path / name, 'png')
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize('query', ['tiles/a.jpg', 'plain', 'my tile.png', 'tiles/blob'])
def test_a_file_is_an_image(here: Path, query: str) -> None:
    assert read_query(query) == Path(query)
    assert read_query(str(here / query)) == here / query


@pytest.mark.parametrize(
    'query',
    [
        'a road',
        'airport',
        'and then, a lake',
        'a river / a lake',
        'a road\nand a lake',
        '机场',
        'a river with two bridges and a road beside it, ' * 6,
        'Ä' * 200,
        'x' * 300,
        'about 1.5 km',
        'trees.',
        'tiles',
        'a\0b',
    ],
)
def test_a_text_is_a_text(here: Path, query: str) -> None:
    assert read_query(query) == query


@pytest.mark.parametrize(
    'query',
    [
        'tiles/a.jpgg',
        'no_such.jpg',
        'no such.PNG',
        'tiles/b',
        'a.gif',
        '/nowhere/x.tif',
        'tiles/' + 'x' * 300 + '.jpg',
        'a\0.jpg',
    ],
)
def test_a_mistyped_path_is_not_a_text(here: Path, query: str) -> None:
    with pytest.raises(FileNotFoundError, match=re.escape(repr(query))):
        read_query(query)


@pytest.mark.parametrize('query', ['tiles/', './tiles', '.', '..', '/'])
def test_a_folder_is_not_a_query(here: Path, query: str) -> None:
    with pytest.raises(IsADirectoryError, match=f"'{query}'"):
        read_query(query)


@pytest.mark.parametrize('query', ['', ' ', '\n\t'])
def test_an_empty_query(query: str) -> None:
    with pytest.raises(ValueError, match='query'):
        read_query(query)


def test_lists_are_taken_as_they_are(here: Path) -> None:
    assert find_images([Path('tiles/a.jpg'), './plain']).paths == ['tiles/a.jpg', './plain']
    assert find_images('tiles').paths == [os.path.join('tiles', 'a.jpg')]
    with pytest.raises(FileNotFoundError, match='airport$'):
        find_images('airport')
    (here / 'airport/.a.jpg').touch()
    with pytest.raises(FileNotFoundError, match=r'airport .*1 hidden'):
        find_images('airport')
    with pytest.raises(FileNotFoundError, match='plain'):
        find_images('plain')
