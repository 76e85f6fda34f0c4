"""Names of files that become names of images."""

import os
from pathlib import Path

import pytest

from tests.curation.stages.test_tile_stage import (
    noise,
    outcomes,
    place,
    write_image,
    write_raster,
)
from urbancross_mm.curation import ImageRecord, TileStage, Workplace
from urbancross_mm.curation.geo.tile_sources import settle_names

__all__ = ['place']  # a fixture


def test_names_that_cannot_be_written_are_dropped(place: Workplace) -> None:
    content = write_image(place.source / 'a.png')
    with open(os.fsencode(place.source) + b'/caf\xe9.png', 'wb') as file:
        file.write(content)
    write_image(place.source / 'c:d.png')
    found = outcomes(place)
    assert {name: (one.status, one.reason) for name, one in found.items()} == {
        'a.png': ('kept', ''),
        'caf\\xe9.png': ('dropped', 'its name is not UTF-8'),
        'c:d.png': ('dropped', 'its name cannot stand in annotations'),
    }
    assert not (place.out / 'images/c:d.png').exists()


@pytest.mark.parametrize('other', ['a.tiff', 'a/r000000_c000000.png', 'a/r000000_c000000.jpg'])
def test_tiles_of_the_same_names_come_from_one_source(place: Workplace, other: str) -> None:
    write_raster(place.source / 'a.tif', noise(32, 64))
    if other == 'a.tiff':
        write_raster(place.source / other, noise(32, 64, seed=1))
    else:
        write_image(place.source / other)
    found = outcomes(place, size=32)
    dropped = {name: one.reason for name, one in found.items() if one.status == 'dropped'}
    kept = 2 if other == 'a.tiff' else 1
    assert dropped == {
        'a.tiff' if other == 'a.tiff' else 'a.tif': 'same names of tiles as of another image'
    }
    assert len(found) == kept + 1


def test_a_raster_may_not_need_a_folder_where_an_image_stands(place: Workplace) -> None:
    write_image(place.source / 'a.png')
    write_raster(place.source / 'a.png.tif', noise(32, 32))
    found = outcomes(place, size=32)
    assert {name: one.status for name, one in found.items()} == {
        'a.png': 'kept',
        'a.png.tif': 'dropped',
    }


def test_every_name_stands_once() -> None:
    twins = [ImageRecord('a.png', dict(refused='x')), ImageRecord('a.png'), ImageRecord('a.jpg')]
    assert [(one.name, one.fields.get('refused')) for one in settle_names(twins, [])] == [
        ('a.jpg', None),
        ('a.png', 'same name as another image'),
    ]
    # A refused file takes no name from another.
    assert (
        settle_names([ImageRecord('b.jpg', dict(refused='x')), ImageRecord('b.png')], [])[1].fields
        == {}
    )


def test_links_are_taken_but_not_into_the_own_result(place: Workplace, tmp_path: Path) -> None:
    content = write_image(tmp_path / 'else/b.webp')
    (place.source / 'north').symlink_to(tmp_path / 'else')
    assert {name: one.status for name, one in outcomes(place).items()} == {'north/b.webp': 'kept'}
    assert (place.out / 'images/north/b.webp').read_bytes() == content
    TileStage().check(place)
    (place.source / 'own').symlink_to(place.out)
    with pytest.raises(ValueError, match='own/images/north/b.webp lies in --out'):
        TileStage().check(place)


def test_reasons_do_not_depend_on_the_folder(place: Workplace, tmp_path: Path) -> None:
    for name in ('a.png', 'sub/b.png'):
        (place.source / name).parent.mkdir(exist_ok=True)
        (place.source / name).write_text('x')
    assert {one.reason for one in outcomes(place).values()} == {
        'cannot be decoded: cannot identify image file'
    }
