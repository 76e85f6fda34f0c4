"""Files of images: what happens to them on the disk."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from tests.curation.stages.test_tile_stage import (
    noise,
    outcomes,
    place,
    write_image,
    write_raster,
)
from urbancross_mm.curation import Workplace, run_stage
from urbancross_mm.curation.geo.tile_files import decode, link_file, without_file
from urbancross_mm.curation.stages.tile_stage import TileStage
from urbancross_mm.utils.images import read_image

__all__ = ['place']  # a fixture


def test_images_that_are_in_place_already_stay(tmp_path: Path) -> None:
    place = Workplace(tmp_path / 'x/images', tmp_path / 'x')
    content = write_image(place.source / 'a/b.png')
    assert outcomes(place)['a/b.png'].status == 'kept'
    assert (place.source / 'a/b.png').read_bytes() == content
    assert [path.name for path in (place.source / 'a').iterdir()] == ['b.png']


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
    place = Workplace(tmp_path / 'x/images', tmp_path / 'x')
    place.source.mkdir(parents=True)
    write_raster(place.source / 'a.tif', noise(32, 32))
    with pytest.raises(ValueError, match=r'a\.tif would lie among'):
        TileStage().check(place)


def test_a_disk_that_fails_is_tried_again_and_no_reason_to_drop(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(place.source / 'a.png')
    true_open = open

    def closed(path: Any, *args: Any, **kwargs: Any) -> Any:
        if str(path).endswith('in/a.png'):
            raise PermissionError(errno.EACCES, 'Permission denied', str(path))
        return true_open(path, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr('builtins.open', closed)
        with pytest.raises(PermissionError):
            decode(place.source / 'a.png')
        assert outcomes(place)['a.png'].status == 'failed'
    stage = TileStage()
    _, report = run_stage(stage, stage.discover(place), place)
    assert (report.made, report.counts['kept']) == (1, 1)


def test_too_little_memory_is_no_fault_of_the_image(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(place.source / 'a.png')

    def full(*_: object, **__: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr('PIL.Image.open', full)
        with pytest.raises(MemoryError, match=r'a\.png needs more memory than there is'):
            read_image(str(place.source / 'a.png'))
        assert outcomes(place)['a.png'].status == 'failed'
    assert outcomes(place)['a.png'].status == 'kept'


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
