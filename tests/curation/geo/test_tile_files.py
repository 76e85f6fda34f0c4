"""Files of tiles: their names, and what happens to them on the disk."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from tests.curation.stages.test_tile_stage import (
    noise,
    outcomes,
    workspace,
    write_image,
    write_raster,
)
from urbancross_mm.curation import ImageRecord, Workspace, run_stage
from urbancross_mm.curation.geo.tile_files import decode, link_file, settle_names, without_file
from urbancross_mm.curation.stages.tile_stage import TileStage
from urbancross_mm.utils.images import read_image

__all__ = ['workspace']  # a fixture


def test_images_that_are_in_place_already_stay(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / 'x/images', tmp_path / 'x')
    content = write_image(workspace.source / 'a/b.png')
    assert outcomes(workspace)['a/b.png'].status == 'kept'
    assert (workspace.source / 'a/b.png').read_bytes() == content
    assert [path.name for path in (workspace.source / 'a').iterdir()] == ['b.png']


def test_the_old_file_stays_until_the_new_one_is_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(tmp_path / 'new.png')
    (tmp_path / 'old.png').write_text('old')

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(os, 'link', full)
    monkeypatch.setattr('shutil.copyfile', full)
    with pytest.raises(OSError, match='No space'):
        link_file(tmp_path / 'new.png', tmp_path / 'old.png')
    assert (tmp_path / 'old.png').read_text() == 'old'
    monkeypatch.undo()
    link_file(tmp_path / 'new.png', tmp_path / 'old.png')
    assert os.path.samefile(tmp_path / 'new.png', tmp_path / 'old.png')
    assert len(list(tmp_path.iterdir())) == 2


def test_tiles_are_not_cut_into_the_folder_of_their_raster(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / 'x/images', tmp_path / 'x')
    workspace.source.mkdir(parents=True)
    write_raster(workspace.source / 'a.tif', noise(32, 32))
    with pytest.raises(ValueError, match=r'a\.tif'):
        TileStage().check(workspace)


def test_a_disk_that_fails_is_tried_again_and_no_reason_to_drop(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(workspace.source / 'a.png')
    true_open = open

    def closed(path: Any, *args: Any, **kwargs: Any) -> Any:
        if str(path).endswith('in/a.png'):
            raise PermissionError(errno.EACCES, 'Permission denied', str(path))
        return true_open(path, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr('builtins.open', closed)
        with pytest.raises(PermissionError):
            decode(workspace.source / 'a.png')
        assert outcomes(workspace)['a.png'].status == 'failed'
    stage = TileStage()
    _, report = run_stage(stage, stage.discover(workspace), workspace)
    assert (report.made, report.counts['kept']) == (1, 1)


def test_too_little_memory_is_no_fault_of_the_image(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(workspace.source / 'a.png')

    def full(*_: object, **__: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr('PIL.Image.open', full)
        with pytest.raises(MemoryError, match=r'a\.png.*memory'):
            read_image(str(workspace.source / 'a.png'))
        assert outcomes(workspace)['a.png'].status == 'failed'
    assert outcomes(workspace)['a.png'].status == 'kept'


def test_a_file_that_is_gone_is_no_broken_image(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        decode(tmp_path / 'a.png')


def test_sentences_do_not_name_files_and_counts(tmp_path: Path) -> None:
    path = tmp_path / 'a.png'
    for sentence, expected in (
        (
            f'image {path} cannot be decoded: image file is truncated (12 bytes not processed)',
            'cannot be decoded: image file is truncated',
        ),
        (
            f'image {path} cannot be decoded: cannot identify image file {str(path)!r}',
            'cannot be decoded: cannot identify image file',
        ),
        (
            f'image {path} has more than 8 bits per channel (mode I;16)',
            'has more than 8 bits per channel (mode I;16)',
        ),
    ):
        assert without_file(sentence, path) == expected


def test_names_that_cannot_be_written_are_dropped(workspace: Workspace) -> None:
    content = write_image(workspace.source / 'a.png')
    with open(os.fsencode(workspace.source) + b'/caf\xe9.png', 'wb') as file:
        file.write(content)
    write_image(workspace.source / 'c:d.png')
    results = outcomes(workspace)
    assert {name: (outcome.status, outcome.reason) for name, outcome in results.items()} == {
        'a.png': ('kept', ''),
        'caf\\xe9.png': ('dropped', 'its name is not UTF-8'),
        'c:d.png': ('dropped', 'its name cannot stand in annotations'),
    }
    assert not (workspace.out / 'images/c:d.png').exists()


@pytest.mark.parametrize('other', ['a.tiff', 'a/r000000_c000000.png', 'a/r000000_c000000.jpg'])
def test_tiles_of_the_same_names_come_from_one_source(workspace: Workspace, other: str) -> None:
    write_raster(workspace.source / 'a.tif', noise(32, 64))
    if other == 'a.tiff':
        write_raster(workspace.source / other, noise(32, 64, seed=1))
    else:
        write_image(workspace.source / other)
    results = outcomes(workspace, size=32)
    dropped = {
        name: outcome.reason for name, outcome in results.items() if outcome.status == 'dropped'
    }
    kept = 2 if other == 'a.tiff' else 1
    assert dropped == {
        'a.tiff' if other == 'a.tiff' else 'a.tif': 'same names of tiles as of another image'
    }
    assert len(results) == kept + 1


def test_a_raster_may_not_need_a_folder_where_an_image_stands(workspace: Workspace) -> None:
    write_image(workspace.source / 'a.png')
    write_raster(workspace.source / 'a.png.tif', noise(32, 32))
    results = outcomes(workspace, size=32)
    assert {name: outcome.status for name, outcome in results.items()} == {
        'a.png': 'kept',
        'a.png.tif': 'dropped',
    }


def test_every_name_stands_once() -> None:
    duplicates = [
        ImageRecord('a.png', dict(refused='x')),
        ImageRecord('a.png'),
        ImageRecord('a.jpg'),
    ]
    assert [(item.name, item.fields.get('refused')) for item in settle_names(duplicates, [])] == [
        ('a.jpg', None),
        ('a.png', 'same name as another image'),
    ]
    # A refused file takes no name from another.
    assert (
        settle_names([ImageRecord('b.jpg', dict(refused='x')), ImageRecord('b.png')], [])[1].fields
        == {}
    )


def test_links_are_taken_but_not_into_the_own_result(workspace: Workspace, tmp_path: Path) -> None:
    content = write_image(tmp_path / 'else/b.webp')
    (workspace.source / 'north').symlink_to(tmp_path / 'else')
    assert {name: outcome.status for name, outcome in outcomes(workspace).items()} == {
        'north/b.webp': 'kept'
    }
    assert (workspace.out / 'images/north/b.webp').read_bytes() == content
    TileStage().check(workspace)
    (workspace.source / 'own').symlink_to(workspace.out)
    with pytest.raises(ValueError, match='own/images/north/b.webp'):
        TileStage().check(workspace)


def test_reasons_do_not_depend_on_the_folder(workspace: Workspace, tmp_path: Path) -> None:
    for name in ('a.png', 'sub/b.png'):
        (workspace.source / name).parent.mkdir(exist_ok=True)
        (workspace.source / name).write_text('x')
    assert {outcome.reason for outcome in outcomes(workspace).values()} == {
        'cannot be decoded: cannot identify image file'
    }
