"""A step of adaptation against a plain step on the same encoders and batch.

96 images and captions of two domains in memory; forward, backward and the optimizer's step, in
the model's own ``train_step``. The frozen snapshot may cost its own forward pass and no more, and
nothing where the images are not augmented and its embeddings are kept.

``python benchmarks/adaptation_step.py [--repeats 7] [--pixels 64] [--channels 32]``
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.timing import compare, markdown, settings  # noqa: E402, I001  pins threads

import urbancross_mm  # noqa: E402, F401  installs the torchvision hook
import torch  # noqa: E402
from mmengine.dataset import pseudo_collate  # noqa: E402
from mmengine.optim import OptimWrapper  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402

from benchmarks.dual_encoder import make_item, model_config  # noqa: E402
from urbancross_mm.registry import MODELS  # noqa: E402

WIDTH = 256
SOURCE, TARGET = 80, 16
FROZEN = dict(type='SimilarSourceSelector', ratio=1.0)
ADVERSARIAL = dict(type='WeightedDomainAdversarialLoss')
CONFIGS = {
    'source loss alone, no selection': dict(),
    'live selector, adversarial loss': dict(
        selector=dict(FROZEN, encoders='live'), losses=[ADVERSARIAL]
    ),
    'frozen selector, adversarial loss': dict(selector=FROZEN, losses=[ADVERSARIAL]),
    'frozen selector, images kept': dict(
        selector=dict(FROZEN, cache_images=True), losses=[ADVERSARIAL]
    ),
    'optimal transport': dict(losses=[dict(type='OptimalTransportPairingLoss', min_items=16)]),
}


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--repeats', type=int, default=7, help='rounds')
    parser.add_argument('--pixels', type=int, default=64, help='side of an image')
    parser.add_argument('--channels', type=int, default=32, help='width of the ResNet-18')
    args = parser.parse_args()
    init_default_scope('urbancross_mm')
    batch = make_batch(args.pixels)
    # Without BatchNorm in training, so that all configs do the same passes.
    plain = model_config(args.channels, WIDTH, norm_eval=True)
    steps = {'plain step': stepper(plain, batch)}
    steps.update(
        {
            name: stepper(
                dict(plain, adaptation=dict(target='target', **options)),
                batch,
            )
            for name, options in CONFIGS.items()
        }
    )
    timings = compare(steps, repeats=args.repeats, warmup=2)
    print(settings(source=SOURCE, target=TARGET, pixels=args.pixels, channels=args.channels))
    print()
    print(
        markdown(
            ['a step', 'CPU ms', 'ratio'],
            [
                [item.name, f'{1000 * item.cpu_seconds:.0f}', f'{item.ratio:.2f}']
                for item in timings
            ],
        )
    )


def make_batch(pixels: int) -> dict:
    """A batch of both domains as the data loader hands it over."""
    numbers = range(SOURCE + TARGET)
    return pseudo_collate(
        [
            make_item(number, pixels, 'source' if number < SOURCE else 'target', number < SOURCE)
            for number in numbers
        ]
    )


def stepper(config: dict, batch: dict) -> Callable[[], dict]:
    """A function that makes one step of a new model."""
    torch.manual_seed(0)
    model = MODELS.build(config).train()
    wrapper = OptimWrapper(torch.optim.AdamW(model.parameters(), lr=1e-5))
    return lambda: model.train_step(batch, wrapper)


if __name__ == '__main__':
    main()
