"""Maps: every group keeps its points, its color and its marker."""

import sys

import numpy as np
import pytest
import torch

from urbancross_mm.visualization import draw_embedding_map, project_2d
from urbancross_mm.visualization.embedding_map import _COLORS, _look

KEYS = [(domain, modality) for domain in ('north', 'south') for modality in ('image', 'sentence')]


def groups(rows: int = 9) -> dict[tuple[str, str], torch.Tensor]:
    return {
        key: torch.randn(rows + position, 12) + 20 * position for position, key in enumerate(KEYS)
    }


@pytest.mark.parametrize('method', ['tsne', 'pca'])
def test_groups_far_apart_stay_apart(method: str) -> None:
    embeds = groups()
    points = project_2d(embeds, method)
    assert {key: value.shape for key, value in points.items()} == {
        key: (len(value), 2) for key, value in embeds.items()
    }
    centers = np.stack([value.mean(axis=0) for value in points.values()])
    for position, value in enumerate(points.values()):
        distances = np.linalg.norm(value[:, None] - centers[None], axis=2)
        assert (distances.argmin(axis=1) == position).all()


@pytest.mark.parametrize('method', ['tsne', 'pca'])
def test_a_map_is_of_its_seed_and_leaves_the_generator_alone(method: str) -> None:
    embeds = groups()
    state = torch.get_rng_state()
    first = project_2d(embeds, method, seed=5)
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(99)
    for key, points in project_2d(embeds, method, seed=5).items():
        np.testing.assert_array_equal(points, first[key])


def test_pca_finds_the_two_long_axes() -> None:
    rows = torch.randn(300, 10) * torch.tensor([9.0, 5] + [0.1] * 8)
    points = project_2d({KEYS[0]: rows}, 'pca')[KEYS[0]]
    for axis in (0, 1):
        assert abs(np.corrcoef(points[:, axis], rows[:, axis])[0, 1]) > 0.98


def test_color_is_the_domain_and_marker_the_modality() -> None:
    colors, markers = zip(*(_look(key, KEYS) for key in KEYS))
    assert colors == (*_COLORS[:1] * 2, *_COLORS[1:2] * 2)
    assert markers[0] == markers[2] != markers[1] == markers[3]


def test_panels_stand_side_by_side_in_the_colors_of_both_domains() -> None:
    points = {key: np.random.default_rng(0).normal(size=(200, 2)) for key in KEYS}
    one, two = draw_embedding_map([('a', points)]), draw_embedding_map([('a', points)] * 2)
    assert one.dtype == np.uint8 and one.shape[2] == 3
    assert two.shape[1] == 2 * one.shape[1] and two.shape[0] == one.shape[0]
    # Blue prevails somewhere, orange elsewhere.
    red, blue = one[..., 0].astype(int), one[..., 2].astype(int)
    assert (blue - red > 60).any() and (red - blue > 60).any()


def test_bad_input_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match='no panel'):
        draw_embedding_map([])
    with pytest.raises(ValueError, match="got 'umap'"):
        project_2d(groups(), 'umap')
    with pytest.raises(ValueError, match='four points, got 3'):
        project_2d({KEYS[0]: torch.randn(3, 5)}, 'pca')
    monkeypatch.setitem(sys.modules, 'sklearn.manifold', None)
    with pytest.raises(ImportError, match=r'pip install urbancross-mm\[analysis\]'):
        project_2d(groups(), 'tsne')
