"""Does the report see that a target's texts do not say what its images show?

    python benchmarks/adaptation_content.py [--seeds 0 1 2] [--draws 8]

needs data/{rsicd,ucm} with annotations and features.npz (tools/misc/extract_features.py). Source
models are linear heads on frozen features. Targets are drawn from the other dataset: all of it, or
half of its classes, with their own texts, those of the other half of the images, shifted classes,
other classes, or 30 % images of the source's place. Nothing is adapted.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import timing  # first: one thread per pool, and the repository on the path
import torch
from linear_heads import Domain, Heads, load, pick, train_source

from urbancross_mm.functional.pairing_plan import Target
from urbancross_mm.inference.trust.content import missing_content
from urbancross_mm.inference.trust.verdict import DOUBTFUL, MISSING

SIZES = (800, 506, 200, 100)


@torch.no_grad()
def encoded(model: Heads, images: Domain, captioned: Domain, draw: np.random.Generator) -> Target:
    """Images of one domain and texts of another, as the source model sees them."""
    pool = np.unique([row for own in captioned.captions for row in own])
    texts = captioned.texts[draw.permutation(pool)[:1200]]
    image_embeds, text_embeds = model(images.images, texts)
    return Target(image_embeds, text_embeds, images.images, texts, torch.ones(len(texts)))


def cases(target: Domain, foreign: Domain, size: int, draw: np.random.Generator) -> dict:
    """Images, and images whose captions are the texts, by name of the case."""
    classes = list(draw.permutation(sorted(set(target.labels))))
    half, quarter = len(classes) // 2, len(classes) // 4
    seen = target.of(set(classes[:half]))
    rows = draw.permutation(len(seen.images))
    first, second = (seen.take(part) for part in np.array_split(rows, 2))
    images = pick(seen, size, draw)
    others = pick(foreign, len(images.images) * 3 // 7, draw)
    mixed = images._replace(images=torch.cat([images.images, others.images]))
    return {
        'all classes': (pick(target, size, draw),) * 2,
        'half of the classes': (images, images),
        'texts of other images': (pick(first, size, draw), second),
        '30 % foreign images': (mixed, images),
        'shifted classes': (images, target.of(set(classes[quarter : quarter + 3 * half // 2]))),
        'other classes': (images, target.of(set(classes[half:]))),
    }


def main() -> None:
    """Print a table for each direction."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--data', type=Path, default=Path('data'))
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2])
    parser.add_argument('--draws', type=int, default=8)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for names in (('rsicd', 'ucm'), ('ucm', 'rsicd')):
        source, target = load(args.data, *names, components=1280)
        found: dict[str, list[float]] = {}
        for seed in args.seeds:
            model = train_source(source['train'], seed)
            draw = np.random.default_rng(seed)
            known = encoded(model, pick(source['train'], 800, draw), source['train'], draw)
            for number in range(args.draws):
                size = SIZES[number % len(SIZES)]
                made = cases(target['train'], source['held_out'], size, draw)
                for case, (images, captioned) in made.items():
                    shares = missing_content(encoded(model, images, captioned, draw), known, seed)
                    found.setdefault(case, []).append(sum(shares.values()))
        rows = [[case, *_row(np.array(values))] for case, values in found.items()]
        head = ['missing, sum', 'targets', 'median', 'below', 'doubtful', 'does not match']
        print(f'{names[0]} -> {names[1]}\n', timing.markdown(head, rows), sep='\n')


def _row(values: np.ndarray) -> list[str]:
    doubtful = (values > DOUBTFUL) & (values <= MISSING)
    counts = [(values <= DOUBTFUL).sum(), doubtful.sum(), (values > MISSING).sum()]
    return [str(len(values)), f'{np.median(values):.2f}', *map(str, counts)]


if __name__ == '__main__':
    main()
