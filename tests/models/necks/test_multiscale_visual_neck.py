"""The gate that fine and coarse maps put on the vector of an image."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from urbancross_mm.models import BackboneEncoder, MultiscaleVisualNeck

WIDTHS, DIM = (4, 6, 8, 10), 5


def maps(side: int = 64, batch: int = 2) -> list[Tensor]:
    """As a ResNet gives them: strides 4, 8, 16, 32."""
    return [torch.randn(batch, width, side >> i, side >> i) for i, width in enumerate(WIDTHS)]


def published(neck: MultiscaleVisualNeck, values: list[Tensor], own: Tensor) -> Tensor:
    """The four maps of a ResNet at 256 pixels, step by step."""
    finest, fine, coarse, coarsest = values

    def doubled(value: Tensor) -> Tensor:
        return value.repeat_interleave(2, 2).repeat_interleave(2, 3)

    low = functional.conv2d(
        torch.cat([finest, doubled(fine)], 1),
        neck.reduce_low.weight,
        neck.reduce_low.bias,
        stride=4,
    )
    high = neck.reduce_high(torch.cat([coarse, doubled(coarsest)], 1))
    assert low.shape == high.shape == (len(own), 3, 16, 16)
    joined = torch.cat([low, high], 1) + high.mean(1)[:, None]
    attended = neck.main(joined) * torch.sigmoid(neck.gate(joined))
    return own * torch.sigmoid(neck.projection(attended.reshape(len(own), 256)))


def test_maps_of_256_pixels_as_published() -> None:
    neck, values, own = MultiscaleVisualNeck(WIDTHS, DIM), maps(), torch.randn(2, DIM)
    expected = published(neck, values, own)
    torch.testing.assert_close(neck.pooled(values, own), expected)
    torch.testing.assert_close(neck(values, own), functional.normalize(expected))


@pytest.mark.parametrize('grid, side', [(16, 16), (4, 16), (16, 56), (3, 25), (16, 97)])
def test_images_of_any_size(grid: int, side: int) -> None:
    neck = MultiscaleVisualNeck(WIDTHS, DIM, grid=grid)
    out = neck(maps(side, batch=1), torch.randn(1, DIM))
    torch.testing.assert_close(out.norm(dim=1), torch.ones(1))


@pytest.mark.parametrize('widths', [(4, 6), (4, 6, 8), (4, 6, 8, 10, 12)])
def test_any_number_of_maps_and_any_strides(widths: tuple[int, ...]) -> None:
    neck = MultiscaleVisualNeck(widths, DIM, grid=4)
    same = [torch.randn(2, width, 14, 14) for width in widths]  # as of a plain transformer
    oblong = [torch.randn(2, width, 16 >> i, 32 >> i) for i, width in enumerate(widths)]
    for values in (same, oblong):
        assert neck(values, torch.randn(2, DIM)).shape == (2, DIM)


def test_the_own_map_need_not_be_the_coarsest() -> None:
    values = maps(32)
    values = [*values[1:], values[0]]
    neck = MultiscaleVisualNeck((*WIDTHS[1:], WIDTHS[0]), DIM)
    assert neck(values, torch.randn(2, DIM)).isfinite().all()


def test_the_gate_only_shrinks() -> None:
    own = torch.randn(2, DIM)
    factor = MultiscaleVisualNeck(WIDTHS, DIM).pooled(maps(), own) / own
    assert factor.min() > 0 and factor.max() < 1 and factor.std() > 0


def test_every_map_and_every_weight_gets_a_gradient() -> None:
    neck = MultiscaleVisualNeck(WIDTHS, DIM)
    values = [value.requires_grad_() for value in maps()]
    own = torch.randn(2, DIM, requires_grad=True)
    (neck(values, own) * torch.randn(2, DIM)).sum().backward()
    assert all(part.grad.abs().sum() > 0 for part in (*neck.parameters(), *values, own))


@pytest.mark.parametrize('depth', [18, 50])
def test_the_maps_of_a_backbone(depth: int) -> None:
    backbone = dict(type='mmpretrain.ResNet', depth=depth, out_indices=(0, 1, 2, 3))
    encoder = BackboneEncoder(backbone, embed_dim=DIM, probe_size=64).eval()
    channels = [width for width, _ in encoder.map_shapes()]
    values = encoder.encode_maps(torch.randn(2, 3, 64, 64))
    neck = MultiscaleVisualNeck(channels, encoder.embed_dim, grid=4)
    assert neck(values, encoder.embed_map(values[-1])).shape == (2, DIM)


def test_one_map_is_too_few() -> None:
    with pytest.raises(ValueError, match=r'\[8\].*out_indices'):
        MultiscaleVisualNeck([8], DIM)


def test_an_image_too_small() -> None:
    with pytest.raises(ValueError, match=r'\(2, 2\) positions'):
        MultiscaleVisualNeck((4, 6), DIM)(
            [torch.randn(1, 4, 2, 2), torch.randn(1, 6, 1, 1)], torch.randn(1, DIM)
        )
