"""Decode heads that fit the maps of an image encoder, and their loss."""

import pytest
import torch
from mmengine.structures import PixelData

from urbancross_mm.models.heads.decode_head import build_decode_head, segmentation_loss
from urbancross_mm.structures import RetrievalDataSample

SHAPES = [(8, 4), (16, 8), (32, 16), (64, 32)]


def lite(**options: object) -> torch.nn.Module:
    cfg = dict(type='LiteFPNHead', num_classes=3, channels=8, hidden_channels=4)
    return build_decode_head({**cfg, **options}, SHAPES)


@pytest.mark.parametrize(
    ('index', 'widths'), [((0, 1, 2), [8, 16, 32]), ((0, -1), [8, 64]), (1, [16])]
)
def test_the_channels_are_those_of_the_maps(index: object, widths: list[int]) -> None:
    assert [layer.in_channels for layer in lite(in_index=index).laterals] == widths


def test_an_fpn_gets_the_strides_too() -> None:
    cfg = dict(type='mmseg.FPNHead', in_index=[1, 3], channels=8, num_classes=3)
    head = build_decode_head(cfg, SHAPES)
    assert (head.in_channels, head.feature_strides) == ([16, 64], [8, 32])


@pytest.mark.parametrize(
    ('options', 'named'),
    [
        (dict(in_index=[0, 4]), r'in_index=\[0, 4\].*4 map'),
        (dict(in_channels=[8, 16]), r'in_channels=\[8, 16\].*\[8, 16, 32\]'),
        (dict(num_clases=3), "'LiteFPNHead' refuses.*num_clases"),
    ],
)
def test_what_does_not_fit_is_named(options: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        lite(**options)


def test_no_labeled_pixel_is_0_and_no_example() -> None:
    head = lite()
    logits = head([torch.randn(2, width, 64 // s, 64 // s) for width, s in SHAPES])
    samples = [RetrievalDataSample() for _ in range(2)]
    samples[1].gt_sem_seg = PixelData(data=torch.full((1, 64, 64), 255))
    losses, labeled = segmentation_loss(head, logits, samples)
    assert losses['loss_segmentation'] == 0 and not labeled
    losses['loss_segmentation'].backward()
    assert all(p.grad is not None and not p.grad.any() for p in head.parameters())
    samples[0].gt_sem_seg = PixelData(data=torch.zeros(1, 64, 64, dtype=torch.long))
    losses, labeled = segmentation_loss(head, logits, samples)
    (expected,) = head.loss_by_feat(logits[:1], samples[:1]).values()
    assert labeled and losses['loss_segmentation'] == expected
