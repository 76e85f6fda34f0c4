"""What is left of a killed run neither blocks the next one nor is taken from a living one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.inference.indexing.test_builder import build, content, numbers
from tests.inference.small_embedder import SmallEmbedder, write_tiles
from urbancross_mm.inference.indexing import shards
from urbancross_mm.inference.indexing.shards import merge_shards, shard_location
from urbancross_mm.inference.stores import StoreItem, TorchStore, open_store

F = 'f' * 32


@pytest.fixture
def tiles(tmp_path: Path) -> Path:
    return write_tiles(tmp_path / 'city', 2)


def fill(path: Path | str, *ids: str) -> TorchStore:
    store = open_store(str(path), F, create=True)
    store.add([StoreItem(i, np.array([1.0, 0, 0, 0]), dict(source='other')) for i in ids])
    return store


def test_parts_that_were_not_made_or_deleted_to_their_end(tmp_path: Path, tiles: Path) -> None:
    fill(tmp_path / 'index.shard-1', 'x').close()
    (tmp_path / 'index.shard-1/manifest.json').unlink()
    (tmp_path / 'index.shard-2').mkdir()
    build(tmp_path / 'index', tiles)
    assert len(content(tmp_path / 'index')) == 2
    assert not list(tmp_path.glob('index.shard-*'))


def test_a_kill_while_a_part_is_deleted(tmp_path: Path, tiles: Path, monkeypatch) -> None:
    fill(tmp_path / 'index.shard-0', 'x').close()

    def die(path: str) -> None:
        next(Path(path).glob('*.npy')).unlink()
        raise KeyboardInterrupt

    monkeypatch.setattr(shards.shutil, 'rmtree', die)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / 'index', tiles)
    monkeypatch.undo()
    build(tmp_path / 'index', tiles)
    assert sorted(content(tmp_path / 'index')) == ['city/sub_0/00.png', 'city/sub_1/01.png', 'x']


def test_a_part_that_is_being_written_is_not_taken(tmp_path: Path, tiles: Path) -> None:
    with fill(tmp_path / 'index.shard-1', 'x'):
        with pytest.raises(ValueError, match=r'another process.*index\.shard-1'):
            build(tmp_path / 'index', tiles)
        assert (tmp_path / 'index.shard-1/manifest.json').exists()
    assert numbers(build(tmp_path / 'index', tiles))[0] == 2
    assert 'x' in content(tmp_path / 'index')


def test_a_second_run_is_refused_before_it_encodes(tmp_path: Path, tiles: Path) -> None:
    embedder = SmallEmbedder()
    with fill(tmp_path / 'index', 'x'):
        fill(tmp_path / 'index.shard-0', 'y').close()
        with pytest.raises(ValueError, match='another process is writing.*index'):
            build(tmp_path / 'index', tiles, embedder=embedder)
        assert not embedder.encoded and (tmp_path / 'index.shard-0').exists()


def test_no_other_index_has_the_same_parts(tmp_path: Path, monkeypatch) -> None:
    places = ['a/i', 'b/i', 's3://a/i.lance', 's3://b/i.lance', 'i.lance']
    assert len({shard_location(place, 0) for place in places}) == len(places)
    assert '/' not in shard_location('s3://a/b/i.lance', 3)
    monkeypatch.chdir(tmp_path)
    fill('images.shard-0', 'x').close()
    store = TorchStore()
    merge_shards(store, 'postgresql://user@host/images', F)
    assert not len(store) and Path('images.shard-0').exists()
    merge_shards(store, 'images', F)
    assert len(store) == 1
