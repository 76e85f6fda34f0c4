"""A table of labels: what each row means, and what is wrong with it."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from mmengine.logging import MMLogger

from urbancross_mm.datasets import anchors
from urbancross_mm.datasets.anchors import held_out_images, read_anchors

IMAGES = {'tiny/a': 'north/a.png', 'tiny/b': 'north/b.png', 'tiny/c': 'south/b.png'}
TEXTS = ['A tennis court', 'two Tennis courts by trees', 'trees', 'trees', 'streets']


@pytest.fixture
def table(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / 'anchors.csv'
        path.write_text(text)
        return path

    return write


def test_an_image_goes_by_id_path_or_file_name(table) -> None:
    path = table('image,caption\ntiny/a,one\nnorth/b.png,two\na.png,three\nsouth/b.png, "x, y" \n')
    path.write_text(path.read_text().replace(' "x, y" ', '"x, y"'))
    assert read_anchors(path, IMAGES, TEXTS) == {
        'tiny/a': ['one', 'three'],
        'tiny/b': ['two'],
        'tiny/c': ['x, y'],
    }


def test_a_class_means_every_caption_that_says_it(table) -> None:
    path = table('image,class,caption\ntiny/a,tennis court,\ntiny/b,tree,my own\ntiny/c, Tree ,\n')
    assert read_anchors(path, IMAGES, TEXTS) == {
        'tiny/a': ['A tennis court', 'two Tennis courts by trees'],
        'tiny/b': ['my own'],
        'tiny/c': ['trees', 'two Tennis courts by trees'],
    }


def test_a_class_of_many_captions_is_cut_evenly(table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anchors, 'MOST_CAPTIONS', 3)
    texts = [f'tree {k}' for k in range(8)]
    labels = read_anchors(table('image,class\ntiny/a,tree\n'), IMAGES, texts)
    assert labels == {'tiny/a': ['tree 0', 'tree 3', 'tree 6']}


def test_rows_without_a_label_are_counted(table, caplog: pytest.LogCaptureFixture) -> None:
    MMLogger.get_instance('anchors').addHandler(caplog.handler)
    path = table('image,caption,class,guess\ntiny/a,one,,x\ntiny/b,,,y\nunknown, ,,z\n')
    with caplog.at_level(logging.INFO):
        assert read_anchors(path, IMAGES, TEXTS) == {'tiny/a': ['one']}
    assert '1 images' in caplog.text and '2 rows' in caplog.text


@pytest.mark.parametrize(
    ('text', 'named'),
    [
        ('', 'is empty'),
        ('image,caption\n', 'labels no image'),
        ('image,caption\ntiny/a,\n', 'labels no image'),
        ('picture,caption\ntiny/a,x\n', "a column image .*'picture', 'caption'"),
        ('image;caption\ntiny/a;x\n', "commas.*'image;caption'"),
        ('image,guess\ntiny/a,x\n', 'caption or class'),
        ('image,caption\ntiny/a,x\ntiny/a,x,y,z\n', 'quotes'),
        ('image,caption\ntiny/aa,x\n', "'tiny/aa'; did you mean 'tiny/a'"),
        ('image,caption\ntiny/a,x\n\ntiny/b,\nzzzz,x\n', "row 3 of .*'zzzz'$"),
        ('image,caption\nb.png,x\n', "'b.png' is the name of 2 images, tiny/b, tiny/c"),
        ('image,class\ntiny/a,harbor\n', "class 'harbor'"),
    ],
)
def test_mistakes_are_named(table, text: str, named: str) -> None:
    with pytest.raises(ValueError, match=named) as error:
        read_anchors(table(text), IMAGES, TEXTS)
    assert 'anchors.csv' in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match='none.csv'):
        read_anchors(tmp_path / 'none.csv', IMAGES, TEXTS)


@pytest.mark.parametrize('name', ['tiny/t', 'x/t.png', 't.png', 'tiny/a'])
def test_an_image_of_the_test_is_refused(table, tmp_path: Path, name: str) -> None:
    test = tmp_path / 'tiny_test.json'
    items = ','.join(f'{{"img_id": "tiny/{one}", "img_path": "x/{one}.png"}}' for one in ('t', 'a'))
    test.write_text(f'{{"metainfo": {{"schema": 1}}, "data_list": [{items}]}}')
    held_out = held_out_images(tmp_path / 'tiny_train.json')
    assert held_out['t.png'] == str(test)
    with pytest.raises(ValueError, match=f"'{name}', which .*tiny_test.json tests on"):
        read_anchors(table(f'image,caption\n{name},x\n'), IMAGES, TEXTS, held_out)


def test_no_other_split_is_looked_for_beside_another_name(tmp_path: Path) -> None:
    assert held_out_images(tmp_path / 'tiny.json') == {}
