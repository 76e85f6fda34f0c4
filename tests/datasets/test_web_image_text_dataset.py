"""Shards give the items of the folder they were made of, each once an epoch on any ranks."""

from __future__ import annotations

import io
import json
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader

from tests.datasets.tiny import item, write
from tests.ranks import run_on_ranks
from urbancross_mm.datasets import ImageTextDataset, WebImageTextDataset
from urbancross_mm.datasets.converters.web_shards import index_shards, write_shards
from urbancross_mm.datasets.web_shards import list_shards, shard_name

pytest.importorskip('webdataset')
NAMES = [f'n{number:02d}' for number in range(11)]
PIPELINE = [dict(type='LoadImage'), dict(type='PackRetrievalInputs')]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    items = [
        item(name, [f'a {name}', 'Häuser am Fluß'], label=name[-1], lon=1.5, lat=-2.0)
        for name in NAMES
    ]
    return write(tmp_path / 'tiny', items)


@pytest.fixture
def shards(files: dict[str, str], tmp_path: Path) -> str:
    annotations = Path(files['data_root'], files['ann_file'])
    counts = write_shards(annotations, tmp_path / 'shards', shard_size=4)
    assert counts == dict(images=11, captions=22, shards=3)
    return str(tmp_path / 'shards')


def loader(dataset: WebImageTextDataset, workers: int = 0) -> DataLoader:
    return DataLoader(dataset, dataset.batch_size, num_workers=workers, collate_fn=pseudo_collate)


def ids(batches: Any) -> list[list[str]]:
    return [[sample.img_id[-3:] for sample in batch['data_samples']] for batch in batches]


def test_the_items_of_the_folder(files: dict[str, str], shards: str) -> None:
    fields = ('img_id', 'captions', 'caption_ids', 'caption_text_ids', 'domain', 'label', 'lon')
    folder = ImageTextDataset(**files, captions='all', pipeline=PIPELINE)
    stream = WebImageTextDataset(shards, captions='all', pipeline=PIPELINE)
    assert len(stream) == len(folder) == 11
    assert stream.metainfo == dict(dataset='tiny', domain='tiny', split='train')
    for one, other in zip(stream, folder, strict=True):
        assert torch.equal(one['inputs']['image'], other['inputs']['image'])
        for field in fields:
            assert one['data_samples'].get(field) == other['data_samples'].get(field)
        assert one['data_samples'].texts == one['data_samples'].captions
    assert stream.shards[0].url in one['data_samples'].img_path.replace('00002', '00000')


def test_one_caption_of_an_image(shards: str) -> None:
    stream = WebImageTextDataset(shards, pipeline=PIPELINE)
    drawn = [one['data_samples'] for _ in range(4) for one in stream]
    assert all(len(sample.texts) == len(sample.text_ids) == 1 for sample in drawn)
    assert {sample.captions.index(sample.texts[0]) for sample in drawn} == {0, 1}


@pytest.mark.parametrize('workers', [0, 2])
def test_an_epoch_is_shuffled_by_its_number(shards: str, workers: int) -> None:
    def passes(seed: int = 0, count: int = 2) -> list:
        options = dict(batch_size=2, shuffle=3, seed=seed, pipeline=PIPELINE)
        batches = loader(WebImageTextDataset(shards, **options), workers)
        assert len(batches) == 6
        return [ids(batches) for _ in range(count)]

    first, second = passes()
    assert sorted(sum(first, [])) == sorted(sum(second, [])) == NAMES
    assert first != second and sum(first, []) != NAMES
    assert [len(batch) for batch in first].count(2) == 5 and len(first) == 6
    assert passes() == [first, second] and passes(seed=1)[0] != first
    stream = WebImageTextDataset(shards, batch_size=2, shuffle=3, pipeline=PIPELINE)
    stream.set_epoch(1)
    assert ids(loader(stream, workers)) == second


def read_on_rank(rank: int, shards: str, workers: int) -> list:
    stream = WebImageTextDataset(shards, batch_size=2, shuffle=4, pipeline=PIPELINE)
    return ids(loader(stream, workers))


@pytest.mark.parametrize('ranks, workers', [(2, 0), (3, 2)])
def test_ranks_share_an_epoch(shards: str, tmp_path: Path, ranks: int, workers: int) -> None:
    """11 samples: neither number of ranks divides them."""
    (tmp_path / 'meet').mkdir()
    read = run_on_ranks(read_on_rank, tmp_path / 'meet', shards, workers, world_size=ranks)
    assert len({len(batches) for batches in read}) == 1
    assert len({tuple(map(len, batches)) for batches in read}) == 1
    counts = Counter(name for batches in read for batch in batches for name in batch)
    assert set(counts) == set(NAMES)
    assert sum(counts.values()) == -(-11 // ranks) * ranks


def test_persistent_workers_go_on_counting(shards: str) -> None:
    stream = WebImageTextDataset(shards, batch_size=2, shuffle=3, pipeline=PIPELINE)
    batches = DataLoader(
        stream, 2, num_workers=2, collate_fn=pseudo_collate, persistent_workers=True
    )
    seen = [ids(batches) for _ in range(2)]
    assert seen[0] != seen[1] and sorted(sum(seen[1], [])) == NAMES
    stream.set_epoch(0)
    assert ids(batches) == seen[0]


def foreign(path: Path, *samples: dict[str, bytes]) -> str:
    """A shard as another program writes it."""
    with tarfile.open(path, 'w') as archive:
        for number, sample in enumerate(samples):
            for suffix, content in sample.items():
                entry = tarfile.TarInfo(f'{number:04d}.{suffix}')
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    return str(path)


@pytest.fixture
def png(files: dict[str, str]) -> bytes:
    return Path(files['data_root'], 'images/n00.png').read_bytes()


def test_shards_of_another_program(tmp_path: Path, png: bytes) -> None:
    captions = [
        dict(txt=b' a road '),
        dict(json=json.dumps(dict(caption='a lake', url='u', width=3)).encode()),
        dict(json=b'{"captions": ["x", "y"], "img_id": "mine"}', txt=b'z'),
    ]
    for key, caption in zip(('jpg', 'img', 'png'), captions):
        caption[key] = png
    paths = [foreign(tmp_path / f'{number}.tar', *captions) for number in range(2)]
    stream = WebImageTextDataset(
        str(tmp_path / '{0..1}.tar'), captions='all', domain='sky', pipeline=PIPELINE
    )
    samples = [one['data_samples'] for one in stream]
    assert [sample.captions for sample in samples[:3]] == [['a road'], ['a lake'], ['x', 'y']]
    assert [sample.img_id for sample in samples[1:4]] == ['0/0001', 'mine', '1/0000']
    assert samples[0].img_path == f'{paths[0]}/0000.jpg' and samples[0].domain == 'sky'
    assert index_shards(tmp_path) == dict(images=6, shards=2)
    assert list_shards(str(tmp_path))[1] == (paths[1], 3)
    url = f'pipe:cat {tmp_path}/{{0..1}}.tar'
    with pytest.raises(ValueError, match=r'pipe:cat .*0\.tar is not known; give index='):
        WebImageTextDataset(url)
    stream = WebImageTextDataset(
        url, index=str(tmp_path / 'shards.json'), captions='all', pipeline=PIPELINE
    )
    assert len(list(stream)) == len(stream) == 6


def test_names_of_shards() -> None:
    for url in ('a/b/7.tar', 'https://x.org/b/7.tar?key=1/2', 'pipe:aws s3 cp s3://x/b/7.tar -'):
        assert shard_name(url) == '7.tar'


@pytest.mark.parametrize(
    'sample, message',
    [
        (dict(txt=b'x'), r'0002 has no image \(img, jpg, .*only txt'),
        (dict(png=b'no image', txt=b'x'), r'0002\.png cannot be decoded'),
        (dict(txt=b'\xff', png=b''), 'is not UTF-8'),
        (dict(json=b'{"captions": [', png=b''), r'0002\.json is not valid JSON'),
        (dict(json=b'[]', png=b''), 'must be an object, got'),
        (dict(png=b''), 'captions'),
        (dict(json=b'{"captions": ["x"], "lon": 999}', png=b''), "'lon' must be a number"),
    ],
)
def test_a_damaged_sample_is_named(
    tmp_path: Path, png: bytes, sample: dict, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    good = [dict(txt=f't{number}'.encode(), png=png) for number in range(4)]
    path = foreign(tmp_path / 'a.tar', *good[:2], sample, *good[2:])
    stream = WebImageTextDataset(path, pipeline=PIPELINE)
    with pytest.raises(ValueError, match=rf'sample {path}/0002 is damaged: .*{message}.*skip_bad'):
        list(stream)
    stream = WebImageTextDataset(path, skip_bad=True, pipeline=PIPELINE)
    texts = [one['data_samples'].texts[0] for one in stream]
    assert texts == ['t0', 't1', 't1', 't2', 't3']


def test_a_damaged_shard_is_named(shards: str) -> None:
    path = Path(shards, '00001.tar')
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    stream = WebImageTextDataset(shards, pipeline=PIPELINE)
    with pytest.raises(ValueError, match=rf'{path} cannot be read behind sample \d of 4'):
        list(stream)
    stream = WebImageTextDataset(shards, skip_bad=True, pipeline=PIPELINE)
    assert len(list(stream)) == len(stream) == 11
    Path(shards, 'shards.json').unlink()
    with pytest.raises(ValueError, match=rf'{path} is damaged'):
        WebImageTextDataset(shards)


def test_an_index_that_does_not_fit(shards: str) -> None:
    index = Path(shards, 'shards.json')
    sizes = json.loads(index.read_text())['shards']
    index.write_text(json.dumps(dict(shards=dict(sizes, **{'00001.tar': 9}))))
    with pytest.raises(ValueError, match=r'00001\.tar has 4 samples, and its index says 9'):
        list(WebImageTextDataset(shards, pipeline=PIPELINE))
    for wrong in ([], dict(shards=[1]), dict(shards=dict(a=-1)), dict(shards=dict(a=True))):
        index.write_text(json.dumps(wrong))
        with pytest.raises(ValueError, match=r"shards\.json must be an object with 'shards'"):
            WebImageTextDataset(shards)


def test_wrong_options(shards: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for options, message in (
        (dict(captions='each'), "captions must be one of .*'each'"),
        (dict(shuffle=-1), 'shuffle .* got -1'),
        (dict(batch_size=0), 'batch_size .* and 0'),
    ):
        with pytest.raises(ValueError, match=message):
            WebImageTextDataset(shards, **options)
    (tmp_path / 'empty').mkdir()
    for nothing in (str(tmp_path / 'empty'), str(tmp_path / '{0..1}.tar')):
        with pytest.raises(FileNotFoundError, match=f'{tmp_path}'):
            WebImageTextDataset(nothing)
    with pytest.raises(FileNotFoundError, match=r'none\.json'):
        WebImageTextDataset(shards, index='none.json')
    monkeypatch.setitem(__import__('sys').modules, 'webdataset', None)
    with pytest.raises(ImportError, match='pip install webdataset'):
        WebImageTextDataset(shards)


def test_shards_are_written_once(shards: str, files: dict[str, str], tmp_path: Path) -> None:
    annotations = Path(files['data_root'], files['ann_file'])
    with pytest.raises(FileExistsError, match='shards .*--force'):
        write_shards(annotations, shards)
    before = Path(shards, '00000.tar').read_bytes()
    write_shards(annotations, shards, shard_size=4, force=True)
    assert Path(shards, '00000.tar').read_bytes() == before
    assert write_shards(annotations, shards, force=True)['shards'] == 1
    assert len(list(Path(shards).iterdir())) == 2
    with pytest.raises(ValueError, match='shard_size must be at least 1, got 0'):
        write_shards(annotations, shards, shard_size=0, force=True)
    Path(files['data_root'], 'images/n03.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'n03\.png'):
        write_shards(annotations, tmp_path / 'again')
    assert not (tmp_path / 'again' / 'shards.json').exists()
