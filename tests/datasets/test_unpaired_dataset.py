"""No item of an unpaired dataset says which captions belong to its image."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.datasets.tiny import item, write
from urbancross_mm.datasets import AnchorDataset, UnpairedDataset
from urbancross_mm.utils.ids import stable_id

ITEMS = [
    item('a', ['red roof', 'a road', 'red roof'], label='school'),
    item('b', ['trees']),
    item('c', ['water', 'a road']),
]
POOL = ['a road', 'a road', 'red roof', 'red roof', 'trees', 'water']


@pytest.fixture
def tiny(tmp_path: Path) -> dict[str, str]:
    return write(tmp_path, ITEMS)


def change(tiny: dict[str, str], captions: list[Any]) -> None:
    """Give the images other captions, with ids of their own."""
    path = Path(tiny['data_root'], tiny['ann_file'])
    content = json.loads(path.read_text())
    for one, new in zip(content['data_list'], captions):
        one.pop('caption_ids', None)
        one.pop('captions', None)
        if new is not None:
            one['captions'] = new
    path.write_text(json.dumps(content))


def epoch(dataset: UnpairedDataset, seed: int = 0) -> list[dict[str, Any]]:
    np.random.seed(seed)
    return [dataset.get_data_info(i) for i in range(len(dataset))]


PERMUTATIONS = [
    [['water', 'a road'], ['red roof', 'a road', 'red roof'], ['trees']],
    [['a road'], ['red roof', 'trees', 'water', 'a road'], ['red roof']],  # torn apart
]


@pytest.mark.parametrize('captions', PERMUTATIONS)
@pytest.mark.parametrize('options', [dict(), dict(indices=[2, 0]), dict(serialize_data=False)])
def test_captions_may_change_images_unnoticed(tiny, captions, options) -> None:
    before = UnpairedDataset(**tiny, **options)
    first = [epoch(before, seed) for seed in range(3)]
    change(tiny, captions)
    after = UnpairedDataset(**tiny, **options)
    assert [epoch(after, seed) for seed in range(3)] == first
    assert before.pool == after.pool == POOL


def test_an_item_has_a_text_and_no_caption_of_its_image(tiny) -> None:
    dataset = UnpairedDataset(**tiny)
    assert len(dataset) == 3  # images, not captions
    for info in epoch(dataset):
        assert info['captions'] == info['caption_ids'] == info['caption_text_ids'] == []
        assert info['texts'][0] in POOL and info['text_ids'] == [stable_id(info['texts'][0])]
    info = dataset.get_data_info(0)
    assert (info['img_id'], info['domain'], info['label']) == ('tiny/a', 'tiny', 'school')


def test_what_the_model_gets_names_no_caption(tiny) -> None:
    dataset = UnpairedDataset(
        **tiny, pipeline=[dict(type='LoadImage'), dict(type='PackRetrievalInputs')]
    )
    sample = dataset[0]['data_samples']
    assert sample.captions == sample.caption_ids == sample.caption_text_ids == []
    assert len(sample.text_ids) == 1 and sample.img_id == 'tiny/a'


def test_captions_are_drawn_as_often_as_they_occur_for_any_image(tiny) -> None:
    dataset = UnpairedDataset(**tiny)
    np.random.seed(0)
    for image in range(3):
        draws = Counter(dataset.get_data_info(image)['texts'][0] for _ in range(1200))
        for text, count in Counter(POOL).items():
            assert draws[text] / 1200 == pytest.approx(count / 6, abs=0.05)


def test_epochs_draw_again_and_a_seed_repeats_them(tiny) -> None:
    dataset = UnpairedDataset(**tiny)
    texts = [[info['texts'] for info in epoch(dataset, seed)] for seed in (0, 0, *range(1, 6))]
    assert texts[0] == texts[1] and len({str(text) for text in texts}) > 2


@pytest.mark.parametrize('captions', PERMUTATIONS)
@pytest.mark.parametrize('indices', [None, [2, 0]])
def test_without_training_each_caption_goes_to_one_image(tiny, captions, indices) -> None:
    """To be encoded once each; which image they come with tells nothing, as in training."""
    dataset = UnpairedDataset(**tiny, test_mode=True, indices=indices)
    first = epoch(dataset)
    assert sorted(text for info in first for text in info['texts']) == POOL
    assert all(info['captions'] == info['caption_text_ids'] == [] for info in first)
    assert epoch(dataset, seed=1) == first
    change(tiny, captions)
    assert epoch(UnpairedDataset(**tiny, test_mode=True, indices=indices)) == first


def test_a_text_file_replaces_the_captions(tiny, tmp_path) -> None:
    (tmp_path / 'words.txt').write_text('snow\n\n  ice \nsnow\n', encoding='utf-8')
    dataset = UnpairedDataset(**tiny, text_file='words.txt')
    assert dataset.pool == ['ice', 'snow', 'snow']
    assert {info['texts'][0] for info in epoch(dataset)} <= {'ice', 'snow'}


def test_several_text_files_are_one_pool(tiny, tmp_path) -> None:
    (tmp_path / 'b.txt').write_text('snow\nice\n')
    (tmp_path / 'a.txt').write_text('sand\n')
    assert UnpairedDataset(**tiny, text_file=['b.txt', 'a.txt']).pool == ['ice', 'sand', 'snow']
    with pytest.raises(FileNotFoundError, match=r'none\.txt'):
        UnpairedDataset(**tiny, text_file=['a.txt', 'none.txt'])
    (tmp_path / 'empty.txt').write_text('\n')
    with pytest.raises(ValueError, match=r'empty\.txt has no caption'):
        UnpairedDataset(**tiny, text_file=['a.txt', 'empty.txt'])


@pytest.mark.parametrize('captions', [[None, None, None], [[], None, []]])
def test_images_need_no_captions(tiny, tmp_path, captions) -> None:
    change(tiny, captions)
    (tmp_path / 'words.txt').write_text('snow\n')
    assert [info['texts'] for info in epoch(UnpairedDataset(**tiny, text_file='words.txt'))] == [
        ['snow']
    ] * 3
    with pytest.raises(ValueError, match=r'tiny\.json .*text_file'):
        UnpairedDataset(**tiny)


def test_some_images_have_captions(tiny) -> None:
    change(tiny, [None, ['water'], []])
    dataset = UnpairedDataset(**tiny)
    assert len(dataset) == 3 and dataset.pool == ['water']


def test_mistakes(tiny, tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match=r'words\.txt'):
        UnpairedDataset(**tiny, text_file='words.txt')
    (tmp_path / 'words.txt').write_text(' \n\n')
    with pytest.raises(ValueError, match=r'words\.txt'):
        UnpairedDataset(**tiny, text_file='words.txt')
    with pytest.raises(ValueError, match="'captions'"):
        UnpairedDataset(**tiny, captions='each')
    with pytest.raises(FileNotFoundError, match=r'none\.json'):
        UnpairedDataset(**dict(tiny, ann_file='none.json'))
    change(tiny, [['fine', ' '], None, None])
    with pytest.raises(ValueError, match='caption 1 is empty'):
        UnpairedDataset(**tiny)


def test_lines_end_at_line_feeds_alone(tiny, tmp_path) -> None:
    texts = [f'a road{mark}behind it a field' for mark in '\u2028\u2029\x85\x0b\x0c\x1e']
    (tmp_path / 'words.txt').write_bytes(b'\xef\xbb\xbf' + '\r\n'.join(texts).encode())
    assert UnpairedDataset(**tiny, text_file='words.txt').pool == sorted(texts)
    (tmp_path / 'words.txt').write_bytes(b'one\ntw\xff\n')
    with pytest.raises(ValueError, match=r'words\.txt, line 2: not UTF-8'):
        UnpairedDataset(**tiny, text_file='words.txt')


@pytest.fixture
def labeled(tiny, tmp_path: Path) -> dict[str, str]:
    path = tmp_path / 'anchors.csv'
    path.write_text('image,caption,class\na.png,my own words,\ntiny/c,,road\ntiny/c,,roof\n')
    return dict(tiny, anchors_file=str(path))


def test_labels_join_the_pool_and_leave_the_items_unpaired(tiny, labeled) -> None:
    dataset = UnpairedDataset(**labeled)
    assert dataset.pool == sorted([*POOL, 'my own words'])
    assert dataset.labels == {'tiny/a': ['my own words'], 'tiny/c': ['a road', 'red roof']}
    for info in epoch(dataset):
        assert info['captions'] == info['caption_ids'] == info['caption_text_ids'] == []
    assert UnpairedDataset(**tiny).labels == {}


@pytest.mark.parametrize('captions', PERMUTATIONS)
def test_anchors_are_the_labels_and_nothing_of_the_annotations(tiny, labeled, captions) -> None:
    change(tiny, captions)
    dataset = AnchorDataset(**labeled)
    assert len(dataset) == 2 and dataset.metainfo['domain'] == 'anchors'
    first, second = epoch(dataset)
    assert (first['img_id'], first['domain']) == ('tiny/a', 'anchors')
    assert first['captions'] == first['texts'] == ['my own words']
    assert second['captions'] == ['a road', 'red roof']
    assert second['caption_text_ids'] == [stable_id('a road'), stable_id('red roof')]
    drawn = {epoch(dataset, seed)[1]['texts'][0] for seed in range(20)}
    assert drawn == {'a road', 'red roof'}


def test_a_label_of_a_test_image_is_refused(tiny, labeled) -> None:
    folder = Path(tiny['data_root'], 'annotations')
    (folder / 'tiny.json').rename(folder / 'tiny_train.json')
    (folder / 'tiny_val.json').write_text((folder / 'tiny_train.json').read_text())
    with pytest.raises(ValueError, match='tiny_val.json tests on'):
        AnchorDataset(**dict(labeled, ann_file='annotations/tiny_train.json'))
