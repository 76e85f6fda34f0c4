"""A training step inside mmengine's Runner against the bare PyTorch loop on the same model.

Both get batches that are already in memory. The bare loop stacks and normalizes images, calls
the two encoders, and applies the loss to the diagonal, as a plain script would; the Runner adds
hooks, the data preprocessor, data samples and positives by id.

``python benchmarks/train_step.py [--steps 10] [--rounds 7] [--only ViT]``; the ViT-B/32 takes a
fifth of the steps.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.timing import Timing, compare, settings, timing_table  # noqa: E402, I001  pins threads

import urbancross_mm  # noqa: E402, F401  installs the torchvision hook
import torch  # noqa: E402
from mmengine.dataset import pseudo_collate  # noqa: E402
from mmengine.runner import Runner  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn.functional import normalize  # noqa: E402

from benchmarks.dual_encoder import (  # noqa: E402
    CLIP_LENGTH,
    LENGTH,
    clip_config,
    make_item,
    model_config,
)
from urbancross_mm.functional.contrastive import info_nce  # noqa: E402

WIDTH = 128
# Model, pixels, words, batch, and the share of the steps.
SIZES = {
    'tiny: ResNet-18 of width 8, 32 px, batch 16': (model_config(8, WIDTH), 32, LENGTH, 16, 1.0),
    'small: ResNet-18 of width 64, 128 px, batch 32': (
        model_config(64, WIDTH),
        128,
        LENGTH,
        32,
        1.0,
    ),
    'CLIP ViT-B/32, 224 px, batch 8': (clip_config(), 224, CLIP_LENGTH, 8, 0.2),
}


def make_batch(size: int, pixels: int, length: int) -> dict:
    """One batch as the data loader hands it over."""
    items = [make_item(number, pixels, 'bench', length=length) for number in range(size)]
    return pseudo_collate(items)


def make_runner(model: dict, work_dir: str) -> Runner:
    """A Runner with the hooks of our configs, whose loop is stepped by hand."""
    return Runner(
        model=model,
        work_dir=work_dir,
        default_scope='urbancross_mm',
        train_dataloader=dict(
            batch_size=1,
            dataset=[0] * 100000,
            sampler=dict(type='mmengine.DefaultSampler', shuffle=False),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=1e-4)),
        default_hooks=dict(logger=dict(type='LoggerHook', interval=10), checkpoint=None),
        custom_hooks=[dict(type='EpochSeedHook')],
        log_level='ERROR',
        experiment_name=Path(work_dir).name,
    )


class BareLoop:
    """The same encoders, trained as a plain script would."""

    def __init__(self, model: nn.Module) -> None:
        self.image_encoder, self.text_encoder = model.image_encoder, model.text_encoder
        self.scale = nn.Parameter(torch.tensor(2.66))
        self.mean = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
        self.std = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)
        parameters = [*self.image_encoder.parameters(), *self.text_encoder.parameters(), self.scale]
        self.optimizer = torch.optim.AdamW(parameters, lr=1e-4)

    def step(self, images: list[Tensor], texts: list[Tensor]) -> None:
        """One step."""
        image = (torch.stack(images).float() - self.mean) / self.std
        loss = info_nce(
            normalize(self.image_encoder(image)),
            normalize(self.text_encoder(torch.cat(texts))),
            self.scale.exp(),
        )
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


def measure(model: dict, batch: dict, steps: int, rounds: int) -> list[Timing]:
    """Time both on the same weights, batches and number of steps."""
    with tempfile.TemporaryDirectory() as folder:
        runner = make_runner(model, folder)
        runner._train_loop = runner.build_train_loop(runner.train_loop)
        runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
        runner.call_hook('before_run')
        runner.call_hook('before_train')
        runner.call_hook('before_train_epoch')
        runner.model.train()
        bare = BareLoop(runner.model)
        inputs = batch['inputs']

        def in_runner() -> None:
            for number in range(steps):
                runner.train_loop.run_iter(number, batch)

        def in_bare_loop() -> None:
            for _ in range(steps):
                bare.step(inputs['image'], inputs['text'])

        return compare({'bare loop': in_bare_loop, 'Runner': in_runner}, rounds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--steps', type=int, default=10)
    parser.add_argument('--rounds', type=int, default=7)
    parser.add_argument('--only', default='', help='sizes whose name has this')
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(settings(steps=args.steps, rounds=args.rounds))
    for name, (model, pixels, length, size, share) in SIZES.items():
        if args.only not in name:
            continue
        steps = max(1, round(share * args.steps))
        timings = measure(model, make_batch(size, pixels, length), steps, args.rounds)
        extra = 1000 * (timings[1].cpu_seconds - timings[0].cpu_seconds) / steps
        print(f'\n{name}: {extra:.2f} ms more per step\n\n{timing_table(timings)}')


if __name__ == '__main__':
    main()
