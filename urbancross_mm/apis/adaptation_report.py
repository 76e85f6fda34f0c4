"""Did an adaptation help? From a config and checkpoints to the report."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from mmengine.registry import init_default_scope

from urbancross_mm.apis.runs import recorded_source
from urbancross_mm.datasets import UnpairedDataset
from urbancross_mm.engine import find_resumable
from urbancross_mm.functional.pairing_plan import Target
from urbancross_mm.inference.checkpoints import resolve_checkpoint
from urbancross_mm.inference.config import model_of
from urbancross_mm.inference.embedder import Embedder
from urbancross_mm.inference.trust.files import write_report
from urbancross_mm.inference.trust.report import MOST_IMAGES, MOST_TEXTS, Report, make_report
from urbancross_mm.models.adaptation.prepare import with_target_statistics
from urbancross_mm.models.adaptation.target_items import encode_target
from urbancross_mm.registry import DATASETS, SCOPE
from urbancross_mm.utils.checkpoints import read_checkpoint
from urbancross_mm.utils.config import nested_dicts, test_pipeline_of
from urbancross_mm.utils.error_sentence import sentence_of


def report_adaptation(
    cfg: Config,
    adapted: str,
    source: str | None = None,
    out: str | Path | None = None,
    device: str | None = None,
) -> Report:
    """Measure an adaptation without pairs, and write what was found.

    Args:
        cfg (Config): Of the adaptation: its model, and the target among its training data.
        adapted (str): Checkpoint file, or work directory.
        source (str, optional): Where it started. Defaults to what the checkpoint, or else the
            config, says.
        out (str | Path, optional): Folder. Defaults to ``report`` beside the checkpoint.
        device (str, optional): Defaults to the GPU if there is one.

    Returns:
        Report: With the verdict.

    Raises:
        FileNotFoundError: If a checkpoint or the data are missing.
        ValueError: If the config is no adaptation, the source is unknown, or the target too small.
    """
    adaptation = model_of(cfg).get('adaptation')
    targets = [dataset for dataset in nested_dicts(cfg.get('train_dataloader'), 'UnpairedDataset')]
    if not adaptation or len(targets) != 1:
        raise ValueError(
            f'{cfg.filename or "the config"} is no adaptation to one target: a report needs '
            f'model.adaptation, and one UnpairedDataset to train on; it has {len(targets)}'
        )
    adapted = resolve_checkpoint(adapted)
    content = read_checkpoint(adapted)
    source = source or recorded_source(content) or adaptation.get('source_checkpoint')
    if not source:
        raise ValueError(
            f'{adapted} does not say what it started from: name the checkpoint with --source'
        )
    source = resolve_checkpoint(source)
    meta = content.get('meta')
    steps = int(meta.get('iter', 0)) if isinstance(meta, dict) else 0
    init_default_scope(cfg.get('default_scope', SCOPE))
    dataset = DATASETS.build(targets[0])
    pipeline, workers = test_pipeline_of(cfg), cfg.train_dataloader.get('num_workers', 0)
    # The plan is made with the target's statistics in BatchNorm, as it was for training.
    plain = Config(dict(cfg.to_dict(), model=dict(model_of(cfg), adaptation=None)))
    start, model = (
        Embedder.from_config(plain, path, device=device).model for path in (source, adapted)
    )
    start = with_target_statistics(start, dataset, pipeline, num_workers=workers)
    before, after = (
        encode_target(part, dataset, pipeline, num_workers=workers) for part in (start, model)
    )
    said = _encode_source(cfg, start, workers)
    report = make_report(before, after.target.image_embeds, after.target.text_embeds, said, steps)
    folder = Path(out) if out else Path(adapted).parent / 'report'
    write_report(report, folder, dict(adapted=adapted, source=source))
    print_log(f'{report.verdict.name}: {report.verdict.reason} ({folder / "report.md"})', 'current')
    return report


def report_after_training(cfg: Config) -> None:
    """End the training of an adaptation with its report; a failure is printed, and no more.

    Args:
        cfg (Config): Of the run. Without an adaptation, or with one that has no loss, such as a
            control, nothing happens.
    """
    if not cfg.model.get('adaptation', {}).get('losses') or not is_main_process():
        return
    try:
        last = find_resumable(cfg.work_dir)
        if last is None:
            raise FileNotFoundError(f'no checkpoint in {cfg.work_dir}')
        report_adaptation(cfg, last, cfg.model.adaptation.get('source_checkpoint'))
    except Exception as error:  # the training is done, and its checkpoints are written
        print(f'no report of the adaptation: {sentence_of(error)}')


def _encode_source(cfg: Config, retriever: Any, workers: int) -> Target:
    """Some images and texts of the sources."""
    parts = [
        part
        for part in nested_dicts(cfg.get('train_dataloader'), 'ImageTextDataset')
        if part.get('captions') != 'none'
    ]
    targets = []
    for part in parts:
        kept = {key: value for key, value in part.items() if key not in ('captions', 'type')}
        dataset = UnpairedDataset(**kept)
        draw = random.Random(0)
        count = min(len(dataset), MOST_IMAGES // len(parts))
        dataset = dataset.get_subset(sorted(draw.sample(range(len(dataset)), count)))
        pool = sorted(set(dataset.pool))
        dataset.pool = sorted(draw.sample(pool, min(len(pool), MOST_TEXTS // len(parts))))
        # Features come from a file of each dataset; images go through what the test does.
        loads_images = part['pipeline'][0]['type'].rpartition('.')[2] != 'LoadFeatures'
        pipeline = test_pipeline_of(cfg) if loads_images else None
        targets.append(encode_target(retriever, dataset, pipeline, num_workers=workers).target)
    return targets[0] if len(targets) == 1 else Target(*map(torch.cat, zip(*targets)))
