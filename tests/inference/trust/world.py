"""A generated target: classes with a direction of their own in each modality."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from torch.nn.functional import normalize

from urbancross_mm.functional.pairing_plan import Target
from urbancross_mm.models.adaptation.target_items import TargetItems

WIDTH, CLASSES = 256, 16


def items(
    told: range = range(8),
    seen: range = range(8),
    each: int = 25,
    gap: float = 1.0,
    folder: Path | None = None,
) -> tuple[TargetItems, torch.Tensor, torch.Tensor]:
    """Images of the classes ``seen`` and texts of ``told``, and what a good adaptation makes."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    classes = draw(CLASSES, WIDTH)
    image_ways = classes @ draw(WIDTH, 40) / WIDTH**0.5  # alike in one modality, alike in the other
    text_ways = classes @ draw(WIDTH, 24) / WIDTH**0.5
    of_images = torch.tensor([c for c in seen for _ in range(each)])
    of_texts = torch.tensor([c for c in told for _ in range(each)])
    own = [draw(len(rows), WIDTH) for rows in (of_images, of_texts)]
    target = Target(
        normalize((classes + gap * draw(CLASSES, WIDTH))[of_images] + 2 * own[0], dim=1),
        normalize((classes + gap * draw(CLASSES, WIDTH))[of_texts] + 2 * own[1], dim=1),
        image_ways[of_images] + 1.4 * draw(len(of_images), 40),
        text_ways[of_texts] + 1.4 * draw(len(of_texts), 24),
        torch.ones(len(of_texts)),
    )
    paths = [''] * len(of_images)
    if folder is not None:
        paths = [str(folder / f'{number}.png') for number in range(len(of_images))]
        for path in paths:
            Image.new('RGB', (8, 8)).save(path)
    after = [
        normalize(classes[rows], dim=1) + 0.05 * part
        for rows, part in zip((of_images, of_texts), own)
    ]
    after = [normalize(rows, dim=1) for rows in after]
    found = TargetItems(
        target,
        torch.arange(len(of_images)),
        torch.arange(len(of_texts)),
        [f'image{n}' for n in range(len(of_images))],
        paths,
        [f'text {n} of class {c}' for n, c in enumerate(of_texts.tolist())],
    )
    return found, after[0], after[1]
