"""Members of a dataset may share images, never ids of different images."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from mmengine.dataset import RepeatDataset
from mmengine.registry import DATASETS as ROOT_DATASETS
from mmengine.registry import init_default_scope

from tests.datasets.tiny import item, write
from urbancross_mm.datasets import ConcatDataset, ImageTextDataset, UnpairedDataset
from urbancross_mm.datasets.concat_dataset import check_unique_ids
from urbancross_mm.datasets.verification.verify import verify
from urbancross_mm.registry import DATASETS

IGNORED = ['dataset', 'domain', 'split']


def write_two(root: Path, second: str = 'b') -> tuple[dict, dict]:
    """Two datasets with equal ids: 'a' and 'b' in the first, and ``second`` in the other."""
    first = write(root / 'one', [item('a', ['red', 'blue']), item('b', ['green'])])
    other = item(second, ['gray'])
    return first, write(root / 'two', [dict(other, img_path='c.png'), item('d', ['white'])])


@pytest.mark.parametrize('captions', ['each', 'sample', 'all'])
def test_one_id_for_different_images_is_refused(tmp_path: Path, captions: str) -> None:
    parts = [ImageTextDataset(**entry, captions=captions) for entry in write_two(tmp_path)]
    with pytest.raises(
        ValueError,
        match=r"^1 .*'tiny/b'.*one/images/b\.png .*one/annotations/tiny\.json.*"
        r'two/images/c\.png .*two/annotations/tiny\.json',
    ):
        ConcatDataset(parts, ignore_keys=IGNORED)


def test_a_config_gets_the_checked_one(tmp_path: Path) -> None:
    cfg = dict(
        type='ConcatDataset',
        ignore_keys=IGNORED,
        datasets=[dict(type='ImageTextDataset', **entry) for entry in write_two(tmp_path)],
    )
    init_default_scope('urbancross_mm')
    for registry in (DATASETS, ROOT_DATASETS):
        with pytest.raises(ValueError, match="'tiny/b'"):
            registry.build(cfg)
    lazy = DATASETS.build(dict(cfg, lazy_init=True))
    with pytest.raises(ValueError, match="'tiny/b'"):
        lazy.full_init()


def test_the_same_image_may_come_twice(tmp_path: Path) -> None:
    first, second = write_two(tmp_path)
    (tmp_path / 'two/images/c.png').unlink()
    (tmp_path / 'two/images/c.png').symlink_to(tmp_path / 'one/images/b.png')
    parts = [ImageTextDataset(**entry, captions='all') for entry in (first, second)]
    assert len(ConcatDataset(parts, ignore_keys=IGNORED)) == 4
    (tmp_path / 'two/images/c.png').unlink()
    shutil.copy(tmp_path / 'one/images/b.png', tmp_path / 'two/images/c.png')
    assert len(ConcatDataset([*parts, parts[0]], ignore_keys=IGNORED)) == 6
    (tmp_path / 'two/images/c.png').unlink()
    with pytest.raises(ValueError, match="'tiny/b'"):
        ConcatDataset(parts, ignore_keys=IGNORED)


def test_other_ids_are_no_matter(tmp_path: Path) -> None:
    parts = [ImageTextDataset(**entry, captions='all') for entry in write_two(tmp_path, 'e')]
    assert len(ConcatDataset(parts, ignore_keys=IGNORED)) == 4


def test_wrappers_and_targets_are_looked_into(tmp_path: Path) -> None:
    first, second = write_two(tmp_path)
    target = UnpairedDataset(**second)
    wrapped = RepeatDataset(ImageTextDataset(**first), 2)
    nested = ConcatDataset([ImageTextDataset(**first)], ignore_keys=IGNORED)
    for parts in ([wrapped, target], [target, nested]):
        with pytest.raises(ValueError, match="'tiny/b'"):
            check_unique_ids(parts)
    check_unique_ids([nested, wrapped])
    check_unique_ids([])


def test_verification_finds_it(tmp_path: Path) -> None:
    write(tmp_path, [item('a', ['red']), item('b', ['blue'])], split='test')
    (tmp_path / 'annotations/tiny.json').rename(tmp_path / 'annotations/first.json')
    write(tmp_path, [item('x', ['red']), dict(item('b', ['blue']), img_path='c.png')], split='test')
    files = [str(tmp_path / f'annotations/{name}.json') for name in ('first', 'tiny')]
    report = verify(files, str(tmp_path))
    # c.png is a copy of b.png: both are the second of their file.
    assert 'one id for different images' not in [finding.what for finding in report.findings]
    write(tmp_path, [dict(item('b', ['blue']), img_path='c.png')], split='test')
    (result,) = (
        finding
        for finding in verify(files, str(tmp_path)).findings
        if finding.what == 'one id for different images'
    )
    assert result.level == 'error' and result.count == 1
    assert result.examples == ['tiny/b: b.png (test) and c.png (test)']


def with_classes(root: Path, name: str, **metainfo: list) -> ImageTextDataset:
    """One image whose file names classes, and whose class map is read."""
    entry = dict(item(name, ['red']), img_id=f'{name}/{name}')
    pipeline = [dict(type='LoadSegMap')]
    return ImageTextDataset(**{**write(root / name, [entry], **metainfo), 'pipeline': pipeline})


def test_classes_of_the_members_that_have_some(tmp_path: Path) -> None:
    roofs = dict(classes=['ground', 'roof'], palette=[[0, 0, 0], [255, 0, 0]])
    bare = with_classes(tmp_path, 'a')
    parts = [bare, with_classes(tmp_path, 'b', **roofs), with_classes(tmp_path, 'c', **roofs)]
    for members in (parts, parts[::-1]):
        metainfo = ConcatDataset(members, ignore_keys=IGNORED).metainfo
        assert {key: metainfo[key] for key in roofs} == roofs
    assert 'classes' not in ConcatDataset([bare], ignore_keys='domain').metainfo
    other = with_classes(tmp_path, 'd', classes=['roof', 'ground'])
    with pytest.raises(
        ValueError,
        match=r"\['ground', 'roof'\] in .*b/annotations.* and \['roof', 'ground'\] in .*d/annot",
    ):
        ConcatDataset([*parts, other], ignore_keys=IGNORED)
    other.pipeline.transforms = []  # its class maps are not read
    assert (
        ConcatDataset([*parts, other], ignore_keys=IGNORED).metainfo['classes'] == roofs['classes']
    )
