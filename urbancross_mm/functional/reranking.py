"""New scores from scores: corrections after a model, without its embeddings.

Letters: N queries in the rows, M gallery items in the columns, B queries of a bank. Each function
takes a matrix of one direction; for the other direction give it the transpose. Beside the result
only ``chunk_size`` rows or columns are held at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from urbancross_mm.functional.similarity import as_float

RANK_DECAY = 0.05
# Defaults.
CANDIDATES, SCALE = 30, 20.0


@torch.no_grad()
def multivariate_rerank(
    scores: Tensor,
    candidates: int = CANDIDATES,
    share_weight: float = 0.3,
    reverse_weight: float = 1.1,
    chunk_size: int = 1024,
) -> Tensor:
    r"""Raise the items for which the query is a good one too, among the best of each query.

    .. math::
        e^{-0.05 (r_{ij} + 1)} + w_2 \, e^{-0.05 (r'_{ij} + 1)} + w_1 \, s_{ij} / \sum_n s_{nj}

    with :math:`r_{ij}` the number of items above j for the query i, and :math:`r'_{ij}` the number
    of queries above i for the item j. Equal scores get equal ranks, so equal captions stay tied.
    Scores below 0 count as 0 in the last term. Items that are no candidates keep their order, below
    all candidates and below 0; the released code sets them to 0.

    Args:
        scores (Tensor): Similarities.
        candidates (int): Items of each query that are compared again, K; ties at the end may add
            some. Defaults to 30.
        share_weight (float): :math:`w_1`. Defaults to 0.3.
        reverse_weight (float): :math:`w_2`. Defaults to 1.1.
        chunk_size (int): Rows or columns at a time. Defaults to 1024.

    Shape:
        - scores, output: ``(N, M)``.

    Returns:
        Tensor: Scores of the new order, without gradient.

    Raises:
        ValueError: If there are no candidates, or a weight is negative.

    Reference:
        GaLR (https://arxiv.org/abs/2204.09860), multivariate rerank.
    """
    if candidates < 1 or share_weight < 0 or reverse_weight < 0:
        raise ValueError(
            'candidates must be 1 at least and the weights 0 at least, got '
            f'{candidates}, {share_weight} and {reverse_weight}'
        )
    scores = as_float(scores)
    result = torch.empty_like(scores)
    if not scores.numel():
        return result
    for rows in _chunks(len(scores), chunk_size):
        part = scores[rows]
        above = _above(part)
        below_all = part - part.amax(dim=1, keepdim=True)
        result[rows] = torch.where(above < candidates, _closeness(above, part), below_all)
    for columns in _chunks(scores.shape[1], chunk_size):
        part = scores[:, columns]
        share = part.clamp(min=0)
        share = share / share.sum(dim=0).clamp(min=torch.finfo(share.dtype).tiny)
        reverse = _closeness(_above(part.t()).t(), part)
        gain = share_weight * share + reverse_weight * reverse
        result[:, columns] += gain.where(result[:, columns] > 0, 0.0)
    return result


@torch.no_grad()
def inverted_softmax(
    scores: Tensor,
    bank: Tensor | None = None,
    scale: float = SCALE,
    dynamic: bool = False,
    chunk_size: int = 1024,
) -> Tensor:
    r"""Lower the items that are close to every query, the hubs.

    .. math::
        s_{ij} - \frac{1}{\beta} \log \operatorname{mean}_b e^{\beta s_{bj}}

    This is the logarithm of :math:`e^{\beta s_{ij}} / \sum_b e^{\beta s_{bj}}` in units of a
    score: each query gets the same order, and no exponential overflows.

    Args:
        scores (Tensor): Similarities.
        bank (Tensor, optional): Of the queries of a bank, such as training captions, with the same
            gallery. Defaults to None: the queries themselves. A query's result then depends on the
            other queries of the test.
        scale (float): :math:`\beta`. Defaults to 20.0.
        dynamic (bool): Only queries whose best item is the best one of a query of the bank; a bank
            from elsewhere then harms less. Defaults to False.
        chunk_size (int): Rows or columns at a time. Defaults to 1024.

    Shape:
        - scores, output: ``(N, M)``; bank: ``(B, M)``.

    Returns:
        Tensor: Scores of the new order, without gradient.

    Raises:
        ValueError: If the scale is not positive, or the bank is empty or of another gallery.

    Reference:
        Smith et al. (https://arxiv.org/abs/1702.03859); query-bank normalization
        (https://arxiv.org/abs/2112.12777).
    """
    if scale <= 0:
        raise ValueError(f'scale must be positive, got {scale}')
    scores = as_float(scores)
    bank = scores if bank is None else as_float(bank)
    if bank.shape[1:] != scores.shape[1:] or (len(scores) and not len(bank)):
        raise ValueError(
            f'the bank must have queries against the same gallery, got {tuple(bank.shape)} for '
            f'scores {tuple(scores.shape)}'
        )
    if not scores.numel():
        return scores.clone()
    popularity = scores.new_empty(scores.shape[1])
    for columns in _chunks(scores.shape[1], chunk_size):
        popularity[columns] = torch.logsumexp(scale * bank[:, columns], dim=0)
    result = scores - (popularity - math.log(len(bank))) / scale
    if dynamic:
        hubs = _best_of_any(bank, chunk_size)
        for rows in _chunks(len(scores), chunk_size):
            hit = (_is_best(scores[rows]) & hubs).any(dim=1, keepdim=True)
            result[rows] = result[rows].where(hit, scores[rows])
    return result


RERANKERS: dict[str, Callable[..., Tensor]] = dict(
    multivariate=multivariate_rerank, inverted_softmax=inverted_softmax
)


def build_reranker(rerank: Mapping[str, Any]) -> Callable[..., Tensor]:
    """Read a config such as ``dict(type='inverted_softmax', scale=20.0)``.

    Args:
        rerank (Mapping): ``type``, ``'multivariate'`` (:func:`multivariate_rerank`) or
            ``'inverted_softmax'`` (:func:`inverted_softmax`), and their numbers.

    Returns:
        Callable: From scores ``(N, M)`` to new ones.

    Raises:
        ValueError: If the type or an option is unknown, or a number is not possible.
    """
    options = dict(rerank)
    kind = options.pop('type', None)
    if kind not in RERANKERS:
        raise ValueError(f'rerank.type must be one of {tuple(RERANKERS)}, got {kind!r}')
    reranker = partial(RERANKERS[kind], **options)
    try:
        reranker(torch.zeros(1, 1))
    except TypeError as error:
        raise ValueError(f'rerank of type {kind!r} cannot have the options {options}') from error
    return reranker


def _above(rows: Tensor) -> Tensor:
    """How many values of its row are larger: (R, C) -> (R, C)."""
    ordered = rows.contiguous().sort(dim=1).values
    return rows.shape[1] - torch.searchsorted(ordered, rows.contiguous(), right=True)


def _closeness(above: Tensor, like: Tensor) -> Tensor:
    return (-RANK_DECAY * (above.to(like) + 1)).exp()


def _is_best(rows: Tensor) -> Tensor:
    return rows == rows.amax(dim=1, keepdim=True)


def _best_of_any(rows: Tensor, chunk_size: int) -> Tensor:
    """Columns that are the best one of a row."""
    parts = [_is_best(rows[part]).any(dim=0) for part in _chunks(len(rows), chunk_size)]
    return torch.stack(parts).any(dim=0)


def _chunks(length: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, length, size))
