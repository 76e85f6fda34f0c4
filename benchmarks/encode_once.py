"""Compare encoding a test set once with encoding it again for every block of scores.

The published evaluation cuts the score matrix into shards and encodes the images and texts of
every shard again. Encoding once and ranking the embeddings gives the same numbers.
"""

from __future__ import annotations

import argparse

import timing
import torch
from torch import Tensor, nn

from urbancross_mm.functional import ranking
from urbancross_mm.functional.similarity import normalize


class Towers(nn.Module):
    """Two small encoders: a strided convolutional network and a GRU.

    Args:
        width (int): D. Defaults to 128.
    """

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        self.image = nn.Sequential(
            nn.Conv2d(3, 32, 5, stride=2),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2),
            nn.ReLU(),
            nn.Conv2d(64, width, 3, stride=2),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.words = nn.Embedding(1000, 64)
        self.text = nn.GRU(64, width, batch_first=True)

    def encode_image(self, image: Tensor) -> Tensor:
        """Encode ``(N, 3, H, W)`` to unit ``(N, D)``."""
        return normalize(self.image(image))

    def encode_text(self, tokens: Tensor) -> Tensor:
        """Encode ``(N, L)`` to unit ``(N, D)``."""
        return normalize(self.text(self.words(tokens))[1][0])


@torch.no_grad()
def encode_once(model: Towers, images: Tensor, tokens: Tensor, batch: int) -> list[float]:
    """Encode everything once, then rank.

    Args:
        model (Towers): The encoders.
        images (Tensor): ``(N, 3, H, W)``.
        tokens (Tensor): ``(N, L)``.
        batch (int): Pairs per forward pass.

    Returns:
        list[float]: R@1, 5, 10 in both directions.
    """
    image_embeds = torch.cat([model.encode_image(part) for part in images.split(batch)])
    text_embeds = torch.cat([model.encode_text(part) for part in tokens.split(batch)])
    pairs = torch.arange(len(images))
    both = ranking.bidirectional_ranks(image_embeds, text_embeds, pairs, pairs)
    return [ranking.recall_at_k(ranks, k) for ranks in both for k in (1, 5, 10)]


@torch.no_grad()
def encode_shards(model: Towers, images: Tensor, tokens: Tensor, batch: int) -> list[float]:
    """Encode images and texts of every shard of the score matrix, then sort whole rows.

    Args:
        model (Towers): The encoders.
        images (Tensor): ``(N, 3, H, W)``.
        tokens (Tensor): ``(N, L)``.
        batch (int): Images and texts of a shard.

    Returns:
        list[float]: R@1, 5, 10 in both directions.
    """
    scores = torch.cat(
        [
            torch.cat(
                [
                    model.encode_image(left) @ model.encode_text(right).t()
                    for right in tokens.split(batch)
                ],
                dim=1,
            )
            for left in images.split(batch)
        ]
    )
    recalls = []
    for matrix in (scores, scores.t()):
        order = matrix.argsort(dim=1, descending=True)
        position = (order == torch.arange(len(order))[:, None]).int().argmax(dim=1)
        recalls += [100 * float((position < k).double().mean()) for k in (1, 5, 10)]
    return recalls


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--pairs', type=int, default=512)
    parser.add_argument(
        '--batch', type=int, default=32, help='pairs per forward pass and per shard'
    )
    parser.add_argument('--size', type=int, default=64, help='side of an image in pixels')
    parser.add_argument('--repeats', type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = Towers().eval()
    images = torch.randn(args.pairs, 3, args.size, args.size)
    tokens = torch.randint(1000, (args.pairs, 20))
    work = (model, images, tokens, args.batch)
    difference = max(abs(a - b) for a, b in zip(encode_once(*work), encode_shards(*work)))
    print(timing.settings())
    print(
        f'\n{args.pairs} pairs, images of {args.size} px, batches and shards of {args.batch}, '
        f'median of {args.repeats}; largest difference in R@K {difference:.4f}\n'
    )
    print(
        timing.timing_table(
            timing.compare(
                {
                    'encode once': lambda: encode_once(*work),
                    'encode every shard': lambda: encode_shards(*work),
                },
                args.repeats,
            )
        )
    )


if __name__ == '__main__':
    main()
