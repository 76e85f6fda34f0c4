"""One listing of images for everyone: links, loops, hidden files, odd names."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from urbancross_mm.curation.geo.tile_files import tile_names
from urbancross_mm.datasets.converters.images import ImageFolder
from urbancross_mm.inference.image_files import find_images
from urbancross_mm.utils import image_files
from urbancross_mm.utils.image_files import SOUND, has_image_suffix, list_files, list_image_files


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b'')
    return root


def naive(folder: Path) -> set[str]:
    """Real path of every image that can be reached without passing a hidden name."""
    paths, known, pending = set(), set(), [folder]
    while pending:
        here = pending.pop()
        if here.resolve() in known:
            continue
        known.add(here.resolve())
        for path in here.iterdir():
            above = path.is_symlink() and Path(os.path.realpath(path)) in (
                *folder.resolve().parents,
                *(here.resolve() / 'x').parents,
            )
            if path.name.startswith('.') or path.name == '__MACOSX' or above:
                continue
            if path.is_dir():
                pending.append(path)
            elif path.is_file() and path.suffix.lower() in (
                '.jpg',
                '.jpeg',
                '.png',
                '.tif',
                '.tiff',
                '.bmp',
                '.webp',
            ):
                paths.add(str(path.resolve()))
    return paths


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eight images, four behind a link, one WebP and a notebook's copy."""
    root = touch(
        tmp_path / 'city/images',
        *(f't{n}.jpg' for n in range(8)),
        'v.webp',
        '.ipynb_checkpoints/t1-checkpoint.jpg',
    )
    touch(tmp_path / 'else', *(f'u{n}.JPG' for n in range(4)))
    (root / 'north').symlink_to('../../else')
    return root


def test_every_part_of_the_project_lists_the_same(folder: Path) -> None:
    names = [*(f'north/u{n}.JPG' for n in range(4)), *(f't{n}.jpg' for n in range(8)), 'v.webp']
    listing = list_image_files(folder)
    assert listing.names == names
    assert listing.passed_over == {'hidden': 1} and listing.remark == 'passed over: 1 hidden'
    assert ImageFolder(folder).names == tile_names(folder) == names
    assert find_images(folder).paths == listing.paths == [str(folder / name) for name in names]


def test_links_are_followed_once_and_loops_end(folder: Path) -> None:
    before = list_image_files(folder).names
    (folder / 'again').symlink_to('.')
    (folder / 'deep').mkdir()
    (folder / 'deep/up').symlink_to(folder.parent)  # would list what lies beside the folder
    (folder.parents[1] / 'else/back').symlink_to(folder)
    (folder / 'south').symlink_to('../../else')
    (folder / 'lost.png').symlink_to('nowhere.png')
    (folder / 'lost').symlink_to('lost')
    touch(folder.parent, 'seg_maps/t1.png')
    listing = list_image_files(folder)
    assert listing.names == before
    assert listing.passed_over == {
        'hidden': 1,
        'broken links': 1,
        'links to a folder above them': 3,
        'links to a folder that is listed already': 1,
    }
    assert {str(Path(path).resolve()) for path in listing.paths} == naive(folder)


def test_a_file_keeps_the_name_that_is_its_own(tmp_path: Path) -> None:
    root = touch(tmp_path / 'images', 'z/real.jpg', 'a.txt')
    touch(tmp_path, 'store/blob')
    (root / 'a.jpg').symlink_to('z/real.jpg')
    (root / 'a').symlink_to('z')
    for name in ('m.jpg', 'b.jpg', 'k.txt'):
        (root / name).symlink_to('../store/blob')
    listing = list_image_files(root)
    assert listing.names == ['b.jpg', 'z/real.jpg']
    assert listing.second_names == ['a.jpg', 'm.jpg']
    assert listing.passed_over == {'second names': 2, 'links to a folder that is listed already': 1}
    # A caption file may know an image by any of its names.
    assert ImageFolder(root).find('m.jpg') == 'm.jpg'
    assert ImageFolder(root).names == listing.names


def test_hard_links_are_files_of_their_own(tmp_path: Path) -> None:
    os.link(touch(tmp_path, 'a.jpg') / 'a.jpg', tmp_path / 'b.jpg')
    assert list_image_files(tmp_path).names == ['a.jpg', 'b.jpg']


def test_the_order_does_not_depend_on_the_file_system(folder: Path, monkeypatch) -> None:
    (folder / 'south').symlink_to('../../else')
    expected = list_image_files(folder)
    scandir = os.scandir

    class Backwards:
        def __init__(self, path: str) -> None:
            self.entries = reversed(list(scandir(path)))

        def __iter__(self):
            return self.entries

        def __next__(self):
            return next(self.entries)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def close(self):
            pass

    monkeypatch.setattr(os, 'scandir', Backwards)
    assert list_image_files(folder) == expected


def test_what_looks_like_an_image_is_counted(tmp_path: Path) -> None:
    touch(
        tmp_path,
        'a.jpg',
        'b.GIF',
        'c/d.jp2',
        'e.txt',
        '._a.jpg',
        '.git/x.png',
        '.git/config',
        '__MACOSX/._b.tif',
        '@eaDir/a.jpg/THUMB_M.jpg',
        'folder.jpg/g.png',
    )
    os.mkfifo(tmp_path / 'pipe.png')
    listing = list_image_files(tmp_path)
    assert listing.names == ['a.jpg', 'folder.jpg/g.png']
    assert listing.passed_over == {'.gif': 1, '.jp2': 1, 'hidden': 4, 'no regular files': 1}


def test_names_that_fit_into_no_list(tmp_path: Path) -> None:
    touch(tmp_path, 'a.jpg', 'line\nfeed.jpg', 'Ähre.jpg')
    with open(os.fsencode(tmp_path) + b'/caf\xe9.jpg', 'wb'):
        pass
    listing = list_image_files(tmp_path)
    assert listing.names == ['a.jpg', 'Ähre.jpg']
    assert listing.unwritable == ['caf\udce9.jpg', 'line\nfeed.jpg']
    assert list(listing.passed_over.values()) == [2]


def test_a_folder_that_may_not_be_read(tmp_path: Path, monkeypatch) -> None:
    touch(tmp_path, 'a.jpg', 'closed/b.jpg')
    scandir = os.scandir

    def closed(path: str) -> object:
        if Path(path).name == 'closed':
            raise PermissionError(13, 'Permission denied', str(path))
        return scandir(path)

    monkeypatch.setattr(image_files.os, 'scandir', closed)
    listing = list_image_files(tmp_path)
    assert listing.names == ['a.jpg'] and listing.passed_over == {'unreadable folders': 1}
    with pytest.raises(PermissionError):
        list_image_files(tmp_path / 'closed')
    with pytest.raises(FileNotFoundError, match='nowhere'):
        list_image_files(tmp_path / 'nowhere')


@pytest.mark.parametrize('seed', range(20))
def test_any_tree_of_links_agrees_with_a_naive_search(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    root = tmp_path / 'root'
    folders = [root, tmp_path / 'other', tmp_path / 'other/.hidden']
    for number in range(4):
        folders.append(folders[rng.integers(len(folders))] / f'd{number}')
    for number, where in enumerate(folders):
        touch(where, f'x{number}.png', f'.y{number}.png', 'z.txt')
    for number in range(6):
        target = folders[rng.integers(len(folders))]
        if rng.random() < 0.5:
            target = next(target.glob('x*.png'))
        link = folders[rng.integers(len(folders))] / f'l{number}{target.suffix}'
        link.symlink_to(target)
    listing = list_image_files(root)
    results = [str(Path(path).resolve()) for path in listing.paths]
    assert len(set(results)) == len(results)
    assert set(results) == naive(root)


def test_suffixes() -> None:
    assert has_image_suffix('a/b.TIFF') and has_image_suffix(Path('x.webp'))
    assert not has_image_suffix('a.jpg.txt') and not has_image_suffix('jpg')


def test_webp_is_read_everywhere(tmp_path: Path) -> None:
    from urbancross_mm.utils.images import read_image

    Image.new('RGB', (4, 3), 'red').save(tmp_path / 'a.webp', lossless=True)
    assert read_image(str(tmp_path / 'a.webp'))[1] == (3, 4)


def test_sound_files_are_listed_as_images_are(tmp_path: Path) -> None:
    touch(tmp_path, 'b.WAV', 'a/c.flac', 'a/d.ogg', '.e.wav', 'cover.png', 'f.mp3', 'g.mp3')
    (tmp_path / 'link.wav').symlink_to(tmp_path / 'b.WAV')
    (tmp_path / 'gone.flac').symlink_to(tmp_path / 'nowhere.flac')
    listing = list_files(tmp_path, SOUND)
    assert listing.names == ['a/c.flac', 'a/d.ogg', 'b.WAV']
    assert listing.passed_over == {'.mp3': 2, 'hidden': 1, 'broken links': 1, 'second names': 1}
    assert list_image_files(tmp_path).names == ['cover.png']
    with pytest.raises(FileNotFoundError, match='no folder of sound at .*nowhere'):
        list_files(tmp_path / 'nowhere', SOUND)
