"""Every store that an index can lie in holds the same items, from one process or two."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.inference.indexing.test_builder import build, content, numbers
from tests.inference.indexing.test_processes import build_on_rank
from tests.inference.small_embedder import SmallEmbedder, write_image, write_tiles
from tests.inference.stores.conftest import postgres, postgres_table
from tests.ranks import run_on_ranks
from urbancross_mm.inference.indexing.attributes import read_attributes
from urbancross_mm.inference.search_query import Query
from urbancross_mm.inference.store_search import StoreSearch
from urbancross_mm.inference.stores import open_store

__all__ = ['postgres', 'postgres_table']  # fixtures


@pytest.fixture(params=['folder', 'lance', 'postgres'])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == 'postgres':
        return request.getfixturevalue('postgres_table')
    if request.param == 'lance':
        pytest.importorskip('lancedb')
    return str(tmp_path / f'city.{request.param}')


def same(location: str, fresh: Path) -> bool:
    stored, expected = content(location), content(fresh)
    for (embed, attributes), (other, wanted) in zip(stored.values(), expected.values()):
        np.testing.assert_allclose(embed, other, atol=2e-5)
        assert attributes == wanted
    return list(stored) == list(expected)


def test_an_index_in_any_store(location: str, tmp_path: Path) -> None:
    tiles, table = write_tiles(tmp_path / 'Ärger'), tmp_path / 'table.csv'
    table.write_text('img_path,gsd,tags\n03.png,0.5,harbor|river\n')
    build(location, tiles, table=read_attributes(str(table)))
    (tiles / 'sub_0/04.png').unlink()
    write_image(tiles / 'sub_1/05.png', 'gray', seed=99)
    write_image(tiles / 'Zoo.png', 'blue', seed=98)
    write_image(tiles / 'ä.png', 'blue', seed=98)  # ids are ordered by code points
    assert numbers(build(location, tiles, duplicates_above=0.9999)) == (2, 1, 1, 8, 0)
    fresh = tmp_path / 'fresh'
    build(fresh, tiles, table=read_attributes(str(table)), duplicates_above=0.9999)
    assert same(location, fresh)
    assert numbers(build(location, tiles)) == (0, 0, 0, 11, 0)
    with open_store(location, read_only=True) as store, open_store(str(fresh)) as other:
        query, embedder = Query(texts=['blue'], minus_texts=['red']), SmallEmbedder()
        hits, expected = (
            StoreSearch(embedder, some).search(query, 5, 'gsd!=7', 0, True)
            for some in (store, other)
        )
        assert [hit['id'] for hit in hits] == [hit['id'] for hit in expected]
        hits, expected = (
            StoreSearch(embedder, some).search(query, 5, offset=2, hide_duplicates=True)
            for some in (store, other)
        )
        assert [hit['id'] for hit in hits] == [hit['id'] for hit in expected] and len(hits) == 3


def test_two_ranks_in_any_store(location: str, tmp_path: Path) -> None:
    tiles = write_tiles(tmp_path / 'city')
    build(location, tiles)
    write_image(tiles / 'sub_1/05.png', 'gray', seed=99)
    for n in range(3):
        write_image(tiles / f'new_{n}.png', 'green', seed=90 + n)
    (tmp_path / 'meet').mkdir()
    results = run_on_ranks(build_on_rank, tmp_path / 'meet', str(tiles), location, [99, 99])
    assert results[0][0] == results[1][0] == (3, 1, 0, 9, 0)
    assert [result[1] for result in results] == [2, 2]
    build(tmp_path / 'fresh', tiles, duplicates_above=0.9999)
    assert same(location, tmp_path / 'fresh')
