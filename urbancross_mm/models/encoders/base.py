"""What every encoder shares."""

from __future__ import annotations

from typing import Any

from mmengine.model import BaseModule
from torch import Tensor


class BaseEncoder(BaseModule):
    """An encoder of one modality: ``forward`` gives (N, D) features that are not normalized.

    A subclass sets ``embed_dim`` (D) and calls :meth:`freeze` for the parts that do not train; one
    with a projection writes :meth:`pooled`.

    Args:
        init_cfg (dict | list[dict], optional): mmengine's initialization config.
            Defaults to None.
    """

    embed_dim: int

    def __init__(self, init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None) -> None:
        super().__init__(init_cfg)
        self._frozen_parts: list[str] = []

    def pooled(self, inputs: Tensor) -> Tensor:
        """Features before the projection; without one, what ``forward`` gives.

        Args:
            inputs (Tensor): What ``forward`` takes.

        Shape:
            (N, ...) -> (N, C).

        Returns:
            Tensor: One vector per input.
        """
        return self(inputs)

    def freeze(self, part: str) -> None:
        """Take a child module out of training: no gradient, and ``eval`` for good.

        Args:
            part (str): Attribute name of the child.
        """
        getattr(self, part).requires_grad_(False)
        self._frozen_parts.append(part)

    def train(self, mode: bool = True) -> BaseEncoder:
        """Switch the mode; frozen parts stay in ``eval``.

        Args:
            mode (bool): Training or not. Defaults to True.

        Returns:
            BaseEncoder: Itself.
        """
        super().train(mode)
        for part in self._frozen_parts:
            getattr(self, part).eval()
        return self
