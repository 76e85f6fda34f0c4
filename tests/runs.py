"""Small runs of whole configs, for the tests."""

from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.runner import Runner

from urbancross_mm.apis import load_config
from urbancross_mm.utils.setup_env import reset_mmengine_state

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / 'configs'


def datasets_of(dataloader: dict) -> list[dict]:
    """The image-text datasets below a dataloader's config."""
    dataset = dataloader['dataset']
    while 'dataset' in dataset:
        dataset = dataset['dataset']
    return dataset.get('datasets') or [dataset]


def small_config(
    name: str, work_dir: Path, items: int = 16, batch: int = 8, **options: Any
) -> Config:
    """A config under ``--sample``, cut down to a few iterations, from random weights."""
    cfg = load_config(CONFIGS / name, options, sample=True)
    if cfg.model.get('adaptation') and 'model.adaptation.source_checkpoint' not in options:
        cfg.model.adaptation.source_checkpoint = None
    for phase, size in (('train', items), ('val', 8), ('test', 8)):
        loader = cfg[f'{phase}_dataloader']
        loader.num_workers = 0
        loader.batch_size = min(batch, size)
        if 'batch_sampler' in loader:
            share_domains(loader, size)
            continue
        parts = datasets_of(loader)
        for part in parts:
            part['indices'] = -(-size // len(parts))
    cfg.work_dir = str(work_dir)
    cfg.visualizer.vis_backends = [dict(type='LocalVisBackend')]
    return cfg


def share_domains(loader: dict, items: int) -> None:
    """Give the target a quarter of each batch and of the items, and the sources the rest."""
    sampler, batch = loader['batch_sampler'], loader['batch_size']
    sources = list(sampler['source'])
    sampler['target'] = {name: batch // 4 for name in sampler['target']}
    sampler['source'] = {name: 3 * batch // 4 // len(sources) for name in sources}
    for part in datasets_of(loader):
        is_target = Path(part['ann_file']).stem.rpartition('_')[0] in sampler['target']
        part['indices'] = items // 4 if is_target else 3 * items // 4 // len(sources)


def run(cfg: Config) -> Runner:
    """Build a Runner as if in a process of its own, and train."""
    reset_mmengine_state()
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


def weights(path: Path) -> dict[str, torch.Tensor]:
    """The weights of a checkpoint."""
    return torch.load(path, map_location='cpu', weights_only=False)['state_dict']
