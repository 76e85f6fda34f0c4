"""A training step of whole configs, in fp32 and in bfloat16: milliseconds, pairs a second, memory.

Batches as the pipeline hands them over, of random pixels, words and sound, at the config's own
batch and image size; weights from scratch. Preprocessor, forward, backward and optimizer count.
On a GPU the memory is the peak of PyTorch's allocator.

    python benchmarks/config_step.py [--device cuda] [--repeats 20] [--batch 4] [PART]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.timing import markdown, settings  # noqa: E402, I001

import urbancross_mm  # noqa: E402, F401  installs the torchvision hook
import torch  # noqa: E402
from mmengine.dataset import pseudo_collate  # noqa: E402
from mmengine.optim import build_optim_wrapper  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402
from mmengine.structures import PixelData  # noqa: E402

import urbancross_mm.engine  # noqa: E402, F401  registers optimizer wrappers
from urbancross_mm.apis import load_config  # noqa: E402
from urbancross_mm.utils.config import nested_dicts  # noqa: E402
from urbancross_mm.registry import MODELS  # noqa: E402
from urbancross_mm.structures import RetrievalDataSample  # noqa: E402

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
CLIP_WORDS, WORDS, LENGTH, RATE = 49408, 1349, 20, 16000
TPT = {f'model.{name}': None for name in ('self_consistency', 'distillation', 'alignment')}
PARTS = {
    'CLIP ViT-B/16': ('urbancross_finland_no-segments.py', {}),
    'UrbanCross, 5 segments, ViT-B/16': ('urbancross_finland.py', {}),
    'dual encoder, ResNet-18': ('sirs/sirs_no-masks.py', {'model.pyramid': None}),
    'SIRS, ResNet-18': ('sirs/sirs.py', {}),
    'MCRN, stage 1, ResNet-18': ('mcrn/mcrn_pretrain.py', {}),
    'MCRN, stage 2, ResNet-18': ('mcrn/mcrn.py', {}),
    'MCRN, ranking losses alone (tpt)': ('mcrn/mcrn.py', TPT),
}


def build(label: str, sample: bool) -> Any:
    """The config, with nothing that reads a file."""
    name, options = PARTS[label]
    cfg = load_config(CONFIGS / name, options, sample=sample)
    for part in nested_dicts(cfg.model):
        part.pop('init_cfg', None)
        if 'pretrained' in part:
            part['pretrained'] = None
    if cfg.model.text_encoder.type == 'GRUTextEncoder':
        cfg.model.text_encoder.pop('tokenizer')
        cfg.model.text_encoder['vocab_size'] = WORDS
    return cfg


def make_batch(cfg: Any, size: int) -> dict[str, Any]:
    """Items with all that the training pipeline of the config loads."""
    steps = {step.type: step for step in cfg.train_dataloader.dataset.pipeline}
    pixels, words = steps['RandomCropImage']['size'], WORDS
    if 'OpenCLIP' in cfg.model.text_encoder.type:
        words = CLIP_WORDS
    items = []
    for number in range(size):
        inputs = dict(
            image=torch.randint(0, 256, (3, pixels, pixels), dtype=torch.uint8),
            text=torch.randint(1, words, (1, 77 if words == CLIP_WORDS else LENGTH)),
        )
        ids = dict(text_ids=[number], caption_text_ids=[number])
        if 'LoadSegments' in steps:
            inputs['segment_bits'] = torch.randint(1, 32, (1, pixels, pixels), dtype=torch.int32)
        if listen := {'LoadAudio', 'LoadSpectrogramImage'} & steps.keys():
            ids.update(audio_ids=[number], caption_audio_ids=[number])
            if listen == {'LoadAudio'}:
                length = int(steps['LoadAudio'].get('max_seconds', 10.24) * RATE)
                inputs.update(audio=torch.randn(1, length), audio_length=torch.tensor([length]))
            else:
                side = steps['LoadSpectrogramImage']['size']
                inputs['audio'] = torch.randint(0, 256, (1, 3, side, side), dtype=torch.uint8)
        sample = RetrievalDataSample(metainfo=dict(img_id=f'bench/{number}', domain='a', **ids))
        if 'LoadSegMap' in steps:
            sample.gt_sem_seg = PixelData(data=torch.randint(0, 15, (1, pixels, pixels)))
        items.append(dict(inputs=inputs, data_samples=sample))
    return pseudo_collate(items)


def measure(cfg: Any, args: argparse.Namespace, amp: bool) -> tuple[float, float, int]:
    """Median seconds of a step, peak bytes, pairs of a batch."""
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).to(args.device).train()
    wrapper = cfg.optim_wrapper.copy()
    for part in wrapper.values() if 'constructor' in wrapper else [wrapper]:
        if isinstance(part, dict):
            part['type'] = 'BFloat16OptimWrapper' if amp else 'OptimWrapper'
    optimizer = build_optim_wrapper(model, wrapper)
    size = args.batch or cfg.train_dataloader.batch_size
    batch = make_batch(cfg, size)
    on_gpu = args.device.startswith('cuda')
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    seconds = []
    for _ in range(args.repeats + 3):  # three to warm up
        start = time.perf_counter()
        model.train_step(batch, optimizer)
        if on_gpu:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    peak = torch.cuda.max_memory_allocated() if on_gpu else 0
    return median(seconds[3:]), peak, size


def rows(args: argparse.Namespace) -> Iterator[list[str]]:
    """A row of the table for each config and precision."""
    for label in PARTS:
        if args.part.lower() not in label.lower():
            continue
        for precision in ('fp32', 'bf16'):
            cfg = build(label, args.sample)
            seconds, peak, size = measure(cfg, args, precision == 'bf16')
            memory = f'{peak / 2**30:.1f}' if peak else ''
            yield [
                label,
                precision,
                str(size),
                f'{1000 * seconds:.0f}',
                f'{size / seconds:.0f}',
                memory,
            ]


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('part', nargs='?', default='', help='part of a row, such as mcrn (all)')
    parser.add_argument('--device', default='cuda')
    parser.add_argument('--repeats', type=int, default=20, help='steps that count')
    parser.add_argument('--batch', type=int, help="pairs of a batch (the config's own)")
    parser.add_argument('--sample', action='store_true', help='the small encoders of --sample')
    args = parser.parse_args()
    if args.device == 'cuda' and not torch.cuda.is_available():
        print('no GPU here; --device cpu measures the same, for minutes')
        return
    init_default_scope('urbancross_mm')
    table = list(rows(args))
    print(settings(device=args.device, repeats=args.repeats))
    print()
    print(markdown(['a step', 'precision', 'batch', 'ms', 'pairs/s', 'peak GiB'], table))


if __name__ == '__main__':
    main()
