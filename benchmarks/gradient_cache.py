"""Memory and time of a training step: the whole batch, gradient caching, activation checkpointing.

A second table is of the loss of many pairs alone: by the matrix of all pairs, and in chunks.

Each case runs in a process of its own, on the same model and batch, so that its peak is its own.
The memory of a step is that above weights and batch; gradients count, as in a training.

``python benchmarks/gradient_cache.py [--batch 32] [--chunks 16 8 4] [--device cuda --amp]``
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.timing import markdown, peak_memory, settings  # noqa: E402, I001  pins threads

import urbancross_mm  # noqa: E402, F401  installs the torchvision hook
import torch  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.nn.functional import normalize  # noqa: E402

from benchmarks.dual_encoder import CLIP_LENGTH, LENGTH, clip_config, make_item  # noqa: E402

TINY = dict(
    embed_dim=16,
    vision_cfg=dict(image_size=32, patch_size=16, width=32, layers=2, head_width=16),
    text_cfg=dict(context_length=LENGTH, vocab_size=512, width=32, heads=2, layers=2),
)


def cases(chunks: list[int]) -> dict[str, dict[str, Any]]:
    """Options of the model by the name of the case; the first is the yardstick."""
    parts = ['image_encoder', 'text_encoder']
    return {
        'whole batch': {},
        **{f'gradient_cache={size}': dict(gradient_cache=size) for size in chunks},
        'activation_checkpointing': dict(activation_checkpointing=parts),
        f'both, {chunks[-1]} rows': dict(gradient_cache=chunks[-1], activation_checkpointing=parts),
    }


def losses(pairs: int) -> dict[str, int | None]:
    """Chunk size by the name of the case."""
    chunk = max(pairs // 16, 1)
    return {'SigLIPLoss': None, f'SigLIPLoss, chunk_size={chunk}': chunk}


class Step:
    """A model, a batch and an optimizer."""

    def __init__(self, args: argparse.Namespace, options: dict[str, Any]) -> None:
        from urbancross_mm.registry import MODELS

        torch.manual_seed(0)
        shape = dict(model_cfg=TINY) if args.tiny else dict(model_name=args.model)
        self.pixels, self.length = (32, LENGTH) if args.tiny else (args.pixels, CLIP_LENGTH)
        self.model = MODELS.build({**clip_config(**shape), **options}).to(args.device).train()
        self.device, self.amp = args.device, args.amp
        self.optimizer = torch.optim.SGD(self.model.parameters(), 1e-4)
        self.batch = self.make_batch(args.batch)
        self.run(self.make_batch(2))  # what is allocated once
        self.optimizer.zero_grad()

    def make_batch(self, size: int) -> dict[str, Any]:
        """Random images, with a text each, where the model is."""
        from mmengine.dataset import pseudo_collate

        items = [
            make_item(number, self.pixels, 'bench', length=self.length) for number in range(size)
        ]
        return self.model.data_preprocessor(pseudo_collate(items), True)

    def run(self, batch: dict[str, Any] | None = None) -> Tensor:
        """Take a step; the loss."""
        self.optimizer.zero_grad()
        context = torch.autocast(self.device, torch.bfloat16) if self.amp else nullcontext()
        with context:
            losses = self.model(**(batch or self.batch), mode='loss')
        loss = losses['loss_image_text']
        loss.backward()
        self.optimizer.step()
        if self.device != 'cpu':
            torch.cuda.synchronize()
        return loss.detach()


class LossStep:
    """Loss and gradient of embeddings."""

    def __init__(self, args: argparse.Namespace, chunk: int | None) -> None:
        from urbancross_mm.models import SigLIPLoss

        torch.manual_seed(0)
        self.loss = SigLIPLoss(chunk_size=chunk).to(args.device)
        self.embeds = [
            normalize(torch.randn(args.pairs, 512, device=args.device)).requires_grad_()
            for _ in range(2)
        ]
        self.loss(*(rows[:2] for rows in self.embeds)).backward()

    def run(self) -> Tensor:
        """The loss; its gradient is there."""
        loss = self.loss(*self.embeds)
        loss.backward()
        if loss.is_cuda:
            torch.cuda.synchronize()
        return loss.detach()


def measure(args: argparse.Namespace) -> dict[str, float]:
    """Peak memory of the first step, seconds of a step."""
    step = (
        LossStep(args, losses(args.pairs)[args.case])
        if args.case in losses(args.pairs)
        else Step(args, cases(args.chunks)[args.case])
    )
    clock = time.process_time if args.device == 'cpu' else time.perf_counter
    values, seconds = [], []

    def take() -> None:
        start = clock()
        values.append(step.run().item())
        seconds.append(clock() - start)

    if args.device == 'cpu':
        peak = peak_memory(take) or float('nan')
    else:
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        take()
        peak = (torch.cuda.max_memory_allocated() - before) / 2**20
    for _ in range(args.steps - 1):
        take()
    return dict(mib=peak, seconds=median(seconds), loss=values[0])


def in_a_process(arguments: list[str], name: str) -> dict[str, float]:
    """Measure one case by itself."""
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', __file__, *arguments, '--case', name],
        # Freed tensors go back to the system at once, or a peak would be that of an earlier step.
        env=dict(os.environ, MALLOC_MMAP_THRESHOLD_='65536'),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f'{name}: {done.stderr[-2000:]}')
    return json.loads(done.stdout.splitlines()[-1])


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--model', default='ViT-B-32')
    parser.add_argument('--tiny', action='store_true', help='a model for a test of this script')
    parser.add_argument('--batch', type=int, default=32)
    parser.add_argument('--chunks', type=int, nargs='+', default=[16, 8, 4])
    parser.add_argument('--pairs', type=int, default=4096, help='of the loss alone')
    parser.add_argument('--pixels', type=int, default=224)
    parser.add_argument('--steps', '--repeats', type=int, default=3)
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--amp', action='store_true', help='bfloat16')
    parser.add_argument('--case', help='measure this one here; the script calls itself so')
    return parser.parse_args()


def table(results: dict[str, dict[str, float]], args: argparse.Namespace) -> str:
    """Results beside the first of them."""
    whole = next(iter(results.values()))
    rows = [
        [
            name,
            f'{result["mib"]:.0f}',
            f'{result["mib"] / whole["mib"]:.2f}',
            f'{result["seconds"]:.3g}',
            f'{result["seconds"] / whole["seconds"]:.2f}',
            f'{abs(result["loss"] - whole["loss"]) / whole["loss"]:.0e}',
        ]
        for name, result in results.items()
    ]
    clock = 'CPU s' if args.device == 'cpu' else 's'
    header = ['', 'MiB of a step', 'ratio', f'{clock} of a step', 'ratio', 'difference of the loss']
    return markdown(header, rows)


def main() -> None:
    """Measure and print."""
    args = parse_args()
    torch.set_num_threads(1)
    if args.case:
        print(json.dumps(measure(args)))
        return
    model = 'tiny' if args.tiny else args.model
    print(settings(model=model, batch=args.batch, device=args.device, bf16=args.amp))
    for names in (cases(args.chunks), losses(args.pairs)):
        print('\n' + table({name: in_a_process(sys.argv[1:], name) for name in names}, args))


if __name__ == '__main__':
    main()
