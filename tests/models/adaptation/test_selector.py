"""What is compared, and how the curriculum changes the choice."""

import pytest
import torch
from torch import Tensor

from urbancross_mm.functional.selection import fuse, select_similar
from urbancross_mm.functional.similarity import normalize
from urbancross_mm.models import SimilarSourceSelector
from urbancross_mm.registry import MODELS
from urbancross_mm.structures import CurriculumStage


def embeds(rows: int) -> tuple[Tensor, Tensor]:
    made = [normalize(torch.randn(rows, 8)).requires_grad_() for _ in range(2)]
    return made[0], made[1]


@pytest.mark.parametrize('features', ['fused', 'image', 'text'])
def test_view(features: str) -> None:
    image, text = embeds(5)
    view = SimilarSourceSelector(features).view(image, text)
    expected = dict(fused=fuse(image, text), image=image, text=text)[features]
    assert torch.equal(view, expected) and not view.requires_grad


def test_the_modality_that_is_not_compared_is_not_needed() -> None:
    image, text = embeds(5)
    assert torch.equal(SimilarSourceSelector('image').view(image, None), image)
    assert torch.equal(SimilarSourceSelector('text').view(None, text), text)


@pytest.mark.parametrize('mode', ['cumulative', 'window'])
def test_the_curriculum_sets_ratio_and_window(mode: str) -> None:
    (source, _), (target, _) = embeds(20), embeds(5)
    selector = SimilarSourceSelector(mode=mode, ratio=0.5, floor=0.1)
    assert torch.equal(
        selector.select(source, target).indices, select_similar(source, target, 0.5).indices
    )
    for stage, ratio in enumerate((0.2, 0.2, 0.4 if mode == 'cumulative' else 0.2)):
        selector.set_stage(CurriculumStage(stage, ratio, margin=0.5))
        expected = select_similar(source, target, ratio, mode, stage, floor=0.1)
        for got, value in zip(selector.select(source, target), expected, strict=True):
            assert torch.equal(got, value) and not got.requires_grad


def test_windows_of_different_sizes_would_overlap() -> None:
    selector = SimilarSourceSelector(mode='window')
    selector.set_stage(CurriculumStage(0, 0.2, 0.5))
    with pytest.raises(ValueError, match="'window' .*0.4 .*0.2"):
        selector.set_stage(CurriculumStage(1, 0.4, 0.7))


def test_defaults_from_a_config() -> None:
    selector = MODELS.build(dict(type='SimilarSourceSelector'))
    assert (selector.features, selector.encoders, selector.mode, selector.ratio) == (
        'fused',
        'frozen',
        'cumulative',
        0.2,
    )


@pytest.mark.parametrize(
    'kwargs, words',
    [
        (dict(features='audio'), "'audio' is not one of"),
        (dict(encoders='new'), "'new'"),
        (dict(mode='random'), "'random'"),
        (dict(ratio=0.0), 'got 0.0 and 0.05'),
        (dict(ratio=1.1), 'got 1.1'),
        (dict(floor=-0.1), 'got 0.2 and -0.1'),
    ],
)
def test_mistakes(kwargs: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SimilarSourceSelector(**kwargs)
