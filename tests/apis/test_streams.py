"""A run on WebDataset shards is a run on the folder that they were made of."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config

from tests.runs import reset_mmengine_state, small_config
from urbancross_mm.apis import build_runner
from urbancross_mm.apis.run_settings import fit_streams
from urbancross_mm.datasets.converters.web_shards import write_shards

pytest.importorskip('webdataset')


def on_shards(cfg: Config, root: Path) -> Config:
    """The same config, with its datasets in shards."""
    for split in ('train', 'val', 'test'):
        loader = cfg[f'{split}_dataloader']
        dataset = loader.dataset
        write_shards(
            Path(dataset.data_root, dataset.ann_file), root / split, shard_size=7, force=True
        )
        loader.dataset = dict(
            type='WebImageTextDataset',
            data_root=str(root),
            shards=split,
            pipeline=dataset.pipeline,
            captions='sample' if split == 'train' else 'all',
            shuffle=8 if split == 'train' else 0,
        )
    return cfg


def config(work_dir: Path) -> Config:
    cfg = small_config(
        'urbancross_rsicd_no-segments.py',
        work_dir,
        batch=4,
        **{'train_cfg.max_epochs': 2, 'train_cfg.val_interval': 1},
    )
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.pop('indices')
    return cfg


def test_train_and_validate_on_shards(
    in_sample_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reset_mmengine_state()
    cfg = on_shards(config(tmp_path / 'work'), tmp_path / 'shards')
    cfg.train_dataloader.num_workers = 1
    runner = build_runner(cfg)
    runner.train()
    loader = runner.train_dataloader
    assert runner.epoch == 2 and runner.iter == 2 * len(loader) > 2
    assert len(loader) == len(loader.dataset) // 4
    # The same weights on the folder.
    reset_mmengine_state()
    folder = config(tmp_path / 'folder')
    folder.load_from = str(tmp_path / 'work' / 'epoch_2.pth')
    expected = build_runner(folder).test()
    reset_mmengine_state()
    again = on_shards(config(tmp_path / 'again'), tmp_path / 'shards')
    again.load_from = folder.load_from
    assert build_runner(again).test() == pytest.approx(expected)


def test_a_stream_has_no_sampler() -> None:
    stream = dict(type='urbancross_mm.WebImageTextDataset', shards='a')
    loader = dict(batch_size=3, sampler=dict(type='DefaultSampler'), batch_sampler=dict(type='X'))
    cfg = Config(dict(train_dataloader=dict(loader, dataset=stream), val_dataloader=None))
    fit_streams(cfg)
    assert cfg.train_dataloader.sampler is None and 'batch_sampler' not in cfg.train_dataloader
    assert cfg.train_dataloader.dataset.batch_size == 3
    inside = dict(type='ConcatDataset', datasets=[stream])
    with pytest.raises(ValueError, match=r'test_dataloader.dataset: ConcatDataset cannot hold'):
        fit_streams(Config(dict(test_dataloader=dict(loader, dataset=inside))))
