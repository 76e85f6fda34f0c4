"""Ranking N images against 5 N captions, both ways, against the bare matrix product.

The bare product computes the same scores in the same tiles and looks at none of them: no ranking
can be faster. Near collapse, where all embeddings have a cosine of 0.99999 and the last digits
decide, ranking costs more. At a smaller N also mmpretrain's ``RetrievalRecall``, which wants whole
score rows.
"""

from __future__ import annotations

import argparse

import timing
import torch
from torch import Tensor

from urbancross_mm.functional import ranking
from urbancross_mm.functional.similarity import normalize


def embeddings(num_images: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Draw images, five captions near each, and the image of each caption.

    Args:
        num_images (int): N.
        width (int): D.

    Returns:
        tuple[Tensor, Tensor, Tensor]: ``(N, D)``, ``(5 N, D)`` and ``(5 N,)``.
    """
    torch.manual_seed(0)
    images = normalize(torch.randn(num_images, width))
    owner = torch.arange(5 * num_images) // 5
    noise = torch.randn(len(owner), width) * 4 / width**0.5
    return images, normalize(images[owner] + noise), owner


def nearly_collapsed(embeds: Tensor) -> Tensor:
    """Move embeddings towards one direction until their cosines are about 0.99999.

    Args:
        embeds (Tensor): ``(N, D)``.

    Returns:
        Tensor: ``(N, D)``.
    """
    return normalize(torch.ones(1, embeds.shape[1]) / embeds.shape[1] ** 0.5 + 3e-3 * embeds)


def bare_product(images: Tensor, captions: Tensor, chunk_size: int) -> None:
    """Compute every tile of the score matrix into one buffer.

    Args:
        images (Tensor): ``(N, D)``.
        captions (Tensor): ``(M, D)``.
        chunk_size (int): Rows and columns of a tile.
    """
    buffer = torch.empty(chunk_size * chunk_size)
    for left in images.split(chunk_size):
        for right in captions.split(chunk_size):
            out = buffer[: len(left) * len(right)].view(len(left), len(right))
            torch.mm(left, right.t(), out=out)


def mmpretrain_recall(images: Tensor, captions: Tensor, owner: Tensor) -> list[float]:
    """R@1, 5, 10 both ways by ``mmpretrain.evaluation.RetrievalRecall``.

    Args:
        images (Tensor): ``(N, D)``.
        captions (Tensor): ``(M, D)``.
        owner (Tensor): ``(M,)`` image of each caption.

    Returns:
        list[float]: Six percentages.
    """
    from mmpretrain.evaluation import RetrievalRecall

    scores = images @ captions.t()
    own = [list(range(5 * i, 5 * i + 5)) for i in range(len(images))]
    recalls = RetrievalRecall.calculate(scores, own, (1, 5, 10), target_indices=True)
    recalls += RetrievalRecall.calculate(
        scores.t(), owner[:, None].tolist(), (1, 5, 10), target_indices=True
    )
    return [float(recall) for recall in recalls]


def our_recall(images: Tensor, captions: Tensor, owner: Tensor, chunk_size: int) -> list[float]:
    """R@1, 5, 10 both ways by ``functional.ranking``.

    Args:
        images (Tensor): ``(N, D)``.
        captions (Tensor): ``(M, D)``.
        owner (Tensor): ``(M,)`` image of each caption.
        chunk_size (int): Rows and columns of a tile.

    Returns:
        list[float]: Six percentages.
    """
    both = ranking.bidirectional_ranks(
        images, captions, owner, torch.arange(len(owner)), chunk_size
    )
    return [ranking.recall_at_k(ranks, k) for ranks in both for k in (1, 5, 10)]


def measure(num_images: int, width: int, chunk_size: int, repeats: int, mmpretrain: bool) -> None:
    """Time one size and print its table.

    Args:
        num_images (int): N.
        width (int): D.
        chunk_size (int): Rows and columns of a tile.
        repeats (int): Rounds.
        mmpretrain (bool): Whether to time mmpretrain's metric too.
    """
    images, captions, owner = embeddings(num_images, width)
    close = nearly_collapsed(images), nearly_collapsed(captions)
    candidates = {
        'bare matrix product': lambda: bare_product(images, captions, chunk_size),
        'functional.ranking': lambda: our_recall(images, captions, owner, chunk_size),
        'functional.ranking, near collapse': lambda: our_recall(*close, owner, chunk_size),
    }
    if mmpretrain:
        ours, theirs = our_recall(images, captions, owner, chunk_size), None
        try:
            theirs = mmpretrain_recall(images, captions, owner)
        except Exception as error:  # older releases call the removed np.in1d
            print(f'mmpretrain.RetrievalRecall does not run here: {error}\n')
        if theirs is not None:
            print(f'largest difference in R@K: {max(abs(a - b) for a, b in zip(ours, theirs)):.4f}')
            candidates['mmpretrain RetrievalRecall'] = lambda: mmpretrain_recall(
                images, captions, owner
            )
    memory = {name: timing.peak_memory(function) for name, function in candidates.items()}
    print(
        f'\n{num_images:,} images x {5 * num_images:,} captions x {width}, both directions, '
        f'tiles of {chunk_size} x {chunk_size}, median of {repeats}\n'
    )
    print(timing.timing_table(timing.compare(candidates, repeats), memory))


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--images', type=int, default=10_000, help='images of the large run')
    parser.add_argument(
        '--small', type=int, default=1_000, help="images of the run with mmpretrain's metric"
    )
    parser.add_argument('--width', type=int, default=512)
    parser.add_argument('--chunk-size', type=int, default=1024)
    parser.add_argument('--repeats', type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(timing.settings())
    measure(args.images, args.width, args.chunk_size, args.repeats, mmpretrain=False)
    measure(args.small, args.width, args.chunk_size, args.repeats, mmpretrain=True)


if __name__ == '__main__':
    main()
