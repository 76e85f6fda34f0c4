"""Scores of a retrieval model that need no pairs: which image a text belongs to is never asked.

They say how embeddings lie, not whether they are right: harmful and helpful adaptations alike had
better ones than the model before. They are for looking at a checkpoint, where the target domain has
images and texts but nobody knows which belong together. Letters: N images, M texts, Q queries, G
gallery items, D embedding width. Rows need not have unit length: every score is taken from cosines,
in float64, because the cosines of a nearly collapsed model differ in their last digits only.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from urbancross_mm.functional.similarity import inner_product, normalize

# Queries compared with the gallery at once.
CHUNK_SIZE = 1024
# Shrinkage of the linear classifier between domains, in units of a standardized feature's variance:
# near as many rows as features, a fit without it is worst on held-out rows.
RIDGE = 0.1
# What float64 products of equal vectors of unit length may differ by.
ROUNDING = 1e-12


@torch.no_grad()
def structure_agreement(image_embeds: Tensor, text_embeds: Tensor, max_items: int = 2000) -> float:
    """Correlate the similarity of images with the similarity of the texts assigned to them.

    Where the two modalities really match, two images are as similar as the texts that the model
    gives them: to each image its nearest text. A Gromov-Wasserstein distance compares the geometry
    of two sets in the same way, with a coupling of its own in place of the nearest texts.

    Args:
        image_embeds (Tensor): Embeddings of the images.
        text_embeds (Tensor): Embeddings of the texts, each distinct text once, in any order.
        max_items (int): Above, only this many images are compared, evenly spaced, because memory
            grows with their square. All texts are used. Defaults to 2000.

    Shape:
        - image_embeds: ``(N, D)``; text_embeds: ``(M, D)``.

    Returns:
        float: Pearson correlation over all pairs of different images, -1 to 1; 0 where either
        side is constant (a collapsed model, fewer than three images).

    Raises:
        ValueError: If an input is empty, not finite or of another width, or ``max_items`` is
            below 3.

    Reference:
        `Gromov-Wasserstein Averaging of Kernel and Distance Matrices
        <https://proceedings.mlr.press/v48/peyre16.html>`_.
    """
    if max_items < 3:
        raise ValueError(f'max_items must be at least 3, got {max_items}')
    images, texts = _unit_pair('image', image_embeds, 'text', text_embeds)
    if len(images) > max_items:
        positions = torch.linspace(0, len(images) - 1, max_items, dtype=torch.float64)
        images = images[positions.round().long().to(images.device)]
    nearest = [inner_product(chunk, texts).argmax(dim=1) for chunk in images.split(CHUNK_SIZE)]
    assigned = texts[torch.cat(nearest)]
    row, column = torch.triu_indices(len(images), len(images), offset=1, device=images.device)
    return _correlation(
        inner_product(images, images)[row, column], inner_product(assigned, assigned)[row, column]
    )


@torch.no_grad()
def retrieval_entropy(query_embeds: Tensor, gallery_embeds: Tensor, scale: float = 100.0) -> float:
    """How undecided the model is: the mean entropy of what a query finds.

    Args:
        query_embeds (Tensor): Embeddings of the queries.
        gallery_embeds (Tensor): Embeddings of the gallery.
        scale (float): Cosines are multiplied by it before the softmax. Defaults to 100.0, where
            CLIP's learned scale ends.

    Shape:
        - query_embeds: ``(Q, D)``; gallery_embeds: ``(G, D)``.

    Returns:
        float: From 0 (each query is sure of one item) to 1 (all items are equal), the entropy
        divided by ``log(G)``; 0 for a gallery of one.

    Raises:
        ValueError: If an input is empty, not finite or of another width, or ``scale`` is not
            positive.
    """
    if scale <= 0:
        raise ValueError(f'scale must be positive, got {scale}')
    queries, gallery = _unit_pair('query', query_embeds, 'gallery', gallery_embeds)
    if len(gallery) == 1:
        return 0.0
    total = 0.0
    for chunk in queries.split(CHUNK_SIZE):
        log_p = (scale * inner_product(chunk, gallery)).log_softmax(dim=1)
        total -= float((log_p.exp() * log_p).sum())
    return min(max(total / len(queries) / math.log(len(gallery)), 0.0), 1.0)


@torch.no_grad()
def hubness(query_embeds: Tensor, gallery_embeds: Tensor, k: int = 10) -> float:
    """Skewness of how often each gallery item is among the first k of a query.

    A few hubs that everybody finds make it large. It says how embeddings lie: neither its fall nor
    its rise proves anything. Items that tie for the last ranks share them, so the order of the
    gallery does not matter.

    Args:
        query_embeds (Tensor): Embeddings of the queries.
        gallery_embeds (Tensor): Embeddings of the gallery.
        k (int): Length of a list; at most the gallery. Defaults to 10.

    Shape:
        - query_embeds: ``(Q, D)``; gallery_embeds: ``(G, D)``.

    Returns:
        float: 0 where all items are found equally often (a collapsed model, k from G on).

    Raises:
        ValueError: If an input is empty, not finite or of another width, or k is not positive.

    Reference:
        `Hubs in Space: Popular Nearest Neighbors in High-Dimensional Data
        <https://www.jmlr.org/papers/v11/radovanovic10a.html>`_:
        ``S = E[(N_k - mean)^3] / std^3``.
    """
    if k < 1:
        raise ValueError(f'k must be at least 1, got {k}')
    queries, gallery = _unit_pair('query', query_embeds, 'gallery', gallery_embeds)
    gallery = gallery - gallery.mean(dim=0)  # changes no ranking, and makes the rounding smaller
    rounding = ROUNDING * float(gallery.norm(dim=1).amax())
    k = min(k, len(gallery))
    counts = torch.zeros(len(gallery), dtype=torch.float64, device=gallery.device)
    for chunk in queries.split(CHUNK_SIZE):
        scores = inner_product(chunk, gallery)
        last = scores.topk(k, dim=1).values[:, -1:]
        above = scores > last + rounding
        tied = ~above & (scores >= last - rounding)
        share = (k - above.sum(dim=1, dtype=torch.float64)) / tied.sum(dim=1)
        counts += above.sum(dim=0) + share @ tied.double()
    centered = counts - counts.mean()
    spread = float(centered.square().mean().sqrt())
    return float(centered.pow(3).mean()) / spread**3 if spread > 1e-9 * k else 0.0


@torch.no_grad()
def proxy_a_distance(source: Tensor, target: Tensor, folds: int = 5, seed: int = 0) -> float:
    """How well a linear classifier tells two domains apart on rows that it was not fitted on.

    The classifier is ridge regression on labels -1 and 1, both domains with equal weight.

    Args:
        source (Tensor): Embeddings of one domain.
        target (Tensor): Embeddings of the other.
        folds (int): Each part is held out once; at most the rows of the smaller domain. Defaults
            to 5.
        seed (int): Of the division into folds. Defaults to 0.

    Shape:
        - source: ``(N, D)``; target: ``(M, D)``.

    Returns:
        float: ``2 (1 - 2 err)``, err the mean error of the two domains: 2 where they are separable,
        0 where the classifier does no better than chance.

    Raises:
        ValueError: If an input has fewer than two rows, is not finite or of another width, or
            ``folds`` is below 2.

    Reference:
        `Analysis of Representations for Domain Adaptation
        <https://papers.nips.cc/paper/2983-analysis-of-representations-for-domain-adaptation>`_.
    """
    if folds < 2:
        raise ValueError(f'folds must be at least 2, got {folds}')
    domains = _unit_pair('source', source, 'target', target)
    folds = min(folds, *map(len, domains))
    if folds < 2:
        raise ValueError(f'a domain needs at least two rows, got {len(source)} and {len(target)}')
    generator = torch.Generator().manual_seed(seed)
    parts = [
        (torch.randperm(len(rows), generator=generator) % folds).to(rows.device) for rows in domains
    ]
    errors = [0.0, 0.0]
    for fold in range(folds):
        scores = _ridge_scores(
            [rows[part != fold] for rows, part in zip(domains, parts)],
            [rows[part == fold] for rows, part in zip(domains, parts)],
        )
        for side, (score, sign) in enumerate(zip(scores, (-1, 1))):
            # A score of exactly 0, as of constant embeddings, is a guess.
            errors[side] += float((0.5 - 0.5 * sign * score.sign()).sum())
    error = sum(count / len(rows) for count, rows in zip(errors, domains)) / 2
    return max(2 * (1 - 2 * error), 0.0)


def _correlation(first: Tensor, second: Tensor) -> float:
    """Pearson correlation of two vectors; 0 if either is constant up to rounding."""
    if len(first) < 3:
        return 0.0
    first, second = first - first.mean(), second - second.mean()
    spread, other = float(first.square().mean().sqrt()), float(second.square().mean().sqrt())
    if min(spread, other) < ROUNDING:
        return 0.0
    return min(max(float((first * second).mean()) / spread / other, -1.0), 1.0)


def _ridge_scores(train: list[Tensor], held_out: list[Tensor]) -> list[Tensor]:
    """Fit on two domains, standardized; score the held-out rows, below 0 for the first domain."""
    first, second = train
    # Both domains have equal weight: the labels then have mean 0, and there is no intercept.
    middle = (first.mean(dim=0) + second.mean(dim=0)) / 2
    first, second = first - middle, second - middle
    variance = (first.square().mean(dim=0) + second.square().mean(dim=0)) / 2
    # A feature that varies no more than its own rounding to float32 is constant.
    size = (middle.square() + variance).sqrt() * torch.finfo(torch.float32).eps
    scale = torch.where(variance > size.square(), variance, torch.inf).rsqrt()
    first, second = first * scale, second * scale
    covariance = (first.t() @ first / len(first) + second.t() @ second / len(second)) / 2
    covariance.diagonal().add_(RIDGE)
    weight = torch.linalg.solve(covariance, (second.mean(dim=0) - first.mean(dim=0)) / 2)
    return [(rows - middle) * scale @ weight for rows in held_out]


def _unit_pair(name: str, embeds: Tensor, other_name: str, other: Tensor) -> tuple[Tensor, Tensor]:
    """Check two sets of embeddings and give their rows unit length."""
    for label, rows in ((name, embeds), (other_name, other)):
        if rows.dim() != 2 or len(rows) == 0:
            raise ValueError(
                f'{label} embeddings must be (rows, width) with a row at least, got '
                f'{tuple(rows.shape)}'
            )
        if not rows.isfinite().all():
            raise ValueError(f'{label} embeddings hold NaN or infinity')
    if embeds.shape[1] != other.shape[1]:
        raise ValueError(
            f'{name} and {other_name} embeddings have different widths, '
            f'{embeds.shape[1]} and {other.shape[1]}'
        )
    return normalize(embeds.double()), normalize(other.to(embeds.device).double())
