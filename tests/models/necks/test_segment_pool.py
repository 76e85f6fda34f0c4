"""Padding has no say."""

import torch

from urbancross_mm.functional.similarity import normalize
from urbancross_mm.models import MaskedSegmentPool


def test_mean_of_the_valid_brought_to_unit_length() -> None:
    embeds = normalize(torch.randn(3, 4, 8))
    mask = torch.arange(4)[None] < torch.tensor([[1], [3], [4]])
    pooled = MaskedSegmentPool()(embeds, mask)
    for row, count in enumerate([1, 3, 4]):
        mean = embeds[row, :count].mean(0)
        torch.testing.assert_close(pooled[row], mean / mean.norm())


def test_padding_moves_neither_result_nor_gradient() -> None:
    embeds = normalize(torch.randn(2, 3, 8))
    mask = torch.tensor([[True, True, False], [True, False, False]])
    results, grads = [], []
    for filler in (0.0, 1e4, float('nan')):
        leaf = embeds.masked_fill(~mask.unsqueeze(-1), filler).requires_grad_()
        pooled = MaskedSegmentPool()(leaf, mask)
        pooled[:, 0].sum().backward()
        results.append(pooled.detach())
        grads.append(leaf.grad)
    for other in (1, 2):
        assert torch.equal(results[0], results[other]) and torch.equal(grads[0], grads[other])
    assert grads[0][~mask].abs().sum() == 0


def test_no_valid_segment_is_zero_not_nan() -> None:
    embeds = torch.randn(1, 2, 4, requires_grad=True)
    pooled = MaskedSegmentPool()(embeds, torch.zeros(1, 2, dtype=torch.bool))
    pooled.sum().backward()
    assert pooled.abs().sum() == 0 and embeds.grad.isfinite().all()
