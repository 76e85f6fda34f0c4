"""Unit length and inner products."""

import pytest
import torch

from urbancross_mm.functional import similarity


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_normalize_gives_unit_rows_in_float32_at_least(dtype: torch.dtype) -> None:
    unit = similarity.normalize((300 * torch.randn(6, 40)).to(dtype))
    assert unit.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(unit.norm(dim=1), torch.ones(6, dtype=unit.dtype))


def test_a_zero_row_stays_zero_and_keeps_a_finite_gradient() -> None:
    feats = torch.zeros(2, 3, requires_grad=True)
    unit = similarity.normalize(feats)
    unit.sum().backward()
    assert not unit.any()
    assert feats.grad.isfinite().all()


def test_inner_product_matches_loop() -> None:
    first, second = torch.randn(3, 7), torch.randn(4, 7)
    expected = [[float(a @ b) for b in second] for a in first]
    torch.testing.assert_close(similarity.inner_product(first, second), torch.tensor(expected))


def test_inner_product_ignores_autocast() -> None:
    first = torch.randn(16, 64)
    with torch.autocast('cpu', torch.bfloat16):
        product = similarity.inner_product(first, first)
        assert (first @ first.t()).dtype == torch.bfloat16
        assert torch.is_autocast_enabled('cpu')
    torch.testing.assert_close(
        product.double(), first.double() @ first.double().t(), rtol=1e-5, atol=1e-5
    )
