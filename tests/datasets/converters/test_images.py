"""Finding images and their sidecar files."""

from __future__ import annotations

import pytest

from tests.datasets.converters.layouts import write_lines
from urbancross_mm.datasets.converters.images import ImageFolder, SidecarFiles, sibling


def touch(root, *names):
    for name in names:
        write_lines(root / name, [])
    return root


def test_a_name_is_taken_as_it_is_before_another_suffix(tmp_path):
    folder = ImageFolder(touch(tmp_path, 'a.jpg', 'a.tif', 'sub/b.png', 'notes.txt'))

    assert folder.find('a.tif') == 'a.tif' and folder.find('a.jpg') == 'a.jpg'
    assert folder.find('sub/b.tif') == 'sub/b.png'
    assert folder.find('c.png') is None and folder.find('notes.txt') is None
    assert folder.find('') is None and folder.find('other/b.png') is None
    assert folder.names == ['a.jpg', 'a.tif', 'sub/b.png']


def test_images_behind_links_are_found(tmp_path):
    touch(tmp_path / 'real', 'x/a.jpg')
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data/x').symlink_to(tmp_path / 'real/x')

    assert ImageFolder(tmp_path / 'data').find('x/a.jpg') == 'x/a.jpg'


def test_a_missing_image_moves_no_number(tmp_path):
    names = [f'{label}/{label}{n:02d}.jpg' for label in ('b', 'a') for n in range(4)]
    folder = ImageFolder(touch(tmp_path, *(n for n in names if n != 'a/a01.jpg')))

    assert [folder.find(f'{n}.tif') for n in (1, 2, 3, 5, 8, 9)] == [
        'a/a00.jpg',
        None,
        'a/a02.jpg',
        'b/b00.jpg',
        'b/b03.jpg',
        None,
    ]
    folder.check_numbers(['8.tif', '1.tif'])
    with pytest.raises(ValueError, match=r'\b12\b.*\b8\b'):
        folder.check_numbers(['12.tif'])


def test_other_folders_are_not_numbered(tmp_path):
    folder = ImageFolder(touch(tmp_path, 'a/a00.jpg', 'b/other.jpg'))

    assert folder.find('1.tif') is None
    folder.check_numbers(['1.tif'])


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere'):
        ImageFolder(tmp_path / 'nowhere')


def test_sidecar_files_share_the_stem(tmp_path):
    folder = SidecarFiles(touch(tmp_path, 'x/a.json'), '.json')

    assert folder.find('x/a.jpg') == 'x/a.json'
    assert folder.find('x/b.jpg') is None
    assert SidecarFiles(None, '.json').find('x/a.jpg') is None


def test_sibling_is_beside_the_images_unless_given(tmp_path):
    assert sibling(tmp_path / 'images', 'segments') == tmp_path / 'segments'
    assert sibling(None, 'segments') is None
    assert sibling(None, 'segments', tmp_path) == tmp_path
    with pytest.raises(FileNotFoundError, match='nowhere'):
        sibling(None, 'segments', tmp_path / 'nowhere')


def test_duplicates_are_equal_files_not_equal_sizes(tmp_path):
    for name, text in {'a.jpg': 'same', 'b.jpg': 'same', 'c.jpg': 'else', 'd.jpg': 'same'}.items():
        (tmp_path / name).write_text(text)

    names = ['d.tif', 'c.tif', 'a.tif', 'b.tif', 'gone.tif']
    assert ImageFolder(tmp_path).duplicates(names) == {'b.tif': 'a.tif', 'd.tif': 'a.tif'}


def test_a_bare_name_is_looked_for_in_class_folders(tmp_path):
    folder = ImageFolder(
        touch(
            tmp_path,
            'port/port_1.jpg',
            'port/port_2.JPG',
            'port/x.jpg',
            'beach/x.jpg',
            'y.png',
            'port/y.jpg',
        )
    )

    assert folder.find('port_1.jpg') == folder.find('port_1.tif') == 'port/port_1.jpg'
    assert folder.find('port_2.jpg') == folder.find('Port_2.tif') == 'port/port_2.JPG'
    assert folder.find('y.jpg') == 'y.png'  # beside the captions' own folder comes before below
    with pytest.raises(ValueError, match=r'x\.jpg .*beach/x\.jpg and port/x\.jpg '):
        folder.find('x.jpg')
    assert folder.find('port/x.jpg') == 'port/x.jpg'


def test_case_decides_where_it_can(tmp_path):
    folder = ImageFolder(
        touch(tmp_path, 'a.jpg', 'A.jpg', 'b.JPG', 'sub/C.jpg', 'd.jpg', 'D.png', 'e.jpg', 'E.jpg')
    )

    assert [folder.find(name) for name in ('a.jpg', 'A.jpg', 'a.tif', 'A.tif')] == [
        'a.jpg',
        'A.jpg',
        'a.jpg',
        'A.jpg',
    ]
    assert folder.find('B.jpg') == 'b.JPG' and folder.find('SUB/c.TIF') == 'sub/C.jpg'
    for name, both in (('D.jpg', r'D\.png and d\.jpg'), ('E.JPG', r'E\.jpg and e\.jpg')):
        with pytest.raises(ValueError, match=f'{name} .*{both}'):
            folder.find(name)


def test_several_files_with_the_stem_are_refused_unless_named(tmp_path):
    folder = ImageFolder(touch(tmp_path, 'p1.jpg', 'p1.png', 'p2.jpg'))

    assert folder.find('p1.jpg') == 'p1.jpg' and folder.find('p2.tif') == 'p2.jpg'
    with pytest.raises(ValueError, match=r'p1\.tif .*p1\.jpg and p1\.png '):
        folder.find('p1.tif')
    with pytest.raises(ValueError, match=r'p1\.tif .*p1\.jpg'):
        folder.duplicates(['p1.tif'])


def test_a_number_that_is_a_name_too(tmp_path):
    # Of class 1: 2.jpg by number is 1/11.jpg, by name there is none; 12.jpg is both.
    folder = ImageFolder(touch(tmp_path, '1/10.jpg', '1/11.jpg', '1/112.jpg'))

    assert folder.find('2.tif') == '1/11.jpg'
    assert folder.find('112.tif') == '1/112.jpg' and folder.find('13.tif') == '1/112.jpg'
    with pytest.raises(ValueError, match=r'11\.tif .*1/11\.jpg and 1/1'):
        ImageFolder(touch(tmp_path, '1/110.jpg')).find('11.tif')


def test_a_number_with_two_files_is_refused(tmp_path):
    folder = ImageFolder(touch(tmp_path, 'a/a00.jpg', 'a/a01.jpg', 'a/a01.png'))

    assert folder.find('1.tif') == 'a/a00.jpg'
    with pytest.raises(ValueError, match=r'2\.tif .*a/a01\.jpg and a/a01\.png'):
        folder.find('2.tif')


def test_what_follows_a_dot_need_not_be_a_suffix(tmp_path):
    folder = ImageFolder(touch(tmp_path, 'scene_0.5.jpg', 'scene_0.3.jpg', 'scene_0.png'))

    assert folder.find('scene_0.5') == 'scene_0.5.jpg' and folder.find('scene_0') == 'scene_0.png'
    assert folder.find('scene_0.5.tif') == 'scene_0.5.jpg'
