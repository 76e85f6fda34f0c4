"""An index holds its sources as they are now, whatever happened on the way."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.inference.small_embedder import SmallEmbedder, write_image, write_tiles
from urbancross_mm.inference.indexing import IndexBuilder, IndexSummary, open_sources
from urbancross_mm.inference.indexing.attributes import read_attributes
from urbancross_mm.inference.indexing.image_source import TileFiles
from urbancross_mm.inference.stores import StoreItem, open_store
from urbancross_mm.structures.filters import Filter


def build(
    index: Path | str, *sources: object, embedder=None, table=None, **options
) -> IndexSummary:
    builder = IndexBuilder(embedder or SmallEmbedder(), str(index), progress=False, **options)
    return builder.build(open_sources([str(source) for source in sources]), table)


def content(index: Path | str) -> dict[str, tuple[list[float], dict]]:
    with open_store(str(index), read_only=True) as store:
        return {
            item.id: (item.embed.round(5).tolist(), dict(item.attributes))
            for item in store.items(embeds=True)
        }


def numbers(summary: IndexSummary) -> tuple[int, int, int, int, int]:
    return (
        summary.added,
        summary.updated,
        summary.removed,
        summary.unchanged,
        summary.unreadable,
    )


@pytest.fixture
def tiles(tmp_path: Path) -> Path:
    return write_tiles(tmp_path / 'city')


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return tmp_path / 'city.index'


def test_every_image_is_an_item(tiles: Path, index: Path) -> None:
    summary = build(index, tiles)
    assert numbers(summary) == (10, 0, 0, 0, 0) and summary.total == 10
    items = content(index)
    assert sorted(items) == sorted(f'city/sub_{n % 2}/{n:02d}.png' for n in range(10))
    embed, attributes = items['city/sub_1/03.png']
    path = str(tiles / 'sub_1/03.png')
    assert attributes['img_path'] == path and attributes['source'] == 'city'
    np.testing.assert_allclose(embed, SmallEmbedder().encode_images([path])[0], atol=1e-5)
    assert str(summary) == (
        '10 added, 0 updated, 0 removed, 0 unchanged, 0 unreadable; 10 items in the index'
    )


def test_new_changed_and_vanished_images(tiles: Path, index: Path) -> None:
    build(index, tiles)
    times = os.stat(tiles / 'sub_0/02.png')
    write_image(tiles / 'sub_0/02.png', 'gray', seed=99)
    os.utime(tiles / 'sub_0/02.png', ns=(times.st_atime_ns, times.st_mtime_ns))
    (tiles / 'sub_0/04.png').unlink()
    write_image(tiles / 'new.png', 'red')
    os.utime(tiles / 'sub_0/06.png', (1, 1))  # a copy: other time, same content
    embedder = SmallEmbedder()
    assert numbers(build(index, tiles, embedder=embedder)) == (1, 2, 1, 7, 0)
    assert embedder.encoded == 2
    assert numbers(build(index, tiles, embedder=embedder)) == (0, 0, 0, 10, 0)
    assert embedder.encoded == 2
    fresh = index.with_name('fresh')
    build(fresh, tiles)
    assert content(index) == content(fresh)


def test_a_moved_folder_is_known_again(tiles: Path, index: Path) -> None:
    build(index, tiles)
    shutil.move(tiles, tiles.with_name('away') / 'city')
    embedder = SmallEmbedder()
    moved = tiles.with_name('away') / 'city'
    assert numbers(build(index, moved, embedder=embedder)) == (0, 10, 0, 0, 0)
    assert not embedder.encoded
    assert all(str(moved) in attributes['img_path'] for _, attributes in content(index).values())


def test_other_sources_stay(tiles: Path, index: Path, tmp_path: Path) -> None:
    build(index, tiles)
    other = write_tiles(tmp_path / 'town', 3)
    assert numbers(build(index, other)) == (3, 0, 0, 0, 0)
    shutil.rmtree(other / 'sub_1')
    assert numbers(build(index, other, tiles)) == (0, 0, 1, 12, 0)
    with open_store(str(index), read_only=True) as store:
        assert store.count(Filter.parse('source=town')) == 2 and len(store) == 12


def test_a_mistyped_path_empties_no_index(tiles: Path, index: Path, tmp_path: Path) -> None:
    build(index, tiles)
    write_image(tmp_path / 'other/city/x.png', 'red')
    before = content(index)
    with pytest.raises(ValueError, match=f"'city'.*{tiles}, .*other=.*other/city"):
        build(index, tmp_path / 'other/city')
    shutil.move(tiles, tmp_path / 'away')
    with pytest.raises(ValueError, match=r"10 items .*'city'.*other/city"):
        build(index, tmp_path / 'other/city')
    with pytest.raises(FileNotFoundError, match='citty'):
        build(index, tmp_path / 'citty')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match='empty'):
        build(index, f'city={tmp_path / "empty"}')
    assert content(index) == before
    assert numbers(build(index, f'other={tmp_path / "other/city"}')) == (1, 0, 0, 0, 0)


def test_folders_of_one_name_do_not_replace_each_other(tmp_path: Path, index: Path) -> None:
    old, new = (write_tiles(tmp_path / year / 'spain', 4) for year in ('y2020', 'y2021'))
    build(index, old)
    before = content(index)
    with pytest.raises(ValueError, match=f"'spain'.*{old}, .*other={new}"):
        build(index, new)
    assert content(index) == before
    # By a link it is the same folder.
    (tmp_path / 'link').symlink_to(tmp_path / 'y2020')
    assert numbers(build(index, tmp_path / 'link/spain'))[:3] == (0, 4, 0)


def test_what_cannot_be_read_now_stays(tiles: Path, index: Path, tmp_path: Path) -> None:
    """A folder that is not mounted, a link to nothing and a folder without permission."""
    far = write_tiles(tmp_path / 'far', 2)
    shutil.copy(tiles / 'sub_0/04.png', tmp_path / 'single.png')
    (tiles / 'linked').symlink_to(far)
    (tiles / 'one.png').symlink_to(tmp_path / 'single.png')
    build(index, tiles)
    before = content(index)
    assert len(before) == 13
    far.rename(tmp_path / 'unmounted')
    (tmp_path / 'single.png').unlink()
    (tiles / 'sub_0/00.png').unlink()
    (source,) = open_sources([str(tiles)])
    assert 'linked, one.png; what an index has of it stays' in source.remark
    assert numbers(build(index, tiles)) == (0, 0, 1, 12, 0)
    assert content(index) == {key: before[key] for key in before if key != 'city/sub_0/00.png'}
    (tiles / 'linked').unlink()
    assert numbers(build(index, tiles))[2] == 2


def test_an_unreadable_subfolder(tiles: Path, index: Path, monkeypatch) -> None:
    build(index, tiles)
    scan = os.scandir

    def refuse(path: str):
        if str(path).endswith('sub_1'):
            raise PermissionError(13, 'Permission denied')
        return scan(path)

    monkeypatch.setattr(os, 'scandir', refuse)
    assert numbers(build(index, tiles)) == (0, 0, 0, 10, 0)


def test_two_sources_of_one_name(tiles: Path, index: Path, tmp_path: Path) -> None:
    write_image(tmp_path / 'b/city/x.png', 'red')
    with pytest.raises(ValueError, match="'city'.*other="):
        build(index, tiles, tmp_path / 'b/city')
    assert not index.exists()


def test_unreadable_images(tiles: Path, index: Path, capsys) -> None:
    (tiles / 'bad.png').write_bytes(b'no image')
    with pytest.raises(ValueError, match=r'bad\.png'):
        build(index, tiles)
    assert numbers(build(index, tiles, skip_bad=True))[4] == 1
    assert len(content(index)) == 10
    # One that was readable once may be written just now: it stays as it was.
    before = content(index)
    (tiles / 'sub_0/00.png').write_bytes(b'broken')
    assert numbers(build(index, tiles, skip_bad=True)) == (0, 0, 0, 9, 2)
    assert content(index) == before
    write_image(tiles / 'sub_0/00.png', 'gray', seed=3)
    assert numbers(build(index, tiles, skip_bad=True)) == (0, 1, 0, 9, 1)


def test_a_file_that_is_written_while_it_is_read(tiles: Path, index: Path, monkeypatch) -> None:
    build(index, tiles)
    before = content(index)
    path = str(tiles / 'sub_0/00.png')
    write_image(Path(path), 'gray', seed=50)
    load = TileFiles.load

    def load_and_write(self: TileFiles, name: str) -> dict:
        if name == path:
            write_image(Path(path), 'gray', seed=51)
            os.utime(path, (1, 1))
        return load(self, name)

    monkeypatch.setattr(TileFiles, 'load', load_and_write)
    os.utime(path, (2, 2))
    with pytest.raises(ValueError, match=r'00\.png changed while'):
        build(index, tiles)
    os.utime(path, (2, 2))
    assert numbers(build(index, tiles, skip_bad=True)) == (0, 0, 0, 9, 1)
    assert content(index) == before


class Killed(BaseException):
    pass


def test_a_killed_run_goes_on_where_it_was(tiles: Path, index: Path) -> None:
    """Whole batches of an earlier run are not encoded again, and the result is the same."""

    class Dying(SmallEmbedder):
        def _encode_batch(self, batch: dict, tower: object = None):
            if self.encoded >= 6:
                raise Killed
            return super()._encode_batch(batch, tower)

    with pytest.raises(Killed):
        build(index, tiles, embedder=Dying(2), batch=4)
    assert len(content(index)) == 4
    embedder = SmallEmbedder(2)
    assert numbers(build(index, tiles, embedder=embedder, batch=4)) == (6, 0, 0, 4, 0)
    assert embedder.encoded == 6
    fresh = index.with_name('fresh')
    build(fresh, tiles, embedder=SmallEmbedder(2), batch=4)
    assert content(index) == content(fresh)


def test_the_index_of_another_model_is_refused(tiles: Path, index: Path) -> None:
    build(index, tiles)
    other = SmallEmbedder()
    other._fingerprint = 'e' * 32
    with pytest.raises(ValueError, match='ffffffff.*eeeeeeee'):
        build(index, tiles, embedder=other)


def test_an_empty_index_of_another_model_is_made_anew(tiles: Path, index: Path) -> None:
    for location in (index, index.with_name('city.lance')):
        if location.suffix == '.lance':
            pytest.importorskip('lancedb')
        open_store(str(location), 'e' * 32, create=True).close()
        assert numbers(build(location, tiles))[0] == 10
        with open_store(str(location), 'f' * 32, read_only=True) as store:
            assert len(store) == 10


def test_an_index_that_was_filled_without_sources(tiles: Path, index: Path) -> None:
    with open_store(str(index), 'f' * 32, create=True) as store:
        store.add([StoreItem('mine', np.eye(4)[0], dict(note='own'))])
    assert numbers(build(index, tiles)) == (10, 0, 0, 0, 0)
    assert content(index)['mine'][1] == dict(note='own')


def test_attributes_join_by_name_and_stay(tiles: Path, index: Path, tmp_path: Path) -> None:
    table = tmp_path / 'table.csv'
    table.write_text(
        'img_path,date,country,gsd,tags\n'
        '03.png,2020-05-01,spain,0.5,harbor | river\n'
        'sub_0/04.png,2021-01-01,007,,\n'
    )
    build(index, tiles, table=read_attributes(str(table)))
    known = content(index)['city/sub_1/03.png'][1]
    assert known['date'] == '2020-05-01' and known['gsd'] == 0.5
    assert known['tags'] == ['harbor', 'river']
    assert content(index)['city/sub_0/04.png'][1]['country'] == '007'
    with open_store(str(index), read_only=True) as store:
        assert store.count(Filter.parse(['tags=river', 'date=2020'])) == 1
    # A run without a table keeps them, also of an image that has changed.
    write_image(tiles / 'sub_1/03.png', 'blue', seed=77)
    assert numbers(build(index, tiles)) == (0, 1, 0, 9, 0)
    assert content(index)['city/sub_1/03.png'][1]['gsd'] == 0.5
    # A table replaces them, without encoding anything.
    table.write_text('image,gsd\n03.png,0.25\n')
    embedder = SmallEmbedder()
    summary = build(index, tiles, embedder=embedder, table=read_attributes(str(table)))
    assert numbers(summary) == (0, 2, 0, 8, 0) and not embedder.encoded
    known = content(index)['city/sub_1/03.png'][1]
    assert known['gsd'] == 0.25 and 'tags' not in known


def test_a_table_goes_before_the_source_and_nothing_else_stays(
    tiles: Path, index: Path, tmp_path: Path
) -> None:
    """The position of a world file follows it; one of a table stays."""
    for name in ('sub_1/03', 'sub_0/04'):
        (tiles / f'{name}.pgw').write_text('0.001\n0\n0\n-0.001\n10.0\n50.0\n')
    table = tmp_path / 'table.csv'
    table.write_text('img_path,lon,lat\n03.png,20,60\n')
    build(index, tiles, table=read_attributes(str(table)))
    for _ in range(2):
        assert numbers(build(index, tiles)) == (0, 0, 0, 10, 0)
        known = content(index)['city/sub_1/03.png'][1]
        assert (known['lon'], known['lat']) == (20, 60) and 'bounds' in known
    assert content(index)['city/sub_0/04.png'][1]['lon'] == pytest.approx(10.0115)
    for name in ('sub_1/03', 'sub_0/04'):
        (tiles / f'{name}.pgw').unlink()
    assert numbers(build(index, tiles)) == (0, 2, 0, 8, 0)
    assert content(index)['city/sub_1/03.png'][1]['lon'] == 20
    assert not {'lon', 'bounds'} & set(content(index)['city/sub_0/04.png'][1])


def test_near_duplicates_are_marked(tiles: Path, index: Path) -> None:
    shutil.copy(tiles / 'sub_0/04.png', tiles / 'sub_1/copy.png')
    shutil.copy(tiles / 'sub_0/04.png', tiles / 'z.png')
    summary = build(index, tiles, duplicates_above=0.999999)
    assert summary.duplicates == 2 and '2 near-duplicates' in str(summary)
    marks = {
        key: a['duplicate_of'] for key, (_, a) in content(index).items() if 'duplicate_of' in a
    }
    first = 'city/sub_0/04.png'
    assert marks == {'city/sub_1/copy.png': first, 'city/z.png': first}
    # The first one vanishes: nothing points at it. Other marks stay if nobody looks for them.
    assert build(index, tiles).duplicates is None
    assert content(index)['city/z.png'][1]['duplicate_of'] == first
    (tiles / 'sub_0/04.png').unlink()
    assert build(index, tiles).duplicates is None
    assert not any('duplicate_of' in attributes for _, attributes in content(index).values())
    assert build(index, tiles, duplicates_above=0.999999).duplicates == 1
    assert content(index)['city/z.png'][1]['duplicate_of'] == 'city/sub_1/copy.png'
    assert 'duplicate_of' not in content(index)['city/sub_1/copy.png'][1]


def test_what_changes_has_no_duplicates(tiles: Path, index: Path, tmp_path: Path) -> None:
    """Neither the first one of a group nor another one keeps a mark of its old content."""
    for name in ('city/sub_1/b.png', 'city/z.png', 'other/x.png'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(tiles / 'sub_0/04.png', tmp_path / name)
    build(index, tiles, tmp_path / 'other', duplicates_above=0.999999)
    write_image(tiles / 'z.png', 'gray', seed=41)
    build(index, tiles)
    marks = [key for key, (_, a) in content(index).items() if 'duplicate_of' in a]
    assert marks == ['city/sub_1/b.png', 'other/x.png']
    write_image(tiles / 'sub_0/04.png', 'gray', seed=42)
    build(index, tiles)
    assert not any('duplicate_of' in attributes for _, attributes in content(index).values())


@pytest.mark.parametrize(
    ('options', 'named'),
    [(dict(duplicates_above=1.5), '1.5'), (dict(duplicates_above=0), '0'), (dict(batch=0), '0')],
)
def test_impossible_numbers(index: Path, options: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        IndexBuilder(SmallEmbedder(), str(index), **options)


def test_a_model_that_scores_pairs_has_no_index(index: Path) -> None:
    embedder = SmallEmbedder()
    embedder.model.score_pairs = lambda a, b: a
    with pytest.raises(ValueError, match='scores pairs'):
        IndexBuilder(embedder, str(index))
