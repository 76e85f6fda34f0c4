"""Attention by the logits of a segmentation."""

import pytest
import torch

from urbancross_mm.models import SemanticSpatialAttention

SHAPES = [(4, 8), (6, 4)]  # channels and side of each map


def maps(batch: int = 2) -> list[torch.Tensor]:
    return [torch.randn(batch, width, side, side) for width, side in SHAPES]


def build(**options: object) -> SemanticSpatialAttention:
    return SemanticSpatialAttention([width for width, _ in SHAPES], **options)


@pytest.mark.parametrize('pooling', ['avg', 'max', 'bilinear'])
def test_a_map_of_ones_is_the_identity(pooling: str) -> None:
    values, logits = maps(), torch.zeros(2, 3, 16, 16)
    logits[:, 0], logits[:, 1] = 7, 1  # the background does not count
    for out, expected in zip(build(pooling=pooling)(values, logits), values):
        torch.testing.assert_close(out, expected)


def test_against_a_loop_over_pixels() -> None:
    values, logits = maps(), torch.randn(2, 4, 8, 8)
    out = build()(values, logits)
    for index, (_, side) in enumerate(SHAPES):
        cell = 8 // side
        for row in range(side):
            for column in range(side):
                seen = logits[:, 1:, row * cell : (row + 1) * cell, column * cell :][..., :cell]
                gate = seen.sum(1).mean((1, 2))[:, None]
                expected = values[index][:, :, row, column] * gate
                torch.testing.assert_close(out[index][:, :, row, column], expected)


def test_max_pooling_takes_the_largest_of_a_cell() -> None:
    values, logits = maps(), torch.randn(2, 4, 16, 16)
    out = build(pooling='max')(values, logits)
    gate = logits[:, 1:].sum(1)[:, None]
    corner = gate[:, 0, :4, :4].amax((1, 2))[:, None]
    torch.testing.assert_close(out[1][:, :, 0, 0], values[1][:, :, 0, 0] * corner)


def test_the_sigmoid_gate_is_bounded() -> None:
    gate = build(gate='sigmoid').attention(torch.randn(2, 15, 4, 4) * 1e4)
    assert gate.min() >= 0 and gate.max() <= 1


@pytest.mark.parametrize('background', [0, 2, None])
def test_the_background_gets_no_gradient(background: int | None) -> None:
    logits = torch.randn(2, 3, 8, 8, requires_grad=True)
    values = [value.requires_grad_() for value in maps()]
    sum(out.sum() for out in build(background=background)(values, logits)).backward()
    for index in range(3):
        moved = bool(logits.grad[:, index].abs().sum() > 0)
        assert moved == (index != background)
    assert all(value.grad.abs().sum() > 0 for value in values)


def test_the_sigmoid_gate_is_that_of_the_sum() -> None:
    logits = torch.randn(2, 4, 8, 8)
    gate = build(gate='sigmoid').attention(logits)
    torch.testing.assert_close(gate[:, 0], logits[:, 1:].sum(dim=1).sigmoid())


@pytest.mark.parametrize('norm', ['bn', 'gn'])
def test_norms_fit_the_channels_of_any_backbone(norm: str) -> None:
    outs = build(norm=norm)(maps(), torch.randn(2, 3, 8, 8))
    for out in outs:
        dims = (0, 2, 3) if norm == 'bn' else (2, 3)
        torch.testing.assert_close(out.mean(dims).mean(), torch.tensor(0.0), atol=1e-4, rtol=0)


def test_no_pooling_takes_maps_of_the_size_of_the_logits_only() -> None:
    with pytest.raises(ValueError, match=r"'none'.*\(8, 8\).*\(4, 4\)"):
        build(pooling='none')(maps(), torch.randn(2, 3, 8, 8))


def test_a_segmentation_of_background_alone_is_refused() -> None:
    with pytest.raises(ValueError, match='background=None'):
        build()(maps(), torch.randn(2, 1, 8, 8))


@pytest.mark.parametrize('option', ['gate', 'pooling', 'norm'])
def test_unknown_options(option: str) -> None:
    with pytest.raises(ValueError, match=rf"attention.{option}.*'other'"):
        build(**{option: 'other'})
