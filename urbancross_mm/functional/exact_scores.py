"""Comparing scores as if they had no rounding error.

A float32 product decides most comparisons at once. The few that lie within its error bound are
computed again in float64, and what is still undecided from the difference of the two items: equal
rows give exactly 0. So there is no tolerance, and the result does not depend on the kernel, the
tile or the device.

Letters: Q queries, G items, D embedding width, P pairs.
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from urbancross_mm.functional.similarity import as_float

# Pairs whose rows are gathered at once.
CHUNK_SIZE = 256


class Rows:
    """Embeddings with what the comparisons need of them.

    Args:
        name (str): What a row is, for errors.
        embeds (Tensor): Any floating type.

    Shape:
        - embeds: ``(N, D)``.

    Raises:
        ValueError: If the shape is another, or a row holds NaN or infinity.
    """

    def __init__(self, name: str, embeds: Tensor) -> None:
        if embeds.dim() != 2:
            raise ValueError(f'{name} embeddings must be (rows, width), got {tuple(embeds.shape)}')
        self.name = name
        self.embeds = as_float(embeds.detach())
        # float64, so that short rows keep a length; in parts, because it makes a copy.
        self.norms = torch.cat(
            [
                torch.linalg.vector_norm(rows, dim=1, dtype=torch.float64)
                for rows in self.embeds.split(1024)
            ]
        )  # (N,)
        # NaN compares false; the product of two longer rows could overflow.
        longest = torch.finfo(self.embeds.dtype).max ** 0.5
        broken = (~(self.norms < longest)).nonzero().flatten()
        if len(broken):
            raise ValueError(
                f'{len(broken)} of {len(embeds)} {name} embeddings hold NaN or '
                f'infinity, first rows {broken[:5].tolist()}'
            )

    def __len__(self) -> int:
        return len(self.embeds)

    @cached_property
    def labels(self) -> Tensor:
        """(N,) long: two rows have one label if and only if they are equal."""
        return torch.unique(self.embeds, dim=0, return_inverse=True)[1]

    def error_bound(self, dtype: torch.dtype) -> float:
        """Largest error of a product of this width in units of the lengths of its two vectors.

        Holds for any order of summation (Higham, Accuracy and Stability of Numerical Algorithms,
        section 3.1), with room for the rounding of the lengths.
        """
        return 1.01 * (self.embeds.shape[1] + 2) * torch.finfo(dtype).eps / 2


def scores_of_pairs(queries: Rows, items: Rows, query: Tensor, item: Tensor) -> Tensor:
    """Inner products of listed pairs.

    Args:
        queries (Rows): Embeddings.
        items (Rows): Embeddings.
        query (Tensor): Row of each query.
        item (Tensor): Row of each item.

    Shape:
        - query, item, output: ``(P,)``.

    Returns:
        Tensor: float64.
    """
    parts = [
        (queries.embeds[row].double() * items.embeds[column].double()).sum(dim=1)
        for row, column in zip(query.split(CHUNK_SIZE), item.split(CHUNK_SIZE))
    ]
    return torch.cat(parts)


def order_of_pairs(
    queries: Rows, items: Rows, query: Tensor, item: Tensor, other: Tensor
) -> Tensor:
    """Whether a query prefers an item to another one: 1, 0 where they tie, -1.

    Args:
        queries (Rows): Embeddings.
        items (Rows): Embeddings.
        query (Tensor): Row of each query.
        item (Tensor): Row of an item.
        other (Tensor): Row of the item that it is compared with.

    Shape:
        - query, item, other, output: ``(P,)``.

    Returns:
        Tensor: float64.
    """
    parts = [
        (
            queries.embeds[row].double()
            * (items.embeds[column].double() - items.embeds[rival].double())
        ).sum(dim=1)
        for row, column, rival in zip(*(part.split(CHUNK_SIZE) for part in (query, item, other)))
    ]
    return torch.cat(parts).sign()
