"""Segmenters: the real code path of SAM with a tiny random model, and the cheap ones."""

import argparse
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.curation.segments.tiny_sam import OPTIONS, SIZES, save_tiny_sam
from tests.datasets import tiny
from urbancross_mm.curation.segments.sam_segmenter import SamSegmenter, build_sam
from urbancross_mm.curation.segments.segmenters import ColorSegmenter, GridSegmenter


@pytest.fixture(scope='module')
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_sam(tmp_path_factory.mktemp('sam') / 'tiny.pth')


def sam(weights: Path, **options: object) -> SamSegmenter:
    return SamSegmenter(str(weights), 'tiny', SIZES, **{**OPTIONS, **options})


def test_sam_finds_masks_of_the_images_size(weights: Path) -> None:
    segmenter = sam(weights)
    segmenter.check()
    segmenter.begin('cpu')
    masks, scores = segmenter.segment(tiny.image(48, 64))
    assert masks.dtype == bool and masks.shape[1:] == (48, 64) and len(masks) == len(scores) > 3
    again, same = segmenter.segment(tiny.image(48, 64))
    assert (again == masks).all() and (same == scores).all()
    other, _ = segmenter.segment(tiny.image(48, 64, seed=1))
    assert other.shape != masks.shape or (other != masks).any()


def test_strict_sam_finds_nothing(weights: Path) -> None:
    segmenter = sam(weights, pred_iou_thresh=1e9)
    segmenter.begin('cpu')
    masks, scores = segmenter.segment(tiny.image(48, 64))
    assert masks.shape == (0, 48, 64) and scores.shape == (0,)


def test_sam_is_known_by_its_weights_not_their_place(weights: Path, tmp_path: Path) -> None:
    copy = tmp_path / 'copy.pth'
    copy.write_bytes(weights.read_bytes())
    assert sam(weights).settings() == sam(copy).settings()
    assert str(tmp_path) not in str(sam(copy).settings())
    other = save_tiny_sam(tmp_path / 'other.pth', seed=1)
    assert sam(other).settings()['weights'] != sam(weights).settings()['weights']
    assert sam(weights, points_per_side=4).settings() != sam(weights).settings()


def test_sizes_of_the_published_models_are_the_packages_own() -> None:
    from segment_anything import sam_model_registry

    with torch.device('meta'):
        ours = {name: value.shape for name, value in build_sam().state_dict().items()}
        theirs = {
            name: value.shape for name, value in sam_model_registry['vit_b']().state_dict().items()
        }
    assert ours == theirs


def test_a_registered_model_is_found_by_its_name(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segment_anything import sam_model_registry

    monkeypatch.setitem(sam_model_registry, 'mini', lambda checkpoint=None: build_sam(**SIZES))
    segmenter = SamSegmenter(str(weights), 'mini', **OPTIONS)
    segmenter.check()
    segmenter.begin('cpu')
    assert len(segmenter.segment(tiny.image(48, 64))[0]) and segmenter.source == 'sam:mini'


def test_what_is_missing_is_said_at_the_start(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FileNotFoundError, match='nowhere.pth.*segment-anything#model'):
        SamSegmenter(str(tmp_path / 'nowhere.pth')).check()
    with pytest.raises(ValueError, match="vit_h.*'vit_z'"):
        SamSegmenter(str(weights), 'vit_z').check()
    with pytest.raises(ValueError, match="'points'.* points_per_side"):
        sam(weights, points=3).check()
    monkeypatch.setitem(sys.modules, 'segment_anything', None)
    with pytest.raises(ImportError, match='pip install segment-anything'):
        sam(weights).check()


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    path = tmp_path / 'bad.pth'
    torch.save({'weight': torch.zeros(2)}, path)
    with pytest.raises(ValueError, match='bad.pth.*SAM tiny'):
        sam(path).begin('cpu')
    path.write_bytes(b'no weights')
    with pytest.raises(ValueError, match='bad.pth'):
        sam(path).begin('cpu')


def test_weights_are_read_under_their_usual_names_too(weights: Path, tmp_path: Path) -> None:
    content = torch.load(weights, weights_only=True)
    torch.save(
        dict(
            model={f'module.{name}': value for name, value in content.items()},
            args=argparse.Namespace(epochs=3),
        ),
        tmp_path / 'fine_tuned.pth',
    )
    sam(tmp_path / 'fine_tuned.pth').begin('cpu')


def test_grid_and_color_work_at_a_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    image = tiny.image(200, 100)
    masks, scores = GridSegmenter(6, size=50).segment(image)
    assert masks.shape == (6, 50, 25) and masks.sum(axis=0).min() == 1
    assert scores.sum() == pytest.approx(1)
    masks, _ = ColorSegmenter(size=100).segment(image)
    assert masks.shape[1:] == (100, 50) and len(masks)
    assert ColorSegmenter(seed=1).settings() != ColorSegmenter().settings()
    monkeypatch.setattr('urbancross_mm.curation.segments.segmenters.MIN_AREA', 0.9)
    none, scores = ColorSegmenter().segment(np.zeros((40, 40, 3), dtype=np.uint8))
    assert none.shape == (0, 40, 40) and scores.shape == (0,)


@pytest.mark.parametrize(
    'make',
    [
        lambda: GridSegmenter(0),
        lambda: GridSegmenter(size=0),
        lambda: ColorSegmenter(num_segments=0),
    ],
)
def test_wrong_numbers_are_named(make: object) -> None:
    with pytest.raises(ValueError, match='got [01]'):
        make()
