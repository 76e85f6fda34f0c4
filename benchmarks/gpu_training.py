"""Samples a second, memory and share of the peak of a training step on a GPU.

ViT-B/16 and ViT-L/14 from random weights, bfloat16 autocast and AdamW, on batches that are in the
memory of the GPU. In one run, in turns, on the same batch:

- open_clip's own loop: its model, its ``ClipLoss``, plain images;
- ours, plain images: ``CrossModalRetriever`` with ``InfoNCELoss`` by mmengine's ``train_step``,
  uint8 images normalized on the GPU;
- ours, K segments an image: ``UrbanCross`` with a frozen segment tower, masks composed on the GPU.

Floating-point operations are counted by torch in a step, matrix products and attention, forward and
backward. Their share of the peak is of what the card does in dense bfloat16.

    python benchmarks/gpu_training.py --batch-size 256

Without a GPU it says so, and ends.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import timing  # before torch: it finds the package
import torch
from torch.utils.flop_counter import FlopCounterMode

from urbancross_mm.registry import MODELS
from urbancross_mm.structures import RetrievalDataSample
from urbancross_mm.utils.setup_env import reset_mmengine_state

SIDE, TOKENS = 224, 77
# Dense bfloat16 operations a second, by part of the name that torch gives.
PEAKS = {
    'B200': 2250e12,
    'H200': 989e12,
    'H100 PCIe': 756e12,
    'H100': 989e12,
    'A100': 312e12,
    'L40S': 362e12,
    'L4': 121e12,
    'A10': 125e12,
    '4090': 165e12,
    '3090': 71e12,
}
Step = Callable[[], Any]


def main() -> None:
    """Measure each model and print one table."""
    args = parse_args()
    if args.device == 'cuda' and not torch.cuda.is_available():
        print('no GPU: benchmarks/gpu_training.py measures a training step on one, so it ends here')
        return
    device = torch.device(args.device)
    peak = args.peak or next((v for k, v in PEAKS.items() if k in name_of(device)), None)
    rows = []
    for name in args.models:
        for label, make in candidates(name, args.segments).items():
            rows.append([name, label, *measured(make, args, device, peak)])
    print(f'{name_of(device)}, torch {torch.__version__}, batch {args.batch_size}, bfloat16')
    header = ['model', 'step', 'samples/s', 'peak GiB', 'TFLOP/s', 'share of peak']
    print(timing.markdown(header, rows))


def candidates(name: str, segments: int) -> dict[str, Callable[[argparse.Namespace, Any], Step]]:
    """What is measured of a model, each made when it is its turn."""
    return {
        'open_clip': lambda args, device: openclip_step(name, args, device),
        'ours': lambda args, device: our_step(name, 0, args, device),
        f'ours, K = {segments}': lambda args, device: our_step(name, segments, args, device),
    }


def measured(
    make: Callable[[argparse.Namespace, Any], Step],
    args: argparse.Namespace,
    device: torch.device,
    peak: float | None,
) -> list[str]:
    """Cells of a row; a batch that does not fit is a row as well."""
    on_gpu = device.type == 'cuda'
    try:
        torch.manual_seed(0)
        step = make(args, device)
        with FlopCounterMode(display=False) as counter:
            step()
        for _ in range(args.warmup):
            step()
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
            torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(args.steps):
            step()
        if on_gpu:
            torch.cuda.synchronize()
        seconds = (time.perf_counter() - start) / args.steps
    except torch.OutOfMemoryError:
        return ['out of memory', '-', '-', '-']
    finally:
        step = None
        if on_gpu:
            torch.cuda.empty_cache()
    memory = f'{torch.cuda.max_memory_allocated() / 2**30:.1f}' if on_gpu else '-'
    rate = counter.get_total_flops() / seconds
    share = f'{rate / peak:.0%}' if peak else 'peak not known: --peak'
    return [f'{args.batch_size / seconds:.0f}', memory, f'{rate / 1e12:.1f}', share]


def openclip_step(name: str, args: argparse.Namespace, device: torch.device) -> Step:
    """A step of open_clip's loop."""
    import open_clip

    model = open_clip.create_model(name, precision='fp32', device=device).train()
    loss = open_clip.ClipLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    images, texts = batch_of(args.batch_size)
    images = images.to(device).float().div_(255)
    texts = texts.to(device)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16):
            image_feats, text_feats, scale = model(images, texts)[:3]
            value = loss(image_feats, text_feats, scale)
        value.backward()
        optimizer.step()

    return step


def our_step(name: str, segments: int, args: argparse.Namespace, device: torch.device) -> Step:
    """A step of our model, with segments or without."""
    from urbancross_mm.engine import BFloat16OptimWrapper

    reset_mmengine_state()
    clip = dict(model_name=name, pretrained=None)
    cfg = dict(
        type='UrbanCross' if segments else 'CrossModalRetriever',
        data_preprocessor=dict(
            type='RetrievalDataPreprocessor', stats='clip', num_segments=max(1, segments)
        ),
        image_encoder=dict(type='OpenCLIPImageEncoder', image_size=SIDE, **clip),
        text_encoder=dict(type='OpenCLIPTextEncoder', **clip),
        head=dict(type='RetrievalHead', loss=dict(type='InfoNCELoss')),
    )
    model = MODELS.build(cfg).to(device).train()
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    wrapper = BFloat16OptimWrapper(torch.optim.AdamW(weights, lr=1e-5))
    images, texts = batch_of(args.batch_size)
    inputs = dict(image=images.to(device), text=list(texts[:, None].to(device)))
    if segments:
        bits = torch.randint(1, 2**segments, (args.batch_size, 1, SIDE, SIDE), dtype=torch.int32)
        inputs['segment_bits'] = bits.to(device)
    samples = [
        RetrievalDataSample(metainfo=dict(img_id=str(n), text_ids=[n], caption_text_ids=[n]))
        for n in range(args.batch_size)
    ]
    return lambda: model.train_step(dict(inputs=inputs, data_samples=samples), wrapper)


def batch_of(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The same random images and tokens for everybody."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (size, 3, SIDE, SIDE), generator=generator, dtype=torch.uint8)
    texts = torch.randint(1, 40000, (size, TOKENS), generator=generator)
    texts[:, 0], texts[:, 12], texts[:, 13:] = 49406, 49407, 0
    return images, texts


def name_of(device: torch.device) -> str:
    """As its maker calls it."""
    return torch.cuda.get_device_name(device) if device.type == 'cuda' else str(device)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--models', nargs='+', default=['ViT-B-16', 'ViT-L-14'])
    parser.add_argument('--batch-size', type=int, default=128, help='pairs (%(default)s)')
    parser.add_argument('--segments', type=int, default=5, help='K (%(default)s)')
    parser.add_argument('--steps', type=int, default=20, help='that count (%(default)s)')
    parser.add_argument('--warmup', type=int, default=5, help='steps before (%(default)s)')
    parser.add_argument('--device', default='cuda', help='cpu tries the script (%(default)s)')
    parser.add_argument('--peak', type=float, help='operations a second of another card')
    return parser.parse_args()


if __name__ == '__main__':
    main()
