"""The sample world, converted as a user converts the real data."""

from __future__ import annotations

from pathlib import Path

from mmengine.dataset import pseudo_collate

from tests.datasets.converters.layouts import names_of, read
from urbancross_mm.datasets import ImageTextDataset
from urbancross_mm.datasets.tokenizers import VocabTokenizer
from urbancross_mm.models import RetrievalDataPreprocessor
from urbancross_mm.structures.annotations import load_annotations
from urbancross_mm.toy.convert import is_converted

COUNTRIES = ('urbancross/Finland', 'urbancross/Germany', 'urbancross/Spain')


def test_every_set_has_its_splits_and_its_images(sample_dir):
    root = sample_dir / 'data/sample'
    assert is_converted(root)
    for folder in (*COUNTRIES, 'rsicd', 'rsitmd', 'ucm', 'dronedeploy'):
        name = Path(folder).name.lower()
        splits = ['train', 'val', 'test']
        splits += ['finetune', 'finetune_val'] if folder in COUNTRIES else []
        for split in splits:
            path = str(root / folder / f'annotations/{name}_{split}.json')
            _, items = load_annotations(path, captions_required=name != 'dronedeploy')
            assert all((root / folder / 'images' / item['img_path']).is_file() for item in items)


def test_an_earlier_sample_without_features_city_masks_or_sound_is_not_finished(tmp_path):
    files = (
        'vocab.json',
        'rsicd/features.npz',
        'ucm/features.npz',
        'mycity/annotations/mycity_train.json',
        'dronedeploy/annotations/dronedeploy_train.json',
        'rsicd/audio/0.jpg',
        'rsitmd/audio/0.jpg',
        'ucm/audio/0.jpg',
    )
    for file in files:
        assert not is_converted(tmp_path)
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    assert is_converted(tmp_path)


def test_countries_have_segments_tags_and_coordinates(sample_dir):
    root = sample_dir / 'data/sample/urbancross/Finland'
    _, items = read(root / 'annotations/finland_train.json')

    assert all((root / 'segments' / item['segments']).is_file() for item in items)
    assert all(item['geo_tags'] and 59 < item['lat'] < 71 for item in items)
    assert not names_of(root / 'annotations/finland_test.json') & names_of(
        root / 'annotations/finland_finetune.json'
    )


def test_numbered_images_have_the_captions_of_their_class(sample_dir):
    root = sample_dir / 'data/sample/ucm'
    _, items = read(root / 'annotations/ucm_train.json')

    assert all(item['img_path'].startswith(f'{item["label"]}/{item["label"]}') for item in items)


def test_one_vocabulary_knows_the_words_of_all_sets(sample_dir):
    tokenizer = VocabTokenizer(str(sample_dir / 'data/sample/vocab.json'))
    unknown = tokenizer(['xyzzy'])[0, 0]

    for folder in (*COUNTRIES, 'ucm'):
        name = Path(folder).name.lower()
        path = sample_dir / f'data/sample/{folder}/annotations/{name}_train.json'
        texts = [text for item in read(path)[1] for text in item['captions']]
        assert not (tokenizer(texts) == unknown).any()


def test_class_maps_are_named_with_and_without_captions(sample_dir):
    root = sample_dir / 'data/sample'
    for split in ('train', 'val', 'trainval', 'test'):
        dataset = ImageTextDataset(f'annotations/rsitmd_{split}.json', str(root / 'rsitmd'))
        assert dataset.metainfo['classes'][:2] == ['Background', 'Plane']
        assert len(dataset.metainfo['palette']) == 15
        assert all(Path(dataset.get_data_info(i)['seg_map_path']).is_file() for i in range(3))
    scenes = {}
    for split in ('train', 'val', 'test'):
        dataset = ImageTextDataset(
            f'annotations/dronedeploy_{split}.json',
            str(root / 'dronedeploy'),
            captions='none',
            pipeline=[dict(type='LoadImage'), dict(type='LoadSegMap', num_classes=6)],
        )
        names = [Path(dataset[i]['img_path']).stem for i in range(len(dataset))]
        scenes[split] = {name.split('_')[0] for name in names}
        assert dataset.metainfo['classes'][-1] == 'car'
    assert scenes == dict(train={'north'}, val={'north'}, test={'south'})


def test_captions_of_one_set_have_pictures_of_their_sound(sample_dir):
    root = sample_dir / 'data/sample/rsitmd'
    for split in ('train', 'val', 'trainval', 'test'):
        _, items = read(root / f'annotations/rsitmd_{split}.json')
        assert all(len(item['audio_paths']) == len(item['captions']) for item in items)
        names = [name for item in items for name in item['audio_paths']]
        assert len(set(names)) == len(names) > 0
        assert all((root / 'audio' / name).is_file() for name in names)


def test_pictures_of_sound_become_a_batch(sample_dir):
    dataset = ImageTextDataset(
        'annotations/rsitmd_test.json',
        str(sample_dir / 'data/sample/rsitmd'),
        captions='all',
        indices=3,
        pipeline=[
            dict(type='LoadSpectrogramImage', resize=60, size=50),
            dict(type='SpecAugment'),
            dict(type='PackRetrievalInputs'),
        ],
    )
    batch = pseudo_collate([dataset[k] for k in range(3)])
    audio = RetrievalDataPreprocessor(stats='imagenet')(batch)['inputs']['audio']
    assert audio.shape == (15, 3, 50, 50) and audio.std() > 0.1
