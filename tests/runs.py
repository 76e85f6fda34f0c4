"""Small runs of whole recipes, for the tests."""

from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmengine.visualization import Visualizer

from urbancross_mm.apis import load_config

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / 'configs'


def datasets_of(dataloader: dict) -> list[dict]:
    """The image-text data sets below a dataloader's config."""
    dataset = dataloader['dataset']
    while 'dataset' in dataset:
        dataset = dataset['dataset']
    return dataset.get('datasets') or [dataset]


def small_config(name: str, work_dir: Path, items: int = 16, batch: int = 8,
                 **options: Any) -> Config:
    """A recipe under ``--sample``, cut down to a few iterations."""
    cfg = load_config(CONFIGS / name, options, sample=True)
    for phase, size in (('train', items), ('val', 8), ('test', 8)):
        loader = cfg[f'{phase}_dataloader']
        loader.num_workers = 0
        loader.batch_size = min(batch, size)
        parts = datasets_of(loader)
        for part in parts:
            part['indices'] = -(-size // len(parts))
    cfg.work_dir = str(work_dir)
    cfg.visualizer.vis_backends = [dict(type='LocalVisBackend')]
    return cfg


def run(cfg: Config) -> Runner:
    """Build a Runner as if in a process of its own, and train."""
    forget_runs()
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


def forget_runs() -> None:
    """mmengine keeps loggers, hubs and visualizers by name, for two runs of a process alike."""
    for manager in (MMLogger, MessageHub, Visualizer, DefaultScope):
        manager._instance_dict.clear()


def weights(path: Path) -> dict[str, torch.Tensor]:
    """The weights of a checkpoint."""
    return torch.load(path, map_location='cpu', weights_only=False)['state_dict']
