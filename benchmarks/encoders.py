"""One table of image encoders under one config: size, step time, and mean recall after training.

Each encoder is trained by the Runner with the config's own data, text encoder, loss and schedule,
and tested once, with the weights of its last epoch. By default on the generated sample, in
minutes; on real data with a config and its data:

    python benchmarks/encoders.py [ENCODER]
    python benchmarks/encoders.py --real --config configs/baselines/resnet-18_gru_rsicd.py \
        --weights weights --epochs 30 --seeds 0 1 2

A file of ``--weights`` that is not there means from scratch; the table says which.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.timing import markdown, settings  # noqa: E402, I001

import urbancross_mm  # noqa: E402, F401  installs the torchvision hook
import numpy as np  # noqa: E402
import torch  # noqa: E402
from mmengine.config import Config, DictAction  # noqa: E402

from urbancross_mm.apis import build_runner, load_config  # noqa: E402
from urbancross_mm.toy import ensure_sample  # noqa: E402
from urbancross_mm.utils.config import nested_dicts  # noqa: E402
from urbancross_mm.utils.setup_env import reset_mmengine_state  # noqa: E402

CONFIG = Path(__file__).resolve().parents[1] / 'configs/baselines/resnet-18_gru_ucm.py'
WARM_UP = 2  # steps of an epoch that are not timed


class Encoder(NamedTuple):
    """A backbone, the file of its weights, and how they are named there."""

    backbone: dict[str, Any]
    file: str = ''
    prefix: str | None = 'backbone.'


ENCODERS = {
    'mmseg MiT-B0': Encoder(
        dict(
            type='mmseg.MixVisionTransformer',
            embed_dims=32,
            num_layers=[2, 2, 2, 2],
            num_heads=[1, 2, 5, 8],
        ),
        'mit_b0_mmseg.pth',
    ),
    'mmseg ResNetV1c-18': Encoder(
        dict(type='mmseg.ResNetV1c', depth=18), 'resnet18_v1c_mmseg.pth', None
    ),
    'mmpretrain Swin-T': Encoder(
        dict(type='mmpretrain.SwinTransformer', arch='tiny', pad_small_map=True),
        'swin_tiny_mmpretrain.pth',
    ),
    'mmpretrain ConvNeXt-atto': Encoder(
        dict(type='mmpretrain.ConvNeXt', arch='atto'), 'convnext_atto_mmpretrain.pth'
    ),
    'timm EfficientNet-Lite2': Encoder(
        dict(type='mmpretrain.TIMMBackbone', model_name='tf_efficientnet_lite2'),
        'efficientnet_lite2_imagenet.pth',
    ),
    'open_clip ViT-S/16': Encoder({}),  # only from scratch
}


def image_encoder(name: str, width: int, pixels: int, weights: Path | None) -> dict[str, Any]:
    """Config of an encoder; its weights are left out where there is no file of them."""
    if name.startswith('open_clip'):
        vision = dict(image_size=pixels, layers=12, width=384, patch_size=16, head_width=64)
        text = dict(context_length=8, vocab_size=16, width=64, heads=1, layers=1)  # not used
        model = dict(embed_dim=width, vision_cfg=vision, text_cfg=text)
        return dict(type='OpenCLIPImageEncoder', model_name=None, model_cfg=model)
    backbone, file, prefix = ENCODERS[name]
    backbone = dict(backbone)
    if 'Swin' in name:
        backbone['img_size'] = pixels
    path = weights / file if weights else None
    if path is not None and path.is_file():
        if 'TIMM' in backbone['type']:
            backbone['checkpoint_path'] = str(path)
        else:
            backbone['init_cfg'] = dict(type='Pretrained', checkpoint=str(path), prefix=prefix)
    return dict(type='BackboneEncoder', backbone=backbone, embed_dim=width, probe_size=pixels)


def config(name: str, args: argparse.Namespace, seed: int, work_dir: str) -> Config:
    """The config with another image encoder."""
    cfg = load_config(args.config, args.cfg_options, sample=not args.real)
    pixels = next(nested_dicts(cfg.train_dataloader, 'RandomCropImage'))['size']
    for step in nested_dicts([cfg.val_dataloader, cfg.test_dataloader], 'ResizeImage'):
        step['scale'] = pixels  # a ViT of open_clip takes one size
    width = cfg.model.text_encoder.embed_dim
    cfg.model.image_encoder = image_encoder(name, width, pixels, args.weights)
    cfg.work_dir = work_dir
    cfg.randomness = dict(seed=seed)
    if args.epochs:
        cfg.train_cfg.max_epochs = args.epochs
        cfg.train_cfg.val_interval = args.epochs
        cosine = dict(type='CosineAnnealingLR', T_max=args.epochs, by_epoch=True)
        cfg.param_scheduler = [dict(cosine, convert_to_iter_based=True)]
    cfg.default_hooks.checkpoint = dict(type='CheckpointHook', interval=-1)
    cfg.log_level = 'ERROR'
    return cfg


def train(name: str, args: argparse.Namespace, seed: int) -> tuple[float, float, float]:
    """Millions of weights of the image encoder, seconds of a step, mean recall of the test."""
    reset_mmengine_state()
    with tempfile.TemporaryDirectory() as folder:
        runner = build_runner(config(name, args, seed, folder))
        runner.train()
        history = runner.message_hub.get_scalar
        waited = np.asarray(history('train/data_time').data[0])
        steps = np.asarray(history('train/time').data[0]) - waited
        recall = runner.test()['retrieval/mR']
        size = sum(weight.numel() for weight in runner.model.image_encoder.parameters())
    reset_mmengine_state()
    return size / 1e6, median(steps[WARM_UP:] if len(steps) > WARM_UP else steps), recall


def rows(args: argparse.Namespace) -> Iterator[list[str]]:
    """A row of the table for each encoder."""
    for name, encoder in ENCODERS.items():
        if args.encoder.lower() not in name.lower():
            continue
        runs = [train(name, args, seed) for seed in args.seeds]
        sizes, seconds, recalls = zip(*runs)
        spread = f' ± {stdev(recalls):.1f}' if len(recalls) > 1 else ''
        there = bool(args.weights and encoder.file and (args.weights / encoder.file).is_file())
        yield [
            name,
            encoder.file if there else 'scratch',
            f'{sizes[0]:.1f}',
            f'{1000 * median(seconds):.0f}',
            f'{mean(recalls):.1f}{spread}',
        ]


def main() -> None:
    """Train all, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('encoder', nargs='?', default='', help='part of a name, as mmseg (all)')
    parser.add_argument('--config', default=str(CONFIG), help='config whose image encoder changes')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={})
    parser.add_argument('--real', action='store_true', help='the data of the config, no sample')
    parser.add_argument('--weights', type=Path, help='folder of pretrained weights (scratch)')
    parser.add_argument('--epochs', type=int, help="epochs (the config's own)")
    parser.add_argument('--seeds', type=int, nargs='+', default=[0])
    parser.add_argument('--threads', type=int, default=1, help='of the CPU')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if not args.real:
        ensure_sample()
    table = list(rows(args))
    name = Path(args.config).stem + ('' if args.real else ', the generated sample')
    print(settings(config=name, epochs=args.epochs or 'its own', seeds=args.seeds))
    print()
    print(markdown(['encoder', 'weights', 'M parameters', 'ms a step', 'mR of the test'], table))


if __name__ == '__main__':
    main()
