"""Output of SAM, written here as its own script and SA-1B write it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco

from urbancross_mm.datasets.converters.sam_masks import list_sam_files
from urbancross_mm.datasets.converters.segment_folders import Options, convert
from urbancross_mm.structures.segment_masks import decode_masks, read_sidecar

SIZE = (60, 80)
SCORES = [0.9, 0.99, 0.95]
ORDER = [1, 2, 0]
HEADER = (
    'id,area,bbox_x0,bbox_y0,bbox_w,bbox_h,point_input_x,point_input_y,predicted_iou,'
    'stability_score,crop_box_x0,crop_box_y0,crop_box_w,crop_box_h'
)


def true_masks(size: tuple[int, int] = SIZE) -> np.ndarray:
    masks = np.zeros((3, *size), dtype=np.uint8)
    masks[0, 4:20, 6:44], masks[1, 30:50, 10:70], masks[2, 10:40, 30:60] = 1, 1, 1
    return masks


def write_image(path: Path, size: tuple[int, int] = SIZE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((*size, 3), 120, np.uint8))


def as_folder(root: Path, masks: np.ndarray) -> Path:
    """``amg.py``."""
    root.mkdir(parents=True)
    lines = [HEADER]
    for number, (mask, score) in enumerate(zip(masks, SCORES)):
        cv2.imwrite(str(root / f'{number}.png'), mask * 255)
        lines.append(f'{number},{mask.sum()},0,0,9,9,5.0,5.0,{score},0.97,0,0,80,60')
    (root / 'metadata.csv').write_text('\n'.join(lines))
    return root


def records(masks: np.ndarray, plain: bool) -> list[dict]:
    """``amg.py --convert-to-rle``; plain runs are what SAM calls uncompressed_rle."""
    results = []
    for mask, score in zip(masks, SCORES):
        code = coco.encode(np.asfortranarray(mask))
        edges = np.flatnonzero(np.diff(mask.T.reshape(-1), prepend=0, append=2))
        counts = np.diff(edges, prepend=0).tolist() if plain else code['counts'].decode()
        results.append(
            dict(
                segmentation=dict(size=list(mask.shape), counts=counts),
                area=9,
                bbox=[0, 0, 9, 9],
                predicted_iou=score,
                stability_score=0.97,
                point_coords=[[5.0, 5.0]],
                crop_box=[0, 0, 80, 60],
            )
        )
    return results


def write(root: Path, layout: str, stem: str = 'a', masks: np.ndarray | None = None) -> Path:
    masks = true_masks() if masks is None else masks
    if layout == 'folder':
        return as_folder(root / stem, masks)
    content = records(masks, layout == 'plain')
    if layout == 'sa1b':
        height, width = masks.shape[1:]
        content = dict(
            image=dict(image_id=1, width=width, height=height, file_name=f'{stem}.jpg'),
            annotations=[dict(one, id=number) for number, one in enumerate(content)],
        )
    path = root / f'{stem}.json'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize('layout', ['folder', 'compressed', 'plain', 'sa1b'])
@pytest.mark.parametrize('with_images', [False, True])
def test_masks_and_scores_come_through(tmp_path: Path, layout: str, with_images: bool) -> None:
    write(tmp_path / 'sam', layout, 'harbor/a')
    if with_images:
        write_image(tmp_path / 'images/harbor/a.jpg')
    summary = convert(Options(tmp_path, tmp_path / 'sam'))
    assert (summary.images, summary.segments) == (1, 3)
    sidecar = read_sidecar(tmp_path / 'segments/harbor/a.json')
    assert sidecar['image_size'] == sidecar['size'] == list(SIZE) and sidecar['source'] == 'sam'
    assert [segment['score'] for segment in sidecar['segments']] == [0.99, 0.95, 0.9]
    assert np.array_equal(decode_masks(sidecar), true_masks()[ORDER].astype(bool))
    assert [segment['area'] for segment in sidecar['segments']] == true_masks()[ORDER].sum(
        axis=(1, 2)
    ).tolist()


def test_stored_small_and_only_the_best(tmp_path: Path) -> None:
    write(tmp_path / 'sam', 'sa1b')
    convert(Options(tmp_path, tmp_path / 'sam', size=40, limit=2))
    sidecar = read_sidecar(tmp_path / 'segments/a.json')
    assert sidecar['size'] == [30, 40] and sidecar['image_size'] == list(SIZE)
    assert np.array_equal(decode_masks(sidecar), true_masks()[ORDER[:2], ::2, ::2].astype(bool))


def test_an_image_without_masks(tmp_path: Path) -> None:
    write(tmp_path / 'sam', 'compressed', masks=true_masks()[:0])
    with pytest.raises(ValueError, match=r'a\.json'):
        convert(Options(tmp_path, tmp_path / 'sam'))
    write_image(tmp_path / 'images/a.png')
    convert(Options(tmp_path, tmp_path / 'sam'))
    sidecar = read_sidecar(tmp_path / 'segments/a.json')
    assert sidecar['segments'] == [] and sidecar['image_size'] == list(SIZE)


@pytest.mark.parametrize('layout', ['folder', 'sa1b'])
def test_masks_of_another_size_are_refused(tmp_path: Path, layout: str) -> None:
    write(tmp_path / 'sam', layout)
    write_image(tmp_path / 'images/a.jpg', (20, 30))
    with pytest.raises(ValueError, match='60 x 80 .* 20 x 30'):
        convert(Options(tmp_path, tmp_path / 'sam'))
    summary = convert(Options(tmp_path, tmp_path / 'sam', skip_bad=True))
    assert summary.images == 0 and len(summary.bad) == 1


def _damage(content: list[dict], how: str) -> object:
    one = content[1]
    if how == 'short':
        one['segmentation']['counts'] = [900]
    elif how == 'huge':
        one['segmentation'] = dict(size=[100_000, 100_000], counts=[10**10])
    elif how == 'polygon':
        one['segmentation'] = [[0, 0, 5, 0, 5, 5]]
    elif how == 'no score':
        del one['predicted_iou']
    elif how == 'nan':
        one['predicted_iou'] = float('nan')
    elif how == 'number':
        content[1] = 7
    return dict(images=[]) if how == 'other' else content


@pytest.mark.parametrize(
    ('how', 'message'),
    [
        ('short', r'mask 1 of .*a\.json.*\b900\b'),
        ('huge', r'mask 1 of .*a\.json has the size \[100000, 100000\]'),
        ('polygon', r'mask 1 of .*a\.json must hold a segmentation of counts and size'),
        ('no score', r'mask 1 of .*a\.json must hold .*predicted_iou'),
        ('nan', r'mask 1 of .*a\.json must hold .*predicted_iou'),
        ('number', r'mask 1 of .*a\.json must hold'),
        ('other', r"a\.json must hold a list of masks, or one in 'annotations'"),
    ],
)
def test_broken_records_name_file_and_mask(tmp_path: Path, how: str, message: str) -> None:
    (tmp_path / 'sam').mkdir()
    content = _damage(records(true_masks(), False), how)
    (tmp_path / 'sam/a.json').write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        convert(Options(tmp_path, tmp_path / 'sam'))


@pytest.mark.parametrize(
    ('old', 'new', 'message'),
    [
        ('0.99', 'much', 'line 3 must hold'),
        ('0.99', '"0.99', 'cannot be read'),
        ('\n1,', '\nx,', 'line 3 must hold'),
        (',0,0,80,60\n2', '\n2', 'line 3 must hold'),
    ],
)
def test_broken_tables_name_file_and_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    table = write(tmp_path / 'sam', 'folder') / 'metadata.csv'
    table.write_text(table.read_text().replace(old, new, 1))
    with pytest.raises(ValueError, match=rf'metadata\.csv.*{message}'):
        convert(Options(tmp_path, tmp_path / 'sam'))


def test_a_mask_that_is_not_there(tmp_path: Path) -> None:
    (write(tmp_path / 'sam', 'folder') / '1.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'1\.png'):
        convert(Options(tmp_path, tmp_path / 'sam'))


def test_what_is_no_output_of_sam(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match='no folder'):
        convert(Options(tmp_path, tmp_path / 'sam'))
    (tmp_path / 'sam').mkdir()
    with pytest.raises(FileNotFoundError, match='no output of SAM'):
        convert(Options(tmp_path, tmp_path / 'sam'))
    write(tmp_path / 'sam', 'folder')
    with pytest.raises(ValueError, match='above'):
        convert(Options(tmp_path, tmp_path / 'sam/a'))
    write(tmp_path / 'sam', 'sa1b')
    with pytest.raises(ValueError, match='two outputs of SAM for one image'):
        convert(Options(tmp_path, tmp_path / 'sam'))


def test_folders_are_walked_as_those_of_images(tmp_path: Path) -> None:
    write(tmp_path / 'sam', 'compressed')
    write(tmp_path / 'elsewhere', 'compressed', 'b')
    (tmp_path / 'sam' / 'linked').symlink_to(tmp_path / 'elsewhere')
    (tmp_path / 'sam' / 'up').symlink_to(tmp_path)
    for name in ('__MACOSX', '.ipynb_checkpoints'):
        (tmp_path / 'sam' / name).mkdir()
        (tmp_path / 'sam' / name / 'c.json').write_text('junk')
    (tmp_path / 'sam' / 'folder.json').mkdir()
    result = list_sam_files(tmp_path / 'sam')
    assert [path.relative_to(tmp_path / 'sam').as_posix() for path in result] == [
        'a.json',
        'linked/b.json',
    ]


def test_upper_case_suffixes_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / 'sam', 'compressed')
    path.rename(path.with_suffix('.JSON'))
    assert convert(Options(tmp_path, sam=tmp_path / 'sam')).images == 1


def test_a_mask_that_stands_twice_in_its_table_is_refused(tmp_path: Path) -> None:
    table = write(tmp_path / 'sam', 'folder') / 'metadata.csv'
    lines = table.read_text().splitlines()
    table.write_text('\n'.join([*lines, lines[1]]))
    with pytest.raises(ValueError, match=r'metadata\.csv .*id 0\b'):
        convert(Options(tmp_path, sam=tmp_path / 'sam'))
