"""A key of the metadata means one image or is refused."""

import os
import re
from pathlib import Path

import pytest

from tests.runs import CONFIGS, reset_mmengine_state
from urbancross_mm.apis import RetrievalInferencer, load_config
from urbancross_mm.inference.gallery_builder import join_metadata

NAMES = ['oulu/t_1.jpg', 'oulu/t_2.jpg', 'vaasa/t_1.jpg', 'x.jpg']


def test_keys_are_paths_below_the_folder() -> None:
    result = join_metadata(
        {
            'vaasa/t_1.jpg': dict(lon=21.6),
            './oulu/t_1.jpg': dict(lon=25.4),
            Path('x.jpg'): dict(lon=1),
        },
        NAMES,
        'g',
    )
    assert result == [dict(lon=25.4), {}, dict(lon=21.6), dict(lon=1)]
    assert join_metadata({}, NAMES, 'g') == [{}, {}, {}, {}]


def test_no_images_have_no_metadata() -> None:
    assert join_metadata({'a.jpg': {}}, [], 'x') == []


def test_a_bare_name_is_enough_if_one_image_has_it() -> None:
    assert join_metadata({'t_2.jpg': dict(a=1)}, NAMES, 'g')[1] == dict(a=1)
    with pytest.raises(ValueError, match=r"'t_1\.jpg' .*oulu/t_1\.jpg, vaasa/t_1"):
        join_metadata({'t_1.jpg': dict(a=1)}, NAMES, 'g')
    # The path itself comes first.
    assert join_metadata({'a.jpg': dict(a=1)}, ['a.jpg', 'b/a.jpg'], 'g') == [dict(a=1), {}]


@pytest.mark.parametrize(
    'key',
    [
        'oulu/t_3.jpg',
        'T_2.jpg',
        'oulu',
        't_2',
        '/oulu/t_1.jpg',
        '',
        7,
        '../g/oulu/t_1.jpg',
        'g2/oulu/t_1.jpg',
        'aa/t_2.jpg',
    ],
)
def test_a_key_that_fits_none_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=f'1 of 2 .* below g, .* {re.escape(repr(key))}'):
        join_metadata({'x.jpg': {}, key: dict(lon=1)}, NAMES, 'g')


def test_keys_are_paths_that_lie_in_the_folder(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / 'g/oulu').mkdir(parents=True)
    (tmp_path / 'link').symlink_to('g')
    monkeypatch.chdir(tmp_path)
    for key, folder in (
        (tmp_path / 'g/oulu/t_1.jpg', 'g'),
        (tmp_path / 'g/oulu/t_1.jpg', 'link'),
        (tmp_path / 'link/oulu/t_1.jpg', tmp_path / 'g'),
        ('g/oulu/t_1.jpg', 'g'),
        ('g/oulu/t_1.jpg', './g/'),
    ):
        assert join_metadata({str(key): dict(lon=1)}, NAMES, str(folder))[0] == dict(lon=1)
    monkeypatch.chdir('g/oulu')  # a bare name is not looked for in the present folder
    with pytest.raises(ValueError, match='2 images'):
        join_metadata({'t_1.jpg': {}}, NAMES, '..')


def test_listed_paths_are_keys_as_listed() -> None:
    paths = ['/d/a.jpg', 'e/a.jpg', 'e/b.jpg']
    result = join_metadata({'/d/a.jpg': dict(n=1), 'b.jpg': dict(n=2)}, paths)
    assert result == [dict(n=1), {}, dict(n=2)]
    with pytest.raises(ValueError, match='2 images'):
        join_metadata({'a.jpg': {}}, paths)
    assert join_metadata({'a.jpg': dict(n=1)}, ['a.jpg', 'a.jpg']) == [dict(n=1), dict(n=1)]


def test_values_and_double_keys_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'x\.jpg' .* 25\.4"):
        join_metadata({'x.jpg': 25.4}, NAMES)
    with pytest.raises(ValueError, match='list'):
        join_metadata([('x.jpg', {})], NAMES)
    with pytest.raises(ValueError, match=r"'t_2\.jpg' and 'oulu/t_2\.jpg'"):
        join_metadata({'t_2.jpg': {}, 'oulu/t_2.jpg': {}}, NAMES)


def test_results_have_the_metadata_of_their_image(
    in_sample_dir: Path, tmp_path: Path, monkeypatch
) -> None:
    reset_mmengine_state()
    inferencer = RetrievalInferencer(
        load_config(CONFIGS / 'urbancross_finland.py', sample=True), device='cpu'
    )
    images = sorted(Path('data/sample/urbancross/Finland/images').glob('*.jpg'))
    for town, image in zip(('oulu', 'vaasa'), images):
        (tmp_path / town).mkdir()
        os.link(image, tmp_path / town / 't_1.jpg')
    inferencer.build_index(
        tmp_path, {'oulu/t_1.jpg': dict(lon=25.4), 'vaasa/t_1.jpg': dict(lon=21.6)}, progress=False
    )
    results = {Path(hit['img_path']).parent.name: hit['lon'] for hit in inferencer.search('a road')}
    assert results == dict(oulu=25.4, vaasa=21.6)
    # Refused before anything is encoded.
    monkeypatch.setattr(inferencer.embedder.model, 'test_step', None)
    with pytest.raises(ValueError, match='2 images'):
        inferencer.build_index(tmp_path, {'t_1.jpg': dict(lon=25.4)})
