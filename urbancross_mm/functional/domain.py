"""Gradient reversal for adversarial domain adaptation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _GradientReverse(torch.autograd.Function):
    """Identity forward, gradient times ``-coefficient`` backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, coefficient: float | Tensor) -> Tensor:
        """Return a view, so that the identity costs nothing."""
        ctx.coefficient = coefficient
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, None]:
        """Turn the gradient round; differentiable again."""
        return grad_output * -ctx.coefficient, None


def gradient_reverse(x: Tensor, coefficient: float | Tensor) -> Tensor:
    """Pass ``x`` on unchanged and multiply the gradient that comes back by ``-coefficient``.

    The coefficient is copied: a schedule may change its buffer between forward and backward.

    Args:
        x (Tensor): Features of any shape.
        coefficient (float | Tensor): One number; 0 stops the gradient. It receives none itself.

    Shape:
        - x: any; output: the same.

    Returns:
        Tensor: ``x``.

    Raises:
        ValueError: If the coefficient is a tensor of more than one element.

    Reference:
        `Unsupervised Domain Adaptation by Backpropagation <https://arxiv.org/abs/1409.7495>`_:
        ``R(x) = x``, ``dR/dx = -c I``.
    """
    if isinstance(coefficient, Tensor):
        if coefficient.numel() != 1:
            raise ValueError(
                f'coefficient must be one number, got a tensor of shape {tuple(coefficient.shape)}'
            )
        coefficient = coefficient.detach().clone().reshape(())
    return _GradientReverse.apply(x, coefficient)
