"""A training step of SIRS, part by part, against the dual encoder on the same batch.

32 images with captions and class maps in memory; forward, backward and the optimizer's step, in
the model's own ``train_step``. Also what a step keeps for its backward pass, the parameters that a
part builds, and how many of them get a gradient: all.

``python benchmarks/sirs_step.py [--repeats 7] [--pixels 128] [--channels 64]``
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.timing import compare, markdown, settings  # noqa: E402, I001

import urbancross_mm  # noqa: E402, F401  installs the torchvision hook
import torch  # noqa: E402
from mmengine.dataset import pseudo_collate  # noqa: E402
from mmengine.optim import OptimWrapper  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402
from mmengine.structures import PixelData  # noqa: E402

from benchmarks.dual_encoder import make_item, model_config  # noqa: E402
from urbancross_mm.registry import MODELS  # noqa: E402

WIDTH, BATCH, CLASSES = 512, 32, 15
HEAD = dict(type='LiteFPNHead', num_classes=CLASSES)
SSA = dict(type='SemanticSpatialAttention')
AMW = dict(type='AdaptiveMultiscaleWeighting')
ALL_MAPS = dict(num_classes=CLASSES, in_index=[0, 1, 2, 3], channels=128)
PYRAMIDS = {
    'dual encoder': None,
    'AMW': dict(weighting=AMW),
    'segmentation': dict(decode_head=HEAD),
    'segmentation, SSA': dict(decode_head=HEAD, attention=SSA),
    'SIRS: segmentation, SSA, AMW': dict(decode_head=HEAD, attention=SSA, weighting=AMW),
    'segmentation by mmseg.FPNHead': dict(
        decode_head=dict(type='mmseg.FPNHead', feature_strides=[4, 8, 16, 32], **ALL_MAPS)
    ),
    'segmentation by mmseg.SegformerHead': dict(
        decode_head=dict(type='mmseg.SegformerHead', **ALL_MAPS)
    ),
    'hidden patches (IRMIM)': dict(
        masked_image=dict(type='MaskedImageHead', feature_dim=256, mask_ratio=0.25)
    ),
}


class Step:
    """One step of a new model."""

    def __init__(self, pyramid: dict | None, pixels: int, channels: int) -> None:
        torch.manual_seed(0)
        config = model_config(channels, WIDTH)
        config['image_encoder']['backbone']['out_indices'] = (0, 1, 2, 3)
        self.model = MODELS.build(dict(config, pyramid=pyramid)).train()
        self.batch = make_batch(pixels)
        self.optimizer = OptimWrapper(torch.optim.AdamW(self.model.parameters(), lr=1e-5))

    def __call__(self) -> None:
        """Make the step."""
        self.model.train_step(self.batch, self.optimizer)

    def count(self) -> tuple[int, int, int]:
        """Bytes kept for the backward pass, parameters, and parameters with a gradient."""
        parameters = list(self.model.parameters())
        weights = {p.untyped_storage().data_ptr() for p in parameters}
        kept: dict[int, int] = {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        data = self.model.data_preprocessor(self.batch, True)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            losses = self.model(**data, mode='loss')
        self.model.zero_grad()
        self.model.parse_losses(losses)[0].backward()
        trained = [p for p in parameters if p.grad is not None]
        numbers = (sum(p.numel() for p in some) for some in (parameters, trained))
        return sum(kept.values()), *numbers


def make_batch(pixels: int) -> dict:
    """A batch with class maps as the data loader hands it over."""
    items = [make_item(number, pixels, 'bench') for number in range(BATCH)]
    for item in items:
        labels = torch.randint(0, CLASSES, (1, pixels, pixels))
        item['data_samples'].gt_sem_seg = PixelData(data=labels)
    return pseudo_collate(items)


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--repeats', type=int, default=7, help='rounds')
    parser.add_argument('--pixels', type=int, default=128, help='side of an image')
    parser.add_argument('--channels', type=int, default=64, help='width of the ResNet-18')
    args = parser.parse_args()
    init_default_scope('urbancross_mm')
    steps = {name: Step(p, args.pixels, args.channels) for name, p in PYRAMIDS.items()}
    timings = compare(steps, repeats=args.repeats)
    rows = []
    for timing in timings:
        kept, *counts = steps[timing.name].count()
        built, trained = (f'{count / 1e6:.2f} M' for count in counts)
        time, memory = f'{1000 * timing.cpu_seconds:.0f}', f'{kept / 2**20:.0f}'
        rows.append([timing.name, time, f'{timing.ratio:.2f}', memory, built, trained])
    print(settings(batch=BATCH, pixels=args.pixels, channels=args.channels))
    print()
    header = ['a step', 'CPU ms', 'ratio', 'activations MiB', 'parameters', 'trained']
    print(markdown(header, rows))


if __name__ == '__main__':
    main()
