"""Segments from the decode head of a retriever."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.datasets import tiny
from tests.segmenting import save_weights, segmenting_config
from urbancross_mm.curation import SemanticSegmenter
from urbancross_mm.curation.segments.semantic_segmenter import class_regions
from urbancross_mm.inference.embedder import Embedder


def test_regions_are_connected_of_one_class_and_do_not_overlap() -> None:
    class_map = np.zeros((8, 10), dtype=np.uint8)
    class_map[:2, :3] = 1  # 6 pixels
    class_map[5:, 6:] = 1  # 12
    class_map[0, 9] = 2  # 1
    regions = class_regions(class_map, min_area=0.05, most=9)
    assert [int(region.sum()) for region in regions] == [61, 12, 6]
    assert (regions.sum(axis=0) <= 1).all()
    for region in regions:
        assert len(np.unique(class_map[region])) == 1
    assert np.array_equal(class_regions(class_map, min_area=0, most=2), regions[:2])
    assert class_regions(class_map, min_area=0.9, most=9).shape == (0, 8, 10)


@pytest.fixture
def trained(in_sample_dir: Path, tmp_path: Path) -> tuple[str, str]:
    """Config and checkpoint of a model that segments."""
    folder = tmp_path / 'semantic'
    folder.mkdir()
    cfg = segmenting_config()
    cfg.dump(folder / 'config.py')
    model = Embedder.from_config(cfg, device='cpu').model
    return str(folder / 'config.py'), str(save_weights(model, folder / 'weights.pth'))


def test_the_masks_are_what_the_model_sees(trained: tuple[str, str]) -> None:
    segmenter = SemanticSegmenter(*trained, min_area=0)
    segmenter.check()
    segmenter.begin('cpu')
    image = tiny.image(48, 64)
    masks, scores = segmenter.segment(image)
    (class_map,) = Embedder.from_config(*trained, device='cpu').segment([image])
    assert masks.dtype == bool and masks.shape[1:] == (48, 64)
    assert np.array_equal(masks, class_regions(class_map, 0, 50))
    np.testing.assert_allclose(scores, masks.mean(axis=(1, 2)))


def test_settings_follow_weights_and_numbers_not_places(
    trained: tuple[str, str], tmp_path: Path
) -> None:
    config, weights = trained
    copy = tmp_path / 'copy.pth'
    copy.write_bytes(Path(weights).read_bytes())
    settings = SemanticSegmenter(config, weights).settings()
    assert SemanticSegmenter(config, str(copy)).settings() == settings
    assert SemanticSegmenter(config, weights, num_segments=3).settings() != settings
    copy.write_bytes(copy.read_bytes() + b'0')
    assert SemanticSegmenter(config, str(copy)).settings() != settings


def test_what_is_missing_or_out_of_range() -> None:
    with pytest.raises(FileNotFoundError, match="'none.pth'"):
        SemanticSegmenter(str(Path(__file__)), 'none.pth').check()
    with pytest.raises(ValueError, match='got 0 and 0.01'):
        SemanticSegmenter('a.py', 'b.pth', num_segments=0)
