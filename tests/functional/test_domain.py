"""Gradient reversal: exactly -c times the plain gradient."""

import pytest
import torch

from urbancross_mm.functional.domain import gradient_reverse


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize('coefficient', [0.0, 0.3, 1.0, 2.0])
@pytest.mark.parametrize('as_tensor', [False, True])
def test_gradient_is_minus_c_times_the_plain_one(dtype, coefficient, as_tensor) -> None:
    x = torch.randn(5, 3).to(dtype).requires_grad_()
    (plain,) = torch.autograd.grad((x**2).sum(), x)
    c = torch.tensor(coefficient) if as_tensor else coefficient
    reversed_x = gradient_reverse(x, c)
    assert torch.equal(reversed_x, x)
    (turned,) = torch.autograd.grad((reversed_x**2).sum(), x)
    assert turned.dtype == dtype
    torch.testing.assert_close(turned, -coefficient * plain)


def test_used_twice_the_gradients_add_up_and_reversal_twice_cancels() -> None:
    x = torch.randn(4, requires_grad=True)
    (gradient_reverse(x, 0.5).sum() + gradient_reverse(x, 2.0).sum() + x.sum()).backward()
    torch.testing.assert_close(x.grad, torch.full((4,), -1.5))
    x.grad = None
    gradient_reverse(gradient_reverse(x, 0.5), 2.0).sum().backward()
    torch.testing.assert_close(x.grad, torch.ones(4))


def test_a_buffer_may_change_between_forward_and_backward() -> None:
    x, coefficient = torch.ones(3, requires_grad=True), torch.tensor(0.5)
    loss = gradient_reverse(x, coefficient).sum()
    coefficient.fill_(9.0)
    loss.backward()
    assert x.grad.tolist() == [-0.5] * 3


def test_second_derivative_and_the_learning_direction() -> None:
    x = torch.randn(3, dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad((gradient_reverse(x, 0.5) ** 3).sum(), x, create_graph=True)
    torch.testing.assert_close(first, -0.5 * 3 * x**2)
    (second,) = torch.autograd.grad(first.sum(), x)
    # Reversed once for the loss and once more on the way through the first gradient.
    torch.testing.assert_close(second, 0.25 * 6 * x)
    step = x.detach() - 1e-3 * first.detach()
    assert (step**3).sum() > (x**3).sum()


def test_one_coefficient_only() -> None:
    with pytest.raises(ValueError, match=r'\(2,\)'):
        gradient_reverse(torch.ones(2), torch.ones(2))
    assert gradient_reverse(torch.ones(2), torch.ones(1)).tolist() == [1.0, 1.0]
