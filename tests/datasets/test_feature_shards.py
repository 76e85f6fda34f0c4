"""Features in Parquet shards are those of one file, and a folder that is not full is refused."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from torch.utils.data import DataLoader

from tests.datasets.tiny import item, write
from urbancross_mm.datasets import FeatureTokenizer, ImageTextDataset, LoadFeatures
from urbancross_mm.datasets.feature_file import FeatureFile, open_features, write_features
from urbancross_mm.datasets.feature_files import FeatureFiles
from urbancross_mm.datasets.feature_shards import (
    MANIFEST,
    missing_shards,
    open_folder,
    shard_count,
    shard_files,
    shard_path,
    write_shard,
)
from urbancross_mm.utils.hashing import FileStamp

IDS = [f'tiny/{name}' for name in 'abcde']
TEXTS = ['a road', 'Häuser am Fluß', 'a lake']
IMAGE_FEATS = np.arange(20, dtype=np.float32).reshape(5, 4)
TEXT_FEATS = np.linspace(0, 1, 15, dtype=np.float32).reshape(3, 5)
PLAN = dict(images=5, texts=3, shard_size=2, weights='w', fingerprint='f')


def fill(folder: Path, plan: dict = PLAN, stamps=(), **metadata) -> str:
    open_folder(folder, plan)
    size, meta = plan['shard_size'], dict(fingerprint=plan['fingerprint'], **metadata)
    for kind, names, feats in (('images', IDS, IMAGE_FEATS), ('texts', TEXTS, TEXT_FEATS)):
        for number in range(shard_count(kind, plan)):
            part = slice(number * size, (number + 1) * size)
            some = stamps[part] if kind == 'images' else ()
            path = shard_path(folder, kind, number)
            write_shard(path, kind, names[part], feats[part], meta, some)
    return str(folder)


def test_a_folder_is_read_as_the_file_of_the_same_features(tmp_path: Path) -> None:
    folder = fill(tmp_path / 'shards', weights='w', config='x.py')
    assert [Path(file).name for file in shard_files(folder)] == [
        *(f'images-0000{number}.parquet' for number in range(3)),
        *(f'texts-0000{number}.parquet' for number in range(2)),
    ]
    write_features(tmp_path / 'f.npz', IDS, IMAGE_FEATS, TEXTS, TEXT_FEATS, dict(weights='w'))
    sharded, single = open_features(folder), open_features(str(tmp_path / 'f.npz'))
    assert sharded.image_ids == single.image_ids == IDS
    for name in ('image_feats', 'text_feats'):
        assert np.array_equal(getattr(sharded, name), getattr(single, name))
        assert getattr(sharded, name).dtype == np.float32
    assert np.array_equal(sharded.image('tiny/d'), IMAGE_FEATS[3])
    assert np.array_equal(sharded.texts(TEXTS[::-1]), TEXT_FEATS[::-1])
    assert sharded.metadata['config'] == 'x.py'
    assert pickle.loads(pickle.dumps(sharded)) is sharded and copy.deepcopy(sharded) is sharded
    both = FeatureFiles([folder, str(tmp_path / 'f.npz')])
    assert np.array_equal(both.image('tiny/e'), IMAGE_FEATS[4])


def test_a_dataset_of_shards(tmp_path: Path) -> None:
    files = write(tmp_path / 'tiny', [item(name, TEXTS[:2]) for name in 'abcde'], images=False)
    folder = fill(tmp_path / 'shards')
    dataset = ImageTextDataset(
        **files,
        captions='all',
        pipeline=[
            LoadFeatures(file=folder),
            dict(type='TokenizeText', tokenizer=FeatureTokenizer(file=folder)),
            dict(type='PackRetrievalInputs'),
        ],
    )
    loaded = list(DataLoader(dataset, batch_size=None, num_workers=1))
    images = [one['inputs']['image'].tolist() for one in loaded]
    assert images == IMAGE_FEATS.tolist()
    assert loaded[0]['inputs']['text'].tolist() == TEXT_FEATS[:2].tolist()


def test_a_pattern_names_some_shards(tmp_path: Path) -> None:
    folder = fill(tmp_path / 'shards')
    some = open_features(f'{folder}/images-0000[12].parquet')
    assert some.image_ids == IDS[2:] and np.array_equal(some.image_feats, IMAGE_FEATS[2:])
    assert some.text_feats.shape == (0, 0)
    texts = FeatureFiles([f'{folder}/images-0000[12].parquet', f'{folder}/texts-*.parquet'])
    assert np.array_equal(texts.image('tiny/c'), IMAGE_FEATS[2])
    assert np.array_equal(texts.texts(['a lake']), TEXT_FEATS[2:])
    for nothing in (f'{folder}/images-9*.parquet', str(tmp_path / 'none/x.parquet')):
        with pytest.raises(FileNotFoundError, match='extract_features.py'):
            open_features(nothing)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match='empty .*extract_features.py'):
        open_features(str(tmp_path / 'empty'))


def test_a_folder_that_is_not_full_is_refused(tmp_path: Path) -> None:
    folder = fill(tmp_path / 'shards')
    assert missing_shards(folder, 'images', PLAN) == []
    shard_path(folder, 'images', 1).unlink()
    assert missing_shards(folder, 'images', PLAN) == [1]
    with pytest.raises(ValueError, match=r'lacks 1 of 3 shards of images.*images-00001\.parquet'):
        open_features(folder)
    assert open_features(f'{folder}/*.parquet').image_ids == [*IDS[:2], IDS[4]]
    (tmp_path / 'shards' / MANIFEST).unlink()
    with pytest.raises(ValueError, match=rf'{folder} has no {MANIFEST}'):
        open_features(folder)


def test_a_changed_shard_is_read_again(tmp_path: Path) -> None:
    folder = fill(tmp_path / 'shards')
    before = open_features(folder)
    assert open_features(folder) is before
    write_shard(shard_path(folder, 'images', 2), 'images', IDS[4:], IMAGE_FEATS[:1], PLAN)
    assert open_features(folder).image('tiny/e').tolist() == IMAGE_FEATS[0].tolist()


def test_a_replaced_image_is_noticed(tmp_path: Path) -> None:
    paths = [tmp_path / name[-1] for name in IDS]
    for path in paths:
        path.write_text(f'image {path.name}')
    folder = fill(tmp_path / 'shards', stamps=[FileStamp.of(path) for path in paths])
    features = FeatureFile(folder)
    paths[3].write_text('another')
    features.check_image(IDS[2], str(paths[2]))
    with pytest.raises(ValueError, match=f'{paths[3]} has changed .*{folder}.* --force'):
        features.check_image(IDS[3], str(paths[3]))


def test_a_folder_of_another_run(tmp_path: Path) -> None:
    folder = fill(tmp_path / 'shards')
    open_folder(folder, PLAN)  # the same: goes on
    other = dict(PLAN, weights='v', fingerprint='g', images=2)
    with pytest.raises(
        ValueError, match=rf"{folder} .*images 5 before, 2 now, weights 'w'.*--force"
    ):
        open_folder(folder, other)
    write_shard(shard_path(folder, 'texts', 0), 'texts', TEXTS[:2], TEXT_FEATS[:2], other)
    open_folder(folder, other, force=True)
    assert [Path(file).name for file in shard_files(folder)] == ['texts-00000.parquet']
    write_shard(shard_path(folder, 'images', 0), 'images', IDS[:2], IMAGE_FEATS[:2], PLAN)
    with pytest.raises(ValueError, match=r'images-00000.* and .*texts-00000.* different runs'):
        open_features(folder)


def test_damaged_shards_are_named(tmp_path: Path) -> None:
    folder = fill(tmp_path / 'shards')
    path = shard_path(folder, 'images', 1)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert missing_shards(folder, 'images', PLAN) == [1]
    with pytest.raises(ValueError, match=r'images-00001\.parquet is not a readable shard'):
        open_features(folder)
    pq.write_table(pa.table(dict(img_id=['a'], feats=[[1.0]])), path)
    with pytest.raises(ValueError, match=r'images-00001\.parquet is not a shard of features'):
        open_features(folder)
    write_shard(path, 'images', IDS[2:4], IMAGE_FEATS[2:4, :3], PLAN)
    with pytest.raises(ValueError, match=r'images-00001\.parquet holds features 3 wide, .* 4'):
        open_features(folder)
    write_shard(path, 'images', IDS[:2], IMAGE_FEATS[2:4], PLAN)
    with pytest.raises(ValueError, match=r'shards lists some of its images twice'):
        open_features(folder)
    (tmp_path / 'shards' / MANIFEST).write_text('{"images": 1}')
    with pytest.raises(ValueError, match=f'{MANIFEST} is not the plan'):
        open_folder(folder, PLAN)


def test_nothing_that_is_not_finite_is_written(tmp_path: Path) -> None:
    feats = IMAGE_FEATS[:2].copy()
    feats[1, 2] = np.inf
    with pytest.raises(ValueError, match="'tiny/b' are not all finite"):
        write_shard(tmp_path / 'images-00000.parquet', 'images', IDS[:2], feats, PLAN)
    assert not list(tmp_path.iterdir())


def test_shards_of_nothing(tmp_path: Path) -> None:
    """Tiles without captions; and a shard whose images all were left out."""
    plan = dict(PLAN, texts=0)
    assert shard_count('texts', plan) == 1
    open_folder(tmp_path, plan)
    write_shard(shard_path(tmp_path, 'images', 0), 'images', [], np.empty((0, 0)), plan)
    for number in (1, 2):
        part = slice(number * 2, number * 2 + 2)
        path = shard_path(tmp_path, 'images', number)
        write_shard(path, 'images', IDS[part], IMAGE_FEATS[part], plan)
    write_shard(shard_path(tmp_path, 'texts', 0), 'texts', [], np.empty((0, 5)), plan)
    features = open_features(str(tmp_path))
    assert features.image_ids == IDS[2:] and np.array_equal(features.image_feats, IMAGE_FEATS[2:])
    assert features.texts([]).shape == (0, 5)
