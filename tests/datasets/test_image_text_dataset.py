"""What an item is, who owns a caption, and what bad annotation files end in."""

from __future__ import annotations

import json
import pickle
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.dataset import ConcatDataset, pseudo_collate
from PIL import Image
from torch.utils.data import DataLoader

from tests.datasets.tiny import item, write
from urbancross_mm.datasets import ImageTextDataset
from urbancross_mm.functional.similarity import normalize
from urbancross_mm.models import RetrievalHead
from urbancross_mm.models.data_preprocessor import RetrievalDataPreprocessor
from urbancross_mm.utils.ids import stable_id

ITEMS = [
    item(
        'a',
        ['red roof', 'a road', 'red roof'],
        label='school',
        lon=24.5,
        lat=60.1,
        segments='a.json',
    ),
    item('b', ['a road', 'trees']),
    item('c', ['red roof', 'a road']),
    item('d', ['water', 'trees', 'a field']),
]
TEXTS = {'red roof', 'a road', 'trees', 'water', 'a field'}
PIPELINE = [
    dict(type='LoadImage'),
    dict(type='LoadSegments', num_segments=3),
    dict(type='ResizeImage', scale=16),
    dict(type='PackRetrievalInputs'),
]


@pytest.fixture
def tiny(tmp_path: Path) -> dict[str, str]:
    return write(tmp_path, ITEMS)


def encoded(dataset: ImageTextDataset) -> list[str]:
    return [text for i in range(len(dataset)) for text in dataset.get_data_info(i)['texts']]


def test_each_has_one_item_per_caption(tiny):
    dataset = ImageTextDataset(**tiny, captions='each')
    assert len(dataset) == 10
    assert encoded(dataset) == [c for entry in ITEMS for c in entry['captions']]
    info = dataset.get_data_info(1)
    assert info['img_id'] == 'tiny/a' and info['texts'] == ['a road']
    assert info['captions'] == ITEMS[0]['captions'] and info['sample_idx'] == 1
    assert info['text_ids'] == [stable_id('a road')]
    assert info['caption_text_ids'] == [stable_id(c) for c in ITEMS[0]['captions']]
    assert info['label'] == 'school' and info['lon'] == 24.5
    assert info['segments_path'].endswith('segments/a.json')
    assert 'segments_path' not in dataset.get_data_info(4)


def test_sample_draws_every_caption_from_numpy(tiny):
    dataset = ImageTextDataset(**tiny, captions='sample')
    assert len(dataset) == 4
    np.random.seed(0)
    first = [dataset.get_data_info(3)['texts'][0] for _ in range(60)]
    np.random.seed(0)
    assert first == [dataset.get_data_info(3)['texts'][0] for _ in range(60)]
    assert Counter(first).keys() == set(ITEMS[3]['captions'])


@pytest.mark.parametrize('serialize', [True, False])
@pytest.mark.parametrize('indices', [None, 2, -2, [3, 1], [2, 0, 3]])
def test_all_encodes_every_distinct_caption_once(tiny, indices, serialize):
    dataset = ImageTextDataset(**tiny, captions='all', indices=indices, serialize_data=serialize)
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    wanted = {caption for info in infos for caption in info['captions']}
    assert sorted(encoded(dataset)) == sorted(wanted)
    for info in infos:
        assert set(info['texts']) <= set(info['captions'])
        assert info['text_ids'] == [stable_id(text) for text in info['texts']]
    if indices is None:
        assert infos[2]['texts'] == [] and wanted == TEXTS


@pytest.mark.parametrize('serialize', [True, False])
def test_all_reassigns_captions_in_subsets(tiny, serialize):
    dataset = ImageTextDataset(**tiny, captions='all', serialize_data=serialize)
    subset = dataset.get_subset([2, 3])
    assert encoded(subset) == ['red roof', 'a road', 'water', 'trees', 'a field']
    assert sorted(encoded(dataset)) == sorted(TEXTS)  # the original is untouched
    dataset.get_subset_([2])
    assert encoded(dataset) == ['red roof', 'a road']


def test_concat_keeps_ownership_of_each_member(tiny, tmp_path):
    other = write(tmp_path / 'other', [item('e', ['a road', 'snow'])], domain='north', split='val')
    joined = ConcatDataset(
        [ImageTextDataset(**tiny, captions='all'), ImageTextDataset(**other, captions='all')],
        ignore_keys=['dataset', 'domain', 'split'],
    )
    texts = [t for i in range(len(joined)) for t in joined.get_data_info(i)['texts']]
    assert sorted(texts) == sorted([*TEXTS, 'a road', 'snow'])


def test_folds_share_no_image(tiny):
    from mmpretrain.datasets import KFoldDataset

    config = dict(type='urbancross_mm.ImageTextDataset', **tiny)
    seen = []
    for fold in range(2):
        common = dict(fold=fold, num_splits=2, seed=1)
        train = KFoldDataset(dict(config, captions='sample'), **common)
        val = KFoldDataset(dict(config, captions='all'), test_mode=True, **common)
        names = [{d.get_data_info(i)['img_id'] for i in range(len(d))} for d in (train, val)]
        assert not names[0] & names[1] and len(names[0] | names[1]) == 4
        seen += names[1]
        texts = [t for i in range(len(val)) for t in val.get_data_info(i)['texts']]
        assert len(texts) == len(set(texts))
    assert len(seen) == 4
    with pytest.raises(ValueError, match="captions='sample'"):
        KFoldDataset(dict(config, captions='each'), num_splits=2, seed=1)


def test_metainfo_domain_and_provenance(tiny):
    dataset = ImageTextDataset(**tiny, domain='spain')
    assert dataset.metainfo == dict(dataset='tiny', domain='spain', split='train')
    assert dataset.get_data_info(0)['domain'] == 'spain'
    assert dataset.provenance['seed'] == 0


def test_lazy_init_reads_at_first_use(tiny):
    dataset = ImageTextDataset(**tiny, captions='all', lazy_init=True)
    assert not dataset._fully_initialized
    dataset.full_init()
    assert sorted(encoded(dataset)) == sorted(TEXTS)


def test_parquet_holds_the_same_items(tiny, tmp_path):
    import pyarrow
    import pyarrow.parquet

    source = json.loads((tmp_path / 'annotations' / 'tiny.json').read_text())
    table = pyarrow.Table.from_pylist(source['data_list'])
    table = table.replace_schema_metadata({b'metainfo': json.dumps(source['metainfo']).encode()})
    path = str(tmp_path / 'annotations' / 'tiny.parquet')
    pyarrow.parquet.write_table(table, path)
    parquet = ImageTextDataset(**dict(tiny, ann_file='annotations/tiny.parquet'))
    plain = ImageTextDataset(**tiny)
    assert [parquet.get_data_info(i) for i in range(10)] == [
        plain.get_data_info(i) for i in range(10)
    ]
    assert parquet.metainfo == plain.metainfo
    pyarrow.parquet.write_table(table.replace_schema_metadata({}), path)
    with pytest.raises(ValueError, match="tiny.parquet has no 'metainfo'"):
        ImageTextDataset(**dict(tiny, ann_file='annotations/tiny.parquet'))
    Path(path).write_text('no parquet')
    with pytest.raises(ValueError, match='tiny.parquet'):
        ImageTextDataset(**dict(tiny, ann_file='annotations/tiny.parquet'))


def test_segment_dir_follows_the_published_layout(tiny):
    dataset = ImageTextDataset(**tiny, data_prefix=dict(segment_dir='image_segments'))
    assert dataset.get_data_info(0)['segment_dir'].endswith('image_segments/a')


def change(tiny: dict[str, str], **fields) -> None:
    path = Path(tiny['data_root'], tiny['ann_file'])
    content = json.loads(path.read_text())
    for key, value in fields.items():
        content['data_list'][1][key] = value
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    'fields, message',
    [
        (dict(img_id='tiny/a'), r"item 1: img_id 'tiny/a' is used twice, first by item 0"),
        (dict(caption_ids=['tiny/a#0', 'x']), r"item 1: caption id 'tiny/a#0' is used twice"),
        (dict(caption_ids=['x']), r'item 1 \(tiny/b\): 2 captions but caption_ids is'),
        (dict(captions=['fine', ' ']), r'item 1 \(tiny/b\): caption 1 is empty'),
        (dict(captions=[]), r"item 1 \(tiny/b\): 'captions' must be a non-empty list"),
        (dict(captions=None), r"'captions' must be a non-empty list, got None"),
        (dict(img_path=''), r"item 1: 'img_path' must be a non-empty string"),
        (dict(img_path='../b.png'), r"'\.\./b\.png' must be relative and stay .*tiny.json, item 1"),
        (dict(segments='/etc/passwd'), r'must be relative and stay inside its folder'),
    ],
)
def test_bad_items_name_file_and_item(tiny, fields, message):
    change(tiny, **fields)
    with pytest.raises(ValueError, match=message) as caught:
        ImageTextDataset(**tiny)
    assert 'tiny.json, item 1' in str(caught.value)


@pytest.mark.parametrize(
    'content, message',
    [
        ('{"metainfo": {"schema": 2}, "data_list": []}', 'has schema 2 and this version reads'),
        ('{"metainfo": {}, "data_list": []}', 'has schema None'),
        ('[1]', "must be an object with 'metainfo' and 'data_list'"),
        ('{"metainfo"', 'is not valid JSON: .*line 1'),
        ('{"metainfo": {"schema": 1}, "data_list": [3]}', 'item 0: expected an object, got int'),
        ('{"metainfo": {"schema": 1}, "data_list": []}', 'leaves no item to load'),
    ],
)
def test_bad_files(tiny, content, message):
    Path(tiny['data_root'], tiny['ann_file']).write_text(content)
    with pytest.raises(ValueError, match=message):
        ImageTextDataset(**tiny)


def test_missing_data_says_what_where_and_how(tiny, tmp_path):
    with pytest.raises(
        FileNotFoundError,
        match=r'annotation file not found: .*none\.json .*'
        r'precomp\.py.*--sample runs',
    ):
        ImageTextDataset(**dict(tiny, ann_file='none.json'))
    with pytest.raises(FileNotFoundError, match=r'urbancross\.py'):
        ImageTextDataset(ann_file='x.json', data_root=str(tmp_path / 'urbancross' / 'Spain'))
    with pytest.raises(FileNotFoundError, match=r'nowhere'):
        ImageTextDataset(**tiny, data_prefix=dict(img_path='nowhere'))
    with pytest.raises(ValueError, match="captions .* 'some'"):
        ImageTextDataset(**tiny, captions='some')


@pytest.fixture
def damaged(tiny, tmp_path):
    """Image b is cut short, d is gone."""
    path = tmp_path / 'images' / 'b.png'
    path.write_bytes(path.read_bytes()[:200])
    (tmp_path / 'images' / 'd.png').unlink()
    return tiny


def test_bad_images_are_errors(damaged):
    dataset = ImageTextDataset(**damaged, captions='all', pipeline=PIPELINE)
    assert len(dataset) == 4
    with pytest.raises(ValueError, match=r'b\.png'):
        dataset[1]
    with pytest.raises(FileNotFoundError, match=r'd\.png'):
        dataset[3]


@pytest.mark.parametrize('captions, length', [('each', 5), ('sample', 2), ('all', 2)])
def test_skip_bad_counts_once_and_tells(damaged, captions, length, monkeypatch):
    lines = []
    monkeypatch.setattr(
        'urbancross_mm.datasets.item_checks.print_log',
        lambda message, *_: lines.append(message),
    )
    dataset = ImageTextDataset(**damaged, captions=captions, skip_bad=True, pipeline=PIPELINE)
    assert len(dataset) == length
    assert [Path(path).name for path in dataset.skipped] == ['b.png', 'd.png']
    lines = [line for line in lines if line.startswith('skip_bad')]
    assert len(lines) == 1 and '2 of 4 images' in lines[0] and 'b.png' in lines[0]
    assert ('the gallery shrinks to 2 images' in lines[0]) == (captions == 'all')
    assert len([dataset[i] for i in range(length)]) == length


def test_a_transform_that_returns_none(tiny):
    def drop_b(results):
        return None if results['img_id'] == 'tiny/b' else results

    with pytest.raises(ValueError, match='None .*item 1'):
        ImageTextDataset(**tiny, captions='sample', pipeline=[drop_b])[1]
    tolerant = ImageTextDataset(**tiny, captions='sample', pipeline=[drop_b], skip_bad=True)
    assert tolerant[1]['img_id'] != 'tiny/b'
    gallery = ImageTextDataset(**tiny, captions='all', pipeline=[drop_b], skip_bad=True)
    with pytest.raises(ValueError, match='a transform returned None'):
        gallery[1]


def keep(batch: list[dict]) -> list[dict]:
    return batch


@pytest.mark.parametrize('context', ['fork', 'spawn'])
def test_workers_give_what_one_process_gives(tiny, context):
    dataset = ImageTextDataset(**tiny, captions='all', pipeline=PIPELINE)
    loader = DataLoader(
        dataset, batch_size=3, num_workers=1, collate_fn=keep, multiprocessing_context=context
    )
    batches = list(loader)
    assert [len(batch) for batch in batches] == [3, 1]  # an uneven last batch
    got = [entry for batch in batches for entry in batch]
    assert [entry['data_samples'].text_ids for entry in got] == [
        dataset[i]['data_samples'].text_ids for i in range(4)
    ]
    copy = pickle.loads(pickle.dumps(dataset))
    assert copy[0]['inputs']['image'].equal(got[0]['inputs']['image'])


def test_a_pipeline_with_segments_warns_when_the_annotations_name_none(
    in_sample_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    monkeypatch.setattr(
        'urbancross_mm.datasets.item_checks.print_log',
        lambda text, *args: lines.append(text),
    )
    folder = in_sample_dir / 'data' / 'sample' / 'ucm'
    content = json.loads((folder / 'annotations' / 'ucm_test.json').read_text())
    for entry in content['data_list'][1:]:
        entry.pop('segments', None)
    bare = in_sample_dir / 'bare.json'
    bare.write_text(json.dumps(content))
    prefix = dict(img_path=str(folder / 'images'), segments=str(folder / 'segments'))
    ImageTextDataset(
        str(bare), data_prefix=prefix, captions='all', pipeline=[dict(type='LoadSegments')]
    )
    total = len(content['data_list'])
    assert any(f'{total - 1} of {total} items' in line for line in lines)


def test_a_gallery_may_hold_distractors(tmp_path):
    items = [item('a', ['a road', 'a river']), item('b', []), item('c', ['a road'])]
    settings = write(tmp_path, items)
    gallery = ImageTextDataset(**settings, captions='all')
    assert [gallery.get_data_info(i)['texts'] for i in range(3)] == [['a road', 'a river'], [], []]
    assert [len(gallery.get_data_info(i)['caption_text_ids']) for i in range(3)] == [2, 0, 1]
    for captions in ('each', 'sample'):
        with pytest.raises(ValueError, match=r"item 1 \(tiny/b\): 'captions' must be a non-empty"):
            ImageTextDataset(**settings, captions=captions)


MASK_PIPELINE = [
    dict(type='LoadImage'),
    dict(type='LoadSegMap', num_classes=2),
    dict(type='TokenizeText', tokenizer=lambda texts: torch.ones(len(texts), 4).long()),
    dict(type='PackRetrievalInputs'),
]
CLASSES = dict(classes=['ground', 'roof'], palette=[[0, 0, 0], [255, 0, 0]])


def write_masked(root: Path) -> dict[str, str]:
    """Three images without captions; the first two have a class map."""
    items = [dict(item(name, [])) for name in 'xyz']
    for entry in items:
        del entry['captions'], entry['caption_ids']
    settings = write(root, items, **CLASSES)
    (root / 'seg_maps').mkdir()
    for entry in items[:2]:
        entry['seg_map_path'] = entry['img_path']
        Image.fromarray(np.eye(40, 48, dtype=np.uint8)).save(root / 'seg_maps' / entry['img_path'])
    write(root, items, images=False, **CLASSES)
    return settings


def test_none_is_an_image_without_captions(tiny, tmp_path):
    for settings, length in ((write_masked(tmp_path / 'masked'), 3), (tiny, 4)):
        dataset = ImageTextDataset(**settings, captions='none')
        assert len(dataset) == length
        for info in (dataset.get_data_info(i) for i in range(length)):
            lists = ('captions', 'caption_ids', 'caption_text_ids', 'texts', 'text_ids')
            assert [info[key] for key in lists] == [[]] * 5 and info['for_retrieval'] is False
    for captions in ('each', 'sample', 'all'):
        info = ImageTextDataset(**tiny, captions=captions).get_data_info(0)
        assert 'for_retrieval' not in info
    packed = ImageTextDataset(
        **write_masked(tmp_path / 'two'), captions='none', pipeline=MASK_PIPELINE
    )[0]
    assert packed['inputs']['text'].shape == (0, 4)
    sample = packed['data_samples']
    assert sample.for_retrieval is False and sample.text_ids == []
    assert sample.gt_sem_seg.data.sum() == 40


def test_captioned_items_and_masks_in_one_batch(tiny, tmp_path):
    """The loss is the one without the images that have no text."""
    masked = ImageTextDataset(
        **write_masked(tmp_path / 'masked'), captions='none', pipeline=MASK_PIPELINE
    )
    captioned = ImageTextDataset(**tiny, captions='sample', pipeline=MASK_PIPELINE)
    entries = [captioned[0], masked[0], captioned[1], masked[2], captioned[3]]
    batch = RetrievalDataPreprocessor()(pseudo_collate(entries))
    assert batch['inputs']['image'].shape[0] == 5 and batch['inputs']['text'].shape == (3, 4)
    images, texts = (normalize(torch.randn(rows, 8)) for rows in (5, 3))
    for name in ('PairwiseRankingLoss', 'InfoNCELoss', 'SigLIPLoss'):
        head = RetrievalHead(dict(type=name))
        together = head.loss(images, texts, batch['data_samples'])
        kept = [0, 2, 4]
        apart = head.loss(images[kept], texts, [batch['data_samples'][row] for row in kept])
        torch.testing.assert_close(together, apart)


def test_classes_are_metainfo(tiny, tmp_path):
    dataset = ImageTextDataset(**write_masked(tmp_path / 'masked'), captions='none')
    assert {key: dataset.metainfo[key] for key in CLASSES} == CLASSES
    assert not CLASSES.keys() & dataset.provenance.keys()
    assert not CLASSES.keys() & ImageTextDataset(**tiny).metainfo.keys()
    settings = write(tmp_path / 'bad', [item('a', ['x'])], classes='roof')
    with pytest.raises(ValueError, match=r"tiny\.json, 'metainfo': 'classes' must be .*'roof'"):
        ImageTextDataset(**settings)


def test_a_pipeline_with_class_maps_warns_once_of_items_without(tmp_path, monkeypatch):
    lines: list[str] = []
    monkeypatch.setattr(
        'urbancross_mm.datasets.item_checks.print_log',
        lambda text, *args: lines.append(text),
    )
    settings = write_masked(tmp_path)
    ImageTextDataset(**settings, captions='none')
    assert not lines
    dataset = ImageTextDataset(**settings, captions='none', pipeline=MASK_PIPELINE)
    dataset.full_init()
    (line,) = lines
    assert re.match(r'LoadSegMap: 1 of 3 items of .*tiny\.json name no class map', line)
